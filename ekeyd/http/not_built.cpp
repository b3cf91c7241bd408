#include "ekeyd/http/make.h"

namespace ekey::http {

Result<void> check_listener(const config::Address&) {
    return fail("listen \"http:\" is not in this build of ekeyd, which was made without libmicrohttpd");
}

Result<std::unique_ptr<Listener>> make_listener(Loop&, const metrics::Provider&,
                                                const config::Address& address, PassedSockets*) {
    return tl::unexpected(check_listener(address).error());
}

} // namespace ekey::http
