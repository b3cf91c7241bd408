// What softkey can be told on its command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/result.h"
#include "tests/softkey/device.h"

namespace ekey::softkey {

struct Options {
    enum class Action { run, new_card, help, version } action = Action::run;
    std::string text; // what --help or --version prints

    enum class LineKind { pty, tty, unix_socket, usbip } line = LineKind::pty;
    std::string path;
    std::optional<entropykey::Serial> serial;
    std::optional<entropykey::LongTermKey> long_term_key;
    std::optional<entropykey::MasterKey> master_key;
    std::optional<Seed> seed;
    std::string noise_file, keyring_file, card_file, new_card_file, state_file, plaintext_log; // or empty
    double rate = 86; // entropy packets a second, as a real UDEKEY01
    std::vector<Fault> faults;
    int ready_fd = 1;
    unsigned devices = 1; // more than one with usbip only
    // What they are; all but the first with usbip only.
    enum class DeviceKind { entropy_key, onerng, truerng } kind = DeviceKind::entropy_key;
    std::string commands; // a FIFO, or empty
};

Result<Options> read_options(int argc, const char* const* argv);

} // namespace ekey::softkey
