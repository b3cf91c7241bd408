// What ekey-rekey is told on its command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ekeyd/runtime/secret.h"
#include "protocol/entropykey/keys.h"
#include "protocol/result.h"

namespace ekey::rekey {

struct Options {
    enum class Action { run, help, version } action = Action::run;
    std::string text; // what --help or --version prints

    std::string device;  // path, or empty: look for it
    std::string keyring; // path
    std::string socket;  // the control socket, as ekeydctl takes it
    bool socket_given = false;
    std::optional<entropykey::Serial> serial;
    Locked<entropykey::MasterKey> master_key; // none: to be asked for
};

// "ekey-setkey" for a command that ends so, "ekey-rekey" for any other.
std::string called_as(std::string_view command);

// Takes the keyring and the socket from ekeyd's configuration where they are not given, so that both programs
// mean the same. Called as ekey-setkey it takes what ekey-setkey of 1.1.5 took. Wipes the master key from
// `argv`, where others can see it (/proc/PID/cmdline).
Result<Options> read_options(int argc, char** argv);

// Joins the words of a master key; people type its groups as words of their own. Longer than any master key
// with a blank at every character is an error.
Result<entropykey::MasterKey> join_master_key(int count, char* const* words);

} // namespace ekey::rekey
