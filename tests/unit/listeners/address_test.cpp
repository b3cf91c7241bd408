// What a listener's address may say.
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/socket.h>
#include <sys/stat.h>

#include "fixture.h"

using namespace ekey;
using test::Fixture;

namespace {

std::string refusal(Fixture& f, const std::string& address) {
    auto made = make_listener(f.loop, f.pool, config::parse_address(address).value());
    return made ? "" : made.error().what;
}

bool says(const std::string& text, std::string_view part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("listener: an address that cannot be meant is refused in a sentence") {
    Fixture f("tcp");
    const std::string path = "unix:" + f.folder + "/x.sock";
    CHECK(says(refusal(f, path + ",mod=0660"), "did you mean mode?"));
    CHECK(says(refusal(f, path + ",mode=9"), "octal"));
    CHECK(says(refusal(f, path + ",max-clients=0"), "max-clients"));
    CHECK(says(refusal(f, path + ",user=no-such-user-here"), "no user"));
    CHECK(says(refusal(f, path + ",output=drgb"), "it takes full-entropy and drbg"));
    CHECK(refusal(f, path + ",output=full-entropy") == "");
    CHECK(refusal(f, path + "2,output=drbg,max-age=86400,prediction-resistance=no") == "");
    CHECK(says(refusal(f, path + ",output=drbg,max-age=0"), "max-age"));
    CHECK(says(refusal(f, path + ",output=drbg,max-age=86401"), "86400"));
    CHECK(says(refusal(f, path + ",max-age=10"), "belongs to output=drbg"));
    CHECK(
        says(refusal(f, path + ",output=full-entropy,prediction-resistance=yes"), "belongs to output=drbg"));
    CHECK(says(refusal(f, path + ",output=drbg,prediction-resistance=perhaps"), "prediction-resistance"));
    CHECK(says(refusal(f, path + ",output=drbg,max-ago=10"), "did you mean max-age?"));
    CHECK(says(refusal(f, "tcp:127.0.0.1:0,mode=0600"), "no parameter \"mode\""));
    CHECK(says(refusal(f, "tcp:127.0.0.1"), "no port"));
    CHECK(says(refusal(f, "tcp:127.0.0.1:65536"), "65535"));
    CHECK(says(refusal(f, "tcp:no-such-host.invalid:1"), "no-such-host.invalid:1"));
    CHECK(says(refusal(f, "tcp:192.0.2.1:0"), "192.0.2.1")); // a documentation address: never this host's
    CHECK(says(refusal(f, "udp:127.0.0.1:1"), "\"udp\""));
    CHECK(says(refusal(f, "unix:/" + std::string(200, 'x')), "107"));
    CHECK_FALSE(std::filesystem::exists(f.folder + "/x.sock")); // nothing half-started stays
}

TEST_CASE("listener: an address can be checked without opening anything") {
    const auto check = [](const char* text) {
        const auto checked = check_listener(config::parse_address(text).value());
        return checked ? "" : checked.error().what;
    };
    CHECK(check("unix:/nowhere/at/all.sock,mode=0660,group=nobody-knows") == "");
    CHECK(check("tcp:192.0.2.1:8888,max-clients=10") == "");
    CHECK(says(check("unix:/x,mode=rw"), "octal"));
    CHECK(says(check("tcp:127.0.0.1:8888,max-client=10"), "did you mean max-clients?"));
}

TEST_CASE("listener: a port in use is refused; the port that the kernel chose is told") {
    Fixture f("tcp");
    CHECK(f.listener->address() == "tcp:127.0.0.1:0");
    const std::string bound = f.listener->bound_address();
    CHECK(bound.starts_with("tcp:127.0.0.1:"));
    CHECK_FALSE(bound.ends_with(":0"));
    CHECK(says(refusal(f, bound), "in use"));
}

TEST_CASE("listener: names, every address, and IPv6 where there is one") {
    Fixture f("tcp");
    CHECK(refusal(f, "tcp:localhost:0") == "");
    CHECK(refusal(f, "tcp:0.0.0.0:0") == "");
    const Fd probe(socket(AF_INET6, SOCK_STREAM, 0));
    if (!probe) {
        return;
    }
    auto made = make_listener(f.loop, f.pool, config::parse_address("tcp:[::]:0").value());
    REQUIRE(made);
    CHECK((*made)->bound_address().starts_with("tcp:[::]:"));
}

TEST_CASE("listener: vsock: its address is told as it is bound; a port in use is refused") {
    CHECK(check_listener(config::parse_address("vsock:any:888,max-clients=3").value()));
    Fixture f("tcp");
    const Fd probe(socket(AF_VSOCK, SOCK_STREAM, 0));
    if (!probe) {
        CHECK(says(refusal(f, "vsock:any:18888"), "this kernel has no vsock"));
        return;
    }
    const std::string address = "vsock:any:" + std::to_string(20000 + getpid());
    auto made = make_listener(f.loop, f.pool, config::parse_address(address).value());
    REQUIRE(made);
    CHECK((*made)->bound_address() == address);
    CHECK(says(refusal(f, address), "in use"));
}

TEST_CASE("listener: a Unix socket has its mode, replaces a dead one and no other file") {
    Fixture f("unix");
    const std::string path = f.folder + "/egd.sock";
    struct stat about {};
    REQUIRE(stat(path.c_str(), &about) == 0);
    CHECK((about.st_mode & 07777) == 0600);
    CHECK(says(refusal(f, "unix:" + path), "another program listens there"));
    CHECK(f.listener->bound_address() == "unix:" + path);

    const std::string other = f.folder + "/file";
    std::ofstream(other) << "mine";
    CHECK(says(refusal(f, "unix:" + other), "no socket"));
    CHECK(std::filesystem::file_size(other) == 4);

    auto second = make_listener(f.loop, f.pool,
                                config::parse_address("unix:" + f.folder + "/two,mode=0666,group=0").value());
    REQUIRE(second);
    REQUIRE(stat((f.folder + "/two").c_str(), &about) == 0);
    CHECK((about.st_mode & 07777) == 0666);
    second->reset();
    CHECK_FALSE(std::filesystem::exists(f.folder + "/two"));
}
