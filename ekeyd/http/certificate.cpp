#include "ekeyd/http/certificate.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#include "ekeyd/runtime/account.h"
#include "ekeyd/runtime/handle.h"

namespace ekey::http {

namespace {

// Twenty certificates of 4096-bit RSA; a chain has two to four.
constexpr std::size_t longest_file = 65536;

struct Read {
    SecretBytes bytes;
    std::size_t size;
    mode_t mode;
    std::string_view text() const { return as_text(bytes.span().first(size)); }
};

CertificateFault unreadable(const std::string& what, int error) {
    const bool denied = error == EACCES;
    return {{what + " cannot be read: " + std::strerror(error) +
             (denied ? " (ekeyd runs as the user " + running_as() + ')' : "")},
            denied};
}

// Into locked memory, the certificate too: somebody may have given the key in its place.
tl::expected<Read, CertificateFault> read_file(const std::string& name, const std::string& path) {
    const std::string what = name + ' ' + path;
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) {
        return tl::unexpected(unreadable(what, errno));
    }
    struct stat about {};
    if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return fail(what + " is no regular file");
    }
    Read read{SecretBytes(longest_file + 1), 0, about.st_mode};
    for (ssize_t got = 1; got > 0 && read.size < read.bytes.size();
         read.size += static_cast<std::size_t>(got)) {
        got = ::read(file.get(), read.bytes.data() + read.size, read.bytes.size() - read.size);
        if (got < 0) {
            return tl::unexpected(unreadable(what, errno));
        }
    }
    if (read.size > longest_file) {
        return fail(what + " is longer than " + std::to_string(longest_file) + " bytes");
    }
    if (read.text().find("-----BEGIN ") == std::string_view::npos) {
        return fail(what + " is no PEM: no line of it begins with -----BEGIN");
    }
    return read;
}

bool holds(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

} // namespace

tl::expected<Certificate, CertificateFault> Certificate::read(const std::string& certificate_file,
                                                              const std::string& key_file) {
    auto certificate = read_file("certificate", certificate_file);
    if (!certificate) {
        return tl::unexpected(certificate.error());
    }
    if (!holds(certificate->text(), "-----BEGIN CERTIFICATE-----")) {
        return fail("certificate " + certificate_file + " holds no certificate");
    }
    if (holds(certificate->text(), "PRIVATE KEY-----")) {
        return fail("certificate " + certificate_file +
                    " holds a private key, too: keep that in a file of its own");
    }
    auto key = read_file("key", key_file);
    if (!key) {
        return tl::unexpected(key.error());
    }
    if (holds(key->text(), "-----BEGIN ENCRYPTED PRIVATE KEY-----") ||
        holds(key->text(), "Proc-Type: 4,ENCRYPTED")) {
        return fail("key " + key_file + " has a password: a daemon has nobody to ask for it");
    }
    if (!holds(key->text(), "PRIVATE KEY-----")) {
        return fail("key " + key_file + " holds no private key");
    }
    if ((key->mode & (S_IRWXO | S_IWGRP)) != 0) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(key->mode) & 07777u);
        return fail("key " + key_file + " is open to others (mode " + mode +
                    "): chmod 640 it or less, and make a new one if somebody may have read it");
    }
    SecretBytes exact(key->size + 1);
    std::memcpy(exact.data(), key->bytes.data(), key->size);
    return Certificate{std::string(certificate->text()), std::move(exact)};
}

Certificate::Fingerprint Certificate::fingerprint() const {
    const auto* chain_bytes = reinterpret_cast<const Byte*>(chain.data());
    crypto_generichash_state state;
    Fingerprint made;
    crypto_generichash_init(&state, nullptr, 0, made.size());
    crypto_generichash_update(&state, chain_bytes, chain.size() + 1); // with the zero behind it
    crypto_generichash_update(&state, key.data(), key.size());
    crypto_generichash_final(&state, made.data(), made.size());
    sodium_memzero(&state, sizeof state);
    return made;
}

} // namespace ekey::http
