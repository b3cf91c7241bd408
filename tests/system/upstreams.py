#!/usr/bin/python3
"""ekeyd as client of EGD servers in clear: what is credited, several of them, and servers that misbehave."""
import random
import re

from daemons import Ekeyd
from egd_server import EgdServer
from harness import check, check_equal, main, test, wait_until

LONG = 60  # seconds; what waits for a reconnection, whose pauses grow


def noise(seed):
    """Bytes that look like noise, the same in every run: one in some hundred blocks of true noise fails a test."""
    return random.Random(seed).randbytes


def number(daemon, name, key=1):
    return int(daemon.statistic(name, key) or 0)


def status(daemon, key=1):
    return str(daemon.key(key).get("Status"))


def released(daemon, size, key=1):
    wait_until(lambda: number(daemon, "BytesReleased", key) >= size, f"{size} bytes pass the tests of source {key}: "
               f"{status(daemon, key)}", LONG)


@test("promise 2: a clear TCP upstream alone never fills the pool, however much it sends")
def clear_is_not_credited(run):
    server = EgdServer("tcp:127.0.0.1:0", data=noise(1))
    daemon = Ekeyd(run, f"source = egd:{server.address}")
    released(daemon, 20000)
    check_equal(daemon.statistic("MinEntropyPerByte"), "0", "bits credited a byte")
    with daemon.client() as client:
        check_equal(client.level(), 0, "bits in the pool")
        check_equal(client.read_now(32), b"", "bytes for who does not wait")
        client.ask(32)
        released(daemon, 40000)
        check(client.silent_for(0.1), "a waiting client was served")
    server.close()


@test("promise 2: each EGD upstream is credited as configured, a Unix socket with 4 bits unless said otherwise")
def credit_as_configured(run):
    local = EgdServer("unix:" + run.path("server"), data=noise(2))
    remote = EgdServer("tcp:127.0.0.1:0", data=noise(3))
    for settings, credit in (((f"egd:{local.address}",), "4"), ((f"egd:{remote.address},min-entropy=2",), "2")):
        daemon = Ekeyd(run, *(f"source = {each}" for each in settings))
        check_equal(len(daemon.seeded(1000, LONG)), 1000, "bytes")
        check_equal(daemon.statistic("MinEntropyPerByte"), credit, "bits credited a byte")
        counted = number(daemon, "BytesReleased") * int(credit)
        check(counted >= 8 * 1000, f"1000 bytes were served of {counted} bits")
        daemon.program.stop()
    nothing = Ekeyd(run, f"source = egd:{local.address},min-entropy=0")
    released(nothing, 20000)
    with nothing.client() as client:
        check_equal(client.level(), 0, "bits in the pool")
    for each in (local, remote):
        each.close()


@test("two upstreams are mixed; when one goes the other goes on, and it is used again when it comes back")
def failover(run):
    addresses = ["unix:" + run.path(name) for name in ("first", "second")]
    servers = [EgdServer(address, data=noise(seed)) for seed, address in enumerate(addresses)]
    daemon = Ekeyd(run, *(f"source = egd:{address}" for address in addresses))
    for key in (1, 2):
        released(daemon, 2500, key)
    for gone, stays in ((0, 1), (1, 0)):
        servers[gone].close()
        wait_until(lambda: "Away" in status(daemon, gone + 1), "the daemon notices", LONG)
        check_equal(status(daemon, stays + 1), "Running OK", "status of the other")
        before = number(daemon, "BytesRead", stays + 1)
        daemon.seeded(70000, LONG)  # more than the pool holds
        check(number(daemon, "BytesRead", stays + 1) > before, "the other is not asked")
        before = number(daemon, "BytesReleased", gone + 1)
        servers[gone] = EgdServer(addresses[gone], data=noise(10 + gone))
        with daemon.client() as client:
            wait_until(lambda: drained(client) and number(daemon, "BytesReleased", gone + 1) > before,
                       f"it is used again: {status(daemon, gone + 1)}", LONG)
    check_equal(daemon.program.output().count("upstream is away"), 2, "times that the daemon says it")
    for each in servers:
        each.close()


@test("promise 5: EGD servers that send too much, hang up in an answer, stall or send bad noise cost only themselves")
def misbehaving(run):
    stuck = b"\x55"
    kinds = [("garbage", noise(20), "nothing asked for"), ("half", noise(21), "closed the connection"),
             ("serve", lambda size: stuck * size, "Health test failed")]
    bad = [EgdServer("unix:" + run.path(f"bad-{i}"), mode, data) for i, (mode, data, _) in enumerate(kinds)]
    good = EgdServer("unix:" + run.path("good"), data=noise(23))
    daemon = Ekeyd(run, *(f"source = egd:{each.address}" for each in [good, *bad]))
    for key, (mode, _, expected) in enumerate(kinds, 2):
        with daemon.client() as client:
            wait_until(lambda: drained(client) and re.search(expected, status(daemon, key)),
                       f"{mode}: the daemon says what is wrong: {status(daemon, key)}", LONG)
    for key, (server, (mode, *_)) in enumerate(zip(bad, kinds), 2):
        taken = number(daemon, "BytesRead", key)  # first: both go on growing
        asked = sum(sum(client.requests) for client in server.clients)
        check(taken <= asked, f"{mode}: more bytes were taken than asked for")
    check_equal(number(daemon, "BytesReleased", 4), 0, "bytes of bad noise that passed")
    check_equal(status(daemon), "Running OK", "status of the good server")
    check_equal(len(daemon.seeded(4000, LONG)), 4000, "bytes from the good server")
    for each in (*bad, good):
        each.close()


@test("an EGD server that stalls is silent for the daemon, and is used again when it is connected to again")
def stalling(run):
    address = "unix:" + run.path("server")
    server = EgdServer(address, "silent")
    daemon = Ekeyd(run, f"source = egd:{address}", "silence = 1")
    daemon.program.wait_output("failure=silence.*no noise came for 1 second", LONG)
    with daemon.client() as client:
        check_equal(client.level(), 0, "bits in the pool")
        client.ask(64)
        server.close()
        server = EgdServer(address, data=noise(30))
        check_equal(len(client.receive(64, LONG)), 64, "bytes for the client that waited")
    server.close()


def drained(client):
    """Keeps the pool from being full, so that sources are asked."""
    return len(client.read(255, LONG)) == 255


if __name__ == "__main__":
    main()
