#include "egd-push/options.h"

#include <fstream>

#include <doctest/doctest.h>

using namespace ekey;
using namespace std::chrono_literals;

namespace {

Result<PushRequest> read(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "egd-push");
    return read_push_options(static_cast<int>(arguments.size()), arguments.data());
}

PushOptions good(std::vector<const char*> arguments) {
    const auto request = read(std::move(arguments));
    REQUIRE_MESSAGE(request, (request ? "" : request.error().what));
    CHECK(request->action == PushRequest::Action::run);
    return request->options;
}

std::string bad(std::vector<const char*> arguments) {
    const auto request = read(std::move(arguments));
    return request ? "no error" : request.error().what;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

struct File {
    explicit File(const std::string& text) {
        char name[] = "/tmp/ekeyd-test-XXXXXX";
        Fd(mkstemp(name));
        path = name;
        std::ofstream(path, std::ios::binary) << text;
    }
    ~File() { unlink(path.c_str()); }
    std::string path;
};

// Of RFC 7748, section 6.1: Alice's and Bob's public keys.
constexpr const char* key_a = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
constexpr const char* key_b = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

} // namespace

TEST_CASE("options: the defaults") {
    const PushOptions o = good({"--from", "unix:/run/ekeyd/egd.sock"});
    CHECK(o.from.size() == 1);
    CHECK(o.to.kind == "kernel");
    CHECK(o.bytes == 64);
    CHECK(o.interval == 60s);
    CHECK(o.timeout == 30s);
    CHECK(!o.credit);
    CHECK(!o.once);
}

TEST_CASE("options: all of them, in both forms of writing") {
    const PushOptions o =
        good({"--from", "tcp:[::1]:8888", "--from=unix:/a", "--to", "-", "--bytes=100", "--interval", "1.5",
              "--once", "--credit", "2", "--timeout=0.5", "-vv", "--foreground"});
    CHECK(o.from.size() == 2);
    CHECK(o.from[0].rest == "[::1]:8888");
    CHECK(o.to.kind == "-");
    CHECK(o.bytes == 100);
    CHECK(o.interval == 1500ms);
    CHECK(o.once);
    CHECK(o.credit == 2u);
    CHECK(o.timeout == 500ms);
    CHECK(o.verbose == 2);
    CHECK(good({"--from", "unix:/a", "--to", "file:/x/y"}).to.rest == "/x/y");
}

TEST_CASE("options: auto credits what comes from this machine or its host in part, clear TCP not at all") {
    for (const char* local : {"unix:/a", "vsock:host:888", "vsock:2:1", "char:/dev/virtio-ports/egd"}) {
        const PushOptions of_one = good({"--from", local});
        CHECK(of_one.credit_for(of_one.from[0]) == 4);
    }
}

TEST_CASE("options: sealed upstreams need this host's key; a quorum needs as many of different keys") {
    const std::string a = std::string("sealed:[::1]:8889,key=") + key_a;
    const std::string a2 = std::string("sealed:other:8889,key=") + key_a;
    const std::string b = std::string("sealed:host:8889,key=") + key_b;
    CHECK(contains(bad({"--from", a.c_str()}), "--identity FILE"));
    const PushOptions o = good({"--from", a.c_str(), "--from", b.c_str(), "--from", "tcp:h:1", "--identity",
                                "/etc/ekeyd/identity.key", "--quorum", "2"});
    CHECK(o.identity == "/etc/ekeyd/identity.key");
    CHECK(o.quorum == 2);
    CHECK(o.credit_for(o.from[0]) == 4);
    CHECK(good({"--from", "unix:/a"}).quorum == 0);
    CHECK(contains(bad({"--from", a.c_str(), "--from", a2.c_str(), "--from", "unix:/a", "--identity", "/x",
                        "--quorum", "2"}),
                   "there are 1 sealed"));
    CHECK(contains(bad({"--from", "unix:/a", "--quorum", "1"}), "there are 0 sealed"));
    CHECK(contains(bad({"--from", "unix:/a", "--quorum", "0"}), "from 1"));
}

TEST_CASE("options: a number as credit goes for every upstream") {
    PushOptions o = good({"--from", "unix:/a", "--from", "tcp:h:1", "--credit", "auto"});
    CHECK(o.credit_for(o.from[0]) == 4);
    CHECK(o.credit_for(o.from[1]) == 0);
    o = good({"--from", "unix:/a", "--from", "tcp:h:1", "--credit", "0"});
    CHECK(o.credit_for(o.from[0]) == 0);
    o = good({"--from", "unix:/a", "--from", "tcp:h:1", "--credit", "8"});
    CHECK(o.credit_for(o.from[1]) == 8);
}

