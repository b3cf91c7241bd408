#include "ekeyd/http/make.h"

#include "ekeyd/http/http_listener.h"
#include "ekeyd/http/pollen_listener.h"

namespace ekey::http {

bool speaks(const config::Address& address) {
    return address.kind == "http" || address.kind == "pollen";
}

Result<void> check_listener(const config::Address& address) {
    const auto checked = [](const auto& options) {
        return options ? Result<void>() : tl::unexpected(options.error());
    };
    return address.kind == "pollen" ? checked(read_pollen_options(address)) : checked(read_options(address));
}

Result<std::unique_ptr<Listener>> prepare_listener(Loop& loop, const metrics::Provider& provider, Pool& pool,
                                                   const config::Address& address, Mixer* mixer) {
    return address.kind == "pollen" ? PollenListener::prepare(loop, pool, address, mixer)
                                    : HttpListener::prepare(loop, provider, address);
}

Result<Sockets> open_sockets(const Loop& loop, const config::Address& address, PassedSockets* passed) {
    const auto open = [&](const auto& options) {
        return options ? ekey::open_sockets(loop, options->where, {passed, address.text})
                       : tl::unexpected(options.error());
    };
    return address.kind == "pollen" ? open(read_pollen_options(address)) : open(read_options(address));
}

} // namespace ekey::http
