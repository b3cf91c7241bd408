// What sealing costs, beside what it cannot cost less than. What is compared takes turns in one run.
//
//     sealed-cost links [--least RATIO]     a sealed link's bytes a second beside a clear one's
//     sealed-cost handshakes [--least RATIO]
//                                           handshakes a second of each side, alone and through a listener,
//                                           beside the X25519 operations that they consist of
//     sealed-cost strangers [NUMBER]        what handshakes of unknown keys cost a listener, 10,000 unless
//     said;
//                                           fails when that is more than contrib/SECURITY.md says
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>
#include <vector>

#include <sodium.h>

#include "contest.h"
#include "ekeyd/config/identity.h"
#include "protocol/sealed/responder.h"
#include "sealed_client.h"

using namespace ekey;
using namespace ekey::bench;

namespace {

double seconds_of(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
double cpu_now() {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// The exchanges of a handshake, on libsodium alone: `bases` public keys made, `exchanges` shared secrets.
// Seconds of processor time for one handshake.
double x25519(int times, int bases, int exchanges) {
    std::array<Byte, 32> secret, point, shared;
    randombytes_buf(secret.data(), secret.size());
    crypto_scalarmult_base(point.data(), secret.data());
    const double start = cpu_now();
    for (int i = 0; i < times; ++i) {
        for (int j = 0; j < bases; ++j) {
            crypto_scalarmult_base(point.data(), secret.data());
        }
        for (int j = 0; j < exchanges; ++j) {
            if (crypto_scalarmult(shared.data(), secret.data(), point.data()) != 0) {
                std::abort();
            }
        }
        secret[1] = static_cast<Byte>(secret[1] ^ shared[1]);
    }
    return (cpu_now() - start) / times;
}
// Noise IK: each side makes an ephemeral key, and es, ss, ee and se.
double x25519_of_handshake(int times) {
    return x25519(times, 1, 4);
}

// ---- the protocol alone

struct Sides {
    double client, server; // seconds a handshake
};
Sides protocol_handshakes(int times, const sealed::KeyPair& client, const sealed::KeyPair& server) {
    using Bytes = std::vector<Byte>;
    std::vector<sealed::Initiator> clients;
    std::vector<Bytes> openings, answers;
    for (int i = 0; i < times; ++i) {
        clients.emplace_back(client, server.public_key);
        openings.emplace_back(sealed::Initiator::max_opening);
        answers.emplace_back(sealed::Responder::max_answer);
    }
    const sealed::SecretKey random;
    const Time now{};
    const double start = cpu_now();
    for (std::size_t i = 0; i < clients.size(); ++i) {
        openings[i].resize(clients[i].open(nullptr, random, now, openings[i]).value());
    }
    const double opened = cpu_now();
    sealed::Hello hello;
    hello.path = {server.public_key};
    for (std::size_t i = 0; i < clients.size(); ++i) {
        sealed::Responder responder(server);
        if (responder.receive(openings[i]).event != sealed::Responder::Event::asked) {
            std::abort();
        }
        answers[i].resize(responder.answer(hello, random, now, answers[i]).value());
        const sealed::Transport transport = responder.transport(now);
        if (transport.opened() != now) {
            std::abort();
        }
    }
    const double answered = cpu_now();
    std::array<Byte, sealed::Transport::longest> out;
    for (std::size_t i = 0; i < clients.size(); ++i) {
        if (clients[i].receive(answers[i], now, out).event != sealed::Initiator::Event::opened) {
            std::abort();
        }
    }
    const double end = cpu_now();
    return {(opened - start + end - answered) / times, (answered - opened) / times};
}

// ---- through listeners

class SealedServer {
  public:
    SealedServer() {
        const std::string identity = folder_.path() + "/identity", peers = folder_.path() + "/peers";
        keys_ = config::Identity::create(identity).value().keys().public_key;
        std::ofstream(peers) << sealed::encode_key(own.public_key) << " bench\n";
        server_ = std::make_unique<Server>(Kind::drbg, "sealed:127.0.0.1:0,max-clients=9000,peers=" + peers,
                                           identity);
    }
    Server& server() { return *server_; }
    std::uint16_t port() const { return port_of(*server_); }
    SealedClient client(std::uint32_t from, const sealed::KeyPair& self) const {
        return {port(), from, self, &keys_};
    }
    static std::uint16_t port_of(const Server& server) {
        const std::string& address = server.address();
        return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    }
    const sealed::KeyPair own = random_key_pair();

  private:
    Folder folder_;
    sealed::PublicKey keys_{};
    std::unique_ptr<Server> server_;
};

// More than a host of a flood has; each may begin some handshakes a second (handshake_limits.h).
std::uint32_t next_address() {
    static std::uint32_t last = 0x010000;
    return ++last;
}

struct Moved {
    double bytes_per_s, server_cpu; // seconds a byte
};
Moved move_bytes(SealedClient& client, const Server& server, double for_seconds) {
    constexpr std::size_t requests = 32, batch = requests * 255;
    const double cpu = server.cpu_seconds(), start = seconds_of(CLOCK_MONOTONIC);
    double now = start, bytes = 0;
    client.ask(requests);
    while (now - start < for_seconds) { // one batch is asked for while the other comes
        client.ask(requests);
        client.take(batch);
        bytes += batch;
        now = seconds_of(CLOCK_MONOTONIC);
    }
    client.take(batch);
    bytes += batch;
    now = seconds_of(CLOCK_MONOTONIC);
    return {bytes / (now - start), (server.cpu_seconds() - cpu) / bytes};
}

bool links(double least) {
    SealedServer sealed_server;
    const Server clear_server(Kind::drbg, "tcp:127.0.0.1:0");
    pin_to_core(1);
    SealedClient sealed_link = sealed_server.client(1, sealed_server.own);
    sealed_link.shake_hands();
    SealedClient clear(SealedServer::port_of(clear_server), 1, sealed_server.own, nullptr);
    std::vector<double> ratio, clear_rate, sealed_rate, clear_cpu, sealed_cpu;
    for (int i = 0; i < 11; ++i) {
        const Moved a = move_bytes(clear, clear_server, 0.2);
        const Moved b = move_bytes(sealed_link, sealed_server.server(), 0.2);
        clear_rate.push_back(a.bytes_per_s);
        sealed_rate.push_back(b.bytes_per_s);
        clear_cpu.push_back(a.server_cpu);
        sealed_cpu.push_back(b.server_cpu);
        ratio.push_back(b.bytes_per_s / a.bytes_per_s);
    }
    std::printf("one clear link %.1f MB/s, sealed %.1f MB/s: %.2f of it\n", median(clear_rate) / 1e6,
                median(sealed_rate) / 1e6, median(ratio));
    std::printf("the server's processor time for a kilobyte: clear %.2f us, sealed %.2f us\n",
                median(clear_cpu) * 1e9, median(sealed_cpu) * 1e9);
    return median(ratio) >= least;
}

// Seconds of the server's processor time for a client that it knows, from accept() through one read to
// close().
double connections(const Server& server, int times, auto connect) {
    const double start = server.cpu_seconds();
    for (int i = 0; i < times; ++i) {
        SealedClient client = connect();
        client.ask(1);
        client.take(255);
    }
    return (server.cpu_seconds() - start) / times;
}
double sealed_connections(SealedServer& server, int times) {
    return connections(server.server(), times, [&] {
        SealedClient client = server.client(next_address(), server.own);
        client.shake_hands();
        return client;
    });
}

bool handshakes(double least) {
    SealedServer server;
    const sealed::KeyPair other = random_key_pair();
    const Server clear_server(Kind::drbg, "tcp:127.0.0.1:0");
    std::vector<double> client, responder, listener, clear, exchanges;
    const auto clear_client = [&] {
        return SealedClient(SealedServer::port_of(clear_server), next_address(), server.own, nullptr);
    };
    sealed_connections(server, 20); // warm
    connections(clear_server, 20, clear_client);
    for (int i = 0; i < 15; ++i) {
        pin_to_core(0);
        const double least_cost = x25519_of_handshake(40);
        const Sides sides = protocol_handshakes(40, server.own, other);
        pin_to_core(1);
        exchanges.push_back(least_cost);
        client.push_back(least_cost / sides.client);
        responder.push_back(least_cost / sides.server);
        const double unsealed = connections(clear_server, 40, clear_client);
        listener.push_back(least_cost / (sealed_connections(server, 40) - unsealed));
        clear.push_back(unsealed);
    }
    const double alone = median(exchanges);
    std::printf("X25519 alone, as much as a side of a handshake does: %.0f a second\n", 1 / alone);
    const auto tell = [&](const char* what, double ratio) {
        std::printf("%-52s %.0f a second: %.2f of it\n", what, ratio / alone, ratio);
    };
    tell("handshakes, the client's side", median(client));
    tell("handshakes, the server's side", median(responder));
    tell("through a listener, beyond what a clear client costs", median(listener));
    std::printf("a clear client, from accept() through one read to close(): %.0f us\n", 1e6 * median(clear));
    return std::min(median(client), median(responder)) >= least;
}

// ---- who is not known

// What contrib/SECURITY.md says of a handshake that is refused.
constexpr double most_time = 4;            // of its two exchanges alone
constexpr double most_kb_in_flight = 1024; // of 256 at once, the most that there are, begun and left
constexpr double most_kb_after = 2048;     // more than before, when all are gone: addresses are remembered

bool strangers(int number) {
    SealedServer server;
    const sealed::KeyPair stranger = random_key_pair();
    const auto refuse = [&](int times) {
        const double start = server.server().cpu_seconds();
        for (int i = 0; i < times; ++i) {
            SealedClient client = server.client(next_address(), stranger);
            client.greet();
            if (!client.is_closed()) {
                throw std::runtime_error("an unknown key was answered");
            }
        }
        return (server.server().cpu_seconds() - start) / times;
    };
    pin_to_core(1);
    sealed_connections(server, 10);
    refuse(10);
    const double before = server.server().resident_kb();

    std::vector<SealedClient> begun;
    for (int i = 0; i < 256; ++i) {
        begun.push_back(server.client(next_address(), stranger));
        begun.back().greet(97); // all but the last byte
    }
    SealedClient known = server.client(next_address(), server.own);
    if (!known.is_closed()) { // accepted after them all, and one too many
        throw std::runtime_error("more handshakes go on than may");
    }
    const double in_flight = server.server().resident_kb() - before;
    begun.clear();

    std::vector<double> ratio, time;
    constexpr int rounds = 25;
    for (int i = 0; i < rounds; ++i) {
        pin_to_core(0);
        const double exchanges = x25519(50, 0, 2);
        pin_to_core(1);
        time.push_back(refuse(number / rounds));
        ratio.push_back(time.back() / exchanges);
    }
    const double after = server.server().resident_kb() - before;
    std::printf("a refused handshake takes %.0f us of a processor, %.2f times its two X25519 exchanges\n",
                median(time) * 1e6, median(ratio));
    std::printf("256 in flight: %.0f kB more resident; after %d from as many addresses: %.0f kB more\n",
                in_flight, number, after);
    return median(ratio) < most_time && in_flight < most_kb_in_flight && after < most_kb_after;
}

int usage() {
    std::fputs("usage: sealed-cost links|handshakes [--least RATIO] | strangers [NUMBER]\n", stderr);
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    try {
        init_secrets();
        const std::string_view what = argc > 1 ? argv[1] : "";
        const bool limited = argc == 4 && std::string_view(argv[2]) == "--least";
        const double least = limited ? std::strtod(argv[3], nullptr) : 0;
        bool good = false;
        if (what == "links" && (argc == 2 || limited)) {
            good = links(least);
        } else if (what == "handshakes" && (argc == 2 || limited)) {
            good = handshakes(least);
        } else if (what == "strangers" && argc <= 3) {
            good = strangers(argc == 3 ? std::stoi(argv[2]) : 10'000);
        } else {
            return usage();
        }
        if (!good) {
            std::fputs("sealed-cost: beyond the limit\n", stderr);
        }
        return good ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sealed-cost: %s\n", error.what());
        return 1;
    }
}
