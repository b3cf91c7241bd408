// What the pipeline needs of HTTP listeners, in a build with libmicrohttpd or without.
#pragma once

#include <memory>

#include "ekeyd/listeners/listener.h"
#include "ekeyd/metrics/figures.h"

namespace ekey::http {

// Says what is wrong with the text of an address, before anything is opened.
Result<void> check_listener(const config::Address& address);

// Binds and listens, or says why not. Loop and provider must outlive the listener. Sockets that were passed
// are lent to the address's text.
//
//     http:[HOST:PORT][,allow=NETWORK][,deny=NETWORK][,max-clients=N]
//
// 127.0.0.1:8890 and 64 when nothing is said. An address that is not of this host alone is taken only with
// allow=, because nobody is asked for a password.
Result<std::unique_ptr<Listener>> make_listener(Loop& loop, const metrics::Provider& provider,
                                                const config::Address& address,
                                                PassedSockets* passed = nullptr);

} // namespace ekey::http
