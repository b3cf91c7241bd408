#include "tests/softkey/noise.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sodium.h>

#include "ekeyd/health/fips140_2.h"
#include "ekeyd/runtime/handle.h"

namespace ekey::softkey {

namespace {

// Eight blocks in ten thousand of perfect noise fail FIPS 140-2. A key tests what it sends, and so its host
// sees none of them at its startup test; neither does ours.
class KernelNoise : public Noise {
  public:
    bool fill(ByteSpan out) override {
        for (Byte& byte : out) {
            if (used_ == block_.size()) {
                refill();
            }
            byte = block_[used_++];
        }
        return true;
    }
    void power_on() override { used_ = block_.size(); }

  private:
    void refill() {
        do {
            randombytes_buf(block_.data(), block_.size());
        } while (!tests_.test(block_).passed());
        used_ = 0;
    }

    std::array<Byte, health::block_size> block_{};
    std::size_t used_ = health::block_size;
    health::Fips140_2 tests_;
};

class SeededNoise : public Noise {
  public:
    SeededNoise(const Seed& seed, std::uint64_t stream) : key_(seed) {
        for (std::size_t i = 0; i < nonce_.size(); ++i) {
            nonce_[i] = static_cast<Byte>(stream >> (8 * i));
        }
    }

    bool fill(ByteSpan out) override {
        for (Byte& byte : out) {
            if (used_ == buffer_.size()) {
                refill();
            }
            byte = buffer_[used_++];
        }
        return true;
    }

  private:
    static constexpr std::size_t chacha_block = 64;

    void refill() {
        buffer_.fill(0);
        crypto_stream_chacha20_xor_ic(buffer_.data(), buffer_.data(), buffer_.size(), nonce_.data(),
                                      next_block_, key_.data());
        next_block_ += buffer_.size() / chacha_block;
        used_ = 0;
    }

    Seed key_;
    std::array<Byte, crypto_stream_chacha20_NONCEBYTES> nonce_{};
    std::array<Byte, 16 * chacha_block> buffer_{};
    std::size_t used_ = sizeof buffer_;
    std::uint64_t next_block_ = 0;
};

class FileNoise : public Noise {
  public:
    explicit FileNoise(Fd file) : file_(std::move(file)) {}

    bool fill(ByteSpan out) override {
        std::size_t done = 0;
        while (done < out.size()) {
            const ssize_t got = ::read(file_.get(), out.data() + done, out.size() - done);
            if (got > 0) {
                done += static_cast<std::size_t>(got);
            } else if (got == 0 || errno != EINTR) {
                return false;
            }
        }
        return true;
    }

  private:
    Fd file_;
};

} // namespace

std::unique_ptr<Noise> kernel_noise() {
    return std::make_unique<KernelNoise>();
}

Result<Seed> parse_seed(std::string_view hex) {
    Seed seed{};
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_hex2bin(seed.data(), seed.size(), hex.data(), hex.size(), nullptr, &size, &end) != 0 ||
        end != hex.data() + hex.size() || size == 0) {
        return fail("expected 2 to 64 hexadecimal digits, an even number of them");
    }
    return seed;
}

std::unique_ptr<Noise> seeded_noise(const Seed& seed, std::uint64_t stream) {
    return std::make_unique<SeededNoise>(seed, stream);
}

Result<std::unique_ptr<Noise>> file_noise(const std::string& path) {
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        return fail("--noise " + path + ": " + std::strerror(errno));
    }
    return std::make_unique<FileNoise>(std::move(file));
}

} // namespace ekey::softkey