TEST_CASE("options: what is wrong is named, with what would be right") {
    CHECK(contains(bad({}), "--from"));
    CHECK(contains(bad({"--form", "x"}), "did you mean --from?"));
    CHECK(contains(bad({"--from"}), "needs a value"));
    CHECK(contains(bad({"--from", ""}), "no value"));
    CHECK(contains(bad({"--from", "/run/x"}), "unix:/run/x"));
    CHECK(contains(bad({"--from", "unix:run"}), "absolute path"));
    CHECK(contains(bad({"--from", ("unix:/" + std::string(107, 'x')).c_str()}), "107"));
    CHECK(contains(bad({"--from", "tcp:host"}), "no port"));
    CHECK(contains(bad({"--from", "tcp:host:0"}), "1 to 65535"));
    CHECK(contains(bad({"--from", "tcp:host:65536"}), "65535"));
    CHECK(contains(bad({"--from", "tcp:::1:80"}), "brackets"));
    CHECK(contains(bad({"--from", "tpc:host:1"}), "did you mean tcp?"));
    CHECK(contains(bad({"--from", "tcp:host:1,key=x"}), "no parameter"));
    CHECK(contains(bad({"--from", "sealed:h:1"}), "key=PUBLIC_KEY"));
    CHECK(contains(bad({"--from", "sealed:h:1,key=x"}), "44 characters"));
    CHECK(contains(bad({"--from", "sealed:h:1,kye=x"}), "did you mean key?"));
    CHECK(contains(bad({"--from", (std::string("sealed:h,key=") + key_a).c_str()}), "no port"));
    CHECK(contains(bad({"--from", "vsock:2"}), "no port"));
    CHECK(contains(bad({"--from", "vsock:hosts:1"}), "any, local or host"));
    CHECK(contains(bad({"--from", "vsock:any:1"}), "any is for listening"));
    CHECK(contains(bad({"--from", "vsock:host:0"}), "from 1 to"));
    CHECK(contains(bad({"--from", "char:virtio-ports/x"}), "absolute path of a device"));
    CHECK(contains(bad({"--from", "char:/dev/virtio-ports/x,baud=9600"}), "no parameter"));
    CHECK(contains(bad({"--from", "chra:/dev/virtio-ports/x"}), "did you mean char?"));
    CHECK(contains(bad({"--from", "unix:/a", "--from", "unix:/a"}), "twice"));
    CHECK(contains(bad({"--from", "unix:/a", "--bytes", "1", "--bytes", "2"}), "twice"));
    CHECK(contains(bad({"--from", "unix:/a", "--bytes", "0"}), "1 to 4096"));
    CHECK(contains(bad({"--from", "unix:/a", "--bytes", "4097"}), "1 to 4096"));
    CHECK(contains(bad({"--from", "unix:/a", "--bytes", "15"}), "at least 16"));
    CHECK(contains(bad({"--from", "unix:/a", "--bytes", "64k"}), "whole number"));
    CHECK(contains(bad({"--from", "unix:/a", "--interval", "0"}), "interval"));
    CHECK(contains(bad({"--from", "unix:/a", "--interval", "-1"}), "interval"));
    CHECK(contains(bad({"--from", "unix:/a", "--interval", "nan"}), "interval"));
    CHECK(contains(bad({"--from", "unix:/a", "--interval", "1e9"}), "interval"));
    CHECK(contains(bad({"--from", "unix:/a", "--timeout", "inf"}), "timeout"));
    CHECK(contains(bad({"--from", "unix:/a", "--credit", "9"}), "or auto"));
    CHECK(contains(bad({"--from", "unix:/a", "--credit", "all"}), "or auto"));
    CHECK(contains(bad({"--from", "unix:/a", "--to", "file:x"}), "file:/PATH"));
    CHECK(contains(bad({"--from", "unix:/a", "--to", "file:/x/"}), "file:/PATH"));
    CHECK(contains(bad({"--from", "unix:/a", "--to", "fifo:/x"}), "file:/PATH"));
    CHECK(contains(bad({"--from", "unix:/a", "--once=3"}), "takes no value"));
    CHECK(contains(bad({"--from", "unix:/a", "more"}), "unexpected"));
    CHECK(contains(bad({"--from", "unix:/a", "--"}), "unexpected"));
    CHECK(contains(bad({"-x"}), "-x"));
}

