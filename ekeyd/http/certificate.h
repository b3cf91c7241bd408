// What a listener shows of itself over TLS: its certificate, and the key to it.
#pragma once

#include <array>
#include <string>

#include "ekeyd/runtime/secret.h"
#include "protocol/result.h"

namespace ekey::http {

// Why there is none.
struct CertificateFault : Error {
    // NOLINTNEXTLINE(google-explicit-constructor): most are no more than an Error
    CertificateFault(Error error, bool denied = false) : Error(std::move(error)), permission(denied) {}
    bool permission; // it is there, and this user may not read it
};

struct Certificate {
    std::string chain; // PEM: the server's, then those between it and the one that clients know
    SecretBytes key;   // PEM, with a zero behind it

    // Reads both files. Errors name the file and what is wrong with it: it cannot be read (by whom, when that
    // is why), is no PEM, holds no certificate or no key, the key has a password, or others than its owner
    // and its group may read it. Whether the two belong together is for the TLS library to say.
    static tl::expected<Certificate, CertificateFault> read(const std::string& certificate_file,
                                                            const std::string& key_file);

    // Tells whether the files are others than before, without keeping them.
    using Fingerprint = std::array<Byte, 32>;
    Fingerprint fingerprint() const;
};

} // namespace ekey::http
