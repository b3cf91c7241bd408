#include <csignal>
#include <cstdio>
#include <exception>

#include <malloc.h>

#include "egd-push/options.h"
#include "egd-push/session.h"
#include "egd-push/wakeups.h"
#include "ekeyd/config/identity.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/service_manager.h"

namespace {

using namespace ekey;

constexpr int done = 0, failed = 1, usage = 2;

class Guest final : private SessionOwner, private WakeupOwner {
  public:
    Guest(const PushOptions& options, Destination& destination, const sealed::KeyPair* self)
        : terminate_(loop_), interrupt_(loop_), session_(loop_, options, destination, *this, self),
          wakeups_(loop_, *this), watchdog_(loop_) {
        terminate_.bind<&Guest::on_signal>(this);
        interrupt_.bind<&Guest::on_signal>(this);
        terminate_.start(SIGTERM);
        interrupt_.start(SIGINT);
    }

    int run() {
        session_.start();
        // Everything may have failed at once, and stop() is for a loop that runs.
        if (!finished_) {
            loop_.run();
        }
        tell_service_manager("STOPPING=1");
        return status_;
    }

  private:
    void on_first_push() override { tell_service_manager("READY=1\nSTATUS=the first bytes were pushed"); }
    void on_finished(bool pushed) override {
        status_ = pushed ? done : failed;
        finished_ = true;
        loop_.stop();
    }
    void on_wakeup(const char* what) override {
        log::info("pushing early", {{"reason", what}});
        session_.push_soon();
    }
    void on_signal(int) { loop_.stop(); }

    Loop loop_;
    SignalWatcher terminate_, interrupt_;
    Session session_;
    Wakeups wakeups_;
    Watchdog watchdog_;
    int status_ = done;
    bool finished_ = false;
};

log::Level level_of(const PushOptions& options) {
    constexpr log::Level levels[] = {log::Level::notice, log::Level::info, log::Level::debug};
    return levels[std::min(options.verbose, 2u)];
}

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
    if (request->action == PushRequest::Action::help) {
        std::fputs(push_help().c_str(), stdout);
        return done;
    }
    if (request->action == PushRequest::Action::version) {
        std::puts("egd-push " EKEYD_VERSION);
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
    return Guest(options, **destination, identity ? &identity->keys() : nullptr).run();
}

} // namespace

int main(int argc, char** argv) {
    // One arena: the thread that looks up names would otherwise bring its own.
    mallopt(M_ARENA_MAX, 1);
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        log::fault(error.what());
        return failed;
    }
}
