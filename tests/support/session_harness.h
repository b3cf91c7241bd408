// A session with the owner's part played: events are kept, keys are provided, time passes when told to.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include <sodium/randombytes.h>

#include "protocol/entropykey/session.h"
#include "tests/support/scripted_key.h"

namespace ekey::test {

inline void system_random(ByteSpan out) {
    randombytes_buf(out.data(), out.size());
}

class SessionHarness {
  public:
    using State = entropykey::State;

    explicit SessionHarness(entropykey::Session::RandomSource random = system_random) : session(random) {}

    entropykey::Session session;
    Time now{std::chrono::hours(1)};
    std::optional<entropykey::LongTermKey> key; // answers NeedKey; none: the test does, or refuse
    bool refuse = false;
    std::vector<std::vector<Byte>> plaintexts;
    std::vector<State> states; // every state entered
    std::string failures;      // codes of DeviceFailed
    int keys_needed = 0, infos = 0;

    void start() {
        session.start(now);
        take_events();
    }

    // In pieces of at most `piece` bytes.
    void feed(std::string_view bytes, std::size_t piece = 4096) {
        while (!bytes.empty()) {
            ByteView in = as_bytes(bytes.substr(0, piece));
            bytes.remove_prefix(in.size());
            while (!in.empty()) {
                auto [used, event] = session.receive(in, now);
                in = in.subspan(used);
                take(event);
            }
            take_events();
        }
    }

    void take_events() {
        for (;;) {
            const auto event = session.receive({}, now).event;
            if (std::holds_alternative<std::monostate>(event))
                return;
            take(event);
        }
    }

    std::string output() {
        const std::string out(as_text(session.pending_output()));
        session.consume_output(out.size());
        return out;
    }

    // Lets time pass, calling the session at each of its deadlines.
    void pass(Duration time) {
        const Time end = now + time;
        while (session.deadline() <= end) {
            now = std::max(now, session.deadline());
            take(session.handle_timeout(now));
            take_events();
        }
        now = end;
    }

    // To and fro until neither has anything to say.
    void converse(ScriptedKey& device) {
        for (std::string out = output(); !out.empty(); out = output())
            feed(device.answer(as_bytes(out)));
    }

    // From the start to `running`, with the first block of entropy delivered.
    void run(ScriptedKey& device) {
        start();
        converse(device);
        feed(device.entropy(0, std::vector<Byte>(32, 1)));
    }

  private:
    void take(const entropykey::Event& event) {
        using namespace entropykey;
        if (const auto* need = std::get_if<NeedKey>(&event)) {
            ++keys_needed;
            (void)need;
            if (refuse)
                session.refuse_key(now);
            else if (key)
                session.provide_key(*key, now);
        } else if (const auto* entropy = std::get_if<Entropy>(&event)) {
            plaintexts.emplace_back(entropy->plaintext.begin(), entropy->plaintext.end());
        } else if (const auto* change = std::get_if<StateChanged>(&event)) {
            states.push_back(change->to);
        } else if (const auto* failed = std::get_if<DeviceFailed>(&event)) {
            failures += failed->code;
        } else if (std::holds_alternative<Info>(event)) {
            ++infos;
        }
    }
};

} // namespace ekey::test
