#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/sandbox.h"

using namespace ekey;
namespace fs = std::filesystem;

namespace {

struct Outcome {
    int status = -1; // as waitpid tells it
    std::string said;
};

// Runs `body` in a process of its own, because there is no way back, and returns how that ended.
Outcome in_child(const std::function<int()>& body) {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    Fd reader(ends[0]), writer(ends[1]);
    const pid_t child = fork();
    if (child == 0) {
        dup2(writer.get(), STDERR_FILENO);
        _exit(body());
    }
    writer.reset();
    Outcome outcome;
    std::array<char, 512> piece{};
    for (ssize_t got = 0; (got = read(reader.get(), piece.data(), piece.size())) > 0;) {
        outcome.said.append(piece.data(), static_cast<std::size_t>(got));
    }
    waitpid(child, &outcome.status, 0);
    return outcome;
}

bool ended_with(const Outcome& outcome, int status) {
    return WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == status;
}

bool confine(Sandbox sandbox,
             const FileRules& rules = {{"/", FileUse::outputs}, {"/dev", FileUse::devices}}) {
    Confinement confinement;
    return confine_files(confinement, sandbox, rules) && confine_calls(confinement, sandbox) &&
           confinement.calls;
}

struct Forbidden {
    const char* name;
    long (*attempt)();
};

long start_program() {
    const char* const arguments[] = {"/bin/true", nullptr};
    return execve(arguments[0], const_cast<char* const*>(arguments), nullptr);
}

const Forbidden forbidden[] = {
    {"execve", start_program},
    {"fork", [] { return static_cast<long>(fork()); }},
    {"ptrace", [] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); }},
    {"kill", [] { return static_cast<long>(kill(getppid(), 0)); }},
    {"mount", [] { return static_cast<long>(mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
    {"setuid", [] { return static_cast<long>(setuid(getuid())); }},
    {"a packet socket", [] { return static_cast<long>(socket(AF_PACKET, SOCK_RAW, 0)); }},
    {"a raw socket", [] { return static_cast<long>(socket(AF_INET, SOCK_RAW, 1)); }},
    {"an ioctl of another device", [] { return static_cast<long>(ioctl(0, 0x5412, "x")); }}, // TIOCSTI
};

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/ekeyd-sandbox-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { fs::remove_all(path); }
};

bool reads(const std::string& path) {
    return Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)).get() >= 0;
}
bool makes(const std::string& path) {
    return Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)).get() >= 0;
}

} // namespace

TEST_CASE("sandbox yes: what is forbidden fails with an error, and the process goes on") {
    for (const Forbidden& one : forbidden) {
        CAPTURE(one.name);
        const Outcome outcome = in_child([&] {
            if (!confine(Sandbox::yes)) {
                return 1;
            }
            return one.attempt() == -1 && errno == ENOSYS ? 0 : 2;
        });
        CHECK(ended_with(outcome, 0));
    }
}

TEST_CASE("sandbox strict: what is forbidden ends the process with SIGSYS, and is told") {
    for (const Forbidden& one : forbidden) {
        CAPTURE(one.name);
        const Outcome outcome = in_child([&] {
            if (!confine(Sandbox::strict)) {
                return 1;
            }
            one.attempt();
            return 2;
        });
        CHECK((WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSYS));
        CHECK(outcome.said.find("sandbox: system call number ") == 0);
    }
}

TEST_CASE("sandbox strict: threads, their end, files, and abort() go on") {
    const Folder folder;
    const Outcome outcome = in_child([&] {
        int made = 0;
        if (!confine(Sandbox::strict)) {
            return 1;
        }
        std::thread([&] { made = makes(folder.path + "/file") ? 1 : 0; }).join();
        if (made == 1 && reads(folder.path + "/file")) {
            std::signal(SIGABRT, SIG_DFL); // doctest has a handler
            std::abort();
        }
        return 2;
    });
    CHECK((WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT));
    CHECK(outcome.said.empty());
}

TEST_CASE("sandbox: a thread that was there before has the filter, too") {
    const Outcome outcome = in_child([] {
        int ends[2];
        long result = 0;
        int error = 0;
        if (pipe2(ends, O_CLOEXEC) != 0) {
            return 1;
        }
        std::thread earlier([&] {
            char byte = 0;
            if (read(ends[0], &byte, 1) == 1) {
                result = socket(AF_PACKET, SOCK_RAW, 0);
                error = errno;
            }
        });
        const bool confined = confine(Sandbox::yes);
        if (write(ends[1], "x", 1) != 1) {
            return 1;
        }
        earlier.join();
        return confined && result == -1 && error == ENOSYS ? 0 : 2;
    });
    CHECK(ended_with(outcome, 0));
}

TEST_CASE("sandbox no: nothing is given up") {
    const Outcome outcome = in_child([] {
        Confinement confinement;
        const bool fine =
            confine_files(confinement, Sandbox::no, {}) && confine_calls(confinement, Sandbox::no);
        return fine && !confinement.on && reads("/etc/passwd") ? (start_program(), 2) : 1;
    });
    CHECK(ended_with(outcome, 0)); // of /bin/true
}

TEST_CASE("sandbox: files are open as the rules say, and no others") {
    const Folder folder;
    for (const char* name : {"read", "sockets", "outputs", "none"}) {
        fs::create_directory(folder.path + "/" + name);
        std::ofstream(folder.path + "/" + name + "/there") << "x";
    }
    const Outcome outcome = in_child([&] {
        Confinement confinement;
        const auto in = [&](const std::string& name) { return folder.path + "/" + name; };
        if (!confine_files(confinement, Sandbox::yes,
                           {{in("read"), FileUse::read},
                            {in("sockets"), FileUse::sockets},
                            {in("outputs"), FileUse::outputs},
                            {in("absent"), FileUse::outputs}})) {
            return 99;
        }
        if (confinement.landlock == 0) {
            return 77;
        }
        const auto fails = [](bool done) { return !done && errno == EACCES; };
        int number = 0;
        for (const bool right :
             {reads(in("read/there")), fails(makes(in("read/new"))), fails(makes(in("read/there"))),
              fails(unlink(in("read/there").c_str()) == 0), fails(reads(in("sockets/there"))),
              fails(makes(in("sockets/new"))), unlink(in("sockets/there").c_str()) == 0,
              mknod(in("sockets/new").c_str(), S_IFSOCK | 0600, 0) == 0, makes(in("outputs/new")),
              reads(in("outputs/there")), mkfifo(in("outputs/fifo").c_str(), 0600) == 0,
              rename(in("outputs/new").c_str(), in("outputs/there").c_str()) == 0,
              fails(reads(in("none/there"))), fails(makes(in("none/new"))), fails(reads("/etc/passwd"))}) {
            ++number;
            if (!right) {
                return number;
            }
        }
        return 0;
    });
    if (ended_with(outcome, 77)) {
        MESSAGE("skipped: this kernel has no Landlock");
        return;
    }
    CAPTURE(WEXITSTATUS(outcome.status)); // which of the checks
    CHECK(ended_with(outcome, 0));
}

TEST_CASE("the folder that holds a path") {
    CHECK(holding_folder("/run/x/y") == "/run/x");
    CHECK(holding_folder("/run") == "/");
    CHECK(holding_folder("/run/x/") == "/run/x");
}
