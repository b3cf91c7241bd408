#include "ekeyd/sources/upstream_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {
// To find the name, connect and shake hands: several round trips to anywhere, and lost packets sent again.
constexpr Duration longest_attempt = std::chrono::seconds(20);
// A link that is to be replaced waits so long for what it was asked for.
constexpr Duration longest_farewell = std::chrono::seconds(30);
constexpr std::size_t read_size = 4096;
} // namespace

UpstreamSource::UpstreamSource(Loop& loop, Options options)
    : options_(std::move(options)), connection_(loop, *this, options_.where), io_(loop), attempt_(loop),
      retry_(loop), renewal_(loop), received_(read_size), plaintext_(sealed::Transport::longest) {
    io_.bind<&UpstreamSource::on_readable>(this);
    attempt_.bind<&UpstreamSource::on_attempt_over>(this);
    retry_.bind<&UpstreamSource::on_retry>(this);
    renewal_.bind<&UpstreamSource::on_renewal>(this);
}

UpstreamSource::~UpstreamSource() {
    if (options_.node != nullptr) {
        options_.node->forget(this);
    }
}

// ---- the connection

Result<void> UpstreamSource::start(SourceOwner& owner, bool) {
    owner_ = &owner;
    connect();
    return {};
}

void UpstreamSource::connect() {
    disconnect();
    attempt_.start(longest_attempt);
    connection_.open(Loop::now() + longest_attempt);
}

void UpstreamSource::disconnect() {
    io_.stop();
    attempt_.stop();
    renewal_.stop();
    connection_.close();
    link_.reset();
    reader_ = {};
    open_ = renewing_ = false;
}

void UpstreamSource::on_connected() {
    io_.watch(connection_.fd(), IoWatcher::readable);
    if (options_.server) {
        shake_hands();
    } else {
        opened();
    }
}

void UpstreamSource::shake_hands() {
    try {
        link_ = make_locked<sealed::Initiator>(options_.node->keys(), *options_.server);
    } catch (const std::exception& refused) { // no memory may be locked
        lost(refused.what());
        return;
    }
    sealed::Hello hello;
    hello.path.push_back(options_.node->keys().public_key);
    sealed::SecretKey random;
    randombytes_buf(random.data(), random.size());
    std::array<Byte, sealed::Initiator::max_opening> out;
    const auto size = link_->open(&hello, random, Loop::now(), out);
    if (!size) {
        lost(std::string("key=: ") + sentence(sealed::Fault::weak_key));
    } else if (::send(connection_.fd(), out.data(), *size, MSG_NOSIGNAL) != static_cast<ssize_t>(*size)) {
        lost(std::string("cannot send the handshake: ") + std::strerror(errno));
    }
}

void UpstreamSource::opened() {
    attempt_.stop();
    open_ = true;
    opened_ = Loop::now();
    ++sessions_;
    if (link_) {
        // By the last tenth of its time, and not all of them at once.
        renewal_.start(jittered(options_.renew_after, 0.9, 1.0));
    }
    if (!std::exchange(resuming_, false)) {
        log::notice("upstream is connected", {{"source", options_.path}});
        trouble_.clear();
        owner_->on_restart();
    }
    // The server knows us by our first sealed message, which may be empty when there is nothing to ask.
    if (link_ && !send({})) {
        return;
    }
    ask();
}

void UpstreamSource::lost(const std::string& why) {
    disconnect();
    resuming_ = false;
    if (trouble_ != why) {
        log::warning("upstream is away, will try again", {{"source", options_.path}, {"reason", why}});
    }
    trouble_ = why;
    retry_.at(schedule_.after_failure(Loop::now()));
    owner_->on_failure(health::Failure::silence, options_.path + ": " + why);
}

void UpstreamSource::on_retry() {
    connect();
}

void UpstreamSource::on_attempt_over() {
    if (renewing_) {
        resuming_ = true;
        connect();
        return;
    }
    const char* const waits_for = connection_.waits_for();
    lost(std::string(waits_for != nullptr ? waits_for : "the server does not answer the handshake") +
         " within 20 s");
}

void UpstreamSource::on_renewal() {
    renewing_ = true;
    attempt_.start(reader_.outstanding() == 0 ? Duration::zero() : longest_farewell);
}

// ---- asking

void UpstreamSource::ask() {
    if (!open_ || paused_ || renewing_ || reader_.outstanding() > most_asked / 2) {
        return;
    }
    std::array<Byte, most_asked * egd::max_request> out;
    std::size_t size = 0;
    while (reader_.outstanding() < most_asked) {
        const egd::Request request{egd::Command::read_blocking, egd::max_count};
        reader_.expect(request);
        size += egd::encode_request(request, ByteSpan(out).subspan(size));
    }
    send(ByteView(out).first(size));
}

