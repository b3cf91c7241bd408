#!/usr/bin/python3
"""Hosts far from each other, over wires that delay and lose: the files of contrib/doc/relay.md. howto.py tries its commands."""
import os
import time

from daemons import Ekeyd, Softkey
from harness import build_folder, check, check_equal, main, test, wait_until
from hosts import Host, Wires
from noise_peer import identity_file, key_pair, public_text
from pages import Page

DELAY, LOSS = 0.05, 0.01  # seconds each way; of the frames
LONG = 60  # seconds for what waits for others: reconnections have pauses, and a lost SYN costs a second
PORT = 8889
CONF, PEERS = "/etc/ekeyd/ekeyd.conf", "/etc/ekeyd/peers"
HOME, RELAY, SLICE = (Page("relay").at(section) for section in ("At home", "On the relay", "In the slice"))


class Node(Host):
    """A host with a key for sealed links."""

    def __init__(self, run, name):
        super().__init__(run, name)
        self.keys = key_pair()
        self.public = public_text(self.keys)
        self.file("peers", "")
        identity_file(run, f"{name}/identity.key", self.keys)
        self.folder = run.path(name)


class Slice(Node):
    """A rented machine. All that it gives to the kernel is noted, and given to it."""

    def push(self, server, address, *arguments):
        config = self.file("egd-push.conf", SLICE.file("/etc/ekeyd/egd-push.conf", **{
            "PUBLIC_KEY_OF_RELAY": server.public, "relay.example.org": address, "/etc/ekeyd": self.folder,
            "interval = 60": "interval = 1"}))
        self.log = os.path.join(self.folder, "credited")
        # A preload writes files, which the sandbox forbids.
        self.program = self.start("egd-push", "--config", config, "--sandbox", "no", "-v", *arguments, env={
            "LD_PRELOAD": os.path.join(build_folder(), "tests", "system", "libold-kernel.so"),
            "OLD_KERNEL_LOG": self.log, "OLD_KERNEL_PASSES": "1"})

    def given(self):
        """What the kernel was given: bits, bytes and sum of each, credited or not."""
        try:
            with open(self.log, encoding="ascii") as file:
                lines = file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [(int(bits), int(size), total) for bits, size, total in (line.split() for line in lines)]

    def credited(self):
        return [entry for entry in self.given() if entry[0] > 0]

    def wait_credited(self, count):
        """Waits for so many more credited pushes."""
        goal = len(self.credited()) + count
        wait_until(lambda: len(self.credited()) >= goal, f"{count} credited pushes in {self.name}", LONG)


def home_server(run, *clients):
    """The home server, with a dongle; `clients` are Nodes by the page's names."""
    home = Node(run, "home")
    key = {"name": "dongle", "keyring": run.path("home/keyring")}
    long_term = ("--serial", "TW9uaXRvciBrZXkh", "--long-term-key", "A" * 43 + "=")
    home.plug = lambda: Softkey(run, *long_term, **key)
    home.dongle = home.plug()
    names = {f"PUBLIC_KEY_OF_{n}": key_pair() for n in ("RELAY", "SLICE_1", "SLICE_2", "SLICE_3")}
    names = {placeholder: public_text(pair) for placeholder, pair in names.items()}
    names.update((f"PUBLIC_KEY_OF_{client.name.upper().replace('-', '_')}", client.public) for client in clients)
    home.file("peers", HOME.file(PEERS, **names))
    return home


def daemon(run, host, page, *settings, **replaced):
    """ekeyd with the page's settings on a host."""
    lines = page.file(CONF, **{"/etc/ekeyd": host.folder, **replaced}).splitlines()
    own = ("control", "keyring")  # daemons.Ekeyd has its own
    lines = [line for line in lines if line.split(" ")[0] not in own]
    return Ekeyd(run, *lines, *settings, name=host.name, keyring=run.path("home/keyring"), preexec=host.enter)


def counters(ekeyd, kind):
    return next(row for address, row in ekeyd.listeners().items() if address.startswith(kind))


