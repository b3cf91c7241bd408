#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/stat.h>
#include <unistd.h>

#include "ekeyd/config/keyring.h"

namespace ekey::config {

namespace fs = std::filesystem;
using entropykey::LongTermKey;
using entropykey::parse_long_term_key;
using entropykey::parse_serial;
using entropykey::Serial;

namespace {

// Base64 of 32 bytes 0x00, and of 0x00 to 0x1f.
constexpr const char* zero_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
constexpr const char* counting_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

LongTermKey zeros() {
    return LongTermKey();
}
LongTermKey counting() {
    LongTermKey key;
    for (std::size_t i = 0; i < key.size(); ++i) {
        key.data()[i] = static_cast<Byte>(i);
    }
    return key;
}
Serial serial(const char* text) {
    return parse_serial(text).value();
}

struct Folder {
    fs::path path;
    Folder() {
        std::string name = (fs::temp_directory_path() / "keyring-test-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    std::string file(const char* name = "keyring") const { return (path / name).string(); }
    std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }
};

std::string contents(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
}

void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
}

std::string line(const char* name, const char* key) {
    return std::string(name) + " " + key + "\n";
}

} // namespace

TEST_CASE("keyring: lines, comments and blanks are read as ekeyd 1.1.5 reads them") {
    // Each form was shown to ekeyd 1.1.5 (command Keyring), which took it.
    for (const std::string& text :
         {line("NwBvBlg3OTBJORFD", counting_key), " " + line("NwBvBlg3OTBJORFD", counting_key),
          std::string("NwBvBlg3OTBJORFD\t") + counting_key,
          std::string("NwBvBlg3OTBJORFD  ") + counting_key + " # c",
          std::string("NwBvBlg3OTBJORFD ") + counting_key + "\r\n",
          "# comment\n\n" + line("NwBvBlg3OTBJORFD", counting_key)}) {
        CAPTURE(text);
        const Keyring keyring = Keyring::parse(text);
        CHECK(keyring.size() == 1);
        REQUIRE(keyring.find(serial("NwBvBlg3OTBJORFD")) != nullptr);
        CHECK(*keyring.find(serial("NwBvBlg3OTBJORFD")) == counting());
        CHECK(keyring.find(serial("Z0I4GjAoEsgb6qly")) == nullptr);
        CHECK(keyring.skipped().empty());
    }
    CHECK(Keyring::parse("").size() == 0);
    CHECK(Keyring().find(serial("NwBvBlg3OTBJORFD")) == nullptr);
}

TEST_CASE("keyring: of two lines for one serial the last counts, as in ekeyd 1.1.5") {
    const auto keyring =
        Keyring::parse(line("NwBvBlg3OTBJORFD", zero_key) + line("Z0I4GjAoEsgb6qly", zero_key) +
                       line("NwBvBlg3OTBJORFD", counting_key));
    CHECK(keyring.size() == 2);
    CHECK(*keyring.find(serial("NwBvBlg3OTBJORFD")) == counting());
    CHECK(*keyring.find(serial("Z0I4GjAoEsgb6qly")) == zeros());
}

TEST_CASE("promise 6: keyring: what does not parse is skipped and told by its line, never with a key") {
    const std::string text = "nonsense\n" + line("NwBvBlg3OTBJORFD", "AAECAw==") +
                             line("short", counting_key) + "NwBvBlg3OTBJORFD\n" +
                             line("Z0I4GjAoEsgb6qly", counting_key) + std::string("Z0I4GjAoEsgb6qlz ") +
                             std::string(100000, 'A') + "\n" +
                             line("NwBvBlg3OTBJORFD", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh$=");
    const Keyring keyring = Keyring::parse(text);
    CHECK(keyring.size() == 1);
    CHECK(keyring.find(serial("Z0I4GjAoEsgb6qly")) != nullptr);
    REQUIRE(keyring.skipped().size() == 6);
    CHECK(keyring.skipped()[0].starts_with("line 1: "));
    CHECK(keyring.skipped()[1].starts_with("line 2: "));
    CHECK(keyring.skipped()[5].starts_with("line 7: "));
    for (const std::string& told : keyring.skipped()) {
        CHECK(told.find("AAEC") == std::string::npos);
    }
}

TEST_CASE("keyring: a file that is absent, a folder, or too large") {
    const Folder folder;
    const auto absent = Keyring::read(folder.file());
    REQUIRE_FALSE(absent);
    CHECK(absent.error().what.find(folder.file()) != std::string::npos);
    CHECK_FALSE(Keyring::read(folder.path.string()));
    CHECK_FALSE(Keyring::read("/dev/zero"));
    write(folder.file(), std::string((1 << 20) + 1, '\n'));
    CHECK_FALSE(Keyring::read(folder.file()));
    CHECK_FALSE(Keyring::update(folder.file(), serial("NwBvBlg3OTBJORFD"), counting()));
    write(folder.file(), std::string(1 << 20, '\n'));
    CHECK(Keyring::read(folder.file()));
}

TEST_CASE("keyring: a second line of a serial counts, as in 1.1.5, and is told of") {
    const auto keyring = Keyring::parse("# mine\n" + line("NwBvBlg3OTBJORFD", zero_key) +
                                        line("NwBvBlg3OTBJORFD", counting_key));
    CHECK(keyring.size() == 1);
    CHECK(*keyring.find(serial("NwBvBlg3OTBJORFD")) == counting());
    REQUIRE(keyring.remarks().size() == 1);
    CHECK(keyring.remarks()[0] == "line 3 counts, and an earlier one of NwBvBlg3OTBJORFD does not");
}

TEST_CASE("keyring: one that others may read or write is told of; a group may read it") {
    const Folder folder;
    write(folder.file(), line("NwBvBlg3OTBJORFD", zero_key));
    struct Row {
        mode_t mode;
        bool quiet;
    };
    for (const auto& row :
         {Row{0600, true}, {0640, true}, {0400, true}, {0644, false}, {0620, false}, {0602, false}}) {
        CAPTURE(row.mode);
        ::chmod(folder.file().c_str(), row.mode);
        const auto keyring = Keyring::read(folder.file());
        REQUIRE(keyring);
        CHECK(keyring->size() == 1);
        CHECK(keyring->remarks().empty() == row.quiet);
    }
    ::chmod(folder.file().c_str(), 0644);
    CHECK(Keyring::read(folder.file())->remarks()[0].find("mode 0644") != std::string::npos);
}

TEST_CASE("keyring: update makes the file, mode 0600, and reads back") {
    const Folder folder;
    REQUIRE(Keyring::may_update(folder.file()));
    CHECK(folder.entries() == 0);
    const mode_t before = ::umask(0);
    REQUIRE(Keyring::update(folder.file(), serial("NwBvBlg3OTBJORFD"), counting()));
    ::umask(before);
    CHECK(contents(folder.file()) == line("NwBvBlg3OTBJORFD", counting_key));
    struct stat status {};
    ::stat(folder.file().c_str(), &status);
    CHECK((status.st_mode & 07777) == 0600);
    CHECK(folder.entries() == 1);
}

TEST_CASE("keyring: update replaces its one line and keeps every other as it is") {
    const Folder folder;
    const std::string other = "# mine\n\n  Z0I4GjAoEsgb6qly\tnot a key # but kept\n";
    write(folder.file(), other + line("NwBvBlg3OTBJORFD", zero_key) + "tail\n" +
                             line("NwBvBlg3OTBJORFD", zero_key) + "no line end");
    ::chmod(folder.file().c_str(), 0644);
    REQUIRE(Keyring::update(folder.file(), serial("NwBvBlg3OTBJORFD"), counting()));
    CHECK(contents(folder.file()) == other + line("NwBvBlg3OTBJORFD", counting_key) + "tail\nno line end\n");
    struct stat status {};
    ::stat(folder.file().c_str(), &status);
    CHECK((status.st_mode & 07777) == 0600);
    REQUIRE(Keyring::update(folder.file(), serial("Z0I4GjAoEsgb6qly"), zeros())); // the spoiled line is its
    CHECK(*Keyring::read(folder.file())->find(serial("Z0I4GjAoEsgb6qly")) == zeros());
}

TEST_CASE("keyring: update follows a symbolic link, and keeps the file's owner") {
    const Folder folder;
    write(folder.file("true"), line("Z0I4GjAoEsgb6qly", zero_key));
    fs::create_symlink(folder.file("true"), folder.file());
    const bool root = ::geteuid() == 0;
    if (root) {
        REQUIRE(::chown(folder.file("true").c_str(), 12345, 54321) == 0);
    }
    REQUIRE(Keyring::update(folder.file(), serial("NwBvBlg3OTBJORFD"), counting()));
    CHECK(fs::is_symlink(folder.file()));
    CHECK(Keyring::read(folder.file("true"))->size() == 2);
    struct stat status {};
    ::stat(folder.file("true").c_str(), &status);
    CHECK((!root || (status.st_uid == 12345 && status.st_gid == 54321)));
}

TEST_CASE("keyring: where update cannot write, may_update says so, and nothing is left behind") {
    const Folder folder;
    for (const std::string& path : {folder.file("none") + "/keyring", folder.path.string()}) {
        CAPTURE(path);
        const auto may = Keyring::may_update(path);
        REQUIRE_FALSE(may);
        CHECK(may.error().what.find(path) != std::string::npos);
        CHECK_FALSE(Keyring::update(path, serial("NwBvBlg3OTBJORFD"), counting()));
    }
    CHECK(folder.entries() == 0);
}

} // namespace ekey::config
