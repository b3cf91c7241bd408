#include "ekeyd/http/make.h"

namespace ekey::http {

bool speaks(const config::Address& address) {
    return address.kind == "http" || address.kind == "pollen";
}

Result<void> check_listener(const config::Address& address) {
    return fail("listen \"" + address.kind +
                ":\" is not in this build of ekeyd, which was made without libmicrohttpd");
}

Result<std::unique_ptr<Listener>> prepare_listener(Loop&, const metrics::Provider&, Pool&,
                                                   const config::Address& address, Mixer*) {
    return tl::unexpected(check_listener(address).error());
}

Result<Sockets> open_sockets(const Loop&, const config::Address& address, PassedSockets*) {
    return tl::unexpected(check_listener(address).error());
}

} // namespace ekey::http
