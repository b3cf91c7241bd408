// A pipeline that remembers what the control socket asked of it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ekeyd/control/subject.h"

namespace ekey::control {

class FakeSubject final : public Subject {
  public:
    std::vector<SourceRow> rows;
    Statistics values;
    std::vector<std::string> health_lines, listener_lines, sink_lines;
    std::vector<std::string> calls; // what was asked, in order
    CaptureReceiver* receiver = nullptr;
    std::function<void()> on_shutdown = [] {};

    std::vector<SourceRow> sources() const override { return rows; }
    Result<unsigned> find(std::string_view id) const override {
        for (const SourceRow& row : rows) {
            if (std::to_string(row.number) == id || row.status.serial == id || row.status.path == id) {
                return row.number;
            }
        }
        return fail("Unable to find ekey '" + std::string(id) + "'");
    }
    Result<Statistics> statistics(unsigned) const override { return values; }
    Result<unsigned> add_source(std::string_view where, std::optional<std::string_view> serial) override {
        calls.push_back("add " + std::string(where) + (serial ? " with " + std::string(*serial) : ""));
        if (where == "/tmp/none") {
            return fail("Cannot open /tmp/none: No such file or directory");
        }
        return 7;
    }
    Result<void> add_directory(std::string_view directory) override {
        calls.push_back("addall " + std::string(directory));
        return {};
    }
    bool remove_finder(std::string_view address) override {
        const bool mine = address == "entropykey:usb";
        if (mine) {
            calls.push_back("unfind " + std::string(address));
        }
        return mine;
    }
    Result<void> remove_source(unsigned number) override {
        calls.push_back("remove " + std::to_string(number));
        return {};
    }
    Result<void> reset_source(unsigned number) override {
        calls.push_back("reset " + std::to_string(number));
        return {};
    }
    Result<std::size_t> load_keyring(std::string_view path) override {
        calls.push_back("keyring " + std::string(path));
        return 2;
    }
    Result<std::vector<std::string>> health(std::optional<unsigned> number) const override {
        auto lines = health_lines;
        lines.push_back("of\t" + (number ? std::to_string(*number) : "all"));
        return lines;
    }
    Result<void> add_listener(std::string_view a) override { return note("listen ", a); }
    Result<void> remove_listener(std::string_view a) override { return note("unlisten ", a); }
    Result<void> add_sink(std::string_view a) override { return note("sink ", a); }
    Result<void> remove_sink(std::string_view a) override { return note("unsink ", a); }
    std::vector<std::string> listeners() const override { return listener_lines; }
    std::vector<std::string> sinks() const override { return sink_lines; }
    Result<void> begin_capture(unsigned number, std::uint64_t bytes, CaptureReceiver& r) override {
        if (receiver != nullptr) {
            return fail("a capture of this source is going on");
        }
        calls.push_back("capture " + std::to_string(number) + " " + std::to_string(bytes));
        receiver = &r;
        remaining = bytes;
        return {};
    }
    void end_capture(CaptureReceiver& r) override {
        calls.push_back("end capture");
        receiver = receiver == &r ? nullptr : receiver;
    }
    Result<std::string> reload() override {
        calls.push_back("reload");
        return "restart for user";
    }
    void shutdown() override {
        calls.push_back("shutdown");
        on_shutdown();
    }

    // The source delivers; as in the pipeline, the capture is still there while the receiver is called.
    void deliver(ByteView raw) {
        CaptureReceiver* const to = receiver;
        if (to == nullptr) {
            return;
        }
        const auto count = std::min<std::uint64_t>(raw.size(), remaining);
        remaining -= count;
        to->on_captured(raw.first(static_cast<std::size_t>(count)));
        if (remaining == 0) {
            receiver = nullptr;
        }
    }

  private:
    Result<void> note(std::string_view what, std::string_view address) {
        calls.push_back(std::string(what) + std::string(address));
        return {};
    }
    std::uint64_t remaining = 0;
};

inline SourceRow row(unsigned number, bool ok, std::string word, std::string path, std::string serial = "") {
    return {number, {ok, std::move(word), std::move(path), std::move(serial)}};
}

} // namespace ekey::control
