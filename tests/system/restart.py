#!/usr/bin/python3
"""ekeyd is restarted, and its EGD clients stay connected: their sockets are in the service manager's store meanwhile."""
import os
import random
import re
import resource
import select
import signal
import socket
import struct

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, main, test, wait_until
from manager import Manager
from troubleshooting import without


class Served:
    """All bytes that clients got. No eight of them may come twice (of a million bytes that happens by chance once in 2**30)."""

    def __init__(self):
        self._seen = set()
        self.bytes = 0

    def add(self, data):
        self.bytes += len(data)
        for i in range(0, len(data) - 7):
            piece = data[i:i + 8]
            check(piece not in self._seen, "bytes were served twice")
            self._seen.add(piece)
        return data


def in_step(client):
    """The client's next answers are where they belong: nothing is owed, nothing too much was sent."""
    client.send(b"\x00\x01\x00")
    answer = client.receive(5)
    check(answer[4] == 0 and struct.unpack(">I", answer[:4])[0] <= 8 * 65536, f"an answer that is out of step: {answer.hex()}")


def dry(daemon):
    """No source and nothing in the pool: who asks now waits."""
    with daemon.controller() as control:
        control.command('RemoveEntropyKey("1")')
    with daemon.client() as client:
        while client.read_now(255):
            pass


def waiting(daemon):
    return sum(int(listener["waiting"]) for listener in daemon.listeners().values())


class Owed:
    """A client and what it does: before the restart, while there is no daemon, after it, and how many bytes it must get."""

    def __init__(self, before=b"", during=b"", after=b"", bytes_owed=0, waits=False):
        self.before, self.during, self.after, self.bytes_owed, self.waits = before, during, after, bytes_owed, waits


CASES = {
    "idle": Owed(),
    "waits for 255 bytes": Owed(b"\x02\xff", bytes_owed=255, waits=True),
    "waits for one byte, three times": Owed(b"\x02\x01" * 3, bytes_owed=3, waits=True),
    "half a blocking read": Owed(b"\x02", after=b"\x20", bytes_owed=32),
    "half a blocking read, the rest while nobody is there": Owed(b"\x02", b"\x20", bytes_owed=32),
    "a write, cut at its bits": Owed(b"\x03", after=b"\x00\x08\x04\x02\x02\x02\x02" + b"\x02\x10", bytes_owed=16),
    "a write, cut in its bits": Owed(b"\x03\x00", after=b"\x08\x04\x02\x02\x02\x02" + b"\x02\x10", bytes_owed=16),
    "a write, cut at its count": Owed(b"\x03\x00\x08", after=b"\x04\x02\x02\x02\x02" + b"\x02\x10", bytes_owed=16),
    "a write, cut in its bytes": Owed(b"\x03\x00\x08\x0a" + b"\x02" * 5, after=b"\x02" * 5 + b"\x02\x10", bytes_owed=16),
    "eighty requests ahead": Owed(b"\x02\x40" * 80, bytes_owed=80 * 64, waits=True),
    "one behind what waits, cut": Owed(b"\x02\x10\x02", after=b"\x08", bytes_owed=24, waits=True),
    "asks while nobody is there": Owed(during=b"\x02\x80", bytes_owed=128),
}


@test("promise 4: clients stay connected over a restart; what they had asked for is answered once, to the byte, and no byte comes twice")
def every_state(run):
    manager = Manager(run)
    tcp = f"tcp:127.0.0.1:{free_port()}"
    daemon = Ekeyd(run, f"listen = {tcp},max-clients=100", softkeys=[Softkey(run)], env=manager.env())
    daemon.seeded()
    served = Served()
    clients = [(what, case, Egd(address)) for what, case in CASES.items() for address in (daemon.egd, tcp)]
    for _, _, client in clients:
        served.add(client.read(40))
    half_closed, leaves = Egd(daemon.egd), Egd(tcp)
    dry(daemon)
    for _, case, client in clients:
        client.send(case.before)
    half_closed.ask(64)
    half_closed.socket.shutdown(socket.SHUT_WR)
    asked = 1 + sum(case.waits for _, case, _ in clients)
    wait_until(lambda: waiting(daemon) == asked, f"{asked} clients wait")
    manager.stop_daemon(daemon)
    check_equal(sorted(set(manager.names())), ["egd", "egd-state"], "names of what is stored")
    check_equal(len(manager.stored), len(clients) + 3, "descriptors that are stored")
    daemon.program.wait_output(rf"clients are kept for the next start clients={len(clients) + 2} closed=0$")
    for _, case, client in clients:
        client.send(case.during)
    leaves.close()
    manager.start_daemon(daemon)
    manager.hear_all()
    check_equal(manager.names(), [], "what is left in the store")
    for what, case, client in clients:
        client.send(case.after)
        got = served.add(client.receive(case.bytes_owed))
        check_equal(len(got), case.bytes_owed, what)
        in_step(client)
        served.add(client.read(24))
    served.add(half_closed.receive(64))
    check(half_closed.closed_within(), "a client that had closed its side is left hanging")
    counters = daemon.listeners()
    check_equal(int(counters[f"{tcp},max-clients=100"]["clients"]), len(CASES), "clients on TCP")
    after = sum(case.bytes_owed + 24 for _, case, _ in clients) + 64
    check_equal(sum(int(listener["bytes"]) for listener in counters.values()), after, "bytes that the second ekeyd served")


