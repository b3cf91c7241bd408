#!/usr/bin/python3
"""Sealed links: ekeyd as server and as client, against an independent implementation of Noise, and against
strangers and men in the middle."""
import os
import random
import signal
import struct
import time

from clients import Connection, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, check, check_equal, main, test, wait_until
from noise_peer import (SealedClient, SealedServer, Stream, frame, hello, identity_file, key_pair, public_text)



def noise(seed):
    """Bytes that look like noise, the same in every run: one in some hundred blocks of true noise fails a test."""
    return random.Random(seed).randbytes


LONG = 60  # seconds; what waits for a reconnection, whose pauses grow


class Server:
    """An ekeyd with a software key, a sealed listener and the peers given: (key pair, name, options)."""

    def __init__(self, run, *peers, settings=(), parameters="", name="home", source=True):
        self.keys = key_pair()
        self.public = public_text(self.keys)
        self.port = free_port()
        self.address = f"tcp:127.0.0.1:{self.port}"
        self.peers = run.path(name + ".peers")
        self.write_peers(run, *peers, name=name)
        identity = identity_file(run, name + ".key", self.keys)
        self.daemon = Ekeyd(
            run, f"identity = {identity}",
            f"listen = sealed:127.0.0.1:{self.port},peers={self.peers}{parameters}", *settings, name=name,
            softkeys=[Softkey(run, name=name + ".softkey")] if source else [])

    def write_peers(self, run, *peers, name="home"):
        run.write(name + ".peers", "".join(f"{public_text(pair)} {who} {options}\n" for pair, who, options in peers))

    def source(self, parameters=""):
        return f"source = sealed:127.0.0.1:{self.port},key={self.public}{parameters}"

    def client(self, own, **options):
        return SealedClient(self.address, own, self.public, **options)

    def counter(self, name):
        """Of the sealed listener, as ekeydctl show prints it."""
        with self.daemon.controller() as control:
            rows, _ = control.command("ListListeners")
        row = next(row for row in rows if row[0].startswith("sealed:"))
        return int(next(field for field in row if field.startswith(name + "=")).partition("=")[2])


def status(daemon, key=1):
    row = daemon.key(key)
    return row["Status"] if row and "Status" in row else str(row)


@test("an independent Noise client is served: with re-keying and a path, and plain with an empty prologue")
def independent_client(run):
    own = key_pair()
    server = Server(run, (own, "slice-1", "credit=4"))
    for plain in (False, True):
        with server.client(own, plain=plain) as client:
            payload = client.shake_hands()
            expected = b"" if plain else hello([server.keys.public.data], credit=4)
            check_equal(payload, expected, "the server's payload")
            got = b"".join(client.read(255) for _ in range(12))
            check_equal(len(got), 12 * 255, "bytes")
            check(len(set(got)) > 200, "what came does not look like noise")
            client.send(b"\x00")
            struct.unpack(">I", client.receive(4))
            client.send(b"")  # an empty message does nothing
            client.send(b"\x02")  # a request in two messages
            client.send(b"\x10\x02\x10")
            check_equal(len(client.receive(32)), 32, "bytes of two requests in odd messages")
            client.send(b"\x02\xff" * 100)  # more in one message than a client's record holds
            check_equal(len(client.receive(25500)), 25500, "bytes of a hundred requests in one message")
    check_equal(server.counter("errors"), 0, "protocol errors")


@test("ekeyd as client of an independent Noise server: asks by need, and credits what the server advises")
def independent_server(run):
    own = key_pair()
    servers = [SealedServer(key_pair(), [own.public.data], noise(1)),
               SealedServer(key_pair(), [own.public.data], noise(2), payload=b""),
               SealedServer(key_pair(), [own.public.data], noise(3))]
    servers[2].payload = hello([servers[2].own.public.data, key_pair().public.data], hop_limit=3, credit=2)
    identity = identity_file(run, "relay.key", own)
    relay = Ekeyd(run, f"identity = {identity}",
                  *(f"source = sealed:{s.address},key={public_text(s.own)}" for s in servers), name="relay")
    relay.seeded(1000, LONG)
    for number, (server, claim) in enumerate(zip(servers, ("8", "8", "2")), 1):
        wait_until(lambda: int(relay.statistic("BytesReleased", number)) > 0, "bytes pass the tests", LONG)
        check_equal(relay.statistic("MinEntropyPerByte", number), claim, "bits credited a byte")
        check_equal(server.connections, 1, "connections")
        check_equal(server.payloads[0], hello([own.public.data]), "the client's payload")
    check_equal(relay.statistic("HopLimit", 3), "3", "the hop limit of the last server")
    # The pool is full: nothing is asked for any more, until somebody takes from it.
    wait_until(lambda: int(relay.statistic("RequestsOutstanding")) == 0, "the pool is full", LONG)
    asked = [server.asked for server in servers]
    relay.seeded(255)
    check_equal([server.asked for server in servers], asked, "bytes asked for while the pool is full enough")
    relay.seeded(40000, LONG)
    wait_until(lambda: all(server.asked > before for server, before in zip(servers, asked)), "they are asked again",
               LONG)


