#!/usr/bin/python3
"""SIGHUP at every moment: while a daemon starts, while it runs, while it ends. reload.py has what ekeyd's reload changes."""
import errno
import os
import signal
import threading
import time

from daemons import answers
from egd_server import EgdServer
from harness import DEADLINE, check, check_contains, check_equal, main, test, wait_until
from manager import Manager
from system_faults import SystemFaults


def held():
    """For preexec: the program begins with a SIGHUP that waits, and that it has to let through; both outlast exec (signal(7))."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    os.kill(os.getpid(), signal.SIGHUP)


def hang_up_early(run, name, *arguments, **env):
    """Starts a program and sends it SIGHUP as soon as its main() has opened a file."""
    faults = SystemFaults(run)
    faults.set("open", errno.EIO, every=1 << 40)
    program = run.start(name, *arguments, env=faults.env(**env))
    deadline = time.monotonic() + DEADLINE
    while not faults.seen("open"):
        check(program.running() and time.monotonic() < deadline, f"{name} opens nothing")
    program.signal(signal.SIGHUP)
    return program


@test("SIGHUP while ekeyd starts: it neither ends nor is it lost, since the configuration may have changed after it was read")
def while_starting(run):
    control = f"unix:{run.path('control')}"
    config = run.write("ekeyd.conf", f"control = {control}\nkeyring = {run.write('keyring', '')}\n")
    program = run.start("ekeyd", "--config", config, "--foreground", preexec=held)
    program.wait_output(f"ready version=[^\n]*\n[^\n]*reloaded config={config}")
    program.stop()
    for _ in range(5):
        program = hang_up_early(run, "ekeyd", "--config", config, "--foreground")
        program.wait_output("reloaded")
        program.signal(signal.SIGTERM)
        check_equal(program.wait(), 0, "exit status")


@test("promise 8: SIGHUP while ekeyd ends, again and again: it ends cleanly, and leaves no file behind")
def while_ending(run):
    files = [run.path(name) for name in ("egd", "control", "pid")]
    config = run.write("ekeyd.conf", f"listen = unix:{files[0]}\ncontrol = unix:{files[1]}\npidfile = {files[2]}\nkeyring = {run.write('keyring', '')}\n")
    for _ in range(10):
        program = run.start("ekeyd", "--config", config, "--foreground")
        wait_until(lambda: answers("unix:" + files[0]), "it listens")
        flood = threading.Thread(target=hang_up, args=(program,))
        flood.start()
        program.wait_output("reloaded")
        program.signal(signal.SIGTERM)
        status = program.wait()
        flood.join()
        check_equal(status, 0, "exit status")
        check_equal([path for path in files if os.path.exists(path)], [], "files that are left")


def hang_up(program):
    while program.running():
        program.signal(signal.SIGHUP)
        time.sleep(0)  # the other thread's turn


@test("egd-push: SIGHUP has it read its file again: new servers are asked at once; what is wrong, or needs a restart, changes nothing and is told of")
def egd_push(run):
    old, new = EgdServer("unix:" + run.path("old")), EgdServer("unix:" + run.path("new"))
    manager = Manager(run)
    config = run.path("egd-push.conf")

    def write(*lines):
        run.write("egd-push.conf", "".join(line + "\n" for line in lines))

    to = f"to = file:{run.path('bytes')}"
    write(f"from = {old.address}", to, "interval = 3600")
    push = run.start("egd-push", "--config", config, env=manager.env())
    manager.hear("^READY=1\n")
    for lines, reason in (((f"from = {new.address}", to, "bites = 3"), rf"{config}:3: .*did you mean bytes"),
                          ((to,), "from"),
                          ((f"from = {new.address}", f"to = file:{run.path('other')}"), "needs a restart: to"),
                          ((f"from = {new.address}", to, "once = yes"), "needs a restart: once$")):
        write(*lines)
        manager.said.clear()
        push.signal(signal.SIGHUP)
        manager.hear("^READY=1\nSTATUS=not reloaded: .*" + reason)
        check_contains(manager.said[0], r"^RELOADING=1\nMONOTONIC_USEC=\d+$", "what the manager hears first")
    wait_until(lambda: push.output().count("not reloaded") == 4, "the refusals in the log")
    check_equal(new.requests(), 0, "requests of the new server")
    write(f"from = {new.address}", to, "interval = 3600", "bytes = 32")
    manager.said.clear()
    push.signal(signal.SIGHUP)
    manager.hear("^READY=1\nSTATUS=reloaded")
    new.wait_requests(1)
    wait_until(lambda: os.path.getsize(run.path("bytes")) == 32, "a push of the new server's")
    check_equal(old.requests(), 1, "requests of the old server")
    push.signal(signal.SIGTERM)
    check_equal(push.wait(), 0, "exit status")


@test("egd-push: SIGHUP while it starts, and before its first push: neither ends it nor makes it ready; with --once it ends it")
def egd_push_starts(run):
    silent = EgdServer("unix:" + run.path("silent"), "silent")
    manager = Manager(run)
    arguments = ("--from", silent.address, "--to", f"file:{run.path('bytes')}")
    push = run.start("egd-push", *arguments, env=manager.env(), preexec=held)
    push.wait_output("reloaded")
    push.stop()
    for _ in range(5):
        push = hang_up_early(run, "egd-push", *arguments, NOTIFY_SOCKET=manager.env()["NOTIFY_SOCKET"])
        push.wait_output("reloaded")
        push.stop()
    before = silent.requests()
    push = run.start("egd-push", *arguments, env=manager.env())
    silent.wait_requests(before + 1)
    manager.hear_all()
    check(not any("READY=1" in text or "RELOADING" in text for text in manager.said), f"it said too early: {manager.said}")
    silent.mode = "serve"
    push.signal(signal.SIGHUP)
    manager.hear("^READY=1\n")
    silent.mode = "silent"
    before = silent.requests()
    once = run.start("egd-push", *arguments, "--once")
    silent.wait_requests(before + 1)
    once.signal(signal.SIGHUP)
    check_equal(once.wait(), -signal.SIGHUP, "how --once ends")


if __name__ == "__main__":
    main()