@test("promise 4: a client that has not read its answers is closed, since nobody else may have those bytes; others are kept")
def unread(run):
    manager = Manager(run)
    plenty = f"unix:{run.path('plenty')}"  # so that nothing but its socket makes a client wait
    daemon = Ekeyd(run, f"listen = {plenty},output=drbg", softkeys=[Softkey(run)], env=manager.env())
    daemon.seeded()
    served = Served()
    with Egd(plenty) as stalled, daemon.client() as other:
        served.add(other.read(64))
        stalled.socket.setblocking(False)

        def stuck():
            """Neither side takes any more."""
            try:
                while stalled.socket.send(b"\x02\xff" * 32):
                    pass
            except BlockingIOError:
                pass
            first, second = (daemon.listeners()[f"{plenty},output=drbg"]["bytes"] for _ in range(2))
            return int(first) > 20000 and first == second
        wait_until(stuck, "it has left its answers unread")
        manager.restart(daemon)
        check_contains(run.programs[-2].output(), r"clients are kept for the next start clients=1 closed=1\n", "the log")
        got = b""
        stalled.socket.settimeout(60)
        while True:
            try:
                more = stalled.socket.recv(1 << 16)
            except ConnectionResetError:
                break
            if not more:
                break
            got += more
        check(len(got) > 20000, f"only {len(got)} bytes were in its socket")
        served.add(got)
        served.add(other.read(255))


@test("promise 8: a thousand clients, all waiting: SIGTERM at once, all are handed over, and each gets exactly what it asked for")
def thousand(run):
    # Three descriptors a client here: its own, the store's, and that to the next process. Root may have as many as it likes.
    needed, (soft, hard) = 8192, resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, hard)))
    manager = Manager(run, store=2048)
    daemon = Ekeyd(run, softkeys=[Softkey(run)], env=manager.env())
    daemon.seeded()
    dry(daemon)
    clients = [daemon.client() for _ in range(1000)]
    for client in clients:
        client.ask(16)
    wait_until(lambda: waiting(daemon) == 1000, "all wait")
    took = manager.stop_daemon(daemon)
    manager.start_daemon(daemon)
    daemon.program.wait_output(r"clients of the last ekeyd are served on clients=1000$")
    served = Served()
    for client in clients:
        served.add(client.receive(16))
        in_step(client)
    print(f"SIGTERM: {took * 1000:.0f} ms")


@test("a store with room for three: the state and two local clients; who is left out is closed")
def little_room(run):
    manager = Manager(run, store=3)
    tcp = f"tcp:127.0.0.1:{free_port()}"
    config = run.write("little.conf", f"listen = {tcp}\nlisten = unix:{run.path('egd')}\ncontrol = unix:{run.path('c.sock')}\n"
                                      f"keyring = {run.write('k', '')}\n")
    program = run.start("ekeyd", "--config", config, "--foreground", env=manager.env())
    manager.hear("^READY=1")
    with Egd(tcp) as remote, Egd(f"unix:{run.path('egd')}") as one, Egd(f"unix:{run.path('egd')}") as two:
        for client in (remote, one, two):
            in_step(client)
        program.stop()
        manager.hear_all()
        check_equal(manager.names(), ["egd-state", "egd", "egd"], "what is stored")
        program.wait_output("clients=2 closed=1$")
        check(remote.closed_within(), "a client that is not kept was left hanging")
        run.start("ekeyd", "--config", config, "--foreground", env=manager.env(), descriptors=manager.descriptors())
        in_step(one)
        in_step(two)


