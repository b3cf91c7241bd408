#!/usr/bin/python3
"""The Munin plugin, run by Debian's munin-run, beside the plugin of 1.1.5."""
import contextlib
import os
import re
import socket
import threading

from clients import Egd
from daemons import FAST, Ekeyd, Softkey
from harness import check, check_contains, check_equal, main, need, peer, source_folder, test, wait_until

OLD = "usr/share/munin/plugins/ekeyd_stat_"
NEW_GRAPHS = ("clients", "failures", "health", "pool", "refused", "served", "waits")


class Node:
    """A Munin node of which only munin-run is used, with the links and settings that an administrator makes."""

    def __init__(self, run, daemon, name, plugin):
        self.run = run
        self.links = run.path(name)
        self.plugin = plugin
        self.settings = run.path(name + ".conf.d")
        os.mkdir(self.links)
        os.mkdir(self.settings)
        self.config = run.write(name + ".conf", "log_level 4\nuser root\ngroup root\nhost *\nport 4949\n")
        with open(os.path.join(self.settings, "ekeyd"), "w", encoding="ascii") as file:
            file.write(f"[ekeyd_stat_*]\nuser root\nenv.controlsocket {daemon.control[5:]}\n")

    def ask(self, name, *arguments, expect=0):
        link = os.path.join(self.links, name)
        if not os.path.lexists(link):
            os.symlink(self.plugin, link)
        said = self.run.run("munin-run", "-T", "-I", peer("usr/share/perl5"), peer("usr/sbin/munin-run"),
                            "--ignore-systemd-properties", "--config", self.config, "--servicedir", self.links,
                            "--sconfdir", self.settings, name, *arguments, path=need("perl"), expect=expect)
        # munin-run's own, because there is no group munin, which its package's installation makes.
        return re.sub(r"(?m)^Use of uninitialized .* at \S+/Munin/Node/\S+ line \d+\.\n", "", said)

    def fields(self, name):
        """Of the configuration: {field: {label, type, ...}}."""
        found = {}
        for field, key, value in re.findall(r"^(\S+)\.(\w+) (.*)$", self.ask(name, "config"), re.MULTILINE):
            found.setdefault(field, {})[key] = value
        return found

    def values(self, name):
        rows = self.ask(name).splitlines()
        pairs = [re.fullmatch(r"(\S+)\.value (\S+)", row) for row in rows]
        check(all(pairs), f"{name}: {rows}")
        return {pair.group(1): pair.group(2) for pair in pairs}


class Frozen:
    """Answers on a control socket as a running ekeyd did once, so that two plugins see the same figures."""

    def __init__(self, run, daemon):
        path = run.path("frozen.sock")
        self.control = "unix:" + path
        self.answers = {}
        self._ask(daemon, ["ListEntropyKeys"])
        for key in daemon.controller().keys():  # asked once, for all of a key's names
            self._ask(daemon, [f'StatEntropyKey("{key[name]}")' for name in ("NR", "SerialNo", "Path")])
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _ask(self, daemon, commands):
        rows, words = daemon.controller().command(commands[0])
        text = "".join("*\t" + "\t".join(row) + "\n" for row in rows) + f"OK {words}".rstrip() + "\n"
        self.answers.update((command, text.encode()) for command in commands)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                with client, client.makefile("rw") as lines:
                    print("PROTOCOL EKEYD/1", file=lines, flush=True)
                    for line in lines:
                        lines.write(self.answers.get(line.rstrip("\n"), b"ERROR unknown\n").decode())
                        lines.flush()

    def stop(self):
        self.listening.close()


def ours(run, daemon):
    return Node(run, daemon, "ours", os.path.join(source_folder(), "contrib/munin/ekeyd_stat_"))


