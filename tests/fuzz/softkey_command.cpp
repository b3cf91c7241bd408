// Guards softkey's reader of commands (tests/softkey/command.h), which stands in for the device's.
// Promise: a command that is complete is what the host's own encoder writes for its nonce or MAC; nothing but
// the bytes since its first letter went into it; after clear() the reader is as new.
#include <cctype>
#include <string>

#include "protocol/entropykey/packet.h"
#include "tests/fuzz/fuzz.h"
#include "tests/softkey/command.h"

using namespace ekey;
using namespace ekey::fuzz;
using softkey::Command, softkey::CommandReader;

namespace {

// The host writes capital letters; devices take both.
bool is(std::string read, const std::string& command) {
    read[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(read[0])));
    return read == command;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    CommandReader reader;
    std::string since; // the last command or refusal
    for (const Byte byte : ByteView(data, size)) {
        since += static_cast<char>(byte);
        switch (reader.next(byte)) {
        case Command::none: continue;
        case Command::reset:
            must(byte == 0x03 || byte == 'R' || byte == 'r', "only three bytes are a reset");
            break;
        case Command::session_rekey:
            must(reader.nonce().size() <= CommandReader::nonce_limit, "a nonce can be counted in the answer");
            must(is(since, entropykey::session_rekey_command(reader.nonce())),
                 "a session re-key is what the host writes");
            break;
        case Command::long_term_rekey:
            must(reader.nonce().size() <= CommandReader::nonce_limit, "a nonce can be counted in the answer");
            must(is(since, entropykey::long_term_rekey_command(reader.nonce())),
                 "a long-term re-key is what the host writes");
            break;
        case Command::long_term_mac:
            must(is(since, entropykey::long_term_mac_command(reader.mac())),
                 "a nonce MAC is what the host writes");
            break;
        case Command::unexpected: break;
        }
        since.clear();
    }
    reader.clear();
    must(reader.next('K') == Command::none && reader.next('.') == Command::session_rekey &&
             reader.nonce().empty(),
         "after clear() the reader is as new");
    return 0;
}
