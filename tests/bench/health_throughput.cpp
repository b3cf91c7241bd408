// RCT, APT and FIPS 140-2 over a buffer, beside rngtest (FIPS 140-2 alone) on the same samples in the same
// run. The aim is ten times rngtest's speed; a busy machine is no failure, so nothing is judged here.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include <sys/resource.h>

#include "ekeyd/health/monitor.h"
#include "ekeyd/runtime/secret.h"
#include "tests/support/rngtest.h"

using namespace ekey;

namespace {

constexpr std::size_t size = 20'000 * health::block_size; // 50 MB

// Processor time, so that others on the machine do not count.
double seconds(int who) {
    rusage usage{};
    getrusage(who, &usage);
    const auto in_seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
}

double seconds(int who, auto work) {
    const double begin = seconds(who);
    work();
    return seconds(who) - begin;
}

double megabits_a_second(double in_seconds) {
    return 8e-6 * static_cast<double>(size) / in_seconds;
}

// In pieces of `piece` bytes, as a source delivers them.
double ours(ByteView samples, std::size_t piece) {
    const auto monitor = make_locked<health::Monitor>(health::Settings{.min_entropy = 7.0});
    std::size_t released_bytes = 0;
    const double time = seconds(RUSAGE_SELF, [&] {
        for (std::size_t at = 0; at < samples.size(); at += piece) {
            ByteView part = samples.subspan(at, std::min(piece, samples.size() - at));
            while (!part.empty()) {
                ByteView released;
                part = part.subspan(monitor->feed(part, released));
                released_bytes += released.size();
            }
        }
    });
    if (released_bytes < samples.size() / 100 * 99) {
        throw std::runtime_error("the samples failed: " + monitor->detail());
    }
    return megabits_a_second(time);
}

void compare() {
    init_secrets();
    Byte seed[randombytes_SEEDBYTES]{};
    std::vector<Byte> samples(size);
    randombytes_buf_deterministic(samples.data(), samples.size(), seed);

    const double theirs = megabits_a_second(seconds(RUSAGE_CHILDREN, [&] { test::rngtest(samples); }));
    std::printf("rngtest, FIPS 140-2 alone:    %6.0f Mbit/s\n", theirs);
    for (const std::size_t piece : {std::size_t{32}, std::size_t{4096}, size}) {
        const double speed = ours(samples, piece);
        std::printf("health, pieces of %8zu B: %6.0f Mbit/s, %.1f times rngtest\n", piece, speed,
                    speed / theirs);
    }
}

} // namespace

int main() {
    try {
        compare();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
