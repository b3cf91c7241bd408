#include "ekeyd/ctl/top/sample.h"

#include <charconv>
#include <cmath>
#include <set>

#include "ekeyd/config/call.h"
#include "ekeyd/ctl/rows.h"

namespace ekey::ctl {

namespace {

// The numbers of the sources that deliver.
std::set<std::string, std::less<>> delivering(const std::vector<std::string>& rows) {
    std::set<std::string, std::less<>> numbers;
    for (const std::string& row : rows) {
        const auto columns = split_columns(row);
        if (columns.size() > 1 && columns[1] == "YES") {
            numbers.emplace(columns[0]);
        }
    }
    return numbers;
}

Result<void> read_health(Connection& connection, Sample& sample) {
    const auto listed = connection.ask("ListEntropyKeys");
    if (!listed) {
        return fail(listed.error().what);
    }
    const auto health = connection.ask("Health");
    if (!health) {
        return fail(health.error().what);
    }
    const auto ok = delivering(listed->rows);
    for (const std::string& row : health->rows) {
        if (const Named named = split_row(row); named.name == "Source") {
            sample.sources.push_back({ok.contains(named.value), {}, {}});
        }
        (sample.sources.empty() ? sample.daemon : sample.sources.back().health).add(row);
    }
    return {};
}

void read_statistics(Connection& connection, SourceSample& source) {
    const std::string number(source.health.text("Source"));
    const auto answer = connection.ask("StatEntropyKey(" + config::quote_for_call(number) + ")");
    for (const std::string& row : answer ? answer->rows : std::vector<std::string>{}) {
        source.statistics.add(row);
    }
}

Result<void> read_outlets(Connection& connection, const char* command, std::vector<OutletSample>& outlets) {
    const auto answer = connection.ask(command);
    if (!answer) {
        return fail(answer.error().what);
    }
    for (const std::string& row : answer->rows) {
        const auto columns = split_columns(row);
        OutletSample& outlet = outlets.emplace_back(OutletSample{std::string(columns[0]), {}});
        for (std::size_t i = 1; i < columns.size(); ++i) {
            outlet.counters.add(columns[i]);
        }
    }
    return {};
}

} // namespace

void Fields::add(std::string_view row) {
    const Named named = split_row(row);
    values_[std::string(named.name)] = named.value;
}

std::string_view Fields::text(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<double> Fields::number(std::string_view name) const {
    const std::string_view value = text(name);
    double number = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
    if (value.empty() || read.ec != std::errc() || read.ptr != value.data() + value.size() ||
        !std::isfinite(number)) {
        return std::nullopt;
    }
    return number;
}

Result<Sample> take_sample(Connection& connection) {
    Sample sample;
    const auto version = connection.ask("Version");
    if (!version) {
        return fail(version.error().what);
    }
    sample.version = version->ok;
    if (auto read = read_health(connection, sample); !read) {
        return fail(read.error().what);
    }
    sample.at = std::chrono::steady_clock::now();
    for (SourceSample& source : sample.sources) {
        read_statistics(connection, source);
    }
    for (const auto& [command, outlets] :
         {std::pair{"ListListeners", &sample.listeners}, {"ListSinks", &sample.sinks}}) {
        if (auto read = read_outlets(connection, command, *outlets); !read) {
            return fail(read.error().what);
        }
    }
    return sample;
}

std::optional<double> rate(const Fields& now, const Fields* before, std::string_view counter,
                           double seconds) {
    const auto last = now.number(counter);
    const auto first = before == nullptr ? std::nullopt : before->number(counter);
    if (!last || !first || *last < *first || seconds <= 0) {
        return std::nullopt;
    }
    return (*last - *first) / seconds;
}

} // namespace ekey::ctl
