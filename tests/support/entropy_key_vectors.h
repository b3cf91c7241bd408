// The published and the made vectors of the Entropy Key protocol, in the project's own types.
#pragma once

#include <algorithm>

#include "protocol/entropykey/frame.h"
#include "protocol/entropykey/keys.h"
#include "tests/support/vectors.h"

namespace ekey::test {

inline Vectors entropy_key_vectors() {
    return load_vectors("entropy_key_v0.json");
}

inline Vectors entropy_key_sessions() {
    return entropy_key_vectors().get_child("sessions");
}

inline entropykey::Serial serial_at(const Vectors& vector) {
    return entropykey::parse_serial(vector.get<std::string>("serial_base64")).value();
}

inline entropykey::SessionKey session_key_at(const Vectors& vector) {
    return entropykey::SessionKey{std::span<const Byte, 32>(array_at<32>(vector, "session_key"))};
}

inline entropykey::FrameBytes frame_from(const std::string& text) {
    if (text.size() != entropykey::frame_size)
        throw std::runtime_error("a vector's frame has not 64 bytes");
    entropykey::FrameBytes frame;
    std::copy(text.begin(), text.end(), frame.begin());
    return frame;
}

inline entropykey::FrameBytes frame_at(const Vectors& vector, const char* name) {
    return frame_from(vector.get<std::string>(name));
}

} // namespace ekey::test
