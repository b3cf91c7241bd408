#include "tests/softkey/fault.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "protocol/entropykey/frame.h"

namespace ekey::softkey {

namespace {

enum class Extent { frame, lasting, once };

struct Row {
    FaultKind kind;
    std::string_view name;
    Extent extent;     // frame: LAST defaults to FIRST; lasting: to for ever; once: no LAST at all
    bool value;        // takes =VALUE
    bool seconds;      // takes ,SECONDS
    std::uint64_t low; // of VALUE, where it is a number
    std::uint64_t high;
};

constexpr std::array<Row, 16> table{{
    {FaultKind::bad_mac, "bad-mac", Extent::frame, false, false, 0, 0},
    {FaultKind::replay, "replay", Extent::frame, false, false, 0, 0},
    {FaultKind::garbage, "garbage", Extent::frame, true, false, 1, 4096},
    {FaultKind::short_frame, "short", Extent::frame, true, false, 1, entropykey::frame_size - 1},
    {FaultKind::drop, "drop", Extent::frame, false, false, 0, 0},
    {FaultKind::stuck, "stuck", Extent::lasting, false, false, 0, 0},
    {FaultKind::stuck_block, "stuck-block", Extent::lasting, false, false, 0, 0},
    {FaultKind::biased, "biased", Extent::lasting, false, false, 0, 0},
    {FaultKind::silent, "silent", Extent::once, false, true, 0, 0},
    {FaultKind::unplugged, "unplugged", Extent::once, true, true, 1, entropykey::frame_size - 1},
    {FaultKind::generators_failed, "generators-failed", Extent::once, true, false, 0, 0},
    {FaultKind::temperature, "temperature", Extent::once, false, false, 0, 0},
    {FaultKind::no_answer, "no-answer", Extent::once, true, false, 1, 1'000'000'000},
    {FaultKind::short_read, "short-read", Extent::lasting, true, false, 1, entropykey::frame_size - 1},
    {FaultKind::stall, "stall", Extent::once, true, false, 1, 1'000'000'000},
    {FaultKind::mute, "mute", Extent::once, false, true, 0, 0},
}};

// Protocol version 0, the S report: 0 is "none" and 6 is not in use.
constexpr std::string_view failure_codes = "12345789AB";

const Row* find(std::string_view kind_name) {
    const auto row = std::ranges::find(table, kind_name, &Row::name);
    return row == table.end() ? nullptr : &*row;
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return value;
}

// Cuts text at the first `mark`; what follows it is returned, text keeps what came before.
std::optional<std::string_view> cut(std::string_view& text, char mark) {
    const auto at = text.find(mark);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const auto rest = text.substr(at + 1);
    text = text.substr(0, at);
    return rest;
}

tl::unexpected<Error> wrong(std::string_view whole, const std::string& why) {
    return fail("--fault " + std::string(whole) + ": " + why);
}

std::string all_kinds() {
    std::string list;
    for (const Row& row : table) {
        list += (list.empty() ? "" : ", ") + std::string(row.name);
    }
    return list;
}

Result<void> read_value(Fault& fault, const Row& row, std::string_view value) {
    if (!row.value) {
        return wrong(fault.text, std::string(row.name) + " takes no value");
    }
    if (row.kind == FaultKind::generators_failed) {
        if (value.size() != 1 || failure_codes.find(value[0]) == std::string_view::npos) {
            return wrong(fault.text, "the failure code is one of " + std::string(failure_codes));
        }
        fault.code = value[0];
        return {};
    }
    fault.number = whole_number(value);
    if (!fault.number || *fault.number < row.low || *fault.number > row.high) {
        return wrong(fault.text, "the value is a whole number from " + std::to_string(row.low) + " to " +
                                     std::to_string(row.high));
    }
    return {};
}

Result<void> read_seconds(Fault& fault, const Row& row, std::string_view text) {
    if (!row.seconds) {
        return wrong(fault.text, std::string(row.name) + " takes no seconds");
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0 ||
        value > 1e6) {
        return wrong(fault.text, "seconds are a number from 0 to 1000000");
    }
    fault.back_after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
    return {};
}

Result<void> read_packets(Fault& fault, const Row& row, std::string_view text) {
    const auto last = cut(text, '-');
    const auto from = whole_number(text);
    if (!from) {
        return wrong(fault.text, "after @ comes the number of the entropy packet, from 0");
    }
    fault.first = *from;
    fault.last = row.extent == Extent::lasting ? Fault::for_ever : fault.first;
    if (last) {
        const auto to = whole_number(*last);
        if (row.extent == Extent::once) {
            return wrong(fault.text, std::string(row.name) + " takes one packet, not a range");
        }
        if (!to || *to < fault.first) {
            return wrong(fault.text, "the last packet is a number not below the first");
        }
        fault.last = *to;
    }
    return {};
}

} // namespace

std::string_view name(FaultKind kind) {
    return std::ranges::find(table, kind, &Row::kind)->name;
}

Result<Fault> parse_fault(std::string_view text) {
    Fault fault;
    fault.text = std::string(text);
    std::string_view kind_name = text;
    const auto place = cut(kind_name, '@');
    if (!place) {
        return wrong(text, "expected KIND@PACKET, for example bad-mac@100");
    }
    const auto value = cut(kind_name, '=');
    const Row* row = find(kind_name);
    if (row == nullptr) {
        return wrong(text, "no such kind; there are " + all_kinds());
    }
    fault.kind = row->kind;
    if (row->kind == FaultKind::temperature) {
        fault.code = '8';
    }
    std::string_view packets = *place;
    const auto seconds = cut(packets, ',');
    Result<void> done = value ? read_value(fault, *row, *value) : Result<void>{};
    if (done && seconds) {
        done = read_seconds(fault, *row, *seconds);
    }
    if (done) {
        done = read_packets(fault, *row, packets);
    }
    if (!done) {
        return tl::unexpected(done.error());
    }
    return fault;
}

} // namespace ekey::softkey
