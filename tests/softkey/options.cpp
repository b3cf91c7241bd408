#include "tests/softkey/options.h"

#include <cmath>
#include <sstream>

#include <boost/program_options.hpp>

namespace ekey::softkey {

namespace po = boost::program_options;

namespace {

po::options_description table() {
    po::options_description options("softkey: a software Entropy Key. It is no hardware.\n\nOptions");
    auto add = options.add_options();
    add("pty", po::value<std::string>()->value_name("LINK"),
        "appear on a pseudo-terminal that LINK, a symbolic link, leads to");
    add("tty", po::value<std::string>()->value_name("PATH"), "appear at the far end of a tty that exists");
    add("unix", po::value<std::string>()->value_name("PATH"), "appear on a Unix socket");
    add("usbip", po::value<std::string>()->value_name("HOST:PORT"),
        "appear on USB, to hosts that speak USB/IP: busid 1-1");
    add("devices", po::value<unsigned>()->value_name("N")->default_value(1),
        "with --usbip: so many keys, busids 1-1 to 1-N");
    add("device", po::value<std::string>()->value_name("KIND")->default_value("entropykey"),
        "entropykey; with --usbip also onerng or truerng, which just send noise");
    add("commands", po::value<std::string>()->value_name("FIFO"),
        "obey the lines that come from FIFO; see softkey(1)");
    add("serial", po::value<std::string>()->value_name("BASE64"), "serial number, 16 characters of base64");
    add("long-term-key", po::value<std::string>()->value_name("BASE64"), "long-term key");
    add("master-key", po::value<std::string>()->value_name("BASE64"), "master key, as on a card");
    add("keyring", po::value<std::string>()->value_name("FILE"),
        "write the line for this key into the keyring FILE");
    add("card", po::value<std::string>()->value_name("FILE"),
        "be the key of this card: serial number and master key");
    add("new-card", po::value<std::string>()->value_name("FILE"),
        "make a card: write it to FILE and print it, as ekey-rekey asks for it");
    add("state", po::value<std::string>()->value_name("FILE"), "keep the long-term key there over restarts");
    add("noise", po::value<std::string>()->value_name("FILE"),
        "a device or FIFO: test its noise, and send it conditioned; a regular file: send its bytes, once");
    add("seed", po::value<std::string>()->value_name("HEX"),
        "send, and make keys of, the key stream of ChaCha20 under HEX: the same in every run");
    add("rate", po::value<double>()->value_name("N")->default_value(86, "86"),
        "entropy packets (32 bytes) a second; 0: as fast as the line takes them");
    add("fault", po::value<std::vector<std::string>>()->value_name("KIND@N")->composing(),
        "do wrong from entropy packet N on; see softkey(1). May be given several times");
    add("log-plaintext", po::value<std::string>()->value_name("FILE"),
        "write to FILE what an honest host decrypts");
    add("ready-fd", po::value<int>()->value_name("FD")->default_value(1, "1"),
        "write the line \"ready PATH SERIAL\" to this descriptor once a host can open PATH");
    add("help", "show this text");
    add("version", "show the version");
    return options;
}

std::string text_of(const po::variables_map& map, const char* name) {
    return map.count(name) != 0 ? map[name].as<std::string>() : std::string();
}

// Reads an optional value with `parse`, and names the option when it is wrong.
template <class T, class Parse>
Result<void> read(const po::variables_map& map, const char* name, std::optional<T>& into, Parse parse) {
    if (map.count(name) == 0) {
        return {};
    }
    auto value = parse(map[name].as<std::string>());
    if (!value) {
        return fail("--" + std::string(name) + ": " + value.error().what);
    }
    into = std::move(*value);
    return {};
}

Result<void> read_line_choice(const po::variables_map& map, Options& options) {
    const auto lines = map.count("pty") + map.count("tty") + map.count("unix") + map.count("usbip");
    if (lines == 0 && !options.new_card_file.empty()) {
        options.action = Options::Action::new_card;
        return {};
    }
    if (lines != 1) {
        return fail("exactly one of --pty, --tty, --unix and --usbip is needed");
    }
    using Kind = Options::LineKind;
    options.line = map.count("pty") != 0    ? Kind::pty
                   : map.count("tty") != 0  ? Kind::tty
                   : map.count("unix") != 0 ? Kind::unix_socket
                                            : Kind::usbip;
    options.path = text_of(map, "pty") + text_of(map, "tty") + text_of(map, "unix") + text_of(map, "usbip");
    options.devices = map["devices"].as<unsigned>();
    // As many as a hub of Linux's vhci-hcd has ports.
    if (options.devices < 1 || options.devices > 8) {
        return fail("--devices: expected 1 to 8");
    }
    if (options.devices > 1 && options.line != Kind::usbip) {
        return fail("--devices: more than one is for --usbip");
    }
    if (options.devices > 1 && !(options.noise_file + options.card_file + options.new_card_file +
                                 options.state_file + options.plaintext_log)
                                    .empty()) {
        return fail("--noise, --card, --new-card, --state and --log-plaintext are for one device");
    }
    return {};
}

// Who it is must be told once, not twice in different words.
Result<void> check_identity(const Options& options) {
    if (!options.card_file.empty() &&
        (options.serial || options.master_key || !options.new_card_file.empty())) {
        return fail(
            "--card tells serial number and master key: without --serial, --master-key and --new-card");
    }
    if (!options.state_file.empty() && options.long_term_key) {
        return fail("--state keeps the long-term key: without --long-term-key");
    }
    if (!options.state_file.empty() && options.card_file.empty() && !options.serial) {
        return fail("--state needs --card (or --serial): whose long-term key is it?");
    }
    return {};
}

Result<void> read_device_kind(const po::variables_map& map, Options& options) {
    using Kind = Options::DeviceKind;
    const auto kind = map["device"].as<std::string>();
    if (kind == "entropykey") {
        return {};
    }
    if (kind != "onerng" && kind != "truerng") {
        return fail("--device: expected entropykey, onerng or truerng");
    }
    if (options.line != Options::LineKind::usbip) {
        return fail("--device " + kind + " is for --usbip");
    }
    for (const char* other : {"fault", "serial", "long-term-key", "master-key", "keyring", "card",
                              "log-plaintext", "new-card", "state"}) {
        if (map.count(other) != 0) {
            return fail("--" + std::string(other) + " is for --device entropykey");
        }
    }
    options.kind = kind == "onerng" ? Kind::onerng : Kind::truerng;
    if (map["rate"].defaulted()) {
        options.rate = 1367; // 350 kbit/s, as both send
    }
    return {};
}

Result<void> read_numbers(const po::variables_map& map, Options& options) {
    options.rate = map["rate"].as<double>();
    // The bounds keep the time between packets, and that of a block of 78, within what a clock can count.
    if (!std::isfinite(options.rate) || (options.rate != 0 && (options.rate < 0.001 || options.rate > 1e6))) {
        return fail("--rate: expected 0, or packets a second from 0.001 to 1000000");
    }
    options.ready_fd = map["ready-fd"].as<int>();
    if (options.ready_fd < 0) {
        return fail("--ready-fd: expected the number of an open descriptor");
    }
    return {};
}

Result<void> read_faults(const po::variables_map& map, Options& options) {
    if (map.count("fault") == 0) {
        return {};
    }
    for (const std::string& text : map["fault"].as<std::vector<std::string>>()) {
        auto fault = parse_fault(text);
        if (!fault) {
            return tl::unexpected(fault.error());
        }
        const bool usb_only = fault->kind == FaultKind::stall || fault->kind == FaultKind::mute;
        if (usb_only && options.line != Options::LineKind::usbip) {
            return fail("--fault " + text + " is for --usbip");
        }
        options.faults.push_back(std::move(*fault));
    }
    return {};
}

Result<void> read_values(const po::variables_map& map, Options& options) {
    options.noise_file = text_of(map, "noise");
    options.keyring_file = text_of(map, "keyring");
    options.card_file = text_of(map, "card");
    options.new_card_file = text_of(map, "new-card");
    options.state_file = text_of(map, "state");
    options.plaintext_log = text_of(map, "log-plaintext");
    options.commands = text_of(map, "commands");
    Result<void> done = read_line_choice(map, options);
    if (done) {
        done = read(map, "serial", options.serial, entropykey::parse_serial);
    }
    if (done) {
        done = read(map, "long-term-key", options.long_term_key, entropykey::parse_long_term_key);
    }
    if (done) {
        done = read(map, "master-key", options.master_key, entropykey::parse_master_key);
    }
    if (done) {
        done = read(map, "seed", options.seed, parse_seed);
    }
    if (done) {
        done = read_numbers(map, options);
    }
    if (done) {
        done = check_identity(options);
    }
    if (done) {
        done = read_device_kind(map, options);
    }
    return done ? read_faults(map, options) : done;
}

} // namespace

Result<Options> read_options(int argc, const char* const* argv) {
    const auto description = table();
    Options options;
    po::variables_map map;
    try {
        // Whole words only: an abbreviation that works today is ambiguous tomorrow.
        const int style =
            po::command_line_style::default_style & ~static_cast<int>(po::command_line_style::allow_guessing);
        po::store(po::command_line_parser(argc, argv).options(description).positional({}).style(style).run(),
                  map);
        po::notify(map);
    } catch (const po::error& error) {
        return fail(std::string(error.what()) + " (softkey --help lists the options)");
    }
    if (map.count("help") != 0) {
        std::ostringstream out;
        out << description;
        options.action = Options::Action::help;
        options.text = out.str();
        return options;
    }
    if (map.count("version") != 0) {
        options.action = Options::Action::version;
        options.text = "softkey " EKEYD_VERSION "\n";
        return options;
    }
    if (auto done = read_values(map, options); !done) {
        return tl::unexpected(done.error());
    }
    return options;
}

} // namespace ekey::softkey
