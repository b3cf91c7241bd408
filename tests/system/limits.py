#!/usr/bin/python3
"""What the system refuses: descriptors, room in a file. The daemon stays, and goes on when it can."""
import os
import resource
import socket
import struct

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import check, check_equal, cpu_seconds, main, test, wait_until


def limit(what, value):
    return lambda: resource.setrlimit(what, (value, value))


@test("promise 8: out of descriptors: those who are connected are served, later ones when there is room again")
def descriptors(run):
    most = 40
    daemon = Ekeyd(run, softkeys=[Softkey(run)], preexec=limit(resource.RLIMIT_NOFILE, most))
    daemon.seeded()
    first = daemon.client()
    crowd = [daemon.client() for _ in range(2 * most)]  # the kernel's queue takes those that ekeyd cannot
    check_equal(len(first.read(64)), 64, "bytes for a client that was there before")
    used = cpu_seconds(daemon.program.pid)
    check(first.silent_for(1), "something came unasked")
    spent = cpu_seconds(daemon.program.pid) - used
    check(spent < 0.3, f"{spent:.2f} s of CPU in a second: it spins while it cannot accept")
    for client in crowd:
        client.close()
    with daemon.client() as later:
        check_equal(len(later.read(64)), 64, "bytes for a later client")
    first.close()


@test("promise 8: a file sink that can grow no more: the daemon says so, and serves on")
def full_file(run):
    out = run.path("out")
    daemon = Ekeyd(run, f"sink = file:{out}", softkeys=[Softkey(run)], preexec=limit(resource.RLIMIT_FSIZE, 8192))
    wait_until(lambda: os.path.exists(out) and os.stat(out).st_size == 8192, "the file reaches its limit")
    wait_until(lambda: "File too large" in run.run("ekeydctl", "--socket", daemon.control[5:], "show"),
               "the sink's state tells what is wrong")
    with daemon.client() as client:
        check_equal(len(client.read(640)), 640, "bytes for a client")
    os.truncate(out, 0)
    wait_until(lambda: os.stat(out).st_size >= 64, "it writes again when there is room", seconds=40)


@test("promise 8: a FIFO without a reader, and one whose reader goes away: the daemon serves on")
def fifo(run):
    path = run.path("fifo")
    daemon = Ekeyd(run, f"sink = fifo:{path}", softkeys=[Softkey(run)])
    daemon.seeded()
    for _ in range(2):
        with open(path, "rb", buffering=0) as reader:
            check(reader.read(64), "bytes from the FIFO")
        with daemon.client() as client:
            check_equal(len(client.read(64)), 64, "bytes for a client while nobody reads the FIFO")


@test("promise 8: TCP clients that end with a reset in the middle of an answer: others are served on")
def resets(run):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    daemon.seeded()
    for _ in range(50):
        client = Egd(f"tcp:127.0.0.1:{port}")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.send(b"\x02\xff" * 30)
        client.close()
    with Egd(f"tcp:127.0.0.1:{port}") as client:
        check_equal(len(client.read(64)), 64, "bytes")


if __name__ == "__main__":
    main()
