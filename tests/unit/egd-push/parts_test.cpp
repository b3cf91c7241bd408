// The small parts: pace, mixture, readiness, wake-ups, destinations.
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "egd-push/destination.h"
#include "egd-push/mixture.h"
#include "egd-push/pace.h"
#include "egd-push/ready.h"
#include "egd-push/wakeups.h"

using namespace ekey;
using namespace std::chrono_literals;

TEST_CASE("pace: the next push is never later than the interval, and hardly ever at the same moment") {
    std::set<Duration> times;
    for (int i = 0; i < 1000; ++i) {
        const Duration next = next_push(60s);
        CHECK(next <= 60s);
        CHECK(next >= 45s);
        times.insert(next);
    }
    CHECK(times.size() > 900);
    CHECK(*times.begin() < 47s);
    CHECK(*times.rbegin() > 58s);
}

TEST_CASE("pace: back-off doubles from a second to a minute, with jitter, and begins anew") {
    BackOff back_off;
    for (const Duration span : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
        const Duration wait = back_off.next();
        CHECK(wait <= span);
        CHECK(wait >= span / 2);
    }
    back_off.reset();
    CHECK(back_off.next() <= 1s);
}

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
    std::string hex;
    for (std::size_t i = 0; i < 16; ++i) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(out[i]));
        hex += two;
    }
    CHECK(hex == "8b2dcaadea368689f1d8cde59356b1f4");
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

namespace {
struct Folder {
    Folder() {
        char name[] = "/tmp/ekeyd-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::size_t files() const {
        const std::filesystem::directory_iterator all(path);
        return static_cast<std::size_t>(std::distance(begin(all), end(all)));
    }
    std::string path;
};

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
} // namespace

TEST_CASE("destination: a file is replaced as a whole, mode 0600; who has the old one open keeps it") {
    const Folder folder;
    const std::string path = folder.path + "/seed";
    std::ofstream(path) << "old";
    chmod(path.c_str(), 0644);
    const Fd before(::open(path.c_str(), O_RDONLY));
    auto file = FileDestination::make(path);
    REQUIRE(file);
    CHECK(!(*file)->mixes());
    CHECK((*file)->push(as_bytes("new bytes"), 8));
    CHECK(content(path) == "new bytes");
    struct stat info {};
    stat(path.c_str(), &info);
    CHECK((info.st_mode & 07777) == 0600);
    char text[4];
    CHECK(::read(before.get(), text, 4) == 3);
    CHECK(folder.files() == 1);
}

TEST_CASE("destination: a file that cannot be written stays as it was, and nothing is left beside it") {
    const Folder folder;
    const std::string path = folder.path + "/seed";
    std::ofstream(path) << "old";
    auto file = FileDestination::make(path);
    REQUIRE(file);
    // A folder in its place cannot be replaced by a file.
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    CHECK(!(*file)->push(as_bytes("new"), 0));
    CHECK(folder.files() == 1);
    CHECK(!FileDestination::make("/nonexistent/seed"));
    CHECK(!FileDestination::make("/dev/null"));
    CHECK(!FileDestination::make(folder.path));
}

TEST_CASE("destination: a stream is not written to while that would block, and is gone when its reader is") {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0); // blocking, as a shell makes them
    Fd reader(ends[0]);
    const Fd writer(ends[1]);
    StreamDestination stream(writer.get());
    const std::vector<Byte> block(4096, 1);
    std::size_t pushed = 0;
    while (stream.can_take() && pushed < 100) {
        CHECK(stream.push(block, 0));
        ++pushed;
    }
    CHECK(pushed >= 1);
    CHECK(pushed < 100);
    CHECK(!stream.push(block, 0));
    CHECK(!stream.gone());
    reader.reset();
    std::signal(SIGPIPE, SIG_IGN);
    CHECK(!stream.push(block, 0));
    CHECK(stream.gone());
}