@test("remote hosts: home to relay to slice over sealed links, 1 % loss and 50 ms: the relay restarted ten times, the dongle unplugged; pushes go on, nothing is credited twice, nothing unsealed at all")
def relay_chain(run):
    relay, slice_1 = Node(run, "relay"), Slice(run, "slice-1")
    home = home_server(run, relay, slice_1)
    wires = Wires(run, DELAY, LOSS)
    home_address, _ = wires.join(home, relay)
    relay_address, _ = wires.join(relay, slice_1)
    wires.start()
    at_home = daemon(run, home, HOME, f"listen = tcp:{home_address}:8888",
                     **{"entropykey:usb": home.dongle.source})
    relay.file("peers", RELAY.file(PEERS, PUBLIC_KEY_OF_SLICE_1=slice_1.public))
    at_relay = daemon(run, relay, RELAY, f"listen = tcp:{relay_address}:8888",
                      f"source = egd:tcp:{home_address}:8888",
                      **{"home.example.org": home_address, "PUBLIC_KEY_OF_HOME": home.public})
    # The same servers in clear, too: what comes that way is worth nothing.
    slice_1.push(relay, relay_address, "--from", f"tcp:{relay_address}:8888")
    slice_1.wait_credited(3)

    for _ in range(10):
        at_relay.program.stop()
        at_relay.start()
        slice_1.wait_credited(1)

    home.dongle.program.stop()
    wait_until(lambda: "Vanished" in at_home.key()["Status"], "the home server misses its key")
    began = time.monotonic()
    slice_1.wait_credited(12)
    took = time.monotonic() - began
    check(took < 3 * 12, f"12 pushes took {took:.1f} s, with an interval of 1 s")
    home.dongle = home.plug()
    wait_until(lambda: at_home.key()["Status"] == "Running OK", "the key is back", LONG)
    slice_1.wait_credited(1)

    slice_1.program.stop()
    given, credited = slice_1.given(), slice_1.credited()
    check_equal(len({total for _, _, total in given if total}), len(given), "different pushes of those given to the kernel")
    log = slice_1.program.output()
    clear = [line for line in log.splitlines() if f"pushed upstream=tcp:{relay_address}:8888" in line]
    check(clear, "nothing came in clear: the test shows nothing")
    check(all(line.endswith("bits_credited=0") for line in clear), "what came in clear was credited")
    check_equal(at_relay.statistic("MinEntropyPerByte", 2), "0", "bits credited a byte at the relay, of what came in clear")
    check(int(at_relay.statistic("BytesReleased", 2)) > 0, "nothing came to the relay in clear")
    # Of 72 bytes that the relay gets it makes 64.
    pushed = sum(size for _, size, _ in credited)
    sealed = int(counters(at_home, "sealed:")["bytes"])
    check(sealed * 64 // 72 >= pushed, f"{pushed} bytes were credited, of {sealed} that the home server sent")
    print(f"{len(credited)} credited pushes, {len(clear)} in clear; {wires.lost()} frames lost; "
          f"12 pushes without the dongle in {took:.1f} s")


@test("remote hosts: a home server and three slices, over wires with 1 % loss and 50 ms: each has its pushes, and no two the same bytes")
def three_slices(run):
    slices = [Slice(run, f"slice-{n}") for n in (1, 2, 3)]
    home = home_server(run, *slices)
    wires = Wires(run, DELAY, LOSS)
    addresses = [wires.join(home, each)[0] for each in slices]
    wires.start()
    at_home = daemon(run, home, HOME, **{"entropykey:usb": home.dongle.source})
    for each, address in zip(slices, addresses):
        each.push(home, address)
    for each in slices:
        each.wait_credited(3)
        each.program.stop()
    given = [total for each in slices for _, _, total in each.given()]
    check_equal(len(set(given)), len(given), "different pushes")
    check_equal(int(counters(at_home, "sealed:")["accepted"]), 3, "connections of three slices")


if __name__ == "__main__":
    main()
