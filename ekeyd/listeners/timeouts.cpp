#include "ekeyd/listeners/timeouts.h"

namespace ekey {

Result<void> Timeouts::read(const config::Address& address) {
    for (const auto& [name, member] :
         {std::pair{"idle", &Timeouts::idle}, {"handshake", &Timeouts::handshake}}) {
        if (const std::string* text = address.find(name)) {
            const auto seconds = config::parse_number(name, *text, 1, longest);
            if (!seconds) {
                return tl::unexpected(seconds.error());
            }
            this->*member = std::chrono::seconds(*seconds);
        }
    }
    return {};
}

} // namespace ekey
