"""Starts ekeyd and softkey with what a test needs of them."""
import os
import signal
import socket

from clients import Control, Egd
from harness import Failure, check_equal, wait_until

# Packets a second. A true key sends 86; tests that only need bytes take more, so that they end sooner.
FAST = 1000


class Softkey:
    """A running software dongle. `plaintext` names its log of what an honest host decrypts."""

    def __init__(self, run, *arguments, name="softkey", transport="pty", rate=FAST, keyring=None):
        self.path = run.path(name + "." + transport)
        self.keyring = keyring or run.path("keyring")
        self.card = run.path(name + ".card")
        if os.path.exists(self.card):  # of the run before: softkey overwrites none
            os.unlink(self.card)
        self._plaintext = run.path(name + ".plain")
        self.source = "entropykey:" + self.path
        self.program = run.start("softkey", f"--{transport}", self.path, "--keyring", self.keyring, "--new-card", self.card,
                                 "--rate", rate, "--log-plaintext", self._plaintext, *arguments)
        self.serial = self.program.wait_output(r"^ready \S+ (\S+)$").group(1)

    def plaintext(self):
        with open(self._plaintext, "rb") as log:
            return log.read()

    def fault_began(self, kind):
        """Waits until a fault begins, and returns where: the number of plaintext bytes before it."""
        return self._fault(kind, "begins")

    def fault_ended(self, kind):
        return self._fault(kind, "ends")

    def _fault(self, kind, what):
        """Also notes the time of it, in `fault_time`."""
        match = self.program.wait_output(rf"fault {kind}\S* {what} .*plaintext byte (\d+)")
        self.fault_time = self.program.when(match)
        return int(match.group(1))


def answers(address):
    """True when something accepts connections there."""
    kind, _, rest = address.partition(":")
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as probe:
        try:
            probe.connect(rest if kind == "unix" else ("127.0.0.1", int(rest.rpartition(":")[2])))
        except OSError:
            return False
    return True


class Detached:
    """A daemon in the background, in the place of a Program; it logs to the system's log."""

    def __init__(self, pid):
        self.pid = pid

    def running(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def stop(self):
        if self.running():
            os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: not self.running(), "the daemon in the background ends")


class Ekeyd:
    """A running daemon with a Unix EGD socket, a control socket and a pid file, and the settings given as lines."""

    def __init__(self, run, *settings, name="ekeyd", softkeys=(), keyring=None, arguments=(), preexec=None,
                 env=None, background=False, path=None, descriptors=(), journal=False):
        self.run = run
        self.egd = "unix:" + run.path(name + ".egd")
        self.control = "unix:" + run.path(name + ".sock")
        self.pidfile = run.path(name + ".pid")
        keyring = keyring or (softkeys[0].keyring if softkeys else run.write(name + ".keyring", ""))
        lines = [f"listen = {self.egd},mode=0600", f"control = {self.control}", f"pidfile = {self.pidfile}",
                 f"keyring = {keyring}", *(f"source = {key.source}" for key in softkeys), *settings]
        self.config = run.write(name + ".conf", "\n".join(lines) + "\n")
        self.arguments = ["--config", self.config, *([] if background else ["--foreground"]), *arguments]
        self.background = background
        self.preexec = preexec
        self.env = env
        self.path = path  # of the program, if it is to get no argument but these
        self.descriptors = descriptors  # that a service manager passes
        self.journal = journal
        self.program = None
        self.start()

    def start(self):
        self.program = self.run.start("ekeyd", *self.arguments, preexec=self.preexec, env=self.env,
                                      path=self.path, descriptors=self.descriptors, journal=self.journal)
        if self.background:
            check_equal(self.program.wait(), 0, "exit status of what started the daemon")
            with open(self.pidfile, encoding="ascii") as file:
                self.program = self.run.ends_with(Detached(int(file.read())))
        wait_until(self._ready, "ekeyd answers on its sockets")

    def _ready(self):
        if not self.program.running():
            raise Failure(f"ekeyd ended while it started, with status {self.program.wait()}")
        return answers(self.control) and answers(self.egd)

    def client(self):
        return Egd(self.egd)

    def controller(self):
        return Control(self.control)

    def seeded(self, size=64, seconds=30):
        """Waits until a client has got `size` bytes, and returns them."""
        with self.client() as client:
            return client.read(size, seconds)

    def health(self, key=None):
        """The rows of Health as they are sent, joined by tabs."""
        with self.controller() as control:
            rows, _ = control.command(f'Health("{key}")' if key else "Health")
        return "\n".join("\t".join(row) for row in rows)

    def listeners(self):
        """ListListeners: for each address its counters, as text."""
        with self.controller() as control:
            rows, _ = control.command("ListListeners")
        return {row[0]: dict(field.split("=", 1) for field in row[1:]) for row in rows}

    def key(self, number=1):
        with self.controller() as control:
            return next((key for key in control.keys() if key["NR"] == str(number)), None)

    def statistic(self, name, key=1):
        """What StatEntropyKey tells of a source by this name, as text; None when it does not tell it."""
        with self.controller() as control:
            return control.statistics(key).get(name)

    def memory(self):
        """Resident memory, kB."""
        return int(self.program.status("VmRSS"))
