#include "egd-push/mixture.h"

#include <algorithm>
#include <cassert>

#include <sodium/crypto_generichash.h>

namespace ekey {

void mix_answers(const std::vector<ByteView>& answers, ByteSpan out) {
    assert(!answers.empty() && answers[0].size() % out.size() == 0);
    const std::size_t fold = answers[0].size() / out.size();
    if (answers.size() == 1 && fold == 1) {
        std::copy(answers[0].begin(), answers[0].end(), out.begin());
        return;
    }
    for (std::size_t at = 0; at < out.size(); at += crypto_generichash_BYTES_MAX) {
        const std::size_t size = std::min<std::size_t>(crypto_generichash_BYTES_MAX, out.size() - at);
        const std::array<Byte, 2> index{static_cast<Byte>(at >> 8), static_cast<Byte>(at & 0xff)};
        crypto_generichash_state state;
        crypto_generichash_init(&state, nullptr, 0, crypto_generichash_BYTES_MAX);
        crypto_generichash_update(&state, index.data(), index.size());
        for (const ByteView answer : answers) {
            assert(answer.size() == fold * out.size());
            crypto_generichash_update(&state, answer.data() + fold * at, fold * size);
        }
        SecretArray<crypto_generichash_BYTES_MAX> hash;
        crypto_generichash_final(&state, hash.data(), crypto_generichash_BYTES_MAX);
        std::copy_n(hash.data(), size, out.begin() + static_cast<std::ptrdiff_t>(at));
        wipe({reinterpret_cast<Byte*>(&state), sizeof state});
    }
}

bool is_constant(ByteView bytes) {
    return bytes.size() > 1 && std::all_of(bytes.begin(), bytes.end(), [&](Byte b) { return b == bytes[0]; });
}

} // namespace ekey
