#include "servers.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <system_error>

#include <sched.h>
#include <sodium/crypto_stream_chacha20.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ekeyd/conditioner/conditioner.h"
#include "ekeyd/config/address.h"
#include "ekeyd/health/monitor.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/pool/rbg3_xor.h"

namespace ekey::bench {

namespace {

// --- ekeyd's own parts

// A perfect source that is never exhausted, and costs what a stream cipher costs.
class Stream {
  public:
    void fill(ByteSpan out) {
        static const std::array<Byte, crypto_stream_chacha20_NONCEBYTES> nonce{};
        static const std::array<Byte, crypto_stream_chacha20_KEYBYTES> key{1};
        std::fill(out.begin(), out.end(), Byte{0});
        crypto_stream_chacha20_xor_ic(out.data(), out.data(), out.size(), nonce.data(), block_, key.data());
        block_ += (out.size() + 63) / 64;
    }

  private:
    std::uint64_t block_ = 0;
};

class Chain {
  public:
    Chain(Pool& pool, bool tested) : pool_(pool), tested_(tested) {
        fill();
        pool_.on_low(pool_.capacity() * 3 / 4, [this] { fill(); });
    }

  private:
    void fill() {
        while (pool_.room() >= samples_.size()) {
            stream_.fill(samples_.span());
            if (!tested_) {
                pool_.put(samples_.span());
                continue;
            }
            for (ByteView rest = samples_.span(); !rest.empty();) {
                ByteView released;
                rest = rest.subspan(monitor_->feed(rest, released));
                condition(released);
                if (monitor_->state() == health::State::failed) { // a perfect source fails now and then, too
                    monitor_->restart();
                }
            }
        }
    }
    void condition(ByteView released) {
        while (!released.empty()) {
            released = released.subspan(conditioner_->add(0, released, 7.0));
            if (conditioner_->ready()) {
                SecretArray<Conditioner::output_size> out;
                conditioner_->extract(out.span());
                if (xor_.mask(out.span(), Loop::now())) {
                    pool_.put(out.span());
                }
            }
        }
    }

    Pool& pool_;
    bool tested_;
    Stream stream_;
    SecretBytes samples_{2500};
    Locked<health::Monitor> monitor_ = make_locked<health::Monitor>(health::Settings{7.0, true});
    Locked<Conditioner> conditioner_ = make_locked<Conditioner>();
    Rbg3Xor xor_;
};

[[noreturn]] void run_ours(Kind kind, const std::string& address, const std::string& identity, Fd ready) {
    Loop loop;
    Pool pool(65536);
    std::optional<SealedNode> node;
    if (!identity.empty()) {
        node.emplace(config::Identity::read(identity).value());
    }
    Chain chain(pool, kind == Kind::chain);
    const std::string parameters = kind == Kind::drbg ? ",output=drbg" : "";
    const auto listener =
        make_listener(loop, pool, config::parse_address(address + parameters).value(), nullptr, [&] {
            return Result<SealedNode*>(&*node);
        }).value();
    report(ready, listener->bound_address());
    ready.reset();
    loop.run();
    std::_Exit(0);
}

} // namespace

void report(const Fd& to, const std::string& address) {
    if (write(to.get(), address.data(), address.size()) < 0) {
        throw std::runtime_error("cannot report an address");
    }
}

const char* name(Kind kind) {
    switch (kind) {
    case Kind::floor: return "bare epoll loop";
    case Kind::listener: return "listener";
    case Kind::chain: return "whole chain";
    case Kind::drbg: return "listener, drbg";
    }
    return "";
}

namespace {
// Of processor time, each.
double nanoseconds(int times, auto work) {
    const std::clock_t start = std::clock();
    for (int i = 0; i < times; ++i) {
        work();
    }
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / times * 1e9;
}
} // namespace

double pool_cost(Kind kind) {
    Pool pool(65536);
    const Chain chain(pool, kind == Kind::chain);
    return nanoseconds(300'000, [&] {
        SecretArray<read_size> answer;
        const Time now = Loop::now();
        const bool taken = kind == Kind::drbg ? pool.drbg().ready(now, std::chrono::hours(1)) &&
                                                    pool.drbg().generate(answer.span(), now, Duration::max())
                                              : pool.take(answer.span());
        if (!taken) {
            throw std::runtime_error("the pool ran dry");
        }
    });
}

double cipher_cost(std::size_t size) {
    static constexpr Byte nonce[crypto_stream_chacha20_ietf_NONCEBYTES]{}, key[Generator::key_size]{};
    std::array<Byte, Generator::key_size + Generator::buffer_size> stream;
    return nanoseconds(200'000,
                       [&] { crypto_stream_chacha20_ietf(stream.data(), stream.size(), nonce, key); }) /
           static_cast<double>(stream.size()) * static_cast<double>(size);
}

double generator_cost(std::size_t size) {
    Generator generator;
    const SecretArray<Generator::seed_size> seed;
    generator.reseed(seed.span(), Loop::now());
    SecretBytes out(size);
    return nanoseconds(300'000, [&] { generator.generate(out.span(), Time{}); });
}

void pin_to_core(unsigned core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

Server::Server(Kind kind, const std::string& address, const std::string& identity) {
    int ends[2];
    if (pipe(ends) != 0) {
        throw std::system_error(errno, std::system_category(), "pipe");
    }
    Fd ready(ends[0]), report_to(ends[1]);
    process_ = fork();
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ready.reset();
        pin_to_core(0);
        try {
            if (kind == Kind::floor) {
                run_floor(address, std::move(report_to));
            }
            run_ours(kind, address, identity, std::move(report_to));
        } catch (const std::exception& error) {
            fprintf(stderr, "%s: %s\n", name(kind), error.what());
            std::_Exit(1);
        }
    }
    report_to.reset();
    char text[256];
    const ssize_t got = process_ < 0 ? 0 : read(ready.get(), text, sizeof text);
    if (got <= 0) {
        throw std::runtime_error(std::string("the server did not start: ") + name(kind));
    }
    address_.assign(text, static_cast<std::size_t>(got));
}

Server::~Server() {
    if (process_ > 0) {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
}

Server::Cpu Server::cpu() const {
    // The clock is exact; /proc tells the shares of user and kernel, in ticks.
    std::ifstream stat("/proc/" + std::to_string(process_) + "/stat");
    std::string word;
    for (int field = 1; field < 14; ++field) {
        stat >> word;
    }
    Cpu cpu;
    stat >> cpu.user >> cpu.kernel;
    cpu.user /= static_cast<double>(sysconf(_SC_CLK_TCK));
    cpu.kernel /= static_cast<double>(sysconf(_SC_CLK_TCK));
    cpu.all = cpu_seconds();
    return cpu;
}

double Server::cpu_seconds() const {
    clockid_t clock{};
    timespec used{};
    if (clock_getcpuclockid(process_, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

double Server::resident_kb() const {
    std::ifstream status("/proc/" + std::to_string(process_) + "/status");
    for (std::string word; status >> word;) {
        if (word == "VmRSS:") {
            double kb = 0;
            status >> kb;
            return kb;
        }
    }
    return 0;
}

} // namespace ekey::bench
