// One client's talk on the control socket, without the socket: bytes in, bytes out.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ekeyd/control/commands.h"

namespace ekey::control {

// The longest line: a call with an address of 4,096 characters (config/address.h), each of them escaped.
inline constexpr std::size_t longest_line = 8192 + 256;
// A client that does not read stops being listened to above this, and a capture above this ends: as much as a
// Unix socket holds for it besides (net.core.wmem_default, 212,992), and seconds of the fastest dongle.
inline constexpr std::size_t most_output = 262144;

class Dialogue final : private CaptureReceiver {
  public:
    // `on_settle` is called when captured bytes have come, from the middle of the subject's work: settle()
    // and a look at output() are then due as soon as that is over.
    Dialogue(Subject& subject, std::function<void()> on_settle);
    ~Dialogue(); // ends its capture
    Dialogue(const Dialogue&) = delete;
    Dialogue& operator=(const Dialogue&) = delete;

    void receive(std::string_view bytes); // any piece of the client's lines; what is complete is executed
    void receive_end();                   // the client sends no more: a last line without an end counts
    void consumed(std::size_t bytes);     // of output(), now sent; lines that waited for it are executed
    void settle();

    std::string_view output() const { return std::string_view(out_).substr(sent_); }
    bool wants_input() const; // false while lines wait for output to be read, and after the end
    bool capturing() const { return capture_ != Capture::none; }
    bool finished() const { return closing_ && output().empty(); } // nothing more will come: close

  private:
    enum class Capture { none, running, overflowed };

    void on_captured(ByteView raw) override;
    void on_capture_ended(std::string why) override;
    void work();
    std::size_t line_end() const;
    bool take_line(std::string& line);
    void execute_line(std::string_view line);
    void begin_capture(const Outcome& outcome);
    void end_capture();

    Subject& subject_;
    std::function<void()> on_settle_;
    std::string in_, out_;
    std::size_t sent_ = 0;  // of out_
    bool skipping_ = false; // the rest of a line that was too long
    bool ended_ = false;    // the client sends no more
    bool closing_ = false;  // nothing more is executed
    Capture capture_ = Capture::none;
    std::uint64_t remaining_ = 0; // bytes of the capture
};

} // namespace ekey::control
