// Rows of the control protocol, taken apart. What is returned points into the row.
#pragma once

#include <string_view>
#include <vector>

namespace ekey::ctl {

struct Named {
    std::string_view name, value;
};

// "name=value"; without a "=" all of it is the name.
inline Named split_row(std::string_view row) {
    const std::size_t at = row.find('=');
    return at == std::string_view::npos ? Named{row, {}} : Named{row.substr(0, at), row.substr(at + 1)};
}

// At its tabs; at least one column.
inline std::vector<std::string_view> split_columns(std::string_view row) {
    std::vector<std::string_view> columns;
    for (;;) {
        const std::size_t tab = row.find('\t');
        columns.push_back(row.substr(0, tab));
        if (tab == std::string_view::npos) {
            return columns;
        }
        row.remove_prefix(tab + 1);
    }
}

} // namespace ekey::ctl
