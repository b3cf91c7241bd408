// ekeydctl against the control server, on a Unix socket, the server in a thread of its own; and against peers
// that are no ekeyd.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>

#include "ekeyd/control/server.h"
#include "ekeyd/ctl/connection.h"
#include "ekeyd/ctl/ctl.h"
#include "ekeyd/runtime/unix_socket.h"
#include "tests/unit/control/fake_subject.h"

using namespace ekey;
using Strings = std::vector<std::string>;

namespace {

struct Folder {
    Folder() {
        char name[] = "/tmp/ekeyd-ctl-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

struct Ran {
    int status;
    std::string out, err;
};

std::string contents(std::FILE* file) {
    std::string text;
    std::rewind(file);
    for (int c; (c = std::fgetc(file)) != EOF;) {
        text += static_cast<char>(c);
    }
    std::fclose(file);
    return text;
}

Ran run(const Strings& arguments) {
    std::FILE* const out = std::tmpfile();
    std::FILE* const err = std::tmpfile();
    REQUIRE((out != nullptr && err != nullptr));
    const int status = ctl::run(arguments, out, err);
    return {status, contents(out), contents(err)};
}

// Ends the loop from the test's thread.
struct Stopper {
    explicit Stopper(Loop& l) : loop(l), wake(l) {
        wake.bind<&Stopper::on_wake>(this);
        wake.start();
    }
    void on_wake() { loop.stop(); }
    Loop& loop;
    AsyncWatcher wake;
};

// A daemon's control socket around a fake pipeline; runs from start() to stop().
struct Daemon {
    Folder folder;
    std::string path = folder.path + "/s";
    Loop loop;
    control::FakeSubject subject;
    Stopper stopper{loop};
    std::unique_ptr<control::ControlServer> server = std::move(
        control::ControlServer::open(loop, subject, config::parse_address("unix:" + path).value()).value());
    std::thread thread;

    void start() {
        subject.on_shutdown = [this] { loop.stop(); };
        thread = std::thread([this] { loop.run(); });
    }
    void stop() {
        stopper.wake.send();
        thread.join();
    }
    Ran ask(Strings arguments) {
        arguments.insert(arguments.begin(), {"--socket", path});
        return run(arguments);
    }
};

// A peer that says `text` to the first client and closes.
Ran against(const std::string& text, const Strings& arguments) {
    const Folder folder;
    UnixListener::Options options;
    options.path = folder.path + "/s";
    auto listener = UnixListener::open(options);
    REQUIRE(listener.has_value());
    std::thread peer([&] {
        Fd client;
        while (!client) {
            client = Fd(accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
        }
        ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
        shutdown(client.get(), SHUT_WR);
        char rest[256];
        while (::recv(client.get(), rest, sizeof rest, 0) > 0) {
        }
    });
    Strings all{"--socket", options.path};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ran ran = run(all);
    peer.join();
    return ran;
}

} // namespace

TEST_CASE("ekeydctl: list and stats print as those of 1.1.5") {
    Daemon daemon;
    daemon.subject.rows = {control::row(1, true, "Running OK", "/dev/ttyACM0", "NwBvBlg3OTBJORFD"),
                           control::row(2, false, "Unknown", "/dev/ttyACM1")};
    daemon.subject.values = {{"TotalEntropy", "3"}, {"BytesRead", "12"}, {"KeyTemperatureC", "25.85"}};
    daemon.start();
    const Ran list = daemon.ask({"list"});
    const Ran stats = daemon.ask({"stats", "1"});
    const Ran wrong = daemon.ask({"stats", "9"});
    daemon.stop();
    CHECK(list.status == 0);
    CHECK(list.out == "NR,OK,Status,Path,SerialNo\n1,YES,Running "
                      "OK,/dev/ttyACM0,NwBvBlg3OTBJORFD\n2,NO,Unknown,/dev/ttyACM1\n");
    CHECK(stats.out == "BytesRead=12\nKeyTemperatureC=25.85\nTotalEntropy=3\n");
    CHECK(wrong.status == 1);
    CHECK(wrong.err == "ekeydctl: Unable to find ekey '9'\n");
    CHECK(wrong.out == "");
}

TEST_CASE("ekeydctl: commands reach the daemon with their arguments as they are") {
    Daemon daemon;
    daemon.subject.rows = {control::row(1, true, "Running OK", "/dev/a\"\\\n1")};
    daemon.subject.listener_lines = {"tcp:127.0.0.1:8888\tclients=0"};
    daemon.subject.sink_lines = {"kernel\tstate=ok"};
    daemon.start();
    for (const Strings& arguments : std::vector<Strings>{{"add", "/dev/x"},
                                                         {"add", "/dev/x", "NwBvBlg3OTBJORFD"},
                                                         {"add", "device:/dev/hwrng"},
                                                         {"addall", "/dev/entropykey"},
                                                         {"remove", "/dev/a\"\\\n1"},
                                                         {"reset", "1"},
                                                         {"keyring", "keys"},
                                                         {"listen", "tcp:127.0.0.1:1"},
                                                         {"unlisten", "tcp:127.0.0.1:1"},
                                                         {"sink", "kernel"},
                                                         {"unsink", "kernel"}}) {
        const Ran ran = daemon.ask(arguments);
        CAPTURE(arguments[0]);
        CHECK(ran.status == 0);
        CHECK(ran.out + ran.err == "");
    }
    const Ran health = daemon.ask({"health"});
    const Ran show = daemon.ask({"show"});
    daemon.stop();
    CHECK(health.out == "of\tall\n");
    CHECK(show.out.find("Listeners\n  tcp:127.0.0.1:8888 clients=0\nSinks\n  kernel state=ok\n") !=
          std::string::npos);
    CHECK(daemon.subject.calls ==
          Strings{"add /dev/x", "add /dev/x with NwBvBlg3OTBJORFD", "add device:/dev/hwrng",
                  "addall /dev/entropykey", "remove 1", "reset 1",
                  "keyring " + std::filesystem::current_path().string() + "/keys", "listen tcp:127.0.0.1:1",
                  "unlisten tcp:127.0.0.1:1", "sink kernel", "unsink kernel"});
}

TEST_CASE("ekeydctl: capture writes the bytes themselves") {
    Daemon daemon;
    daemon.subject.rows = {control::row(1, true, "Running OK", "/dev/a")};
    std::string all;
    for (int i = 0; i < 5000; ++i) {
        all += static_cast<char>(i * 7);
    }
    struct Source { // delivers in odd pieces, from the loop, while a capture is there
        Source(Daemon& d, std::string b) : daemon(d), bytes(std::move(b)), timer(d.loop) {
            timer.bind<&Source::tick>(this);
            timer.every(std::chrono::milliseconds(1));
        }
        void tick() {
            if (daemon.subject.receiver != nullptr && sent < bytes.size()) {
                const std::size_t size = std::min<std::size_t>(777, bytes.size() - sent);
                daemon.subject.deliver(as_bytes(std::string_view(bytes).substr(sent, size)));
                sent += size;
            }
        }
        Daemon& daemon;
        std::string bytes;
        std::size_t sent = 0;
        Timer timer;
    } source(daemon, all);
    daemon.start();
    const Ran ran = daemon.ask({"capture", "1", "5000"});
    const Ran wrong = daemon.ask({"capture", "9", "5000"});
    daemon.stop();
    CHECK(ran.status == 0);
    CHECK(ran.out == all);
    CHECK(wrong.status == 1);
}

TEST_CASE("ekeydctl: shutdown ends the daemon") {
    Daemon daemon;
    daemon.start();
    CHECK(daemon.ask({"shutdown"}).status == 0);
    daemon.thread.join();
    CHECK(daemon.subject.calls == Strings{"shutdown"});
}

TEST_CASE("ekeydctl: usage") {
    for (const Strings& arguments : std::vector<Strings>{{},
                                                         {"lst"},
                                                         {"stats"},
                                                         {"stats", ""},
                                                         {"list", "x"},
                                                         {"capture", "1", "x"},
                                                         {"capture", "1", "0"},
                                                         {"--sockt", "/x", "list"},
                                                         {"--socket"}}) {
        const Ran ran = run(arguments);
        CHECK(ran.status == 2);
        CHECK(ran.out == "");
        CHECK(ran.err.starts_with("ekeydctl: "));
    }
    CHECK(run({"lst"}).err.starts_with("ekeydctl: unknown command lst: did you mean list?\nUsage: "));
    CHECK(run({"list", "--jsn"}).err.starts_with("ekeydctl: unknown option --jsn: did you mean --json?\n"));
    CHECK(run({"--jsn", "list"}).err.starts_with("ekeydctl: unknown option --jsn: did you mean --json?\n"));
    CHECK(run({"list", "--nonsense"}).err.starts_with("ekeydctl: unknown option --nonsense\n"));
    CHECK(run({"list", "--help"}).status == 0);
    CHECK(run({"list", "--", "--json"}).err.starts_with("ekeydctl: expected: ekeydctl list"));
    CHECK(run({"stats"}).err.starts_with("ekeydctl: expected: ekeydctl stats ID\n"));
    CHECK(run({"--help"}).status == 0);
    CHECK(run({"--help"}).out.find("capture ID BYTES") != std::string::npos);
    CHECK(run({"-v"}).out.starts_with("ekeydctl "));
}

TEST_CASE("ekeydctl: no daemon, and peers that are no daemon") {
    const Ran none = run({"--socket", "/nonexistent/s", "list"});
    CHECK(none.status == 1);
    CHECK(none.err ==
          "ekeydctl: cannot connect to /nonexistent/s: No such file or directory: is ekeyd running?\n");
    CHECK(run({"-s", "tcp:127.0.0.1:1", "list"}).err ==
          "ekeydctl: cannot connect to tcp:127.0.0.1:1: Connection refused: is ekeyd running?\n");

    CHECK(against("", {"list"}).err.find("is not a control socket of ekeyd") != std::string::npos);
    CHECK(against("HTTP/1.1 400 Bad\n", {"list"}).err.find("it says \"HTTP/1.1 400 Bad\"") !=
          std::string::npos);
    CHECK(against(std::string(70000, 'x'), {"list"}).err.find("longer than 64 KiB") != std::string::npos);
    const std::string hello = "PROTOCOL EKEYD/1\n";
    CHECK(against(hello + "*\ta\n", {"list"}).err.find("has closed the connection") != std::string::npos);
    CHECK(against(hello + "\x1b[2J\n", {"list"}).err.find("it says \"?[2J\"") != std::string::npos);
    CHECK(against(hello + "ERROR\n", {"list"}).err == "ekeydctl: ekeyd gave no reason\n");
    CHECK(against(hello + "*\tYQ==\n*\t!!\nOK\n", {"capture", "1", "2"}).err ==
          "ekeydctl: ekeyd sent what is no base64\n");
    CHECK(against(hello + "*\tYQ==\n", {"capture", "1", "2"}).out == "a");
    CHECK(against(hello + "*\tYQ==\n", {"capture", "1", "2"}).status == 1);
    CHECK(against(hello, {"shutdown"}).status == 0); // 1.1.5 closes without an answer
    CHECK(against(hello + "OK -1\n", {"keyring", "/x"}).status == 1);
    CHECK(against(hello + "OK 0\n", {"keyring", "/x"}).err == "ekeydctl: warning: /x holds no key\n");
}

TEST_CASE("ekeydctl: a daemon that does not answer is not waited for") {
    const Folder folder;
    UnixListener::Options options;
    options.path = folder.path + "/s";
    auto listener = UnixListener::open(options);
    REQUIRE(listener.has_value());
    std::thread peer([&] {
        Fd client;
        while (!client) {
            client = Fd(accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
        }
        const std::string_view hello = "PROTOCOL EKEYD/1\n*\thalf a line";
        ::send(client.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
        char rest[256];
        while (::recv(client.get(), rest, sizeof rest, 0) > 0) {
        }
    });
    {
        auto connection = ctl::Connection::open(options.path);
        REQUIRE(connection.has_value());
        const auto line = connection->next(std::chrono::milliseconds(20));
        REQUIRE_FALSE(line.has_value());
        CHECK(line.error().what.find("has not answered for") != std::string::npos);
    }
    peer.join();
}
