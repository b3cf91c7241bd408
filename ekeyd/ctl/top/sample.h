// All that the control protocol tells of a daemon at one time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/ctl/connection.h"
#include "protocol/bytes.h"

namespace ekey::ctl {

// Names and values as they came: nothing in them is to be believed, or shown, as it is.
class Fields {
  public:
    void add(std::string_view row);                     // "name=value"
    std::string_view text(std::string_view name) const; // empty when there is none
    // Nothing for what is no finite number.
    std::optional<double> number(std::string_view name) const;

  private:
    std::map<std::string, std::string, std::less<>> values_;
};

struct SourceSample {
    bool ok = false;   // delivers now
    Fields health;     // and "Source", its number
    Fields statistics; // may be empty: it went away meanwhile
};

struct OutletSample { // a listener or a sink
    std::string address;
    Fields counters;
};

struct Sample {
    Time at{}; // of the monotonic clock
    std::string version;
    Fields daemon;
    std::vector<SourceSample> sources;
    std::vector<OutletSample> listeners, sinks;
};

// Asks the daemon. After an error the connection is of no more use.
Result<Sample> take_sample(Connection& connection);

// A counter's change a second; nothing when one of them is missing, or the daemon was started anew between
// them.
std::optional<double> rate(const Fields& now, const Fields* before, std::string_view counter, double seconds);

} // namespace ekey::ctl
