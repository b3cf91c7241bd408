#!/usr/bin/python3
"""ekey-rekey on softkey: the new key works, and whatever goes wrong is one sentence that leaves the keyring whole."""
import base64
import fcntl
import os
import pty
import re
import resource
import select
import signal
import socket
import termios

from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, main, need, program, test, wait_until
from old_daemon import OldEkeyd

OTHER_LINES = "# kept\nNwBvBlg3OTBJORFD AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
STRANGER = base64.b64encode(bytes(32)).decode()


class Case:
    """A softkey with a keyring that holds other lines too."""

    def __init__(self, run, *arguments, transport="unix", **options):
        self.run = run
        self.keyring = run.write("keyring", OTHER_LINES)
        self.key = Softkey(run, *arguments, transport=transport, keyring=self.keyring, **options)
        self.before = self.lines()
        with open(self.key.card, encoding="ascii") as card:
            self.master = re.search(r"^Master key (.*)$", card.read(), re.MULTILINE).group(1)

    def lines(self):
        with open(self.keyring, encoding="ascii") as file:
            return file.read()

    def line(self):
        return next(line for line in self.lines().splitlines() if line.startswith(self.key.serial))

    def arguments(self, *words, device=None, keyring=None, socket_path=None):
        where = ["--socket", socket_path[5:]] if socket_path else []
        return ["--device", device or self.key.path, "--keyring", keyring or self.keyring, *where, *words]

    def rekey(self, *words, expect=0, preexec=None, **places):
        return self.run.run("ekey-rekey", *self.arguments(*words, **places), expect=expect, preexec=preexec)

    def check_changed(self, output):
        check(self.line() not in self.before, "the keyring still has the old key")
        check(self.lines().startswith(OTHER_LINES), f"other lines have changed:\n{self.lines()}")
        check_equal(os.stat(self.keyring).st_mode & 0o777, 0o600, "the keyring's mode")
        check_contains(output, re.escape(self.key.serial), "what it says")
        new = self.line().split()[1]
        check(new not in output and self.master.replace(" ", "") not in output, "it has printed a key")
        check_equal(os.listdir(os.path.dirname(self.keyring)).count("keyring"), 1, "keyrings")

    def check_untouched(self):
        check_equal(self.lines(), self.before, "the keyring")
        left = [name for name in os.listdir(os.path.dirname(self.keyring)) if name.startswith("keyring.")]
        check_equal(left, [], "temporary files left behind")


def sentence(output, pattern):
    """Checks that it complained once, with what we look for."""
    complaints = [line for line in output.splitlines() if line.startswith("ekey-rekey: ")]
    check_equal(len(complaints), 1, f"complaints in\n{output}")
    check_contains(complaints[0], pattern, "the complaint")


@test("ekey-rekey on a socket and on a pty: a new key in the device and the keyring, tried; no key is shown")
def sets_key(run):
    for transport in ("unix", "pty"):
        case = Case(run, transport=transport, name=transport)
        output = case.rekey(case.key.serial, *case.master.split())  # its groups as words of their own
        check_contains(output, "A session with the new key works", "what it says")
        case.check_changed(output)
        again = case.line()
        case.rekey(case.key.serial, case.master)  # one word with spaces in it
        check(case.line() != again, "the second key is the first one")


@test("ekey-rekey and a running ekeyd: it lets go of the key, and takes it back with the new keyring")
def running_ekeyd(run):
    case = Case(run, transport="pty")
    daemon = Ekeyd(run, softkeys=[case.key], keyring=case.keyring)
    daemon.seeded()
    output = case.rekey(case.key.serial, case.master, socket_path=daemon.control)
    check_contains(output, "ekeyd has taken it back", "what it says")
    case.check_changed(output)
    wait_until(lambda: (key := last_key(daemon)) and key["Status"] == "Running OK", f"Running OK: {last_key(daemon)}")
    # Without a serial number it is known by its path, also by another one to the same device.
    other_name = run.path("other-name")
    os.symlink(case.key.path, other_name)
    for device in (case.key.path, os.path.realpath(case.key.path), other_name):
        with open(run.write("master", case.master + "\n"), encoding="ascii") as typed:
            output = run.run("ekey-rekey", *case.arguments(device=device, socket_path=daemon.control), stdin=typed)
        check_contains(output, "ekeyd has taken it back", f"what it says of {device}")
        wait_until(lambda: (key := last_key(daemon)) and key["Status"] == "Running OK", f"Running OK: {last_key(daemon)}")
    # A failure gives the key back too.
    case.rekey(case.key.serial, STRANGER, socket_path=daemon.control, expect=1)
    wait_until(lambda: (key := last_key(daemon)) and key["Status"] == "Running OK", f"Running OK: {last_key(daemon)}")


