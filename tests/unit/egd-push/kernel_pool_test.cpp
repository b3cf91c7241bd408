#include "egd-push/kernel_pool.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/wait.h>

#include "tests/support/fake_kernel_pool.h"

using namespace ekey;

namespace {

// A kernel that answers ioctl() as told.
struct Kernel {
    static inline int add_error = 0, reseed_error = 0;
    static inline int bits = -1, size = -1, reseeds = 0;
    static inline std::vector<Byte> bytes;

    static int control(int, unsigned long request, void* argument) {
        if (request == RNDADDENTROPY) {
            int header[2];
            std::memcpy(header, argument, sizeof header);
            bits = header[0];
            size = header[1];
            const Byte* data = static_cast<Byte*>(argument) + sizeof header;
            bytes.assign(data, data + size);
            errno = add_error;
            return add_error == 0 ? 0 : -1;
        }
        ++reseeds;
        errno = reseed_error;
        return reseed_error == 0 ? 0 : -1;
    }
    static void reset() {
        add_error = reseed_error = reseeds = 0;
        bits = size = -1;
        bytes.clear();
    }
};

struct Fixture {
    Fixture() {
        Kernel::reset();
        REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
        reader = Fd(ends[0]);
        pool = std::make_unique<LinuxKernelPool>(Fd(ends[1]), Kernel::control, "/nonexistent/");
    }
    std::vector<Byte> written() {
        std::vector<Byte> out(8192);
        const ssize_t got = ::read(reader.get(), out.data(), out.size());
        out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return out;
    }
    int ends[2];
    Fd reader;
    std::unique_ptr<LinuxKernelPool> pool;
};

const std::vector<Byte> sample(64, 0x5a);

} // namespace

TEST_CASE_FIXTURE(Fixture, "kernel pool: credit is what was asked for, and never more than 8 bits a byte") {
    CHECK(*pool->add(sample, 256) == KernelPool::Added::credited);
    CHECK(Kernel::bits == 256);
    CHECK(Kernel::size == 64);
    CHECK(Kernel::bytes == sample);
    CHECK(*pool->add(sample, 100000) == KernelPool::Added::credited);
    CHECK(Kernel::bits == 512);
    // As an int this would be negative, which the kernel refuses.
    CHECK(*pool->add(sample, 0xffffffffu) == KernelPool::Added::credited);
    CHECK(Kernel::bits == 512);
    CHECK(written().empty());
}

TEST_CASE_FIXTURE(Fixture, "kernel pool: without CAP_SYS_ADMIN the bytes are mixed without credit") {
    Kernel::add_error = EPERM;
    CHECK(*pool->add(sample, 256) == KernelPool::Added::mixed);
    CHECK(written() == sample);
}

TEST_CASE_FIXTURE(Fixture, "kernel pool: any other refusal of entropy is an error") {
    Kernel::add_error = EFAULT;
    const auto added = pool->add(sample, 256);
    REQUIRE(!added);
    CHECK(added.error().what.find("RNDADDENTROPY") != std::string::npos);
    CHECK(written().empty());
}

TEST_CASE_FIXTURE(Fixture, "kernel pool: a reseed that cannot be yet, or may not be, is no error") {
    for (const int error : {0, ENODATA, EPERM, EINVAL}) {
        Kernel::reseed_error = error;
        CHECK(pool->reseed());
    }
    Kernel::reseed_error = EIO;
    CHECK(!pool->reseed());
}

TEST_CASE_FIXTURE(Fixture, "kernel pool: a device that takes nothing is an error") {
    reader.reset();
    signal(SIGPIPE, SIG_IGN);
    CHECK(!pool->mix(sample));
}

TEST_CASE("kernel pool: only an old, large pool says when it needs bytes") {
    char folder[] = "/tmp/ekeyd-test-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::string proc = std::string(folder) + "/";
    const auto need_fd = [&](const char* size) {
        std::ofstream(proc + "poolsize") << size;
        return LinuxKernelPool(Fd(::open("/dev/null", O_WRONLY)), Kernel::control, proc).need_fd();
    };
    CHECK(need_fd("256\n") == -1);
    CHECK(need_fd("4096\n") >= 0);
    CHECK(need_fd("") == -1); // unknown: never wait for what may never come
    CHECK(need_fd("garbage\n") == -1);
    unlink((proc + "poolsize").c_str());
    rmdir(folder);
}

TEST_CASE("kernel pool: a push mixes its arrival in, then the bytes with credit, then reseeds") {
    FakeKernelPool::Story story;
    FakeKernelPool pool(story);
    CHECK(*push(pool, sample, 256) == 256);
    CHECK(story.calls == std::vector<std::string>{"mix 32", "add 64 256", "reseed"});
    CHECK(story.added == sample);

    story = {};
    CHECK(*push(pool, sample, 0) == 0);
    CHECK(story.calls == std::vector<std::string>{"mix 32", "mix 64", "reseed"});
    CHECK(std::equal(sample.begin(), sample.end(), story.mixed.begin() + 32));

    story = {};
    CHECK(*push(pool, sample, 100000) == 512);

    story = {};
    story.may_credit = false;
    CHECK(*push(pool, sample, 256) == 0);
    CHECK(story.calls.back() == "reseed");

    story.broken = true;
    CHECK(!push(pool, sample, 256));
}

TEST_CASE("kernel pool: two pushes carry different times of arrival") {
    FakeKernelPool::Story story;
    FakeKernelPool pool(story);
    REQUIRE(push(pool, sample, 8));
    const std::vector<Byte> first(story.mixed.begin(), story.mixed.begin() + 32);
    story.mixed.clear();
    REQUIRE(push(pool, sample, 8));
    CHECK(first != std::vector<Byte>(story.mixed.begin(), story.mixed.begin() + 32));
}

TEST_CASE("kernel pool: the running kernel takes a push, with credit or without") {
    auto pool = LinuxKernelPool::open();
    REQUIRE(pool);
    const auto size = (*pool)->pool_size();
    REQUIRE(size);
    CHECK((*size == 256 || *size == 4096));
    CHECK((*pool)->entropy_available().value_or(9999) <= *size);
    CHECK(push(**pool, sample, 0));
    CHECK(push(**pool, sample, 1));
    CHECK((*pool)->ready());
}

TEST_CASE("kernel pool: the running kernel takes a push from an ordinary user, without credit") {
    if (getuid() != 0) {
        return; // the case above was it
    }
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (setresuid(65534, 65534, 65534) != 0) {
            _exit(9);
        }
        auto pool = LinuxKernelPool::open();
        const auto credited = pool ? push(**pool, sample, 256) : Result<unsigned>(fail(""));
        _exit(!credited ? 1 : *credited != 0 ? 2 : 0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("kernel pool: a device that is not there is named") {
    const auto pool = LinuxKernelPool::open("/nonexistent/random");
    REQUIRE(!pool);
    CHECK(pool.error().what.find("/nonexistent/random") != std::string::npos);
}
