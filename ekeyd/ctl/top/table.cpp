#include "ekeyd/ctl/top/table.h"

#include <algorithm>

namespace ekey::ctl {

namespace {

constexpr std::size_t gap = 2; // before each column

std::string cut(const std::string& text, std::size_t most) {
    constexpr std::string_view dots = "...";
    return text.size() <= most ? text : text.substr(0, most - dots.size()) + std::string(dots);
}

std::string cell(const std::string& text, std::size_t width, bool words) {
    const std::string fill(width - text.size(), ' ');
    return std::string(gap, ' ') + (words ? text + fill : fill + text);
}

} // namespace

void Table::add(std::vector<std::string> cells, std::string name, std::string longer) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        cells[i] = cut(cells[i], columns_[i].most);
    }
    rows_.push_back({std::move(cells), std::move(name), std::move(longer)});
}

std::vector<std::string> Table::lines(std::size_t width) const {
    std::vector<std::size_t> widths;
    std::size_t names = name_.size(), total = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        widths.push_back(std::max(columns_[i].least, columns_[i].heading.size()));
        for (const Row& row : rows_) {
            widths.back() = std::max(widths.back(), row.cells[i].size());
        }
        total += gap + widths.back();
    }
    for (const Row& row : rows_) {
        names = std::max(names, row.name.size());
    }
    if (width != any_width) { // no column leaves for names that are long: they go below
        names = std::min(names, std::max<std::size_t>(16, width / 5));
    }
    std::vector<bool> shown(columns_.size(), true);
    for (unsigned next = 1; total + gap + names > width; ++next) {
        const auto column = std::find_if(columns_.begin(), columns_.end(),
                                         [next](const Column& one) { return one.leaves == next; });
        if (column == columns_.end()) {
            break;
        }
        const auto i = static_cast<std::size_t>(column - columns_.begin());
        shown[i] = false;
        total -= gap + widths[i];
    }

    std::vector<std::string> out(1);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        out[0] += shown[i] ? cell(std::string(columns_[i].heading), widths[i], columns_[i].words) : "";
    }
    out[0] += std::string(gap, ' ') + std::string(name_);
    for (const Row& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            line += shown[i] ? cell(row.cells[i], widths[i], columns_[i].words) : "";
        }
        const bool roomy = width == any_width || total + gap + row.longer.size() <= width;
        line += std::string(gap, ' ') + (roomy ? row.longer : row.name);
        const auto parts = wrap(line, width, 2 * gap);
        out.insert(out.end(), parts.begin(), parts.end());
    }
    return out;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width, std::size_t indent) {
    std::vector<std::string> lines;
    std::string before;
    while (before.size() + text.size() > width && width > before.size()) {
        const std::size_t room = width - before.size();
        std::size_t end = text.rfind(' ', room);
        // Blanks at the beginning are an indent, and not a place to break.
        if (end == std::string_view::npos || end <= text.find_first_not_of(' ')) {
            end = room;
        }
        lines.push_back(before + std::string(text.substr(0, end)));
        text.remove_prefix(end + (end < text.size() && text[end] == ' ' ? 1 : 0));
        before.assign(indent < width ? indent : 0, ' ');
    }
    lines.push_back(before + std::string(text));
    return lines;
}

} // namespace ekey::ctl
