#include "ekeyd/sinks/fifo_sink.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#include "ekeyd/sinks/parameters.h"

namespace ekey {

Result<std::unique_ptr<Sink>> FifoSink::make(Loop& loop, Pool& pool, const config::Address& address) {
    const auto rate = parse_stream_parameters(address);
    if (!rate) {
        return tl::unexpected(rate.error());
    }
    std::unique_ptr<FifoSink> sink(new FifoSink(loop, pool, address, *rate));
    if (const auto ready = sink->prepare(); !ready) {
        return fail("sink " + address.text + ": " + ready.error().what);
    }
    sink->start();
    return sink;
}

FifoSink::FifoSink(Loop& loop, Pool& pool, const config::Address& address, std::uint64_t rate)
    : StreamSink(loop, pool, address.text, rate), path_(address.rest) {}

Result<void> FifoSink::prepare() const {
    if (mkfifo(path_.c_str(), 0600) != 0 && errno != EEXIST) {
        return fail("cannot make the FIFO " + path_ + ": " + std::strerror(errno));
    }
    struct stat info {};
    if (stat(path_.c_str(), &info) != 0) {
        return fail("cannot use " + path_ + ": " + std::strerror(errno));
    }
    if (!S_ISFIFO(info.st_mode)) {
        return fail(path_ + " is no FIFO" +
                    (S_ISREG(info.st_mode) ? ": for a file write file:" + path_ : ""));
    }
    if (access(path_.c_str(), W_OK) != 0) {
        return fail("cannot write to " + path_ + ": " + std::strerror(errno));
    }
    return {};
}

Result<Fd> FifoSink::open() {
    if (auto ready = prepare(); !ready) {
        return tl::unexpected(ready.error());
    }
    Fd fd(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        return fail(errno == ENXIO ? "no reader" : std::string(std::strerror(errno)));
    }
    struct stat info {};
    if (fstat(fd.get(), &info) != 0 || !S_ISFIFO(info.st_mode)) {
        return fail(path_ + " is no FIFO");
    }
    // One page: it is writable only when the reader has taken the last block, so that no more than that
    // lies in the kernel unread.
    fcntl(fd.get(), F_SETPIPE_SZ, 4096);
    return fd;
}

} // namespace ekey
