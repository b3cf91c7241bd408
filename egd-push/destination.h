// Where a push goes.
#pragma once

#include <memory>

#include "egd-push/kernel_pool.h"
#include "ekeyd/config/address.h"

namespace ekey {

class Destination {
  public:
    Destination() = default;
    Destination(const Destination&) = delete;
    Destination& operator=(const Destination&) = delete;
    virtual ~Destination() = default;

    // Takes all the bytes of a push, claimed to be worth `bits`. Returns the bits that were credited (0 where
    // credit has no meaning).
    virtual Result<unsigned> push(ByteView bytes, unsigned bits) = 0;

    // True: each upstream's bytes go in as they arrive, since a pool mixes. False: one run of bytes is made
    // of what all upstreams gave, since what comes later would replace what was there.
    virtual bool mixes() const = 0;
    // False: nothing should be fetched now, since it could not be put anywhere.
    virtual bool can_take() const { return true; }
    virtual bool gone() const { return false; } // for ever: nobody will read again
    virtual int need_fd() const { return -1; }  // as KernelPool's
};

class KernelDestination final : public Destination {
  public:
    explicit KernelDestination(std::unique_ptr<KernelPool> kernel) : kernel_(std::move(kernel)) {}
    Result<unsigned> push(ByteView bytes, unsigned bits) override {
        return ekey::push(*kernel_, bytes, bits);
    }
    bool mixes() const override { return true; }
    int need_fd() const override { return kernel_->need_fd(); }

  private:
    std::unique_ptr<KernelPool> kernel_;
};

// A file of exactly the bytes of the last push, mode 0600: whoever opens it sees the old ones or the new
// ones.
class FileDestination final : public Destination {
  public:
    enum class Kind {
        plain,
        // What systemd-random-seed.service credits when it boots from it, with 8 bits a byte: one that
        // carries the extended attribute of systemd_mark, which only bytes that are worth it get.
        seed,
    };
    static constexpr const char* systemd_mark = "user.random-seed-creditable";

    // Errors: the folder is missing or may not be written; something other than a regular file is in the way;
    // a seed is wanted where the file system keeps no such attribute.
    static Result<std::unique_ptr<Destination>> make(const std::string& path, Kind kind = Kind::plain);

    // Also fails when a seed was written whose bytes are worth less: it is there, unmarked.
    Result<unsigned> push(ByteView bytes, unsigned bits) override;
    bool mixes() const override { return false; }

  private:
    FileDestination(std::string path, Kind kind) : path_(std::move(path)), kind_(kind) {}
    std::string path_;
    Kind kind_;
};

// Standard output, or another descriptor; written to only when that cannot block.
class StreamDestination final : public Destination {
  public:
    explicit StreamDestination(int fd) : fd_(fd) {}
    Result<unsigned> push(ByteView bytes, unsigned bits) override;
    bool mixes() const override { return false; }
    bool can_take() const override;
    bool gone() const override { return gone_; }

  private:
    int fd_; // not owned
    bool gone_ = false;
};

// Errors: a sentence on what cannot be opened.
Result<std::unique_ptr<Destination>> make_destination(const config::Address& to, bool seed);

} // namespace ekey
