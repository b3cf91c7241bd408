#include "ekeyd/http/response.h"

#include <new>

namespace ekey::http {

// The library only reads the body, whatever its interface says.
Response::Response(const Library& library, std::string_view body, const char* type, Body kind)
    : library_(&library), made_(library.create_response_from_buffer(
                                    body.size(), const_cast<char*>(body.data()),
                                    kind == Body::copied ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_PERSISTENT),
                                library.destroy_response) {
    if (made_ == nullptr) {
        throw std::bad_alloc();
    }
    header(MHD_HTTP_HEADER_CONTENT_TYPE, type);
    header(MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    header("X-Content-Type-Options", "nosniff");
}

Response& Response::header(const char* name, const std::string& value) & {
    if (library_->add_response_header(made_.get(), name, value.c_str()) != MHD_YES) {
        throw std::bad_alloc(); // ours are all well-formed
    }
    return *this;
}

} // namespace ekey::http
