#include "protocol/skein256.h"
#include "protocol/skein256_pair.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace ekey {

namespace {

using Words = std::array<std::uint64_t, 4>;
using detail::key_parity, detail::rotations;

// Tweak, section 3.4: bit 126 marks the first block of a type, bit 127 the last; the type stands at bit 120.
constexpr std::uint64_t first_flag = std::uint64_t{1} << 62;
constexpr std::uint64_t final_flag = std::uint64_t{1} << 63;
constexpr int type_shift = 56;

// Configuration string, section 3.5.2: "SHA3", version 1, then the output length in bits and sequential tree
// info.
constexpr std::uint64_t schema_and_version = 0x0000000133414853;
constexpr std::uint64_t output_bits = 256;

std::uint64_t load(const Byte* from) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    if constexpr (std::endian::native == std::endian::big)
        word = __builtin_bswap64(word);
    return word;
}

void store(Byte* to, std::uint64_t word) {
    if constexpr (std::endian::native == std::endian::big)
        word = __builtin_bswap64(word);
    std::memcpy(to, &word, sizeof word);
}

// Threefish-256: 72 rounds, a subkey before each fourth and after the last. Everything below is resolved when
// compiled: a frame costs four blocks, and the loop's own work would be a third of them.
template <int Round>
[[gnu::always_inline]] inline void mix(std::uint64_t& a, std::uint64_t& b, std::uint64_t& c,
                                       std::uint64_t& d) {
    a += b;
    b = std::rotl(b, rotations[Round % 8][0]) ^ a;
    c += d;
    d = std::rotl(d, rotations[Round % 8][1]) ^ c;
}

template <std::size_t Subkey>
[[gnu::always_inline]] inline void inject(std::uint64_t (&x)[4], const std::uint64_t (&key)[5],
                                          const std::uint64_t (&tweak)[3]) {
    x[0] += key[Subkey % 5];
    x[1] += key[(Subkey + 1) % 5] + tweak[Subkey % 3];
    x[2] += key[(Subkey + 2) % 5] + tweak[(Subkey + 1) % 3];
    x[3] += key[(Subkey + 3) % 5] + Subkey;
}

// Four rounds, in which the permutation 0,3,2,1 is done by naming, and the subkey after them.
template <std::size_t Group>
[[gnu::always_inline]] inline void rounds(std::uint64_t (&x)[4], const std::uint64_t (&key)[5],
                                          const std::uint64_t (&tweak)[3]) {
    mix<4 * Group>(x[0], x[1], x[2], x[3]);
    mix<4 * Group + 1>(x[0], x[3], x[2], x[1]);
    mix<4 * Group + 2>(x[0], x[1], x[2], x[3]);
    mix<4 * Group + 3>(x[0], x[3], x[2], x[1]);
    inject<Group + 1>(x, key, tweak);
}

// chain = Threefish(chain, tweak, block) XOR block.
void ubi(Words& chain, std::uint64_t tweak_low, std::uint64_t tweak_high, const Byte* block) {
    const std::uint64_t key[5] = {chain[0], chain[1], chain[2], chain[3],
                                  key_parity ^ chain[0] ^ chain[1] ^ chain[2] ^ chain[3]};
    const std::uint64_t tweak[3] = {tweak_low, tweak_high, tweak_low ^ tweak_high};
    const Words plain{load(block), load(block + 8), load(block + 16), load(block + 24)};
    std::uint64_t x[4] = {plain[0], plain[1], plain[2], plain[3]};
    inject<0>(x, key, tweak);
    [&]<std::size_t... Group>(std::index_sequence<Group...>) {
        (rounds<Group>(x, key, tweak), ...);
    }
    (std::make_index_sequence<18>());
    for (std::size_t i = 0; i < 4; ++i)
        chain[i] = x[i] ^ plain[i];
}

Skein256::Digest to_bytes(const Words& chain) {
    Skein256::Digest digest;
    for (std::size_t i = 0; i < chain.size(); ++i)
        store(digest.data() + 8 * i, chain[i]);
    return digest;
}

constexpr std::uint64_t flags_of(Skein256::Type type) {
    return first_flag | std::uint64_t{static_cast<std::uint8_t>(type)} << type_shift;
}

// The first output block is numbered zero, in 64 bits (section 3.5.4).
void transform_output(Words& chain) {
    constexpr Skein256::Digest counter{};
    ubi(chain, sizeof(std::uint64_t), flags_of(Skein256::Type::output) | final_flag, counter.data());
}

} // namespace

Skein256::Skein256() : Skein256(ByteView{}) {}

Skein256::Skein256(ByteView key) {
    if (!key.empty()) {
        start(Type::key);
        update(key);
        finish_type();
    }
    start(Type::config);
    Digest config{};
    store(config.data(), schema_and_version);
    store(config.data() + 8, output_bits);
    update(config);
    finish_type();
    start(Type::message);
}

