// One connection to the control socket.
#pragma once

#include <list>
#include <memory>

#include "ekeyd/control/dialogue.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

namespace ekey::control {

class ControlServer;

class Client {
  public:
    using Place = std::list<std::unique_ptr<Client>>::iterator;

    Client(ControlServer& server, Fd socket);
    void begin(Place place); // greets; may remove itself, as each callback may

    Place place() const { return place_; }

  private:
    void on_ready(int events);
    void on_settle();
    bool receive(); // false when the connection is gone
    void go_on();
    bool send(); // false when the connection is gone

    ControlServer& server_;
    Fd socket_;
    Place place_{};
    Dialogue dialogue_;
    IoWatcher ready_;
    Timer settle_;
};

} // namespace ekey::control
