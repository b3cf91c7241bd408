// Guards the reader of calls (ekeyd/config/call.h), which the control socket and the configuration of
// ekeyd 1.1.5 share. Promise: reading ends; a call that is accepted and written again with quote_for_call()
// reads the same; any text survives quote_for_call() and stays on one line; one call of one line means the
// same to parse_call().
#include <string>

#include "ekeyd/config/call.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::config;

namespace {

bool same(const Call& a, const Call& b) {
    return a.name == b.name && std::equal(a.arguments.begin(), a.arguments.end(), b.arguments.begin(),
                                          b.arguments.end(), [](const Argument& x, const Argument& y) {
                                              return x.type == y.type && x.text == y.text;
                                          });
}

std::string written(const Call& call) {
    std::string text = call.name + '(';
    for (const Argument& argument : call.arguments) {
        if (&argument != &call.arguments.front())
            text += ", ";
        text += argument.type == Argument::Type::text  ? quote_for_call(argument.text)
                : argument.type == Argument::Type::nil ? "nil"
                                                       : argument.text;
    }
    return text + ')';
}

void check_reading(std::string_view text) {
    CallReader reader(text);
    const auto lines = static_cast<unsigned>(std::count(text.begin(), text.end(), '\n')) + 1;
    for (std::size_t calls = 0;; ++calls) {
        must(calls <= text.size(), "reading ends");
        const auto call = reader.next();
        must(reader.line() >= 1 && reader.line() <= lines, "a line number is one of the text's");
        if (!call) {
            must(!call.error().what.empty() && call.error().what.size() < text.size() + 200,
                 "a refusal says why, and is no longer than it must be");
            return;
        }
        if (!*call)
            return;
        must(!(*call)->name.empty() && (*call)->arguments.size() <= most_arguments, "a call has its bounds");
        const auto again = parse_call(written(**call));
        must(again && *again && same(**again, **call), "a call that is written again reads the same");
    }
}

void check_quoting(std::string_view text) {
    const std::string quoted = quote_for_call(text);
    must(quoted.find('\n') == std::string::npos, "a quoted text stays on one line");
    const auto call = parse_call("F" + quoted);
    must(call && *call && (*call)->arguments.size() == 1 && (*call)->arguments[0].text == text,
         "any text survives quoting");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    check_reading(text);
    check_quoting(text);
    return 0;
}