@test("home to relay to client over sealed links; a server that comes back is used again")
def relay_chain(run):
    own, leaf = key_pair(), key_pair()
    home = Server(run, (own, "relay", ""))
    relay_port = free_port()
    run.write("relay.peers", f"{public_text(leaf)} leaf\n")
    relay = Ekeyd(run, f"identity = {identity_file(run, 'relay.key', own)}", home.source(),
                  f"listen = sealed:127.0.0.1:{relay_port},peers={run.path('relay.peers')}", name="relay")
    relay.seeded(64, LONG)

    def path():
        with SealedClient(f"tcp:127.0.0.1:{relay_port}", leaf, public_text(own)) as client:
            payload = client.shake_hands()
            check_equal(len(client.read(64)), 64, "bytes through the relay")
            return payload
    check_equal(path(), hello([own.public.data, home.keys.public.data], hop_limit=7), "the relay's path")
    home.daemon.program.stop()
    wait_until(lambda: "Away" in status(relay), "the relay notices", LONG)
    home.daemon.start()
    before = int(relay.statistic("BytesRead"))
    relay.seeded(70000, LONG)  # more than its pool
    check(int(relay.statistic("BytesRead")) > before, "the relay takes from the server that came back")
    path()


@test("a sealed client that does not read stalls alone, and then gets all, in order")
def slow_reader(run):
    slow, quick = key_pair(), key_pair()
    server = Server(run, (slow, "slow", ""), (quick, "quick", ""), parameters=",output=drbg")
    requests, size = 30000, 255
    with server.client(slow) as client, server.client(quick) as other:
        check_equal(client.shake_hands()[2], 0, "the credit advised for a generator's output")
        other.shake_hands()
        client.stream.socket.settimeout(1)
        asked = 0
        try:
            while asked < requests:
                client.send(bytes([2, size]) * 500)
                asked += 500
        except TimeoutError:  # the server does not read on either; the rest of that message is lost to us
            raise Failure(f"the server took only {asked} requests") from None
        check_equal(len(other.read(255)), 255, "bytes for another client meanwhile")
        client.stream.socket.settimeout(LONG)
        check_equal(len(client.receive(requests * size)), requests * size, "bytes")
    check_equal(server.counter("errors"), 0, "protocol errors")


@test("promise 5: who is not in the peers file learns nothing, is counted, and costs nothing lasting")
def strangers(run):
    own, stranger, other = key_pair(), key_pair(), key_pair()
    server = Server(run, (own, "slice-1", ""), parameters=",handshake=2")
    server.daemon.seeded()
    before = server.daemon.memory()
    for payload in (b"", hello([stranger.public.data]), b"garbage"):
        with server.client(stranger, payload=payload) as client:
            client.stream.socket.sendall(client.opening)
            check_equal(client.stream.closed(), b"", "what an unknown key is told")
    with SealedClient(server.address, own, public_text(other)) as client:  # the wrong server's key
        client.stream.socket.sendall(client.opening)
        check_equal(client.stream.closed(), b"", "what a client of another server is told")
    for garbage in (b"\xff\xff", b"\x00\x00", b"\x00\x60" + bytes(96), b"GET / HTTP/1.1\r\n\r\n" * 200, os.urandom(4000)):
        with Connection(server.address) as client:
            client.send(garbage)
            check_equal(Stream(client.socket).closed(), b"", "what garbage is told")
    half_open = [Connection(server.address) for _ in range(20)]
    for each in half_open:
        each.send(b"\x00")
    check(all(each.closed_within(30) for each in half_open), "half-open handshakes are not closed in time")
    # A recorded first message, sent again: an answer, and no client.
    with server.client(own) as client:
        client.shake_hands()
        client.read(32)
        recorded = client.opening
    with Connection(server.address) as client:
        accepted = server.counter("accepted")
        client.send(recorded)
        check_equal(len(Stream(client.socket).message()), 48 + 4 + 32, "the answer's size")
        client.send(frame(bytes(18)))
        check(client.closed_within(), "a replayed handshake goes on")
        check_equal(server.counter("accepted"), accepted, "clients accepted")
    for _ in range(100):
        with server.client(stranger) as client:
            client.stream.socket.sendall(client.opening)
            client.stream.closed()
    wait_until(lambda: server.counter("clients") == 0, "all are gone")
    grown = server.daemon.memory() - before
    check(grown < 1024, f"{grown} kB more resident memory after a hundred strangers")
    log = server.daemon.program.output()
    check(log.count("its key is not in the peers file") == 1, "unknown keys are said more than once, or not")
    check(server.counter("denied") >= 102, "unknown keys are not counted")
    with server.client(own) as client:
        client.shake_hands()
        check_equal(len(client.read(64)), 64, "bytes for a known client afterwards")


