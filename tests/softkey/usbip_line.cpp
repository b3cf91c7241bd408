#include "tests/softkey/usbip_line.h"

#include <algorithm>

#include <sys/socket.h>

#include "ekeyd/config/address.h"
#include "ekeyd/runtime/tcp_socket.h"
#include "tests/softkey/runner.h"

namespace ekey::softkey {

namespace {
// Lists are short and hosts few; the bounds keep a client that only asks, or never reads, from growing us.
constexpr std::size_t connection_limit = 32;
constexpr std::size_t unsent_limit = 64 * 1024;
constexpr std::uint32_t full_speed = 2; // enum usb_device_speed of Linux
} // namespace

class UsbipServer::Connection final : LineOwner, Stream::Owner {
  public:
    Connection(Loop& loop, UsbipServer& server, Fd fd) : session_(server), stream_(loop, *this) {
        stream_.attach(std::move(fd), *this);
    }

    UsbipSession& session() { return session_; }
    bool closed() const { return !stream_.attached(); }
    void set_line(UsbipLine* line) { line_ = line; }
    void close();
    void flush();

  private:
    void on_input(ByteView bytes) override;
    void on_writable() override { flush(); }
    void on_host_changed() override {}
    void on_stream_closed() override { close(); }

    UsbipSession session_;
    Stream stream_;
    UsbipLine* line_ = nullptr;
    bool receiving_ = false;
};

class UsbipLine final : public Line, UsbipPort {
  public:
    UsbipLine(Loop& loop, UsbipServer& server, std::uint32_t index, std::string serial,
              const UsbPersonality& personality)
        : server_(server), index_(index), key_(std::move(serial), personality), again_(loop) {
        again_.bind<&UsbipLine::on_again>(this);
    }
    ~UsbipLine() override {
        unplug();
        *std::ranges::find(server_.lines_, this) = nullptr;
    }

    Result<void> plug_in(LineOwner& owner) override {
        owner_ = &owner;
        plugged_ = true;
        return {};
    }
    void unplug() override {
        plugged_ = false;
        again_.stop();
        if (auto* connection = std::exchange(connection_, nullptr)) {
            connection->set_line(nullptr);
            connection->close();
        }
    }
    std::size_t write(ByteView bytes) override {
        if (!has_host()) {
            return 0;
        }
        const std::size_t taken = connection_->session().answer_read(bytes);
        connection_->flush();
        return connection_ == nullptr ? 0 : taken; // the host may have gone
    }
    bool has_host() const override { return connection_ != nullptr && key_.configured() && !key_.crashed(); }
    // What was taken, the host had asked for; and while it does not ask, it does not read.
    std::size_t unread() const override {
        return connection_ != nullptr && connection_->session().read_waits() ? 0 : 1;
    }
    void watch(bool input, bool writable) override {
        if (connection_ == nullptr) {
            return;
        }
        connection_->session().accept_writes(input);
        if (connection_ != nullptr) {
            connection_->flush();
        }
        if (writable && has_host() && connection_->session().read_waits()) {
            again_.start(Duration::zero());
        }
    }

    void stall_reads(std::uint64_t times) override {
        key_.stall_reads(times);
        if (connection_ != nullptr) {
            connection_->session().stall_waiting();
            connection_->flush();
        }
    }
    void mute(bool on) override {
        muted_ = on;
        if (connection_ != nullptr) {
            connection_->session().mute(on);
        }
        if (connection_ != nullptr) {
            connection_->flush();
        }
    }

    bool is_free() const { return plugged_ && connection_ == nullptr; }
    void on_detached() {
        connection_ = nullptr;
        key_.reset();
        owner_->on_host_changed();
    }
    UsbipPort& port() { return *this; }
    usbip::DeviceEntry entry() const override {
        const std::string busid = "1-" + std::to_string(index_ + 1);
        return {.path = "/sys/devices/softkey/usb1/" + busid,
                .busid = busid,
                .bus = 1,
                .number = index_ + 2, // 1 is the hub's
                .speed = full_speed,
                .vendor = key_.personality().vendor,
                .product = key_.personality().product,
                .release = key_.personality().release,
                .device_class = 2,
                .configurations = 1,
                .interfaces = {{2, 2, 1}, {10, 0, 0}}};
    }

