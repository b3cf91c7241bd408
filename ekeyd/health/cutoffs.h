// Cut-offs of the two continuous tests of NIST SP 800-90B 4.4, from the claimed min-entropy.
#pragma once

namespace ekey::health {

// The probability that a source as good as its claim fails a test is 2^-false_alarm_bits at each chance to
// fail. 90B 4.3 suggests 2^-20 to 2^-40.
inline constexpr unsigned false_alarm_bits = 30;

// Claims below this, 0 among them, are tested as if they were this. As H goes to 0 both cut-offs grow without
// bound, and below 30/512 bit the proportion cut-off is more than a window holds: the test would be vacuous.
// A source that is mixed without credit still has to move; this floor means at most 240 equal bytes in a row.
inline constexpr double min_entropy_floor = 0.125;

// The claim that the tests use: within min_entropy_floor..8. What is not a number is tested as the floor.
double tested_min_entropy(double claimed);

// SP 800-90B 4.4.1: C = 1 + ceil(-log2(alpha) / H), in samples. min_entropy: bits a sample, above 0.
unsigned repetition_cutoff(double min_entropy, unsigned alpha_bits = false_alarm_bits);

// SP 800-90B 4.4.2: C = 1 + CRITBINOM(W, 2^-H, 1 - alpha), in samples of a window of W. min_entropy: bits a
// sample, above 0. More than `window` (never reached) when the claim is too low for the window.
unsigned proportion_cutoff(unsigned window, double min_entropy, unsigned alpha_bits = false_alarm_bits);

} // namespace ekey::health
