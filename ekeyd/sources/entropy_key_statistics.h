// The statistics of an Entropy Key under the names of ekeyd 1.1.5.
#pragma once

#include "ekeyd/sources/source.h"
#include "protocol/entropykey/session.h"

namespace ekey {

// What was counted from `before` to `now`.
entropykey::Counters since(const entropykey::Counters& before, const entropykey::Counters& now);

// How many blocks a second the device tests. It counts them from when it got power, which may be long before
// the daemon looked.
class FipsPace {
  public:
    void note(std::uint32_t blocks, Time now); // its newest report
    // Between the first report and the newest; not a number before there are two.
    double per_second() const;

  private:
    struct Report {
        std::uint32_t blocks;
        Time at;
    };
    std::optional<Report> first_, newest_;
};

// `seconds_open`: since the device was opened, 0 when it is closed.
void add_entropy_key_statistics(const entropykey::Counters& counters, const entropykey::InfoReport& info,
                                double seconds_open, double fips_blocks_per_second, Statistics& out);

// The same as numbers. The session's `state` and `open` are for the caller, who knows them.
DeviceFigures device_figures(const entropykey::Counters& counters, const entropykey::InfoReport& info);

} // namespace ekey
