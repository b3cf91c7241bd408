#include "ekeyd/runtime/standard_files.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace ekey {

void fill_standard_files() {
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (fcntl(number, F_GETFD) < 0 && errno == EBADF) {
            // The lowest number that is free, which is this one: those below it are open by now. It is not to
            // be written to where output was closed.
            const int access = number == STDIN_FILENO ? O_WRONLY : O_RDONLY;
            [[maybe_unused]] const int opened = ::open("/dev/null", access);
        }
    }
}

Result<void> flush_output(std::FILE* out) {
    if (std::fflush(out) != 0 || std::ferror(out) != 0) {
        return fail(std::string("cannot write to standard output: ") + std::strerror(errno));
    }
    return {};
}

} // namespace ekey
