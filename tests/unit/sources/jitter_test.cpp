// ekeyd's use of libjitterentropy, against a fake of it: Debian 12 has no package. With the library
// installed, processor_noise_test.cpp tries the true one.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

#include <jitterentropy.h>

#include "ekeyd/sources/processor_noise.h"
#include "recording_owner.h"

using namespace ekey;

// The fake. The generator has a thread of its own.
struct rand_data { // NOLINT(readability-identifier-naming)
    char next = 0;
};

namespace {
std::atomic<int> init_error, collectors, fills_left;
} // namespace

int jent_entropy_init() {
    return init_error;
}
rand_data* jent_entropy_collector_alloc(unsigned int osr, unsigned int flags) {
    CHECK(osr == 1);
    CHECK(flags == 0);
    ++collectors;
    return new rand_data;
}
void jent_entropy_collector_free(rand_data* collector) {
    --collectors;
    delete collector;
}
ssize_t jent_read_entropy(rand_data* collector, char* data, size_t length) {
    if (--fills_left < 0) {
        return -2; // "the SP800-90B repetition count online health test failed"
    }
    std::fill_n(data, length, ++collector->next);
    return static_cast<ssize_t>(length);
}

namespace {

struct Bench {
    Loop loop;
    test::RecordingOwner owner{loop};
    std::unique_ptr<Source> source = make_jitter(loop);
    Bench(int error, int fills) {
        init_error = error;
        fills_left = fills;
        REQUIRE(source->start(owner, true));
    }
};

} // namespace

TEST_CASE("jitter: what the library makes arrives; its failure is the source's, and a reset makes a new "
          "collector") {
    {
        Bench bench(0, 3);
        REQUIRE(bench.owner.wait_until([&] { return !bench.owner.failures.empty(); }));
        CHECK(bench.owner.samples.size() % 3 == 0);
        CHECK(bench.owner.samples.front() == 1);
        CHECK(bench.owner.samples.back() == 3);
        CHECK(bench.owner.failures[0].first == health::Failure::device);
        CHECK(bench.owner.failures[0].second == "jitter: its own health test has failed (error -2)");
        CHECK_FALSE(bench.source->status().ok);
        // After that, "the entropy collector instance must be deallocated and a fresh instance allocated".
        fills_left = 1;
        bench.owner.samples.clear();
        bench.source->reset();
        REQUIRE(bench.owner.wait_until([&] { return !bench.owner.samples.empty(); }));
        CHECK(bench.owner.samples.front() == 1);
    }
    CHECK(collectors == 0);
}

TEST_CASE("jitter: a machine whose clock is not fit for it is told so, and no collector is made") {
    Bench bench(9, 3);
    REQUIRE(bench.owner.wait_until([&] { return !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures[0].second == "jitter: the processor's clock is not fit for it (error 9)");
    CHECK(bench.owner.samples.empty());
    CHECK(collectors == 0);
}
