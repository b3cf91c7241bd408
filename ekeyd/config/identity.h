// A host's static key for sealed links, and the file that it is in: a line of base64, which is the secret,
// and comment lines.
#pragma once

#include <string>

#include "ekeyd/runtime/secret.h"
#include "protocol/result.h"
#include "protocol/sealed/keys.h"

namespace ekey::config {

// In locked memory. It stays where it is when the Identity is moved.
class Identity {
  public:
    // A file of the same name in $CREDENTIALS_DIRECTORY that is long enough for a key is read in its place:
    // the service manager hands it to a user who may not read `path` (systemd.exec(5), LoadCredential=).
    // Errors: cannot be read, is no regular file, may be read by its group or by others, holds no key.
    static Result<Identity> read(const std::string& path);
    // Makes a key and the file, mode 0600. It takes its randomness from the kernel, and waits until that has
    // any. Errors: there is a file already, which is left alone; cannot be written.
    static Result<Identity> create(const std::string& path);

    const sealed::KeyPair& keys() const { return *keys_; }

  private:
    explicit Identity(const sealed::SecretKey& secret)
        : keys_(make_locked<sealed::KeyPair>(sealed::key_pair(secret))) {}
    Locked<sealed::KeyPair> keys_;
};

} // namespace ekey::config
