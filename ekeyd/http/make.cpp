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

Result<std::unique_ptr<Listener>> make_listener(Loop& loop, const metrics::Provider& provider, Pool& pool,
                                                const config::Address& address, Mixer* mixer,
                                                PassedSockets* passed) {
    return address.kind == "pollen" ? PollenListener::open(loop, pool, address, mixer, passed)
                                    : HttpListener::open(loop, provider, address, passed);
}

} // namespace ekey::http
