#include "ekeyd/reload.h"

#include <algorithm>
#include <csignal>

#include "ekeyd/config/options.h"
#include "ekeyd/runtime/held_signal.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/service_manager.h"

namespace ekey {

namespace {

// What Pipeline::change changes; whatever else differs needs a restart.
constexpr std::string_view live[] = {"source", "listen", "sink", "keyring", "reserve"};

std::string restart_needed(const config::Settings& started, const config::Settings& now) {
    std::string names;
    for (const std::string_view name : config::differences(started, now)) {
        if (std::find(std::begin(live), std::end(live), name) == std::end(live)) {
            names += (names.empty() ? "needs a restart: " : ", ") + std::string(name);
        }
    }
    return names;
}

const config::Setting* kernel_sink(const config::Settings& settings) {
    for (const auto& sink : settings.sink) {
        if (sink.value.starts_with("kernel")) {
            return &sink;
        }
    }
    return nullptr;
}

} // namespace

bool feeds_kernel(const config::Settings& settings) {
    return kernel_sink(settings) != nullptr;
}

Reloader::Reloader(Loop& loop, Pipeline& pipeline, const config::Settings& started, CommandLine command_line)
    : pipeline_(pipeline), started_(started), current_(started), command_line_(std::move(command_line)),
      hangup_(loop) {
    hangup_.bind<&Reloader::on_hangup>(this);
    hangup_.start(SIGHUP);
    release_signal(SIGHUP);
    pipeline_.on_reload([this] { return reload(); });
}

// A daemon that ends reads nothing more, and nothing keeps it from removing its files.
Reloader::~Reloader() {
    hold_signal(SIGHUP);
}

void Reloader::on_hangup(int) {
    static_cast<void>(reload()); // it is in the log
}

Result<std::string> Reloader::reload() {
    tell_reloading();
    auto done = change();
    if (!done) {
        log::answer(log::Level::error, "not reloaded: all stays as it was", {{"reason", done.error().what}});
    } else if (done->empty()) {
        log::answer(log::Level::notice, "reloaded", {{"config", current_.config_file}});
    } else {
        log::answer(log::Level::warning, "reloaded", {{"config", current_.config_file}, {"but", *done}});
    }
    tell_service_manager(done ? "READY=1\nSTATUS=reloaded"
                              : "READY=1\nSTATUS=not reloaded: " + done.error().what);
    return done;
}

Result<std::string> Reloader::change() {
    auto request = config::read_settings(command_line_.argc, command_line_.argv, command_line_.folder);
    if (!request) {
        return tl::unexpected(request.error());
    }
    config::Settings& now = request->settings;
    if (now.config_file.empty() && !current_.config_file.empty()) {
        return fail(current_.config_file + " is gone");
    }
    config::Settings in_force = now;
    in_force.pool_size = started_.pool_size; // which the reserve must fit into
    if (auto good = Pipeline::check(in_force); !good) {
        return tl::unexpected(good.error());
    }
    if (const auto* sink = kernel_sink(now);
        sink != nullptr && !started_.user.value.empty() && !feeds_kernel(started_)) {
        return fail(sink->where + ": the right to credit entropy to the kernel was given up at the start, " +
                    "since there was no such sink: this needs a restart");
    }
    auto remark = pipeline_.change(current_, now);
    if (!remark) {
        return remark;
    }
    current_ = std::move(now);
    const std::string restart = restart_needed(started_, current_);
    return restart + (restart.empty() || remark->empty() ? "" : "; ") + *remark;
}

} // namespace ekey
