// softkey: an Entropy Key in software, and other dongles.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

#include <fcntl.h>
#include <sys/stat.h>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/secret.h"
#include "tests/softkey/commands.h"
#include "tests/softkey/identity.h"
#include "tests/softkey/options.h"
#include "tests/softkey/runner.h"
#include "tests/softkey/stream_dongle.h"
#include "tests/softkey/tested_noise.h"
#include "tests/softkey/usbip_line.h"

namespace {

using namespace ekey;
using namespace ekey::softkey;

// A regular file is sent as it is, for tests; anything else is noise, read on and on, and tested.
Result<std::unique_ptr<Noise>> open_noise(Loop& loop, const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        return fail("--noise " + path + ": " + std::strerror(errno));
    }
    if (S_ISREG(status.st_mode)) {
        return file_noise(path);
    }
    auto noise = device_noise(loop, path);
    return noise ? std::move(noise) : fail("--noise " + noise.error().what);
}

Result<Runner::Setup> setup_for(Loop& loop, const Options& options, unsigned device,
                                Locked<Identity> identity) {
    Runner::Setup setup;
    if (!options.state_file.empty()) {
        setup.keep = [file = options.state_file, serial = identity->serial](const auto& key) {
            return write_state(file, serial, key);
        };
    }
    setup.identity = std::move(identity);
    setup.noise = noise_for(options, device, entropy_stream);
    setup.nonces = noise_for(options, device, nonce_stream);
    setup.faults = options.faults;
    setup.rate = options.rate;
    if (!options.noise_file.empty()) {
        auto noise = open_noise(loop, options.noise_file);
        if (!noise) {
            return tl::unexpected(noise.error());
        }
        setup.noise = std::move(*noise);
    }
    if (!options.plaintext_log.empty()) {
        setup.plaintext_log.reset(
            ::open(options.plaintext_log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!setup.plaintext_log) {
            return fail("--log-plaintext " + options.plaintext_log + ": " + std::strerror(errno));
        }
    }
    return setup;
}

std::unique_ptr<Line> line_for(Loop& loop, const Options& options) {
    switch (options.line) {
    case Options::LineKind::pty: return pty_line(loop, options.path);
    case Options::LineKind::tty: return tty_line(loop, options.path);
    default: return unix_line(loop, options.path);
    }
}

void report_ready(const Options& options, const std::string& path, const std::string& serial) {
    const std::string line = "ready " + path + " " + serial + "\n";
    if (::write(options.ready_fd, line.data(), line.size()) < 0) {
        say("descriptor " + std::to_string(options.ready_fd) + " cannot be written: " + std::strerror(errno));
    }
}

std::string warning_of(const Options& options) {
    return options.card_file.empty() || options.noise_file.empty()
               ? "THIS IS NO HARDWARE. A program pretends to be a dongle; use it for tests, never for "
                 "secrets."
               : "THIS IS A PROGRAM. It is an Entropy Key as good as " + options.noise_file +
                     ", its noise, and as safe as this computer.";
}

struct Stopper {
    Loop& loop;
    void on_signal(int) { loop.stop(); }
};

Result<std::unique_ptr<Dongle>> start_stream(Loop& loop, const Options& options, UsbipServer& server,
                                             unsigned device) {
    const bool onerng = options.kind == Options::DeviceKind::onerng;
    auto noise = options.noise_file.empty()
                     ? Result<std::unique_ptr<Noise>>(noise_for(options, device, entropy_stream))
                     : file_noise(options.noise_file);
    if (!noise) {
        return tl::unexpected(noise.error());
    }
    const std::string serial = onerng ? "00" : ""; // as every one says; a TrueRNG says none
    auto made = std::make_unique<StreamDongle>(
        loop, onerng ? StreamDongle::Kind::onerng : StreamDongle::Kind::truerng,
        server.add(serial, onerng ? onerng_usb : truerng_usb), std::move(*noise),
        options.rate * entropykey::block_size);
    if (auto started = made->start(); !started) {
        return tl::unexpected(started.error());
    }
    report_ready(options, server.path(), serial.empty() ? "-" : serial);
    return made;
}

// One device, on its line and ready; `server` where that is USB/IP.
Result<std::unique_ptr<Dongle>> start_device(Loop& loop, const Options& options, UsbipServer* server,
                                             unsigned device) {
    if (options.kind != Options::DeviceKind::entropy_key) {
        return start_stream(loop, options, *server, device);
    }
    auto identity = make_identity(options, device);
    if (!identity) {
        return tl::unexpected(identity.error());
    }
    const std::string serial = (*identity)->serial.base64();
    auto setup = setup_for(loop, options, device, std::move(*identity));
    if (!setup) {
        return tl::unexpected(setup.error());
    }
    auto line = server != nullptr ? server->add(serial, entropy_key_usb) : line_for(loop, options);
    auto runner = std::make_unique<Runner>(loop, std::move(line), std::move(*setup));
    if (auto started = runner->start(); !started) {
        return tl::unexpected(started.error());
    }
    report_ready(options, server != nullptr ? server->path() : options.path, serial);
    return runner;
}

Result<void> make_card(const Options& options) {
    const auto identity = make_identity(options, 0);
    if (!identity) {
        return tl::unexpected(identity.error());
    }
    const CardText text = card_text(**identity);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0 ? Result<void>{} : fail("standard output cannot be written");
}

Result<void> run(const Options& options) {
    Loop loop;
    Stopper stopper{loop};
    SignalWatcher terminate(loop), interrupt(loop);
    terminate.bind<&Stopper::on_signal>(&stopper);
    terminate.start(SIGTERM);
    interrupt.bind<&Stopper::on_signal>(&stopper);
    interrupt.start(SIGINT);
    std::unique_ptr<UsbipServer> server;
    if (options.line == Options::LineKind::usbip) {
        auto opened = UsbipServer::open(loop, options.path);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        server = std::move(*opened);
    }
    Dongles runners;
    Commands commands(loop, runners);
    if (auto opened = options.commands.empty() ? Result<void>() : commands.open(options.commands); !opened) {
        return opened;
    }
    while (runners.size() < options.devices) {
        auto runner = start_device(loop, options, server.get(), static_cast<unsigned>(runners.size()));
        if (!runner) {
            return tl::unexpected(runner.error());
        }
        runners.push_back(std::move(*runner));
    }
    loop.run();
    const auto failed =
        std::ranges::find_if(runners, [](const auto& runner) { return !runner->failure().empty(); });
    return failed == runners.end() ? Result<void>{} : fail((*failed)->failure());
}

} // namespace

int main(int argc, char** argv) try {
    init_secrets();
    forbid_core_dumps();
    log::open(log::Target::standard_error, "softkey", log::Level::warning);
    std::signal(SIGPIPE, SIG_IGN);
    const auto options = read_options(argc, argv);
    if (!options) {
        say(options.error().what);
        return 2;
    }
    if (!options->text.empty()) {
        std::fputs(options->text.c_str(), stdout);
        return 0;
    }
    const bool runs = options->action == Options::Action::run;
    if (runs) {
        say(warning_of(*options));
    }
    if (auto done = runs ? run(*options) : make_card(*options); !done) {
        say(done.error().what);
        return 1;
    }
    return 0;
} catch (const std::exception& error) {
    ekey::softkey::say(error.what());
    return 1;
}
