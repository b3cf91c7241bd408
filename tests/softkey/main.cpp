// softkey: an Entropy Key in software.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>

#include "ekeyd/config/keyring.h"
#include "ekeyd/runtime/secret.h"
#include "tests/softkey/options.h"
#include "tests/softkey/runner.h"
#include "tests/softkey/usbip_line.h"

namespace {

using namespace ekey;
using namespace ekey::softkey;

// Streams of one seed, kept apart by their number.
constexpr std::uint64_t entropy_stream = 0, nonce_stream = 1, identity_stream = 2, streams_of_one = 3;

std::unique_ptr<Noise> noise_for(const Options& options, unsigned device, std::uint64_t stream) {
    return options.seed ? seeded_noise(*options.seed, device * streams_of_one + stream) : kernel_noise();
}

// What was not given is made up. Further devices have the serial numbers that follow in the last byte.
Identity identity_for(const Options& options, unsigned device) {
    Identity identity;
    const auto noise = noise_for(options, device, identity_stream);
    noise->fill(identity.serial.bytes);
    noise->fill(identity.long_term_key.span());
    noise->fill(identity.master_key.span());
    if (options.serial) {
        identity.serial = *options.serial;
        identity.serial.bytes.back() = static_cast<Byte>(identity.serial.bytes.back() + device);
    }
    if (options.long_term_key) {
        identity.long_term_key = *options.long_term_key;
    }
    if (options.master_key) {
        identity.master_key = *options.master_key;
    }
    return identity;
}

Result<void> write_card(const std::string& path, const Identity& identity) {
    std::array<Byte, 33> bytes{}; // the key, then its check byte
    std::ranges::copy(identity.master_key.span(), bytes.begin());
    bytes.back() = entropykey::check_byte(identity.master_key.span());
    std::array<char, sodium_base64_ENCODED_LEN(33, sodium_base64_VARIANT_ORIGINAL)> text{};
    sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
    std::string spaced; // in groups of four, as people read it
    for (std::size_t i = 0; text[i] != '\0'; ++i) {
        spaced += (i > 0 && i % 4 == 0 ? " " : "") + std::string(1, text[i]);
    }
    const mode_t old_mask = ::umask(0077);
    std::ofstream card(path, std::ios::trunc);
    ::umask(old_mask);
    card << "Serial " << identity.serial.base64() << "\nMaster key " << spaced << "\n" << std::flush;
    return card ? Result<void>{} : fail("--card " + path + " cannot be written");
}

Result<void> write_papers(const Options& options, const Identity& identity) {
    if (!options.keyring_file.empty()) {
        const auto done =
            config::Keyring::update(options.keyring_file, identity.serial, identity.long_term_key);
        if (!done) {
            return done;
        }
    }
    return options.card_file.empty() ? Result<void>{} : write_card(options.card_file, identity);
}

Result<Runner::Setup> setup_for(const Options& options, unsigned device, const Identity& identity) {
    Runner::Setup setup;
    setup.identity = identity;
    setup.noise = noise_for(options, device, entropy_stream);
    setup.nonces = noise_for(options, device, nonce_stream);
    setup.faults = options.faults;
    setup.rate = options.rate;
    if (!options.noise_file.empty()) {
        auto noise = file_noise(options.noise_file);
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

void report_ready(const Options& options, const std::string& path, const Identity& identity) {
    const std::string line = "ready " + path + " " + identity.serial.base64() + "\n";
    if (::write(options.ready_fd, line.data(), line.size()) < 0) {
        say("descriptor " + std::to_string(options.ready_fd) + " cannot be written: " + std::strerror(errno));
    }
}

struct Stopper {
    Loop& loop;
    void on_signal(int) { loop.stop(); }
};

// One device, on its line and ready; `server` where that is USB/IP.
Result<std::unique_ptr<Runner>> start_device(Loop& loop, const Options& options, UsbipServer* server,
                                             unsigned device) {
    const Identity identity = identity_for(options, device);
    if (auto written = write_papers(options, identity); !written) {
        return tl::unexpected(written.error());
    }
    auto setup = setup_for(options, device, identity);
    if (!setup) {
        return tl::unexpected(setup.error());
    }
    auto line = server != nullptr ? server->add(identity.serial.base64()) : line_for(loop, options);
    auto runner = std::make_unique<Runner>(loop, std::move(line), std::move(*setup));
    if (auto started = runner->start(); !started) {
        return tl::unexpected(started.error());
    }
    report_ready(options, server != nullptr ? server->path() : options.path, identity);
    return runner;
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
    std::vector<std::unique_ptr<Runner>> runners;
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
    std::signal(SIGPIPE, SIG_IGN);
    const auto options = read_options(argc, argv);
    if (!options) {
        say(options.error().what);
        return 2;
    }
    if (options->action != Options::Action::run) {
        std::fputs(options->text.c_str(), stdout);
        return 0;
    }
    say("THIS IS NO HARDWARE. A program pretends to be an Entropy Key; use it for tests, never for secrets.");
    if (auto done = run(*options); !done) {
        say(done.error().what);
        return 1;
    }
    return 0;
} catch (const std::exception& error) {
    ekey::softkey::say(error.what());
    return 1;
}