// A few bytes, when nothing else is on its way: less than the buffer of any socket. False: the source is
// lost.
bool UpstreamSource::send(ByteView bytes) {
    std::array<Byte, most_asked * egd::max_request + sealed::Transport::overhead> sealed;
    if (link_) {
        bytes = ByteView(sealed).first(link_->seal(bytes, sealed));
    }
    if (::send(connection_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(bytes.size())) {
        return true;
    }
    lost(std::string("cannot send a request: ") + std::strerror(errno));
    return false;
}

void UpstreamSource::on_readable(int events) {
    if ((events & IoWatcher::unwatchable) != 0) {
        lost("the kernel watches no more sockets for this user");
        return;
    }
    const ssize_t got = ::recv(connection_.fd(), received_.data(), received_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        lost(got == 0 ? closed_by_server() : std::string(std::strerror(errno)));
        return;
    }
    const ByteSpan received = received_.span().first(static_cast<std::size_t>(got));
    const bool going_on = link_ ? receive_sealed(received) : take(received);
    wipe(received);
    if (going_on && renewing_ && reader_.outstanding() == 0) {
        attempt_.start(Duration::zero());
    } else if (going_on) {
        ask();
    }
}

std::string UpstreamSource::closed_by_server() const {
    if (link_ && !link_->is_open()) {
        return "the server closed the connection during the handshake: does it know this host's public key, "
               "and is key= its own?";
    }
    return link_ && link_->at_end() != sealed::Fault::none ? sentence(link_->at_end())
                                                           : "the server closed the connection";
}

// False when the connection is lost.
bool UpstreamSource::receive_sealed(ByteView received) {
    const Time now = Loop::now();
    for (;;) {
        const auto step = link_->receive(received, now, plaintext_.span());
        received = received.subspan(step.used);
        switch (step.event) {
        case sealed::Initiator::Event::need_more: return true;
        case sealed::Initiator::Event::fault: lost(sentence(step.fault)); return false;
        case sealed::Initiator::Event::opened:
            if (const auto fault = options_.node->accept(this, link_->server());
                fault != sealed::Fault::none) {
                lost(sentence(fault));
                return false;
            }
            opened();
            break;
        case sealed::Initiator::Event::bytes:
            take(step.bytes);
            wipe(plaintext_.span());
            break;
        }
        if (!link_) {
            return false;
        }
    }
}

// False when the connection is lost.
bool UpstreamSource::take(ByteView answers) {
    // Answers to blocking reads have no header: the bytes lie as they are.
    for (ByteView rest = answers; !rest.empty();) {
        const auto step = reader_.receive(rest);
        if (step.event == egd::AnswerReader::Event::error) {
            lost(step.error);
            return false;
        }
        rest = rest.subspan(step.used);
    }
    schedule_.succeeded();
    bytes_read_ += answers.size();
    owner_->on_samples(answers);
    return open_;
}

// ---- what the pipeline says and sees

void UpstreamSource::pause(bool on) {
    paused_ = on;
    ask();
}

void UpstreamSource::reset() {
    retry_.stop();
    resuming_ = false;
    connect();
}

double UpstreamSource::most_min_entropy() const {
    const bool advised = !options_.claimed && link_ && link_->is_open() && link_->server().credit <= 8;
    return advised ? link_->server().credit : 8;
}

SourceStatus UpstreamSource::status() const {
    SourceStatus status;
    status.path = options_.path;
    status.serial = options_.server ? sealed::encode_key(*options_.server) : options_.path;
    status.ok = open_ || resuming_;
    status.word = status.ok ? "Running OK" : trouble_.empty() ? "Connecting" : "Away: " + trouble_;
    return status;
}

void UpstreamSource::add_statistics(Statistics& out) const {
    const double seconds = open_ ? std::chrono::duration<double>(Loop::now() - opened_).count() : 0;
    out.emplace_back("BytesRead", std::to_string(bytes_read_));
    out.emplace_back("ConnectionTime", std::to_string(static_cast<std::uint64_t>(seconds)));
    out.emplace_back("Sessions", std::to_string(sessions_));
    out.emplace_back("RequestsOutstanding", std::to_string(reader_.outstanding()));
    if (link_ && link_->is_open()) {
        out.emplace_back("RelayPath", std::to_string(link_->server().path.size()));
        out.emplace_back("HopLimit", std::to_string(link_->server().hop_limit));
    }
}

} // namespace ekey