  private:
    UsbKey& key() override { return key_; }
    void on_imported(UsbipSession& session) override {
        const auto found = std::ranges::find_if(
            server_.connections_, [&](const auto& connection) { return &connection->session() == &session; });
        connection_ = found->get();
        connection_->set_line(this);
        session.mute(muted_);
        key_.reset();
        owner_->on_powered_up();
    }
    void on_configuration() override { owner_->on_host_changed(); }
    void on_crashed() override {
        say("FIRMWARE CRASH: a host has sent SET_CONTROL_LINE_STATE, which no Entropy Key survives; device " +
            entry().busid + " answers nothing more until it is unplugged");
        owner_->on_host_changed();
    }
    void on_dtr(bool on) override { owner_->on_dtr(on); }
    void on_bulk_out(ByteView bytes) override { owner_->on_input(bytes); }
    void on_read_waits() override { owner_->on_writable(); }
    void on_again() { owner_->on_writable(); }

    UsbipServer& server_;
    std::uint32_t index_;
    UsbKey key_;
    Timer again_;
    LineOwner* owner_ = nullptr;
    UsbipServer::Connection* connection_ = nullptr;
    bool plugged_ = false, muted_ = false;
};

void UsbipServer::Connection::close() {
    session_.detach();
    stream_.detach();
    if (auto* line = std::exchange(line_, nullptr)) {
        line->on_detached();
    }
}

void UsbipServer::Connection::on_input(ByteView bytes) {
    receiving_ = true;
    const auto done = session_.receive(bytes);
    receiving_ = false;
    if (!done) {
        say(done.error().what + "; its connection is closed");
        close();
        return;
    }
    flush();
}

// While bytes are received, what they cause is sent together.
void UsbipServer::Connection::flush() {
    if (receiving_ || closed()) {
        return;
    }
    while (!session_.pending_output().empty()) {
        const std::size_t written = stream_.write(session_.pending_output());
        if (written == 0) {
            break;
        }
        session_.consume_output(written);
    }
    const std::size_t unsent = session_.pending_output().size();
    stream_.watch(unsent<unsent_limit, unsent> 0);
}

UsbipServer::UsbipServer(Loop& loop) : loop_(loop) {}
UsbipServer::~UsbipServer() = default;

Result<std::unique_ptr<UsbipServer>> UsbipServer::open(Loop& loop, const std::string& host_port) {
    const auto where = config::parse_host_port(host_port);
    if (!where) {
        return fail("--usbip " + host_port + ": " + where.error().what);
    }
    auto listeners = listen_tcp(where->host, where->port);
    if (!listeners) {
        return fail("--usbip " + host_port + ": " + listeners.error().what);
    }
    auto server = std::make_unique<UsbipServer>(loop);
    server->listeners_ = std::move(*listeners);
    for (const Fd& listener : server->listeners_) {
        auto& accept = server->accepts_.emplace_back(std::make_unique<IoWatcher>(loop));
        accept->bind<&UsbipServer::on_connection>(server.get());
        accept->watch(listener.get(), IoWatcher::readable);
    }
    return server;
}

std::unique_ptr<Line> UsbipServer::add(const std::string& serial, const UsbPersonality& personality) {
    auto line = std::make_unique<UsbipLine>(loop_, *this, static_cast<std::uint32_t>(lines_.size()), serial,
                                            personality);
    lines_.push_back(line.get());
    return line;
}

std::string UsbipServer::path() const {
    return bound_host_port(listeners_.front().get()) + "/1-" + std::to_string(lines_.size());
}

std::vector<usbip::DeviceEntry> UsbipServer::free_devices() {
    std::vector<usbip::DeviceEntry> entries;
    for (const UsbipLine* line : lines_) {
        if (line != nullptr && line->is_free()) {
            entries.push_back(line->entry());
        }
    }
    return entries;
}

UsbipPort* UsbipServer::find(std::string_view busid) {
    const auto line = std::ranges::find_if(lines_, [&](const UsbipLine* candidate) {
        return candidate != nullptr && candidate->is_free() && candidate->entry().busid == busid;
    });
    return line == lines_.end() ? nullptr : &(*line)->port();
}

void UsbipServer::on_connection(int) {
    std::erase_if(connections_, [](const auto& connection) { return connection->closed(); });
    for (const Fd& listener : listeners_) {
        while (true) {
            Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!client) {
                break;
            }
            if (connections_.size() < connection_limit) {
                connections_.push_back(std::make_unique<Connection>(loop_, *this, std::move(client)));
            }
        }
    }
}

} // namespace ekey::softkey
