// ekey-rekey: gives an Entropy Key a new long-term key, and the keyring too.
#include <csignal>
#include <cstdio>
#include <exception>

#include "ekeyd/config/keyring.h"
#include "ekeyd/rekey/daemon.h"
#include "ekeyd/rekey/exchange.h"
#include "ekeyd/rekey/find.h"
#include "ekeyd/rekey/options.h"
#include "ekeyd/rekey/terminal.h"
#include "ekeyd/runtime/standard_files.h"
#include "ekeyd/sources/port.h"

namespace {

using namespace ekey;
using namespace ekey::rekey;

constexpr int done = 0, failed = 1, wrong_usage = 2;

std::string program = "ekey-rekey"; // as it was called

void complain(const std::string& sentence) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), sentence.c_str());
}

// What ends a program is put off while the device and the keyring may differ. It takes seconds.
class SignalsPutOff {
  public:
    SignalsPutOff() {
        sigset_t signals;
        ::sigemptyset(&signals);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGALRM}) {
            ::sigaddset(&signals, signal);
        }
        ::sigprocmask(SIG_BLOCK, &signals, &before_);
    }
    ~SignalsPutOff() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
    SignalsPutOff(const SignalsPutOff&) = delete;
    SignalsPutOff& operator=(const SignalsPutOff&) = delete;

  private:
    sigset_t before_{};
};

Result<void> read_master_key(Options& options, const Found& found) {
    if (options.master_key) {
        return {};
    }
    const auto key =
        ask_master_key(found.serial ? found.serial->base64() : "the Entropy Key at " + found.path);
    if (!key) {
        return tl::unexpected(key.error());
    }
    options.master_key = make_locked<entropykey::MasterKey>(*key);
    return {};
}

Result<std::optional<Daemon>> release_device(const Options& options, const Found& found) {
    auto daemon = Daemon::find(options.socket);
    if (!daemon && options.socket_given) {
        return fail("no ekeyd answers at " + options.socket + ": start it, or leave out --socket");
    }
    if (daemon) {
        if (auto released = daemon->release(found.serial, found.path); !released) {
            complain("warning: ekeyd does not let go of the key (" + released.error().what +
                     "): if setting the key fails, stop ekeyd and run this again");
        }
    }
    return daemon;
}

// From here on the new key is in the device, and must get into the keyring before anything else can go wrong.
Result<void> keep(const Options& options, const entropykey::LongTermRekey::NewKey& made) {
    const auto kept = config::Keyring::update(options.keyring, made.serial, made.key);
    if (!kept) {
        return fail(kept.error().what + ". The Entropy Key " + made.serial.base64() +
                    " has a new key now which is lost, and its old one no longer fits: mend this and run "
                    "ekey-rekey again");
    }
    // The serial number, and no key: 1.1.5 showed the new key too, but a terminal scrolls back and logs, and
    // nobody needs it there.
    std::printf("Entropy Key %s has a new long-term key, and so has the keyring %s.\n",
                made.serial.base64().c_str(), options.keyring.c_str());
    return {};
}

// ekeyd drives a key on USB by itself, without a tty. The kernel makes one when ekeyd has let go, which takes
// moments.
Result<Found> with_tty(const Found& found, bool released) {
    if (!found.path.empty()) {
        return found;
    }
    return wait_for_tty(Places(), *found.serial, std::chrono::seconds(released ? 10 : 0));
}

Result<void> change_key(const Options& options, const Found& found) {
    const auto port = open_port(found.path);
    if (!port) {
        return tl::unexpected(port.error());
    }
    bool may_have_changed = false;
    const auto made = set_long_term_key(port->get(), *options.master_key, found.serial, may_have_changed);
    if (!made) {
        return fail(made.error().what + (may_have_changed
                                             ? ". It may have taken a new key that is lost now: if ekeyd "
                                               "cannot use it any more, run ekey-rekey again"
                                             : ""));
    }
    if (auto kept = keep(options, **made); !kept) {
        return kept;
    }
    if (auto tried = try_long_term_key(port->get(), **made); !tried) {
        return fail("the new key is in the keyring but could not be tried: " + tried.error().what);
    }
    std::printf("A session with the new key works.\n");
    return {};
}

// True when ekeyd, if there is one, is as it should be now.
bool return_device(const Options& options, const std::optional<Daemon>& daemon, bool changed) {
    if (!daemon) {
        if (changed) {
            std::printf("No ekeyd answers at %s. One that is started now reads the keyring.\n",
                        options.socket.c_str());
        }
        return true;
    }
    const auto read = changed ? daemon->read_keyring(options.keyring) : Result<void>{};
    if (!read) {
        complain("ekeyd has not read the new keyring (" + read.error().what +
                 "): tell it to with ekeydctl keyring " + options.keyring);
    }
    const auto taken = daemon->had_it() ? daemon->take_back() : Result<void>{};
    if (!taken) {
        complain("ekeyd does not take the key back (" + taken.error().what +
                 "): add it with ekeydctl add, or plug it in again");
    } else if (daemon->had_it()) {
        std::printf("ekeyd has taken it back.\n");
    }
    return read && taken;
}

// False, or an error that is still to be told.
Result<bool> run(Options& options) {
    const auto found = options.device.empty() ? find_device(Places(), options.serial)
                                              : Result<Found>(Found{options.device, options.serial});
    if (!found) {
        return tl::unexpected(found.error());
    }
    if (found->path.empty() && !Daemon::find(options.socket)) { // before anybody types a master key
        return tl::unexpected(with_tty(*found, false).error());
    }
    if (found->serial) {
        std::printf("Entropy Key %s at %s\n", found->serial->base64().c_str(),
                    found->path.empty() ? "USB" : found->path.c_str());
    }
    if (auto read = read_master_key(options, *found); !read) {
        return tl::unexpected(read.error());
    }
    if (auto writable = config::Keyring::may_update(options.keyring); !writable) {
        return tl::unexpected(writable.error()); // before anything has changed
    }
    const SignalsPutOff later;
    const auto daemon = release_device(options, *found);
    if (!daemon) {
        return tl::unexpected(daemon.error());
    }
    const auto reached = with_tty(*found, *daemon && (*daemon)->had_it());
    const auto changed = reached ? change_key(options, *reached) : tl::unexpected(reached.error());
    if (!changed) {
        complain(changed.error().what);
    }
    const bool returned = return_device(options, *daemon, changed.has_value());
    return changed && returned;
}

} // namespace

int main(int argc, char** argv) {
    fill_standard_files();
    try {
        init_secrets();
        forbid_core_dumps();
        // A full disk or a closed pipe is an error to tell about, not the end in the middle of it.
        std::signal(SIGPIPE, SIG_IGN);
        std::signal(SIGXFSZ, SIG_IGN);
        program = called_as(argv[0]);
        auto options = read_options(argc, argv);
        if (!options) {
            complain(options.error().what + " (" + program + " -h shows the usage)");
            return wrong_usage;
        }
        if (options->action != Options::Action::run) {
            std::fputs(options->text.c_str(), stdout);
            if (const auto flushed = flush_output(); !flushed) {
                complain(flushed.error().what);
                return failed;
            }
            return done;
        }
        const auto ran = run(*options);
        if (!ran) {
            complain(ran.error().what);
        }
        return ran && *ran ? done : failed;
    } catch (const std::exception& error) {
        complain(error.what());
        return failed;
    }
}
