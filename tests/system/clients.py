"""Clients of ekeyd, written from the descriptions of the two protocols and not from our own code."""
import socket
import struct
import time

from harness import DEADLINE, Failure, check_equal


def connect(address, seconds=DEADLINE):
    """Connects to "unix:PATH" or "tcp:HOST:PORT"."""
    kind, _, rest = address.partition(":")
    if kind == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(seconds)
        made.connect(rest)
        return made
    host, _, port = rest.rpartition(":")
    made = socket.create_connection((host.strip("[]"), int(port)), timeout=seconds)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Connection:
    def __init__(self, address, seconds=DEADLINE):
        self.address = address
        self.socket = connect(address, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size, seconds=DEADLINE):
        """Exactly `size` bytes."""
        end = time.monotonic() + seconds
        got = b""
        while len(got) < size:
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"{self.address}: {len(got)} of {size} bytes came within {seconds:g} s")
            self.socket.settimeout(left)
            try:
                chunk = self.socket.recv(size - len(got))
            except socket.timeout:
                continue
            if not chunk:
                raise Failure(f"{self.address} closed the connection after {len(got)} of {size} bytes")
            got += chunk
        return got

    def silent_for(self, seconds):
        """True when nothing comes and the connection stays open."""
        self.socket.settimeout(seconds)
        try:
            chunk = self.socket.recv(1, socket.MSG_PEEK)
        except socket.timeout:
            return True
        if not chunk:
            raise Failure(f"{self.address} closed the connection")
        return False

    def closed_within(self, seconds=DEADLINE):
        """True when the other side closes, whatever it sends before."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except socket.timeout:
                return False
            except ConnectionError:
                return True
        return False


class Egd(Connection):
    """The EGD protocol: all numbers big-endian."""

    def level(self):
        """Bits available."""
        self.send(b"\x00")
        return struct.unpack(">I", self.receive(4))[0]

    def read_now(self, size):
        """What there is now, at most `size` bytes."""
        self.send(bytes([1, size]))
        count = self.receive(1)[0]
        return self.receive(count)

    def ask(self, size):
        """Asks for `size` bytes; take them with receive()."""
        self.send(bytes([2, size]))

    def read(self, size, seconds=DEADLINE):
        """`size` bytes, however many requests that takes."""
        got = b""
        while len(got) < size:
            step = min(255, size - len(got))
            self.ask(step)
            got += self.receive(step, seconds)
        return got

    def write(self, data, bits=0):
        self.send(struct.pack(">BHB", 3, bits, len(data)) + data)

    def process_id(self):
        self.send(b"\x04")
        return self.receive(self.receive(1)[0])


class ControlError(Exception):
    """The daemon answered ERROR."""


class Control(Connection):
    """EKEYD/1, as ekeyd 1.1.5 speaks it."""

    def __init__(self, address, seconds=DEADLINE):
        super().__init__(address, seconds)
        self._kept = b""
        check_equal(self.line(), "PROTOCOL EKEYD/1", "the greeting of the control socket")

    def line(self, seconds=DEADLINE):
        end = time.monotonic() + seconds
        while b"\n" not in self._kept:
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"{self.address}: no line within {seconds:g} s")
            self.socket.settimeout(left)
            try:
                chunk = self.socket.recv(65536)
            except socket.timeout:
                continue
            if not chunk:
                raise Failure(f"{self.address} closed the connection in the middle of an answer")
            self._kept += chunk
        line, _, self._kept = self._kept.partition(b"\n")
        return line.decode()

    def command(self, text):
        """Sends a line, and returns the rows of the answer (lists of fields) and the words after OK."""
        self.send(text.encode() + b"\n")
        rows = []
        while True:
            line = self.line()
            if line.startswith("*\t"):
                rows.append(line.split("\t")[1:])
            elif line == "OK" or line.startswith("OK "):
                return rows, line[3:]
            elif line.startswith("ERROR"):
                raise ControlError(line)
            else:
                raise Failure(f"{self.address}: a line that is not of EKEYD/1: {line!r}")

    def keys(self):
        """ListEntropyKeys, a dictionary a key."""
        rows, _ = self.command("ListEntropyKeys")
        return [dict(zip(rows[0], row)) for row in rows[1:]]

    def statistics(self, key):
        rows, _ = self.command(f'StatEntropyKey("{key}")')
        return dict(row[0].split("=", 1) for row in rows)
