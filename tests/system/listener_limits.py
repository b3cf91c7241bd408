#!/usr/bin/python3
"""What a listener's parameters grant, and refuse. Several addresses of the loopback network stand for networks."""
import os
import re
import socket
import time

from clients import ControlError, Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, Skip, check, check_contains, check_equal, main, test, wait_until

# Far above what a machine needs that is not busy: what must not happen early is checked, not what happens late.
PATIENT = 60


class From(Egd):
    """A TCP client that comes from a given address of the loopback network."""

    def __init__(self, port, source, host="127.0.0.1"):
        self.address = f"tcp:{host}:{port} from {source}"
        self.socket = socket.create_connection((host, port), PATIENT, (source, 0))

    def refused(self):
        return self.closed_within(PATIENT)


def limited(run, parameters, host="127.0.0.1", settings=()):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:{host}:{port},{parameters}", *settings, softkeys=[Softkey(run)])
    daemon.seeded()
    return daemon, port


def counters(daemon, kind="tcp"):
    with daemon.controller() as control:
        for row, *fields in control.command("ListListeners")[0]:
            if row.startswith(kind):
                return {name: int(value) for name, value in (field.split("=") for field in fields)}
    raise Failure(f"no {kind} listener is listed")


@test("promise 5: allow= and deny= by network: who is refused is closed at once, counted, and told of once")
def networks(run):
    daemon, port = limited(run, "allow=127.0.2.0/24,deny=127.0.2.128/25,allow=127.0.2.200")
    for good in ("127.0.2.1", "127.0.2.200"):
        with From(port, good) as client:
            check_equal(len(client.read(32, PATIENT)), 32, f"bytes for {good}")
    for number in range(10):
        for bad in ("127.0.0.1", "127.0.2.129"):
            with From(port, bad) as client:
                check(client.refused(), f"{bad} is not refused")
    count = counters(daemon)
    check_equal((count["denied"], count["refused"], count["accepted"]), (20, 20, 2), "denied, refused and accepted")
    check_equal(len(re.findall("rules do not admit", daemon.program.output())), 1, "lines on twenty refusals")
    daemon.seeded()  # the Unix socket is another listener


@test("access: an IPv4 client of an IPv6 listener is judged by its IPv4 address")
def mapped(run):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        raise Skip("no IPv6 here") from None
    daemon, port = limited(run, "allow=127.0.2.0/24,allow=::1", host="[::]")
    with From(port, "127.0.2.1") as good, From(port, "127.0.3.1") as bad, Egd(f"tcp:[::1]:{port}") as six:
        check_equal(len(good.read(16, PATIENT)), 16, "bytes for the allowed IPv4 address")
        check_equal(len(six.read(16, PATIENT)), 16, "bytes for the allowed IPv6 address")
        check(bad.refused(), "127.0.3.1 is not refused")


@test("access: a Unix socket asks the kernel who its client is")
def users(run):
    if os.geteuid() != 0:
        raise Skip("needs root, to come as somebody else")
    os.chmod(run.folder, 0o755)
    path = run.path("peers.egd")
    daemon = Ekeyd(run, f"listen = unix:{path},mode=0666,allow-uid=4321,allow-gid=8765", softkeys=[Softkey(run)])
    daemon.seeded()

    def served(user, group, groups=()):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(groups)
                os.setresgid(group, group, group)
                os.setresuid(user, user, user)
                with Egd("unix:" + path) as client:
                    try:
                        os.write(writer, b"y" if len(client.read(8, PATIENT)) == 8 else b"?")
                    except (Failure, OSError):
                        os.write(writer, b"n")
            finally:
                os._exit(0)
        os.close(writer)
        answer = os.read(reader, 1)
        os.close(reader)
        os.waitpid(child, 0)
        return answer

    check_equal(served(4321, 99), b"y", "the named user")
    check_equal(served(99, 8765), b"y", "the named group")
    check_equal(served(99, 99, [1, 8765]), b"y", "a member of the named group")
    check_equal(served(99, 99, [1, 2]), b"n", "another user")
    check_equal(served(0, 0), b"n", "root, who was not named")
    check_equal(counters(daemon, "unix:" + path)["denied"], 2, "denied")


@test("rates: a client that asks for more than its rate is served at its rate, in whole answers, without an error")
def rate(run):
    daemon, port = limited(run, "rate=1000,burst=500")
    with From(port, "127.0.0.1") as client:
        began = time.monotonic()
        for _ in range(25):
            client.ask(100)
        check_equal(len(client.receive(2500, PATIENT)), 2500, "bytes")
        seconds = time.monotonic() - began
    check(seconds >= 1.99, f"2,500 bytes at 1,000 a second after a burst of 500 took {seconds:.3f} s")
    check(counters(daemon)["delayed"] > 0, "no request was counted as delayed")
    check_equal(len(re.findall("what their rate allows", daemon.program.output())), 1, "lines on delayed requests")


