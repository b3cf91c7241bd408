// The control socket: accepts clients and carries their dialogues.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "ekeyd/config/address.h"
#include "ekeyd/control/subject.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/unix_socket.h"

namespace ekey::control {

class Client;

class ControlServer {
  public:
    // Clients at once. Each command is short; above this, the client that was idle for longest gives way, so
    // that forgotten connections never lock an administrator out.
    static constexpr std::size_t most_clients = 64;

    // unix:/path[,mode=0600][,user=NAME][,group=NAME], or tcp:HOST:PORT of this host's loopback, as
    // TCPControlSocket of 1.1.5 (it has no authentication, so other addresses are refused). Subject and loop
    // must outlive the server. A socket that was passed is lent to "control ADDRESS".
    static Result<std::unique_ptr<ControlServer>>
    open(Loop& loop, Subject& subject, const config::Address& address, PassedSockets* passed = nullptr);

    // Listens nowhere: serves what is adopted.
    ControlServer(Loop& loop, Subject& subject);
    ~ControlServer(); // closes its clients and removes its Unix socket
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    void adopt(Fd connection); // a connected stream socket
    std::size_t clients() const { return clients_.size(); }
    const std::string& address() const { return address_; } // as it was given; empty when it listens nowhere

  private:
    friend class Client;
    void on_acceptable(int events);
    void pause(int error); // nobody is accepted for a while
    void resume();
    void remove(Client& client);
    void touch(Client& client); // it did something
    int listening_fd() const { return unix_ ? unix_->fd() : tcp_.get(); }

    Loop& loop_;
    Subject& subject_;
    std::string address_;
    std::optional<UnixListener> unix_;
    Fd tcp_;
    IoWatcher acceptable_;
    Timer pause_timer_;
    bool said_paused_ = false;                   // since one was accepted
    std::list<std::unique_ptr<Client>> clients_; // the one idle for longest first
};

} // namespace ekey::control
