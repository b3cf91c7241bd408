// A softkey's device on a bench: a host that says what a test tells it, a clock of its own, prepared noise.
#pragma once

#include <doctest/doctest.h>

#include <deque>

#include "protocol/entropykey/packet.h"
#include "tests/softkey/device.h"
#include "tests/support/entropy_key_vectors.h"

namespace ekey::softkey {

using namespace std::chrono_literals;

// Gives out prepared bytes, then a pattern.
class PreparedNoise : public Noise {
  public:
    std::deque<Byte> bytes;
    bool endless = true;
    bool waiting = false; // there is none now
    char code = '0';
    bool ended() const override { return !waiting && code == '0'; }
    char failure() const override { return code; }
    bool fill(ByteSpan out) override {
        if (waiting || code != '0') {
            return false;
        }
        if (!endless && bytes.size() < out.size()) {
            return false;
        }
        for (Byte& byte : out) {
            byte = bytes.empty() ? ++pattern_ : bytes.front();
            if (!bytes.empty()) {
                bytes.pop_front();
            }
        }
        return true;
    }
    void add(const std::vector<Byte>& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

  private:
    Byte pattern_ = 0;
};

struct Bench final : DeviceOwner {
    Identity identity;
    PreparedNoise noise, nonces;
    std::vector<Byte> plaintext;
    std::vector<std::string> notes;
    std::optional<std::optional<Duration>> unplugged;
    std::optional<entropykey::LongTermKey> kept; // the last that was to be kept
    bool keeps = true;
    std::optional<Device> device;
    Time now{1h};

    void on_plaintext(ByteView bytes) override {
        plaintext.insert(plaintext.end(), bytes.begin(), bytes.end());
    }
    void on_note(const std::string& sentence) override { notes.push_back(sentence); }
    void on_unplugged(std::optional<Duration> back_after) override { unplugged = back_after; }
    bool keep_long_term_key(const entropykey::LongTermKey& key) override {
        kept = key;
        return keeps;
    }

    // rate 1000: a packet a millisecond, the first block after 78 ms.
    explicit Bench(const std::vector<std::string>& faults = {}, double rate = 1000) {
        const auto session = test::entropy_key_sessions().front().second;
        identity.serial = test::serial_at(session);
        identity.long_term_key =
            entropykey::parse_long_term_key(session.get<std::string>("long_term_key_base64")).value();
        identity.master_key =
            entropykey::parse_master_key(session.get<std::string>("long_term_rekey.master_key_base64"))
                .value();
        std::vector<Fault> parsed;
        for (const auto& text : faults) {
            parsed.push_back(parse_fault(text).value());
        }
        device.emplace(identity, noise, nonces, parsed, rate, *this);
        device->power_on(now);
    }

    std::string output() {
        const std::string out(as_text(device->pending_output()));
        device->consume_output(out.size(), now);
        return out;
    }
    std::string say(std::string_view command) {
        device->receive(as_bytes(command), now);
        return output();
    }
    // Lets time pass with a host that reads all, and returns what it read.
    std::string pass(Duration time) {
        const Time end = now + time;
        std::string out = output();
        while (device->deadline() <= end) {
            now = std::max(now, device->deadline());
            device->handle_timeout(0, now);
            out += output();
        }
        now = end;
        return out;
    }
    // Opens a session and returns once `packets` entropy packets were read, with all frames after the K
    // frame.
    std::string session(std::size_t packets) {
        say("\x03");
        say("KAAAA.");
        std::string out;
        while (count(out, 'E') < packets) {
            out += pass(1ms);
            REQUIRE(now < Time(2h));
        }
        return out;
    }
    static std::size_t count(const std::string& out, char type) {
        std::size_t found = 0;
        for (auto at = out.find("* "); at != std::string::npos; at = out.find("* ", at + 1)) {
            found += at + 2 < out.size() && out[at + 2] == type ? 1 : 0;
        }
        return found;
    }
};

} // namespace ekey::softkey
