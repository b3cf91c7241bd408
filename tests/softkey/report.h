// The figures that an Entropy Key reports about itself, made from what the softkey really sent.
#pragma once

#include <cstdint>

#include "protocol/entropykey/packet.h"

namespace ekey::softkey {

inline constexpr std::int64_t packets_in_block = 78; // 20,000 bits are 78 whole packets and 4 bytes

class Report {
  public:
    void power_on() { *this = Report(); } // a real key counts from its power-up
    void count_packet() { ++packets_; }
    void fail(char code) { failure_ = code; }
    // What was really counted, in place of what a good key would have.
    void set_fips(const entropykey::FipsReport& counted) { counted_ = counted; }
    char failure() const { return failure_; }

    // The next of the three info frames, in turn.
    static constexpr unsigned kinds = 3;
    unsigned turn() const { return turn_; } // how many there were since power-on
    entropykey::InfoReport next();
    entropykey::InfoReport climate() const;    // T and V
    entropykey::InfoReport fips() const;       // F
    entropykey::InfoReport generators() const; // S

  private:
    std::int64_t packets_ = 0;
    unsigned turn_ = 0;
    char failure_ = '0';
    std::optional<entropykey::FipsReport> counted_;
};

} // namespace ekey::softkey
