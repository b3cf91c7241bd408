#include "egd-push/resolver.h"

#include <csignal>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

#include <netdb.h>

namespace ekey {

namespace {

Result<SocketAddresses> look_up(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error != 0) {
        return fail("the name " + host + " is not known: " + gai_strerror(error));
    }
    SocketAddresses addresses;
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
        SocketAddress address;
        std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
        address.size = a->ai_addrlen;
        addresses.push_back(address);
    }
    freeaddrinfo(found);
    return addresses;
}

} // namespace

// Shared by the resolver and its thread; whoever is last deletes it.
struct Resolver::Job {
    std::mutex mutex;
    AsyncWatcher* waker; // null when the resolver is gone
    bool done = false;
    Result<SocketAddresses> result = fail("");
};

Resolver::Resolver(Loop& loop, ResolverOwner& owner) : owner_(owner), wake_(loop) {
    wake_.bind<&Resolver::on_answer>(this);
    wake_.start();
}

Resolver::~Resolver() {
    if (job_) {
        const std::lock_guard lock(job_->mutex);
        job_->waker = nullptr;
    }
}

void Resolver::start(const std::string& host, std::uint16_t port) {
    wanted_ = true;
    if (auto numbers = look_up(host, port, AI_NUMERICHOST)) {
        wanted_ = false;
        owner_.on_resolved(std::move(numbers));
        return;
    }
    if (job_) {
        return;
    }
    job_ = std::make_shared<Job>();
    job_->waker = &wake_;
    // Signals are for the loop's thread: the new one inherits a mask that blocks them all.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread([job = job_, host, port] {
            auto result = look_up(host, port, 0);
            const std::lock_guard lock(job->mutex);
            job->result = std::move(result);
            job->done = true;
            if (job->waker != nullptr) {
                job->waker->send();
            }
        }).detach();
    } catch (const std::system_error& error) {
        job_->result = fail(std::string("cannot start a thread for a look-up: ") + error.what());
        job_->done = true;
        wake_.send();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Resolver::on_answer() {
    const std::shared_ptr<Job> job = std::move(job_);
    job_.reset();
    if (!job) {
        return;
    }
    const std::lock_guard lock(job->mutex);
    if (wanted_) {
        wanted_ = false;
        owner_.on_resolved(std::move(job->result));
    }
}

} // namespace ekey
