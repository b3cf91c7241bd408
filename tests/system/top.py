#!/usr/bin/python3
"""ekeydctl top: what it shows, live on a terminal and once elsewhere; and that a terminal is left as it was found."""
import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from clients import Egd
from daemons import FAST, Ekeyd, Softkey
from harness import DEADLINE, Failure, check, check_contains, check_equal, main, program, test, wait_until

OTHER_SCREEN, OWN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"


class Terminal:
    """A pseudo-terminal with a program on it, whose controlling terminal it is."""

    def __init__(self, run, *arguments, rows=24, columns=100, kind="xterm"):
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.found = termios.tcgetattr(self.slave)
        self.written = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(self.slave, number)
            os.environ["TERM"] = kind
            os.execv(program("ekeydctl"), ["ekeydctl", *arguments])
        self.status = None
        run.ends_with(self)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def pump(self, seconds=0.05):
        if select.select([self.master], [], [], seconds)[0]:
            self.written += os.read(self.master, 65536)

    def frame(self):
        """The lines of the last whole frame. Every frame begins at home; what a line leaves is cleared."""
        frames = self.written.split(b"\x1b[H")
        last = frames[-1] if frames[-1].endswith((b"\x1b[J", b"\x1b[K", b"\x1b[0m")) or len(frames) < 3 else frames[-2]
        return re.sub(r"\x1b\[[0-9]*[mKJ]", "", last.decode("ascii", "replace")).replace("\r", "").split("\n")

    def wait_frame(self, condition, what, seconds=DEADLINE * 2):
        end = time.monotonic() + seconds
        while True:
            self.pump()
            lines = self.frame()
            if condition("\n".join(lines)):
                return lines
            if time.monotonic() > end:
                raise Failure(f"waited {seconds:g} s in vain for a frame: {what}\n{self.written[-3000:]!r}")

    def wait(self, seconds=DEADLINE, flags=0):
        end = time.monotonic() + seconds
        while True:
            self.pump(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG | flags)
            if pid:
                if not os.WIFSTOPPED(status):
                    self.status = os.waitstatus_to_exitcode(status)
                self.pump(0)
                return status
            if time.monotonic() > end:
                raise Failure(f"ekeydctl did not end within {seconds:g} s")

    def check_left_as_found(self):
        self.pump(0)
        check(self.written.count(OTHER_SCREEN) == self.written.count(OWN_SCREEN), "the own screen is back")
        check(self.written.rindex(OWN_SCREEN) > self.written.rindex(OTHER_SCREEN), "the own screen is back at last")
        check(SHOW_CURSOR in self.written[self.written.rindex(b"\x1b[H"):], "the cursor is back")
        check_equal(termios.tcgetattr(self.slave), self.found, "the terminal's settings")

    def stop(self):
        if self.status is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.status = -signal.SIGKILL
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


class Reader:
    """A client that takes what it gets, so that there are rates."""

    def __init__(self, run, address):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(address,), daemon=True)
        self.thread.start()
        run.ends_with(self)

    def _read(self, address):
        with contextlib.suppress(OSError, Failure), Egd(address) as client:
            while not self.ended.is_set():
                client.read(64)

    def stop(self):
        self.ended.set()
        self.thread.join(5)


@test("ekeydctl top: once, when standard output is no terminal - sources, pool, listeners, sinks, rates, and what is wrong")
def once(run):
    keys = [Softkey(run, name="good", rate=FAST), Softkey(run, "--fault", "stuck@300", name="bad")]
    daemon = Ekeyd(run, f"source = {keys[1].source}", f"sink = file:{run.path('out')}", softkeys=keys[:1])
    daemon.seeded()
    wait_until(lambda: daemon.key(2)["Status"] == "Health test failed", "the bad key has failed")
    wait_until(lambda: float(daemon.controller().statistics("1")["KeyVoltage"]) > 0, "the key reports")
    Reader(run, daemon.egd)
    text = run.run("ekeydctl", "--socket", daemon.control, "top", "--interval", "1")
    check(all(c == "\n" or " " <= c <= "~" for c in text), f"{text!r}")
    check_contains(text, r"(?m)^ekeyd 2\.", "the version")
    check_contains(text, r"(?m)^Pool \[[#.]{20}\] \d+ % of [\d.]+ \wB, in [1-9][\d.]* k?B/s, out [1-9][\d.]* k?B/s", "the pool")
    check_contains(text, rf"(?m)^! Source 2 \({re.escape(keys[1].serial)}\): what it sends is no noise.*\d+ equal bytes", "what is wrong")
    good = check_contains(text, rf"(?m)^ +1  Running OK .*{re.escape(keys[0].serial)} {re.escape(keys[0].path)}$", "the good key")
    row = next(line for line in good.splitlines() if keys[0].serial in line)
    check_contains(row, r"  [1-9][\d.]* kB/s .* 0 +\d+ +\d+\.\d C +3\.\d\d V  ", "its rate, failures, temperature and voltage")
    check_contains(text, rf"(?m)^ +1 +[01] +(?:<[\d.]+ s|-) +[1-9][\d.]*/s +[1-9][\d.]* k?B/s .*{re.escape(daemon.egd)}", "the listener")
    check_contains(text, rf"(?m)B  file:{re.escape(run.path('out'))}: ok$", "the sink")
    # The rate of a key that sends 1,000 packets of 32 bytes a second, of which a loaded machine may miss some.
    rate = float(re.search(r"  ([\d.]+) kB/s", row).group(1))
    check(1 < rate < 100, f"a rate of {rate} kB/s")


