#!/usr/bin/python3
"""Two hosts behind one address: HAProxy with the configuration of contrib/doc/many-clients.md."""
from clients import Egd, free_port
from daemons import Ekeyd, Softkey, answers
from harness import Failure, check, check_equal, main, peer, test, wait_until
from pages import tries

LONG = 60


class Balanced:
    """Two ekeyds, each with a dongle and a small pool, behind HAProxy with the page's configuration."""

    def __init__(self, run, page):
        self.ports = [free_port() for _ in range(2)]
        self.dongles = [Softkey(run, name=f"dongle{n}") for n in range(2)]
        self.daemons = [Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", "pool-size = 1024", softkeys=[dongle], name=f"ekeyd{n}")
                        for n, (port, dongle) in enumerate(zip(self.ports, self.dongles))]
        for daemon in self.daemons:
            daemon.seeded()
        front = f"127.0.0.1:{free_port()}"
        self.address = f"tcp:{front}"
        config = run.write("haproxy.cfg", page.file("/etc/haproxy/haproxy.cfg", **{
            "192.168.122.1:8888": front, "192.0.2.1:8888": f"127.0.0.1:{self.ports[0]}",
            "192.0.2.2:8888": f"127.0.0.1:{self.ports[1]}"}))
        program = peer("usr/sbin/haproxy")
        run.run("haproxy", "-c", "-f", config, path=program)
        self.haproxy = run.start("haproxy", "-db", "-f", config, path=program)
        wait_until(lambda: answers(self.address), "HAProxy listens")

    def bytes(self, number):
        return int(self.daemons[number].listeners()[f"tcp:127.0.0.1:{self.ports[number]}"]["bytes"])

    def take(self):
        """64 bytes by way of HAProxy; returns how many each host gave meanwhile."""
        before = [self.bytes(n) if self.daemons[n].program.running() else 0 for n in range(2)]
        with Egd(self.address) as client:
            client.read(64)
        return [self.bytes(n) - before[n] if self.daemons[n].program.running() else 0 for n in range(2)]


@test("how to, HAProxy: clients are led to both ekeyds; when one ends, all to the other, and egd-push goes on; and back")
@tries("many-clients", "Two hosts behind one address")
def haproxy_ends(run, page):
    both = Balanced(run, page)
    taken = [both.take() for _ in range(4)]
    check_equal(sorted(taken), [[0, 64]] * 2 + [[64, 0]] * 2, "bytes from each host, of four clients")
    push = run.start("egd-push", "--from", both.address, "--interval", "0.5", "-v")
    push.wait_output("pushed upstream")
    both.daemons[0].program.stop()
    both.haproxy.wait_output("Server ekeyd/one is DOWN", LONG)
    check(all(two >= 64 for _, two in (both.take() for _ in range(3))), "clients are not led to the second")
    before = both.bytes(1)
    wait_until(lambda: both.bytes(1) >= before + 3 * 64, "egd-push goes on", LONG)
    both.daemons[0].start()
    both.daemons[0].seeded()
    both.haproxy.wait_output("Server ekeyd/one is UP", LONG)
    wait_until(lambda: both.take()[0] > 0, "clients are led to the first again", LONG)


@test("how to, HAProxy: an ekeyd that lost its dongle and has no more bytes gets no clients, and those that wait there are closed")
@tries("many-clients", "Two hosts behind one address")
def haproxy_empty(run, page):
    both = Balanced(run, page)
    clients = [Egd(both.address) for _ in range(6)]  # some are led to each
    both.dongles[1].program.stop()
    with Egd(f"tcp:127.0.0.1:{both.ports[1]}") as direct:
        wait_until(lambda: "Vanished" in both.daemons[1].key()["Status"], "the dongle is missed")
        while direct.read_now(255):
            pass
        check_equal(direct.level(), 0, "bits left")
    answered = [whole_answer(client) for client in clients]
    both.haproxy.wait_output("Server ekeyd/two is DOWN", LONG)
    check_equal(set(answered), {False, True}, "answers to clients of each host")
    check(all(one >= 64 and two == 0 for one, two in (both.take() for _ in range(3))), "clients are led to the empty host")


def whole_answer(client):
    """Whether it gets one before it is closed."""
    try:
        client.ask(64)
        client.receive(64, LONG)
    except (Failure, OSError):
        return False
    return True


if __name__ == "__main__":
    main()
