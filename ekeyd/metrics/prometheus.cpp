#include "ekeyd/metrics/prometheus.h"

#include <array>
#include <set>

#include "ekeyd/metrics/exposition.h"
#include "ekeyd/metrics/verdict.h"
#include "protocol/entropykey/session.h"

namespace ekey::metrics {

namespace {

using Labels = Exposition::Labels;

constexpr const char *counter = "counter", *gauge = "gauge";

// The families of one kind of thing, a sample for each thing.
template <class Thing>
class Families {
  public:
    Families(Exposition& out, const std::vector<Thing>& things) : out_(out), things_(things) {}

    // `add_samples` is called with each thing.
    template <class AddSamples>
    void family(const char* name, const char* type, const char* help, AddSamples add_samples) {
        out_.family(name, type, help);
        for (const Thing& thing : things_) {
            add_samples(thing);
        }
    }

  private:
    Exposition& out_;
    const std::vector<Thing>& things_;
};

// Each label must differ, and two sinks may have one address.
template <class Thing>
std::vector<Thing> with_unique_addresses(std::vector<Thing> things) {
    std::set<std::string> taken;
    for (Thing& thing : things) {
        const std::string address = thing.address;
        for (unsigned n = 2; !taken.insert(thing.address).second; ++n) {
            thing.address = address + " (" + std::to_string(n) + ")";
        }
    }
    return things;
}

// A source's labels: its number, which no other source ever has, and its address, which lasts.
Labels of(const SourceFigures& source, Labels more = {}) {
    Labels all{{"source", std::to_string(source.number)}, {"address", source.address}};
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return all;
}

void add_sources(Exposition& out, const std::vector<SourceFigures>& sources) {
    using Source = SourceFigures;
    Families<Source> families(out, sources);
    families.family("ekeyd_source_info", gauge, "What the source is; always 1.", [&](const Source& s) {
        out.sample(of(s, {{"path", s.status.path}, {"serial", s.status.serial}, {"status", s.status.word}}),
                   1);
    });
    families.family("ekeyd_source_up", gauge, "Whether the source delivers noise that passes its tests.",
                    [&](const Source& s) { out.sample(of(s), int{s.status.ok}); });
    families.family("ekeyd_source_health", gauge, "1 for the state of the health tests, 0 for the others.",
                    [&](const Source& s) {
                        for (const auto state :
                             {health::State::starting, health::State::healthy, health::State::failed}) {
                            out.sample(of(s, {{"state", std::string(name(state))}}), int{s.health == state});
                        }
                    });
    families.family("ekeyd_source_min_entropy", gauge, "What a byte of it is credited with now, in bits.",
                    [&](const Source& s) { out.sample(of(s), s.min_entropy); });
    families.family("ekeyd_source_rate_bytes_per_second", gauge,
                    "Noise that passed its tests, as an average of the last minute.", [&](const Source& s) {
                        if (s.rate) {
                            out.sample(of(s), *s.rate);
                        }
                    });
    families.family("ekeyd_source_bytes_total", counter,
                    "Bytes of noise that were tested, released to the conditioner, and thrown away.",
                    [&](const Source& s) {
                        out.sample(of(s, {{"fate", "tested"}}), s.counters.bytes_tested);
                        out.sample(of(s, {{"fate", "released"}}), s.counters.bytes_released);
                        out.sample(of(s, {{"fate", "discarded"}}), s.counters.bytes_discarded);
                    });
}

void add_tests(Exposition& out, const std::vector<SourceFigures>& sources) {
    using Source = SourceFigures;
    Families<Source> families(out, sources);
    families.family("ekeyd_source_health_failures_total", counter,
                    "How often a health test has failed the source.", [&](const Source& s) {
                        const auto& c = s.counters;
                        out.sample(of(s, {{"test", "repetition_count"}}), c.repetition);
                        out.sample(of(s, {{"test", "adaptive_proportion"}}), c.proportion);
                        out.sample(of(s, {{"test", "fips_rate"}}), c.fips_rate);
                        out.sample(of(s, {{"test", "silence"}}), c.silence);
                        out.sample(of(s, {{"test", "device"}}), c.device);
                    });
    families.family("ekeyd_source_fips_blocks_total", counter,
                    "Blocks of 20,000 bits tested as FIPS 140-2 says.", [&](const Source& s) {
                        out.sample(of(s, {{"result", "passed"}}), s.counters.blocks_passed);
                        out.sample(of(s, {{"result", "failed"}}), s.counters.blocks_failed);
                    });
    families.family("ekeyd_source_fips_test_failures_total", counter,
                    "Blocks that failed each test of FIPS 140-2.", [&](const Source& s) {
                        const auto& c = s.counters;
                        out.sample(of(s, {{"test", "monobit"}}), c.monobit);
                        out.sample(of(s, {{"test", "poker"}}), c.poker);
                        out.sample(of(s, {{"test", "runs"}}), c.runs);
                        out.sample(of(s, {{"test", "long_run"}}), c.long_run);
                        out.sample(of(s, {{"test", "continuous"}}), c.continuous);
                    });
}

void add_devices(Exposition& out, const std::vector<SourceFigures>& sources) {
    using Source = SourceFigures;
    Families<Source> families(out, sources);
    families.family("ekeyd_source_temperature_celsius", gauge, "The device's temperature.",
                    [&](const Source& s) {
                        if (s.device.kelvin) {
                            out.sample(of(s), *s.device.kelvin - 273.15);
                        }
                    });
    families.family("ekeyd_source_voltage_volts", gauge, "The device's supply voltage.",
                    [&](const Source& s) {
                        if (s.device.volts) {
                            out.sample(of(s), *s.device.volts);
                        }
                    });
    families.family(
        "ekeyd_source_shannon_entropy", gauge,
        "The device's own estimates of its generators' entropy, before and after debiasing, in bits a byte.",
        [&](const Source& s) {
            if (const auto& shannon = s.device.shannon) {
                const auto add = [&](const char* generator, const char* stage, double value) {
                    out.sample(of(s, {{"generator", generator}, {"stage", stage}}), value);
                };
                add("left", "raw", shannon->raw_left);
                add("right", "raw", shannon->raw_right);
                add("xor", "raw", shannon->raw_xor);
                add("left", "debiased", shannon->debiased_left);
                add("right", "debiased", shannon->debiased_right);
            }
        });
}

void add_sessions(Exposition& out, const std::vector<SourceFigures>& sources) {
    using Source = SourceFigures;
    using Session = DeviceFigures::Session;
    Families<Source> families(out, sources);
    const auto family = [&](const char* name, const char* type, const char* help, auto add) {
        families.family(name, type, help, [&](const Source& s) {
            if (s.device.session) {
                add(s, *s.device.session);
            }
        });
    };
    family("ekeyd_source_session", gauge, "1 for the state of the session with the key, 0 for the others.",
           [&](const Source& s, const Session& session) {
               using State = entropykey::State;
               for (auto i = int(State::idle); i <= int(State::self_stopped); ++i) {
                   const auto word = name(State{i});
                   out.sample(of(s, {{"state", std::string(word)}}), int{session.state == word});
               }
               out.sample(of(s, {{"state", "closed"}}), int{session.state == "closed"});
           });
    family("ekeyd_source_session_seconds", gauge, "How long the key has been open; 0 when it is closed.",
           [&](const Source& s, const Session& session) {
               out.sample(of(s), std::chrono::duration<double>(session.open).count());
           });
    family("ekeyd_source_packets_total", counter,
           "Packets of the key: good, with a wrong MAC, seen before, lost.",
           [&](const Source& s, const Session& session) {
               out.sample(of(s, {{"result", "good"}}), session.packets);
               out.sample(of(s, {{"result", "bad"}}), session.bad_packets);
               out.sample(of(s, {{"result", "replayed"}}), session.replayed);
               out.sample(of(s, {{"result", "missed"}}), session.missed);
           });
    family("ekeyd_source_framing_errors_total", counter, "What came from the key and was no frame.",
           [&](const Source& s, const Session& session) { out.sample(of(s), session.framing_errors); });
    family("ekeyd_source_resets_total", counter, "Resets of the session with the key.",
           [&](const Source& s, const Session& session) { out.sample(of(s), session.resets); });
    family("ekeyd_source_rekeys_total", counter, "Session keys that the key was asked for.",
           [&](const Source& s, const Session& session) { out.sample(of(s), session.rekeys); });
}

void add_pool(Exposition& out, const Figures& figures) {
    const PoolFigures& pool = figures.pool;
    const auto single = [&](const char* name, const char* type, const char* help, auto value) {
        out.family(name, type, help);
        out.sample({}, value);
    };
    single("ekeyd_seeded", gauge, "Whether bytes have been made that may be served.", int{seeded(figures)});
    single("ekeyd_ready", gauge,
           "Whether /readyz says so: seeded, and a source that counts (min-entropy above 0) is healthy.",
           int{why_not_ready(figures).empty()});
    single("ekeyd_pool_bytes", gauge, "Conditioned bytes that the pool holds.", pool.size);
    single("ekeyd_pool_capacity_bytes", gauge, "Bytes that the pool can hold.", pool.capacity);
    single("ekeyd_pool_in_bytes_total", counter, "Conditioned bytes that went into the pool.", pool.bytes_in);
    single("ekeyd_pool_out_bytes_total", counter, "Bytes taken out of the pool, for whatever use.",
           pool.bytes_out);
    single("ekeyd_pool_waiting", gauge, "Clients, sinks and generators that wait for bytes of the pool.",
           pool.waiting);
    single("ekeyd_conditioner_entropy", gauge,
           "Assessed entropy towards the conditioner's next output, which takes 576, in bits.",
           pool.gathered_bits);
    out.family(
        "ekeyd_generator_reseeds_total", counter,
        "Reseeds of the generator that full-entropy output is XORed with, and of that of output=drbg.");
    out.sample({{"generator", "xor"}}, pool.xor_reseeds);
    out.sample({{"generator", "drbg"}}, pool.drbg_reseeds);
    single("ekeyd_drbg_out_bytes_total", counter, "Bytes made by the generator of output=drbg.",
           pool.drbg_bytes);
}

void add_listeners(Exposition& out, const std::vector<ListenerFigures>& given) {
    using One = ListenerFigures;
    const auto listeners = with_unique_addresses(given);
    Families<One> families(out, listeners);
    const auto family = [&](const char* name, const char* type, const char* help,
                            std::uint64_t Listener::Counters::*member) {
        families.family(name, type, help, [&](const One& l) {
            out.sample({{"listener", l.address}}, l.counters.*member);
        });
    };
    using C = Listener::Counters;
    family("ekeyd_listener_clients", gauge, "Clients now.", &C::clients);
    family("ekeyd_listener_waiting", gauge, "Clients whose blocking read waits for bytes.", &C::waiting);
    family("ekeyd_listener_accepted_total", counter, "Connections accepted.", &C::accepted);
    family("ekeyd_listener_refused_total", counter, "Connections refused.", &C::refused);
    family("ekeyd_listener_closed_total", counter, "Connections that are over.", &C::closed);
    family("ekeyd_listener_requests_total", counter, "Requests, of any kind.", &C::requests);
    family("ekeyd_listener_out_bytes_total", counter, "Random bytes served.", &C::bytes_served);
    family("ekeyd_listener_errors_total", counter, "Clients that broke the protocol.", &C::protocol_errors);
    family("ekeyd_listener_turned_away_total", counter,
           "Requests that were told to come back later, since there was nothing for them in time.",
           &C::turned_away);
    families.family("ekeyd_listener_wait_seconds", "histogram",
                    "How long those blocking reads have waited that could not be answered at once.",
                    [&](const One& l) {
                        out.sample({{"listener", l.address}}, l.counters.waits);
                    });
}

void add_sinks(Exposition& out, const std::vector<SinkFigures>& given) {
    const auto sinks = with_unique_addresses(given);
    Families<SinkFigures> families(out, sinks);
    families.family("ekeyd_sink_up", gauge, "Whether the sink takes bytes.", [&](const SinkFigures& s) {
        out.sample({{"sink", s.address}}, int{s.state == "ok"});
    });
    families.family("ekeyd_sink_out_bytes_total", counter, "Bytes pushed to the sink.",
                    [&](const SinkFigures& s) {
                        out.sample({{"sink", s.address}}, s.bytes);
                    });
}

void add_host(Exposition& out, const Figures& figures) {
    if (figures.kernel.entropy_bits) {
        out.family("ekeyd_kernel_entropy_available", gauge,
                   "What this host's kernel says of its random pool, in bits.");
        out.sample({}, *figures.kernel.entropy_bits);
    }
    if (figures.kernel.pool_bits) {
        out.family("ekeyd_kernel_pool_size", gauge, "The size of the kernel's random pool, in bits.");
        out.sample({}, *figures.kernel.pool_bits);
    }
    out.family("ekeyd_build_info", gauge, "The version of ekeyd; always 1.");
    out.sample({{"version", figures.version}}, 1);
    out.family("process_start_time_seconds", gauge, "When the daemon started, in seconds since 1970.");
    out.sample({}, figures.started);
    out.family("process_cpu_seconds_total", counter, "Processor time that the daemon has used.");
    out.sample({}, figures.cpu_seconds);
}

} // namespace

std::string to_prometheus(const Figures& figures) {
    Exposition out;
    add_sources(out, figures.sources);
    add_tests(out, figures.sources);
    add_devices(out, figures.sources);
    add_sessions(out, figures.sources);
    add_pool(out, figures);
    add_listeners(out, figures.listeners);
    add_sinks(out, figures.sinks);
    add_host(out, figures);
    return out.text();
}

} // namespace ekey::metrics
