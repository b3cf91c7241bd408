// The commands of ekeydctl: one table.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/ctl/connection.h"

namespace ekey::ctl {

struct Job {
    std::vector<std::string> arguments;
    std::FILE *out, *err;
    bool json = false;
    Duration interval = std::chrono::seconds(2);
};

// What a command takes besides --socket.
enum class Option { none, json, interval };

struct Command {
    std::string_view name, arguments, help;
    std::size_t least, most;                      // arguments
    Result<void> (*run)(Connection&, const Job&); // null: `local` does it, without a daemon
    Result<void> (*prepare)(Job&) = nullptr;      // before connecting: what is wrong with the arguments
    Result<void> (*local)(const Job&) = nullptr;
    Option option = Option::none;
};

std::span<const Command> command_table();

} // namespace ekey::ctl
