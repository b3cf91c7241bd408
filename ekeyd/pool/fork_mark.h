// Tells a process that was forked off from the one that set the mark.
#pragma once

#include <sys/types.h>

namespace ekey {

class ForkMark {
  public:
    // A page of its own that the kernel empties in a child (MADV_WIPEONFORK, Linux 4.14), so that asking
    // costs one read. Where the kernel has no such thing, the process id is compared. Throws
    // std::runtime_error when there is no memory.
    ForkMark();
    ~ForkMark();
    ForkMark(const ForkMark&) = delete;
    ForkMark& operator=(const ForkMark&) = delete;

    bool happened() const { return wiped_on_fork_ ? *page_ == 0 : process_changed(); }
    void reset(); // this process is the one from now on

  private:
    bool process_changed() const;

    volatile unsigned char* page_;
    bool wiped_on_fork_;
    pid_t process_;
};

} // namespace ekey
