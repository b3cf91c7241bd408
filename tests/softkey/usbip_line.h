// Software dongles on USB: a USB/IP server whose devices are lines.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/softkey/line.h"
#include "tests/softkey/usbip_session.h"

namespace ekey::softkey {

class UsbipLine;

class UsbipServer final : UsbipPorts {
  public:
    explicit UsbipServer(Loop& loop); // listens nowhere
    // Listens on HOST:PORT; port 0 lets the kernel choose. Errors name the option.
    static Result<std::unique_ptr<UsbipServer>> open(Loop& loop, const std::string& host_port);
    ~UsbipServer();

    // One more device: busid 1-1, 1-2 and so on, with this serial number, or none. The server must outlive
    // the line.
    std::unique_ptr<Line> add(const std::string& serial, const UsbPersonality& personality);
    // "127.0.0.1:3240/1-1" for the device that was added last.
    std::string path() const;

  private:
    friend UsbipLine;
    class Connection;

    std::vector<usbip::DeviceEntry> free_devices() override;
    UsbipPort* find(std::string_view busid) override;
    void on_connection(int);

    Loop& loop_;
    std::vector<Fd> listeners_;
    std::vector<std::unique_ptr<IoWatcher>> accepts_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<UsbipLine*> lines_; // null: gone
};

} // namespace ekey::softkey
