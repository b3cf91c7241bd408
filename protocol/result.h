// A value, or the sentence that says why there is none.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace ekey {

// `what` is one sentence for a person: it names the thing, the place and, where there is one, the remedy.
// It never holds a secret.
struct Error {
    std::string what;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string what) {
    return tl::unexpected<Error>(Error{std::move(what)});
}

} // namespace ekey
