#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include <unistd.h>

#include "ekeyd/config/settings.h"
#include "ekeyd/runtime/handle.h"

using namespace ekey::config;

namespace {

// A file that is gone at the end of the test.
class TemporaryFile {
  public:
    explicit TemporaryFile(std::string_view text) {
        char name[] = "/tmp/ekeyd-settings-XXXXXX";
        const ekey::Fd file(mkstemp(name));
        REQUIRE(file);
        REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        path = name;
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() { unlink(path.c_str()); }
    std::string path;
};

ekey::Result<Request> with_arguments(std::vector<std::string> arguments) {
    std::vector<const char*> argv{"ekeyd"};
    for (const std::string& argument : arguments) {
        argv.push_back(argument.c_str());
    }
    return read_settings(static_cast<int>(argv.size()), argv.data());
}

ekey::Result<Request> with_file(std::string_view text, std::vector<std::string> arguments = {}) {
    const TemporaryFile file(text);
    arguments.insert(arguments.begin(), {"--config", file.path});
    auto request = with_arguments(std::move(arguments));
    if (!request) { // tests know the file as F
        std::string& what = request.error().what;
        for (std::size_t at; (at = what.find(file.path)) != std::string::npos;) {
            what.replace(at, file.path.size(), "F");
        }
    }
    return request;
}

std::string refused(const ekey::Result<Request>& request) {
    REQUIRE_FALSE(request.has_value());
    return request.error().what;
}

std::vector<std::string> values(const std::vector<Setting>& settings) {
    std::vector<std::string> all;
    for (const Setting& setting : settings) {
        all.push_back(setting.value);
    }
    return all;
}

using Strings = std::vector<std::string>;

} // namespace

TEST_CASE("settings: defaults") {
    const Settings s = with_file("")->settings;
    CHECK(s.source.empty());
    CHECK(s.listen.empty());
    CHECK(s.sink.empty());
    CHECK(values(s.control) == Strings{"unix:/run/ekeyd.sock"});
    CHECK(s.control[0].where == "default");
    CHECK(s.keyring.value == "/etc/entropykey/keyring");
    CHECK(s.pidfile.value == "");
    CHECK(s.pool_size == 65536);
    CHECK(s.silence == 10);
    CHECK_FALSE(s.foreground);
    CHECK(s.log_level == "info");
}

TEST_CASE("settings: a file with comments, repeated keys and every type") {
    const auto request = with_file("# one\n"
                                   "source = entropykey:/dev/ttyACM0\n"
                                   "  source=device:/dev/hwrng,min-entropy=4.5   # two\n"
                                   "\n"
                                   "listen = unix:/run/ekeyd/egd.sock,mode=0660,group=entropy\r\n"
                                   "listen = tcp:[::1]:8888\n"
                                   "sink = kernel\n"
                                   "control = unix:/run/c.sock,mode=0600\n"
                                   "keyring = /etc/k\n"
                                   "foreground = yes\n"
                                   "pool-size = 4096\n"
                                   "silence = 2.5\n"
                                   "user = ekeyd\n"
                                   "log-level = debug"); // no newline at the end
    REQUIRE(request.has_value());
    const Settings& s = request->settings;
    CHECK(request->action == Action::run);
    CHECK(values(s.source) == Strings{"entropykey:/dev/ttyACM0", "device:/dev/hwrng,min-entropy=4.5"});
    CHECK(s.source[1].where.ends_with(":3"));
    CHECK(values(s.listen) == Strings{"unix:/run/ekeyd/egd.sock,mode=0660,group=entropy", "tcp:[::1]:8888"});
    CHECK(values(s.sink) == Strings{"kernel"});
    CHECK(values(s.control) == Strings{"unix:/run/c.sock,mode=0600"});
    CHECK(s.keyring.value == "/etc/k");
    CHECK(s.keyring.where.ends_with(":9"));
    CHECK(s.foreground);
    CHECK(s.pool_size == 4096);
    CHECK(s.silence == 2.5);
    CHECK(s.user.value == "ekeyd");
    CHECK(s.log_level == "debug");
}

TEST_CASE("settings: the command line goes before the file, and adds to its lists") {
    const Settings s = with_file("listen = tcp:127.0.0.1:1\nkeyring = /etc/a\npool-size = 4096\n",
                                 {"--listen", "tcp:127.0.0.1:2", "--listen=tcp:127.0.0.1:3", "--keyring",
                                  "/etc/b", "--foreground", "-p", "/run/p"})
                           ->settings;
    CHECK(values(s.listen) == Strings{"tcp:127.0.0.1:1", "tcp:127.0.0.1:2", "tcp:127.0.0.1:3"});
    CHECK(s.listen[1].where == "command line");
    CHECK(s.keyring.value == "/etc/b");
    CHECK(s.pool_size == 4096);
    CHECK(s.foreground);
    CHECK(s.pidfile.value == "/run/p");
}

TEST_CASE("settings: what is printed reads as the same settings") {
    const char* text =
        "source = entropykey:/dev/a\\,b\nsource = device:/dev/hwrng\nlisten = tcp:127.0.0.1:8888,rate=5\n"
        "sink = file:/x\ncontrol = tcp:127.0.0.1:9\nkeyring = /k\nidentity = /i\npidfile = /p\n"
        "user = u\ngroup = g\npool-size = 400\nsilence = 1.25\nforeground = yes\nlog-level = error\n";
    const std::string once = with_file(text, {"--print-config"})->text;
    CHECK(once.find("silence = 1.25\n") != std::string::npos);
    CHECK(once.find("source = entropykey:/dev/a\\,b\n") != std::string::npos);
    const auto body = [](const std::string& printed) { return printed.substr(printed.find('\n')); };
    CHECK(body(with_file(once, {"--print-config"})->text) == body(once));
    const std::string defaults = with_file("", {"--print-config"})->text;
    CHECK(defaults.find("\n# source =\n") != std::string::npos);
    CHECK(defaults.find("\ncontrol = unix:/run/ekeyd.sock\n") != std::string::npos);
    CHECK(body(with_file(defaults, {"--print-config"})->text) == body(defaults));
}

TEST_CASE("settings: errors name the file, the line and a suggestion") {
    const auto line3 = [](std::string_view line) {
        return refused(with_file("# 1\n\n" + std::string(line) + "\n"));
    };
    CHECK(line3("lisen = tcp:127.0.0.1:1") == "F:3: unknown option \"lisen\": did you mean listen?");
    CHECK(line3("zzzzz = 1") == "F:3: unknown option \"zzzzz\": see ekeyd.conf(5)");
    CHECK(line3("config = /x") == "F:3: unknown option \"config\": it is for the command line only");
    CHECK(line3("listen") == "F:3: \"listen\" is no setting without =: expected listen = VALUE");
    CHECK(line3("listen unix:/x") == line3("listen"));
    CHECK(line3("LISTEN = unix:/x") == "F:3: unknown option \"LISTEN\": did you mean listen?");
    CHECK(line3("pool_size = 320") == "F:3: unknown option \"pool_size\": did you mean pool-size?");
    CHECK(line3("listen =") == "F:3: listen has no value");
    CHECK(line3("[general]") == "F:3: sections are not used: write NAME = VALUE");
    CHECK(line3("keyring = \"/etc/k\"") ==
          "F:3: keyring: a value stands without quotes: write keyring = /etc/k");
    CHECK(line3("keyring = etc/k") ==
          "F:3: keyring: path \"etc/k\" does not begin with /: the daemon runs in the root folder");
    CHECK(line3("pool-size = 319") ==
          "F:3: pool-size is \"319\": expected a whole number from 320 to 16777216");
    CHECK(line3("silence = 0") == "F:3: silence is \"0\": expected a number from 1 to 3600");
    CHECK(line3("foreground = maybe") == "F:3: foreground is \"maybe\": expected yes or no");
    CHECK(line3("log-level = warn") ==
          "F:3: log-level is \"warn\": expected one of error warning notice info debug");
    CHECK(line3("log-level = wraning") == "F:3: log-level is \"wraning\": did you mean warning?");
    CHECK(line3("listen = udp:127.0.0.1:1") ==
          "F:3: listen has no kind \"udp\": it takes unix, tcp, vsock, sealed, http, pollen");
    CHECK(line3("listen = tpc:127.0.0.1:1") == "F:3: listen has no kind \"tpc\": did you mean tcp?");
    CHECK(line3("listen = tcp:127.0.0.1") ==
          "F:3: \"127.0.0.1\" has no port: expected HOST:PORT, such as 127.0.0.1:8888 or [::1]:8888");
    CHECK(line3("listen = unix:egd.sock") ==
          "F:3: path \"egd.sock\" does not begin with /: the daemon runs in the root folder");
    CHECK(line3("listen = unix:/" + std::string(107, 'x'))
              .ends_with("is too long for a socket: at most 107 bytes"));
    CHECK(line3("source = device:/dev/hwrng,min-entropy=9") ==
          "F:3: min-entropy is \"9\": expected a number from 0 to 8");
    CHECK(line3("control = unix:/c,mode=abc") ==
          "F:3: mode is \"abc\": expected an octal file mode, such as 0660");
    CHECK(line3("control = unix:/c,moed=0600") ==
          "F:3: address \"unix:/c,moed=0600\": unix has no parameter \"moed\": did you mean mode?");
    CHECK(line3("control = tcp:0.0.0.0:1234") ==
          "F:3: control over TCP asks for no password: only 127.0.0.1, [::1] and localhost are taken");
    CHECK(line3("sink = kernel:/x") == "F:3: kernel stands alone: nothing follows it but ,name=value");
    CHECK(line3(std::string_view("keyring = /a\0b", 14)) ==
          "F:3: the line holds a control character: is this a text file?");
}

TEST_CASE("promise 6: an error of a file that is a keyring or a key repeats nothing of it") {
    // The master and long-term key are no one's: base64 of 0 to 31 and of text.
    const std::string long_term = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const std::string serial = "Q0RFRkdISUpLTE1O";
    const std::string body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
    const std::string hexadecimal = "a00102030405060708090a0b0c0d0e0f";
    const std::string pem = "-----BEGIN PRIVATE KEY-----\n" + body + "\n-----END PRIVATE KEY-----\n";
    const std::string files[] = {
        serial + ' ' + long_term + '\n',
        serial + ' ' + long_term.substr(0, 43) + '\n', // without the = a line of it has none
        "# A secret: this host's key\n" + long_term + '\n',
        pem,
        "-- a note\n" + pem,
        "-- a note\n" + body + '\n',
        hexadecimal + " = 1\n",
        "identity = " + long_term + '\n',
        "identity = \"" + long_term + "\"\n",
        "keyring = " + hexadecimal + '\n',
        "keyring = /" + long_term.substr(1) + '\n',
    };
    for (const std::string& file : files) {
        const std::string error = refused(with_file(file));
        CAPTURE(error);
        CHECK(error.starts_with("F:"));
        for (const std::string& secret : {long_term, body, hexadecimal}) {
            for (std::size_t at = 0; at + 6 <= secret.size(); ++at) {
                CHECK(error.find(secret.substr(at, 6)) == std::string::npos);
            }
        }
    }
    CHECK(with_file("keyring = /var/lib/" + std::string(40, 'k') + '\n').has_value());
    CHECK(refused(with_file(files[0])).find("F:1: what stands before the = is no option") == 0);
    CHECK(refused(with_file(pem)).find("F:1: here begins a key or a certificate (PEM)") == 0);
}

TEST_CASE("settings: what stands behind the kind") {
    CHECK(refused(with_file("listen = pollen:0.0.0.0\n")).find("F:1: ") == 0);
    CHECK(refused(with_file("source = egd:udp:h:1\n")) ==
          "F:1: egd: is followed by unix:/PATH or tcp:HOST:PORT");
    CHECK(refused(with_file("source = egd:unix:x\n")).find("does not begin with /") != std::string::npos);
    CHECK(refused(with_file("source = egd:tcp:h\n")).find("F:1: ") == 0);
}

TEST_CASE("settings: given twice") {
    CHECK(refused(with_file("keyring = /a\nkeyring = /b\n")) == "F:2: keyring is given twice (first: F:1)");
    CHECK(refused(with_file("sink = kernel\nsink = kernel\n")) ==
          "F:2: sink \"kernel\" is given twice (first: F:1)");
    CHECK(refused(with_file("", {"--user", "a", "--user", "b"})) ==
          "command line: user is given twice (first: command line)");
}

TEST_CASE("settings: the command line's errors") {
    CHECK(refused(with_arguments({"--lisen", "x"})) ==
          "command line: unknown option \"lisen\": did you mean --listen?");
    CHECK(refused(with_arguments({"--sinc=x"})) ==
          "command line: unknown option \"sinc\": did you mean --sink?");
    CHECK(refused(with_arguments({"-x"})) == "command line: unknown option \"x\": see ekeyd --help");
    CHECK(refused(with_arguments({"here"})) ==
          "command line: unexpected argument \"here\": see ekeyd --help");
    CHECK(refused(with_arguments({"--listen"})).find("--listen") != std::string::npos);
    CHECK(refused(with_arguments({"--foreground=yes"})).find("--foreground") != std::string::npos);
    CHECK(refused(with_arguments({"--keyring", "/a#b"})).find("cannot hold #") != std::string::npos);
    CHECK(refused(with_arguments({"--keyring", ""})).find("no value") != std::string::npos);
    CHECK(refused(with_arguments({"--keyring", "/a\nb"})).find("control character") != std::string::npos);
    CHECK(refused(with_arguments({"--liste", "tcp:127.0.0.1:1"})).find("did you mean --listen?") !=
          std::string::npos);
}

TEST_CASE("settings: files that cannot be read") {
    CHECK(refused(with_arguments({"-f", "/nonexistent/ekeyd.conf"})) ==
          "/nonexistent/ekeyd.conf cannot be read: No such file or directory (name another with --config)");
    CHECK(refused(with_arguments({"-f", "/"})) == "/ cannot be read: it is a folder");
    CHECK(refused(with_arguments({"-f", "/dev/zero"})) ==
          "/dev/zero is longer than 1 MiB: is this ekeyd's configuration?");
    CHECK(read_settings(3, std::array{"ekeyd", "-f", "/dev/null"}.data()).has_value());
    CHECK(refused(with_file(std::string((1 << 20) + 1, '\n'))) ==
          "F is longer than 1 MiB: is this ekeyd's configuration?");
}

TEST_CASE("settings: a file of ekeyd 1.1.5 is read as it is") {
    const auto request = with_file("-- -*- Lua -*-\n"
                                   "TCPControlSocket \"1234\"\n"
                                   "UnixControlSocket \"/var/run/ekeyd.sock\"\n"
                                   "Keyring \"/etc/entropykey/keyring\" --[[ two\n lines ]]\n"
                                   "Daemonise(false)\n"
                                   "SetOutputToKernel(7)\n"
                                   "EGDTCPSocket(8888)\n"
                                   "EGDTCPSocket(8889, \"::1\")\n"
                                   "EGDUnixSocket \"/etc/entropy\"\n"
                                   "EGDUnixSocket(\"/run/a,b\", \"0660\", \"\", \"users\")\n"
                                   "AddEntropyKey \"/dev/ttyACM0\" AddEntropyKey('/dev/ttyACM1', nil)\n"
                                   "AddEntropyKeys \"/nonexistent\"\n");
    REQUIRE(request.has_value());
    const Settings& s = request->settings;
    CHECK(values(s.control) == Strings{"tcp:127.0.0.1:1234", "unix:/var/run/ekeyd.sock"});
    CHECK(s.control[0].where.ends_with(":2"));
    CHECK(s.keyring.value == "/etc/entropykey/keyring");
    CHECK(s.foreground);
    CHECK(values(s.sink) == Strings{"kernel,credit=7"});
    CHECK(values(s.listen) == Strings{"tcp:127.0.0.1:8888", "tcp:[::1]:8889", "unix:/etc/entropy",
                                      "unix:/run/a\\,b,mode=0660,group=users"});
    CHECK(values(s.source) ==
          Strings{"entropykey:/dev/ttyACM0", "entropykey:/dev/ttyACM1", "entropykey:/nonexistent/"});
    CHECK(s.source[1].where.ends_with(":12"));
}

TEST_CASE("settings: a file of ekeyd 1.1.5 that adds a folder of keys means later ones, too") {
    const auto request = with_file("AddEntropyKeys \"/dev/entropykey\"\nAddEntropyKeys \"/run/a,b/\"\n");
    REQUIRE(request.has_value());
    CHECK(values(request->settings.source) ==
          Strings{"entropykey:/dev/entropykey/", "entropykey:/run/a\\,b/"});
}

TEST_CASE("settings: what a file of ekeyd 1.1.5 may not hold") {
    const auto line2 = [](std::string_view line) {
        return refused(with_file("-- 1\n" + std::string(line) + "\n"));
    };
    CHECK(line2("UnixControlSockt \"/a\"") ==
          "F:2: ekeyd 1.1.5 has no UnixControlSockt: did you mean UnixControlSocket?");
    CHECK(line2("UnixControlSocket \"a\"") ==
          "F:2: path \"a\" does not begin with /: the daemon runs in the root folder");
    CHECK(line2("Keyring(\"/a\", \"/b\")") == "F:2: Keyring takes 1 argument");
    CHECK(line2("Keyring \"/a\\nb\"") == "F:2: keyring: the value holds a control character");
    CHECK(line2("Keyring \"/a#b\"") ==
          "F:2: keyring: a value cannot hold #, which begins a comment in the file");
    CHECK(line2("Keyring \"\"") == "F:2: keyring has no value");
    CHECK(line2("SetOutputToKernel(9)") ==
          "F:2: SetOutputToKernel: bits per byte is \"9\": expected a whole number from 0 to 8");
    CHECK(line2("EGDTCPSocket(88888)").find("from 0 to 65535") != std::string::npos);
    CHECK(line2("for i = 1, 2 do end").find("F:2: this is no call of ekeyd 1.1.5: ") == 0);
    CHECK(line2("print(\"x\")").find("F:2: ekeyd 1.1.5 has no print: ") == 0);
    CHECK(line2("local x = 1").find("nothing else of Lua") != std::string::npos);
    CHECK(line2("source = entropykey:usb").find("a file of their own") != std::string::npos);
    CHECK(line2("Keyring \"/a").starts_with("F:2: in the form of ekeyd 1.1.5: a string is not closed"));
    CHECK(refused(with_file("Keyring = /x\n")) == "F:1: unknown option \"Keyring\": did you mean keyring?");
}

TEST_CASE("settings: a file of ekeyd 1.1.5 may hold what Lua takes") {
    const auto listen = [](std::string_view text) {
        const auto request = with_file(text);
        return request ? values(request->settings.listen) : Strings{request.error().what};
    };
    // As Debian's ekeyd binds them.
    CHECK(listen("EGDTCPSocket(8888, \"*\")\n") == Strings{"tcp:0.0.0.0:8888"});
    CHECK(listen("EGDTCPSocket(0x22b8)\n") == Strings{"tcp:127.0.0.1:8888"});
    CHECK(listen("EGDTCPSocket(8888.0)\n") == Strings{"tcp:127.0.0.1:8888"});
    CHECK(listen("#!/usr/sbin/ekeyd -f\nEGDTCPSocket(8888)\n") == Strings{"tcp:127.0.0.1:8888"});
    CHECK(listen("EGDUnixSocket\n\"/a\"\n") == Strings{"unix:/a"});
    CHECK(listen("EGDTCPSocket(0x)\n").at(0).find("F:1: ") == 0);
    // A # anywhere but in the first line is none of Lua's.
    CHECK(listen("# a\n# b\nEGDTCPSocket(8888)\n").at(0).find("F:2: in the form of ekeyd 1.1.5") == 0);
}

TEST_CASE("settings: of several Keyring and Daemonise calls the last counts, as in ekeyd 1.1.5") {
    const auto request = with_file("Keyring \"/a\"\nDaemonise(true)\nKeyring \"/b\"\nDaemonise(false)\n");
    REQUIRE(request.has_value());
    CHECK(request->settings.keyring.value == "/b");
    CHECK(request->settings.foreground);
    CHECK(refused(with_file("keyring = /a\nkeyring = /b\n")).find("given twice") != std::string::npos);
    // What is true to Lua 5.1: all but nil and false.
    for (const std::string in_background : {"Daemonise \"false\"", "Daemonise(0)", "Daemonise \"\""}) {
        CHECK_FALSE(with_file(in_background + "\n")->settings.foreground);
    }
    for (const std::string stays : {"Daemonise()", "Daemonise(nil)", "Daemonise(false)"}) {
        CHECK(with_file(stays + "\n")->settings.foreground);
    }
}

TEST_CASE("settings: a file of ekeyd 1.1.5 is known by its first call, well written or not") {
    CHECK(refused(with_file("UnixControlSockt \"/a\"\n")) ==
          "F:1: ekeyd 1.1.5 has no UnixControlSockt: did you mean UnixControlSocket?");
    CHECK(refused(with_file("\nKeyrng(\n\"/a\")\n")) ==
          "F:2: ekeyd 1.1.5 has no Keyrng: did you mean Keyring?");
    CHECK(refused(with_file("listn = unix:/a\n")).find("F:1: unknown option") == 0);
    CHECK(refused(with_file("[ekeyd]\n")) == "F:1: sections are not used: write NAME = VALUE");
}

TEST_CASE("settings: what was understood of a file of ekeyd 1.1.5 is told, line by line") {
    const TemporaryFile file("-- 1\nKeyring \"/a\"\n\nEGDTCPSocket(8888)\n");
    const auto request = with_arguments({"--config", file.path, "--check-config"});
    REQUIRE(request.has_value());
    CHECK(request->text == file.path + ":2: keyring = /a\n" + file.path +
                               ":4: listen = tcp:127.0.0.1:8888\n" + file.path + ": good\n");
    CHECK(values(request->settings.understood) == Strings{"keyring = /a", "listen = tcp:127.0.0.1:8888"});
    CHECK(with_file("keyring = /a\n")->settings.understood.empty());
}

TEST_CASE("settings: what is converted reads as the same settings, or is refused") {
    const TemporaryFile old(
        "Keyring \"/a b\"\nEGDUnixSocket(\"/run/a,b\", \"0660\")\nSetOutputToKernel(7)\n");
    const auto converted = with_arguments({"--convert", old.path});
    REQUIRE(converted.has_value());
    CHECK(converted->action == Action::convert);
    CHECK(values(converted->settings.listen) == Strings{"unix:/run/a\\,b,mode=0660"}); // for Pipeline::check
    const auto again = with_file(converted->text);
    REQUIRE(again.has_value());
    CHECK(again->settings.keyring.value == "/a b");
    CHECK(values(again->settings.listen) == values(converted->settings.listen));
    CHECK(values(again->settings.sink) == Strings{"kernel,credit=7"});
    const TemporaryFile blank("Keyring \"/a \"\n");
    CHECK(refused(with_arguments({"--convert", blank.path})) ==
          blank.path +
              ":1: keyring: a value cannot begin or end with a blank, which is left out in the file");
}

TEST_CASE("settings: actions") {
    CHECK(with_arguments({"--version"})->action == Action::version);
    CHECK(with_arguments({"-v"})->text.starts_with("ekeyd "));
    CHECK(with_arguments({"-h", "-f", "/nonexistent"})->action == Action::help);
    CHECK(with_file("", {"--check-config"})->action == Action::check_config);
    const std::string help = with_arguments({"--help"})->text;
    for (const char* option :
         {"--config", "--foreground", "--print-config", "--check-config", "--version", "--help", "--pidfile",
          "--source", "--listen", "--sink", "--control", "--keyring", "--identity", "--user", "--group",
          "--pool-size", "--silence", "--log-level"}) {
        CAPTURE(option);
        CHECK(help.find(option) != std::string::npos);
    }
}
