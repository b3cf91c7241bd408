#include "tests/softkey/usbip_session.h"

#include <algorithm>

namespace ekey::softkey {

using usbip::Status;

Result<void> UsbipSession::receive(ByteView bytes) {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    std::size_t done = 0;
    while (!ended_) {
        const ByteView rest = ByteView(input_).subspan(done);
        const auto taken = port_ == nullptr ? take_operation(rest) : take_request(rest);
        if (!taken) {
            return tl::unexpected(taken.error());
        }
        if (*taken == 0) {
            break;
        }
        done += *taken;
    }
    // At most one unfinished request stays: its bound is a header and transfer_limit.
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(done));
    return {};
}

void UsbipSession::detach() {
    ended_ = true;
    port_ = nullptr;
    reads_.clear();
    unanswered_.clear();
    writes_.clear();
}

Result<std::size_t> UsbipSession::take_operation(ByteView bytes) {
    const auto operation = usbip::decode_operation(bytes);
    if (!operation || !*operation) {
        return operation ? Result<std::size_t>(0) : tl::unexpected(operation.error());
    }
    if (const auto* import = std::get_if<usbip::ImportRequest>(&**operation)) {
        if (UsbipPort* port = ports_.find(import->busid)) {
            port_ = port;
            device_ = port->entry().id();
            usbip::encode_import_reply(output_, port->entry());
            port->on_imported(*this);
        } else {
            usbip::encode_import_refusal(output_);
        }
    } else {
        usbip::encode_list_reply(output_, ports_.free_devices());
    }
    return usbip::size(**operation);
}

Result<std::size_t> UsbipSession::take_request(ByteView bytes) {
    const auto request = usbip::decode_request(bytes);
    if (!request || !*request) {
        return request ? Result<std::size_t>(0) : tl::unexpected(request.error());
    }
    if (const auto* what = std::get_if<usbip::Unlink>(&**request)) {
        if (what->device != device_) {
            return fail("a USB/IP host names a device that it has not imported");
        }
        unlink(*what);
        return usbip::urb_header_size;
    }
    const auto& what = std::get<usbip::Submit>(**request);
    if (what.device != device_) {
        return fail("a USB/IP host names a device that it has not imported");
    }
    const std::size_t size = usbip::urb_header_size + what.data_size();
    if (bytes.size() < size) {
        return 0;
    }
    if (auto done = submit(what, bytes.subspan(usbip::urb_header_size, what.data_size())); !done) {
        return tl::unexpected(done.error());
    }
    return size;
}

Result<void> UsbipSession::submit(const usbip::Submit& what, ByteView data) {
    const auto address = static_cast<Byte>(what.endpoint | (what.in ? 0x80U : 0U));
    UsbKey& key = port_->key();
    if (reads_.size() + unanswered_.size() + writes_.size() >= waiting_limit ||
        writes_size_ + data.size() > waiting_data_limit) {
        return fail("a USB/IP host has more transfers in flight than a host has");
    }
    if (key.crashed()) {
        unanswered_.push_back(what);
    } else if (what.endpoint == 0) {
        control(what, data);
    } else if (!key.configured() || !key.has_endpoint(address) || key.halted(address)) {
        usbip::encode_submit_reply(output_, what, Status::stall, 0, {});
    } else if (!what.in) {
        writes_.push_back({what, {data.begin(), data.end()}});
        writes_size_ += data.size();
        take_writes();
    } else if (what.endpoint == key.personality().bulk_in) {
        reads_.push_back(what);
        stall_waiting();
        if (read_waits()) {
            port_->on_read_waits();
        }
    } else {
        unanswered_.push_back(what); // a key has nothing to notify
    }
    return {};
}

void UsbipSession::control(const usbip::Submit& what, ByteView data) {
    UsbKey& key = port_->key();
    const bool was_configured = key.configured(), had_dtr = key.dtr();
    auto answer = key.control(what.setup, data);
    if (!answer) {
        unanswered_.push_back(what);
        unanswered_.insert(unanswered_.end(), reads_.begin(), reads_.end());
        reads_.clear();
        port_->on_crashed();
        return;
    }
    answer->data.resize(what.in ? std::min<std::size_t>(answer->data.size(), what.length) : 0);
    const std::size_t actual = what.in || answer->stall ? answer->data.size() : data.size();
    usbip::encode_submit_reply(output_, what, answer->stall ? Status::stall : Status::ok, actual,
                               answer->data);
    stall_halted();
    if (key.configured() != was_configured) {
        port_->on_configuration();
    } else if (key.dtr() != had_dtr) {
        port_->on_dtr(key.dtr());
    }
}

void UsbipSession::mute(bool on) {
    muted_ = on;
    if (port_ == nullptr || on) {
        return;
    }
    take_writes();
    if (!ended_ && read_waits()) {
        port_->on_read_waits();
    }
}

void UsbipSession::stall_waiting() {
    if (port_ != nullptr && !muted_ && !reads_.empty() && !port_->key().may_read()) {
        stall_halted();
    }
}

// A halt, or another configuration, ends what waits.
void UsbipSession::stall_halted() {
    const UsbKey& key = port_->key();
    if (!key.configured() || key.halted(0x80 | key.personality().bulk_in)) {
        for (const usbip::Submit& read : reads_) {
            usbip::encode_submit_reply(output_, read, Status::stall, 0, {});
        }
        reads_.clear();
    }
}

void UsbipSession::unlink(const usbip::Unlink& what) {
    const auto is_target = [&](const usbip::Submit& submit) { return submit.sequence == what.target; };
    const std::size_t erased = std::erase_if(reads_, is_target) + std::erase_if(unanswered_, is_target) +
                               std::erase_if(writes_, [&](const Write& write) {
                                   const bool found = is_target(write.submit);
                                   writes_size_ -= found ? write.data.size() : 0;
                                   return found;
                               });
    usbip::encode_unlink_reply(output_, what, erased > 0 ? Status::unlinked : Status::ok);
}

std::size_t UsbipSession::answer_read(ByteView bytes) {
    if (!read_waits() || bytes.empty()) {
        return 0;
    }
    const usbip::Submit read = reads_.front();
    reads_.pop_front();
    const ByteView data = bytes.first(std::min<std::size_t>(bytes.size(), read.length));
    usbip::encode_submit_reply(output_, read, Status::ok, data.size(), data);
    return data.size();
}

void UsbipSession::accept_writes(bool accept) {
    accepts_writes_ = accept;
    take_writes();
}

void UsbipSession::take_writes() {
    if (taking_writes_) { // from within on_bulk_out
        return;
    }
    taking_writes_ = true;
    while (!ended_ && accepts_writes_ && !muted_ && !writes_.empty()) {
        const Write write = std::move(writes_.front());
        writes_.pop_front();
        writes_size_ -= write.data.size();
        usbip::encode_submit_reply(output_, write.submit, Status::ok, write.data.size(), {});
        port_->on_bulk_out(write.data);
    }
    taking_writes_ = false;
}

void UsbipSession::consume_output(std::size_t count) {
    output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(count));
}

} // namespace ekey::softkey
