#include "protocol/sealed/hello.h"

#include <algorithm>
#include <cassert>

namespace ekey::sealed {

namespace {

bool holds(const std::vector<PublicKey>& path, const PublicKey& key) {
    return std::find(path.begin(), path.end(), key) != path.end();
}

} // namespace

std::optional<Hello> offer(const PublicKey& own, Byte hop_limit, std::span<const Hello* const> upstreams) {
    Hello made;
    made.hop_limit = hop_limit;
    made.path.push_back(own);
    for (const Hello* const upstream : upstreams) {
        const Byte left = upstream->hop_limit == 0 ? Byte{0} : static_cast<Byte>(upstream->hop_limit - 1);
        made.hop_limit = std::min(made.hop_limit, left);
        for (const PublicKey& key : upstream->path) {
            if (!holds(made.path, key)) {
                made.path.push_back(key);
            }
        }
    }
    return made.path.size() <= Hello::max_path ? std::optional(std::move(made)) : std::nullopt;
}

Fault judge(const Hello& server, const PublicKey& own) {
    if (holds(server.path, own)) {
        return Fault::looped;
    }
    return server.hop_limit == 0 ? Fault::too_far : Fault::none;
}

std::size_t encode_hello(const Hello& hello, ByteSpan out) {
    const std::size_t size = Hello::header + key_size * hello.path.size();
    assert(hello.path.size() <= Hello::max_path && out.size() >= size);
    out[0] = hello.version;
    out[1] = hello.hop_limit;
    out[2] = hello.credit;
    out[3] = static_cast<Byte>(hello.path.size());
    for (std::size_t i = 0; i < hello.path.size(); ++i) {
        std::memcpy(out.data() + Hello::header + key_size * i, hello.path[i].data(), key_size);
    }
    return size;
}

std::optional<Hello> decode_hello(ByteView payload) {
    Hello hello;
    if (payload.empty()) {
        return hello;
    }
    if (payload.size() < Hello::header) {
        return std::nullopt;
    }
    hello.version = payload[0];
    hello.hop_limit = payload[1];
    hello.credit = payload[2];
    const std::size_t keys = payload[3];
    if (hello.version == 0 || (hello.credit > 8 && hello.credit != Hello::no_advice) ||
        keys > Hello::max_path || payload.size() < Hello::header + key_size * keys) {
        return std::nullopt;
    }
    hello.path.resize(keys);
    for (std::size_t i = 0; i < keys; ++i) {
        std::memcpy(hello.path[i].data(), payload.data() + Hello::header + key_size * i, key_size);
    }
    return hello;
}

} // namespace ekey::sealed
