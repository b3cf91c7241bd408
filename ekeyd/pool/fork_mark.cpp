#include "ekeyd/pool/fork_mark.h"

#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

namespace ekey {

namespace {
const std::size_t page_size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

ForkMark::ForkMark() {
    void* page = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        throw std::runtime_error("no memory for a page that tells of a fork");
    }
    wiped_on_fork_ = madvise(page, page_size, MADV_WIPEONFORK) == 0;
    page_ = static_cast<volatile unsigned char*>(page);
    reset();
}

ForkMark::~ForkMark() {
    munmap(const_cast<unsigned char*>(page_), page_size);
}

void ForkMark::reset() {
    *page_ = 1;
    process_ = getpid();
}

bool ForkMark::process_changed() const {
    return getpid() != process_;
}

} // namespace ekey