@test("without a store, and without a manager: nothing is sent, and clients are closed as they were before")
def no_store(run):
    for manager in (Manager(run, store=0), None):
        daemon = Ekeyd(run, name=f"ekeyd{manager is None}", env=manager.env() if manager else dict(os.environ, FDSTORE="10"))
        with daemon.client() as client:
            in_step(client)
            daemon.program.stop()
            check(client.closed_within(), "a client was left hanging")
        check(not re.search("clients are kept", daemon.program.output()), "clients are kept")
        if manager:
            manager.hear_all()
            check(not any("FDSTORE" in text for text in manager.said), f"the manager was told {manager.said}")
            manager.stop()
            os.unlink(run.path("notify"))


@test("promise 8: a service manager that reads nothing, or is gone, holds up neither the end nor the start")
def deaf(run):
    for gone in (False, True):
        manager = Manager(run)
        daemon = Ekeyd(run, name=f"ekeyd{gone}", env=manager.env())
        with daemon.client() as client:
            in_step(client)
            if gone:
                os.unlink(run.path("notify"))
            else:
                manager.deaf()
            daemon.program.signal(signal.SIGTERM)
            check_equal(daemon.program.wait(), 0, "exit status")
            check(client.closed_within(), "a client was left hanging")
            daemon.program.wait_output("clients are kept for the next start clients=0 closed=1$")
        daemon.start()
        manager.stop()
        if not gone:
            os.unlink(run.path("notify"))


@test("promise 5: a manager that cannot be told to empty its store: clients of the last ekeyd are closed for certain, and the next restart keeps those that are there then")
def not_emptied(run):
    manager = Manager(run)
    daemon = Ekeyd(run, env=manager.env())
    with daemon.client() as client:
        in_step(client)
        manager.stop_daemon(daemon)
        daemon.descriptors = manager.descriptors()
        manager.deaf()
        daemon.start()
        check(client.closed_within(), "a client whose socket the manager has, too, was left hanging")
        daemon.program.wait_output("clients of the last ekeyd are closed clients=1 reason=.*cannot be told")
    manager.hears()
    check("egd-state" in manager.names(), "the store was emptied: then this test shows nothing")
    with daemon.client() as client:
        in_step(client)
        manager.restart(daemon)
        in_step(client)