@test("ekeydctl top: live - q ends it, it fits the window after a resize, and tells when the daemon goes and comes")
def live(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    daemon.seeded()
    terminal = Terminal(run, "--socket", daemon.control, "top", "--interval", "1")
    terminal.wait_frame(lambda t: "Nothing is wrong." in t and "kB/s" in t, "rates, and nothing wrong")
    terminal.resize(4, 30)
    lines = terminal.wait_frame(lambda t: t.endswith("(more: the window is too low)"), "four rows")
    check_equal((len(lines), max(map(len, lines)) <= 30), (4, True), f"rows and columns: {lines}")
    terminal.resize(30, 100)
    terminal.wait_frame(lambda t: "LISTENER" in t, "thirty rows")
    daemon.program.stop()
    terminal.wait_frame(lambda t: "is ekeyd running?" in re.sub("\n *", " ", t) and "What it said last:" in t, "the daemon is gone")
    daemon.start()
    terminal.wait_frame(lambda t: "is ekeyd running?" not in t and "Nothing is wrong." in t, "the daemon is back")
    os.write(terminal.master, b"xq")
    terminal.wait()
    check_equal(terminal.status, 0, "exit status after q")
    terminal.check_left_as_found()


@test("ekeydctl top: the terminal is as it was found after every signal that ends it, a stop, and its own disappearance")
def ends(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        terminal = Terminal(run, "--socket", daemon.control, "top")
        terminal.wait_frame(lambda t: "SOURCE" in t, "the first frame")
        os.kill(terminal.pid, number)
        terminal.wait()
        check_equal(terminal.status, 0, f"exit status after {number.name}")
        terminal.check_left_as_found()

    terminal = Terminal(run, "--socket", daemon.control, "top")
    terminal.wait_frame(lambda t: "SOURCE" in t, "the first frame")
    os.kill(terminal.pid, signal.SIGTSTP)
    check(os.WIFSTOPPED(terminal.wait(flags=os.WUNTRACED)), "Ctrl-Z stops it")
    terminal.check_left_as_found()
    terminal.written = b""
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.wait_frame(lambda t: OTHER_SCREEN in terminal.written and "SOURCE" in t, "it goes on")
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.master, terminal.slave = os.openpty()  # for what looks at them
    terminal.wait()
    check_equal(terminal.status, 0, "exit status when the terminal is gone")


@test("ekeydctl top: a daemon that does not answer and a terminal that takes nothing (Ctrl-S) do not keep it from ending")
def stuck(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    terminal = Terminal(run, "--socket", daemon.control, "top", "--interval", "1")
    terminal.wait_frame(lambda t: "SOURCE" in t, "the first frame")
    daemon.program.signal(signal.SIGSTOP)
    try:
        terminal.wait_frame(lambda t: "has not answered for 3 s" in t, "the daemon does not answer")
        os.write(terminal.master, b"q")
        terminal.wait()
    finally:
        daemon.program.signal(signal.SIGCONT)
    terminal.check_left_as_found()

    terminal = Terminal(run, "--socket", daemon.control, "top", "--interval", "1")
    terminal.wait_frame(lambda t: "SOURCE" in t, "the first frame")
    os.write(terminal.master, b"\x13")
    time.sleep(2)  # the next look is due, and cannot be drawn
    os.kill(terminal.pid, signal.SIGTERM)
    end = time.monotonic() + DEADLINE
    while not os.waitpid(terminal.pid, os.WNOHANG)[0]:
        check(time.monotonic() < end, "SIGTERM does not end it")
        time.sleep(0.05)
    terminal.status = 0
    check_equal(termios.tcgetattr(terminal.slave), terminal.found, "the terminal's settings")


@test("ekeydctl top: at 80 by 24 the serial number of the key and the listener's address are there, and no line is cut")
def eighty(run):
    key = Softkey(run)
    daemon = Ekeyd(run, f"source = tty:{run.path('absent-with-a-name-that-is-rather-long')}", softkeys=[key])
    daemon.seeded()
    terminal = Terminal(run, "--socket", daemon.control, "top", "--interval", "1", columns=80)
    lines = terminal.wait_frame(lambda t: "kB/s" in t and "LISTENER" in t and " V " in t, "a frame with rates")
    text = "\n".join(lines)
    check_contains(text, rf"(?m)^ +1  Running OK .* {re.escape(key.serial)}\s*$", "the key's row, with its serial number")
    check_contains(text, rf"(?m) {re.escape(daemon.egd)}\s*$", "the listener")
    check_contains(re.sub("\n +", " ", text), r"! Source 2 .*No such file or directory\)\.", "what is wrong, whole")
    check_contains(text, r"kernel's pool \d+ of \d+", "the kernel's pool")
    os.write(terminal.master, b"q")
    terminal.wait()
    terminal.check_left_as_found()


@test("ekeydctl top: on TERM=dumb it is printed once, without an escape; a full disk is an error, for it and for --json")
def dumb_and_full(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    daemon.seeded()
    terminal = Terminal(run, "--socket", daemon.control, "top", "--interval", "1", columns=80, kind="dumb")
    terminal.wait()
    check_equal(terminal.status, 0, "exit status on a dumb terminal")
    text = terminal.written.decode("ascii")
    check("\x1b" not in text, f"{text!r}")
    check_contains(text, "Nothing is wrong", "what it prints")
    check(max(map(len, text.splitlines())) <= 80, "a line is longer than the window")
    for words in (["top", "--interval", "1"], ["list", "--json"], ["stats", "1", "--json"], ["health", "--json"], ["list"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program("ekeydctl"), "--socket", daemon.control, *words], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=DEADLINE, check=False)
        check_equal((done.returncode, done.stderr), (1, "ekeydctl: cannot write to standard output: No space left on device\n"), f"{words} on a full disk")


class Hostile:
    """Answers on a control socket with what would take over a terminal."""

    bad = "\x1b]0;title\x07\x1b[2J\x9b31m\x7f\r\x08 \u202e"
    rows = {
        "Version": [],
        "ListEntropyKeys": ["NR\tOK\tStatus\tPath\tSerialNo", f"1\tNO\t{bad}\t{bad}\t{bad}"],
        "Health": [f"PoolBytes={bad}", "PoolCapacity=1e999", "Source=1", f"Status={bad}", f"Path={bad}", f"SerialNo={bad}",
                   f"Detail={bad}", f"LastFailure={bad}", "DeviceFailures=-1e308"],
        "StatEntropyKey": [f"KeyTemperatureC={bad}", "KeyVoltage=1e308", f"{bad}={bad}", bad],
        "ListListeners": [f"{bad}\tclients={bad}\tbytes=99999999999999999999\t{bad}"],
        "ListSinks": [f"{bad}\tstate={bad}"],
    }

    def __init__(self, run):
        self.control = "unix:" + run.path("hostile.sock")
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.control[5:])
        self.listening.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()
        run.ends_with(self)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), client, client.makefile("rw", encoding="latin-1", newline="\n") as lines:
            self._say(lines, "PROTOCOL EKEYD/1\n")
            for line in lines:
                name = line.split("(")[0].strip()
                rows = self.rows.get(name) if name != "Keyring" else None
                self._say(lines, f"ERROR {self.bad}\n" if rows is None else
                          "".join(f"*\t{row}\n" for row in rows) + f"OK {self.bad}\n")

    @staticmethod
    def _say(lines, text):
        lines.write(text.encode().decode("latin-1"))
        lines.flush()

    def stop(self):
        self.listening.close()


@test("promise 5: ekeydctl - a daemon that sends escape sequences moves no terminal's cursor, in any command")
def hostile(run):
    daemon = Hostile(run)
    for arguments in (["list"], ["stats", "1"], ["health"], ["show"], ["keyring", "/x"], ["top", "--interval", "1"],
                      ["list", "--json"], ["stats", "1", "--json"], ["health", "--json"], ["add", "/x"]):
        text = run.run("ekeydctl", "--socket", daemon.control, *arguments, expect=None)
        bad = [c for c in text if not (c in "\n\t" or " " <= c and c != "\x7f" and not "\x80" <= c <= "\x9f")]
        check_equal(bad, [], f"control characters from {arguments}")
        check(len(text) > 20, f"{arguments} says {text!r}")
    terminal = Terminal(run, "--socket", daemon.control, "top", "--interval", "1")
    terminal.wait_frame(lambda t: "LISTENER" in t and "SINK" in t, "a frame")
    os.write(terminal.master, b"q")
    terminal.wait()
    terminal.check_left_as_found()
    ours = re.sub(rb"\x1b\[(\?1049[hl]|\?25[hl]|H|K|J|0m|1m|31m)|\r+\n", b"", terminal.written)
    check_equal([c for c in ours if c < 0x20 or c > 0x7e], [], "bytes on the terminal that are no printable ASCII")


if __name__ == "__main__":
    main()
