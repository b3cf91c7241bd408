// The transcripts were taken from Debian's ekeyd 1.1.5 on its Unix control socket; the serial is an example.
#include <doctest/doctest.h>

#include <string>

#include "ekeyd/control/dialogue.h"
#include "tests/unit/control/fake_subject.h"

using namespace ekey::control;
using Strings = std::vector<std::string>;

namespace {

struct Talk {
    FakeSubject subject;
    unsigned settles = 0;
    Dialogue dialogue{subject, [this] { ++settles; }};

    std::string take() {
        std::string out;
        while (!dialogue.output().empty()) {
            const std::string piece(dialogue.output());
            out += piece;
            dialogue.consumed(piece.size());
        }
        return out;
    }
    std::string say(std::string_view bytes) {
        dialogue.receive(bytes);
        return take();
    }
    void greet() { CHECK(take() == "PROTOCOL EKEYD/1\n"); }
};

// The answers to `bytes`, fed whole, byte by byte, and in two parts at every place.
std::string answers(
    std::string_view bytes, void (*prepare)(FakeSubject&) = [](FakeSubject&) {}) {
    Talk whole;
    prepare(whole.subject);
    whole.greet();
    const std::string expected = whole.say(bytes);

    Talk single;
    prepare(single.subject);
    single.greet();
    std::string out;
    for (const char c : bytes) {
        out += single.say({&c, 1});
    }
    CHECK(out == expected);

    for (std::size_t cut = 1; cut < bytes.size() && bytes.size() < 200; ++cut) {
        Talk parts;
        prepare(parts.subject);
        parts.greet();
        out = parts.say(bytes.substr(0, cut));
        out += parts.say(bytes.substr(cut));
        CHECK(out == expected);
    }
    return expected;
}

void two_sources(FakeSubject& subject) {
    subject.rows = {row(2, true, "Running OK", "/dev/ttyACM0", "NwBvBlg3OTBJORFD"),
                    row(3, false, "Key closed. (Vanished?)", "/tmp/out.txt")};
    subject.values = {
        {"BytesRead", "124"}, {"KeyTemperatureC", "25.850000"}, {"KeyEnglishBadness", "No failure"}};
}

} // namespace

TEST_CASE("control: ListEntropyKeys, in every form that 1.1.5 takes") {
    const std::string empty = "*\tNR\tOK\tStatus\tPath\tSerialNo\nOK\n";
    for (const char* form : {"ListEntropyKeys\n", "ListEntropyKeys()\n", "  ListEntropyKeys \n",
                             "ListEntropyKeys\r\n", "ListEntropyKeys;\n", "ListEntropyKeys -- x\n",
                             "ListEntropyKeys(\"x\",\"y\")\n", "ListSources\n"}) {
        CAPTURE(form);
        CHECK(answers(form) == empty);
    }
    CHECK(answers("ListEntropyKeys\nListEntropyKeys\n") == empty + empty);
    CHECK(answers("ListEntropyKeys\n", two_sources) ==
          "*\tNR\tOK\tStatus\tPath\tSerialNo\n"
          "*\t2\tYES\tRunning OK\t/dev/ttyACM0\tNwBvBlg3OTBJORFD\n"
          "*\t3\tNO\tKey closed. (Vanished?)\t/tmp/out.txt\n"
          "OK\n");
}

TEST_CASE("control: StatEntropyKey by number, serial and path") {
    const std::string expected =
        "*\tBytesRead=124\n*\tKeyTemperatureC=25.850000\n*\tKeyEnglishBadness=No failure\nOK\n";
    for (const char* form :
         {"StatEntropyKey(\"2\")\n", "StatEntropyKey(2)\n", "StatEntropyKey \"NwBvBlg3OTBJORFD\"\n",
          "StatEntropyKey('/dev/ttyACM0')\n", "StatEntropyKey[[2]]\n"}) {
        CAPTURE(form);
        CHECK(answers(form, two_sources) == expected);
    }
    CHECK(answers("StatEntropyKey(\"9\")\n", two_sources) == "ERROR Unable to find ekey '9'\n");
    CHECK(answers("StatEntropyKey\n") == "ERROR expected StatEntropyKey(\"ID\")\n");
    CHECK(answers("StatEntropyKey(nil)\n") == "ERROR expected StatEntropyKey(\"ID\")\n");
    CHECK(answers("StatEntropyKey(\"\")\n") == "ERROR expected StatEntropyKey(\"ID\")\n");
}

