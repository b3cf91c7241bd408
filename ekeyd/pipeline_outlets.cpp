// Listeners and sinks come and go; what people see of the health; captures.
#include "ekeyd/pipeline.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ekeyd/http/make.h"
#include "ekeyd/metrics/host.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"

namespace ekey {

namespace {

template <class Part>
Result<void> remove_part(std::vector<std::unique_ptr<Part>>& parts, std::string_view address,
                         const char* what) {
    const auto found = std::find_if(parts.begin(), parts.end(),
                                    [&](const auto& part) { return part->address() == address; });
    if (found == parts.end()) {
        const std::string there = std::string(address) + ',';
        const auto near = std::find_if(parts.begin(), parts.end(),
                                       [&](const auto& part) { return part->address().starts_with(there); });
        return fail("there is no " + std::string(what) + " '" + std::string(address) + "'" +
                    (near == parts.end() ? "" : ": it is called '" + (*near)->address() + "'"));
    }
    parts.erase(found);
    return {};
}

template <class Part, class Make>
Result<void> add_part(std::vector<std::unique_ptr<Part>>& parts, std::string_view text, Make make) {
    auto address = config::parse_address(text);
    if (!address) {
        return tl::unexpected(address.error());
    }
    auto part = refusal_as_error([&] { return make(*address); });
    if (!part) {
        return tl::unexpected(part.error());
    }
    parts.push_back(std::move(*part));
    return {};
}

} // namespace

Result<std::unique_ptr<Listener>> Pipeline::prepare_listener(const config::Address& address) {
    return refusal_as_error([&] {
        return http::speaks(address)
                   ? http::prepare_listener(loop_, *this, pool_, address, this)
                   : ekey::prepare_listener(loop_, pool_, address, this, [this] { return node(); });
    });
}

Result<void> Pipeline::add_listener(std::string_view address) {
    auto added =
        add_part(listeners_, address, [this](const config::Address& a) -> Result<std::unique_ptr<Listener>> {
            auto made = prepare_listener(a);
            if (!made) {
                return made;
            }
            auto sockets =
                http::speaks(a) ? http::open_sockets(loop_, a, passed_) : open_sockets(loop_, a, passed_);
            if (!sockets) {
                return tl::unexpected(sockets.error());
            }
            (*made)->listen(std::move(*sockets));
            return made;
        });
    if (!added) {
        take_back_sockets(address);
    }
    return added;
}

Result<void> Pipeline::remove_listener(std::string_view address) {
    auto removed = remove_part(listeners_, address, "listener");
    take_back_sockets(address);
    pool_.serve(); // others may have waited for one of its clients
    return removed;
}

std::string Pipeline::without_parameters(std::string_view text) {
    const auto address = config::parse_address(text);
    return address ? address->kind + ':' + address->rest : std::string(text);
}

std::vector<KeptListener> Pipeline::let_clients_go() {
    std::vector<KeptListener> kept;
    for (const auto& listener : listeners_) {
        const std::uint64_t clients = listener->counters().clients;
        auto those = listener->let_go();
        const std::uint64_t closed = clients - those.size();
        kept.push_back({without_parameters(listener->address()), std::move(those), closed});
    }
    return kept;
}

Result<void> Pipeline::take_client_over(std::string_view where, KeptClient client) {
    for (const auto& listener : listeners_) {
        if (without_parameters(listener->address()) == where) {
            return listener->take_over(std::move(client)) ? Result<void>()
                                                          : fail("its listener does not admit it");
        }
    }
    return fail("its listener is no more");
}

// Those lent to a listener that is no more.
void Pipeline::take_back_sockets(std::string_view address) {
    const bool listens = std::any_of(listeners_.begin(), listeners_.end(),
                                     [&](const auto& listener) { return listener->address() == address; });
    if (passed_ != nullptr && !listens) {
        passed_->take_back(std::string(address));
    }
}

Result<void> Pipeline::add_sink(std::string_view address) {
    auto added =
        add_part(sinks_, address, [this](const config::Address& a) { return make_sink(loop_, pool_, a); });
    pool_.serve(); // a sink that may write takes what is there now
    return added;
}

Result<void> Pipeline::remove_sink(std::string_view address) {
    auto removed = remove_part(sinks_, address, "sink");
    pool_.serve(); // others may have waited for it
    return removed;
}

void Pipeline::reload_files() {
    for (const auto& listener : listeners_) {
        if (auto done = listener->reload(); !done) {
            log::error("not reloaded: all stays as it was",
                       {{"listener", listener->address()}, {"reason", done.error().what}});
        }
    }
}

std::vector<std::string> Pipeline::listeners() const {
    std::vector<std::string> lines;
    for (const auto& listener : listeners_) {
        const auto c = listener->counters();
        const double most = c.waits.total() > 0 ? c.waits.nine_of_ten() : std::nan("");
        const auto field = [](const char* name, std::uint64_t v) {
            return "\t" + (name + ("=" + std::to_string(v)));
        };
        lines.push_back(
            listener->address() + field("clients", c.clients) + field("waiting", c.waiting) +
            field("accepted", c.accepted) + field("refused", c.refused) + field("requests", c.requests) +
            field("bytes", c.bytes_served) + field("errors", c.protocol_errors) + field("denied", c.denied) +
            field("network-full", c.network_full) + field("timed-out", c.timed_out) +
            field("delayed", c.delayed) + field("held-back", c.held_back) +
            field("written", c.bytes_written) + field("mixed", c.bytes_mixed) +
            field("turned-away", c.turned_away) + field("waits", c.waits.total()) +
            (std::isfinite(most) ? field("waits-90-ms", static_cast<std::uint64_t>(most * 1000)) : ""));
    }
    return lines;
}

std::vector<std::string> Pipeline::sinks() const {
    std::vector<std::string> lines;
    for (const auto& sink : sinks_) {
        lines.push_back(sink->address() + "\tbytes=" + std::to_string(sink->bytes_written()) +
                        "\tstate=" + sink->state());
    }
    return lines;
}

// ---- health and captures

Result<std::vector<std::string>> Pipeline::health(std::optional<unsigned> number) const {
    std::vector<std::string> lines;
    const auto add_all = [&lines](const Statistics& values) {
        for (const auto& [name, value] : values) {
            lines.push_back(name + "=" + value);
        }
    };
    if (number) {
        const Stage* found = stage(*number);
        if (found == nullptr) {
            return no_source(*number);
        }
        add_all(found->health());
        return lines;
    }
    char bits[32];
    std::snprintf(bits, sizeof bits, "%.0f", conditioner_->gathered_bits());
    add_all({{"PoolBytes", std::to_string(pool_.size())},
             {"PoolCapacity", std::to_string(pool_.capacity())},
             {"PoolReserved", std::to_string(pool_.reserved())},
             {"PoolBytesIn", std::to_string(pool_.counters().bytes_in)},
             {"PoolBytesOut", std::to_string(pool_.counters().bytes_out)},
             {"PoolWaiting", std::to_string(pool_.turns().size())},
             {"ConditionerBits", bits},
             {"XorReseeds", std::to_string(xor_.reseeds())},
             {"DrbgReseeds", std::to_string(pool_.drbg().reseeds())},
             {"DrbgBytesOut", std::to_string(pool_.drbg().bytes_out())}});
    const auto kernel = metrics::read_kernel();
    for (const auto& [name, figure] :
         {std::pair{"KernelEntropyBits", kernel.entropy_bits}, {"KernelPoolBits", kernel.pool_bits}}) {
        if (figure) {
            add_all({{name, std::to_string(static_cast<std::uint64_t>(*figure))}});
        }
    }
    for (const auto& [n, stage] : stages_) {
        add_all(stage->health());
    }
    return lines;
}

Result<void> Pipeline::begin_capture(unsigned number, std::uint64_t bytes,
                                     control::CaptureReceiver& receiver) {
    Stage* found = stage(number);
    if (found == nullptr) {
        return no_source(number);
    }
    return found->begin_capture(bytes, receiver);
}

void Pipeline::end_capture(control::CaptureReceiver& receiver) {
    for (const auto& [number, stage] : stages_) {
        stage->end_capture(receiver);
    }
}

} // namespace ekey
