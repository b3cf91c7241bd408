#!/usr/bin/python3
"""The table of faults, made of the rows that the tests of faults.py and system_fault_rows.py have left in the build
folder (fault_rig.py: record).

    EKEYD_BUILD=build tests/system/fault_table.py            runs those tests, and prints the table
    EKEYD_BUILD=build tests/system/fault_table.py --update   puts it into tests/README.md, too
    fault_table.py --check                                   for meson, after those tests: every fault has its row, no
                                                             bad byte, nobody lost; writes fault-table.md
"""
import json
import os
import subprocess
import sys

from fault_rig import folder
from harness import Failure, build_folder, check, check_equal, source_folder

# In the order of the table.
FAULTS = (
    "dongle: bad-mac", "dongle: replay", "dongle: garbage", "dongle: garbage=4096", "dongle: short", "dongle: drop",
    "dongle: stuck", "dongle: stuck-block", "dongle: biased", "dongle: stuck for 200 packets, then good again",
    "dongle: generators-failed", "dongle: temperature", "dongle: silent for four seconds",
    "dongle: pulled out and back (pty)", "dongle: pulled out and back (unix)",
    "dongle: two requests for a session key unanswered",
    "the dongle's process is stopped (SIGSTOP)", "the daemon is stopped for three seconds (SIGSTOP)",
    "every other system call is interrupted (EINTR)", "reads and writes do half of what was asked",
    "the wall clock is set forward by a year", "the wall clock is set back by a year",
    "no memory can be locked (ENOMEM)", "no thread can be made (EAGAIN)",
    "no descriptors left to the daemon (EMFILE)", "no descriptors left to the system (ENFILE)",
    "no memory for a connection (ENOMEM)", "connections break before they are accepted (ECONNABORTED)",
    "no more sockets can be watched (fs.epoll.max_user_watches)", "no memory for what is sent (ENOBUFS)",
    "the disk of a file sink is full (ENOSPC)", "the disk of a file sink fails (EIO)",
    "/dev/random fails (EIO)",
    "standard error is a pipe that nobody reads", "the system's log takes no more", "the system's log is started anew",
    "a control client asks on and never reads", "an EGD client asks on and never reads",
    "EGD and control clients send garbage",
    "at the start: little memory may be locked (RLIMIT_MEMLOCK)",
    "at the start: the pid file's file system is read-only (EROFS)",
    "at the start: a socket's file system is read-only (EROFS)",
    "at the start: no process for the background (EAGAIN)",
)
BEGIN, END = "<!-- table of faults: fault_table.py --update -->\n", "<!-- end of the table -->\n"


def rows():
    found = {}
    for name in os.listdir(folder()) if os.path.isdir(folder()) else []:
        with open(os.path.join(folder(), name), encoding="utf-8") as file:
            row = json.load(file)
        found[row["fault"]] = row
    return found


def span(recovery):
    if isinstance(recovery, str):
        return recovery
    return f"{recovery:.1f} s" if recovery >= 0.95 else f"{recovery * 1000:.0f} ms"


def table(found):
    lines = ["| fault | bad bytes | clients lost | what the daemon says | recovered after |", "|---|---|---|---|---|"]
    lines += [f"| {r['fault']} | {r['bad']} | {r['lost']} | {r['says']} | {span(r['recovery'])} |"
              for r in (found[fault] for fault in FAULTS if fault in found)]
    return "\n".join(lines) + "\n"


def judge(found):
    check_equal([fault for fault in FAULTS if fault not in found], [], "faults without a row (their test has not run)")
    check_equal([fault for fault in FAULTS if found[fault]["bad"] or found[fault]["lost"]], [],
                "rows with bad bytes or lost clients")


def run_tests():
    here = os.path.dirname(os.path.abspath(__file__))
    for file in ("faults.py", "system_fault_rows.py"):
        check(subprocess.run([sys.executable, "-B", os.path.join(here, file)], check=False).returncode == 0,
              f"{file} has failed")


def update(text):
    path = os.path.join(source_folder(), "tests", "README.md")
    with open(path, encoding="utf-8") as file:
        readme = file.read()
    before, _, rest = readme.partition(BEGIN)
    check(rest, f"{path} has no line {BEGIN.strip()}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + text + END + rest.partition(END)[2])


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        return
    if "--check" not in arguments:
        run_tests()
    found = rows()
    text = table(found)
    print(text)
    with open(os.path.join(build_folder(), "fault-table.md"), "w", encoding="utf-8") as file:
        file.write(text)
    judge(found)
    if "--update" in arguments:
        update(text)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
