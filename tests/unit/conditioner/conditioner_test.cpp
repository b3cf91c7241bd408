#include "ekeyd/conditioner/conditioner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sodium/utils.h>

#include "ekeyd/runtime/secret.h"

using namespace ekey;

namespace {

// Bytes from, from + 1, ... , to - 1.
std::vector<Byte> counting(unsigned from, unsigned to) {
    std::vector<Byte> bytes(to - from);
    std::iota(bytes.begin(), bytes.end(), static_cast<Byte>(from));
    return bytes;
}

std::string extract_hex(Conditioner& conditioner) {
    std::array<Byte, Conditioner::output_size> out;
    conditioner.extract(out);
    char hex[2 * out.size() + 1];
    return sodium_bin2hex(hex, sizeof hex, out.data(), out.size());
}

} // namespace

// The digests of this file were made with sha512sum (coreutils) from the same bytes.
TEST_CASE("an output is SHA-512 of the input since the last one, and of nothing else") {
    Conditioner conditioner;
    const std::vector<Byte> in = counting(0, 144);
    CHECK(conditioner.add(0, in, 8.0) == 72); // 576 bits
    CHECK(conditioner.ready());
    CHECK(conditioner.add(0, ByteView(in).subspan(72), 8.0) == 0);
    CHECK(extract_hex(conditioner) == "4ebdfa0e60e1a3e7fefb8db424a5c3a52365f325ec7f51389a4955ee3453bbfc"
                                      "94692deac3ff6a4e94105c27d632df26250ff37314c882fdeb65d53534f8a961");
    CHECK_FALSE(conditioner.ready());
    CHECK(conditioner.add(0, ByteView(in).subspan(72), 8.0) == 72);
    CHECK(extract_hex(conditioner) == "22933703868bb5252e1c15cf6bc0096e13687318ca3a4d18e85d48eb08594871"
                                      "3ab548c16f8054b2c74c09c6ae7a7fda56da0e8002bbad4cb36ccfadad5ae169");
    CHECK(conditioner.counters().bytes_in == 144);
    CHECK(conditioner.counters().bytes_out == 128);
    CHECK(conditioner.counters().bits_in == 1152);
}

TEST_CASE("the output does not depend on how the input is cut") {
    for (const std::size_t piece : {1, 2, 3, 31, 32, 83, 200}) {
        CAPTURE(piece);
        Conditioner conditioner;
        const std::vector<Byte> in = counting(0, 200);
        std::size_t at = 0;
        while (!conditioner.ready()) {
            at += conditioner.add(0, ByteView(in).subspan(at, std::min(piece, in.size() - at)), 7.0);
        }
        CHECK(at == 83); // 82 * 7 = 574 < 576 <= 83 * 7 = 581
        CHECK(conditioner.gathered_bits() == 581);
        CHECK(conditioner.add(0, in, 7.0) == 0); // ready: nothing is mixed in, with credit or without
        CHECK(conditioner.add(1, in, 0.0) == 0);
        CHECK(extract_hex(conditioner) == "12de996c9dce152c83be6c0e69c66633fc4244b412066a5fe7ceae27bd4a109f"
                                          "ec95332c60e87df08a1c714d9d2ecf28a8a81f1cdf8bb3cd2cef71011bf5a5dc");
    }
}

TEST_CASE("what is absorbed changes the next output, and is not credited") {
    Conditioner conditioner;
    conditioner.add(0, counting(0, 83), 7.0);
    REQUIRE(conditioner.ready());
    conditioner.absorb(as_bytes("absorbed"));
    CHECK(conditioner.gathered_bits() == 581);
    CHECK(extract_hex(conditioner) == "06161edb0493be7bf9dc93733d21e445d586ce6bcc8fa0d7dab733ed6f67a470"
                                      "291190a782994ee7bd9c25d651c941f82f28f3d8242227f8c9bafc0fb7b5e70c");
    conditioner.absorb(std::vector<Byte>(100000));
    CHECK(conditioner.gathered_bits() == 0);
    CHECK_FALSE(conditioner.ready());
}

TEST_CASE("several sources share an output, each with its own credit") {
    Conditioner conditioner;
    CHECK(conditioner.add(0, counting(0, 40), 8.0) == 40);
    CHECK(conditioner.add(1, std::vector<Byte>(100, 0xa0), 0.0) == 100);
    CHECK(conditioner.gathered_bits() == 320);
    CHECK(conditioner.add(2, counting(64, 200), 4.0) == 64); // 320 + 64 * 4 = 576
    CHECK(extract_hex(conditioner) == "58f0f3fd49eeae0bcef0b7c817f7e8a16fb8eec48446e79e5fc6f128f3a6a496"
                                      "b02b7ed87ac96efc966de8305aa6ced608f2c7da575e8ce55dc11368dce828f4");
    CHECK(conditioner.gathered_bits() == 0);
}