TEST_CASE("control: commands that change something") {
    Talk talk;
    two_sources(talk.subject);
    talk.greet();
    CHECK(talk.say("AddEntropyKey(\"/dev/ttyACM1\",nil)\n") == "OK ID 7\n");
    CHECK(talk.say("AddEntropyKey(\"/dev/ttyACM1\",\"NwBvBlg3OTBJORFE\")\n") == "OK ID 7\n");
    CHECK(talk.say("AddEntropyKey \"device:/dev/hwrng,min-entropy=4\"\n") == "OK ID 7\n");
    CHECK(talk.say("AddEntropyKey(\"/tmp/none\")\n") ==
          "ERROR Cannot open /tmp/none: No such file or directory\n");
    CHECK(talk.say("AddEntropyKey(\"devise:/dev/hwrng\")\n") ==
          "ERROR source has no kind \"devise\": did you mean device?\n");
    CHECK(talk.say("AddEntropyKeys(\"/dev/entropykey\")\n") == "OK\n");
    CHECK(talk.say("RemoveEntropyKey(\"NwBvBlg3OTBJORFD\")\n") == "OK\n");
    CHECK(talk.say("RemoveEntropyKey(\"entropykey:usb\")\n") == "OK\n");
    CHECK(talk.say("RemoveEntropyKey(\"9\")\n") == "ERROR Unable to find ekey '9'\n");
    CHECK(talk.say("ResetEntropyKey(3)\n") == "OK\n");
    CHECK(talk.say("Keyring(\"/etc/entropykey/keyring\")\n") == "OK 2\n");
    CHECK(talk.say("AddListener(\"tcp:127.0.0.1:8888\")\n") == "OK\n");
    CHECK(talk.say("AddListener(\"udp:127.0.0.1:8888\")\n") ==
          "ERROR listen has no kind \"udp\": it takes unix, tcp, vsock, sealed, http, pollen\n");
    CHECK(talk.say("RemoveListener(\"tcp:127.0.0.1:8888\")\n") == "OK\n");
    CHECK(talk.say("AddSink(\"file:/x\")\n") == "OK\n");
    CHECK(talk.say("RemoveSink(\"file:/x\")\n") == "OK\n");
    CHECK(talk.subject.calls == Strings{"add /dev/ttyACM1", "add /dev/ttyACM1 with NwBvBlg3OTBJORFE",
                                        "add device:/dev/hwrng,min-entropy=4", "add /tmp/none",
                                        "addall /dev/entropykey", "remove 2", "unfind entropykey:usb",
                                        "reset 3", "keyring /etc/entropykey/keyring",
                                        "listen tcp:127.0.0.1:8888", "unlisten tcp:127.0.0.1:8888",
                                        "sink file:/x", "unsink file:/x"});
}

TEST_CASE("control: commands that tell something") {
    Talk talk;
    two_sources(talk.subject);
    talk.subject.health_lines = {"2\tstate=healthy"};
    talk.subject.listener_lines = {"tcp:127.0.0.1:8888\tclients=3"};
    talk.subject.sink_lines = {"kernel\tstate=ok"};
    talk.greet();
    CHECK(talk.say("Health\n") == "*\t2\tstate=healthy\n*\tof\tall\nOK\n");
    CHECK(talk.say("Health(\"2\")\n") == "*\t2\tstate=healthy\n*\tof\t2\nOK\n");
    CHECK(talk.say("Health(\"9\")\n") == "ERROR Unable to find ekey '9'\n");
    CHECK(talk.say("ListListeners\n") == "*\ttcp:127.0.0.1:8888\tclients=3\nOK\n");
    CHECK(talk.say("ListSinks\n") == "*\tkernel\tstate=ok\nOK\n");
    CHECK(talk.say("Version\n").starts_with("OK ekeyd "));
    const std::string help = talk.say("Help\n");
    CHECK(help.find("*\tCapture(\"ID\", BYTES)\t") != std::string::npos);
    CHECK(help.ends_with("\nOK\n"));
}

TEST_CASE("control: Bye and Shutdown end the talk, and what follows is not executed") {
    Talk talk;
    talk.greet();
    CHECK(talk.say("Bye()\nShutdown\n") == "OK Good bye\n");
    CHECK(talk.dialogue.finished());
    CHECK_FALSE(talk.dialogue.wants_input());
    CHECK(talk.say("Shutdown\n") == "");
    CHECK(talk.subject.calls.empty());

    Talk other;
    other.greet();
    CHECK(other.say("Shutdown\n") == "OK\n");
    CHECK(other.dialogue.finished());
    CHECK(other.subject.calls == Strings{"shutdown"});
}

