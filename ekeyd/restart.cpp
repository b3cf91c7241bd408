#include "ekeyd/restart.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ekeyd/runtime/descriptor_store.h"
#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

// Short, because all are in one variable of the next process's environment (KeptState::most_clients).
constexpr std::string_view client_name = "egd", state_name = "egd-state";
// A manager that reads takes milliseconds. One that does not is not to hold the end of the daemon up.
constexpr auto patience = std::chrono::seconds(3);
// What the next process must find, so that nobody has written to the file since.
constexpr int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Fd sealed_file(std::string_view text) {
    Fd file(memfd_create("ekeyd-clients", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const bool written = file &&
                         ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         fcntl(file.get(), F_ADD_SEALS, seals) == 0;
    return written ? std::move(file) : Fd();
}

Result<KeptState> read_state(int file) {
    struct stat about {};
    const int found = fcntl(file, F_GET_SEALS);
    if (found < 0 || (found & seals) != seals || fstat(file, &about) != 0) {
        return fail("it is no sealed file");
    }
    std::string text(static_cast<std::size_t>(std::min<off_t>(about.st_size, KeptState::longest_text + 1)),
                     '\0');
    const ssize_t got = pread(file, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return KeptState::parse(text);
}

// Local clients first, since QEMU is one.
void choose(std::vector<KeptListener>& listeners, std::size_t room) {
    std::stable_partition(listeners.begin(), listeners.end(),
                          [](const KeptListener& listener) { return listener.where.starts_with("unix:"); });
    for (KeptListener& listener : listeners) {
        const std::size_t all = listener.clients.size();
        listener.clients.resize(std::min(all, room));
        listener.closed += all - listener.clients.size();
        room -= listener.clients.size();
    }
}

} // namespace

void hand_clients_over(Pipeline& pipeline) {
    const std::size_t room = DescriptorStore::room();
    if (room < 2) {
        return;
    }
    std::vector<KeptListener> listeners = pipeline.let_clients_go();
    choose(listeners, std::min(room - 1, KeptState::most_clients));
    std::vector<int> sockets;
    std::uint64_t closed = 0;
    for (const KeptListener& listener : listeners) {
        closed += listener.closed;
        for (const KeptClient& client : listener.clients) {
            sockets.push_back(client.socket.get());
        }
    }
    if (sockets.empty()) {
        return;
    }
    DescriptorStore store(patience);
    for (const std::string_view name : {state_name, client_name}) { // of an ekeyd that could not
        static_cast<void>(store.remove(name));
    }
    const Fd state = sealed_file(KeptState::encode(listeners));
    const int file[] = {state.get()};
    const std::size_t kept = state && store.put(state_name, file) == 1 ? store.put(client_name, sockets) : 0;
    log::notice("clients are kept for the next start",
                {{"clients", kept}, {"closed", closed + sockets.size() - kept}});
}

namespace {

// What may stand in a message to the manager.
bool printable(const std::string& name) {
    constexpr std::size_t longest = 255; // sd_notify(3)
    return name.size() <= longest &&
           std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Until the manager has dropped its own descriptors, none of these connections ends when we close it; and who
// is served from here on would be served the same once more by another process.
bool empty_store(const std::vector<PassedDescriptor>& descriptors) {
    std::set<std::string> names;
    for (const PassedDescriptor& one : descriptors) {
        names.insert(one.name);
    }
    DescriptorStore store(patience);
    return std::all_of(names.begin(), names.end(),
                       [&](const std::string& name) { return !printable(name) || store.remove(name); });
}

Result<KeptState> find_state(const std::vector<PassedDescriptor>& descriptors) {
    const PassedDescriptor* found = nullptr;
    for (const PassedDescriptor& one : descriptors) {
        if (one.name == state_name) {
            if (found != nullptr) {
                return fail("there are two lists of clients");
            }
            found = &one;
        }
    }
    return found != nullptr ? read_state(found->fd.get()) : fail("there is no list of clients");
}

Result<void> take_one(Pipeline& pipeline, KeptState& state, Fd socket) {
    const auto known = state.take(socket_cookie(socket.get()));
    if (!known) {
        return fail("they are not in the list of clients");
    }
    const int flags = fcntl(socket.get(), F_GETFL);
    if (flags < 0 || fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return fail(std::strerror(errno));
    }
    return pipeline.take_client_over(state.listeners()[known->listener], {std::move(socket), known->owed});
}

} // namespace

void take_clients_over(Pipeline& pipeline, std::vector<PassedDescriptor> descriptors) {
    if (descriptors.empty()) {
        return;
    }
    const bool emptied = empty_store(descriptors);
    auto state = find_state(descriptors);
    std::map<std::string, std::size_t> strange, closed; // by name, by reason
    std::size_t taken = 0;
    for (PassedDescriptor& one : descriptors) {
        if (one.name == state_name) {
            continue;
        }
        if (one.name != client_name) {
            ++strange[one.name];
            continue;
        }
        Result<void> done;
        if (!emptied) {
            shutdown(one.fd.get(), SHUT_RDWR); // the manager has it, too
            done = fail("the service manager cannot be told that its store is to be emptied");
        } else if (!state) {
            done = tl::unexpected(state.error());
        } else {
            done = take_one(pipeline, *state, std::move(one.fd));
        }
        done ? ++taken : ++closed[done.error().what];
    }
    for (const auto& [name, number] : strange) {
        log::warning("what the service manager passed is closed: it is no stream socket that listens",
                     {{"name", name}, {"times", number}});
    }
    for (const auto& [reason, number] : closed) {
        log::warning("clients of the last ekeyd are closed", {{"clients", number}, {"reason", reason}});
    }
    if (taken > 0) {
        log::notice("clients of the last ekeyd are served on", {{"clients", taken}});
    }
}

} // namespace ekey
