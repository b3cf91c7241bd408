#include "ekeyd/sources/usb/channel.h"

#include <algorithm>
#include <cassert>

namespace ekey::usb {

namespace {

// USB class codes (usb.org, "Defined Class Codes").
constexpr std::uint8_t cdc_control = 0x02, cdc_data = 0x0a;
constexpr std::uint8_t in_bit = 0x80;

// A device that fails this many transfers in a row is given up: opening it anew, after the driver's pause, is
// the stronger remedy.
constexpr unsigned most_troubles = 8;
constexpr Duration pause_after_trouble = std::chrono::milliseconds(100);

// One USB packet of high speed; drivers write commands of a few bytes.
constexpr std::size_t most_outgoing = 512;
// A packet has 512 bytes at most at high speed, 1,024 at super speed (USB 3.2, 8.12.2).
constexpr std::uint16_t largest_packet = 1024;

const Endpoint* bulk_endpoint(const Interface& interface, bool in) {
    const auto found =
        std::find_if(interface.endpoints.begin(), interface.endpoints.end(), [in](const Endpoint& e) {
            return e.bulk && ((e.address & in_bit) != 0) == in && e.packet_size > 0 &&
                   e.packet_size <= largest_packet;
        });
    return found == interface.endpoints.end() ? nullptr : &*found;
}

std::string why(End end) {
    switch (end) {
    case End::stalled: return "it stalls every transfer";
    case End::unplugged: return "unplugged";
    case End::timed_out: return "it does not answer";
    case End::done:
    case End::cancelled:
    case End::failed: break;
    }
    return "USB transfers fail";
}

// For `list`; an unplugged device needs no word.
constexpr const char *stalled = "Stalled", *failing = "Transfers fail";

std::string_view condition_after(End end) {
    return end == End::stalled ? stalled : end == End::unplugged ? "" : failing;
}

} // namespace

class Channel::Inside {
  public:
    explicit Inside(Channel& channel) : channel_(channel) { ++channel_.inside_; }
    ~Inside() { --channel_.inside_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

  private:
    Channel& channel_;
};

Channel::Channel(Loop& loop, std::unique_ptr<OpenDevice> device, Plan plan, LinkOwner& owner)
    : device_(std::move(device)), plan_(std::move(plan)), owner_(&owner),
      memory_(plan_.reads * plan_.packets_a_read * largest_packet), timer_(loop) {
    timer_.bind<&Channel::on_timer>(this);
}

Channel::~Channel() {
    assert(quiet());
    reads_.clear();
    request_.reset();
    write_.reset();
    // The data interface first: given back while the control interface is still ours, it stays without a
    // driver, and cdc_acm then takes both together.
    for (auto i = claimed_.rbegin(); i != claimed_.rend(); ++i) {
        device_->release(*i);
    }
}

// ---- opening

Result<void> Channel::find_endpoints() {
    const auto& all = device_->interfaces();
    for (const Interface& interface : all) {
        const Endpoint* in = bulk_endpoint(interface, true);
        if (in == nullptr) {
            continue;
        }
        if (plan_.vendor_in != 0) {
            const auto wanted = std::find_if(interface.endpoints.begin(), interface.endpoints.end(),
                                             [this](const Endpoint& e) {
                                                 return e.bulk && e.address == plan_.vendor_in &&
                                                        e.packet_size > 0 && e.packet_size <= largest_packet;
                                             });
            if (wanted == interface.endpoints.end()) {
                continue;
            }
            interfaces_ = {interface.number};
            in_.address = wanted->address;
            packet_size_ = wanted->packet_size;
            return {};
        }
        const Endpoint* out = bulk_endpoint(interface, false);
        if (interface.interface_class != cdc_data || out == nullptr) {
            continue;
        }
        for (const Interface& other : all) {
            if (other.interface_class == cdc_control && other.number < interface.number) {
                interfaces_ = {other.number}; // the nearest before it, in the order of the descriptors
            }
        }
        interfaces_.push_back(interface.number);
        in_.address = in->address;
        out_.address = out->address;
        packet_size_ = in->packet_size;
        return {};
    }
    return fail("the device has no such endpoints as its kind should have");
}

Result<void> Channel::claim() {
    for (const std::uint8_t number : interfaces_) {
        if (auto claimed = device_->claim(number); !claimed) {
            return claimed;
        }
        claimed_.push_back(number);
    }
    return {};
}

Result<void> Channel::open() {
    if (auto found = find_endpoints(); !found) {
        return found;
    }
    if (auto claimed = claim(); !claimed) {
        return claimed;
    }
    const std::size_t size = plan_.packets_a_read * packet_size_;
    for (std::size_t i = 0; i < plan_.reads; ++i) {
        reads_.push_back({memory_.span().subspan(i * size, size), device_->make_transfer(*this)});
    }
    write_ = device_->make_transfer(*this);
    request_ = device_->make_transfer(*this);
    timer_.start(Duration::zero()); // the owner gets its link before anything is told
    return {};
}

void Channel::next_request() {
    if (next_request_ == plan_.opening.size()) {
        begin_draining();
        return;
    }
    ControlRequest& request = plan_.opening[next_request_++];
    request.index = interfaces_.front();
    if (auto begun = request_->control(request); !begun) {
        lost(begun.error().what);
    }
}

void Channel::on_request_end(End end) {
    if (end == End::unplugged) {
        lost(why(end));
        return;
    }
    // A device that refuses a request of the tty's (a stall) may deliver all the same.
    const Duration pause = plan_.opening[next_request_ - 1].pause;
    if (pause > Duration::zero()) {
        timer_.start(pause);
    } else {
        next_request();
    }
}

void Channel::begin_draining() {
    phase_ = Phase::draining;
    drain_end_ = Loop::now() + plan_.drain_limit;
    timer_.start(plan_.drain_quiet);
    submit_reads();
}

void Channel::on_timer() {
    const Inside inside(*this);
    switch (phase_) {
    case Phase::opening: next_request(); break;
    case Phase::draining:
        phase_ = Phase::running;
        if (refused_) {
            refused_ = false;
            owner_->on_writable();
        }
        break;
    case Phase::running: resume(); break;
    case Phase::ended: owner_->on_lost(lost_why_); break; // shut() has stopped the timer when it came first
    }
}

// ---- the flow

void Channel::submit_reads() {
    for (Read& read : reads_) {
        if (!alive() || paused_ || in_.halted) {
            return;
        }
        if (!read.transfer->in_flight()) {
            if (auto begun = read.transfer->bulk(in_.address, read.buffer); !begun) {
                lost(begun.error().what);
            }
        }
    }
}

void Channel::submit_write() {
    if (!alive() || out_.halted || outgoing_.empty() || write_->in_flight()) {
        return;
    }
    if (auto begun = write_->bulk(out_.address, outgoing_); !begun) {
        lost(begun.error().what);
    }
}

std::size_t Channel::write(ByteView bytes) {
    if (!alive() || out_.address == 0) {
        return bytes.size(); // lost() has been told; there is nobody to write to
    }
    if (phase_ != Phase::running || !outgoing_.empty()) {
        refused_ = refused_ || !bytes.empty();
        return 0;
    }
    const ByteView taken = bytes.first(std::min(bytes.size(), most_outgoing));
    outgoing_.assign(taken.begin(), taken.end());
    refused_ = taken.size() < bytes.size();
    submit_write();
    return taken.size();
}

void Channel::pause(bool on) {
    paused_ = on;
    if (phase_ == Phase::draining || phase_ == Phase::running) {
        submit_reads();
    }
}

void Channel::on_transfer(Transfer& transfer, End end, std::size_t bytes) {
    const Inside inside(*this);
    if (!alive()) {
        wipe(memory_.span());
    } else if (&transfer == request_.get()) {
        on_request_end(end);
    } else if (&transfer == write_.get()) {
        on_write_end(end, bytes);
    } else {
        const auto read = std::find_if(reads_.begin(), reads_.end(),
                                       [&](const Read& r) { return r.transfer.get() == &transfer; });
        assert(read != reads_.end());
        on_read_end(*read, end, bytes);
    }
}

void Channel::on_read_end(Read& read, End end, std::size_t bytes) {
    const ByteSpan got = read.buffer.first(std::min(bytes, read.buffer.size()));
    if (!got.empty() && phase_ == Phase::draining) {
        timer_.start(std::max(Duration::zero(), std::min(plan_.drain_quiet, drain_end_ - Loop::now())));
    } else if (!got.empty()) {
        owner_->on_bytes(got); // may shut or pause us
    }
    wipe(got);
    if (!alive() || (end != End::done && !trouble(in_, end))) {
        return;
    }
    if (end == End::done) {
        in_.troubles = 0;
        submit_reads();
    }
}

void Channel::on_write_end(End end, std::size_t bytes) {
    outgoing_.erase(outgoing_.begin(),
                    outgoing_.begin() + static_cast<std::ptrdiff_t>(std::min(bytes, outgoing_.size())));
    if (end != End::done && !trouble(out_, end)) {
        return;
    }
    if (end == End::done) {
        out_.troubles = 0;
        submit_write(); // what is left, when a part went
    }
    if (outgoing_.empty() && refused_) {
        refused_ = false;
        owner_->on_writable();
    }
}

// ---- trouble

// False when it was too much.
bool Channel::trouble(Pipe& pipe, End end) {
    if (end == End::unplugged ||
        (end != End::cancelled && !pipe.halted && ++pipe.troubles >= most_troubles)) {
        lost(why(end), condition_after(end));
        return false;
    }
    pipe.stalls = end == End::cancelled ? pipe.stalls : end == End::stalled;
    if (end == End::stalled && !pipe.halted) {
        pipe.halted = true;
        for (Read& read : reads_) {
            if (&pipe == &in_ && read.transfer->in_flight()) {
                read.transfer->cancel();
            }
        }
    }
    if (pipe.halted) {
        clear_if_idle(pipe);
    } else if (phase_ == Phase::running && !timer_.active()) {
        timer_.start(pause_after_trouble);
    } else if (phase_ == Phase::draining) {
        submit_reads(); // at most most_troubles times in a row
    }
    return true;
}

void Channel::clear_if_idle(Pipe& pipe) {
    const auto flies = [](const Read& read) { return read.transfer->in_flight(); };
    const bool idle =
        &pipe == &in_ ? std::none_of(reads_.begin(), reads_.end(), flies) : !write_->in_flight();
    if (!idle || pipe.clearing) {
        return;
    }
    pipe.clearing = true;
    device_->clear_halt(pipe.address, [this, &pipe](bool cleared) {
        const Inside inside(*this);
        pipe.clearing = false;
        pipe.halted = false;
        if (!alive()) {
            return;
        }
        if (!cleared) {
            lost("its stall cannot be cleared", stalled);
            return;
        }
        resume();
    });
}

void Channel::resume() {
    submit_reads();
    submit_write();
}

std::string Channel::condition() const {
    if (!alive()) {
        return lost_condition_;
    }
    const auto stalling = [](const Pipe& pipe) { return pipe.troubles > 0 && pipe.stalls; };
    return stalling(in_) || stalling(out_) ? stalled : in_.troubles + out_.troubles > 0 ? failing : "";
}

void Channel::lost(std::string why_lost, std::string_view condition) {
    if (!alive()) {
        return;
    }
    cancel_all();
    lost_why_ = std::move(why_lost);
    lost_condition_ = condition;
    timer_.start(Duration::zero());
}

void Channel::cancel_all() {
    phase_ = Phase::ended;
    timer_.stop();
    for (Read& read : reads_) {
        if (read.transfer->in_flight()) {
            read.transfer->cancel();
        }
    }
    for (Transfer* other : {write_.get(), request_.get()}) {
        if (other != nullptr && other->in_flight()) {
            other->cancel();
        }
    }
}

void Channel::shut() {
    cancel_all();
    owner_ = nullptr;
}

bool Channel::quiet() const {
    const auto flies = [](const Transfer* t) { return t != nullptr && t->in_flight(); };
    return inside_ == 0 && !in_.clearing && !out_.clearing && !flies(write_.get()) &&
           !flies(request_.get()) &&
           std::none_of(reads_.begin(), reads_.end(), [&](const Read& r) { return flies(r.transfer.get()); });
}

} // namespace ekey::usb
