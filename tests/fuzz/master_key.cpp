// Guards what people type: the master key from its card, and keys and serial numbers in base64
// (protocol/entropykey/keys.h).
// Promise: a key that is accepted is the key that was typed, wherever blanks stand; a wrong check byte is
// refused; a refusal holds nothing of what was typed.
#include <set>
#include <string>

#include "protocol/entropykey/base64.h"
#include "protocol/entropykey/keys.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::entropykey;

namespace {

std::string base64_of(ByteView bytes) {
    std::string text(base64::encoded_size(bytes.size()), '\0');
    base64::encode(bytes, {reinterpret_cast<Byte*>(text.data()), text.size()});
    return text;
}

// A refusal may count what was typed, and says nothing else of it: without its numbers it is one of a few
// sentences.
void check_refusal(const Error& refusal) {
    static const std::set<std::string> sentences{
        "a master key has # characters besides spaces, this one has #",
        "this master key is not base# of # or # bytes",
        "the master key's check byte does not fit: a character is mistyped",
        "a serial number has # characters of base#, this one has #",
        "this serial number is not base# of # bytes",
        "a long-term key has # characters of base#, this one has #",
        "this long-term key is not base# of # bytes",
    };
    std::string sentence;
    for (const char c : refusal.what) {
        const bool digit = c >= '0' && c <= '9';
        if (!digit || !sentence.ends_with('#'))
            sentence += digit ? '#' : c;
    }
    if (const auto end = sentence.rfind("has # character"); end != std::string::npos)
        sentence.resize(end + 5);
    must(sentences.contains(sentence), "a refusal holds nothing of what was typed");
}

void check_typed(std::string_view typed) {
    if (const auto key = parse_master_key(typed)) {
        std::string bare;
        for (const char c : typed)
            if (c != ' ' && (c < '\t' || c > '\r'))
                bare += c;
        std::array<Byte, 33> bytes;
        std::copy_n(key->data(), 32, bytes.begin());
        bytes[32] = check_byte(key->span());
        must(bare == base64_of(bytes) || bare == base64_of(ByteView(bytes).first(32)),
             "an accepted key is the key that was typed");
    } else {
        check_refusal(key.error());
    }
    if (const auto serial = parse_serial(typed))
        must(serial->base64() == typed, "an accepted serial number is what was typed");
    else
        check_refusal(serial.error());
    if (const auto key = parse_long_term_key(typed)) {
        std::array<char, 44> text;
        write_base64(*key, text);
        must(std::string_view(text.data(), text.size()) == typed, "an accepted key is what was typed");
    } else {
        check_refusal(key.error());
    }
}

// A key from its card, with the input's blanks between and, perhaps, its mistake in the check byte.
void check_card(Input in) {
    std::array<Byte, 33> bytes{};
    const ByteView some = in.take(32);
    std::copy(some.begin(), some.end(), bytes.begin());
    const MasterKey key{std::span<const Byte, 33>(bytes).first<32>()};
    const Byte mistake = in.byte();
    bytes[32] = check_byte(key.span()) ^ mistake;
    std::string typed;
    for (const char c : base64_of(bytes)) {
        typed.append(in.byte() % 4, " \t\r\n"[in.byte() % 4]);
        typed += c;
    }
    const auto read = parse_master_key(typed);
    must(read.has_value() == (mistake == 0), "a wrong check byte is refused, a right one is not");
    must(!read || *read == key, "a card's key is read, wherever blanks stand");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input{data, size};
    check_typed(as_text(input));
    check_card(Input(input));
    return 0;
}
