"""Several hosts on this machine, each with a network of its own (a network namespace), and wires between them that delay and
lose. Namespaces without a name: they end with the test, however it ends."""
import ctypes
import os
import signal

from harness import Skip, need, wait_until

CLONE_NEWNET = 0x40000000


class Host:
    def __init__(self, run, name, *options):
        """`options`: of unshare, and the program that holds the namespaces."""
        if os.geteuid() != 0:
            raise Skip("needs root, to make network namespaces")
        self.run = run
        self.name = name
        self._holder = run.start(f"host {name}", "--net", *(options or ("sleep", "infinity")), path=need("unshare"))
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(self.namespace()) != own, f"the network of {name}")
        self.do("ip", "link", "set", "lo", "up")

    def namespace(self):
        return f"/proc/{self._holder.pid}/ns/net"

    def enter(self):
        """For preexec: what is started is on this host."""
        with open(self.namespace(), "rb") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def do(self, tool, *arguments):
        return self.run.run(tool, *arguments, path=need(tool), preexec=self.enter)

    def start(self, name, *arguments, **options):
        return self.run.start(name, *arguments, preexec=self.enter, **options)

    def pid(self):
        return self._holder.pid

    def file(self, name, text, mode=0o600):
        """A file of this host's, in a folder of its own; returns its path."""
        os.makedirs(self.run.path(self.name), exist_ok=True)
        return self.run.write(f"{self.name}/{name}", text, mode)


class Wires:
    """Point-to-point wires, all with one delay (seconds, each way) and one loss (0 to 1)."""

    def __init__(self, run, delay, loss, seed=1):
        self._run = run
        self._numbers = [delay, loss, seed]
        self._middle = Host(run, "wires")
        self._ends = []
        self.program = None

    def join(self, one, other):
        """A wire between two hosts; returns the address that each has on it."""
        link = len(self._ends) // 2
        addresses = []
        for side, host in enumerate((one, other), 1):
            name, end = f"wire{link}", f"end{link}.{side}"
            address = f"10.99.{link}.{side}"
            self._run.run("ip", "link", "add", "name", name, "netns", host.pid(), "type", "veth", "peer", "name", end,
                          "netns", self._middle.pid(), path=need("ip"))
            # What comes out of a network card: whole checksums, no frames larger than the wire takes.
            host.do("ethtool", "-K", name, "tx", "off", "gso", "off", "tso", "off")
            host.do("ip", "address", "add", f"{address}/24", "dev", name)
            host.do("ip", "link", "set", name, "up")
            self._middle.do("ip", "link", "set", end, "up")
            self._ends.append(end)
            addresses.append(address)
        return addresses

    def start(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wire.py")
        self.program = self._middle.start("wires", path, *self._numbers, *self._ends, path=need("python3"))
        self.program.wait_output("^ready$")

    def lost(self):
        """Ends them; returns how many frames were lost."""
        self.program.signal(signal.SIGTERM)
        return int(self.program.wait_output(r"carried \d+ lost (\d+)").group(1))
