#include "ekeyd/conditioner/conditioner.h"

#include <algorithm>
#include <cassert>

namespace ekey {

Conditioner::Conditioner() {
    crypto_hash_sha512_init(&hash_);
}

Conditioner::~Conditioner() {
    sodium_memzero(&hash_, sizeof hash_);
}

Conditioner::Credit Conditioner::credit_a_byte(double min_entropy) {
    if (!(min_entropy > 0 && min_entropy <= 8)) {
        return 0;
    }
    return static_cast<Credit>(min_entropy * static_cast<double>(bit)); // exact: 65536 is a power of 2
}

std::size_t Conditioner::add(std::size_t source, ByteView bytes, double min_entropy) {
    assert(source < max_sources);
    if (ready()) {
        return 0;
    }
    const Credit each = credit_a_byte(min_entropy);
    std::size_t used = bytes.size();
    if (each > 0) {
        used = std::min<std::size_t>(used, (needed - credit_ + each - 1) / each);
    }
    absorb(bytes.first(used));
    const Credit credit = used * each;
    credit_ += credit;
    credits_[source] += credit;
    slots_used_ = std::max(slots_used_, source + 1);
    counters_.bits_in += bits(credit);
    return used;
}

void Conditioner::absorb(ByteView bytes) {
    crypto_hash_sha512_update(&hash_, bytes.data(), bytes.size());
    counters_.bytes_in += bytes.size();
}

void Conditioner::extract(std::span<Byte, output_size> out) {
    assert(ready());
    crypto_hash_sha512_final(&hash_, out.data()); // wipes its state
    crypto_hash_sha512_init(&hash_);
    credit_ = 0;
    std::fill_n(credits_.begin(), slots_used_, Credit{0}); // as a rule one
    slots_used_ = 0;
    counters_.bytes_out += output_size;
}

void Conditioner::revoke(std::size_t source) {
    assert(source < max_sources);
    counters_.bits_in -= bits(credits_[source]);
    credit_ -= credits_[source];
    credits_[source] = 0;
}

} // namespace ekey
