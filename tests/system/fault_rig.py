"""One row of the table of faults: what was done to the daemon, and what that cost.

    rig = Rig(run, faults=SystemFaults(run))
    with rig.row("reads are interrupted", says=r"...") as row:
        ...                        # the fault, until it has shown itself
        row.over()                 # the fault has ended: from here on it is to recover
    rig.finish()                   # counts, writes the rows, fails for bytes that are bad and clients that were lost

A row counts bad bytes (those served that provenance.py cannot recompute from noise that passed), clients lost
(bystanders that have done nothing wrong: an EGD client on a Unix socket, one on TCP, a control client, and the reader
of all bytes), and the time from the end of the fault to the next bytes that are served, and to answers for all
bystanders. The rows are JSON files in the build folder; fault_table.py makes the table of them.
"""
import contextlib
import json
import os
import threading
import time

from clients import Control, Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, build_folder, check, check_equal, wait_until
from provenance import OUTPUT, Unexplained, bytes_from, explain

MIN_ENTROPY = 7  # bits a byte; what an Entropy Key is credited with by default, said here to be independent of that


# So much that no noise is dropped for want of room when the reader has to wait for a processor.
ROOM = "pool-size = 4194304"


# Requests that the reader keeps in the pipe, so that it keeps up also where it seldom has a processor.
AHEAD = 8


class Reader:
    """Reads all that is served, from the first byte on, in the background."""

    def __init__(self, address):
        self.got = bytearray()
        self.times = []  # when each output came
        self.lost = False
        self._client = Egd(address)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for _ in range(AHEAD - 1):
                self._client.ask(OUTPUT)
            while not self._stop.is_set():
                self._client.ask(OUTPUT)
                self.got += self._client.receive(OUTPUT, 120)
                self.times.append(time.monotonic())
        except (Failure, OSError):
            self.lost = not self._stop.is_set()

    def wait_more(self, size=(AHEAD + 1) * OUTPUT, seconds=60):
        """Waits for so many bytes more; as a rule, one output more than may be on its way already."""
        want = len(self.got) + size
        wait_until(lambda: len(self.got) >= want or self.lost, f"{want} bytes served; {len(self.got)} were", seconds)
        check(not self.lost, "the reader of all bytes has lost its connection")

    def stop(self):
        self._stop.set()
        with contextlib.suppress(OSError):
            self._client.socket.shutdown(2)
        self._thread.join(5)
        self._client.close()
        return bytes(self.got)


class Bystanders:
    """Clients that do nothing wrong, connected all the time. They take no bytes, so that all go to the reader."""

    def __init__(self, daemon, tcp=None):
        self._all = {"EGD client": Egd(daemon.egd), "control client": Control(daemon.control)}
        if tcp:
            self._all["TCP client"] = Egd(tcp)
        self.lost = []

    def ask_all(self, seconds=40):
        """Asks each something; notes, and forgets, those that are gone."""
        for name, client in list(self._all.items()):
            try:
                client.send(b"Version\n" if isinstance(client, Control) else b"\x00")
                client.line(seconds) if isinstance(client, Control) else client.receive(4, seconds)
            except (Failure, OSError):
                self.lost.append(name)
                del self._all[name]

    def close(self):
        for client in self._all.values():
            client.close()


class Row:
    def __init__(self, rig, fault, says):
        self.fault, self.says = fault, says
        self._rig = rig
        self.begin = len(rig.reader.got)
        self.end = self.recovered = None

    def over(self, works=None):
        """The fault has ended. `works()` is asked until it is true: what else has to work again."""
        ended = time.monotonic()
        if works:
            wait_until(works, f"{self.fault}: that it works again", seconds=60)
        self._rig.reader.wait_more()
        self._rig.bystanders.ask_all()
        self.recovered = time.monotonic() - ended


class Rig:
    """A daemon on a softkey, a reader of all bytes, bystanders; rows of faults."""

    def __init__(self, run, *settings, faults=None, rate=1000, name="ekeyd", **options):
        self.run = run
        self.faults = faults
        self.key = Softkey(run, rate=rate, name=name + "-key", keyring=run.path(name + "-ring"))
        port = free_port()
        self.tcp = f"tcp:127.0.0.1:{port}"
        if faults:
            options.setdefault("env", faults.env())
        self.daemon = Ekeyd(run, f"source = {self.key.source},min-entropy={MIN_ENTROPY}", f"listen = {self.tcp}",
                            ROOM, *settings, keyring=self.key.keyring, name=name, **options)
        self.reader = Reader(self.daemon.egd)
        self.bystanders = Bystanders(self.daemon, self.tcp)
        self.reader.wait_more()
        self.rows = []

    @contextlib.contextmanager
    def row(self, fault, says):
        """`says`: what the daemon says of it, for the table."""
        row = Row(self, fault, says)
        lost = len(self.bystanders.lost)
        yield row
        check(row.recovered is not None, f"{fault}: the test has not said when it was over")
        row.end = len(self.reader.got)
        row.lost = self.bystanders.lost[lost:]
        self.rows.append(row)
        print(f"{fault}: recovered after {row.recovered * 1000:.0f} ms, lost {row.lost}")

    def finish(self, *files, unseen=0):
        """`files`: what file sinks have written meanwhile, from the daemon's start on. `unseen`: as explain() has it."""
        check(self.daemon.program.running(), "the daemon has ended")
        served = self.reader.stop()
        self.bystanders.close()
        bad_from = None
        try:
            explain(served, self.key.plaintext(), MIN_ENTROPY, [self.run.read(file) for file in files],
                    unseen=unseen)
        except Unexplained as error:
            bad_from = error.begin
        for row in self.rows:
            # What follows the first bad byte cannot be recomputed: all of the row is counted.
            bad = row.end - max(row.begin, bad_from) if bad_from is not None and row.end > bad_from else 0
            record(row.fault, bad, len(row.lost), row.says, row.recovered)
        check(bad_from is None, f"bytes served from {bad_from} on are not made of tested noise by the rules")
        check_equal(self.bystanders.lost, [], "bystanders that lost their connection")


# ---------------------------------------------------------------- rows

def folder():
    return os.path.join(build_folder(), "fault-rows")


def record(fault, bad, lost, says, recovery):
    """Keeps a row for the table. `recovery`: seconds, or a word."""
    os.makedirs(folder(), exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in fault)
    row = {"fault": fault, "bad": bad, "lost": lost, "says": says, "recovery": recovery}
    with open(os.path.join(folder(), name + ".json"), "w", encoding="utf-8") as file:
        json.dump(row, file)
    check_equal(bad, 0, f"bad bytes served ({fault})")


__all__ = ["MIN_ENTROPY", "ROOM", "Bystanders", "Reader", "Rig", "bytes_from", "record"]