@test("Munin: links that were made for the plugin of 1.1.5 show the same fields and values with ours")
def beside_the_old_one(run):
    keys = [Softkey(run, name=name) for name in ("one", "two")]
    running = Ekeyd(run, softkeys=keys)
    for number in ("1", "2"):
        wait_until(lambda n=number: float(running.controller().statistics(n)["KeyVoltage"]) > 0, "the keys report")
    daemon = run.ends_with(Frozen(run, running))
    old, new = Node(run, daemon, "theirs", peer(OLD)), ours(run, daemon)
    for name in ("KeyTemperatureC", "KeyVoltage", "TotalEntropy", "BytesRead", "ConnectionPackets", "FramingErrors",
                 "EntropyRate"):
        for link in (f"ekeyd_stat_{name}", f"ekeyd_stat_total_{name}"):
            theirs, mine = old.fields(link), new.fields(link)
            check_equal(list(mine), list(theirs), f"fields of {link}")
            for field, keys_of in theirs.items():
                form = {key: value for key, value in keys_of.items() if key != "label" or "total" not in link}
                check_equal({key: mine[field].get(key) for key in form}, form, f"{link}: {field}")
            theirs, mine = old.values(link), new.values(link)
            check_equal(list(mine), list(theirs), f"values of {link}")
            check_equal({k: float(v) for k, v in mine.items()}, {k: float(v) for k, v in theirs.items()}, link)
    for name in ("EntropyRate", "TotalEntropy", "KeyVoltage"):
        link = "ekeyd_stat_" + name
        for word in ("graph_vlabel", "graph_category"):
            line = check_contains(old.ask(link, "config"), rf"(?m)^{word} .*$", "the old plugin")
            want = re.search(rf"(?m)^{word} .*$", line).group()
            check_contains(new.ask(link, "config"), rf"(?m)^{re.escape(want)}$", f"{link}: {word}")
    check_equal(new.ask("ekeyd_stat_", "autoconf"), old.ask("ekeyd_stat_", "autoconf"), "autoconf")
    check(set(old.ask("ekeyd_stat_", "suggest").split()) <= set(new.ask("ekeyd_stat_", "suggest").split()), "suggest")


@test("Munin: our plugin graphs the pool, clients, waits, bytes served and the health of every kind of source")
def new_graphs(run):
    keys = [Softkey(run, name="good"), Softkey(run, "--fault", "stuck@300", name="bad", rate=FAST)]
    daemon = Ekeyd(run, f"source = {keys[1].source}", f"source = device:/dev/urandom,min-entropy=1",
                   f"sink = file:{run.path('out')}", softkeys=keys[:1])
    served = len(daemon.seeded(512))
    wait_until(lambda: daemon.key(2)["Status"] == "Health test failed", "the bad key has failed")
    node = ours(run, daemon)
    check_equal([word for word in node.ask("ekeyd_stat_", "suggest").split() if word.islower()], list(NEW_GRAPHS),
                "graphs suggested")
    for name in NEW_GRAPHS:
        fields, values = node.fields("ekeyd_stat_" + name), node.values("ekeyd_stat_" + name)
        check_equal(list(fields), list(values), f"fields and values of {name}")
        for field, value in values.items():
            check(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field), f"Munin takes no field {field}")
            check(re.fullmatch(r"-?[0-9.]+", value), f"{name}: {field} is {value}")
            check(fields[field]["label"], f"{name}: {field} has no label")
    field = lambda text: re.sub(r"[^A-Za-z0-9_]", "_", text)
    state = node.values("ekeyd_stat_health")
    check_equal((state["state" + field(keys[0].serial)], state["state" + field(keys[1].serial)], len(state)), ("0", "2", 3),
                "health")
    check_equal(node.values("ekeyd_stat_failures")["failures" + field(keys[1].serial)], "1", "failures of the bad key")
    with Egd(daemon.egd) as client:
        client.level()
        listener = field(daemon.egd)
        wait_until(lambda: node.values("ekeyd_stat_clients") == {"clients_" + listener: "1"}, "a client is counted")
    check(int(node.values("ekeyd_stat_served")["bytes_" + listener]) >= served, "bytes served")
    # A source that is no Entropy Key has no temperature, and is no field of it.
    check_equal(len(node.fields("ekeyd_stat_KeyTemperatureC")), 2, "fields of the temperature")
    check_equal(len(node.fields("ekeyd_stat_BytesReleased")), 3, "fields of the bytes released")


@test("Munin: without a daemon the plugin says so, in autoconf and otherwise; what is no daemon is told from one")
def no_daemon(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    node = ours(run, daemon)
    check_contains(node.ask("ekeyd_stat_Nonesuch", "config"), "graph_title", "a statistic that there is not")
    check_equal(node.values("ekeyd_stat_Nonesuch"), {}, "its values")
    daemon.program.stop()
    check_contains(node.ask("ekeyd_stat_", "autoconf"), r"^no \(.*\)$", "autoconf without a daemon")
    check_contains(node.ask("ekeyd_stat_pool", expect=None), "is ekeyd running", "no daemon")
    check_contains(node.ask("ekeyd_stat_", expect=None), "link this plugin", "the plugin without a name")


if __name__ == "__main__":
    main()
