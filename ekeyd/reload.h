// The configuration is read again: on SIGHUP, and when ekeydctl asks for it.
#pragma once

#include <string>

#include "ekeyd/config/settings.h"
#include "ekeyd/pipeline.h"
#include "ekeyd/runtime/loop.h"

namespace ekey {

class Reloader {
  public:
    // A SIGHUP that was held is taken at once. The command line, and the folder that a relative --config in
    // it is for. Loop and pipeline must outlive this.
    struct CommandLine {
        int argc;
        const char* const* argv;
        std::string folder;
    };
    Reloader(Loop& loop, Pipeline& pipeline, const config::Settings& started, CommandLine command_line);
    Reloader(const Reloader&) = delete;
    Reloader& operator=(const Reloader&) = delete;
    ~Reloader();

    // All is checked before anything changes. The text names the options that have other values now and need
    // a restart, and what else stays as it was; it is empty when there is nothing of that. Errors name the
    // file and the line.
    Result<std::string> reload();

  private:
    void on_hangup(int signal);
    Result<std::string> change();

    Pipeline& pipeline_;
    const config::Settings started_;
    config::Settings current_;
    CommandLine command_line_;
    SignalWatcher hangup_;
};

// Whether bytes are to be credited to the kernel, for which CAP_SYS_ADMIN is kept.
bool feeds_kernel(const config::Settings& settings);

} // namespace ekey
