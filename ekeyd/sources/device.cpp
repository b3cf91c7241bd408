#include "ekeyd/sources/device.h"

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"

namespace ekey {

namespace {
constexpr std::size_t read_size = 512; // a slow device (2 kB/s) fills it in a fraction of the silence limit
constexpr Duration retry_after = std::chrono::seconds(5);
} // namespace

// The thread fills `buffer`, then waits until the loop has taken it: never more than one block ahead.
struct Device::Shared {
    Shared(Fd device_fd, Fd wake_fd, AsyncWatcher* watcher)
        : device(std::move(device_fd)), wake(std::move(wake_fd)), buffer(read_size), loop_side(watcher) {}

    Fd device;
    Fd wake; // an eventfd that ends a poll
    SecretBytes buffer;
    std::mutex mutex;
    std::condition_variable wanted_changed;
    AsyncWatcher* loop_side; // null once the loop's side has gone
    bool wanted = true;
    bool ended = false;
    std::size_t filled = 0;
    std::string trouble; // why reading ended

    void run();
    bool wait_until_wanted();
    void hand_over(ssize_t got, int error);
};

bool Device::Shared::wait_until_wanted() {
    std::unique_lock lock(mutex);
    wanted_changed.wait(lock, [&] { return ended || (wanted && filled == 0); });
    return !ended;
}

void Device::Shared::hand_over(ssize_t got, int error) {
    const std::lock_guard lock(mutex);
    if (ended) {
        return;
    }
    if (got > 0) {
        filled = static_cast<std::size_t>(got);
    } else {
        ended = true;
        trouble = got == 0 ? "end of file" : std::strerror(error);
    }
    if (loop_side != nullptr) {
        loop_side->send();
    }
}

void Device::Shared::run() {
    while (wait_until_wanted()) {
        pollfd waits[2] = {{device.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}};
        // A device that cannot be polled answers at once, and read() then waits.
        if (::poll(waits, 2, -1) < 0 && errno != EINTR) {
            hand_over(-1, errno);
            return;
        }
        if ((waits[1].revents & POLLIN) != 0) {
            return;
        }
        const ssize_t got = ::read(device.get(), buffer.data(), buffer.size());
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        hand_over(got, errno);
        if (got <= 0) {
            return;
        }
    }
}

Device::Device(Loop& loop, std::string path) : path_(std::move(path)), block_ready_(loop), retry_(loop) {
    block_ready_.bind<&Device::on_block>(this);
    retry_.bind<&Device::on_retry>(this);
    block_ready_.start();
}

Device::~Device() {
    stop_thread();
}

Result<void> Device::start(SourceOwner& owner, bool must_open) {
    owner_ = &owner;
    auto opened = open();
    if (!opened && !must_open) {
        lost(opened.error().what, true);
        return {};
    }
    return opened;
}

Result<void> Device::open() {
    struct stat status {};
    if (stat(path_.c_str(), &status) != 0) {
        return fail(path_ + ": " + std::strerror(errno));
    }
    if (!S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode)) {
        // The same bytes could be read again after every start, and an attacker may have read them before.
        lost("is neither a character device nor a FIFO: what a file holds is not noise", false);
        return {};
    }
    // A FIFO without a writer, or a tty without a carrier, must not hold up the open. Reading a FIFO waits in
    // poll(), reading a device (hw_random knows no poll) in read().
    const bool fifo = S_ISFIFO(status.st_mode);
    Fd fd(::open(path_.c_str(), (fifo ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd || (!fifo && fcntl(fd.get(), F_SETFL, 0) != 0)) {
        return fail(path_ + ": cannot be opened: " + std::strerror(errno));
    }
    Fd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return fail(path_ + ": no descriptor left to wake its reader: " + std::strerror(errno));
    }
    auto begun = refusal_as_error([&]() -> Result<std::shared_ptr<Shared>> {
        auto shared = std::make_shared<Shared>(std::move(fd), std::move(wake), &block_ready_);
        shared->wanted = !paused_;
        std::thread([shared] { shared->run(); }).detach();
        return shared;
    });
    if (!begun) {
        return fail(path_ + ": its reader cannot be started: " + begun.error().what);
    }
    shared_ = std::move(*begun);
    trouble_.clear();
    opened_ = Loop::now();
    owner_->on_restart();
    return {};
}

void Device::stop_thread() {
    if (!shared_) {
        return;
    }
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->ended = true;
        shared_->loop_side = nullptr;
    }
    // A thread inside a driver's read() ends when that returns; it holds its own share of what it needs.
    shared_->wanted_changed.notify_one();
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(shared_->wake.get(), &one, sizeof one);
    shared_.reset();
}

void Device::on_block() {
    if (!shared_) {
        return;
    }
    const auto shared = shared_; // on_samples may reset us
    std::unique_lock lock(shared->mutex);
    if (shared->filled > 0) {
        bytes_read_ += shared->filled;
        // The thread does not touch the buffer while filled is not 0.
        lock.unlock();
        owner_->on_samples(shared->buffer.span().first(shared->filled));
        wipe(shared->buffer.span());
        lock.lock();
        shared->filled = 0;
        shared->wanted_changed.notify_one();
    }
    if (shared->ended && shared == shared_) {
        const std::string why = shared->trouble;
        lock.unlock();
        lost(why, true);
    }
}

void Device::lost(const std::string& why, bool try_again) {
    stop_thread();
    trouble_ = why;
    owner_->on_failure(try_again ? health::Failure::silence : health::Failure::device, path_ + ": " + why);
    if (try_again) {
        retry_.start(retry_after);
    }
}

void Device::on_retry() {
    if (auto opened = open(); !opened) {
        lost(opened.error().what, true);
    }
}

void Device::pause(bool on) {
    paused_ = on;
    if (shared_) {
        const std::lock_guard lock(shared_->mutex);
        shared_->wanted = !on;
        shared_->wanted_changed.notify_one();
    }
}

void Device::reset() {
    stop_thread();
    retry_.stop();
    on_retry();
}

SourceStatus Device::status() const {
    SourceStatus status;
    status.path = "device:" + path_;
    status.serial = status.path; // it has none; the Munin plugin tells sources apart by it
    status.ok = shared_ != nullptr;
    status.word = shared_ ? "Running OK" : trouble_.empty() ? "Unknown" : "Closed";
    return status;
}

void Device::add_statistics(Statistics& out) const {
    const double open_for = shared_ ? std::chrono::duration<double>(Loop::now() - opened_).count() : 0;
    out.emplace_back("BytesRead", std::to_string(bytes_read_));
    out.emplace_back("ConnectionTime", std::to_string(static_cast<std::uint64_t>(open_for)));
    const double rate = open_for > 0 ? static_cast<double>(bytes_read_) * 8 / open_for : 0;
    out.emplace_back("ReadRate", std::to_string(static_cast<std::uint64_t>(rate)));
}

} // namespace ekey
