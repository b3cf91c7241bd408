// Finding a device, and the command line.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "ekeyd/rekey/find.h"
#include "ekeyd/rekey/options.h"

namespace ekey::rekey {

namespace fs = std::filesystem;

namespace {

struct World {
    fs::path root;
    Places places;
    World() {
        std::string name = (fs::temp_directory_path() / "rekey-test-XXXXXX").string();
        root = ::mkdtemp(name.data());
        places = {root / "entropykey", root / "entropykeys", root / "usb", "/dev"};
        for (const auto& folder : {places.links, places.sockets, places.usb}) {
            fs::create_directory(folder);
        }
    }
    ~World() { fs::remove_all(root); }
    void put(const fs::path& path, const std::string& text = "") {
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    // As the kernel lays it out: DEVICE/{idVendor,idProduct,serial}, DEVICE:1.0/tty/ttyACMn.
    void plug_in(const std::string& device, const std::string& serial, const std::string& tty,
                 const std::string& vendor = "20df") {
        const fs::path usb = places.usb;
        put(usb / device / "idVendor", vendor + "\n");
        put(usb / device / "idProduct", "0001\n");
        put(usb / device / "serial", serial + "\n");
        if (!tty.empty()) {
            put(usb / (device + ":1.0") / "tty" / tty / "dev", "166:0\n");
        }
        put(usb / (device + ":1.1") / "bInterfaceNumber", "01\n");
    }
};

entropykey::Serial serial(const char* text) {
    return entropykey::parse_serial(text).value();
}

struct Words {
    std::vector<std::string> words;
    std::vector<char*> argv;
    explicit Words(std::vector<const char*> given) : words(given.begin(), given.end()) {
        for (auto& word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
    }
    Words(const Words&) = delete; // argv points into words
    Words& operator=(const Words&) = delete;
    int argc() const { return static_cast<int>(words.size()); }
};

constexpr const char* master =
    "H/oHvJQTQWffGxUxmh6GVxIx00REq9OrfyowRB+E2rFI"; // of the vectors, with check byte

} // namespace

TEST_CASE("the one Entropy Key on USB is found by its tty") {
    World world;
    CHECK_FALSE(find_device(world.places, std::nullopt));
    world.plug_in("1-2", "NwBvBlg3OTBJORFD", "ttyACM3");
    world.plug_in("1-3", "NwBvBlg3OTBJORFA", "ttyACM4", "1234"); // another vendor
    const auto found = find_device(world.places, std::nullopt).value();
    CHECK(found.path == "/dev/ttyACM3");
    CHECK(found.serial == serial("NwBvBlg3OTBJORFD"));
    CHECK(find_device(world.places, serial("NwBvBlg3OTBJORFD"))->path == "/dev/ttyACM3");
    CHECK_FALSE(find_device(world.places, serial("NwBvBlg3OTBJORFA")));
}

TEST_CASE("several Entropy Keys: the serial numbers to choose from") {
    World world;
    world.plug_in("1-2", "NwBvBlg3OTBJORFD", "ttyACM0");
    world.plug_in("1-2.4", "Z0I4GjAoEsgb6qly", "ttyACM1");
    const auto found = find_device(world.places, std::nullopt);
    REQUIRE_FALSE(found);
    CHECK(found.error().what.find("NwBvBlg3OTBJORFD Z0I4GjAoEsgb6qly") != std::string::npos);
    CHECK(find_device(world.places, serial("Z0I4GjAoEsgb6qly"))->path == "/dev/ttyACM1");
    CHECK(find_device(world.places, serial("NwBvBlg3OTBJORFD"))->path == "/dev/ttyACM0");
}

TEST_CASE("a key without a tty is found; its tty is waited for, until its node is there") {
    using namespace std::chrono_literals;
    World world;
    world.places.devices = world.root / "dev";
    const auto key = serial("NwBvBlg3OTBJORFD");
    world.plug_in("1-2", "NwBvBlg3OTBJORFD", "");
    world.plug_in("1-3", "no serial number", "ttyACM0");
    const auto found = find_device(world.places, std::nullopt).value();
    CHECK(found.path.empty());
    CHECK(found.serial == key);
    CHECK(find_device(world.places, key)->path.empty());
    const auto none = wait_for_tty(world.places, key, 0ms);
    REQUIRE_FALSE(none);
    CHECK(none.error().what.find("NwBvBlg3OTBJORFD is on USB but has no tty") != std::string::npos);
    world.plug_in("1-2", "NwBvBlg3OTBJORFD", "ttyACM1");
    CHECK_FALSE(wait_for_tty(world.places, key, 0ms));
    std::thread later([&] { world.put(world.root / "dev" / "ttyACM1"); });
    const auto waited = wait_for_tty(world.places, key, 30s);
    later.join();
    CHECK(waited.value().path == (world.root / "dev" / "ttyACM1").string());
}

TEST_CASE("links and sockets by serial number, its / written . or _") {
    for (const char* name : {"links/ab.cd.efghijkl+n", "links/ab_cd_efghijkl+n", "sockets/ab.cd.efghijkl+n",
                             "sockets/ab_cd_efghijkl+n"}) {
        World world;
        const std::string text = name;
        const auto slash = text.find('/');
        const fs::path path =
            fs::path(text.starts_with("links") ? world.places.links : world.places.sockets) /
            text.substr(slash + 1);
        world.put(path);
        const auto found = find_device(world.places, serial("ab/cd/efghijkl+n"));
        REQUIRE(found);
        CHECK(found->path == path.string());
        const auto absent = find_device(world.places, serial("ab/cd/efghijkl+m"));
        REQUIRE_FALSE(absent);
        CHECK(absent.error().what.find(world.places.links) != std::string::npos);
    }
}

TEST_CASE("promise 6: the master key of the command line, in any number of words, is wiped from there") {
    const std::vector<const char*> lines[] = {{"x", "Z0I4GjAoEsgb6qly", master},
                                              {"x", "-d", "/dev/tty9", "Z0I4GjAoEsgb6qly", "H/oH",
                                               "vJQTQWffGxUxmh6GVxIx00REq9Or", "fyow RB+E", "2rFI"}};
    for (const auto& line : lines) {
        Words given(line);
        const auto options = read_options(given.argc(), given.argv.data());
        REQUIRE(options);
        REQUIRE(options->master_key);
        CHECK(*options->master_key == entropykey::parse_master_key(master).value());
        CHECK(options->serial == serial("Z0I4GjAoEsgb6qly"));
        const auto key_words = std::find(given.words.begin(), given.words.end(), "Z0I4GjAoEsgb6qly") + 1;
        for (auto word = key_words; word != given.words.end(); ++word) {
            CHECK(*word == std::string(word->size(), '\0'));
        }
    }
    Words wrong({"x", "no serial number", master});
    CHECK_FALSE(read_options(wrong.argc(), wrong.argv.data()));
    CHECK(wrong.words[2] == std::string(44, '\0'));
}

TEST_CASE("the command line: options, and what is wrong with it") {
    Words given({"x", "--device=/dev/a", "-k", "/ring", "--socket", "/sock", "Z0I4GjAoEsgb6qly"});
    const auto options = read_options(given.argc(), given.argv.data());
    REQUIRE(options);
    CHECK(options->device == "/dev/a");
    CHECK(options->keyring == "/ring");
    CHECK(options->socket == "/sock");
    CHECK(options->socket_given);
    CHECK_FALSE(options->master_key);
    const std::vector<const char*> lines[] = {
        {"x", "--nonsense"}, {"x", "-d"}, {"x", "short"}, {"x", "-x"}, {"x", "Z0I4GjAoEsgb6qly", "AAAA"}};
    for (const auto& line : lines) {
        Words wrong(line);
        CHECK_FALSE(read_options(wrong.argc(), wrong.argv.data()));
    }
    Words none(std::vector<const char*>{"x"});
    const auto nothing = read_options(none.argc(), none.argv.data());
    REQUIRE(nothing);
    CHECK_FALSE(nothing->serial);
    CHECK(nothing->device.empty());
}

} // namespace ekey::rekey