TEST_CASE("control: promise 5: bad lines cost an ERROR and nothing else") {
    const std::string list = "*\tNR\tOK\tStatus\tPath\tSerialNo\nOK\n";
    CHECK(answers("\n") == "OK\n"); // as 1.1.5
    CHECK(answers("-- hi\n") == "OK\n");
    CHECK(answers("Nope\nListEntropyKeys\n") == "ERROR unknown command Nope: Help lists them\n" + list);
    CHECK(answers("ListEntropyKey\n") ==
          "ERROR unknown command ListEntropyKey: did you mean ListEntropyKeys?\n");
    CHECK(answers("Nope(\nListEntropyKeys\n").ends_with('\n' + list));
    CHECK(answers("\"abc\nListEntropyKeys\n").ends_with('\n' + list));
    CHECK(answers("1+1\nListEntropyKeys\n").ends_with('\n' + list));
    CHECK(answers("\\\nListEntropyKeys\n").ends_with('\n' + list));
    CHECK(answers(std::string("\0\1\2\xff\xfe\nListEntropyKeys\n", 22)).ends_with('\n' + list));
    CHECK(answers("Health(\"1\",\"2\")\n") == "ERROR expected Health([\"ID\"])\n");
    for (int c = 0; c < 256; ++c) {
        if (c == '\n' || c == '\\') {
            continue;
        }
        Talk talk;
        talk.greet();
        const std::string out =
            talk.say("Keyring" + std::string(1, static_cast<char>(c)) + "\nListEntropyKeys\n");
        CHECK(out.ends_with(list));
    }
}

TEST_CASE("control: promise 5: a line that is too long is skipped to its end and answered once") {
    const std::string list = "*\tNR\tOK\tStatus\tPath\tSerialNo\nOK\n";
    const std::string too_long = "ERROR the line is longer than 8448 bytes\n";
    CHECK(answers(std::string(8449, 'x') + "\nListEntropyKeys\n") == too_long + list);
    CHECK(answers(std::string(100000, 'x') + "\nListEntropyKeys\n") == too_long + list);
    CHECK(answers("Keyring(\"" + std::string(20000, '\\') + "\nListEntropyKeys\n") == too_long + list);
    CHECK(answers(std::string(8448, ' ') + "\n") == "OK\n");
    Talk endless;
    endless.greet();
    std::string out;
    for (int i = 0; i < 1000; ++i) {
        out += endless.say(std::string(1000, 'x'));
    }
    CHECK(out == too_long);
    endless.dialogue.receive_end();
    CHECK(endless.dialogue.finished());
}

TEST_CASE("control: a string with a quoted line end, as Lua's %q writes it") {
    Talk talk;
    talk.greet();
    CHECK(talk.say("Keyring(\"/a\\\nb\")\n") == "OK 2\n");
    CHECK(talk.subject.calls == Strings{"keyring /a\nb"});
}

TEST_CASE("control: what comes from outside cannot forge a line or a column") {
    Talk talk;
    talk.subject.rows = {row(1, true, "Running\nOK", "/dev/a\tNO\n*\t9\tYES", "S\r\n\x7f")};
    talk.subject.values = {{"Name", "a\nERROR b"}};
    talk.subject.health_lines = {"x\ny"};
    talk.greet();
    CHECK(talk.say("ListEntropyKeys\n") ==
          "*\tNR\tOK\tStatus\tPath\tSerialNo\n"
          "*\t1\tYES\tRunning\\x0aOK\t/dev/a\\x09NO\\x0a*\\x099\\x09YES\tS\\x0d\\x0a\\x7f\n"
          "OK\n");
    CHECK(talk.say("StatEntropyKey(1)\n") == "*\tName=a\\x0aERROR b\nOK\n");
    CHECK(talk.say("Health\n") == "*\tx\\x0ay\n*\tof\tall\nOK\n");
    CHECK(talk.say("StatEntropyKey \"a\\nOK\"\n") == "ERROR Unable to find ekey 'a\\x0aOK'\n");
}

TEST_CASE("control: a capture answers in base64 as bytes come, then OK, then what waited") {
    Talk talk;
    two_sources(talk.subject);
    talk.greet();
    CHECK(talk.say("Capture(\"2\", 6)\nVersion\n") == "");
    CHECK(talk.dialogue.capturing());
    talk.subject.deliver(ekey::as_bytes("foo"));
    CHECK(talk.take() == "*\tZm9v\n");
    talk.subject.deliver(ekey::as_bytes("bar and what is not asked for"));
    CHECK(talk.settles == 2);
    talk.dialogue.settle();
    CHECK(talk.take().starts_with("*\tYmFy\nOK\nOK ekeyd "));
    CHECK_FALSE(talk.dialogue.capturing());
    CHECK(talk.subject.calls == Strings{"capture 2 6"});
}

