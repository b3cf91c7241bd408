// A table that gives up columns where the window is narrow, and never the name of what a row is about.
// Printable ASCII only: a byte is a column.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace ekey::ctl {

// For what is no window.
constexpr std::size_t any_width = std::numeric_limits<std::size_t>::max();

class Table {
  public:
    struct Column {
        std::string_view heading;
        std::size_t least, most; // characters; what is longer than `most` is cut and ends in "..."
        bool words;              // begins at the left; numbers end at the right
        unsigned leaves;         // the order in which columns are given up, from 1; 0: never
    };
    // `name` is the heading of the last column, the names.
    Table(std::vector<Column> columns, std::string_view name) : columns_(std::move(columns)), name_(name) {}

    // A cell for each column. `longer` is the name where there is room for it. Columns are given up for names
    // of up to a fifth of the window (a serial number, of 80 columns); a longer one that does not fit goes on
    // below.
    void add(std::vector<std::string> cells, std::string name, std::string longer);

    // The first is the headings.
    std::vector<std::string> lines(std::size_t width) const;

  private:
    struct Row {
        std::vector<std::string> cells;
        std::string name, longer;
    };
    std::vector<Column> columns_;
    std::string_view name_;
    std::vector<Row> rows_;
};

// Lines of at most `width` characters, broken at blanks where there are any. All but the first begin with
// `indent` blanks.
std::vector<std::string> wrap(std::string_view text, std::size_t width, std::size_t indent = 0);

} // namespace ekey::ctl
