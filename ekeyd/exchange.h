// One list of addresses takes the place of another while the daemon serves: all of it, or nothing.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/config/settings.h"
#include "protocol/result.h"

namespace ekey {

// Steps that were taken, and are undone in reverse unless all of them were.
class Undo {
  public:
    Undo() = default;
    Undo(const Undo&) = delete;
    Undo& operator=(const Undo&) = delete;
    ~Undo();
    void by(std::function<void()> step) { steps_.push_back(std::move(step)); }
    void forget() { steps_.clear(); }

  private:
    std::vector<std::function<void()>> steps_;
};

bool has(const std::vector<config::Setting>& list, std::string_view value);

// An error of the system's, with what it means in a daemon that may do less than when it began.
std::string explained(const std::string& reason);

// How the parts that a list names come and go. Those that are in both lists stay untouched, and so does what
// is in neither.
struct Exchange {
    using List = std::vector<config::Setting>;
    using Change = std::function<Result<void>(std::string_view)>;

    const List& from;
    const List& to;
    std::function<bool(std::string_view)> present;
    Change add, remove;
    Undo& undo;
    // Puts the second address in the place of the first, if that is the same place; false: it is not, or the
    // list has no such thing (null, too).
    std::function<Result<bool>(const std::string&, const std::string&)> replace{};
    // Makes room for another one in its place, from where it comes back if all is undone. False: it cannot.
    std::function<bool(const std::string&)> step_aside{};
    bool alone = false; // none can be added while another one is in its place

    // Adds what is new, and returns what is to be removed once all else has been done: so nothing is lost
    // when something cannot be added. An Error names the line; `undo` then takes back what was done.
    Result<std::vector<std::string>> run();

  private:
    Result<void> put(const config::Setting& setting);
    void take(const std::string& value);
    bool make_room(std::vector<std::string>& gone, const config::Setting& setting);
    Result<bool> replaced(std::vector<std::string>& gone, const config::Setting& setting);
    Result<void> bring_in(std::vector<std::string>& gone, const config::Setting& setting);
};

} // namespace ekey
