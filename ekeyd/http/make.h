// What the pipeline needs of listeners that speak HTTP, in a build with libmicrohttpd or without.
#pragma once

#include <memory>

#include "ekeyd/listeners/listener.h"
#include "ekeyd/metrics/figures.h"

namespace ekey::http {

// Whether the functions below are for addresses of this kind: http and pollen.
bool speaks(const config::Address& address);

// Says what is wrong with the text of an address, before anything is opened.
Result<void> check_listener(const config::Address& address);

// As those of the same names in listeners/listener.h. All that is handed in must outlive the listener;
// `mixer` may be null.
//
//     http:[HOST:PORT][,allow=NETWORK][,deny=NETWORK][,max-clients=N]
//
// 127.0.0.1:8890 and 64 when nothing is said. An address that is not of this host alone is taken only with
// allow=, because nobody is asked for a password. It serves figures, and no random bytes.
//
//     pollen:HOST:PORT[,cert=FILE,key=FILE][,wait=SECONDS]
//
// and what tcp: takes, without idle and handshake.
Result<std::unique_ptr<Listener>> prepare_listener(Loop& loop, const metrics::Provider& provider, Pool& pool,
                                                   const config::Address& address, Mixer* mixer = nullptr);
Result<Sockets> open_sockets(const Loop& loop, const config::Address& address,
                             PassedSockets* passed = nullptr);

} // namespace ekey::http
