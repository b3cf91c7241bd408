#include "ekeyd/sinks/file_sink.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#include "ekeyd/runtime/log.h"
#include "ekeyd/sinks/parameters.h"

namespace ekey {

Result<std::unique_ptr<Sink>> FileSink::make(Loop& loop, Pool& pool, const config::Address& address) {
    const auto rate = parse_stream_parameters(address);
    if (!rate) {
        return tl::unexpected(rate.error());
    }
    std::unique_ptr<FileSink> sink(new FileSink(loop, pool, address, *rate));
    if (const auto fd = sink->open(); !fd) {
        return fail("sink " + address.text + ": " + fd.error().what);
    }
    sink->start();
    return sink;
}

FileSink::FileSink(Loop& loop, Pool& pool, const config::Address& address, std::uint64_t rate)
    : StreamSink(loop, pool, address.text, rate), path_(address.rest) {}

Result<Fd> FileSink::open() {
    // O_NONBLOCK: a FIFO in the file's place must not hold the daemon; it is refused below.
    Fd fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
    const int error = errno;
    struct stat info {};
    if (fd ? fstat(fd.get(), &info) == 0 && !S_ISREG(info.st_mode) : error == ENXIO) {
        return fail(path_ + " is no regular file" +
                    (error == ENXIO || S_ISFIFO(info.st_mode) ? ": for a FIFO write fifo:" + path_ : ""));
    }
    if (!fd) {
        return fail("cannot open " + path_ + " for writing: " + std::strerror(error));
    }
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0 && !warned_) {
        warned_ = true;
        log::warning("the sink's file is open to others: chmod 0600", {{"path", path_}});
    }
    return fd;
}

bool FileSink::still_there(int fd) const {
    struct stat open_file {
    }, named{};
    return fstat(fd, &open_file) == 0 && stat(path_.c_str(), &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

} // namespace ekey