TEST_CASE("control: two captures of one source in one packet follow each other") {
    Talk talk;
    two_sources(talk.subject);
    talk.greet();
    talk.dialogue.receive("Capture(2,1)\nCapture(2,1)\n");
    talk.subject.deliver(ekey::as_bytes("a"));
    talk.dialogue.settle();
    talk.subject.deliver(ekey::as_bytes("b"));
    CHECK(talk.take() == "*\tYQ==\nOK\n*\tYg==\nOK\n");
}

TEST_CASE("control: captures that are refused, that end early, whose client goes or reads too slowly") {
    Talk talk;
    two_sources(talk.subject);
    talk.greet();
    CHECK(talk.say("Capture(\"2\")\n") == "ERROR expected Capture(\"ID\", BYTES)\n");
    CHECK(talk.say("Capture(\"9\", 1)\n") == "ERROR Unable to find ekey '9'\n");
    for (const char* count : {"0", "-1", "1.5", "1099511627777", "\"x\""}) {
        CAPTURE(count);
        CHECK(talk.say("Capture(\"2\", " + std::string(count) + ")\n")
                  .starts_with("ERROR the number of bytes is"));
    }
    CHECK(talk.subject.calls.empty());

    talk.say("Capture(\"2\", 10)\n");
    CHECK(talk.subject.receiver != nullptr);
    {
        Dialogue other(talk.subject, [] {});
        other.receive("Capture(\"2\", 10)\n");
        CHECK(other.output().ends_with("\nERROR a capture of this source is going on\n"));
    }
    CHECK(talk.subject.calls == Strings{"capture 2 10"});
    auto* const receiver = talk.subject.receiver;
    talk.subject.receiver = nullptr;
    receiver->on_capture_ended("the source was removed");
    talk.dialogue.settle();
    CHECK(talk.take() == "ERROR the capture ended: the source was removed\n");
    {
        Dialogue goes(talk.subject, [] {});
        goes.receive("Capture(\"2\", 10)\n");
        CHECK(talk.subject.receiver != nullptr);
    }
    CHECK(talk.subject.receiver == nullptr);
    CHECK(talk.subject.calls.back() == "end capture");

    Dialogue slow(talk.subject, [] {});
    slow.receive("Capture(\"2\", 10000000)\n");
    const std::string piece(50000, 'x');
    for (int i = 0; i < 100 && talk.subject.receiver != nullptr; ++i) {
        talk.subject.deliver(ekey::as_bytes(piece));
        CHECK(slow.output().size() <= most_output);
        slow.settle();
    }
    CHECK(talk.subject.receiver == nullptr);
    CHECK(slow.output().ends_with("\nERROR the capture ended: the client reads too slowly\n"));
}

TEST_CASE("control: promise 5: a client that never reads is no longer listened to") {
    Talk talk;
    two_sources(talk.subject);
    const std::string commands = [] {
        std::string all;
        for (int i = 0; i < 200; ++i) {
            all += "ListEntropyKeys\n";
        }
        return all;
    }();
    int fed = 0;
    while (talk.dialogue.wants_input() && fed < 10000) {
        talk.dialogue.receive(commands);
        ++fed;
    }
    CHECK(fed < 100);
    CHECK(talk.dialogue.output().size() < most_output + 1000);
    std::string out = talk.take(); // once it reads, all is answered
    std::size_t answered = 0;
    for (std::size_t at = 0; (at = out.find("\nOK\n", at)) != std::string::npos; ++at) {
        ++answered;
    }
    CHECK(answered == static_cast<std::size_t>(fed) * 200);
    CHECK(talk.dialogue.wants_input());
}

TEST_CASE(
    "control: a client that stops sending still gets its answers, and a last line without an end counts") {
    Talk talk;
    talk.greet();
    talk.dialogue.receive("ListEntropyKeys\nListEntropyKeys");
    talk.dialogue.receive_end();
    CHECK_FALSE(talk.dialogue.finished());
    const std::string list = "*\tNR\tOK\tStatus\tPath\tSerialNo\nOK\n";
    CHECK(talk.take() == list + list);
    CHECK(talk.dialogue.finished());
}
