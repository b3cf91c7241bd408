// Who a softkey is, and what it keeps of that: the card of its owner, and its state over restarts.
#pragma once

#include <string>

#include "ekeyd/runtime/secret.h"
#include "protocol/entropykey/keys.h"
#include "protocol/result.h"
#include "tests/softkey/device.h"
#include "tests/softkey/options.h"

namespace ekey::softkey {

// The identity of device number `device`: from the card, the state file and the options; what they do not
// tell is made up (of the seed if there is one). Writes what the options say is to be written: a new card,
// the state, the line in the keyring. Errors name the file.
Result<Locked<Identity>> make_identity(const Options& options, unsigned device);

// Streams of one seed, kept apart by their number.
inline constexpr std::uint64_t entropy_stream = 0, nonce_stream = 1, identity_stream = 2, streams_of_one = 3;
std::unique_ptr<Noise> noise_for(const Options& options, unsigned device, std::uint64_t stream);

// A card is the two lines of text
//     Serial NwBvBlg3OTBJORFD
//     Master key AAAA AAAA ...
// where the master key is base64 of its 32 bytes and the check byte, in groups as people read it.
using CardText = SecretBytes;
CardText card_text(const Identity& identity);

// Makes the file, mode 0600; one that is there is never overwritten, because a lost card is a lost key.
Result<void> write_new_card(const std::string& path, const CardText& text);
// Sets serial number and master key. Errors name the file and what is wrong with it, never the key.
Result<void> read_card(const std::string& path, Identity& into);

// The state is a file in the keyring's form with the line of this key. False: there is none of it yet.
// Errors: it cannot be read, or is damaged, in which case making a new key would lose the one that the host
// has.
Result<bool> read_state(const std::string& path, Identity& into);
Result<void> write_state(const std::string& path, const entropykey::Serial& serial,
                         const entropykey::LongTermKey& key);

} // namespace ekey::softkey
