// ekeyd: an ordered list of steps. What can go wrong goes wrong before the daemon says that it is ready.

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "ekeyd/config/settings.h"
#include "ekeyd/control/server.h"
#include "ekeyd/pipeline.h"
#include "ekeyd/reload.h"
#include "ekeyd/restart.h"
#include "ekeyd/runtime/account.h"
#include "ekeyd/runtime/daemon.h"
#include "ekeyd/runtime/held_signal.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/passed_sockets.h"
#include "ekeyd/runtime/sandbox.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/runtime/service_manager.h"
#include "ekeyd/runtime/standard_files.h"
#include "ekeyd/sandbox_rules.h"

namespace {

using namespace ekey;

enum Exit { done = 0, failed = 1, misused = 2 };

// A start-up fault: one sentence, and where it was written when that is known.
struct StartFault {
    std::string what;
};

template <class T>
T need(Result<T> result, const std::string& where = {}) {
    if (!result) {
        throw StartFault{(where.empty() ? "" : where + ": ") + result.error().what};
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

class StopSignals {
  public:
    explicit StopSignals(Loop& loop) : loop_(loop), term_(loop), interrupt_(loop) {
        term_.bind<&StopSignals::stop>(this);
        interrupt_.bind<&StopSignals::stop>(this);
        term_.start(SIGTERM);
        interrupt_.start(SIGINT);
    }

  private:
    void stop(int signal) {
        log::notice("stopping", {{"signal", signal}});
        loop_.stop();
    }
    Loop& loop_;
    SignalWatcher term_, interrupt_;
};

void load_keyring(Pipeline& pipeline, const config::Setting& keyring) {
    // A host that has no key yet has no keyring yet; one that was named must be there.
    if (keyring.where == "default" && !std::filesystem::exists(keyring.value)) {
        log::info("no keyring yet", {{"keyring", keyring.value}});
        return;
    }
    const std::size_t keys = need(pipeline.load_keyring(keyring.value), keyring.where);
    log::info("keyring read", {{"keyring", keyring.value}, {"keys", keys}});
}

Result<void> check_account(const config::Settings& settings) {
    const auto check = [](const config::Setting& name, auto find) -> Result<void> {
        if (name.value.empty()) {
            return {};
        }
        const auto found = find(name.value);
        return found ? Result<void>() : fail(name.where + ": " + found.error().what);
    };
    const auto user = check(settings.user, find_user);
    return user ? check(settings.group, find_group) : user;
}

// Whoever comes from 1.1.5 sees what became of each line.
void tell_understood(const config::Settings& settings) {
    for (const config::Setting& one : settings.understood) {
        log::notice("understood a line in the form of ekeyd 1.1.5",
                    {{"where", one.where}, {"setting", one.value}});
    }
}

// The background has another current folder.
std::string absolute(const std::string& file) {
    return file.empty() ? file : std::filesystem::absolute(file).string();
}

int run(const config::Settings& settings, Reloader::CommandLine command_line,
        std::vector<PassedDescriptor> descriptors) {
    const log::Level level = need(log::parse_level(settings.log_level));
    log::open(log::Target::standard_error, "ekeyd", level); // until it is ready, to who started it
    auto background = need(Background::enter(!settings.foreground));
    const auto target = settings.foreground ? log::Target::standard_error : log::Target::syslog;

    log::debug("open files", {{"limit", raise_open_files_limit()}});
    PassedSockets passed;
    passed.keep_from(descriptors);
    Loop loop;
    const StopSignals signals(loop);
    std::signal(SIGPIPE, SIG_IGN); // a reader that went away is an error of the write
    std::signal(SIGXFSZ, SIG_IGN); // a file at its size limit too

    const PidFile pid_file = need(PidFile::write(settings.pidfile.value), settings.pidfile.where);
    Pipeline pipeline(loop, settings.pool_size,
                      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(settings.silence)));
    pipeline.keep_reserve(settings.reserve);
    pipeline.set_identity(settings.identity.value);
    pipeline.set_passed_sockets(passed);
    load_keyring(pipeline, settings.keyring);
    for (const auto& listen : settings.listen) {
        need(pipeline.add_listener(listen.value), listen.where);
    }
    for (const auto& sink : settings.sink) {
        need(pipeline.add_sink(sink.value), sink.where);
    }
    std::vector<std::unique_ptr<control::ControlServer>> controls;
    for (const auto& control : settings.control) {
        const auto address = need(config::parse_address(control.value), control.where);
        controls.push_back(
            need(control::ControlServer::open(loop, pipeline, address, &passed), control.where));
    }
    passed.tell_idle();
    const Sandbox sandbox = parse_sandbox(settings.sandbox);
    Confinement confinement;
    need(confine_files(confinement, sandbox, file_rules(settings))); // before the first source's thread
    for (const auto& source : settings.source) {
        need(pipeline.add_configured_source(source.value), source.where);
    }
    need(drop_privileges(settings.user.value, settings.group.value, feeds_kernel(settings)));
    need(confine_calls(confinement, sandbox));

    const Reloader reloader(loop, pipeline, settings, std::move(command_line));
    background.ready();
    log::open(target, "ekeyd", level);
    log_confinement(confinement);
    tell_understood(settings);
    take_clients_over(pipeline, std::move(descriptors));
    log::notice("ready", {{"version", EKEYD_VERSION},
                          {"config", settings.config_file.empty() ? "none" : settings.config_file},
                          {"sources", settings.source.size()},
                          {"listeners", settings.listen.size()},
                          {"sinks", settings.sink.size()}});
    const Watchdog watchdog(loop);
    tell_service_manager("READY=1");
    loop.run();
    tell_service_manager("STOPPING=1");
    hand_clients_over(pipeline);
    log::notice("stopped");
    return done;
}

} // namespace

int main(int argc, char** argv) {
    fill_standard_files();
    hold_signal(SIGHUP); // until Reloader takes it: what is read from here on may be older than the signal
    try {
        auto descriptors = take_passed_descriptors(); // before any other has a number of theirs
        log::open(log::Target::standard_error, "ekeyd", log::Level::info);
        init_secrets();
        forbid_core_dumps();
        auto request = config::read_settings(argc, argv);
        if (!request) {
            log::fault(request.error().what);
            return misused;
        }
        using config::Action;
        if (request->action == Action::run || request->action == Action::check_config ||
            request->action == Action::convert) {
            for (const auto check : {Pipeline::check, check_account}) {
                if (const auto checked = check(request->settings); !checked) {
                    log::fault(checked.error().what);
                    return misused;
                }
            }
        }
        if (request->action != Action::run) {
            std::fputs(request->text.c_str(), stdout);
            if (const auto flushed = flush_output(); !flushed) {
                log::fault(flushed.error().what);
                return failed;
            }
            return done;
        }
        request->settings.config_file = absolute(request->settings.config_file);
        return run(request->settings, {argc, argv, std::filesystem::current_path()}, std::move(descriptors));
    } catch (const StartFault& fault) {
        log::fault(fault.what);
    } catch (const std::exception& error) {
        log::fault(error.what());
    }
    return failed;
}