def last_key(daemon):
    with daemon.controller() as control:
        keys = control.keys()
    return keys[-1] if keys else None


@test("ekey-setkey: the command of 1.1.5, with its options and the same refusals, in the words of ekey-rekey")
def setkey(run):
    case = Case(run)
    os.symlink(program("ekey-rekey"), run.path("ekey-setkey"))  # as it is installed

    def call(*words, expect=0):
        # It has no option for the control socket: a /run of its own keeps it away from an ekeyd of this machine.
        return run.run("ekey-setkey", "--mount", "sh", "-ec", 'mount -t tmpfs run /run; exec "$@"', "sh", run.path("ekey-setkey"),
                       *words, path=need("unshare"), expect=expect)

    master = case.master.replace(" ", "")
    output = call("-s", case.key.serial, "-m", master, "-f", case.keyring, case.key.path)
    check_contains(output, "A session with the new key works", "what it says")
    case.check_changed(output)
    case.before = case.lines()
    for words, status, said in (
            (("-m", STRANGER, "-f", case.keyring, case.key.path), 1, "master key"),
            (("-m", master, "-f", case.keyring, "-s", "NwBvBlg3OTBJORFD", case.key.path), 1, "NwBvBlg3OTBJORFD"),
            (("-m", "x", case.key.path), 2, "ekey-setkey -h"),
            (("-m", master), 2, "path"),
            (("-n", "-m", master, case.key.path), 2, "-n"),
            (("-s",), 2, "-s expects a value"),
            (("--help",), 2, "unknown option")):
        check_contains(call(*words, expect=status), f"^ekey-setkey: .*{said}", f"what is said to {words}")
    case.check_untouched()
    check_contains(call("-h"), "Usage: ekey-setkey", "-h")
    check_contains(call("-v"), r"^ekey-setkey \d", "-v")


@test("ekey-rekey and a running Debian ekeyd: the same")
def running_old_ekeyd(run):
    case = Case(run)
    daemon = OldEkeyd(run, case.key.path, case.keyring)
    daemon.wait_status("Running OK")
    output = case.rekey(case.key.serial, case.master, socket_path=daemon.control)
    check_contains(output, "ekeyd has taken it back", "what it says")
    case.check_changed(output)
    daemon.wait_status("Running OK")
    check_equal(daemon.keys()[0]["NR"], "2", "the number of the key, which was added again")


class Terminal:
    """A terminal of its own in which a program runs."""

    def __init__(self, run, *arguments):
        self.master, self.slave = pty.openpty()
        self.shown = b""
        self.settings = termios.tcgetattr(self.slave)
        self.process = run.start("ekey-rekey", *arguments, stdin=self.slave, preexec=self._own)

    @staticmethod
    def _own():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def type(self, text):
        os.write(self.master, text)

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.shown += os.read(self.master, 4096)
        return self.shown


@test("ekey-rekey asks for the master key on a terminal: no echo, spaces allowed, a slip is asked for again")
def asks(run):
    case = Case(run)
    terminal = Terminal(run, *case.arguments(case.key.serial))
    terminal.process.wait_output("Master key of")
    check(not terminal.echoes(), "the terminal echoes while the key is typed")
    slip = case.master[:-1] + ("A" if case.master[-1] != "A" else "B")
    terminal.type(slip.encode() + b"\n")
    terminal.process.wait_output("check byte does not fit[^$]*Master key of")
    terminal.type(case.master.encode() + b"\n")
    check_equal(terminal.process.wait(), 0, "exit status")
    check(terminal.echoes(), "the terminal stays mute")
    check_equal(termios.tcgetattr(terminal.slave), terminal.settings, "the terminal's settings")
    check(case.master[:9].encode() not in terminal.read(), f"the terminal showed the key: {terminal.shown!r}")
    case.check_changed(terminal.process.output())


