#!/usr/bin/env python3
"""For every fault of the operating system: no bad byte, nobody lost but the guilty, and it recovers by itself.

Each test is one daemon that lives through several faults; each fault is a row of the table that fault_table.py makes.
"""
import contextlib
import errno
import fcntl
import os
import signal
import socket

from clients import ControlError
from daemons import Softkey
from fault_rig import Rig
from harness import check, check_contains, main, test, wait_until
from system_faults import DEVICE, FILE, HALF, SOCKET, SystemFaults


def size_of(path):
    return os.stat(path).st_size if os.path.exists(path) else 0


def sinks(rig):
    with rig.daemon.controller() as control:
        rows, _ = control.command("ListSinks")
    return "\n".join("\t".join(row) for row in rows)


@test("promise 8: system calls that are interrupted or do half of the work cost nothing and nobody")
def interrupted(run):
    faults = SystemFaults(run)
    rig = Rig(run, f"sink = file:{run.path('out')}", faults=faults)
    calls = ("read", "write", "send", "recv", "accept4", "epoll_wait", "poll")
    with rig.row("every other system call is interrupted (EINTR)", says="nothing") as row:
        for call in calls:
            faults.set(call, errno.EINTR, every=2)
        rig.reader.wait_more(100 * 64)
        rig.bystanders.ask_all()
        with rig.daemon.client() as client:
            client.level()
        for call in calls:
            faults.wait_done(call, 1)
            faults.clear(call)
        row.over()
    with rig.row("reads and writes do half of what was asked", says="nothing") as row:
        for call in ("read", "write", "send", "recv"):
            faults.set(call, HALF)
        rig.reader.wait_more(100 * 64)
        rig.bystanders.ask_all()
        for call in ("read", "write", "send", "recv"):
            faults.wait_done(call, 1)
            faults.clear(call)
        row.over()
    rig.finish("out")


@test("promise 8: the wall clock jumps: no timer waits longer, or less, for that")
def wall_clock(run):
    faults = SystemFaults(run)
    rig = Rig(run, f"sink = file:{run.path('out')}", "silence = 1", faults=faults)
    for words, seconds in (("forward by a year", 31536000), ("back by a year", -31536000)):
        with rig.row(f"the wall clock is set {words}", says="nothing") as row:
            was = size_of(run.path("out"))
            faults.wall_clock(seconds)
            # The sink rests by a timer after each of its blocks.
            row.over(lambda was=was: size_of(run.path("out")) > was + 5 * 64)
        rig.reader.wait_more(100 * 64)
        check("failure=silence" not in rig.daemon.program.output(), "the key was found silent because of the clock")
    rig.finish("out")


def chatter(rig, lines):
    """Makes the daemon log so many different lines."""
    with rig.daemon.controller() as control:
        for _ in range(lines // 2):
            _, words = control.command(f'AddEntropyKey("device:{rig.run.path("chatter")}")')
            control.command(f'RemoveEntropyKey("{words.removeprefix("ID ")}")')


@test("promise 8: a standard error that nobody reads holds up nothing; what was lost is counted when it is read again")
def unread_standard_error(run):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.mkfifo(run.path("chatter"))
    rig = Rig(run, preexec=lambda: os.dup2(writing, 2))
    with rig.row("standard error is a pipe that nobody reads", says="lines of the log were lost lost=N") as row:
        chatter(rig, 400)
        rig.reader.wait_more(10 * 64)
        text = os.read(reading, 65536)
        row.over()
    chatter(rig, 2)
    text += os.read(reading, 65536)
    check_contains(text.decode(), r"(?m)^ekeyd: lines of the log were lost.* lost=[1-9]\d+$", "standard error")
    rig.finish()


@test("promise 8: a system log that takes no more holds up nothing; what was lost is counted; a new one is found")
def full_system_log(run):
    faults = SystemFaults(run)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.settimeout(30)
    log.bind(run.path("log"))
    os.mkfifo(run.path("chatter"))
    # In the background, because only there it writes to the system's log.
    rig = Rig(run, env=faults.env(SYSTEM_FAULTS_LOG=run.path("log")), background=True)
    with rig.row("the system's log takes no more", says="lines of the log were lost lost=N") as row:
        chatter(rig, 2000)  # more than any queue of sockets holds
        rig.reader.wait_more(10 * 64)
        first = log.recv(4096).decode()
        log.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                log.recv(4096)
        log.settimeout(30)
        row.over()
    check_contains(first, r"^<\d+>\w{3} [ \d]\d \d\d:\d\d:\d\d ekeyd\[\d+\]: \S", "a line of the system's log")
    chatter(rig, 2)
    check_contains(log.recv(4096).decode(), r"lines of the log were lost.* lost=[1-9]\d+$", "after it was emptied")
    with rig.row("the system's log is started anew", says="nothing") as row:
        log.close()
        os.unlink(run.path("log"))
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.settimeout(30)
        log.bind(run.path("log"))
        chatter(rig, 2)
        check_contains(log.recv(4096).decode(), r"source", "the new log's first line")
        row.over()
    rig.finish()


@test("promise 8: memory that may not be locked, and threads that cannot be made, while it runs: an error for who asked")
def refusals(run):
    faults = SystemFaults(run)
    rig = Rig(run, "source = device:/dev/zero", faults=faults)  # fails its tests: nothing of it is ever served
    asked = {
        "add a key": f'AddEntropyKey("{run.path("other.pty")}")',
        "add a listener": f'AddListener("unix:{run.path("other.egd")}")',
        "add a sink": f'AddSink("file:{run.path("other")}")',
        "read the keyring": f'Keyring("{rig.key.keyring}")',
        "add a device": 'AddEntropyKey("device:/dev/full")',
    }
    other = Softkey(run, name="other", keyring=run.path("other-ring"))
    with rig.row("no memory can be locked (ENOMEM)", says="ERROR cannot lock N bytes of memory ...") as row:
        with faults.on("mlock", errno.ENOMEM), rig.daemon.controller() as control:
            for what, command in asked.items():
                refused = error_of(control, command)
                check_contains(refused, r"cannot lock \d+ bytes .*memlock", f"the answer to: {what}")
            rig.reader.wait_more(10 * 64)
        row.over()
    with rig.row("no thread can be made (EAGAIN)", says="ERROR ... its reader cannot be started: ...") as row:
        with faults.on("pthread_create", errno.EAGAIN), rig.daemon.controller() as control:
            refused = error_of(control, asked["add a device"])
            check_contains(refused, r"/dev/full: its reader cannot be started", "the answer")
            control.command('ResetEntropyKey("2")')
            check_contains(rig.daemon.key(2)["Status"], r"Closed", "the source that lost its thread")
            rig.reader.wait_more(10 * 64)
        row.over(lambda: rig.daemon.key(2)["Status"] != "Closed")
    with rig.daemon.controller() as control:
        for what in ("add a listener", "read the keyring"):
            control.command(asked[what])
    other.program.stop()
    rig.finish()


def error_of(control, command):
    try:
        control.command(command)
    except ControlError as error:
        return str(error)
    return "OK"


if __name__ == "__main__":
    main()
