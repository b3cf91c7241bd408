#include "ekeyd/health/fips_rate.h"

#include <cmath>

#include <doctest/doctest.h>

#include "tests/unit/health/reference.h"
#include "tests/unit/health/samples.h"

using namespace ekey;
using health::FipsRate;

namespace {

void add(FipsRate& rate, bool failed, int times = 1) {
    for (int i = 0; i < times; ++i) {
        rate.add(failed);
    }
}

double choose(unsigned n, unsigned k) {
    double result = 1;
    for (unsigned i = 0; i < k; ++i) {
        result *= static_cast<double>(n - i) / (i + 1);
    }
    return result;
}

} // namespace

TEST_CASE("FIPS 140-2 by rate: three failures in a row are too many, two are not") {
    FipsRate rate;
    add(rate, false, 10);
    add(rate, true, 2);
    CHECK_FALSE(rate.exceeded());
    add(rate, false);
    add(rate, true);
    CHECK_FALSE(rate.too_many_in_a_row());
    rate.restart();
    add(rate, true, 2);
    CHECK_FALSE(rate.exceeded());
    add(rate, true);
    CHECK(rate.exceeded());
    CHECK(rate.too_many_in_a_row());
}

TEST_CASE("FIPS 140-2 by rate: five failures among 128 blocks are too many, among 129 they are not") {
    for (const int gap : {28, 29}) { // passed blocks between the third failure and the fourth
        CAPTURE(gap);
        FipsRate rate;
        add(rate, true);
        add(rate, false, 94);
        add(rate, true);
        add(rate, false);
        add(rate, true);
        add(rate, false, gap);
        add(rate, true);
        CHECK_FALSE(rate.exceeded());
        add(rate,
            true); // the first is 1 + 94 + 1 + 1 + 1 + gap + 1 + 1 = 100 + gap blocks old, this one counted
        CHECK(rate.exceeded() == (gap == 28));
        CHECK_FALSE(rate.too_many_in_a_row());
    }
}

TEST_CASE("FIPS 140-2 by rate: restart forgets") {
    FipsRate rate;
    add(rate, true, 2);
    rate.restart();
    add(rate, true, 2);
    CHECK_FALSE(rate.exceeded());
    CHECK(rate.failed_in_window() == 2);
}

TEST_CASE("FIPS 140-2 by rate: the false alarms that the header states") {
    constexpr double p = 8e-4;
    double at_least_4_of_127 = 1;
    for (unsigned k = 0; k < 4; ++k) {
        at_least_4_of_127 -= choose(127, k) * std::pow(p, k) * std::pow(1 - p, 127 - k);
    }
    CHECK(p * at_least_4_of_127 == doctest::Approx(3.1e-9).epsilon(0.02));
    CHECK(p * p * p == doctest::Approx(5.1e-10).epsilon(0.02));
    constexpr double blocks_a_year = 1.2 * 365.25 * 86400;
    CHECK(1 / ((p * at_least_4_of_127 + p * p * p) * blocks_a_year) == doctest::Approx(7.2).epsilon(0.02));
}

// 20,000 blocks at 8 in 10,000: 16 expected, 4 or less or 32 or more once in a few thousand tries. The
// samples are the same in each run.
TEST_CASE("FIPS 140-2 by rate: uniform blocks fail about 8 times in 10,000") {
    health::Fips140_2 fips;
    unsigned failed = 0;
    for (unsigned batch = 0; batch < 20; ++batch) {
        const std::vector<Byte> samples = test::uniform(1000 * health::block_size, 1000 + batch);
        for (std::size_t at = 0; at < samples.size(); at += health::block_size) {
            failed += !fips.test(ByteView(samples).subspan(at).first<health::block_size>()).passed();
        }
    }
    MESSAGE(failed, " of 20,000 uniform blocks failed");
    CHECK(failed > 4);
    CHECK(failed < 32);
}
