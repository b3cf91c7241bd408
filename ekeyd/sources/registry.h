// The drivers, by the kind that an address names. One more on USB is one more line in
// ekeyd/config/usb_dongles.inc.
#pragma once

#include <memory>

#include "ekeyd/config/address.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/sealed/node.h"
#include "ekeyd/sources/entropy_key.h"
#include "ekeyd/sources/source.h"
#include "ekeyd/sources/usb_driver.h"
#include "protocol/result.h"

namespace ekey {

// What a maker may need besides the address.
struct SourceContext {
    Loop& loop;
    EntropyKey::KeyLookup keys;
    std::function<Result<usb::Backend*>()> usb = {}; // starts USB when it is first asked for
    std::function<Result<SealedNode*>()> node = {};  // reads this host's key when it is first asked for
};

// For an address that means every dongle of a kind, now and later (entropykey:usb): its driver. Else null.
const UsbDriver* finds_many(const config::Address& address);

// Whether an address means every Entropy Key in a folder, now and later (entropykey:/dev/entropykey/).
bool finds_in_folder(const config::Address& address);

// A source that has not been started. Errors: unknown kind, a kind this build does not have, bad parameters.
Result<std::unique_ptr<Source>> make_source(const config::Address& address, const SourceContext& context);

// Says what is wrong with an address's form or parameters; opens nothing.
Result<void> check_source(const config::Address& address);

// What every source's address may say, whatever its kind.
struct SourceClaims {
    double min_entropy; // bits a byte, 0..8: min-entropy=
    bool fips; // whether FIPS 140-2 is applied: fips=yes|no, for raw noise that is not meant to look uniform
};
Result<SourceClaims> parse_claims(const config::Address& address, const Source& source);

} // namespace ekey
