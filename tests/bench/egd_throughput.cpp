// Blocking 32-byte reads a second, beside a bare epoll loop that answers from a static buffer, in one run:
// the servers on one core take turns of half a second under the same clients on the other.
//
//     egd-throughput [ROUNDS [SECONDS A ROUND [unix|tcp CLIENTS]]]     default: 5, 0.4, all of both
//     egd-throughput idle [CLIENTS]     resident memory with idle clients, default 10,000
//
// Two ratios are printed, both to the bare loop, the median over the rounds: of requests a second, and of
// requests a second of the server's processor time, which other load on the machine disturbs less.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "ekeyd/runtime/secret.h"
#include "load.h"
#include "servers.h"

using namespace ekey;
using namespace ekey::bench;

namespace {

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct Folder {
    Folder() {
        if (mkdtemp(path.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
    }
    ~Folder() { rmdir(path.c_str()); }
    std::string path = "/tmp/ekeyd-bench-XXXXXX";
};

struct Contender {
    Contender(Kind k, const std::string& address, std::size_t clients)
        : kind(k), server(k, address), load(server.address(), clients) {}
    Kind kind;
    Server server;
    Load load;
    std::vector<double> rates, cpu_rates, spread; // a round each
};

void compare(const Folder& folder, const std::string& transport, std::size_t clients, int rounds,
             Duration length) {
    std::vector<std::unique_ptr<Contender>> contenders;
    for (const Kind kind : {Kind::floor, Kind::listener, Kind::chain, Kind::drbg}) {
        const std::string address = transport == "unix"
                                        ? "unix:" + folder.path + "/" + std::to_string(static_cast<int>(kind))
                                        : "tcp:127.0.0.1:0";
        contenders.push_back(std::make_unique<Contender>(kind, address, clients));
        contenders.back()->load.run(length / 8); // warm
    }
    for (int round = 0; round < rounds; ++round) {
        for (const auto& each : contenders) {
            const double before = each->server.cpu_seconds();
            const Load::Round result = each->load.run(length);
            const double used = each->server.cpu_seconds() - before;
            each->rates.push_back(static_cast<double>(result.answers) / result.seconds);
            each->cpu_rates.push_back(static_cast<double>(result.answers) / used);
            each->spread.push_back(static_cast<double>(result.fewest) / static_cast<double>(result.most));
        }
    }
    const auto ratio = [rounds](const std::vector<double>& ours, const std::vector<double>& floor) {
        std::vector<double> ratios;
        for (std::size_t i = 0; i < static_cast<std::size_t>(rounds); ++i) {
            ratios.push_back(ours[i] / floor[i]);
        }
        return median(ratios);
    };
    for (const auto& each : contenders) {
        std::printf("%-5s %5zu  %-16s %10.0f %6.2f   %8.2f %6.2f   %6.2f\n", transport.c_str(), clients,
                    name(each->kind), median(each->rates), ratio(each->rates, contenders.front()->rates),
                    1e6 / median(each->cpu_rates), ratio(each->cpu_rates, contenders.front()->cpu_rates),
                    median(each->spread));
    }
    std::fflush(stdout);
    if (transport == "unix") { // the servers are killed, so they leave their sockets
        for (const auto& each : contenders) {
            std::remove(each->server.address().c_str() + 5);
        }
    }
}

int show_idle_memory(std::size_t clients) {
    const Folder folder;
    Server server(Kind::chain, "unix:" + folder.path + "/idle");
    const double before = server.resident_kb();
    {
        Load load(server.address(), clients);
        load.run(Duration::zero()); // each has asked once, so each was accepted
        std::printf("resident: %.0f kB; with %zu idle clients: %.0f kB\n", before, clients,
                    server.resident_kb());
    }
    std::remove(server.address().c_str() + 5);
    return 0;
}

void raise_file_limit() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

} // namespace

int main(int argc, char** argv) {
    try {
        init_secrets();
        raise_file_limit();
        pin_to_core(1);
        if (argc > 1 && std::string(argv[1]) == "idle") {
            return show_idle_memory(argc > 2 ? std::stoul(argv[2]) : 10000);
        }
        const int rounds = argc > 1 ? std::stoi(argv[1]) : 5;
        const auto length = std::chrono::duration_cast<Duration>(
            std::chrono::duration<double>(argc > 2 ? std::stod(argv[2]) : 0.4));
        std::printf(
            "without sockets, 32 bytes cost %.0f ns from a stream by the pool, %.0f ns with health tests, "
            "conditioning and XOR, %.0f ns from the generator\n",
            pool_cost(Kind::listener), pool_cost(Kind::chain), pool_cost(Kind::drbg));
        const Folder folder;
        std::puts("       clients server          requests/s  ratio   us of CPU  ratio   fewest/most");
        if (argc > 4) {
            compare(folder, argv[3], std::stoul(argv[4]), rounds, length);
            return 0;
        }
        for (const char* transport : {"unix", "tcp"}) {
            for (const std::size_t clients : {1, 64, 1000}) {
                compare(folder, transport, clients, std::max(rounds, 1), length);
            }
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "egd-throughput: %s\n", error.what());
        return 1;
    }
}
