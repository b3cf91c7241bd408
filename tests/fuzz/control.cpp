// Guards the control socket's dialogue and commands (ekeyd/control/dialogue.h) against hostile clients, with
// a pipeline that only remembers what was asked of it. Promise: any cutting of the lines asks the same of the
// daemon and gives the same answers; every line of an answer is a row, OK or ERROR, free of control bytes,
// whatever the client wrote; every client comes to an end.
#include <string>
#include <vector>

#include "ekeyd/control/dialogue.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/control/fake_subject.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::control;

namespace {

struct Talk {
    std::vector<std::string> calls;
    std::string answers;
    bool operator==(const Talk&) const = default;
};

void prepare(FakeSubject& subject) {
    subject.rows = {row(1, true, "Running", "/dev/ttyACM0", "Z0I4GjAoEsgb6qly"),
                    row(2, false, "Bad\tword", "/x\n")};
    subject.values = {{"BytesRead", "64"}, {"Words", "two\nlines"}};
    subject.health_lines = {"state\thealthy"};
    subject.listener_lines = {"unix:/run/egd\tclients=2"};
}

// Every capture brings 100 bytes, then its source goes away.
void captures(FakeSubject& subject, Dialogue& dialogue) {
    while (dialogue.capturing()) {
        must(subject.receiver != nullptr, "a capture is known to the daemon");
        subject.deliver(std::vector<Byte>(100, 0xaa));
        if (CaptureReceiver* const receiver = std::exchange(subject.receiver, nullptr))
            receiver->on_capture_ended("the source\nhas gone");
        dialogue.settle();
    }
}

Talk talk(ByteView lines, Cuts cuts) {
    FakeSubject subject;
    prepare(subject);
    Talk result;
    {
        Dialogue dialogue(subject, [] {});
        const auto after = [&] {
            captures(subject, dialogue);
            while (!dialogue.output().empty()) {
                result.answers += dialogue.output();
                dialogue.consumed(dialogue.output().size());
                captures(subject, dialogue);
            }
        };
        while (!lines.empty()) {
            dialogue.receive(as_text(cuts.next(lines)));
            after();
        }
        dialogue.receive_end();
        after();
        must(dialogue.finished(), "every client comes to an end");
    }
    must(subject.receiver == nullptr, "no capture outlives its client");
    result.calls = subject.calls;
    return result;
}

void check_lines(std::string_view answers) {
    while (!answers.empty()) {
        const std::size_t end = answers.find('\n');
        must(end != std::string_view::npos, "an answer ends its last line");
        const std::string_view line = answers.substr(0, end);
        answers.remove_prefix(end + 1);
        must(line.starts_with("*\t") || line == "OK" || line.starts_with("OK ") ||
                 line.starts_with("ERROR ") || line == "PROTOCOL EKEYD/1",
             "a line is a row, OK or ERROR");
        must(std::all_of(line.begin(), line.end(),
                         [](char c) { return c == '\t' || (static_cast<Byte>(c) >= 0x20 && c != 0x7f); }),
             "no control byte comes back");
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const Cuts cuts(input.byte());
    const ByteView lines = input.rest();
    const Talk whole = talk(lines, Cuts(0));
    check_lines(whole.answers);
    must(talk(lines, cuts) == whole, "any cutting means the same");
    return 0;
}
