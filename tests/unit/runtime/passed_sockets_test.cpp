#include <cstdlib>
#include <cstring>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ekeyd/runtime/passed_sockets.h"
#include "ekeyd/runtime/tcp_socket.h"
#include "ekeyd/runtime/unix_socket.h"
#include "ekeyd/runtime/vsock_socket.h"

using namespace ekey;

namespace {

constexpr std::uint32_t any = VMADDR_CID_ANY;

std::vector<PassedDescriptor> taken(const char* pid, const char* count, const char* names) {
    for (const auto& [name, value] :
         {std::pair{"LISTEN_PID", pid}, {"LISTEN_FDS", count}, {"LISTEN_FDNAMES", names}}) {
        if (value != nullptr) {
            setenv(name, value, 1);
        }
    }
    return take_passed_descriptors();
}

bool open_in(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

// Descriptors 3 and 4 of this process, for as long as it lives; what was there comes back.
class ThreeAndFour {
  public:
    ThreeAndFour() {
        for (const int fd : {3, 4}) {
            saved_.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 10));
            dup2(STDERR_FILENO, fd);
        }
    }
    ~ThreeAndFour() {
        for (int fd : {3, 4}) {
            const int before = saved_[static_cast<std::size_t>(fd - 3)].get();
            before >= 0 ? dup2(before, fd) : close(fd);
        }
    }
    ThreeAndFour(const ThreeAndFour&) = delete;
    ThreeAndFour& operator=(const ThreeAndFour&) = delete;

  private:
    std::vector<Fd> saved_;
};

sockaddr_un at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

void keep(PassedSockets& passed, Fd socket) {
    std::vector<PassedDescriptor> descriptors;
    descriptors.push_back({Fd(open("/dev/null", O_RDONLY | O_CLOEXEC)), "null"});
    descriptors.push_back({std::move(socket), "socket"});
    passed.keep_from(descriptors);
    REQUIRE(descriptors.size() == 1);
    CHECK(descriptors.front().name == "null");
}

} // namespace

TEST_CASE("passed descriptors: two, with a name and without; the variables are gone") {
    const ThreeAndFour there;
    const auto passed = taken(std::to_string(getpid()).c_str(), "2", "one");
    REQUIRE(passed.size() == 2);
    CHECK(passed[0].fd.get() == 3);
    CHECK(passed[0].name == "one");
    CHECK(passed[1].name.empty());
    CHECK(fcntl(4, F_GETFD) == FD_CLOEXEC);
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
        CHECK(std::getenv(name) == nullptr);
    }
}

TEST_CASE("passed descriptors: nothing is taken of what is for another process or makes no sense") {
    const ThreeAndFour there;
    const std::string ours = std::to_string(getpid());
    for (const auto& [pid, count] : {std::pair<const char*, const char*>{"1", "2"},
                                     {nullptr, "2"},
                                     {ours.c_str(), nullptr},
                                     {ours.c_str(), "0"},
                                     {ours.c_str(), "-2"},
                                     {ours.c_str(), "2x"},
                                     {ours.c_str(), "99999999999"},
                                     {"", ""}}) {
        CHECK(taken(pid, count, "a:b").empty());
        CHECK(std::getenv("LISTEN_FDS") == nullptr);
        CHECK(open_in(3));
    }
}

TEST_CASE("passed descriptors: fewer than were promised are those that are there") {
    const ThreeAndFour there;
    const Fd gap(fcntl(5, F_DUPFD_CLOEXEC, 100)); // so that 5 is free
    close(5);
    CHECK(taken(std::to_string(getpid()).c_str(), "1000000", ":::").size() == 2);
    if (gap) {
        dup2(gap.get(), 5);
    }
}

TEST_CASE("passed sockets: one is lent by its address, once, and again when it was taken back") {
    auto sockets = listen_tcp("127.0.0.1", 0);
    REQUIRE(sockets);
    const std::string where = bound_host_port(sockets->front().get());
    const auto port = static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1)));
    PassedSockets passed;
    keep(passed, std::move(sockets->front()));
    CHECK(passed.idle() == std::vector<std::string>{"tcp:" + where});

    // Another program may not have it: so this is the one that was passed.
    auto first = listen_tcp("127.0.0.1", port, HostNames::refuse, {&passed, "a line"});
    REQUIRE(first);
    CHECK(bound_host_port(first->front().get()) == where);
    CHECK((fcntl(first->front().get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK(passed.idle().empty());
    const auto second = listen_tcp("127.0.0.1", port, HostNames::refuse, {&passed, "another"});
    REQUIRE_FALSE(second);
    CHECK(second.error().what.find("a line listens there") != std::string::npos);
    passed.take_back("another");
    CHECK(passed.idle().empty());
    passed.take_back("a line");
    first->clear();
    CHECK(listen_tcp("127.0.0.1", port, HostNames::refuse, {&passed, "another"}));
    // Port 0 asks for a new one, and other addresses are others.
    CHECK(listen_tcp("127.0.0.1", 0, HostNames::refuse, {&passed, "third"}));
    CHECK(listen_tcp("127.0.0.2", port, HostNames::refuse, {&passed, "fourth"}));
}

TEST_CASE("passed sockets: a vsock socket is found by its CID and port") {
    Fd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address;
    const socklen_t size = vsock_address(any, VMADDR_PORT_ANY, address);
    if (!socket || bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        listen(socket.get(), 5) != 0) {
        MESSAGE("not tried: this kernel has no vsock");
        return;
    }
    const std::string where = bound_cid_port(socket.get());
    const auto port = static_cast<std::uint32_t>(std::stoul(where.substr(where.rfind(':') + 1)));
    PassedSockets passed;
    keep(passed, std::move(socket));
    CHECK(passed.idle() == std::vector<std::string>{"vsock:any:" + std::to_string(port)});
    CHECK(listen_vsock(any, port + 1, {&passed, "another port"}));
    CHECK(passed.idle().size() == 1);
    const auto sockets = listen_vsock(any, port, {&passed, "a line"});
    REQUIRE(sockets);
    CHECK(bound_cid_port(sockets->front().get()) == where);
    CHECK(passed.idle().empty());
}

TEST_CASE("passed sockets: a Unix socket is found by any path to its file, and its file stays") {
    char folder[] = "/tmp/ekeyd-unit-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::string path = std::string(folder) + "/sock", link = std::string(folder) + "/link";
    {
        Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto address = at(path);
        REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(listen(socket.get(), 5) == 0);
        REQUIRE(symlink(path.c_str(), link.c_str()) == 0);
        REQUIRE(chmod(path.c_str(), 0660) == 0);
        PassedSockets passed;
        keep(passed, std::move(socket));
        CHECK(passed.idle() == std::vector<std::string>{"unix:" + path});
        UnixListener::Options options;
        options.path = link;
        options.passed = {&passed, "x"};
        const auto refused = UnixListener::open(options); // 0600 when nothing is said
        REQUIRE_FALSE(refused);
        CHECK(refused.error().what.find("SocketMode=0600") != std::string::npos);
        passed.take_back("x");
        options.mode = 0660;
        CHECK(UnixListener::open(options));
    }
    struct stat about {};
    CHECK(lstat(path.c_str(), &about) == 0);
    unlink(path.c_str());
    unlink(link.c_str());
    rmdir(folder);
}
