// Keys that come to a folder.
#include <doctest/doctest.h>

#include <filesystem>
#include <vector>

#include "ekeyd/sources/folder_finder.h"
#include "tests/support/run_until.h"

namespace ekey {

namespace {

namespace fs = std::filesystem;

struct Found final : FinderOwner {
    std::vector<std::string> addresses;
    void on_found(const Finder&, const std::string& address) override { addresses.push_back(address); }
};

struct Folder {
    Folder() {
        char name[] = "/tmp/ekeyd-keys-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Folder() { fs::remove_all(path); }
    void link(const char* name) const { fs::create_symlink("/dev/null", path / name); }

    fs::path path;
};

} // namespace

TEST_CASE("a folder's keys are found at once, later ones when they come, and again when they come back") {
    const Folder folder;
    const fs::path keys = folder.path / "keys, mine"; // it is not there yet
    const std::string written = folder.path.string() + "/keys\\, mine/";
    const auto address = config::parse_address("entropykey:" + written + ",min-entropy=2");
    REQUIRE(address.has_value());
    Loop loop;
    Found found;
    const FolderFinder finder(loop, *address, found, std::chrono::milliseconds(1));
    const auto is = [&](std::vector<std::string> names) {
        for (std::string& name : names) {
            name = "entropykey:" + written + name + ",min-entropy=2";
        }
        return found.addresses == names;
    };
    CHECK(finder.address() == address->text);
    int looks = 0;
    CHECK(RunUntil::holds(loop, [&] { return ++looks > 3; }));
    CHECK(is({}));

    fs::create_directory(keys);
    fs::create_symlink("/dev/null", keys / "one");
    CHECK(RunUntil::holds(loop, [&] { return is({"one"}); }));
    fs::create_symlink("/dev/null", keys / "two");
    CHECK(RunUntil::holds(loop, [&] { return is({"one", "two"}); }));
    fs::remove(keys / "one");
    looks = 0;
    CHECK(RunUntil::holds(loop, [&] { return ++looks > 20; }));
    fs::create_symlink("/dev/null", keys / "one");
    CHECK(RunUntil::holds(loop, [&] { return is({"one", "two", "one"}); }));
}

} // namespace ekey
