// Debian's rngtest (package rng-tools-debian), the FIPS 140-2 tests that others wrote.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"

namespace ekey::test {

// What rngtest says of the samples. It takes the first 32 bits for its continuous test alone, and then
// blocks. Throws std::runtime_error when it cannot be run or says nothing.
inline std::string rngtest(ByteView samples) {
    const Fd in(memfd_create("samples", MFD_CLOEXEC));
    while (!samples.empty()) {
        const ssize_t n = write(in.get(), samples.data(), samples.size());
        if (n <= 0) {
            throw std::runtime_error("the samples for rngtest cannot be written");
        }
        samples = samples.subspan(static_cast<std::size_t>(n));
    }
    lseek(in.get(), 0, SEEK_SET);
    const Fd out(memfd_create("verdict", MFD_CLOEXEC));

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.get(), STDERR_FILENO);
    char name[] = "rngtest";
    char* const argv[] = {name, nullptr};
    pid_t pid = 0;
    const int error = posix_spawnp(&pid, name, &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        throw std::runtime_error("rngtest (package rng-tools-debian) cannot be run");
    }
    int status = 0;
    waitpid(pid, &status, 0);

    std::string text(10000, '\0');
    const ssize_t size = pread(out.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    if (text.find("FIPS 140-2 failures: ") == std::string::npos) {
        throw std::runtime_error("rngtest said: " + text);
    }
    return text;
}

// The number after a label of its text.
inline double rngtest_number(const std::string& text, const char* label) {
    const std::size_t at = text.find(label);
    if (at == std::string::npos) {
        throw std::runtime_error(std::string("rngtest did not say ") + label);
    }
    return std::strtod(text.c_str() + at + std::strlen(label), nullptr);
}

} // namespace ekey::test