@test("a wrong server key, and a server that does not know us: nothing comes, and the source says why")
def wrong_keys(run):
    own, other = key_pair(), key_pair()
    home = Server(run, (own, "relay", ""))
    wrong = f"source = sealed:localhost:{home.port},key={public_text(other)}"
    relay = Ekeyd(run, f"identity = {identity_file(run, 'relay.key', own)}", wrong, name="relay")
    stranger = Ekeyd(run, f"identity = {identity_file(run, 'stranger.key', other)}", home.source(), name="stranger")
    for daemon in (relay, stranger):
        wait_until(lambda: "does it know this host's public key" in status(daemon), "the source says why", LONG)
        check_equal(daemon.statistic("BytesRead"), "0", "bytes that came")


def flip(message, at=-1):
    altered = bytearray(message)
    altered[at] ^= 1
    return bytes(altered)


# What a man in the middle does to the messages of an answer, of which there are three.
TAMPERINGS = {
    "altered": lambda m: [m[0], flip(m[1]), m[2]],
    "altered first byte": lambda m: [m[0], flip(m[1], 2), m[2]],
    "dropped": lambda m: [m[0], m[2]],
    "replayed": lambda m: [m[0], m[0], m[1], m[2]],
    "reordered": lambda m: [m[0], m[2], m[1]],
    "made longer": lambda m: [m[0], struct.pack(">H", len(m[1]) - 1) + m[1][2:] + b"\0", m[2]],
    "over-long": lambda m: [m[0], b"\xff\xff" + m[1][2:], m[2]],
    "too short": lambda m: [m[0], frame(m[1][2:17]), m[2]],
    "made up": lambda m: [m[0], frame(os.urandom(len(m[1]) - 2)), m[2]],
}


@test("promise 5: a man in the middle alters, drops, replays and reorders answers: no forgery is accepted")
def forged_answers(run):
    own = key_pair()
    servers = {name: SealedServer(key_pair(), [own.public.data], alter=alter) for name, alter in TAMPERINGS.items()}
    relay = Ekeyd(run, f"identity = {identity_file(run, 'relay.key', own)}",
                  *(f"source = sealed:{s.address},key={public_text(s.own)}" for s in servers.values()), name="relay")
    for number, (name, server) in enumerate(servers.items(), 1):
        check(server.ended.wait(LONG), f"{name}: the link goes on")
        wait_until(lambda: "a message" in status(relay, number), f"{name}: the source says why: "
                   f"{status(relay, number)}", LONG)
    forged = {}
    for number, (name, server) in enumerate(servers.items(), 1):
        server.close()
        accepted = int(relay.statistic("BytesRead", number))
        if accepted > server.sent:
            forged[name] = accepted - server.sent
        check(server.sent > 0, f"{name}: nothing honest was sent")
    check_equal(forged, {}, "bytes accepted of forged messages")


@test("promise 5: a man in the middle of a client's requests, and one who turns messages back: none is accepted")
def forged_requests(run):
    own = key_pair()
    server = Server(run, (own, "slice-1", ""))
    server.daemon.seeded()
    ask = b"\x02\x08"
    ways = {
        "altered": lambda c, m: flip(m[0]),
        "dropped": lambda c, m: m[1],
        "replayed": lambda c, m: m[0] + m[0],
        "reordered": lambda c, m: m[1] + m[0],
        "over-long": lambda c, m: b"\xff\xff",
        "truncated": lambda c, m: m[0][:-1],
        "turned back": None,
    }
    honest = 0
    for name, way in ways.items():
        with server.client(own) as client:
            client.shake_hands()
            client.send(ask)
            message = client.stream.message()
            client.receiving.open(message)
            honest += 1
            sealed = [client.sending.seal(ask), client.sending.seal(ask)]
            client.stream.socket.sendall(way(client, sealed) if way else frame(message))
            honest += name == "replayed"
            if name == "truncated":
                client.stream.socket.shutdown(1)
            client.stream.closed()  # ends, whatever came before
        wait_until(lambda: server.counter("clients") == 0, f"{name}: the link goes on")
    check_equal(server.counter("requests"), honest, "requests accepted")
    check(server.counter("errors") >= len(ways), "broken links are not counted")


