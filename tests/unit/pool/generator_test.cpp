#include "ekeyd/pool/generator.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/vectors.h"

using namespace ekey;

namespace {

using Bytes = std::vector<Byte>;
using Seed = std::array<Byte, Generator::seed_size>;

constexpr Time start{std::chrono::hours(1)};
constexpr std::size_t state_size = 1024;

Seed seed(Byte value) {
    Seed bytes;
    bytes.fill(value);
    return bytes;
}

Bytes take(Generator& generator, std::size_t size) {
    Bytes out(size);
    REQUIRE(generator.generate(out, start));
    return out;
}

// The secret state, as one who breaks in would read it: the first member points to it.
Bytes state_of(const Generator& generator) {
    const Byte* state = nullptr;
    std::memcpy(&state, &generator, sizeof state);
    return {state, state + state_size};
}

bool holds(const Bytes& where, ByteView what) {
    return std::search(where.begin(), where.end(), what.begin(), what.end()) != where.end();
}

// What a process that was forked off finds, as its exit status.
template <class Look>
int in_child(Look look) {
    const pid_t child = fork();
    if (child == 0) {
        _exit(look());
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

} // namespace

TEST_CASE("generator: gives what an independent implementation of its rules gives, in any split") {
    const auto vectors = test::load_vectors("generator.json");
    Generator whole, split;
    for (const auto& [name, step] : vectors.get_child("steps")) {
        const auto given = test::array_at<Generator::seed_size>(step, "seed");
        whole.reseed(given, start);
        split.reseed(given, start);
        for (const auto& [index, hex] : step.get_child("outputs")) {
            const Bytes expected = test::from_hex(hex.get_value<std::string>());
            CHECK(take(whole, expected.size()) == expected);
            for (const Byte byte : expected) {
                REQUIRE(take(split, 1) == Bytes{byte});
            }
        }
    }
}

TEST_CASE("promise 3: an unseeded generator refuses and writes nothing") {
    Generator generator;
    Bytes out(32, 0xee);
    CHECK_FALSE(generator.seeded());
    CHECK_FALSE(generator.usable(start, Duration::max()));
    CHECK_FALSE(generator.generate(out, start));
    CHECK(out == Bytes(32, 0xee));
}

TEST_CASE("promise 3: a generator whose last reseed is older than the limit refuses until the next") {
    using std::chrono::seconds;
    Generator generator;
    generator.reseed(seed(1), start);
    Bytes out(8);
    CHECK(generator.generate(out, start + seconds(10), seconds(10)));
    const Bytes before = out;
    CHECK_FALSE(generator.generate(out, start + seconds(10) + Duration(1), seconds(10)));
    CHECK(out == before);
    generator.reseed(seed(2), start + seconds(11));
    CHECK(generator.last_reseed() == start + seconds(11));
    CHECK(generator.generate(out, start + seconds(12), seconds(10)));
}

TEST_CASE("generator: forward secrecy: the state holds nothing that was given out, and does not lead to it") {
    for (const std::size_t size : {1u, 16u, 32u, 255u, 991u, 992u, 993u, 5000u}) {
        Generator generator;
        generator.reseed(seed(7), start);
        const Bytes initial = state_of(generator);
        const Bytes out = take(generator, size);
        const Bytes later = state_of(generator);
        INFO(size);
        // No run of eight bytes that were given out (or all, when fewer) is left; by chance: below 2^-40.
        const std::size_t run = std::min<std::size_t>(8, size);
        if (size >= 8) {
            for (std::size_t i = 0; i + run <= size; ++i) {
                REQUIRE_FALSE(holds(later, ByteView(out).subspan(i, run)));
            }
        }
        // Nor is the key that made it, the only way back to it...
        CHECK_FALSE(holds(later, ByteView(initial).first(Generator::key_size)));
        // ...and what is consumed of the buffer is zeros.
        const std::size_t consumed = (size - 1) % Generator::buffer_size + 1;
        CHECK(std::all_of(later.begin() + Generator::key_size,
                          later.begin() + static_cast<std::ptrdiff_t>(Generator::key_size + consumed),
                          [](Byte b) { return b == 0; }));
        // The thief's own generator, with the stolen state, gives what comes next and not what was.
        Generator thief;
        thief.reseed(seed(0), start);
        take(thief, consumed); // to the same place in its buffer
        Byte* stolen = nullptr;
        std::memcpy(&stolen, &thief, sizeof stolen);
        std::copy(later.begin(), later.end(), stolen);
        const Bytes next = take(thief, 3000);
        CHECK(next == take(generator, 3000));
        if (size >= 8) {
            CHECK_FALSE(holds(next, ByteView(out).first(8)));
        }
    }
}

TEST_CASE("generator: a reseed erases what was made before it, and neither seed nor old key is kept") {
    Generator generator;
    generator.reseed(seed(7), start);
    take(generator, 10);
    const Bytes before = state_of(generator);
    CHECK(generator.bytes_since_reseed() == 10);
    Seed fresh;
    randombytes_buf(fresh.data(), fresh.size());
    generator.reseed(fresh, start);
    CHECK(generator.bytes_since_reseed() == 0);
    const Bytes after = state_of(generator);
    CHECK_FALSE(holds(after, ByteView(before).first(Generator::key_size)));
    CHECK_FALSE(holds(after, ByteView(fresh).first(8)));
    CHECK(std::all_of(after.begin() + Generator::key_size, after.end(), [](Byte b) { return b == 0; }));
    CHECK_FALSE(
        holds(take(generator, 2000), ByteView(before).subspan(42, 8))); // the next it would have given
}

TEST_CASE("generator: a seed that another knows leaves the key as unknown as it was") {
    Generator good, known;
    good.reseed(seed(1), start);
    known.reseed(seed(2), start);
    good.reseed(seed(3), start); // the same bad seed for both
    known.reseed(seed(3), start);
    CHECK(take(good, 64) != take(known, 64));
}

TEST_CASE("promise 4: no byte twice: runs of 16 bytes never come again, over reseeds with the same seed") {
    Generator generator;
    std::set<Bytes> seen;
    for (int round = 0; round < 20; ++round) {
        generator.reseed(seed(9), start);
        for (const std::size_t size : {16u, 160u, 240u, 992u, 2000u}) {
            const Bytes out = take(generator, size);
            for (auto at = out.begin(); at != out.end(); at += 16) {
                REQUIRE(seen.emplace(at, at + 16).second);
            }
        }
    }
}

TEST_CASE("promise 4: a process that is forked off gets nothing until it is reseeded; the parent goes on") {
    Generator generator;
    generator.reseed(seed(1), start);
    take(generator, 10);
    CHECK(in_child([&] {
              Bytes out(8);
              const bool refused = !generator.seeded() && !generator.generate(out, start) && out == Bytes(8);
              generator.reseed(seed(2), start);
              return refused && generator.generate(out, start) ? 0 : 1;
          }) == 0);
    CHECK(generator.seeded());
    take(generator, 10);
}