TEST_CASE("options: a seed for systemd is made of as many bytes as its credit of 8 bits a byte needs") {
    PushOptions o = good({"--from", "unix:/a", "--to", "file:/x,seed=yes"});
    CHECK(o.seed);
    CHECK(o.to.rest == "/x");
    CHECK(o.bytes == 64);
    CHECK(o.bytes_to_fetch() == 128); // 4 bits a byte
    CHECK(good({"--from", "unix:/a", "--to", "file:/x,seed=yes", "--credit", "8"}).bytes_to_fetch() == 64);
    CHECK(good({"--from", "unix:/a", "--to", "file:/x,seed=yes", "--credit", "3"}).bytes_to_fetch() == 192);
    CHECK(good({"--from", "unix:/a", "--to", "file:/x,seed=no"}).bytes_to_fetch() == 64);
    CHECK(good({"--from", "unix:/a", "--from", "tcp:h:1", "--to", "file:/x,seed=yes"}).seed);
    const auto refused = [](std::vector<const char*> more) {
        more.insert(more.begin(), {"--to", "file:/x,seed=yes", "--from"});
        return bad(more);
    };
    CHECK(contains(refused({"tcp:h:1"}), "no upstream's bytes are credited"));
    CHECK(contains(refused({"unix:/a", "--credit", "0"}), "no upstream's bytes are credited"));
    CHECK(contains(refused({"unix:/a", "--bytes", "31"}), "at least 32"));
    CHECK(contains(refused({"unix:/a", "--bytes", "2049"}), "4098 bytes at this credit"));
    CHECK(contains(bad({"--from", "unix:/a", "--to", "file:/x,seed=perhaps"}), "yes or no"));
    CHECK(contains(bad({"--from", "unix:/a", "--to", "file:/x,sede=yes"}), "did you mean seed?"));
    CHECK(contains(bad({"--from", "unix:/a", "--to", "kernel,seed=yes"}), "no parameter"));
}

TEST_CASE("options: from a file; the command line goes before it, and upstreams of both are used") {
    const File file("# a comment\nfrom = unix:/a\n\n from=tcp:h:1 # another\ninterval = 5\r\nonce = yes\n"
                    "bytes = 20");
    const PushOptions o = good({"--config", file.path.c_str(), "--from", "unix:/b", "--bytes", "30"});
    REQUIRE(o.from.size() == 3);
    CHECK(o.from[0].text == "unix:/a");
    CHECK(o.from[1].text == "tcp:h:1");
    CHECK(o.from[2].text == "unix:/b");
    CHECK(o.interval == 5s);
    CHECK(o.once);
    CHECK(o.bytes == 30);
}

TEST_CASE("promise 6: an error of a file that is a keyring or a key repeats nothing of it") {
    const std::string secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (const std::string& text :
         {"Q0RFRkdISUpLTE1O " + secret + "\n", "# this host's key\n" + secret + "\n",
          "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n",
          "identity = " + secret + "\n", secret.substr(0, 43) + "\n"}) {
        const File file(text);
        const std::string error = bad({"--config", file.path.c_str()});
        CAPTURE(error);
        CHECK(contains(error, file.path + ":"));
        for (std::size_t at = 0; at + 6 <= secret.size(); ++at) {
            CHECK_FALSE(contains(error, secret.substr(at, 6)));
        }
    }
}

TEST_CASE("options: a file that is wrong is named with its line") {
    const auto in_file = [](const std::string& text) {
        const File file(text);
        const std::string error = bad({"--config", file.path.c_str()});
        CHECK(contains(error, file.path));
        return error;
    };
    CHECK(contains(in_file("from = unix:/a\nintervall = 3\n"),
                   ":2: unknown option \"intervall\": did you mean"));
    CHECK(contains(in_file("from = unix:/a\n[guest]\n"), ":2: sections"));
    CHECK(contains(in_file("from unix:/a\n"), ":1: \"from\" is no setting without =: expected from = VALUE"));
    CHECK(contains(in_file("from =\n"), "no value"));
    CHECK(contains(in_file("once = maybe\n"), "yes or no"));
    CHECK(contains(in_file("bytes = 1\nbytes = 2\n"), "twice"));
    CHECK(contains(in_file("config = /etc/passwd\n"), "command line only"));
    CHECK(contains(in_file("help = yes\n"), "command line only"));
    CHECK(contains(in_file(std::string(100'000, 'x')), "too long"));
    CHECK(contains(bad({"--config", "/nonexistent/x"}), "/nonexistent/x"));
    CHECK(contains(bad({"--config", "/tmp"}), "/tmp"));
    CHECK(contains(bad({"--config", "/dev/zero"}), "too long"));
}

TEST_CASE("options: --help and --version come before all mistakes; the help names every option") {
    CHECK(read({"--from", "nonsense", "--help"})->action == PushRequest::Action::help);
    CHECK(read({"-h"})->action == PushRequest::Action::help);
    CHECK(read({"--version"})->action == PushRequest::Action::version);
    for (const char* name :
         {"--from", "--to", "--bytes", "--interval", "--once", "--credit", "--timeout", "--identity",
          "--quorum", "--config", "--foreground", "--verbose", "--version"}) {
        CHECK(contains(push_help(), name));
    }
}
