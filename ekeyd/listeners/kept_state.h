// What goes with the sockets of kept clients: which is whose, and what each is owed. Text, which the ekeyd
// that reads it may be older or younger than the one that wrote it:
//
//     ekeyd clients 1
//     listener unix:/run/ekeyd/egd.sock     its address without parameters
//     4711 02ff                             its clients: socket cookie, what it is owed (Owed) in hex
//     4712 -                                nothing
//
// The cookie (SO_COOKIE) is the kernel's number of a socket, which no other socket has had since the host
// started. So nothing depends on the order in which descriptors come back, or on all of them coming back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ekeyd/listeners/kept_client.h"
#include "protocol/result.h"

namespace ekey {

struct KeptListener {
    std::string where; // KIND:REST
    std::vector<KeptClient> clients;
    std::uint64_t closed = 0; // clients that cannot be kept; not in the text
};

class KeptState {
  public:
    // More clients are not kept: 16,384 names of descriptors in one variable of the next process's
    // environment
    // ("egd:" each) are half of what the kernel takes as one string (MAX_ARG_STRLEN, execve(2)).
    static constexpr std::size_t most_clients = 16384;
    // The longest line is some 160 bytes.
    static constexpr std::size_t longest_text = 4 << 20;

    struct Client {
        std::size_t listener = 0; // its place in listeners()
        Owed owed;
    };

    // Clients whose sockets have no cookie are left out.
    static std::string encode(const std::vector<KeptListener>& listeners);
    // Refuses, with the line, what encode() does not write.
    static Result<KeptState> parse(std::string_view text);

    const std::vector<std::string>& listeners() const { return listeners_; }
    std::size_t size() const { return clients_.size(); } // clients that were not taken yet
    // Whose socket this is; each once.
    std::optional<Client> take(std::uint64_t cookie);

  private:
    Result<void> parse_line(std::string_view line);

    std::vector<std::string> listeners_;
    std::unordered_map<std::uint64_t, Client> clients_;
};

// The kernel's number of a socket; 0 when it is none.
std::uint64_t socket_cookie(int fd);

} // namespace ekey
