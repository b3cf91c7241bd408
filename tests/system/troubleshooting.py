#!/usr/bin/python3
"""contrib/doc/troubleshooting.md: what it quotes and no other test provokes, provoked here. documents.py checks the rest."""
import contextlib
import ctypes
import os
import re
import resource

from clients import connect, free_port
from daemons import Ekeyd, Softkey, answers
from harness import check, main, sanitized, test, wait_until
from pages import symptoms

NOBODY = 65534
SYS_ADMIN, IPC_LOCK = 21, 14  # linux/capability.h


def quoted(message):
    """A message of the page's."""
    check(message in symptoms(), f"troubleshooting.md does not explain: {message}")
    return message


def sees(program, message):
    program.wait_output(re.escape(quoted(message)))


def without(capability, memlock=None):
    """For preexec: root's programs, without one right (capabilities(7))."""
    def drop():
        drop_from_bounding_set = 24  # linux/prctl.h
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)
        if memlock:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (memlock, memlock))
    return drop


@test("troubleshooting: what keeps the daemon from starting is said in the page's words")
def start(run):
    check(quoted("did you mean") in run.run("ekeyd", "--lissen", "unix:/run/x", "--check-config", expect=2), "a wrong name")
    check(quoted("is too long for a socket: at most 107 bytes") in
          run.run("ekeyd", "--listen", "unix:/" + "x" * 107, "--check-config", expect=2), "a long path")
    if not sanitized():
        said = run.run("ekeyd", "--foreground", "--control", f"unix:{run.path('c')}", expect=1, preexec=without(IPC_LOCK, 4096))
        check(quoted("bytes of memory for secrets: raise the memlock limit") in said, f"no memory to lock: {said}")
    daemon = Ekeyd(run)
    said = run.run("ekeyd", "--foreground", "--control", daemon.control, expect=1)
    check(quoted("another program listens there: is ekeyd running already?") in said, f"a second daemon: {said}")


@test("troubleshooting: ekeydctl without a daemon, and without the right to ask it")
def control(run):
    said = run.run("ekeydctl", "--socket", run.path("none"), "list", expect=1)
    check(quoted("is ekeyd running?") in said, f"no daemon: {said}")
    daemon = Ekeyd(run)
    os.chmod(run.folder, 0o711)
    said = run.run("ekeydctl", "--socket", daemon.control[len("unix:"):], "list", expect=1, preexec=lambda: os.setuid(NOBODY))
    check(quoted("run this as root, or as a user whom the socket is given to") in said, f"another user: {said}")


@test("troubleshooting: what the kernel's pool gets without CAP_SYS_ADMIN, from ekeyd and from egd-push; a source that is away")
def kernel(run):
    dead = f"egd:tcp:127.0.0.1:{free_port()}"
    daemon = Ekeyd(run, "sink = kernel", f"source = {dead}", softkeys=[Softkey(run)], preexec=without(SYS_ADMIN))
    daemon.seeded()
    ask = ("--socket", daemon.control[len("unix:"):])
    wait_until(lambda: quoted("mixes without credit: CAP_SYS_ADMIN is missing") in run.run("ekeydctl", *ask, "show"), "the sink's state")
    check(quoted("Away: ") in run.run("ekeydctl", *ask, "list"), "the source that is away")
    said = run.run("egd-push", "--from", daemon.egd, "--once", "-v", preexec=without(SYS_ADMIN))
    check(quoted("this process lacks CAP_SYS_ADMIN") in said and f"{quoted('bits_credited')}=0" in said, f"egd-push: {said}")


@test("troubleshooting: clients that a listener refuses, and clients when no descriptors are left, are in the log in the page's words")
def refused(run):
    ports = [free_port() for _ in range(3)]
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{ports[0]},max-clients=1", f"listen = tcp:127.0.0.1:{ports[1]},max-clients-network=1",
                   f"listen = tcp:127.0.0.1:{ports[2]},deny=127.0.0.0/8")
    with contextlib.ExitStack() as open_sockets:
        for port in ports:
            for _ in range(2):
                open_sockets.enter_context(connect(f"tcp:127.0.0.1:{port}"))
        for message in ("clients refused: as many as max-clients are connected", "the listener's rules do not admit them",
                        "as many of their network as max-clients-network are connected"):
            sees(daemon.program, message)
    have = len(os.listdir(f"/proc/{daemon.program.pid}/fd"))
    resource.prlimit(daemon.program.pid, resource.RLIMIT_NOFILE, (have, have))
    with contextlib.ExitStack() as open_sockets:
        for _ in range(have + 1):
            open_sockets.enter_context(connect(daemon.egd))
        sees(daemon.program, "no new clients for a second: they cannot be accepted")


@test("troubleshooting: a sealed link to a server that does not know the key, told at both ends; too many links at once")
def sealed(run):
    port = free_port()
    keys = {name: run.run("ekeydctl", "keygen", run.path(name)).split()[-1] for name in ("server", "client", "other")}
    peers = run.write("peers", f"{keys['other']} other\n")
    daemon = Ekeyd(run, f"identity = {run.path('server')}", f"listen = sealed:127.0.0.1:{port},peers={peers}")
    wait_until(lambda: answers(f"tcp:127.0.0.1:{port}"), "ekeyd listens")
    said = run.run("egd-push", "--from", f"sealed:127.0.0.1:{port},key={keys['server']}", "--identity", run.path("client"), "--once",
                   "--timeout", "20", expect=1)
    check(quoted("it does not have this key, or does not know this host's") in said and
          quoted("closed the connection during the handshake") in said, f"egd-push: {said}")
    sees(daemon.program, "its key is not in the peers file")
    with contextlib.ExitStack() as open_sockets:
        for _ in range(65):
            open_sockets.enter_context(connect(f"tcp:127.0.0.1:{port}"))
        sees(daemon.program, "too many handshakes at once")


if __name__ == "__main__":
    main()
