// What is said of words that nobody knows. A file that was named by mistake may be a keyring or a key, and
// errors go to terminals and logs: so a word of it is repeated only when it cannot be a part of a secret.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ekey::config {

// `unknown option "lisen": did you mean listen?`. Without a slip of one of `names` it ends with `help`, such
// as "see ekeyd.conf(5)". `dashes` stands before a suggestion: "--" for the command line.
std::string unknown_option(std::string_view name, std::span<const std::string_view> names,
                           std::string_view dashes, std::string_view help);

// For a line without '=': at most the one of `names` that it begins with is repeated.
std::string no_setting(std::string_view line, std::span<const std::string_view> names);

// The first line of a key or certificate in PEM (RFC 7468, section 2).
bool begins_pem(std::string_view line);

// Whether `text` may be a key itself, in hexadecimal or base64, where the path of its file was asked for.
bool may_be_key(std::string_view text);

} // namespace ekey::config
