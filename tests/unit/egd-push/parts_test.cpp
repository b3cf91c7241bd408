// The small parts: mixture, readiness, wake-ups.
#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "egd-push/mixture.h"
#include "egd-push/wakeups.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/service_manager.h"

using namespace ekey;

namespace {
std::string hex(ByteView bytes) {
    std::string text;
    for (const Byte byte : bytes) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(byte));
        text += two;
    }
    return text;
}
} // namespace

TEST_CASE("mixture: one answer is passed on as it is") {
    const std::vector<Byte> answer(100, 7);
    std::vector<Byte> out(100);
    mix_answers({answer}, out);
    CHECK(out == answer);
}

TEST_CASE("mixture: several answers: each byte range depends on all, equal ones do not cancel") {
    std::vector<Byte> a(130), b(130);
    for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<Byte>(i);
    }
    const auto mixed = [](const std::vector<ByteView>& answers) {
        std::vector<Byte> out(answers[0].size());
        mix_answers(answers, out);
        return out;
    };
    const auto first = mixed({a, b});
    CHECK(first != a);
    CHECK(first != mixed({b, a}));
    CHECK(mixed({a, a}) != std::vector<Byte>(130, 0));
    // The three ranges of 64 bytes are hashed on their own, with their place.
    const auto same = mixed({b, b});
    CHECK(!std::equal(same.begin(), same.begin() + 64, same.begin() + 64));
    for (const std::size_t at : {0, 63, 64, 129}) {
        auto changed = b;
        changed[at] ^= 1;
        const auto second = mixed({a, changed});
        const std::size_t begin = at / 64 * 64, end = std::min<std::size_t>(begin + 64, 130);
        for (std::size_t i = 0; i < 130; ++i) {
            if (i < begin || i >= end) {
                CHECK(second[i] == first[i]);
            }
        }
        CHECK(!std::equal(first.begin() + static_cast<std::ptrdiff_t>(begin),
                          first.begin() + static_cast<std::ptrdiff_t>(end),
                          second.begin() + static_cast<std::ptrdiff_t>(begin)));
    }
}

TEST_CASE("mixture: what several answers make is BLAKE2b-512 over the place and their bytes") {
    // Made with Python: hashlib.blake2b(b"\0\0" + b"a" * 64 + b"b" * 64).digest()[:16].hex()
    std::vector<Byte> out(64);
    const std::vector<Byte> a(64, 'a'), b(64, 'b');
    mix_answers({a, b}, out);
    CHECK(hex(ByteView(out).first(16)) == "8b2dcaadea368689f1d8cde59356b1f4");
}

TEST_CASE("mixture: longer answers are folded: each byte of the part that is in the same place counts") {
    // Made with Python: hashlib.blake2b(b"\0\0" + b"a" * 64 + b"b" * 64).digest()[:16].hex()
    std::vector<Byte> answer(64, 'a'), out(64);
    answer.insert(answer.end(), 64, 'b');
    mix_answers({answer}, out);
    CHECK(hex(ByteView(out).first(16)) == "8b2dcaadea368689f1d8cde59356b1f4");
    // And: hashlib.blake2b(b"\0\x40" + b"c" * 16).digest()[:8].hex()
    answer.insert(answer.end(), 16, 'c');
    out.resize(72);
    mix_answers({answer}, out);
    CHECK(hex(ByteView(out).first(16)) == "8b2dcaadea368689f1d8cde59356b1f4");
    CHECK(hex(ByteView(out).last(8)) == "0f51994d2989a1e5");
}

TEST_CASE("mixture: one value again and again is noticed") {
    std::vector<Byte> bytes(64, 0x41);
    CHECK(is_constant(bytes));
    bytes[63] = 0x42;
    CHECK(!is_constant(bytes));
    CHECK(!is_constant(ByteView(bytes).first(1))); // tells nothing
    CHECK(!is_constant({}));
}

namespace {
// What a service manager would hear.
std::string heard(const std::string& name) {
    const Fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), address.sun_path);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    tell_service_manager("READY=1\nSTATUS=x");
    unsetenv("NOTIFY_SOCKET");
    char text[100];
    const ssize_t got = ::recv(manager.get(), text, sizeof text, 0);
    return {text, got > 0 ? static_cast<std::size_t>(got) : 0};
}
} // namespace

TEST_CASE("ready: a service manager is told, by a path or in the abstract namespace") {
    const std::string name = "/tmp/ekeyd-test-notify-" + std::to_string(getpid());
    CHECK(heard(name) == "READY=1\nSTATUS=x");
    unlink(name.c_str());
    CHECK(heard("@ekeyd-test-" + std::to_string(getpid())) == "READY=1\nSTATUS=x");
}

TEST_CASE("ready: no service manager, or nonsense in its place, is no error") {
    unsetenv("NOTIFY_SOCKET");
    tell_service_manager("READY=1");
    const std::string too_long = "/" + std::string(200, 'x');
    for (const char* name : {"", "/", "relative", "vsock:1:2", "/nonexistent/socket", too_long.c_str()}) {
        setenv("NOTIFY_SOCKET", name, 1);
        tell_service_manager("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("wake-ups: a cloned machine is told from other uevents") {
    using namespace std::string_view_literals;
    CHECK(Wakeups::says_cloned(
        as_bytes("change@/devices/platform/vmgenid\0ACTION=change\0NEW_VMGENID=1\0SEQNUM=9\0"sv)));
    CHECK(Wakeups::says_cloned(as_bytes("NEW_VMGENID=1"sv)));
    CHECK(!Wakeups::says_cloned(as_bytes("change@/devices/x\0ACTION=change\0NEW_VMGENID=0\0"sv)));
    CHECK(!Wakeups::says_cloned(as_bytes("change@/NEW_VMGENID=1/x\0NAME=NEW_VMGENID=1\0"sv)));
    CHECK(!Wakeups::says_cloned(as_bytes(""sv)));
    CHECK(!Wakeups::says_cloned(as_bytes("\0\0\0"sv)));
}
