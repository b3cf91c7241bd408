// The source that holds a session with an Entropy Key: what its owner hears of it.
#include <doctest/doctest.h>

#include "ekeyd/sources/entropy_key.h"
#include "tests/support/scripted_key.h"
#include "tests/unit/sources/recording_owner.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;

namespace {

const Serial a_serial = parse_serial("NwBvBlg3OTBJORFD").value();
const Serial another_serial = parse_serial("Z0I4GjAoEsgb6qly").value();
const std::string good = "S08052:23751:23792:23584:07112:20876:08063:24150:0";
const std::string failed = "S08052:23751:23792:23584:07112:20876:08063:24150:1";

// The host's end of a link whose other end is a device that answers at once.
struct DirectLink final : Link {
    explicit DirectLink(std::string& written) : out(written) {}
    std::size_t write(ByteView bytes) override {
        out += as_text(bytes);
        return bytes.size();
    }
    void pause(bool) override {}
    std::string& out;
};

struct Rig {
    Loop loop;
    RecordingOwner owner{loop};
    std::string to_device;
    LinkOwner* host = nullptr;
    LongTermKey key;
    EntropyKey source{loop, "a key",
                      [this](LinkOwner& link_owner) -> Result<std::unique_ptr<Link>> {
                          host = &link_owner;
                          return std::make_unique<DirectLink>(to_device);
                      },
                      [this](const Serial&) { return &key; }, std::nullopt};

    Rig() { REQUIRE(source.start(owner, true)); }

    void feed(const std::string& bytes) { host->on_bytes(as_bytes(bytes)); }
    void converse(ScriptedKey& device) {
        while (!to_device.empty()) {
            feed(device.answer(as_bytes(std::exchange(to_device, {}))));
        }
    }
    // To the first entropy of a session.
    void run(ScriptedKey& device) {
        converse(device);
        feed(device.entropy(0, std::vector<Byte>(block_size, 7)));
    }
    std::string word() const { return source.status().word; }
};

} // namespace

TEST_CASE("promise 1: a key that begins anew by itself has failed, and is tested from the start") {
    for (const Serial& serial : {a_serial, another_serial}) { // or another one is in its place
        Rig rig;
        ScriptedKey before(a_serial, rig.key), after(serial, rig.key);
        rig.run(before);
        CHECK(rig.word() == "Running OK");
        CHECK(rig.owner.restarts == 1);
        CHECK(rig.owner.failures.empty());

        rig.feed(after.serial_frame());
        REQUIRE(rig.owner.failures.size() == 1);
        CHECK(rig.owner.failures[0].first == health::Failure::silence);
        CHECK(rig.owner.failures[0].second == "the device began anew");
        CHECK(rig.word() == "Serial ok");
        rig.run(after);
        CHECK(rig.word() == "Running OK");
        CHECK(rig.owner.restarts == 2);
        CHECK(rig.source.status().serial == serial.base64());
    }
}

TEST_CASE("a key that stopped by itself is tested again, and serves, once it was switched off and on") {
    Rig rig;
    ScriptedKey device(a_serial, rig.key);
    rig.run(device);
    rig.feed(device.info(failed));
    CHECK(rig.word() == "Key has self-stopped");
    REQUIRE(rig.owner.failures.size() == 1);
    CHECK(rig.owner.failures[0].first == health::Failure::device);

    device.forget();
    rig.feed(device.serial_frame());
    rig.run(device);
    rig.feed(device.info(good));
    CHECK(rig.word() == "Running OK");
    CHECK(rig.owner.restarts == 2);
    CHECK(rig.owner.failures.size() == 1);
}

TEST_CASE("a device whose answers are no use: the reason is told, once, and it is asked on") {
    Rig rig;
    ScriptedKey device(a_serial, rig.key);
    const std::string version_1 = device.binary(PacketType::serial, 1, a_serial.bytes);
    std::string spoilt = device.serial_frame();
    spoilt[20] = spoilt[20] == 'x' ? 'y' : 'x';
    struct Row {
        std::string answer, reason;
    };
    for (const auto& row : {Row{version_1, "protocol version 1"}, Row{spoilt, "not authentic"}}) {
        CAPTURE(row.reason);
        Rig one;
        for (int i = 0; i < 3; ++i) {
            one.feed(row.answer);
        }
        REQUIRE(one.owner.failures.size() == 1);
        CHECK(one.owner.failures[0].second.find(row.reason) != std::string::npos);
        one.run(device); // after all
        CHECK(one.word() == "Running OK");
    }
    rig.run(device);
    rig.feed(spoilt); // while it runs it is a frame that was spoilt, and nothing else
    CHECK(rig.word() == "Running OK");
    CHECK(rig.owner.failures.empty());
}

TEST_CASE("a key is OK while it changes its session key, as it does every minute") {
    Rig rig;
    ScriptedKey device(a_serial, rig.key);
    rig.run(device);
    rig.feed(device.text(PacketType::rekey_needed));
    CHECK(rig.source.status().ok);
    CHECK(rig.word() == "Running OK");
    const std::string command = std::exchange(rig.to_device, {});
    CHECK(!command.empty());
    rig.feed(device.answer(as_bytes(command)));
    CHECK(rig.source.status().ok);
    rig.run(device);
    CHECK(rig.source.status().ok);
    CHECK(rig.owner.restarts == 1);
    CHECK(rig.owner.failures.empty());
}