@test("the peers file is read again on SIGHUP; a bad one changes nothing and is named with its line")
def reload_peers(run):
    first, second = key_pair(), key_pair()
    server = Server(run, (first, "first", ""))
    daemon = server.daemon.program
    with server.client(first) as old:
        old.shake_hands()
        old.read(32)
        with open(server.peers, "a", encoding="ascii") as file:
            file.write("nonsense\n")
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_output(r"not reloaded.*peers:2: ")
        check_equal(len(old.read(32)), 32, "bytes for the peer that was there")
        server.write_peers(run, (first, "first", ""), (second, "second", ""))
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_output(r"peers read again.*peers=2")
        with server.client(second) as new:
            new.shake_hands()
            check_equal(len(new.read(32)), 32, "bytes for the peer that is new")
            check_equal(len(old.read(32)), 32, "bytes for the peer that stays")
            server.write_peers(run, (second, "second", ""))
            os.kill(daemon.pid, signal.SIGHUP)
            daemon.wait_output(r"peers read again.*peers=1")
            check_equal(old.stream.closed(), b"", "what a peer that is gone is told")
            check_equal(len(new.read(32)), 32, "bytes for the peer that stays")
        with server.client(first) as gone:
            gone.stream.socket.sendall(gone.opening)
            check_equal(gone.stream.closed(), b"", "what a peer that is gone is told when it comes again")


@test("a peer's rate= holds for all its links together, and output=drbg serves it beyond what the dongle gives")
def peer_options(run):
    slow, wide, plain = key_pair(), key_pair(), key_pair()
    server = Server(run, (slow, "slow", "rate=1000"), (wide, "wide", "output=drbg"), (plain, "plain", ""), source=False)
    with server.client(slow) as first, server.client(slow) as second, server.client(wide) as many, \
         server.client(plain) as waiting:
        for client, credit in ((first, 255), (second, 255), (many, 0), (waiting, 255)):
            check_equal(client.shake_hands()[2], credit, "bits credited a byte by the server's advice")
        waiting.send(b"\x02\x20")
        many.send(b"\x02\x20")
        dongle = Softkey(run, name="late", transport="unix", rate=300)
        with server.daemon.controller() as control:
            control.command(f'Keyring("{run.path("keyring")}")')
            control.command(f'AddEntropyKey("{run.path("late.unix")}")')
        check_equal(len(waiting.receive(32)), 32, "bytes that waited for the dongle")
        check_equal(len(many.receive(32)), 32, "bytes that waited for the generator's seed")
        many.send(b"\x02\xff" * 1000)
        check_equal(len(many.receive(255000)), 255000, "bytes of the generator")
        check(len(dongle.plaintext()) < 255000, "the dongle has given as much as the generator")
        begin = time.monotonic()
        for client in (first, second):
            client.send(b"\x02\xff" * 8)
        for client in (first, second):
            check_equal(len(client.receive(2040)), 2040, "bytes")
        # 4,080 bytes at 1,000 a second, of which the first thousand may come at once.
        took = time.monotonic() - begin
        check(took > 3.0, f"4,080 bytes came in {took:.1f} s")


@test("a relay whose noise has come from a new host ends its clients' links, and tells them when they come again")
def grown_path(run):
    leaf, own = key_pair(), key_pair()
    home = Server(run, (own, "relay", ""))
    port = free_port()
    run.write("relay.peers", f"{public_text(leaf)} leaf\n")
    relay = Ekeyd(run, f"identity = {identity_file(run, 'relay.key', own)}",
                  f"listen = sealed:127.0.0.1:{port},peers={run.path('relay.peers')}", name="relay")
    with SealedClient(f"tcp:127.0.0.1:{port}", leaf, public_text(own), seconds=LONG) as client:
        check_equal(client.shake_hands(), hello([own.public.data]), "the path of a host without upstreams")
        client.send(b"")
        with relay.controller() as control:
            control.command(f'AddEntropyKey("{home.source()[9:]}")')
        client.stream.closed()
    with SealedClient(f"tcp:127.0.0.1:{port}", leaf, public_text(own)) as client:
        check_equal(client.shake_hands(), hello([own.public.data, home.keys.public.data], hop_limit=7), "the path now")


@test("relays in a loop of two and of three refuse it, and say so")
def loops(run):
    for count in (2, 3):
        keys = [key_pair() for _ in range(count)]
        ports = [free_port() for _ in range(count)]
        relays = []
        for i, own in enumerate(keys):
            before, after = (i - 1) % count, (i + 1) % count
            name = f"relay-{count}-{i}"
            run.write(name + ".peers", f"{public_text(keys[after])} next\n")
            relays.append(Ekeyd(
                run, f"identity = {identity_file(run, name + '.key', own)}",
                f"listen = sealed:127.0.0.1:{ports[i]},peers={run.path(name + '.peers')}",
                f"source = sealed:127.0.0.1:{ports[before]},key={public_text(keys[before])}", name=name))
        wait_until(lambda: any("form a loop" in relay.program.output() for relay in relays),
                   f"one of {count} relays refuses the loop", LONG)
        for relay in relays:
            relay.program.stop()


if __name__ == "__main__":
    main()
