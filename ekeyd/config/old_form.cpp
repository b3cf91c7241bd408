#include "ekeyd/config/old_form.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "ekeyd/config/address.h"
#include "ekeyd/config/call.h"
#include "ekeyd/config/unknown.h"

namespace ekey::config {

namespace {

using Arguments = std::vector<Argument>;

struct Pair {
    std::string name, value;
};
using Meaning = Result<std::vector<Pair>>;

std::string text(const Arguments& arguments, std::size_t index) {
    return index < arguments.size() ? arguments[index].text : std::string();
}

// ekeyd.conf(5) of 1.1.5 describes each of these.
Meaning unix_control(const Arguments& a) {
    return std::vector<Pair>{{"control", "unix:" + escaped(text(a, 0))}};
}
Meaning tcp_control(const Arguments& a) {
    return std::vector<Pair>{{"control", "tcp:127.0.0.1:" + escaped(text(a, 0))}};
}
Meaning keyring(const Arguments& a) {
    return std::vector<Pair>{{"keyring", text(a, 0)}};
}
Meaning daemonise(const Arguments& a) {
    // What is true to Lua: all but nil and false; the text "false" is.
    const bool yes = !a.empty() && a[0].type != Argument::Type::nil &&
                     !(a[0].type == Argument::Type::boolean && a[0].text == "false");
    return std::vector<Pair>{{"foreground", yes ? "no" : "yes"}};
}
Meaning to_kernel(const Arguments& a) {
    const auto bits = parse_number("bits per byte", a.empty() ? "7" : text(a, 0), 0, 8);
    if (!bits) {
        return fail(bits.error().what);
    }
    return std::vector<Pair>{{"sink", "kernel,credit=" + std::to_string(*bits)}};
}
Meaning to_file(const Arguments& a) {
    return std::vector<Pair>{{"sink", "file:" + escaped(text(a, 0))}};
}
Meaning egd_tcp(const Arguments& a) {
    std::string host = a.size() > 1 ? text(a, 1) : "127.0.0.1";
    if (host == "*") { // LuaSocket's word for all of IPv4's
        host = "0.0.0.0";
    }
    if (host.find(':') != std::string::npos) {
        host = '[' + host + ']';
    }
    return std::vector<Pair>{{"listen", "tcp:" + escaped(host) + ':' + escaped(text(a, 0))}};
}
Meaning egd_unix(const Arguments& a) {
    std::string address = "unix:" + escaped(text(a, 0));
    const char* const names[] = {"", ",mode=", ",user=", ",group="};
    for (std::size_t i = 1; i < std::min<std::size_t>(a.size(), 4); ++i) {
        address += text(a, i).empty() ? "" : names[i] + escaped(text(a, i)); // "" leaves it as it is
    }
    return std::vector<Pair>{{"listen", address}};
}
Meaning add_key(const Arguments& a) {
    const std::string serial = text(a, 1).empty() ? "" : ",serial=" + escaped(text(a, 1));
    return std::vector<Pair>{{"source", "entropykey:" + escaped(text(a, 0)) + serial}};
}
// 1.1.5 took what the folder held and left later keys to a program of udev's.
Meaning add_keys(const Arguments& a) {
    std::string folder = text(a, 0);
    if (!folder.ends_with('/')) {
        folder += '/';
    }
    return std::vector<Pair>{{"source", "entropykey:" + escaped(folder)}};
}

struct OldCall {
    std::string_view name;
    std::size_t least, most; // arguments
    Meaning (*meaning)(const Arguments&);
};
constexpr OldCall calls[] = {
    {"UnixControlSocket", 1, 1, unix_control},
    {"TCPControlSocket", 1, 1, tcp_control},
    {"Keyring", 1, 1, keyring},
    {"Daemonise", 0, 1, daemonise},
    {"SetOutputToKernel", 0, 1, to_kernel},
    {"SetOutputToFile", 1, 1, to_file},
    {"EGDTCPSocket", 1, 2, egd_tcp},
    {"EGDUnixSocket", 1, 4, egd_unix},
    {"AddEntropyKey", 1, 2, add_key},
    {"AddEntropyKeys", 1, 1, add_keys},
};

const OldCall* find_call(std::string_view name) {
    const auto found =
        std::find_if(std::begin(calls), std::end(calls), [&](const OldCall& c) { return c.name == name; });
    return found == std::end(calls) ? nullptr : found;
}

std::string unknown(const Call& call) {
    std::vector<std::string_view> names;
    for (const OldCall& known : calls) {
        names.push_back(known.name);
    }
    const std::string_view near = nearest(call.name, names);
    if (!near.empty()) {
        return "ekeyd 1.1.5 has no " + call.name + ": did you mean " + std::string(near) + "?";
    }
    // A word that nothing follows is shown to nobody: it may be of a keyring or a key.
    return (call.arguments.empty() ? "this is no call of ekeyd 1.1.5" : "ekeyd 1.1.5 has no " + call.name) +
           ": of its files ekeyd 2 reads the calls, and nothing else of Lua; lines NAME = VALUE belong into "
           "a file of their own";
}

// 1.1.5 let each Keyring and Daemonise take the place of the one before; the rest adds up.
void keep_last(std::vector<Given>& all, std::string_view name) {
    bool seen = false;
    for (std::size_t i = all.size(); i-- > 0;) {
        if (all[i].name == name && std::exchange(seen, true)) {
            all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
}

} // namespace

bool is_old_form(std::string_view file) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto skip_to = [&](std::size_t place) { file.remove_prefix(std::min(place, file.size())); };
    for (skip_to(file.find_first_not_of(blanks)); file.starts_with('#');) {
        skip_to(file.find('\n'));
        skip_to(file.find_first_not_of(blanks));
    }
    const auto is_part = [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; };
    const auto end = std::find_if_not(file.begin(), file.end(), is_part);
    const std::string_view name = file.substr(0, static_cast<std::size_t>(end - file.begin()));
    if (name.empty()) {
        return file.starts_with("--") && !begins_pem(file);
    }
    // Any name: one that is misspelt is still told by what follows it, maybe on the next line.
    skip_to(name.size());
    skip_to(file.find_first_not_of(blanks));
    return find_call(name) != nullptr
               ? !file.starts_with('=')
               : !file.empty() && std::string_view("(\"'[").find(file.front()) != std::string_view::npos;
}

Result<std::vector<Given>> parse_old_form(std::string_view file, const std::string& name) {
    std::vector<Given> all;
    CallReader reader(file);
    reader.skip_first_comment();
    for (;;) {
        const auto call = reader.next();
        if (!call) {
            return fail(name + ':' + std::to_string(reader.line()) + ": in the form of ekeyd 1.1.5: " +
                        call.error().what + " (ekeyd 2 reads its calls, not Lua)");
        }
        if (!*call) {
            keep_last(all, "keyring");
            keep_last(all, "foreground");
            return all;
        }
        const std::string where = name + ':' + std::to_string((*call)->line);
        const OldCall* known = find_call((*call)->name);
        if (known == nullptr) {
            return fail(where + ": " + unknown(**call));
        }
        const Arguments& arguments = (*call)->arguments;
        if (arguments.size() < known->least || arguments.size() > known->most) {
            return fail(where + ": " + (*call)->name + " takes " + std::to_string(known->least) +
                        (known->most == known->least ? "" : " to " + std::to_string(known->most)) +
                        (known->most == 1 ? " argument" : " arguments"));
        }
        auto meaning = known->meaning(arguments);
        if (!meaning) {
            return fail(where + ": " + (*call)->name + ": " + meaning.error().what);
        }
        for (Pair& pair : *meaning) {
            if (auto checked = check_value(pair.name, pair.value); !checked) {
                return fail(where + ": " + checked.error().what);
            }
            all.push_back({std::move(pair.name), std::move(pair.value), where});
        }
    }
}

} // namespace ekey::config
