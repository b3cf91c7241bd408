// Who may use a sealed listener: a file of public keys, a line each.
//
//     PUBLIC_KEY NAME [rate=BYTES_PER_S] [output=full-entropy|drbg] [credit=0..8]     # a comment
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/result.h"
#include "protocol/sealed/hello.h"

namespace ekey {

struct Peer {
    std::string name;         // for logs and lists
    std::uint64_t rate = 0;   // bytes a second; 0: as the listener says
    std::optional<bool> drbg; // output=; none: as the listener says
    Byte credit = sealed::Hello::no_advice;

    bool operator==(const Peer&) const = default;
};

class Peers {
  public:
    // Errors name the file and the line: no key, a key or a name that is there already, an unknown option or
    // a bad value, and a file that cannot be read, is larger than 1 MiB (some 12,000 peers), or may be
    // written by others, who could let themselves in.
    static Result<Peers> read(const std::string& path);
    static Result<Peers> parse(std::string_view text, const std::string& name);

    const Peer* find(const sealed::PublicKey& key) const; // null when unknown
    std::size_t size() const { return peers_.size(); }

  private:
    std::map<sealed::PublicKey, Peer> peers_;
};

} // namespace ekey
