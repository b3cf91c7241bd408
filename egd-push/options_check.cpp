// What can be told from all options together.
#include <algorithm>
#include <set>

#include "egd-push/option_table.h"
#include "egd-push/upstream_address.h"

namespace ekey {

namespace {

using config::Address;

Result<void> check_sealed(const PushOptions& options) {
    std::set<std::string> keys;
    for (const Address& from : options.from) {
        if (path_of(from) == Path::sealed) {
            if (options.identity.empty()) {
                return fail("from " + from.text +
                            " needs this host's key: --identity FILE (ekeydctl keygen makes one)");
            }
            keys.insert(*from.find("key"));
        }
    }
    if (options.quorum > keys.size()) {
        return fail("quorum is " + std::to_string(options.quorum) + ": there are " +
                    std::to_string(keys.size()) +
                    " sealed upstreams with different keys, so nothing would ever be credited");
    }
    return {};
}

Result<void> check_seed(const PushOptions& options) {
    // RANDOM_POOL_SIZE_MIN of systemd's random-seed service, which reads no fewer.
    constexpr std::size_t least = 32;
    if (options.bytes < least) {
        return fail("bytes is " + std::to_string(options.bytes) + ": a seed has at least 32");
    }
    if (options.bytes_to_fetch() > KernelPool::longest) {
        return fail("bytes is " + std::to_string(options.bytes) + ": a seed of that size is made of " +
                    std::to_string(options.bytes_to_fetch()) + " bytes at this credit, and at most " +
                    std::to_string(KernelPool::longest) + " are fetched at once");
    }
    const auto creditable = [&](const Address& from) { return options.credit_for(from) > 0; };
    if (std::none_of(options.from.begin(), options.from.end(), creditable)) {
        return fail(options.to.text + ": no upstream's bytes are credited, so no seed of them would be (see "
                                      "--credit in egd-push(8))");
    }
    return {};
}

} // namespace

Result<void> check_push_options(const PushOptions& options) {
    // Fed in smaller pieces, each could be guessed on its own.
    constexpr std::size_t least = 16;
    if (options.from.empty()) {
        return fail(
            "command line: no upstream: name one with --from, such as --from unix:/run/ekeyd/egd.sock");
    }
    if (options.to.kind == "kernel" && options.bytes < least) {
        return fail("bytes is " + std::to_string(options.bytes) +
                    ": a push to the kernel has at least 16, or they could be guessed one by one");
    }
    if (const auto sealed = check_sealed(options); !sealed) {
        return sealed;
    }
    return options.seed ? check_seed(options) : Result<void>();
}

unsigned PushOptions::credit_for(const Address& upstream) const {
    return credit.value_or(path_of(upstream) == Path::clear ? 0 : default_credit);
}

std::size_t PushOptions::bytes_to_fetch() const {
    const std::size_t each = std::max(credit.value_or(default_credit), 1u);
    return seed ? bytes * ((8 + each - 1) / each) : bytes;
}

} // namespace ekey
