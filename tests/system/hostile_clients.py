#!/usr/bin/python3
"""Clients that misbehave cost themselves; the others are served on."""
import os
import re
import socket
import struct
import threading
import time

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, check, check_contains, check_equal, main, sanitized, test


def served_on(daemon, size=512):
    """A well-behaved client gets its bytes."""
    with daemon.client() as good:
        check_equal(len(good.read(size, 10)), size, "bytes for the well-behaved client")


def setup(run):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    daemon.seeded()
    return daemon, f"tcp:127.0.0.1:{port}"


@test("promise 5: a client that asks and never reads: others are served on, memory stays bounded")
def never_reads(run):
    daemon, tcp = setup(run)
    for address in (daemon.egd, tcp):
        with Egd(address) as bad:
            bad.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            bad.socket.setblocking(False)
            asked = 0
            end = time.monotonic() + 2
            while time.monotonic() < end and asked < 4_000_000:
                try:
                    asked += bad.socket.send(b"\x00" * 4096)  # the level: an answer costs the pool nothing
                except BlockingIOError:
                    break
            served_on(daemon)
            check(sanitized() or daemon.memory() < 8192, f"{daemon.memory()} kB resident with a client that never reads")
    served_on(daemon)


@test("promise 5: a client that asks for everything and never reads does not empty the pool for others")
def hoards(run):
    daemon, _ = setup(run)
    with daemon.client() as bad:
        bad.send(b"\x02\xff" * 2000)
        served_on(daemon, 1024)
        served_on(daemon, 1024)


@test("promise 5: garbage on the EGD socket ends that connection only")
def garbage(run):
    daemon, tcp = setup(run)
    with daemon.client() as good:
        for address in (daemon.egd, tcp):
            for junk in (b"\x05", b"\xff" * 300, b"GET / HTTP/1.0\r\n\r\n", b"\x04\x80\x00\x00"):
                with Egd(address) as bad:
                    bad.send(junk)
                    check(bad.closed_within(5), f"{address} keeps a client that sent {junk[:20]!r}")
        check_equal(len(good.read(64)), 64, "bytes for the client that was connected all the time")
    served_on(daemon)


@test("promise 5: garbage on the control socket is answered with ERROR or the end of that connection")
def control_garbage(run):
    daemon, _ = setup(run)
    lines = [b"Nonsense\n", b'StatEntropyKey("\n', b"os.exit(1)\n", b"\x00\xff\x7f\n", b"Shutdown(\n",
             b'AddEntropyKey("/dev/null" .. "x")\n', b"Shutdown Shutdown\n", b"RemoveEntropyKey(\"1\n"]
    for line in lines:
        with daemon.controller() as control:
            control.send(line)
            answer = control.line()
            check(re.match(r"ERROR \S", answer), f"{line!r} was answered with {answer!r}")
            check_equal(len(control.keys()), 1, f"keys listed on the same connection after {line!r}")
    with daemon.controller() as control:
        control.send(b"x" * 100_000)
        check_contains(control.line(), r"^ERROR .*long", "the answer to a line without an end")
        control.send(b"\n")
        check_equal(len(control.keys()), 1, "keys listed on the same connection after it")
    served_on(daemon)
    with daemon.controller() as control:
        check_equal(len(control.keys()), 1, "keys listed")


@test("promise 5: one byte a second: the slow client is served, and so are the others")
def slow(run):
    daemon, _ = setup(run)
    with daemon.client() as bad:
        bad.send(b"\x03\x00")  # a write of which the rest comes drop by drop
        for byte in b"\x40\x05hello":
            served_on(daemon, 64)
            time.sleep(1)
            bad.send(bytes([byte]))
        check(len(bad.read_now(16)) <= 16, "an answer after a slow command")


@test("promise 5: clients that vanish while they wait: the others get their bytes, nothing is left behind")
def vanish(run):
    key = Softkey(run, rate=50)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded()
    files = len(open_files(daemon))
    for turn in range(20):
        crowd = [daemon.client() for _ in range(10)]
        for client in crowd:
            client.ask(255)
        for client in crowd:  # half of them with a reset instead of an orderly end
            if turn % 2:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    with daemon.client() as good:
        check_equal(len(good.read(64, 20)), 64, "bytes for the client that stayed")
    end = time.monotonic() + 10
    while len(open_files(daemon)) > files and time.monotonic() < end:
        time.sleep(0.05)
    check(len(open_files(daemon)) <= files, f"{len(open_files(daemon))} open files after the crowd, {files} before")


def open_files(daemon):
    return os.listdir(f"/proc/{daemon.program.pid}/fd")


def shares(run, requests):
    """Lets eight clients drink from a slow source for some seconds; `requests(which)` is how much each asks for at a
    time, and how many requests it keeps in the pipe. Returns the bytes that each got.
    """
    daemon = Ekeyd(run, softkeys=[Softkey(run, rate=200)])
    daemon.seeded()
    got = [0] * 8
    stop = threading.Event()

    def drink(which):
        size, ahead = requests(which)
        with daemon.client() as client:
            for _ in range(ahead):
                client.ask(size)
            while not stop.is_set():
                client.receive(size)
                got[which] += size
                client.ask(size)

    threads = [threading.Thread(target=lambda w=w: quietly(drink, w)) for w in range(len(got))]
    for thread in threads:
        thread.start()
    time.sleep(8)  # a span of measuring, not a wait for something
    counts = list(got)
    stop.set()
    for thread in threads:
        thread.join()
    jain = sum(counts) ** 2 / (len(counts) * sum(n * n for n in counts))
    print(f"bytes: {counts}, Jain's index {jain:.4f}")
    check(min(counts) > 0, f"starved: {counts}")
    return counts, jain


@test("promise 7: clients that wait are served in turns: who asks for much at a time gets no more than others")
def fair(run):
    # All keep enough requests in the pipe to be waiting whenever there is something to share.
    counts, jain = shares(run, lambda which: (255, 100) if which < 2 else (32, 20))
    check(jain > 0.95, f"unfair shares {counts}, Jain's index {jain:.3f}")


@test("promise 7: who asks again only after each answer gets its share beside those who ask far ahead")
def modest(run):
    counts, jain = shares(run, lambda which: (32, 50) if which < 2 else (32, 1))
    check(jain > 0.9 and min(counts) > max(counts) / 3, f"unfair shares {counts}, Jain's index {jain:.3f}")


def quietly(function, argument):
    try:
        function(argument)
    except (Failure, OSError):
        pass


@test("promise 8: 600 connections at once do not end the daemon (1.1.5 died at 260)")
def crowd(run):
    daemon, tcp = setup(run)
    clients = []
    try:
        for number in range(600):
            clients.append(Egd(tcp if number % 2 else daemon.egd))
        for client in clients[-50:]:
            client.ask(8)
        for client in clients[-50:]:
            client.receive(8)
    finally:
        for client in clients:
            client.close()
    served_on(daemon)


if __name__ == "__main__":
    main()
