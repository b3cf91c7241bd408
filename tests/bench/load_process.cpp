#include "load.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <sys/prctl.h>
#include <sys/wait.h>

#include "servers.h"

namespace ekey::bench {

namespace {

std::pair<Fd, Fd> make_pipe() { // to read, to write
    int ends[2];
    if (pipe(ends) != 0) {
        throw std::runtime_error("no pipe");
    }
    return {Fd(ends[0]), Fd(ends[1])};
}

[[noreturn]] void serve(const std::function<LoadProcess::Work()>& prepare, const Fd& commands,
                        const Fd& answers) {
    try {
        const LoadProcess::Work work = prepare();
        const Round none;
        bool told = write(answers.get(), &none, sizeof none) == sizeof none;
        for (Duration length{}; told && read(commands.get(), &length, sizeof length) == sizeof length;) {
            const Round round = work(length);
            told = write(answers.get(), &round, sizeof round) == sizeof round;
        }
        std::_Exit(0);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "load: %s\n", error.what());
        std::_Exit(1);
    }
}

} // namespace

LoadProcess::LoadProcess(const std::function<Work()>& prepare) {
    auto [commands_in, commands_out] = make_pipe();
    auto [answers_in, answers_out] = make_pipe();
    process_ = fork();
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin_to_core(1);
        serve(prepare, commands_in, answers_out);
    }
    commands_ = std::move(commands_out);
    answers_ = std::move(answers_in);
    answers_out = Fd(); // so that its end is seen
    Round none;
    await(&none, sizeof none);
}

LoadProcess::~LoadProcess() {
    if (process_ > 0) {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
}

void LoadProcess::await(void* answer, std::size_t size) {
    if (read(answers_.get(), answer, size) != static_cast<ssize_t>(size)) {
        throw std::runtime_error("the load ended");
    }
}

Round LoadProcess::run(Duration duration) {
    Round round;
    if (write(commands_.get(), &duration, sizeof duration) != sizeof duration) {
        throw std::runtime_error("the load ended");
    }
    await(&round, sizeof round);
    return round;
}

} // namespace ekey::bench
