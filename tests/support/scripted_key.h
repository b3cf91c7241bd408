// An Entropy Key for unit tests, driven by hand: it answers the host's commands when told to, and builds any
// frame. It keeps no time and sends nothing by itself.
#pragma once

#include <optional>
#include <string>

#include "protocol/entropykey/base64.h"
#include "protocol/entropykey/packet.h"

namespace ekey::test {

class ScriptedKey {
  public:
    ScriptedKey(const entropykey::Serial& serial, const entropykey::LongTermKey& key)
        : serial_(serial), key_(key) {
        forget();
    }

    const entropykey::Serial& serial() const { return serial_; }

    // Takes what the host wrote and returns the answers, in their order.
    std::string answer(ByteView commands) {
        std::string answers;
        for (const Byte byte : commands) {
            if (byte == entropykey::reset_command) {
                input_.clear();
                forget();
                answers += serial_frame();
                continue;
            }
            input_ += static_cast<char>(byte);
            if (byte == '.' && (input_[0] == 'K' || input_[0] == 'k'))
                answers += rekey(input_.substr(1, input_.size() - 2));
        }
        return answers;
    }

    // The session key is zero, as after a reset.
    void forget() {
        mac_.emplace(serial_, entropykey::SessionKey());
        pad_.reset();
    }

    std::string serial_frame() const { return binary(entropykey::PacketType::serial, 0, serial_.bytes); }
    std::string entropy(std::uint16_t sequence, ByteView plain) const {
        std::array<Byte, entropykey::block_size> sealed{};
        std::copy(plain.begin(), plain.end(), sealed.begin());
        if (pad_)
            pad_->apply(sequence, sealed, sealed);
        return binary(entropykey::PacketType::entropy, sequence, sealed);
    }
    std::string info(const std::string& reports) const { return text(entropykey::PacketType::info, reports); }
    std::string text(entropykey::PacketType type, const std::string& words = "words for people") const {
        entropykey::FrameBytes frame;
        entropykey::encode_text(frame, type, words, *mac_);
        return std::string(as_text(frame));
    }
    std::string binary(entropykey::PacketType type, std::uint16_t sub_code, ByteView bytes) const {
        entropykey::FrameBytes frame;
        entropykey::encode_binary(frame, type, sub_code, bytes, *mac_);
        return std::string(as_text(frame));
    }

    // Any content, sense or not, with a right MAC.
    std::string any(char type, char encoding, std::span<const Byte, entropykey::payload_size> payload) const {
        entropykey::FrameBytes frame;
        entropykey::encode_frame(frame, type, encoding, payload, *mac_);
        return std::string(as_text(frame));
    }

  private:
    std::string rekey(const std::string& base64_nonce) {
        std::array<Byte, 64> nonce;
        const auto size = entropykey::base64::decode(as_bytes(base64_nonce), nonce);
        input_.clear();
        if (!size)
            return text(entropykey::PacketType::unexpected);
        std::array<Byte, entropykey::block_size> device_nonce;
        device_nonce.fill(++rekeys_);
        const std::string frame =
            binary(entropykey::PacketType::session_key, static_cast<std::uint16_t>(*size), device_nonce);
        const auto session_key =
            entropykey::derive_session_key(serial_, key_, device_nonce, std::span(nonce).first(*size));
        mac_.emplace(serial_, session_key);
        pad_.emplace(serial_, session_key);
        return frame;
    }

    entropykey::Serial serial_;
    entropykey::LongTermKey key_;
    std::optional<entropykey::FrameMac> mac_;
    std::optional<entropykey::EntropyPad> pad_;
    std::string input_;
    Byte rekeys_ = 0;
};

} // namespace ekey::test