TEST_CASE("promise 2: 512 bits go out only for 576 bits or more of assessed input, whatever the claim") {
    for (unsigned parts = 1; parts <= 8 * 128; ++parts) {
        const double claim = parts / 128.0;
        CAPTURE(claim);
        Conditioner conditioner;
        const std::vector<Byte> one(1);
        long double assessed = 0; // exact: multiples of 1/128
        while (!conditioner.ready()) {
            CHECK(assessed < 576);
            REQUIRE(conditioner.add(0, one, claim) == 1);
            assessed += claim;
        }
        CHECK(assessed >= 576);
        CHECK(assessed - claim < 576); // and not later than needed
    }
}

TEST_CASE("promise 2: fractions that no double holds are rounded down, never up") {
    for (const double claim : {0.1, 0.3, 1.1, 2.7, 5.9, 7.1, 7.9, 576.0 / 73, 576.0 / 99, 1e-4}) {
        CAPTURE(claim);
        Conditioner conditioner;
        const std::vector<Byte> bytes(8);
        std::size_t used = 0;
        while (!conditioner.ready()) {
            used += conditioner.add(0, bytes, claim);
            CHECK(conditioner.gathered_bits() <= static_cast<double>(used) * claim);
        }
        CHECK(static_cast<long double>(used) * claim >= 576);
    }
}

TEST_CASE("promise 2: credit zero never yields an output, nor does a claim that is none") {
    for (const double claim :
         {0.0, -0.0, -1.0, 8.0001, 1e300, std::nan(""), static_cast<double>(INFINITY), 1e-9}) {
        CAPTURE(claim);
        Conditioner conditioner;
        const std::vector<Byte> bytes(100000, 0x42);
        CHECK(conditioner.add(3, bytes, claim) == bytes.size());
        CHECK(conditioner.gathered_bits() == 0);
        CHECK_FALSE(conditioner.ready());
        CHECK(conditioner.counters().bits_in == 0);
        CHECK(conditioner.counters().bytes_in == bytes.size());
    }
}

TEST_CASE("promise 2: credit zero is mixed in when an output is not ready, and leaves the credit alone") {
    Conditioner conditioner;
    CHECK(conditioner.add(0, counting(0, 71), 8.0) == 71);
    CHECK(conditioner.add(1, counting(0, 200), 0.0) == 200);
    CHECK_FALSE(conditioner.ready());
    CHECK(conditioner.add(0, counting(0, 2), 8.0) == 1);
    CHECK(conditioner.ready());
}

TEST_CASE("promise 2: a source that failed takes its credit back, and only its own") {
    Conditioner conditioner;
    conditioner.add(0, counting(0, 30), 8.0); // 240
    conditioner.add(5, counting(0, 42), 8.0); // 336: ready
    REQUIRE(conditioner.ready());
    conditioner.revoke(5);
    CHECK_FALSE(conditioner.ready());
    CHECK(conditioner.gathered_bits() == 240);
    CHECK(conditioner.counters().bits_in == 240);
    conditioner.revoke(5); // nothing more to take
    conditioner.revoke(63);
    CHECK(conditioner.gathered_bits() == 240);
    CHECK(conditioner.add(0, counting(0, 100), 8.0) == 42);
    CHECK(conditioner.ready());
    extract_hex(conditioner);
    conditioner.revoke(0); // its credit went out with the output
    CHECK(conditioner.gathered_bits() == 0);
    CHECK(conditioner.counters().bits_in == 576);
}

TEST_CASE("promise 6: after an output the state holds neither the input nor the output") {
    const auto conditioner = make_locked<Conditioner>();
    const std::vector<Byte> in = counting(100, 172);
    const auto holds = [&](ByteView what) {
        const ByteView memory{reinterpret_cast<const Byte*>(conditioner.get()), sizeof *conditioner};
        return std::search(memory.begin(), memory.end(), what.begin(), what.end()) != memory.end();
    };
    conditioner->add(0, in, 8.0);
    CHECK(holds(ByteView(in).first(16)));
    std::array<Byte, Conditioner::output_size> out;
    conditioner->extract(out);
    CHECK_FALSE(holds(ByteView(in).first(8)));
    CHECK_FALSE(holds(ByteView(out).first(8)));
}
