// This host among those that sealed links join: its key, and where its noise has been (the path that
// protocol/sealed/README.md describes, "Relays").
#pragma once

#include <functional>
#include <map>

#include "ekeyd/config/identity.h"
#include "protocol/sealed/hello.h"

namespace ekey {

class SealedNode {
  public:
    explicit SealedNode(config::Identity identity) : identity_(std::move(identity)) {}
    SealedNode(const SealedNode&) = delete;
    SealedNode& operator=(const SealedNode&) = delete;

    const sealed::KeyPair& keys() const { return identity_.keys(); }
    // What a client is told.
    const sealed::Hello& offer() const { return offer_; }

    // `upstream` (any address, one for each) has said this of itself. Errors: its noise comes from here, has
    // come too far, or our path would be longer than a path may be; then nothing changes. What an upstream
    // has said stays until it says something else or is forgotten: while it is away, its noise may still be
    // in our pool.
    sealed::Fault accept(const void* upstream, const sealed::Hello& hello);
    void forget(const void* upstream);

    // Called when our clients have been told less than there is to tell: they are to come anew.
    void on_path_grown(std::function<void()> call) { path_grown_ = std::move(call); }

  private:
    std::optional<sealed::Hello> make_offer() const;

    config::Identity identity_;
    std::map<const void*, sealed::Hello> upstreams_;
    sealed::Hello offer_ = *make_offer();
    std::function<void()> path_grown_;
};

} // namespace ekey
