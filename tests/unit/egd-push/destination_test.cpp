// Files, seeds and streams as destinations.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "egd-push/destination.h"

using namespace ekey;

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

namespace {
// The value of the mark, or "none".
std::string mark(const std::string& path) {
    char value[16];
    const ssize_t got = getxattr(path.c_str(), "user.random-seed-creditable", value, sizeof value);
    return got >= 0 ? std::string(value, static_cast<std::size_t>(got)) : "none";
}
} // namespace

TEST_CASE("seed: is marked for systemd only when its bytes are worth 8 bits each, and mode 0600") {
    const Folder folder;
    const std::string path = folder.path + "/random-seed";
    std::ofstream(folder.path + "/probe") << "x";
    if (setxattr((folder.path + "/probe").c_str(), "user.x", "1", 1, 0) != 0) {
        auto refused = FileDestination::make(path, FileDestination::Kind::seed);
        REQUIRE(!refused);
        CHECK(refused.error().what.find("keeps no attributes") != std::string::npos);
        return;
    }
    auto seed = FileDestination::make(path, FileDestination::Kind::seed);
    REQUIRE(seed);
    CHECK(folder.files() == 1); // what it tried is gone
    const std::vector<Byte> bytes(32, 's'), worse(32, 'w');
    CHECK(*(*seed)->push(bytes, 256) == 256);
    CHECK(mark(path) == "1");
    struct stat info {};
    stat(path.c_str(), &info);
    CHECK((info.st_mode & 07777) == 0600);
    // One that is worth less takes the place of the marked one, says so, and has no mark.
    const auto unmarked = (*seed)->push(worse, 255);
    REQUIRE(!unmarked);
    CHECK(unmarked.error().what.find("not marked as creditable") != std::string::npos);
    CHECK(content(path) == std::string(32, 'w'));
    CHECK(mark(path) == "none");
    CHECK(folder.files() == 2);
    // No other file is ever marked.
    auto plain = FileDestination::make(path);
    REQUIRE(plain);
    CHECK((*plain)->push(bytes, 256));
    CHECK(mark(path) == "none");
}
