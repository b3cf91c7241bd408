#include "ekeyd/sources/processor_noise_source.h"

#include <condition_variable>
#include <mutex>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"
#include "ekeyd/runtime/secret.h"

namespace ekey {

namespace {
// What the health tests release at once is 2,500 bytes; five rounds fill that.
constexpr std::size_t round_size = 512;
constexpr Duration retry_after = std::chrono::seconds(5);
} // namespace

// The thread fills `buffer`, then waits until the loop has taken it.
struct ProcessorNoiseSource::Shared {
    SecretBytes buffer{round_size};
    std::mutex mutex;
    std::condition_variable changed;
    bool wanted = true, filled = false, ended = false;
    std::string trouble;

    bool wait_until_wanted() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return ended || (wanted && !filled); });
        return !ended;
    }
    void give_up(std::string why) {
        const std::lock_guard lock(mutex);
        trouble = std::move(why);
        ended = true;
    }
    void run(const Maker& maker, AsyncWatcher& loop_side) {
        auto generator = refusal_as_error(maker);
        if (!generator) {
            give_up(generator.error().what);
            loop_side.send();
            return;
        }
        while (wait_until_wanted()) {
            if (auto done = (*generator)->fill(buffer.span()); !done) {
                give_up(done.error().what);
            } else {
                const std::lock_guard lock(mutex);
                filled = true;
            }
            loop_side.send();
        }
    }
};

ProcessorNoiseSource::ProcessorNoiseSource(Loop& loop, std::string path, Maker maker, double min_entropy)
    : path_(std::move(path)), maker_(std::move(maker)), min_entropy_(min_entropy), block_ready_(loop),
      retry_(loop) {
    retry_.bind<&ProcessorNoiseSource::begin>(this);
    block_ready_.bind<&ProcessorNoiseSource::on_block>(this);
    block_ready_.start();
}

ProcessorNoiseSource::~ProcessorNoiseSource() {
    end();
}

Result<void> ProcessorNoiseSource::start(SourceOwner& owner, bool) {
    owner_ = &owner;
    begin();
    return {};
}

void ProcessorNoiseSource::begin() {
    trouble_.clear();
    const auto begun = refusal_as_error([this]() -> Result<void> {
        shared_ = std::make_shared<Shared>();
        shared_->wanted = !paused_;
        thread_ = std::thread([this, &shared = *shared_] { shared.run(maker_, block_ready_); });
        return {};
    });
    if (begun) {
        owner_->on_restart();
        return;
    }
    shared_.reset();
    trouble_ = "its generator cannot be started: " + begun.error().what;
    owner_->on_failure(health::Failure::device, trouble_);
    retry_.start(retry_after);
}

// Waits for the round that is being computed, a few milliseconds.
void ProcessorNoiseSource::end() {
    if (!thread_.joinable()) {
        return;
    }
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->ended = true;
        shared_->changed.notify_one();
    }
    thread_.join();
    shared_.reset();
}

void ProcessorNoiseSource::on_block() {
    const auto shared = shared_; // on_samples() may lead to a reset
    if (!shared) {
        return;
    }
    std::unique_lock lock(shared->mutex);
    if (shared->filled) {
        lock.unlock(); // the thread leaves a full buffer alone
        bytes_made_ += shared->buffer.size();
        owner_->on_samples(shared->buffer.span());
        wipe(shared->buffer.span());
        lock.lock();
        shared->filled = false;
        shared->changed.notify_one();
    }
    if (shared->ended && shared == shared_ && trouble_.empty()) {
        trouble_ = shared->trouble;
        lock.unlock();
        owner_->on_failure(health::Failure::device, trouble_);
    }
}

void ProcessorNoiseSource::pause(bool on) {
    paused_ = on;
    if (shared_) {
        const std::lock_guard lock(shared_->mutex);
        shared_->wanted = !on;
        shared_->changed.notify_one();
    }
}

void ProcessorNoiseSource::reset() {
    end();
    retry_.stop();
    begin();
}

SourceStatus ProcessorNoiseSource::status() const {
    SourceStatus status;
    status.path = path_;
    status.ok = shared_ != nullptr && trouble_.empty();
    status.word = status.ok ? "Running OK" : "Failed";
    return status;
}

void ProcessorNoiseSource::add_statistics(Statistics& out) const {
    out.emplace_back("BytesRead", std::to_string(bytes_made_));
}

} // namespace ekey
