#include "ekeyd/http/pollen_http.h"

#include <algorithm>

#include "protocol/pollen/pollen.h"

namespace ekey::http {

namespace {

// The longest that an Entropy Key takes from being plugged in to its first tested block, with some to spare.
constexpr const char* retry_after = "10"; // seconds

constexpr unsigned content_too_large = 413; // has had several names in the library's header

struct Words {
    unsigned status;
    const char* text;
    bool later; // it may be tried again
};
constexpr Words words[] = {
    {MHD_HTTP_BAD_REQUEST,
     "A challenge is missing: POST challenge=TEXT as application/x-www-form-urlencoded, as pollinate does, "
     "or GET /?challenge=TEXT\n",
     false},
    {MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and POST are answered.\n", false},
    {content_too_large, "A form or a query may have 4096 bytes.\n", false},
    {MHD_HTTP_TOO_MANY_REQUESTS, "Your network has had what it may have for now.\n", true},
    {MHD_HTTP_SERVICE_UNAVAILABLE, "There is no entropy for you now.\n", true},
};
static_assert(pollen::longest_form == 4096);

} // namespace

unsigned find_challenge(const Connection& request, std::string& challenge) {
    const bool post = request.method == MHD_HTTP_METHOD_POST;
    if (!post && request.method != MHD_HTTP_METHOD_GET) {
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (request.too_long || request.query.size() > pollen::longest_form) {
        return content_too_large;
    }
    std::optional<std::string> found;
    if (post && pollen::is_form(request.header(MHD_HTTP_HEADER_CONTENT_TYPE))) {
        found = pollen::find_challenge(request.body);
    }
    if (!found) {
        found = pollen::find_challenge(request.query);
    }
    if (!found) {
        return MHD_HTTP_BAD_REQUEST;
    }
    challenge = std::move(*found);
    return 0;
}

const Response& PollenRefusals::find(unsigned status) {
    auto found = made_.find(status);
    if (found == made_.end()) {
        const Words& say = *std::find_if(std::begin(words), std::end(words),
                                         [status](const Words& each) { return each.status == status; });
        Response made(library_, say.text, "text/plain; charset=utf-8");
        if (say.later) {
            made.header(MHD_HTTP_HEADER_RETRY_AFTER, retry_after);
            made.header(MHD_HTTP_HEADER_CONNECTION, "close"); // its place is another one's now
        }
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
            made.header(MHD_HTTP_HEADER_ALLOW, "GET, POST");
        }
        found = made_.emplace(status, std::move(made)).first;
    }
    return found->second;
}

} // namespace ekey::http
