// Becoming a daemon: the background, the pid file, the user to run as.
#pragma once

#include <string>

#include "ekeyd/runtime/handle.h"
#include "protocol/result.h"

namespace ekey {

// Moves the program to the background. Returns in the child only; the parent stays until the child calls
// ready() or ends, and exits with the child's status, so that whoever started the daemon learns whether it
// came up.
class Background {
  public:
    // `background` false: stays where it is, and ready() does nothing.
    static Result<Background> enter(bool background);
    void ready(); // releases the parent with status 0, and lets go of the terminal

  private:
    Fd parent_;
};

// Writes the process id to `path` (mode 0644) and holds a lock on it. Errors: cannot be written; another
// daemon holds it, with its process id. Removed by the destructor while it is still ours. An empty path does
// nothing.
class PidFile {
  public:
    static Result<PidFile> write(const std::string& path);
    PidFile() = default;
    PidFile(PidFile&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
    PidFile& operator=(PidFile&&) = delete;
    ~PidFile();

  private:
    std::string path_;
    Fd fd_;
};

// Raises the soft limit of open files to the hard one: each client takes a descriptor, and 1,024, the usual
// soft limit, is there for programs that use select(). Returns the limit that is then in force.
unsigned long raise_open_files_limit();

// Runs as `user` (and `group`, default the user's own) from here on, without a way back and without
// supplementary groups other than the user's. A process that runs as them already stays as it is. With
// `keep_sys_admin` the capability CAP_SYS_ADMIN stays: the kernel asks for it whenever entropy is credited.
// Empty names change nothing. Errors: unknown name, not permitted.
Result<void> drop_privileges(const std::string& user, const std::string& group, bool keep_sys_admin);

} // namespace ekey