@test("ekey-rekey is interrupted while it asks: the terminal echoes again, nothing has changed")
def interrupted(run):
    case = Case(run)
    for what in (b"\x03", signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        terminal = Terminal(run, *case.arguments(case.key.serial))
        terminal.process.wait_output("Master key of")
        if isinstance(what, bytes):
            terminal.type(what)
        else:
            terminal.process.signal(what)
        check(terminal.process.wait() < 0, "it did not end by the signal")
        check_equal(termios.tcgetattr(terminal.slave), terminal.settings, "the terminal's settings")
    case.check_untouched()


@test("ekey-rekey takes the master key from standard input when that is no terminal")
def standard_input(run):
    case = Case(run)
    for text, expect in ((case.master + "\n", 0), (case.master, 0), ("\n", 1), ("", 1), ("x" * 5000 + "\n", 1)):
        with open(run.write("typed", text), "rb") as typed:
            before = case.line()
            output = run.run("ekey-rekey", *case.arguments(), stdin=typed, expect=expect)
        check_equal(case.line() != before, expect == 0, f"the key has changed, with {text[:60]!r}")
        if expect:
            sentence(output, "master key")


@test("ekey-rekey, what goes wrong before anything has changed: one sentence each, exit status 1, the keyring as it was")
def failures(run):
    case = Case(run)
    serial, master = case.key.serial, case.master
    sentence(case.rekey(serial, STRANGER, expect=1), "check that the master key is of this device's card")
    sentence(case.rekey("NwBvBlg3OTBJORFD", master, expect=1), f"is {re.escape(serial)}, not NwBvBlg3OTBJORFD")
    sentence(case.rekey(serial, master, device=run.path("nothing"), expect=1), "nothing: No such file")
    sentence(case.rekey(serial, master, device=case.keyring, expect=1), "neither a tty nor a Unix socket")
    sentence(case.rekey(serial, master, keyring=run.path("no/keyring"), expect=1), "no/keyring cannot be written.*No such")
    sentence(case.rekey(serial, master, keyring=run.folder, expect=1), "no regular file")
    sentence(case.rekey(serial, master, socket_path="unix:" + run.path("none"), expect=1), "no ekeyd answers")
    sentence(run.run("ekey-rekey", "--keyring", case.keyring, serial, master, expect=1), "is not here")
    case.check_untouched()
    case.rekey(serial, master)  # and it still works


@test("ekey-rekey, wrong usage: one sentence each, exit status 2, nothing has changed")
def usage(run):
    case = Case(run)
    serial, master = case.key.serial, case.master.replace(" ", "")
    last = "A" if master[-1] != "A" else "B"
    sentence(case.rekey(serial, master[:-1] + last, expect=2), "check byte")
    sentence(case.rekey(serial, master[:-4], expect=2), "44 characters")
    sentence(case.rekey(serial, "x" * 500, expect=2), "too long")
    sentence(case.rekey("short", expect=2), "serial number has 16")
    sentence(run.run("ekey-rekey", "--nonsense", expect=2), "unknown option --nonsense")
    sentence(run.run("ekey-rekey", "--device", expect=2), "expects a value")
    case.check_untouched()


class Mute:
    """A socket on which somebody listens and never says a word."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()


@test("ekey-rekey and a device that does not answer: it gives up within seconds; a signal waits for it; no key in ps")
def no_answer(run):
    case = Case(run)
    mute = Mute(run.path("mute"))
    started = run.start("ekey-rekey", *case.arguments(case.key.serial, *case.master.split(), device=mute.path))
    connection, _ = mute.socket.accept()
    with open(f"/proc/{started.pid}/cmdline", "rb") as words:
        shown = words.read()
    check(case.key.serial.encode() in shown, f"the command line: {shown!r}")
    check(case.master.split()[1].encode() not in shown, "others can see the master key")
    started.signal(signal.SIGTERM)
    check_equal(started.wait(), -signal.SIGTERM, "exit status")
    sentence(started.output(), "did not tell its serial number, 3 times")
    case.check_untouched()
    connection.close()


@test("ekey-rekey cannot write the keyring after the device took its key: says so and what to do; the old file is whole")
def keyring_full(run):
    case = Case(run)
    output = case.rekey(case.key.serial, case.master, expect=1,
                        preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    sentence(output, "cannot be written: File too large.*its old one no longer fits.*run ekey-rekey again")
    case.check_untouched()
    case.check_changed(case.rekey(case.key.serial, case.master))


@test("ekey-rekey and a device that opens no session afterwards: the key is kept, and the doubt is told")
def no_session(run):
    case = Case(run, "--fault", "no-answer@0")
    output = case.rekey(case.key.serial, case.master, expect=1)
    sentence(output, "is in the keyring but could not be tried")
    case.check_changed(output)


if __name__ == "__main__":
    main()
