// An Entropy Key in software: what the host writes goes in, what the host reads comes out. No line, no clock.
// Source of the rules: README.protocol of ekeyd 1.1.5 (protocol version 0); the pace is that of a real
// UDEKEY01.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/entropykey/frame.h"
#include "protocol/entropykey/keys.h"
#include "protocol/entropykey/packet.h"
#include "tests/softkey/command.h"
#include "tests/softkey/fault.h"
#include "tests/softkey/noise.h"
#include "tests/softkey/report.h"

namespace ekey::softkey {

struct Identity {
    entropykey::Serial serial;
    entropykey::LongTermKey long_term_key;
    entropykey::MasterKey master_key;
};

// What whoever runs the device wants to know. Views are valid during the call.
class DeviceOwner {
  public:
    // 32 bytes that left in an intact frame, once each: a frame that is broken or lost is not counted here,
    // and a replayed one only the first time. So this is what an honest host decrypts.
    virtual void on_plaintext(ByteView bytes) = 0;
    // A sentence about a fault: where it began or ended, in packets and in bytes of plaintext.
    virtual void on_note(const std::string& sentence) = 0;
    // The device is gone from its line. power_on() is to follow after the given time, or never.
    virtual void on_unplugged(std::optional<Duration> back_after) = 0;
    // The device is about to answer with a new long-term key. False: it cannot be kept, the old one stays.
    virtual bool keep_long_term_key(const entropykey::LongTermKey& key) = 0;
    // A fault of the line's, stall or mute, begins; on a line that cannot do it, nothing happens.
    virtual void on_line_fault(const Fault&) {}

  protected:
    ~DeviceOwner() = default;
};

// Holds keys: it belongs in locked memory (make_locked).
class Device {
  public:
    // `noise` makes the entropy, `nonces` the device's nonces; both and `owner` must outlive the device.
    // `rate` is in entropy packets a second; 0 is as fast as the line takes them.
    Device(const Identity& identity, Noise& noise, Noise& nonces, std::vector<Fault> faults, double rate,
           DeviceOwner& owner);

    void power_on(Time now);

    // What the host wrote, in one piece as it came. Cut into USB packets of 64 bytes here.
    void receive(ByteView bytes, Time now);

    // Bytes for the host. Bounded: while output_limit bytes wait, packets are held back, none is lost.
    static constexpr std::size_t output_limit = 8 * entropykey::frame_size;
    ByteView pending_output() const;
    void consume_output(std::size_t written, Time now);
    // A host came or went: what waited for the one before is stale, and what it missed is not made up for.
    void change_host(Time now);
    // False while so many answers wait that the host is not to be read; a real key then refuses packets too.
    bool accepts_input() const { return output_.size() - output_begin_ < 4 * output_limit; }

    Time deadline() const; // Time::max() when nothing is to come by itself
    // `unread`: bytes that the host has not fetched from the line yet. What is only said again and again
    // (k and I frames) waits until there are none, so that nothing stale piles up where nobody reads.
    void handle_timeout(std::size_t unread, Time now);

    bool powered() const { return powered_; }

    // The noise has more, or has failed its tests (Noise::on_change).
    void noise_changed(Time now);
    void switch_off();
    // One more fault, from the next entropy packet on and until all are mended, whatever its numbers say.
    void add_fault(Fault fault);
    void mend(Time now);
    // What may go out in one piece.
    std::size_t piece() const;

  private:
    void reset();
    void answer_session_rekey();
    void answer_long_term_mac();
    void answer_long_term_rekey();
    void answer_unexpected(Byte byte);

    Duration block_time() const { return interval_ * packets_in_block; }
    bool room() const { return output_.size() - output_begin_ < output_limit; }
    bool may_send() const { return session_open_ && sequence_ <= entropykey::last_sequence; }
    void send_due_packets(Time now);
    void ask_for_rekey(bool heard, Time now);
    void send_info(bool heard, Time now);
    void send_packet(Time now);
    bool begin_faults(Time now); // true: this packet is not to be sent (now)
    void begin_line_faults();
    void begin_not_answering();
    void cut_frame(const Fault& fault);
    void power_off(const Fault& fault);
    bool make_plaintext(std::span<Byte, entropykey::block_size> out);
    void emit_entropy(std::span<const Byte, entropykey::block_size> plaintext);
    void emit(const entropykey::FrameBytes& frame);
    void emit_text(entropykey::PacketType type, std::string_view text);
    void emit_binary(entropykey::PacketType type, std::uint16_t sub_code, ByteView bytes);
    void stop_generators(char code);
    void discard_output();
    void set_session_key(const entropykey::SessionKey& key);
    const Fault* covering(FaultKind kind) const;
    void note(const Fault& fault, std::string_view what);

    Identity identity_;
    Noise& noise_;
    Noise& nonces_;
    std::vector<Fault> faults_;
    std::vector<bool> begun_; // of faults_
    Duration interval_;       // between packets; zero: as fast as the line takes them
    DeviceOwner& owner_;

    // Since power-on.
    bool powered_ = false;
    std::optional<entropykey::FrameMac> mac_;
    std::optional<entropykey::EntropyPad> pad_;
    bool session_open_ = false;
    std::uint16_t sequence_ = 0; // of the next packet; past last_sequence: wait for a re-key
    std::optional<std::array<Byte, entropykey::mac_size>> unlocked_; // by an M command, for one L command
    CommandReader commands_;
    Report report_;
    Time next_packet_{}, next_request_{}, next_info_{};
    std::optional<Time> silent_until_;
    std::optional<Fault> cut_; // unplugged once the part of a frame that waits has gone out

    // Over the whole run.
    std::uint64_t packets_ = 0, plaintext_bytes_ = 0, unanswered_left_ = 0;
    bool noise_ended_ = false, noise_awaited_ = false;
    std::optional<std::array<Byte, entropykey::block_size>> stuck_block_;

    std::vector<Byte> output_;
    std::size_t output_begin_ = 0; // what lies before is written
};

} // namespace ekey::softkey
