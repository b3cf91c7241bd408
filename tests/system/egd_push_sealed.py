#!/usr/bin/python3
"""egd-push over sealed links: on an independent implementation of Noise, on ekeyd, and with men in the middle."""
import os

from clients import free_port
from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, main, test, wait_until
from noise_peer import SealedServer, hello, identity_file, key_pair, public_text
from process_memory import places, plain_build


class Host:
    """A host with a key of its own, which sealed servers know."""

    def __init__(self, run):
        self.run = run
        self.keys = key_pair()
        self.identity = identity_file(run, "guest.key", self.keys)

    def server(self, **options):
        return SealedServer(key_pair(), [self.keys.public.data], **options)

    def push(self, *servers, once=False):
        froms = [word for server in servers for word in ("--from", upstream(server))]
        return [*froms, "--identity", self.identity, "-v", *(["--once"] if once else [])]


def upstream(server):
    return f"sealed:{server.address},key={public_text(server.own)}"


@test("egd-push on an independent Noise server: pushed in the pool and credited, over one link, and it says nothing of itself")
def independent(run):
    host = Host(run)
    server = host.server()
    push = run.start("egd-push", *host.push(server), "--interval", "0.5")
    push.wait_output("bytes=64 bits_credited=256")
    wait_until(lambda: server.asked >= 10 * 64, "ten pushes", 60)
    check_equal(server.connections, 1, "connections")
    check_equal(server.payloads, [b""], "what it says of itself")
    # What came is what is put elsewhere, byte for byte; long answers come in many messages.
    data = os.urandom(4096)
    given = [0]

    def take(count):
        given[0] += count
        return data[given[0] - count:given[0]]

    again = host.server(data=take)
    run.run("egd-push", *host.push(again, once=True), "--bytes", "4096", "--to", f"file:{run.path('out')}")
    check_equal(run.read("out"), data, "the bytes")


@test("promise 6: egd-push with two sealed upstreams has its key in locked memory alone, and is below 3 MB resident")
def memory(run):
    plain_build()
    host = Host(run)
    one, two = host.server(), host.server()
    push = run.start("egd-push", *host.push(one, two), "--interval", "1", "--to", f"file:{run.path('out')}")
    wait_until(lambda: min(one.asked, two.asked) >= 3 * 64, "three pushes", 60)
    print(f"VmRSS {push.status('VmRSS')} kB, VmLck {push.status('VmLck')} kB")
    check(int(push.status("VmRSS")) < 3 * 1024, f"{push.status('VmRSS')} kB resident")
    found = places(push.pid, host.keys.private.data)
    check(found, "the key was not found at all: the test shows nothing")
    check(all(locked for _, locked in found), f"the key lies in memory that is not locked: {found}")


@test("egd-push credits no more than its sealed server advises")
def advice(run):
    host = Host(run)
    for bits, credited in ((0, 0), (1, 64), (8, 256)):
        server = host.server()
        server.payload = hello([server.own.public.data], credit=bits)
        output = run.run("egd-push", *host.push(server, once=True))
        check_contains(output, rf"bits_credited={credited}\n", f"with advice {bits}")


@test("egd-push --quorum: nothing is credited while one of two servers is away, though all is mixed; then it is")
def quorum(run):
    host = Host(run)
    one, two = host.server(), SealedServer(key_pair(), [])
    push = run.start("egd-push", *host.push(one, two), "--quorum", "2", "--interval", "1")
    wait_until(lambda: one.asked >= 5 * 64, "five pushes of one server", 60)
    push.wait_output("bits_credited=0")
    check("bits_credited=256" not in push.output(), "one server alone is credited")
    two.clients.append(host.keys.public.data)
    push.wait_output("bits_credited=256", 120)
    check(two.asked >= 64, "it has contributed")


@test("egd-push: what a man in the middle alters, repeats, drops or swaps is never pushed; honest bytes are, later")
def altered(run):
    host = Host(run)
    turns = {"altered": lambda m: [m[0][:-1] + bytes([m[0][-1] ^ 1]), *m[1:]],
             "repeated": lambda m: [m[0], m[0], *m[1:]],
             "dropped": lambda m: m[1:],
             "swapped": lambda m: [m[1], m[0], *m[2:]],
             "cut off": lambda m: [m[0][:20]]}
    for name, alter in turns.items():
        server = host.server(alter=alter)
        output = run.run("egd-push", *host.push(server, once=True), "--bytes", "300", "--timeout", "2", "--to",
                         f"file:{run.path('out')}", expect=1)
        check(not os.path.exists(run.path("out")), f"{name}: something was pushed")
        check("pushed" not in output, f"{name}: {output}")
        server.alter = None
        run.run("egd-push", *host.push(server, once=True), "--to", f"file:{run.path('out')}")
        os.unlink(run.path("out"))
        server.close()


@test("egd-push: a server with another key, one that does not know this host, and a key that others can read")
def refused(run):
    host = Host(run)
    server = host.server()
    wrong = f"sealed:{server.address},key={public_text(key_pair())}"
    output = run.run("egd-push", "--from", wrong, "--identity", host.identity, "--once", "--timeout", "5", expect=1)
    check_contains(output, "closed the connection during the handshake", "with another key")
    stranger = SealedServer(key_pair(), [])
    output = run.run("egd-push", *host.push(stranger, once=True), "--timeout", "5", expect=1)
    check_contains(output, "does not know\\s+this host's", "of a stranger")
    check_equal((server.asked, stranger.asked), (0, 0), "bytes asked for")
    os.chmod(host.identity, 0o640)
    output = run.run("egd-push", *host.push(server, once=True), expect=1)
    check_contains(output, "guest.key", "with a key that others can read")


@test("egd-push <-> ekeyd over a sealed link; with a key made by ekeydctl keygen")
def with_ekeyd(run):
    host = Host(run)
    run.run("ekeydctl", "keygen", run.path("home.key"))
    public = run.run("ekeydctl", "pubkey", run.path("home.key")).split()[-1]
    peers = run.write("peers", f"{public_text(host.keys)} guest\n")
    port = free_port()
    Ekeyd(run, f"identity = {run.path('home.key')}", f"listen = sealed:127.0.0.1:{port},peers={peers}",
          softkeys=[Softkey(run)])
    output = run.run("egd-push", "--from", f"sealed:127.0.0.1:{port},key={public}", "--identity", host.identity,
                     "--once", "-v", seconds=60)
    check_contains(output, "bytes=64 bits_credited=256", "a push")


if __name__ == "__main__":
    main()
