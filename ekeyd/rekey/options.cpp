#include "ekeyd/rekey/options.h"

#include <cstring>

#include <getopt.h>

#include "ekeyd/config/address.h"
#include "ekeyd/config/settings.h"

namespace ekey::rekey {

namespace {

constexpr const char* usage =
    "Usage: ekey-rekey [OPTION...] [SERIAL [MASTER_KEY]]\n"
    "Writes a new long-term key into an Entropy Key and into the keyring.\n"
    "Options:\n"
    "  -d, --device PATH    the Entropy Key's tty or socket (otherwise looked for)\n"
    "  -k, --keyring FILE   the keyring (as in ekeyd.conf, or /etc/entropykey/keyring)\n"
    "  -s, --socket PATH    ekeyd's control socket (as in ekeyd.conf, or /run/ekeyd.sock)\n"
    "  -h, --help           print this and exit\n"
    "  -V, --version        print the version and exit\n"
    "The master key is on the device's card. Without MASTER_KEY it is asked for. See ekey-rekey(8).\n";

constexpr option long_options[] = {
    {"device", required_argument, nullptr, 'd'}, {"keyring", required_argument, nullptr, 'k'},
    {"socket", required_argument, nullptr, 's'}, {"help", no_argument, nullptr, 'h'},
    {"version", no_argument, nullptr, 'V'},      {nullptr, 0, nullptr, 0},
};

// What the daemon of this host is configured with, if we may read that.
void take_defaults(Options& options) {
    options.keyring = "/etc/entropykey/keyring";
    options.socket = "/run/ekeyd.sock";
    const char* const argv[] = {"ekeyd"};
    const auto request = config::read_settings(1, argv);
    if (!request) {
        return;
    }
    options.keyring = request->settings.keyring.value;
    if (!request->settings.control.empty()) {
        const auto address = config::parse_address(request->settings.control.front().value);
        options.socket = address->kind + ':' + address->rest;
    }
}

Result<void> read_flags(int argc, char** argv, Options& options) {
    ::optind = 0; // glibc: start over, also with the "+" below
    ::opterr = 0;
    // "+": options stand before SERIAL. A serial number or key never begins with '-'.
    for (int flag = 0; (flag = ::getopt_long(argc, argv, "+:d:k:s:hV", long_options, nullptr)) != -1;) {
        switch (flag) {
        case 'd': options.device = ::optarg; break;
        case 'k': options.keyring = ::optarg; break;
        case 's':
            options.socket = ::optarg;
            options.socket_given = true;
            break;
        case 'h':
            options.action = Options::Action::help;
            options.text = usage;
            return {};
        case 'V':
            options.action = Options::Action::version;
            options.text = "ekey-rekey " EKEYD_VERSION "\n";
            return {};
        case ':': return fail(std::string(argv[::optind - 1]) + " expects a value");
        default: return fail("unknown option " + std::string(argv[::optind - 1]));
        }
    }
    return {};
}

void wipe_words(int count, char** words) {
    for (int i = 0; i < count; ++i) {
        wipe({reinterpret_cast<Byte*>(words[i]), std::strlen(words[i])});
    }
}

} // namespace

Result<entropykey::MasterKey> join_master_key(int count, char* const* words) {
    SecretArray<128> text;
    std::size_t size = 0;
    for (int i = 0; i < count; ++i) {
        const std::size_t length = std::strlen(words[i]);
        if (length > text.size() - size) {
            return fail("this is too long for a master key");
        }
        std::memcpy(text.data() + size, words[i], length);
        size += length;
    }
    return entropykey::parse_master_key(as_text(ByteView(text.span()).first(size)));
}

Result<Options> read_options(int argc, char** argv) {
    Options options;
    take_defaults(options);
    if (auto flags = read_flags(argc, argv, options); !flags) {
        return tl::unexpected(flags.error());
    }
    if (options.action != Options::Action::run || ::optind >= argc) {
        return options;
    }
    char** const words = argv + ::optind;
    const int count = argc - ::optind;
    auto serial = entropykey::parse_serial(words[0]);
    auto key = count > 1 ? join_master_key(count - 1, words + 1) : Result<entropykey::MasterKey>();
    wipe_words(count - 1, words + 1);
    if (!serial) {
        return tl::unexpected(serial.error());
    }
    if (!key) {
        return tl::unexpected(key.error());
    }
    options.serial = *serial;
    if (count > 1) {
        options.master_key = make_locked<entropykey::MasterKey>(*key);
    }
    return options;
}

} // namespace ekey::rekey
