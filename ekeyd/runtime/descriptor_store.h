// The service manager's store of descriptors: what is put there comes back to the next process that the
// manager starts for this service, beside the sockets that it listens on (sd_notify(3), FDSTORE=1).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"

namespace ekey {

class DescriptorStore {
  public:
    // How many descriptors this service may have there: $FDSTORE, which systemd sets since version 254
    // (systemd.exec(5)); for older ones the unit sets it. 0 when nothing says so: a manager that is asked
    // without it having a store complains of each message.
    static std::size_t room();

    // `patience`: how long the manager may keep us waiting, in all.
    explicit DescriptorStore(Duration patience);

    // Puts descriptors there, which also stay ours, each with this name (printable, no colon, at most 255
    // bytes). Returns how many went; fewer when the manager does not take them in time.
    std::size_t put(std::string_view name, std::span<const int> descriptors);
    // Drops all of this name. False when the manager was not told.
    bool remove(std::string_view name);

  private:
    bool send(const std::string& message, std::span<const int> descriptors);

    Fd socket_; // none when there is no manager
    Time until_;
};

} // namespace ekey
