#include "ekeyd/metrics/host.h"

#include <charconv>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"

namespace ekey::metrics {

namespace {

std::optional<double> read_number(const char* path) {
    const Fd file(open(path, O_RDONLY | O_CLOEXEC));
    char text[32];
    const ssize_t got = file ? read(file.get(), text, sizeof text) : -1;
    unsigned value = 0;
    if (got <= 0 || std::from_chars(text, text + got, value).ec != std::errc{}) {
        return std::nullopt;
    }
    return value;
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

} // namespace

KernelFigures read_kernel() {
    return {read_number("/proc/sys/kernel/random/entropy_avail"),
            read_number("/proc/sys/kernel/random/poolsize")};
}

std::string host_name() {
    char name[256] = ""; // HOST_NAME_MAX is 64
    return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

double cpu_seconds() {
    rusage used{};
    return getrusage(RUSAGE_SELF, &used) == 0 ? seconds(used.ru_utime) + seconds(used.ru_stime) : 0;
}

} // namespace ekey::metrics