Skein256::~Skein256() {
    wipe({reinterpret_cast<Byte*>(chain_.data()), sizeof chain_});
    wipe(held_);
}

void Skein256::start(Type type) {
    position_ = 0;
    flags_ = flags_of(type);
    held_size_ = 0;
}

void Skein256::process(const Byte* block, std::size_t bytes) {
    position_ += bytes;
    ubi(chain_, position_, flags_, block);
    flags_ &= ~first_flag;
}

void Skein256::update(ByteView bytes) {
    if (held_size_ + bytes.size() > block_size) {
        if (held_size_ != 0) {
            const std::size_t missing = block_size - held_size_;
            std::copy_n(bytes.begin(), missing, held_.begin() + static_cast<std::ptrdiff_t>(held_size_));
            bytes = bytes.subspan(missing);
            process(held_.data(), block_size);
            held_size_ = 0;
        }
        for (; bytes.size() > block_size; bytes = bytes.subspan(block_size))
            process(bytes.data(), block_size);
    }
    std::copy(bytes.begin(), bytes.end(), held_.begin() + static_cast<std::ptrdiff_t>(held_size_));
    held_size_ += bytes.size();
}

void Skein256::finish_type() {
    std::fill(held_.begin() + static_cast<std::ptrdiff_t>(held_size_), held_.end(), Byte{0});
    flags_ |= final_flag;
    process(held_.data(), held_size_);
    held_size_ = 0;
}

Skein256::Digest Skein256::finish_pad() {
    finish_type();
    return to_bytes(chain_);
}

Skein256::Digest Skein256::finish() {
    finish_type();
    transform_output(chain_);
    return to_bytes(chain_);
}

Skein256::Words Skein256::chain_with(ByteView message) const {
    assert(held_size_ == 0);
    Words chain = chain_;
    std::uint64_t position = position_, flags = flags_;
    for (; message.size() > block_size; message = message.subspan(block_size)) {
        position += block_size;
        ubi(chain, position, flags, message.data());
        flags &= ~first_flag;
    }
    Digest last{};
    std::copy(message.begin(), message.end(), last.begin()); // none may be a null pointer
    ubi(chain, position + message.size(), flags | final_flag, last.data());
    return chain;
}

Skein256::Digest Skein256::finish_with(ByteView message) const {
    Words chain = chain_with(message);
    transform_output(chain);
    return to_bytes(chain);
}

Skein256::Digest Skein256::finish_pad_with(ByteView message) const {
    return to_bytes(chain_with(message));
}

Skein256::HashAndMac Skein256::finish_both(const Skein256& hash, ByteView message, const Skein256& mac,
                                           ByteView content) {
    assert(message.size() <= block_size && content.size() > block_size && content.size() <= 2 * block_size);
    assert(hash.held_size_ == 0 && mac.held_size_ == 0);
    if (!detail::can_pair())
        return {hash.finish_with(message), mac.finish_pad_with(content)};

    Words hash_chain = hash.chain_, mac_chain = mac.chain_;
    Digest last{};
    std::copy(message.begin(), message.end(), last.begin()); // none may be a null pointer
    detail::ubi_pair({&hash_chain, hash.position_ + message.size(), hash.flags_ | final_flag, last.data()},
                     {&mac_chain, mac.position_ + block_size, mac.flags_, content.data()});
    constexpr Digest counter{}; // as in transform_output
    content = content.subspan(block_size);
    last = {};
    std::memcpy(last.data(), content.data(), content.size());
    detail::ubi_pair(
        {&hash_chain, sizeof(std::uint64_t), flags_of(Type::output) | final_flag, counter.data()},
        {&mac_chain, mac.position_ + block_size + content.size(), (mac.flags_ & ~first_flag) | final_flag,
         last.data()});
    return {to_bytes(hash_chain), to_bytes(mac_chain)};
}

Skein256 entropy_key_state(std::span<const Byte, 12> serial, std::span<const Byte, 32> secret,
                           std::string_view ending) {
    constexpr std::string_view prefix = "20090609 support@simtec.co.uk EntropyKey/v1/";
    constexpr std::size_t name_size = 96;
    assert(ending.size() <= name_size - prefix.size());

    SecretArray<44> key;
    std::copy(serial.begin(), serial.end(), key.data());
    std::copy(secret.begin(), secret.end(), key.data() + serial.size());
    std::array<Byte, name_size> name;
    name.fill(' ');
    std::copy(prefix.begin(), prefix.end(), name.begin());
    std::copy(ending.begin(), ending.end(), name.begin() + prefix.size());

    Skein256 state(key.span());
    state.start(Skein256::Type::personalisation);
    state.update(name);
    state.start(Skein256::Type::message);
    return state;
}

} // namespace ekey
