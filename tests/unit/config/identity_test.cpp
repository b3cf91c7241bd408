#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/stat.h>

#include "ekeyd/config/identity.h"

using namespace ekey;
using config::Identity;
namespace fs = std::filesystem;

namespace {

struct Folder {
    fs::path path;
    Folder() {
        std::string name = (fs::temp_directory_path() / "identity-test-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    std::string write(const std::string& text, mode_t mode = 0600) const {
        const std::string file = (path / "identity").string();
        std::ofstream(file) << text;
        ::chmod(file.c_str(), mode);
        return file;
    }
};

std::string contents(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
}

// RFC 7748, section 6.1: Bob's. By python3: base64.b64encode(bytes.fromhex(...)).
constexpr const char* secret = "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=";
constexpr const char* public_key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

} // namespace

TEST_CASE("an identity is a line of base64, and comments") {
    const Folder folder;
    for (const std::string& text : {std::string(secret), std::string(secret) + '\n',
                                    "# mine\n\n" + std::string(secret) + " \r\n# end\n"}) {
        CAPTURE(text);
        const auto identity = Identity::read(folder.write(text));
        REQUIRE(identity);
        CHECK(sealed::encode_key(identity->keys().public_key) == public_key);
    }
}

TEST_CASE("what holds no key, two keys or half a key is refused, and the error does not show it") {
    const Folder folder;
    const std::string key = secret;
    for (const std::string& text :
         {std::string(), std::string("# nothing\n"), key + '\n' + key, key.substr(1), key + '=', ' ' + key,
          key + " second", std::string(5000, '#')}) {
        CAPTURE(text);
        const auto identity = Identity::read(folder.write(text));
        REQUIRE_FALSE(identity);
        CHECK(identity.error().what.find("holds no key") != std::string::npos);
        CHECK(identity.error().what.find(key.substr(1, 20)) == std::string::npos);
    }
}

TEST_CASE("promise 6: an identity that others can read is refused, with what to do") {
    const Folder folder;
    for (const mode_t mode : {0640u, 0604u, 0620u, 0610u, 0666u}) {
        const auto identity = Identity::read(folder.write(secret, mode));
        REQUIRE_FALSE(identity);
        CHECK(identity.error().what.find("chmod 600") != std::string::npos);
    }
    CHECK(Identity::read(folder.write(secret, 0400)));
}

TEST_CASE("an identity of root's is read from where the service manager puts it, unless there is none") {
    const Folder folder, credentials;
    ::setenv("CREDENTIALS_DIRECTORY", credentials.path.c_str(), 1);
    const std::string missing = (folder.path / "identity").string();
    credentials.write(secret, 0440);
    CHECK(Identity::read(missing));
    CHECK(Identity::read("identity"));
    CHECK_FALSE(Identity::read((folder.path / "another").string()));
    credentials.write("none");
    CHECK_FALSE(Identity::read(missing));
    CHECK(Identity::read(folder.write(secret)));
    ::unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_CASE("what is no file is refused, and what is not there says how to make it") {
    const Folder folder;
    CHECK(Identity::read(folder.path.string()).error().what.find("no regular file") != std::string::npos);
    CHECK(Identity::read("/nowhere/identity").error().what.find("ekeydctl keygen") != std::string::npos);
}

TEST_CASE("a made identity is read back, belongs to its owner alone, and is never overwritten") {
    const Folder folder;
    const std::string file = (folder.path / "new").string();
    const mode_t before = ::umask(0);
    const auto made = Identity::create(file);
    ::umask(before);
    REQUIRE(made);
    struct stat about {};
    REQUIRE(::stat(file.c_str(), &about) == 0);
    CHECK((about.st_mode & 07777) == 0600);
    const auto read = Identity::read(file);
    REQUIRE(read);
    CHECK(read->keys().public_key == made->keys().public_key);
    CHECK(read->keys().secret == made->keys().secret);
    CHECK(contents(file).find(sealed::encode_key(made->keys().public_key)) != std::string::npos);

    const std::string text = contents(file);
    const auto again = Identity::create(file);
    REQUIRE_FALSE(again);
    CHECK(again.error().what.find("already") != std::string::npos);
    CHECK(contents(file) == text);

    const auto other = Identity::create((folder.path / "other").string());
    REQUIRE(other);
    CHECK(other->keys().public_key != made->keys().public_key);
    CHECK_FALSE(Identity::create("/nowhere/identity"));
}
