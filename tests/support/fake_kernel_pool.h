// A kernel pool that remembers what it was told.
#pragma once

#include <string>
#include <vector>

#include "egd-push/kernel_pool.h"

namespace ekey {

class FakeKernelPool final : public KernelPool {
  public:
    // Outlives the pool that is handed to the object under test.
    struct Story {
        std::vector<std::string> calls; // "mix 32", "add 64 256", "reseed"
        std::vector<Byte> added, mixed; // all bytes, in their order
        bool may_credit = true, broken = false;
        unsigned pool_size = 256, entropy = 256;
        int need_fd = -1;
    };
    explicit FakeKernelPool(Story& story) : story_(story) {}

    Result<void> mix(ByteView bytes) override {
        story_.calls.push_back("mix " + std::to_string(bytes.size()));
        story_.mixed.insert(story_.mixed.end(), bytes.begin(), bytes.end());
        return outcome();
    }
    Result<Added> add(ByteView bytes, unsigned bits) override {
        story_.calls.push_back("add " + std::to_string(bytes.size()) + " " + std::to_string(bits));
        story_.added.insert(story_.added.end(), bytes.begin(), bytes.end());
        return outcome().map([this] { return story_.may_credit ? Added::credited : Added::mixed; });
    }
    Result<void> reseed() override {
        story_.calls.push_back("reseed");
        return outcome();
    }
    bool ready() const override { return true; }
    std::optional<unsigned> pool_size() const override { return story_.pool_size; }
    std::optional<unsigned> entropy_available() const override { return story_.entropy; }
    int need_fd() const override { return story_.need_fd; }

  private:
    Result<void> outcome() const {
        if (story_.broken) {
            return fail("the kernel is on fire");
        }
        return {};
    }
    Story& story_;
};

} // namespace ekey