@test("rates: the clients of a network share its rate; another network has its own")
def network_rate(run):
    daemon, port = limited(run, "rate-network=500,burst-network=500")
    crowd = [From(port, f"127.0.5.{number}") for number in range(1, 11)]
    began = time.monotonic()
    for client in crowd:
        client.ask(150)
    with From(port, "127.0.6.1") as other:
        check_equal(len(other.read(255, PATIENT)), 255, "bytes for another network")
    for client in crowd:
        check_equal(len(client.receive(150, PATIENT)), 150, "bytes for one of the crowd")
        client.close()
    seconds = time.monotonic() - began
    check(seconds >= 1.99, f"1,500 bytes at 500 a second after a burst of 500 took {seconds:.3f} s")


@test("promise 7: a network may have so many clients, and no more; others come in")
def network_clients(run):
    daemon, port = limited(run, "max-clients-network=3")
    crowd = [From(port, f"127.0.5.{number}") for number in range(1, 4)]
    for client in crowd:
        client.level()
    with From(port, "127.0.5.9") as fourth:
        check(fourth.refused(), "a fourth client of the network is not refused")
    with From(port, "127.0.6.1") as other:
        check_equal(len(other.read(16, PATIENT)), 16, "bytes for another network")
    crowd.pop().close()
    wait_until(lambda: counters(daemon)["clients"] == 2, "the one that left is gone", PATIENT)
    with From(port, "127.0.5.9") as fourth:
        check_equal(len(fourth.read(16, PATIENT)), 16, "bytes for the one that came when another had left")
    check_equal(counters(daemon)["network-full"], 1, "clients refused for their network")
    for client in crowd:
        client.close()


@test("promise 7: a reserve is there for a local client while remote ones take all they can get")
def reserve(run):
    port = free_port()
    key = Softkey(run, rate=200)
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", "pool-size = 8192", "reserve = 2048", softkeys=[key])
    daemon.seeded()
    crowd = [From(port, f"127.0.7.{number}") for number in range(1, 21)]
    for client in crowd:
        client.send(b"\x02\xff" * 200)  # more than a minute's noise

    def health(name):
        return int(re.search(rf"^{name}=(\d+)$", daemon.health(), re.MULTILINE).group(1))

    wait_until(lambda: health("PoolReserved") == 2048, "the reserve fills beside twenty greedy clients", PATIENT)
    check(health("PoolWaiting") > 0, "no remote client waits")
    with daemon.client() as local:
        check(local.level() >= 8 * 1024, "the reserve is not told to a local client")
        check_equal(len(local.read_now(255)), 255, "bytes that a local client gets without waiting")
    with From(port, "127.0.8.1") as remote:
        check_equal(remote.read_now(255), b"", "bytes of the reserve that a remote client gets")
    before = counters(daemon)["bytes"]
    wait_until(lambda: counters(daemon)["bytes"] > before, "remote clients are served on", PATIENT)
    for client in crowd:
        client.close()


@test("time-outs: who says nothing is closed; who waits for its bytes is not")
def idle(run):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port},idle=2,handshake=2")  # no source: who asks, waits
    with From(port, "127.0.0.1") as silent, From(port, "127.0.0.1") as waits, From(port, "127.0.0.1") as early:
        waits.ask(16)
        early.level()
        began = time.monotonic()
        check(silent.closed_within(PATIENT), "a client that never asked is kept")
        check(early.closed_within(PATIENT), "a client that asks no more is kept")
        check(time.monotonic() - began >= 1.9, "idle clients are closed before their time")
        check_equal((counters(daemon)["timed-out"], counters(daemon)["clients"]), (2, 1), "timed out and left")
        check(waits.silent_for(0.5), "an answer without a source")


@test("promise 2: what clients write is mixed in when the listener says so, and credited never")
def writes(run):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port},accept-writes=mix")  # no source: nothing may be served
    began = time.monotonic()
    with From(port, "127.0.0.1") as writer:
        for _ in range(200):
            writer.write(b"\x02\x10" * 100, bits=65535)
        check_equal(writer.level(), 0, "the level after 40,000 written bytes")
        check_equal(writer.read_now(255), b"", "bytes made of what a client wrote")
    count = counters(daemon)
    check_equal(count["written"], 40000, "bytes written")
    most = 4096 * (1 + time.monotonic() - began)
    check(3896 < count["mixed"] <= most, f"{count['mixed']} bytes mixed, where {most:.0f} may be")
    with daemon.client() as other:
        for _ in range(10):
            other.write(b"x" * 255)
        other.level()
    check_equal(counters(daemon, "unix")["mixed"], 0, "bytes mixed by a listener that was not told to")


@test("listeners: while the daemon runs it looks up no host names, and says so")
def names(run):
    daemon = Ekeyd(run)
    port = free_port()
    with daemon.controller() as control:
        try:
            control.command(f'AddListener("tcp:localhost:{port}")')
            raise Failure("a host name was taken")
        except ControlError as error:
            check_contains(str(error), "give an address, such as 127.0.0.1", "the answer to a host name")
        control.command(f'AddListener("tcp:127.0.0.1:{port},allow=127.0.0.0/8")')
    with Egd(f"tcp:127.0.0.1:{port}") as client:
        check_equal(client.level(), 0, "the level")


if __name__ == "__main__":
    main()
