#include "ekeyd/rekey/daemon.h"

#include <filesystem>
#include <vector>

#include <sys/stat.h>

#include "ekeyd/config/call.h"

namespace ekey::rekey {

namespace {

// Rows of ListEntropyKeys: number, YES or NO, status, path, serial (absent while unknown).
constexpr std::size_t path_column = 3, serial_column = 4;

std::vector<std::string> split(const std::string& row) {
    std::vector<std::string> fields(1);
    for (const char c : row) {
        if (c == '\t') {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    return fields;
}

// By what they lead to: udev's link and the tty are the same device. A kind before a path is left out.
// (std::filesystem::equivalent() knows regular files and folders only.)
bool same_device(const std::string& listed, const std::string& device) {
    const auto slash = listed.find('/');
    struct stat one {
    }, other{};
    if (slash == std::string::npos || ::stat(listed.c_str() + slash, &one) != 0 ||
        ::stat(device.c_str(), &other) != 0) {
        return false;
    }
    return S_ISCHR(one.st_mode) && S_ISCHR(other.st_mode)
               ? one.st_rdev == other.st_rdev
               : one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

std::string call(std::string_view name, const std::string& argument) {
    return std::string(name) + '(' + config::quote_for_call(argument) + ')';
}

} // namespace

std::optional<Daemon> Daemon::find(const std::string& socket) {
    return ctl::Connection::open(socket) ? std::optional(Daemon(socket)) : std::nullopt;
}

Result<ctl::Connection::Answer> Daemon::ask(const std::string& command) const {
    auto connection = ctl::Connection::open(socket_);
    if (!connection) {
        return tl::unexpected(connection.error());
    }
    return connection->ask(command);
}

Result<void> Daemon::release(const std::optional<entropykey::Serial>& serial, const std::string& device) {
    const auto listed = ask("ListEntropyKeys");
    if (!listed) {
        return tl::unexpected(listed.error());
    }
    for (const std::string& row : listed->rows) {
        const auto fields = split(row);
        if (fields.size() <= path_column) {
            continue;
        }
        const bool ours =
            (serial && fields.size() > serial_column && fields[serial_column] == serial->base64()) ||
            same_device(fields[path_column], device);
        if (!ours) {
            continue;
        }
        path_ = as_configured(fields[0], fields[path_column]);
        if (auto removed = ask(call("RemoveEntropyKey", fields[0])); !removed) {
            path_.clear();
            return tl::unexpected(removed.error());
        }
        return {};
    }
    return {};
}

std::string Daemon::as_configured(const std::string& number, const std::string& path) const {
    constexpr std::string_view name = "Address=";
    const auto health = ask(call("Health", number)); // 1.1.5 answers with an error
    if (health) {
        for (const std::string& row : health->rows) {
            // A comma that is not the path's own begins parameters.
            if (row.starts_with(name) && path.find(',') == std::string::npos &&
                row.find(',') != std::string::npos) {
                return row.substr(name.size());
            }
        }
    }
    return path;
}

Result<void> Daemon::read_keyring(const std::string& keyring) const {
    std::error_code error;
    const auto path =
        std::filesystem::absolute(keyring, error).string(); // the daemon runs in the root folder
    const auto answer = ask(call("Keyring", path));
    if (!answer) {
        return tl::unexpected(answer.error());
    }
    return answer->ok == "-1" ? fail("it cannot read " + path) : Result<void>{}; // as ekeyd 1.1.5 says it
}

Result<void> Daemon::take_back() const {
    const auto added = ask(call("AddEntropyKey", path_));
    return added ? Result<void>{} : tl::unexpected(added.error());
}

} // namespace ekey::rekey
