// What a pollen server reads and writes, inside of HTTP: the form that a client sends, and the answer.
//
//     challenge=VALUE, in the query of a GET or the body of a POST
//     -> the SHA-512 of VALUE's bytes, decoded from the form, in lower-case hex, and a newline;
//        64 bytes of seed likewise
//
// There is no specification. The origin is the behaviour of Debian's pollen 4.21 and pollinate 4.33, beside
// which tests/system/pollen.py puts this.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey::pollen {

inline constexpr std::size_t seed_size = 64;              // bytes
inline constexpr std::size_t line_size = 2 * 64 + 1;      // SHA-512 and a seed are 64 bytes each
inline constexpr std::size_t answer_size = 2 * line_size; // characters
// Ours. pollinate sends 138 bytes: "challenge=" and 128 digits.
inline constexpr std::size_t longest_form = 4096;

// Whether a body with this Content-Type is a form: application/x-www-form-urlencoded in any case, whatever
// parameters follow. (The other kind of form, multipart/form-data, is sent by no client of pollen's.)
bool is_form(std::string_view content_type);

// The value of the first field "challenge" of a form (URL Standard, section 5.1), decoded: + is a space, %XX
// a byte. Nothing when there is none or it is empty. A field with a % that two hexadecimal digits do not
// follow is passed over.
std::optional<std::string> find_challenge(std::string_view form);

// The whole answer. It holds the seed: `out` is the caller's to wipe.
void write_answer(std::string_view challenge, std::span<const Byte, seed_size> seed,
                  std::span<char, answer_size> out);

} // namespace ekey::pollen
