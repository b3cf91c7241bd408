#include "ekeyd/sources/raw_source.h"

#include <algorithm>
#include <array>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"
#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

namespace {
constexpr Duration first_retry = std::chrono::seconds(1);
constexpr Duration last_retry = std::chrono::seconds(60);
// A device that sends nothing for so long is opened anew. An Alea takes just under 2 s for its first block.
constexpr Duration longest_silence = std::chrono::seconds(10);
} // namespace

RawSource::RawSource(Loop& loop, std::string path, std::string serial, LinkOpener open, RawTraits traits)
    : path_(std::move(path)), serial_(std::move(serial)), open_(std::move(open)), traits_(std::move(traits)),
      retry_(loop), quiet_(loop), retry_after_(first_retry) {
    retry_.bind<&RawSource::on_retry>(this);
    quiet_.bind<&RawSource::on_quiet>(this);
}

Result<void> RawSource::start(SourceOwner& owner, bool must_open) {
    owner_ = &owner;
    auto opened = open();
    if (!opened && !must_open) {
        owner_->on_failure(health::Failure::silence, opened.error().what);
        retry_.start(retry_after_);
        return {};
    }
    return opened;
}

Result<void> RawSource::open() {
    link_.reset();
    lost_link_.reset();
    auto link = refusal_as_error([this] { return open_(*this); });
    if (!link) {
        return tl::unexpected(link.error());
    }
    link_ = std::move(*link);
    opened_ = Loop::now();
    bytes_before_ += bytes_read_;
    bytes_read_ = bytes_at_tick_ = 0;
    ++sessions_;
    to_discard_ = traits_.discarded;
    to_write_ = traits_.start;
    quiet_.every(longest_silence);
    owner_->on_restart();
    link_->pause(paused_ && traits_.pauses);
    on_writable();
    return {};
}

void RawSource::on_retry() {
    if (auto opened = open(); !opened) {
        trouble_.clear(); // gone, or not to be had
        retry_after_ = std::min(retry_after_ * 2, last_retry);
        retry_.start(retry_after_);
    } else {
        log::notice("source is opened again", {{"source", path_}});
    }
}

void RawSource::on_lost(const std::string& why) {
    trouble_ = link_->condition();
    lost_link_ = std::move(link_);
    lost("the device is gone: " + why);
}

void RawSource::lost(std::string why) {
    quiet_.stop();
    owner_->on_failure(health::Failure::silence, std::move(why));
    retry_.start(retry_after_);
    retry_after_ = std::min(retry_after_ * 2, last_retry);
}

void RawSource::on_quiet() {
    if (!paused_ && bytes_read_ == bytes_at_tick_) {
        trouble_ = "No answer";
        link_.reset();
        lost("the device sends nothing");
    }
    bytes_at_tick_ = bytes_read_;
}

void RawSource::pause(bool on) {
    paused_ = on;
    bytes_at_tick_ = ~std::uint64_t{0}; // the time of the pause is no silence
    if (link_ && traits_.pauses) {
        link_->pause(on);
    }
}

void RawSource::reset() {
    retry_.stop();
    on_retry();
}

void RawSource::on_bytes(ByteView bytes) {
    bytes_read_ += bytes.size();
    trouble_.clear();
    const std::size_t dropped = std::min(to_discard_, bytes.size());
    to_discard_ -= dropped;
    if (dropped < bytes.size()) {
        retry_after_ = first_retry;
        owner_->on_samples(bytes.subspan(dropped));
    }
}

void RawSource::on_writable() {
    while (link_ && !to_write_.empty()) {
        const std::size_t taken = link_->write(as_bytes(to_write_));
        if (taken == 0) {
            return;
        }
        to_write_.erase(0, taken);
    }
}

SourceStatus RawSource::status() const {
    SourceStatus status;
    status.path = path_;
    status.serial = serial_;
    status.closed = link_ == nullptr;
    status.word = link_ ? link_->condition() : "";
    if (status.word.empty()) {
        status.word = trouble_; // opened again, it has not shown yet that it is better now
    }
    status.ok = link_ != nullptr && status.word.empty() && bytes_read_ > 0;
    if (status.word.empty()) {
        status.word = !link_ ? "Key closed. (Vanished?)" : bytes_read_ == 0 ? "No answer" : "Running OK";
    }
    return status;
}

void RawSource::add_statistics(Statistics& out) const {
    const double seconds = link_ ? std::chrono::duration<double>(Loop::now() - opened_).count() : 0;
    const double rate = seconds > 0 ? static_cast<double>(bytes_read_) * 8 / seconds : 0;
    out.emplace_back("BytesRead", std::to_string(bytes_read_));
    out.emplace_back("ConnectionTime", std::to_string(static_cast<std::uint64_t>(seconds)));
    out.emplace_back("ReadRate", std::to_string(static_cast<std::uint64_t>(rate)));
    out.emplace_back("Sessions", std::to_string(sessions_));
    out.emplace_back("AllSessionsBytesRead", std::to_string(bytes_before_ + bytes_read_));
}

Result<std::unique_ptr<Source>> make_raw_source(DongleMade made, RawTraits traits) {
    if (auto known = config::check_parameters(made.address, {"min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    return std::make_unique<RawSource>(made.context.loop, made.path, made.serial, std::move(made.open),
                                       std::move(traits));
}

} // namespace ekey
