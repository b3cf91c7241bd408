// EGD beside a bare epoll loop that answers from a static buffer, in one run: the servers on one core take
// turns of some tenths of a second under the same load on the other.
//
//     egd-throughput reads [unix|tcp CLIENTS]    blocking reads of 32 bytes, one at a time each
//     egd-throughput pipelined                   blocking reads of 255 bytes, 32 sent together
//     egd-throughput connections                 open, read 32 bytes, close
//
// Ratios are to the floor, the median over the rounds: of answers a second, and of processor time an answer.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>

#include <sys/resource.h>

#include "contest.h"
#include "ekeyd/runtime/secret.h"

using namespace ekey;
using namespace ekey::bench;
using namespace std::chrono_literals;

namespace {

double rate(const Turn& turn) {
    return turn.rate();
}
double cpu(const Turn& turn) {
    return turn.cpu();
}
double p99(const Turn& turn) {
    return turn.round.p99;
}
double p999(const Turn& turn) {
    return turn.round.p999;
}
double fewest(const Turn& turn) {
    return static_cast<double>(turn.round.fewest);
}
double most(const Turn& turn) {
    return static_cast<double>(turn.round.most);
}

void reads(const std::string& transport, std::size_t clients) {
    const Length length = clients > 1000 ? Length{3, 1500ms} : Length{5, 400ms}; // some 20 answers each
    const auto contenders = compete({Kind::floor, Kind::chain, Kind::drbg}, transport, length,
                                    [&](const std::string& address) -> LoadProcess::Work {
                                        auto load = std::make_shared<Load>(address, clients);
                                        return [load](Duration time) { return load->run(time); };
                                    });
    const Contender& floor = contenders.front();
    for (const Contender& each : contenders) {
        std::printf("%-4s %6zu  %-16s %8.0f %5.2f  %6.2f %5.2f  %8.2f %8.2f %5.2f   %.0f to %.0f\n",
                    transport.c_str(), clients, name(each.kind), median(each, rate),
                    median_ratio(each, floor, rate), median(each, cpu), median_ratio(floor, each, cpu),
                    1e3 * median(each, p99), 1e3 * median(each, p999), median_ratio(each, floor, p99),
                    median(each, fewest), median(each, most));
    }
    std::fflush(stdout);
}

void all_reads() {
    std::printf(
        "without sockets, 32 bytes cost %.0f ns from a stream by the pool, %.0f ns with health tests, "
        "conditioning and XOR, %.0f ns from the generator\n",
        pool_cost(Kind::listener), pool_cost(Kind::chain), pool_cost(Kind::drbg));
    std::puts(
        "                                 reads/s ratio  cpu us ratio    p99 ms  p99.9 ms ratio   answers "
        "to each client");
    for (const char* transport : {"unix", "tcp"}) {
        for (const std::size_t clients : {1, 64, 1000, 10000}) {
            reads(transport, clients);
        }
    }
}

LoadProcess::Work pipelining(const std::string& address) {
    auto load = std::make_shared<Load>(address, 16, Demand{{255}, 32});
    return [load](Duration time) { return load->run(time); };
}

void pipelined() {
    constexpr std::size_t size = 255;
    const double cipher = cipher_cost(size), generator = generator_cost(size);
    std::printf(
        "255 bytes of ChaCha20 in memory: %.0f ns, %.0f MB/s. From the generator, which moves them out "
        "and erases them: %.0f ns, %.0f MB/s\n",
        cipher, size / cipher * 1e3, generator, size / generator * 1e3);
    std::puts("transport server               MB/s ratio   ns an answer: all   user kernel");
    for (const std::string transport : {"unix", "tcp"}) {
        const auto contenders = compete({Kind::floor, Kind::drbg}, transport, {5, 400ms}, pipelining);
        const auto user = [](const Turn& turn) {
            return 1e3 * turn.cpu() * turn.used.user / (turn.used.user + turn.used.kernel);
        };
        for (const Contender& each : contenders) {
            const double all = 1e3 * median(each, cpu), in_user = median(each, +user);
            std::printf("%-9s %-16s %8.0f %5.2f   %17.0f %6.0f %6.0f\n", transport.c_str(), name(each.kind),
                        median(each, rate) * size / 1e6, median_ratio(each, contenders.front(), rate), all,
                        in_user, all - in_user);
        }
        const double floor = 1e3 * median(contenders.front(), cpu),
                     ours = 1e3 * median(contenders.back(), cpu);
        std::printf(
            "%-9s of %.0f ns: %.0f system calls and copies by the kernel (the floor's), %.0f ChaCha20, "
            "%.0f moving out of the generator and erasing, %.0f all else\n",
            transport.c_str(), ours, floor, cipher, generator - cipher, ours - floor - generator);
        std::fflush(stdout);
    }
}

void connections() {
    std::puts("transport server           connections/s ratio  cpu us ratio");
    for (const std::string transport : {"unix", "tcp"}) {
        const auto contenders =
            compete({Kind::floor, Kind::drbg}, transport, {7, 400ms},
                    [](const std::string& address) -> LoadProcess::Work {
                        return [address](Duration time) { return open_read_close(address, time); };
                    });
        for (const Contender& each : contenders) {
            std::printf("%-9s %-16s %14.0f %5.2f  %6.2f %5.2f\n", transport.c_str(), name(each.kind),
                        median(each, rate), median_ratio(each, contenders.front(), rate), median(each, cpu),
                        median_ratio(contenders.front(), each, cpu));
        }
        std::fflush(stdout);
    }
}

void raise_file_limit() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int usage() {
    std::fputs("usage: egd-throughput reads [unix|tcp CLIENTS] | pipelined | connections\n", stderr);
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    try {
        init_secrets();
        raise_file_limit();
        pin_to_core(1);
        const std::string_view what = argc > 1 ? argv[1] : "";
        if (what == "reads" && argc == 4) {
            reads(argv[2], std::stoul(argv[3]));
        } else if (what == "reads" && argc == 2) {
            all_reads();
        } else if (what == "pipelined" && argc == 2) {
            pipelined();
        } else if (what == "connections" && argc == 2) {
            connections();
        } else {
            return usage();
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "egd-throughput: %s\n", error.what());
        return 1;
    }
}
