#include "ekeyd/ctl/json.h"

#include <algorithm>
#include <cstdio>
#include <span>

#include "ekeyd/ctl/rows.h"
#include "ekeyd/ctl/text.h"

namespace ekey::ctl {

namespace {

using Rows = std::span<const std::string>;

constexpr std::string_view replacement = "\xef\xbf\xbd"; // U+FFFD

constexpr std::string_view text_names[] = {
    "Detail",          "Failure",     "HealthState", "KeyRawBadness", "KeyEnglishBadness",
    "KeyShortBadness", "LastFailure", "Path",        "SerialNo",      "State",
    "Status"};

std::string_view digits(std::string_view& rest) {
    const std::size_t end = std::min(rest.find_first_not_of("0123456789"), rest.size());
    const std::string_view found = rest.substr(0, end);
    rest.remove_prefix(end);
    return found;
}

bool take(std::string_view& rest, std::string_view one_of) {
    const bool found = !rest.empty() && one_of.find(rest[0]) != std::string_view::npos;
    rest.remove_prefix(found ? 1 : 0);
    return found;
}

// RFC 8259, 6.
bool is_number(std::string_view text) {
    take(text, "-");
    const std::string_view whole = digits(text);
    if (whole.empty() || (whole.size() > 1 && whole[0] == '0') || (take(text, ".") && digits(text).empty())) {
        return false;
    }
    if (take(text, "eE")) {
        take(text, "+-");
        return !digits(text).empty() && text.empty();
    }
    return text.empty();
}

bool is_no_number(std::string_view text) {
    take(text, "+-");
    return text == "nan" || text == "inf";
}

// The members of an object, without its braces.
std::string members(Rows rows, const char* indent) {
    std::string out;
    for (const std::string& row : rows) {
        const Named named = split_row(row);
        out += (out.empty() ? "" : ",\n") + std::string(indent) + json_string(named.name) + ": " +
               json_value(named.name, named.value);
    }
    return out;
}

std::string source_row(std::string_view row) {
    const auto columns = split_columns(row);
    const auto column = [&](std::size_t i) { return i < columns.size() ? columns[i] : std::string_view(); };
    return "  {\"NR\": " + json_value("NR", column(0)) +
           ", \"OK\": " + (column(1) == "YES" ? "true" : "false") +
           ", \"Status\": " + json_string(column(2)) + ", \"Path\": " + json_string(column(3)) +
           ", \"SerialNo\": " + (columns.size() > 4 ? json_string(column(4)) : "null") + "}";
}

std::string array(const std::vector<std::string>& items, const char* end) {
    std::string out = "[";
    for (const std::string& item : items) {
        out += (out.size() == 1 ? "\n" : ",\n") + item;
    }
    return out + (items.empty() ? "]" : end);
}

} // namespace

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text, i);
        const auto byte = static_cast<unsigned char>(text[i]);
        if (length == 0) {
            out += replacement;
        } else if (text[i] == '"' || text[i] == '\\') {
            out += {'\\', text[i]};
        } else if (byte < 0x20 || byte == 0x7f ||
                   (length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0)) {
            char escape[8]; // C1 too, though JSON lets it be: the reader may be a terminal
            std::snprintf(escape, sizeof escape, "\\u%04x",
                          length == 2 ? static_cast<unsigned char>(text[i + 1]) : unsigned{byte});
            out += escape;
        } else {
            out += text.substr(i, length);
        }
        i += std::max<std::size_t>(length, 1);
    }
    return out + '"';
}

std::string json_value(std::string_view name, std::string_view value) {
    const bool text = std::find(std::begin(text_names), std::end(text_names), name) != std::end(text_names);
    if (!text && is_number(value)) {
        return std::string(value);
    }
    return !text && is_no_number(value) ? "null" : json_string(value);
}

std::string json_list(const std::vector<std::string>& rows) {
    std::vector<std::string> sources;
    for (std::size_t i = 1; i < rows.size(); ++i) { // without the header
        sources.push_back(source_row(rows[i]));
    }
    return array(sources, "\n]");
}

std::string json_object(const std::vector<std::string>& rows) {
    return rows.empty() ? "{}" : "{\n" + members(rows, "  ") + "\n}";
}

std::string json_health(const std::vector<std::string>& rows) {
    const auto begins_source = [](const std::string& row) { return split_row(row).name == "Source"; };
    auto first = std::find_if(rows.begin(), rows.end(), begins_source);
    std::string out = members({rows.begin(), first}, "  ");
    std::vector<std::string> sources;
    while (first != rows.end()) {
        const auto next = std::find_if(first + 1, rows.end(), begins_source);
        sources.push_back("    {\n" + members({first, next}, "      ") + "\n    }");
        first = next;
    }
    return "{\n" + out + (out.empty() ? "" : ",\n") + "  \"Sources\": " + array(sources, "\n  ]") + "\n}";
}

} // namespace ekey::ctl
