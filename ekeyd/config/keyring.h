// The keyring: long-term keys by serial number, in the file format of ekeyd 1.1.5.
// One line a key: SERIAL_BASE64 KEY_BASE64. Lines that do not parse are skipped (and reported), as 1.1.5
// does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/runtime/secret.h"
#include "protocol/entropykey/keys.h"
#include "protocol/result.h"

namespace ekey::config {

class Keyring {
  public:
    Keyring();
    ~Keyring();
    Keyring(Keyring&&) noexcept;
    Keyring& operator=(Keyring&&) noexcept;

    // Reads a file of at most 1 MiB. Lines that are neither a key, empty nor a # comment are listed in
    // skipped()
    // ("line 3: ..."). remarks() are for people, too: that others may read or write the file, and lines that
    // took the place of earlier ones. Neither is an error: the file serves as it did with 1.1.5.
    static Result<Keyring> read(const std::string& path);
    static Keyring parse(std::string_view text);

    // The key lives in locked memory of the keyring; null when unknown. Valid until the keyring changes.
    const entropykey::LongTermKey* find(const entropykey::Serial& serial) const;
    std::size_t size() const;
    const std::vector<std::string>& skipped() const;
    const std::vector<std::string>& remarks() const;

    // Sets or replaces the one line of `serial` in the file at `path`, keeping every other line as it is: to
    // a temporary file beside it, fsync, rename, fsync of the folder, mode 0600. Creates the file when
    // missing. Two updates at once do not undo each other.
    static Result<void> update(const std::string& path, const entropykey::Serial& serial,
                               const entropykey::LongTermKey& key);

    // Whether update() could write there now; changes nothing. For whoever must not fail afterwards.
    static Result<void> may_update(const std::string& path);

  private:
    struct Entries;
    std::unique_ptr<Entries> entries_;
};

} // namespace ekey::config