def sealed_file(text, seals=0xf):
    import fcntl
    made = os.memfd_create("test", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(made, text)
    fcntl.fcntl(made, 1033, seals)  # F_ADD_SEALS
    return made


def state_of(manager):
    fd = next(fd for fd, name in manager.stored if name == "egd-state")
    return os.pread(fd, 1 << 20, 0)


def replace_state(manager, text, **options):
    fd = next(fd for fd, name in manager.stored if name == "egd-state")
    manager.stored.remove((fd, "egd-state"))
    os.close(fd)
    if text is not None:
        manager.stored.append((sealed_file(text, **options), "egd-state"))


@test("promise 5: a store with a state that is missing, garbage, not sealed or there twice: the clients are closed with one line, and ekeyd serves")
def bad_state(run):
    manager = Manager(run)
    daemon = Ekeyd(run, softkeys=[Softkey(run)], env=manager.env())
    daemon.seeded()
    rng = random.Random(1)

    def twice(text):
        replace_state(manager, text)
        manager.stored.append((sealed_file(text), "egd-state"))
    for spoil, says in ((lambda _: replace_state(manager, None), "no list of clients"),
                        (lambda _: replace_state(manager, rng.randbytes(10000)), "no list of clients that this ekeyd knows"),
                        (lambda text: replace_state(manager, text[:-1]), "cut off"),
                        (lambda text: replace_state(manager, text + text.split(b"\n")[2] + b"\n"), "twice"),
                        (lambda text: replace_state(manager, text + b"1 " + b"02" * 67 + b"\n"), "line 4: it is no client"),
                        (lambda text: replace_state(manager, text, seals=0), "no sealed file"),
                        (twice, "two lists"),
                        (lambda text: replace_state(manager, bytes(5 << 20)), "no list")):
        with daemon.client() as client:
            in_step(client)
            manager.stop_daemon(daemon)
            spoil(state_of(manager))
            manager.start_daemon(daemon)
            check(client.closed_within(), f"a client was left hanging: {says}")
            daemon.program.wait_output(rf"clients of the last ekeyd are closed clients=1 reason=.*{says}")
            check_equal(daemon.program.output().count("last ekeyd"), 1, "lines about it")
            manager.hear_all()
            check_equal(manager.names(), [], f"the store: {says}")
            daemon.seeded()


@test("promise 5: in a store, what is foreign, stale or no longer admitted is closed, each for itself; the others are served on")
def bad_descriptors(run):
    manager = Manager(run)
    tcp, limited = (f"tcp:127.0.0.1:{free_port()}" for _ in range(2))
    daemon = Ekeyd(run, f"listen = {tcp}", f"listen = {limited}", softkeys=[Softkey(run)], env=manager.env())
    daemon.seeded()
    with daemon.client() as stays, Egd(tcp) as gone, Egd(limited) as first, Egd(limited) as second, daemon.client() as bad:
        for client in (stays, gone, first, second, bad):
            in_step(client)
        bad.send(b"\x02")
        manager.stop_daemon(daemon)
        text = state_of(manager)
        check_equal(len(re.findall(rb" 02\n", text)), 1, "clients in the middle of a command")
        replace_state(manager, text.replace(b" 02\n", b" 02ff09\n"))
        foreign, its_end = socket.socketpair()
        unknown, unknown_end = socket.socketpair()
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.stored += [(its_end.detach(), "somebody's"), (unknown_end.detach(), "egd"), (datagrams.detach(), "egd"),
                           (os.open("/dev/null", os.O_RDONLY), "egd"), (os.open("/dev/null", os.O_RDONLY), "")]
        with open(daemon.config, encoding="ascii") as file:
            config = file.read()
        run.write("ekeyd.conf", config.replace(f"listen = {tcp}\n", "").replace(limited, f"{limited},max-clients=1"))
        manager.start_daemon(daemon)
        output = daemon.program.output
        check_equal(len(bad.receive(255)), 255, "bytes for the one who asked before the garbage")
        for client in (gone, bad):
            check(client.closed_within(), "a client was left hanging")
        for end in (foreign, unknown):
            end.settimeout(60)
            check_equal(end.recv(1), b"", "what the other end of a strange connection hears")
            end.close()
        ended, _, _ = select.select([first.socket, second.socket], [], [], 60)
        check_equal(len(ended), 1, "of two clients, of whom one is admitted, those that are closed")
        in_step(second if ended == [first.socket] else first)
        in_step(stays)
        stays.read(64)
        check_contains(output(), r"closed clients=1 reason=\"its listener is no more\"", "the log")
        check_contains(output(), r"closed clients=1 reason=\"its listener does not admit it\"", "the log")
        check_contains(output(), r"closed clients=3 reason=\"they are not in the list of clients\"", "the log")
        check_contains(output(), r"closed: it is no stream socket that listens name=somebody's times=1", "the log")
        check_contains(output(), r"clients of the last ekeyd are served on clients=3\n", "the log")
        manager.hear_all()
        check_equal(manager.names(), [], "the store")


@test("a restart with passed sockets and a store: who connects meanwhile waits, and who was there stays; again and again")
def both(run):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(run.path("ekeyd.egd"))
    os.chmod(run.path("ekeyd.egd"), 0o600)
    listening.listen()
    manager = Manager(run, sockets=[(listening.fileno(), "egd")])  # a name that means something else in the store
    daemon = Ekeyd(run, softkeys=[Softkey(run)], env=manager.env(), descriptors=manager.descriptors())
    daemon.seeded()
    served = Served()
    clients = [daemon.client()]
    for _ in range(3):
        manager.stop_daemon(daemon)
        clients.append(daemon.client())
        clients[-1].ask(32)
        manager.start_daemon(daemon)
        served.add(clients[-1].receive(32))
        for client in clients:
            served.add(client.read(16))
            in_step(client)
    manager.stop_daemon(daemon)
    manager.drop()  # as `systemctl stop` does
    for client in clients:
        check(client.closed_within(), "a client was left hanging")


SETUID = 7  # linux/capability.h


@test("a start that fails leaves the store as it was: clients are served by the one that succeeds")
def failed_start(run):
    manager = Manager(run)
    daemon = Ekeyd(run, env=manager.env())
    with open(daemon.config, encoding="ascii") as file:
        good = file.read()
    with daemon.client() as client:
        in_step(client)
        manager.stop_daemon(daemon)
        # The first thing that may fail, and the last.
        for bad, status, preexec in (("lissen = x\n", 2, None), ("user = nobody\n", 1, without(SETUID))):
            run.write("ekeyd.conf", good + bad)
            program = run.start("ekeyd", *daemon.arguments, env=manager.env(), descriptors=manager.descriptors(), preexec=preexec)
            check_equal(program.wait(), status, f"exit status with {bad!r}")
            manager.hear_all()
            check_equal(sorted(manager.names()), ["egd", "egd-state"], f"the store after {bad!r}")
        run.write("ekeyd.conf", good)
        manager.start_daemon(daemon)
        in_step(client)


if __name__ == "__main__":
    main()
