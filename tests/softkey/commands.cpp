#include "tests/softkey/commands.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <sys/stat.h>

namespace ekey::softkey {

namespace {
constexpr std::size_t longest_line = 256; // no command needs a quarter of it
} // namespace

Result<void> obey(std::string_view line, const Dongles& dongles) {
    std::istringstream words{std::string(line)};
    std::string command, fault_text, rest;
    std::size_t number = 0;
    words >> command >> number;
    if (!words || number < 1 || number > dongles.size()) {
        return fail("expected COMMAND N, N from 1 to " + std::to_string(dongles.size()));
    }
    Dongle& dongle = *dongles[number - 1];
    words >> fault_text;
    if (words >> rest || fault_text.empty() == (command == "fault")) {
        return fail("expected unplug N, plug N, fault N KIND, or mend N");
    }
    if (command == "unplug") {
        dongle.unplug();
    } else if (command == "plug") {
        dongle.plug_in();
    } else if (command == "mend") {
        dongle.mend();
    } else if (command == "fault") {
        auto fault = parse_fault(fault_text + "@0");
        return fault ? dongle.misbehave(std::move(*fault)) : tl::unexpected(fault.error());
    } else {
        return fail("no such command");
    }
    return {};
}

Commands::Commands(Loop& loop, const Dongles& dongles) : dongles_(dongles), watcher_(loop) {
    watcher_.bind<&Commands::on_readable>(this);
}

Result<void> Commands::open(const std::string& path) {
    // For writing, too: so it does not end when who has written a line closes it.
    fifo_.reset(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!fifo_ || ::fstat(fifo_.get(), &status) != 0) {
        return fail("--commands " + path + ": " + std::strerror(errno));
    }
    if (!S_ISFIFO(status.st_mode)) {
        return fail("--commands " + path + ": expected a FIFO");
    }
    watcher_.watch(fifo_.get(), IoWatcher::readable);
    return {};
}

void Commands::on_readable(int) {
    std::array<char, 512> buffer{};
    const ssize_t got = ::read(fifo_.get(), buffer.data(), buffer.size());
    if (got <= 0) {
        return;
    }
    input_.append(buffer.data(), static_cast<std::size_t>(got));
    for (auto end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
        const std::string line = input_.substr(0, end);
        input_.erase(0, end + 1);
        const auto done = obey(line, dongles_);
        say(done ? "done: " + line : "not done: " + line + ": " + done.error().what);
    }
    if (input_.size() > longest_line) {
        say("not done: a line without end");
        input_.clear();
    }
}

} // namespace ekey::softkey
