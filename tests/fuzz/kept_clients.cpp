// Guards the list of clients that comes back from a service manager (ekeyd/listeners/kept_state.h).
// Promise: a list that is taken has at most as many clients as may be kept, each of a listener that it names,
// is owed no more than fits, and has the cookie and bytes of one of its lines; a refusal tells which line.
#include <algorithm>
#include <string>

#include "ekeyd/listeners/kept_state.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    auto state = KeptState::parse(text);
    if (!state) {
        must(!state.error().what.empty() && state.error().what.size() < 100, "a refusal is a short sentence");
        return 0;
    }
    const std::size_t clients = state->size();
    must(clients <= KeptState::most_clients, "no more clients than may be kept");
    std::size_t found = 0;
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) { // each line ends
        std::uint64_t cookie = 0;
        for (std::size_t i = at; text[i] >= '0' && text[i] <= '9'; ++i)
            cookie = cookie * 10 + static_cast<std::uint64_t>(text[i] - '0');
        if (const auto client = state->take(cookie)) {
            ++found;
            must(client->listener < state->listeners().size(), "a client's listener is there");
            must(client->owed.view().size() <= Owed::capacity, "what is owed fits");
            must(!state->take(cookie), "a client is given out once");
        }
    }
    must(found == clients && state->size() == 0, "every client is one of the lines");
    return 0;
}
