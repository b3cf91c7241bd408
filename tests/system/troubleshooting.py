#!/usr/bin/python3
"""contrib/doc/troubleshooting.md: what it quotes and no other test provokes, provoked here. documents.py checks the rest."""
import contextlib
import ctypes
import os
import re
import resource

from clients import connect, free_port
from daemons import Ekeyd, Softkey, answers
from harness import check, check_equal, main, sanitized, test, wait_until
from pages import TROUBLE, spans, symptoms

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


def on_usb(keys):
    """For preexec: a view of /sys in which these Entropy Keys (serial number to tty, or None) are all that is on USB."""
    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        new_mounts, recursive_private = 0x20000, 0x44000  # linux/sched.h, linux/mount.h
        for done in (libc.unshare(new_mounts), libc.mount(b"none", b"/", None, recursive_private, None),
                     libc.mount(b"none", b"/sys/bus", b"tmpfs", 0, None)):
            if done != 0:
                raise OSError(ctypes.get_errno(), "a view of /sys")
        for number, (serial, tty) in enumerate(keys.items(), 1):
            device = f"/sys/bus/usb/devices/1-{number}"
            os.makedirs(f"{device}:1.0/tty/{tty}" if tty else f"{device}:1.0")
            os.mkdir(device)
            for name, value in (("idVendor", "20df"), ("idProduct", "0001"), ("serial", serial)):
                with open(f"{device}/{name}", "w", encoding="ascii") as file:
                    file.write(value + "\n")
        os.makedirs("/sys/bus/usb/devices", exist_ok=True)
    return enter


@test("troubleshooting: no dongle yet, and what ekey-rekey says of none, several, one without a tty, and of a wrong master key")
def first_steps(run):
    daemon = Ekeyd(run, "source = entropykey:usb", preexec=on_usb({}))
    said = run.run("ekeydctl", "--socket", daemon.control[len("unix:"):], "list")
    header = "NR,OK,Status,Path,SerialNo"
    check(header in spans(TROUBLE), "troubleshooting.md does not tell of the header")
    check_equal(said, header + "\n", "the list without a dongle")
    one, two = "NwBvBlg3OTBJORFD", "Z0I4GjAoEsgb6qly"
    for keys, message in (({}, "no Entropy Key is on USB"), ({one: "ttyACM7", two: "ttyACM8"}, "there are several Entropy Keys"),
                          ({one: None}, "is on USB but has no tty")):
        said = run.run("ekey-rekey", "--keyring", run.path("none"), expect=1, preexec=on_usb(keys))
        check(quoted(message) in said and all(serial in said for serial in keys), f"{keys}: {said}")
    key = Softkey(run, transport="unix")
    with open(key.card, encoding="ascii") as card:
        master = re.search(r"(?m)^Master key (.*)$", card.read())[1]
    last = "A" if master[-1] != "A" else "B"
    arguments = ("--device", key.path, "--keyring", key.keyring, key.serial)
    said = run.run("ekey-rekey", *arguments, master[:-1] + last, expect=2)
    check(quoted("the master key's check byte does not fit: a character is mistyped") in said, f"mistyped: {said}")
    said = run.run("ekey-rekey", *arguments, "A" * 43 + "=", expect=1)
    check(quoted("check that the master key is of this device's card") in said, f"another's master key: {said}")


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
