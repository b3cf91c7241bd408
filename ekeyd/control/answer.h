// Answers of the EKEYD/1 protocol: lines "*<TAB>...", then "OK", "OK text" or "ERROR text".
// What comes from outside cannot forge a line or a column: control bytes in it are written \xNN.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey::control {

inline constexpr std::string_view greeting = "PROTOCOL EKEYD/1\n";

class Answer {
  public:
    void row(std::initializer_list<std::string_view> columns);
    void columns(std::string_view line); // one row whose columns are separated by tabs already
    void base64(ByteView bytes);         // rows of at most 76 characters (RFC 2045 6.8), each whole in itself
    void ok(std::string_view text = {});
    void error(std::string_view text);

    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

} // namespace ekey::control
