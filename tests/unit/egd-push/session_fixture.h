// A session with a destination that remembers what it was given.
#pragma once

#include <csignal>
#include <filesystem>
#include <optional>

#include "egd-push/session.h"
#include "server.h"
#include "tests/support/run_until.h"

namespace ekey::test {

using namespace std::chrono_literals;

class FakeDestination final : public Destination {
  public:
    Result<unsigned> push(ByteView bytes, unsigned bits) override {
        if (!trouble.empty()) {
            return fail(trouble);
        }
        pushes.emplace_back(bytes.begin(), bytes.end());
        credits.push_back(bits);
        return may_credit ? bits : 0;
    }
    bool mixes() const override { return kernel; }
    bool can_take() const override { return takes; }
    bool gone() const override { return is_gone; }
    int need_fd() const override { return need; }

    bool kernel = true, takes = true, is_gone = false, may_credit = true;
    int need = -1;
    std::string trouble;
    std::vector<std::string> pushes;
    std::vector<unsigned> credits;
};

struct SessionFixture : SessionOwner {
    SessionFixture() {
        std::signal(SIGPIPE, SIG_IGN);
        char name[] = "/tmp/ekeyd-test-XXXXXX";
        folder = mkdtemp(name);
        options.to = {"kernel", "", {}, "kernel"};
        options.interval = 50ms;
        options.timeout = 5s;
        from("a");
    }
    virtual ~SessionFixture() { std::filesystem::remove_all(folder); }

    std::string path(const std::string& name) const { return folder + "/" + name; }
    void from(const std::string& name) { from_address("unix:" + path(name)); }
    void from_address(const std::string& text) { options.from.push_back(*config::parse_address(text)); }
    void start() {
        session = std::make_unique<Session>(loop, options, destination, *this, self);
        session->start();
    }
    bool until(std::function<bool()> what, Duration deadline = 30s) {
        return RunUntil::holds(loop, std::move(what), deadline);
    }
    bool pushes(std::size_t count) {
        return until([this, count] { return destination.pushes.size() >= count; });
    }
    bool ends() {
        return until([this] { return finished.has_value(); });
    }
    void on_first_push() override { ++first_pushes; }
    void on_finished(bool pushed) override { finished = pushed; }

    Loop loop;
    std::string folder;
    PushOptions options;
    FakeDestination destination;
    std::unique_ptr<Session> session;
    const sealed::KeyPair* self = nullptr;
    int first_pushes = 0;
    std::optional<bool> finished;
};

} // namespace ekey::test
