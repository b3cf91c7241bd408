#include <csignal>
#include <cstdio>
#include <exception>
#include <utility>

#include <malloc.h>

#include "egd-push/options.h"
#include "egd-push/session.h"
#include "egd-push/wakeups.h"
#include "ekeyd/config/identity.h"
#include "ekeyd/runtime/held_signal.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/service_manager.h"
#include "ekeyd/runtime/standard_files.h"

namespace {

using namespace ekey;

constexpr int done = 0, failed = 1, usage = 2;

log::Level level_of(const PushOptions& options) {
    constexpr log::Level levels[] = {log::Level::notice, log::Level::info, log::Level::debug};
    return levels[std::min(options.verbose, 2u)];
}

// What the running process changes is asked of servers, and how; the rest was opened, read or given up.
std::string restart_needed(const PushOptions& was, const PushOptions& now) {
    const std::pair<const char*, bool> fixed[] = {{"to", was.to.text == now.to.text && was.seed == now.seed},
                                                  {"identity", was.identity == now.identity},
                                                  {"once", was.once == now.once},
                                                  {"sandbox", was.sandbox == now.sandbox}};
    std::string names;
    for (const auto& [name, same] : fixed) {
        if (!same) {
            names += (names.empty() ? "" : ", ") + std::string(name);
        }
    }
    return names;
}

struct CommandLine {
    int argc;
    const char* const* argv;
};

class Guest final : private SessionOwner, private WakeupOwner {
  public:
    Guest(PushOptions options, CommandLine command_line, Destination& destination,
          const sealed::KeyPair* self)
        : options_(std::move(options)), command_line_(command_line), destination_(destination), self_(self),
          terminate_(loop_), interrupt_(loop_), hangup_(loop_), wakeups_(loop_, *this), watchdog_(loop_) {
        terminate_.bind<&Guest::on_signal>(this);
        interrupt_.bind<&Guest::on_signal>(this);
        terminate_.start(SIGTERM);
        interrupt_.start(SIGINT);
        hangup_.bind<&Guest::on_hangup>(this);
    }

    int run() {
        begin();
        if (!options_.once) { // which has nothing to read again for
            hangup_.start(SIGHUP);
        }
        release_signal(SIGHUP);
        // Everything may have failed at once, and stop() is for a loop that runs.
        if (!finished_) {
            loop_.run();
        }
        hold_signal(SIGHUP);
        tell_service_manager("STOPPING=1");
        return status_;
    }

  private:
    void begin() {
        session_.emplace(loop_, options_, destination_, static_cast<SessionOwner&>(*this), self_);
        session_->start();
    }
    void on_first_push() override {
        ready_ = true;
        tell_service_manager("READY=1\nSTATUS=the first bytes were pushed");
    }
    void on_finished(bool pushed) override {
        status_ = pushed ? done : failed;
        finished_ = true;
        loop_.stop();
    }
    void on_wakeup(const char* what) override {
        log::info("pushing early", {{"reason", what}});
        session_->push_soon();
    }
    void on_signal(int) { loop_.stop(); }

    // All is checked first; then the servers of the new file are asked, at once.
    void on_hangup(int) {
        if (ready_) {
            tell_reloading();
        }
        auto request = read_push_options(command_line_.argc, command_line_.argv);
        std::string reason;
        if (!request) {
            reason = request.error().what;
        } else if (const auto names = restart_needed(options_, request->options); !names.empty()) {
            reason = "needs a restart: " + names;
        }
        if (reason.empty()) {
            session_.reset();
            options_ = std::move(request->options);
            log::open(log::Target::standard_error, "egd-push", level_of(options_));
            log::notice("reloaded", {{"servers", options_.from.size()}});
            begin();
        } else {
            log::error("not reloaded: all stays as it was", {{"reason", reason}});
        }
        // Not before the first push, which is what READY=1 stands for.
        if (ready_) {
            tell_service_manager("READY=1\nSTATUS=" +
                                 (reason.empty() ? "reloaded" : "not reloaded: " + reason));
        }
    }

    PushOptions options_;
    CommandLine command_line_;
    Destination& destination_;
    const sealed::KeyPair* self_;
    Loop loop_;
    SignalWatcher terminate_, interrupt_, hangup_;
    std::optional<Session> session_;
    Wakeups wakeups_;
    Watchdog watchdog_;
    int status_ = done;
    bool ready_ = false, finished_ = false;
};

// The kernel's pool is open; a file is made anew at each push.
Result<void> confine(const PushOptions& options) {
    FileRules rules = common_file_rules();
    if (options.to.kind == "file") {
        rules.push_back({holding_folder(options.to.rest), FileUse::outputs});
    }
    for (const config::Address& from : options.from) {
        if (from.kind == "char") {
            rules.push_back({holding_folder(from.rest), FileUse::devices});
        }
    }
    Confinement confinement;
    if (const auto files = confine_files(confinement, options.sandbox, rules); !files) {
        return files;
    }
    if (const auto calls = confine_calls(confinement, options.sandbox); !calls) {
        return calls;
    }
    log_confinement(confinement);
    return {};
}

int run(int argc, char** argv) {
    log::open(log::Target::standard_error, "egd-push", log::Level::notice);
    const auto request = read_push_options(argc, argv);
    if (!request) {
        log::fault(request.error().what);
        return usage;
    }
    if (request->action != PushRequest::Action::run) {
        std::fputs(request->action == PushRequest::Action::help ? push_help().c_str()
                                                                : "egd-push " EKEYD_VERSION "\n",
                   stdout);
        if (const auto flushed = flush_output(); !flushed) {
            log::fault(flushed.error().what);
            return failed;
        }
        return done;
    }
    const PushOptions& options = request->options;
    log::open(log::Target::standard_error, "egd-push", level_of(options));
    forbid_core_dumps();
    init_secrets();
    // A reader that goes away, and a limit on the size of files, are errors of a write, not the end.
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    std::optional<config::Identity> identity;
    if (!options.identity.empty()) {
        auto read = config::Identity::read(options.identity);
        if (!read) {
            log::fault(read.error().what);
            return failed;
        }
        identity = std::move(*read);
    }
    const auto destination = make_destination(options.to, options.seed);
    if (!destination) {
        log::fault(destination.error().what);
        return failed;
    }
    if (const auto confined = confine(options); !confined) {
        log::fault(confined.error().what);
        return failed;
    }
    return Guest(options, {argc, argv}, **destination, identity ? &identity->keys() : nullptr).run();
}

} // namespace

int main(int argc, char** argv) {
    fill_standard_files();
    // One arena: the thread that looks up names would otherwise bring its own.
    mallopt(M_ARENA_MAX, 1);
    hold_signal(SIGHUP); // until Guest takes it: what is read from here on may be older than the signal
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        log::fault(error.what());
        return failed;
    }
}
