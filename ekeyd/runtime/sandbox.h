// Once all is open, a program gives up what it needs no more, so that whoever takes it over by a bug gets
// little: new privileges, files outside of some folders (Landlock), and system calls it does not make
// (seccomp).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace ekey {

// no: nothing is given up. yes: what is refused fails with an error. strict: a refused system call ends the
// process with SIGSYS and its number on standard error; for tests, so that a call that was forgotten is
// found.
enum class Sandbox { no, yes, strict };

// "no", "yes" or "strict"; anything else is our own bug.
Sandbox parse_sandbox(std::string_view word);

// What may still be done with the files of a folder, and of those beneath it. Rules are for folders where
// files come, go or are replaced by renaming: one for a file would be for the file of today. What is not
// there gets no rule. A symbolic link's target counts, not the link. Unix sockets can be connected to
// wherever they are: Landlock knows no right for that.
enum class FileUse {
    read,    // read files, list folders
    devices, // and write, and make device requests (ioctl)
    sockets, // make and remove Unix sockets; remove a pid file
    outputs, // make, read, write, rename and remove files and FIFOs
};
struct FileRule {
    std::string path;
    FileUse use;
};
using FileRules = std::vector<FileRule>;

// What every program of ours needs: the system's own configuration and libraries, devices.
FileRules common_file_rules();

// The folder that holds a path: "/run" for "/run/x", "/" for "/x".
std::string holding_folder(const std::string& path);

struct Confinement {
    bool on = false;
    bool calls = false;    // system calls are filtered
    unsigned landlock = 0; // version of Landlock's interface, 0: files are as open as before
    std::string lacking;   // what could not be had, for the log; empty when nothing
};

// Both turn new privileges off (PR_SET_NO_NEW_PRIVS), for good. What this kernel or build does not have is
// told in `lacking`, and is an Error only with Sandbox::strict when it is the filter of system calls.
//
// For this thread and those it will start: call it before the first thread.
Result<void> confine_files(Confinement& confinement, Sandbox sandbox, const FileRules& rules);
// For all threads. The list: runtime/sandbox/make_filter.cpp.
Result<void> confine_calls(Confinement& confinement, Sandbox sandbox);

// One line: what is in force and what is lacking.
void log_confinement(const Confinement& confinement);

} // namespace ekey
