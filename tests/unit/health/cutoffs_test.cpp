#include "ekeyd/health/cutoffs.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

using namespace ekey::health;

// Expected values: SP 800-90B 4.4.1 and 4.4.2 evaluated with a statistics package's exact binomial quantiles,
// for windows of 1024 (bits) and 512 (bytes).
TEST_CASE("cut-offs of SP 800-90B 4.4, false alarm 2^-20 and 2^-30") {
    struct Row {
        unsigned window;
        double h;
        unsigned rct20, apt20, rct30, apt30;
    };
    constexpr Row rows[] = {
        {1024, 1, 21, 589, 31, 609}, {512, 1, 21, 311, 31, 325}, {512, 2, 11, 177, 16, 190},
        {512, 4, 6, 62, 9, 71},      {512, 6, 5, 25, 6, 31},     {512, 7, 4, 18, 6, 22},
        {512, 8, 4, 13, 5, 16},
    };
    for (const Row& row : rows) {
        CAPTURE(row.window);
        CAPTURE(row.h);
        CHECK(repetition_cutoff(row.h, 20) == row.rct20);
        CHECK(repetition_cutoff(row.h, 30) == row.rct30);
        CHECK(proportion_cutoff(row.window, row.h, 20) == row.apt20);
        CHECK(proportion_cutoff(row.window, row.h, 30) == row.apt30);
    }
    CHECK(repetition_cutoff(7.0) == 6); // the default is 2^-30
    CHECK(proportion_cutoff(512, 7.0) == 22);
}

// Counted by hand: with W = 2 and p = 1/4, P(X > 1) = 1/16, P(X > 0) = 7/16.
TEST_CASE("a binomial quantile that can be checked by hand") {
    CHECK(proportion_cutoff(2, 2.0, 1) == 1 + 0); // 7/16 <= 1/2
    CHECK(proportion_cutoff(2, 2.0, 2) == 1 + 1); // 1/16 <= 1/4 < 7/16
    CHECK(proportion_cutoff(2, 2.0, 3) == 1 + 1); // 1/16 <= 1/8 < 7/16
    CHECK(proportion_cutoff(2, 2.0, 5) == 1 + 2);
}

TEST_CASE("fractions of a bit: cut-offs fall as the claim rises, and stay within the window") {
    unsigned rct = std::numeric_limits<unsigned>::max(), apt = rct;
    for (unsigned parts = 8; parts <= 8 * 64; ++parts) {
        const double h = parts / 64.0;
        CAPTURE(h);
        const unsigned next_rct = repetition_cutoff(h), next_apt = proportion_cutoff(512, h);
        CHECK(next_rct <= rct);
        CHECK(next_apt <= apt);
        CHECK(next_rct >= 5);
        CHECK(next_apt >= 16);
        CHECK(next_apt <= 512); // above, the test could never fail
        rct = next_rct;
        apt = next_apt;
    }
    CHECK(repetition_cutoff(7.5) == 5);         // 30 / 7.5 = 4
    CHECK(repetition_cutoff(7.49) == 6);        // just above 4
    CHECK(proportion_cutoff(512, 0.05) == 513); // why there is a floor: 0.05 * 512 < 30
}

TEST_CASE("a claim of nothing, and what is no claim, are tested as the floor") {
    CHECK(tested_min_entropy(0) == min_entropy_floor);
    CHECK(tested_min_entropy(-1) == min_entropy_floor);
    CHECK(tested_min_entropy(std::nan("")) == min_entropy_floor);
    CHECK(tested_min_entropy(min_entropy_floor) == min_entropy_floor);
    CHECK(tested_min_entropy(3.25) == 3.25);
    CHECK(tested_min_entropy(8) == 8);
    CHECK(tested_min_entropy(9) == 8);
    CHECK(repetition_cutoff(tested_min_entropy(0)) == 241);
}
