// What egd-push can be told. One table serves the command line, the file and --help.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "egd-push/kernel_pool.h"
#include "ekeyd/config/address.h"
#include "ekeyd/runtime/sandbox.h"

namespace ekey {

struct PushOptions {
    std::vector<config::Address> from; // at least one
    config::Address to;                // kernel, file:/PATH, or - (kind "-")
    std::size_t bytes = default_push;  // a push
    Duration interval = std::chrono::seconds(60);
    Duration timeout = std::chrono::seconds(30); // for one upstream's whole answer
    std::optional<unsigned> credit;              // bits a byte, 0 to 8; nothing: by how the bytes came
    std::size_t quorum = 0; // sealed servers with different keys before anything is credited
    bool seed = false;      // --to file: a seed that systemd may credit
    std::string identity;   // file with this host's key for sealed links, or empty
    bool once = false;
    Sandbox sandbox = Sandbox::yes;
    unsigned verbose = 0;

    // Credit in bits a byte for what comes from an upstream.
    unsigned credit_for(const config::Address& upstream) const;
    // What each upstream is asked for. systemd credits a seed with 8 bits a byte, so that as many more bytes
    // go into one as make up for the lower credit of ours.
    std::size_t bytes_to_fetch() const;
};

struct PushRequest {
    enum class Action { run, help, version } action = Action::run;
    PushOptions options;
};

// Errors name where it was written ("command line", or FILE:LINE) and what would be right.
Result<PushRequest> read_push_options(int argc, const char* const* argv);

std::string push_help();

} // namespace ekey
