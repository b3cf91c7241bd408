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

constexpr const char* setkey_usage =
    "Usage: ekey-setkey [-s SERIAL] [-m MASTER_KEY] [-f KEYRING] PATH\n"
    "ekey-rekey with the options of ekey-setkey 1.1.5: writes a new long-term key into the Entropy Key at "
    "PATH, and\n"
    "into the keyring.\n"
    "Options:\n"
    "  -s SERIAL      its serial number\n"
    "  -m MASTER_KEY  the master key on its card (otherwise asked for)\n"
    "  -f KEYRING     the keyring (as in ekeyd.conf, or /etc/entropykey/keyring)\n"
    "  -h             print this and exit\n"
    "  -v             print the version and exit\n"
    "See ekey-setkey(8).\n";

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

Result<void> take_serial(const char* word, Options& options) {
    const auto serial = entropykey::parse_serial(word);
    if (!serial) {
        return tl::unexpected(serial.error());
    }
    options.serial = *serial;
    return {};
}

// Also wipes the words.
Result<void> take_master_key(int count, char** words, Options& options) {
    const auto key = join_master_key(count, words);
    wipe_words(count, words);
    if (!key) {
        return tl::unexpected(key.error());
    }
    options.master_key = make_locked<entropykey::MasterKey>(*key);
    return {};
}

Result<void> read_setkey(int argc, char** argv, Options& options) {
    ::optind = 0;
    ::opterr = 0;
    Result<void> serial, key; // told at the end, when the master key is wiped
    for (int flag = 0; (flag = ::getopt(argc, argv, ":nf:m:s:hv")) != -1;) {
        switch (flag) {
        case 'f': options.keyring = ::optarg; break;
        case 's': serial = take_serial(::optarg, options); break;
        case 'm': key = take_master_key(1, &::optarg, options); break;
        case 'n':
            return fail(
                "-n is no longer taken: a key that is in no keyring is lost; -f names another keyring");
        case 'h':
            options.action = Options::Action::help;
            options.text = setkey_usage;
            return {};
        case 'v':
            options.action = Options::Action::version;
            options.text = "ekey-setkey " EKEYD_VERSION "\n";
            return {};
        case ':': return fail(std::string("-") + static_cast<char>(::optopt) + " expects a value");
        default: return fail(std::string("unknown option -") + static_cast<char>(::optopt));
        }
    }
    if (!serial || !key) {
        return serial ? key : serial;
    }
    if (argc - ::optind != 1) {
        return fail("the path of one device must be given");
    }
    options.device = argv[::optind];
    return {};
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

std::string called_as(std::string_view command) {
    return command.substr(command.rfind('/') + 1) == "ekey-setkey" ? "ekey-setkey" : "ekey-rekey";
}

Result<Options> read_options(int argc, char** argv) {
    Options options;
    take_defaults(options);
    if (called_as(argv[0]) == "ekey-setkey") {
        if (auto read = read_setkey(argc, argv, options); !read) {
            return tl::unexpected(read.error());
        }
        return options;
    }
    if (auto flags = read_flags(argc, argv, options); !flags) {
        return tl::unexpected(flags.error());
    }
    if (options.action != Options::Action::run || ::optind >= argc) {
        return options;
    }
    char** const words = argv + ::optind;
    const int count = argc - ::optind;
    const auto key = count > 1 ? take_master_key(count - 1, words + 1, options) : Result<void>();
    const auto serial = take_serial(words[0], options);
    if (!serial || !key) {
        return tl::unexpected((serial ? key : serial).error());
    }
    return options;
}

} // namespace ekey::rekey
