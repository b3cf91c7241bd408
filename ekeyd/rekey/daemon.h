// A running ekeyd must let go of the device while it gets a new key, and take it back with the new keyring.
#pragma once

#include <optional>
#include <string>

#include "ekeyd/ctl/connection.h"
#include "protocol/entropykey/keys.h"
#include "protocol/result.h"

namespace ekey::rekey {

class Daemon {
  public:
    // None when no daemon answers there.
    static std::optional<Daemon> find(const std::string& socket);

    // Removes the key of this serial number, or at this path, if the daemon has it.
    Result<void> release(const std::optional<entropykey::Serial>& serial, const std::string& device);
    bool had_it() const { return !path_.empty(); }

    Result<void> read_keyring(const std::string& keyring) const;
    // Adds what release() removed.
    Result<void> take_back() const;

  private:
    explicit Daemon(std::string socket) : socket_(std::move(socket)) {}
    // On a connection of its own: between two commands the device may take its time.
    Result<ctl::Connection::Answer> ask(const std::string& command) const;

    // A source's path, or its whole address if that has parameters such as min-entropy.
    std::string as_configured(const std::string& number, const std::string& path) const;

    std::string socket_;
    std::string path_; // or address, as the daemon calls it
};

} // namespace ekey::rekey
