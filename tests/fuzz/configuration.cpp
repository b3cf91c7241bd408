// Guards the reader of ekeyd's configuration (ekeyd/config/settings.h), in the form of ekeyd 2 and of 1.1.5.
// Promise: what --print-config prints of a configuration is read again, and gives the same settings and the
// same print; a refusal names the file and is no empty sentence.
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "ekeyd/config/settings.h"
#include "ekeyd/runtime/handle.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::config;

namespace {

Result<Request> read(std::string_view text) {
    const Fd file(::memfd_create("configuration", MFD_CLOEXEC));
    must(file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
         "a file in memory can be written");
    const std::string path = "/proc/self/fd/" + std::to_string(file.get());
    const char* const argv[] = {"ekeyd", "--config", path.c_str(), "--print-config"};
    auto request = read_settings(4, argv);
    must(request || request.error().what.starts_with(path), "a refusal names the file");
    return request;
}

bool same(const Setting& a, const Setting& b) {
    return a.value == b.value;
}
bool same(const std::vector<Setting>& a, const std::vector<Setting>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Setting& x, const Setting& y) { return same(x, y); });
}
bool same(const Settings& a, const Settings& b) {
    return same(a.source, b.source) && same(a.listen, b.listen) && same(a.sink, b.sink) &&
           same(a.control, b.control) && same(a.keyring, b.keyring) && same(a.pidfile, b.pidfile) &&
           same(a.user, b.user) && same(a.group, b.group) && same(a.identity, b.identity) &&
           a.pool_size == b.pool_size && a.silence == b.silence && a.foreground == b.foreground &&
           a.log_level == b.log_level;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto first = read(as_text({data, size}));
    if (!first)
        return 0;
    const auto second = read(first->text);
    must(second.has_value(), "what was printed is read again");
    must(same(first->settings, second->settings), "what was printed gives the same settings");
    must(first->text == second->text, "what was printed is printed again");
    return 0;
}
