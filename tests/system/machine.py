"""Machines on which the pages of contrib/doc can be tried as they stand: a network and a view of the file system of its own
(namespaces without a name, which end with the test), in which /etc is a copy and /run, /home, /root, /mnt, /var/lib and /usr/local are
empty folders of the test's. ekeyd, egd-push and the others are in /usr/local/sbin, as `meson install` puts them, and run with --sandbox strict.

A line that begins with `systemctl` is done here: units are enabled by systemd's own systemctl, without its daemon, and started by
their ExecStart; such a line is over when the unit is ready. Everything else goes to a shell, as root, in /root."""
import ctypes
import os
import re
import shlex
import shutil
import signal
import socket

from daemons import Softkey
from harness import DEADLINE, Failure, build_folder, check, check_equal, command, need, source_folder, wait_until
from hosts import Host
from pages import replace

CLONE_NEWNS, CLONE_NEWUTS = 0x20000, 0x4000000
OWN = ("etc", "run", "home", "root", "mnt", "var/lib", "usr/local")
UNITS = "etc/systemd/system"
PROGRAMS = ("ekeyd", "ekeydctl", "ekey-rekey", "egd-push", "softkey")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine(Host):
    def __init__(self, run, name):
        self.folder = run.path(name)
        os.chmod(run.folder, 0o711)  # for commands that are not root's
        for folder in OWN[1:]:
            os.makedirs(self.path("/" + folder), 0o755)
        shutil.copytree("/etc", self.path("/etc"), symlinks=True)
        binds = "; ".join(f'mount --bind "{self.path("/" + folder)}" "/{folder}"' for folder in OWN)
        super().__init__(run, name, "--uts", "--mount", "--propagation", "private", "sh", "-c", f"{binds}; echo ready; exec sleep infinity")
        self._holder.wait_output("^ready$")
        self.dongle = None
        self.services = {}
        self.commands = {}  # of units that are not ours: name to words
        self.env = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}
        self._install()
        self.name_address("localhost", "127.0.0.1")

    def _install(self):
        for name in PROGRAMS:
            self.write(f"/usr/local/sbin/{name}", f'#!/bin/sh\nexec {shlex.join(command(name))} "$@"\n', 0o755)
        for name in ("ekeyd", "egd-push"):
            with open(os.path.join(build_folder(), "contrib", name + ".service"), encoding="utf-8") as file:
                self.write(f"/{UNITS}/{name}.service", file.read(), 0o644)
            shutil.copy(os.path.join(source_folder(), "contrib/examples", name + ".conf"), self.path("/root"))
        # As README.md says.
        os.makedirs(self.path("/etc/ekeyd"), exist_ok=True)
        os.makedirs(self.path("/etc/entropykey"), exist_ok=True)
        self.write("/etc/ekeyd/ekeyd.conf", self._read("/root/ekeyd.conf"), 0o644)

    def path(self, path):
        """Where the test finds the machine's file."""
        return os.path.join(self.folder, path.lstrip("/"))

    def _read(self, path):
        with open(self.path(path), encoding="utf-8") as file:
            return file.read()

    def write(self, path, text, mode=0o600):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(path), mode)

    def add(self, path, text):
        self.write(path, self._read(path) + text, 0o644)

    def enter(self):
        super().enter()
        for name, kind in (("uts", CLONE_NEWUTS), ("mnt", CLONE_NEWNS)):
            with open(f"/proc/{self.pid()}/ns/{name}", "rb") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), kind) != 0:
                    raise OSError(ctypes.get_errno(), "setns")

    def name_address(self, name, address):
        self.write("/etc/hosts", (self._read("/etc/hosts") if os.path.exists(self.path("/etc/hosts")) else "")
                   + f"{address} {name}\n", 0o644)

    def user(self, name, number):
        """Makes a user, with a group and a home, if there is none."""
        known = [line.split(":")[0] for line in self._read("/etc/passwd").splitlines()]
        if name not in known:
            self.add("/etc/passwd", f"{name}:x:{number}:{number}::/home/{name}:/bin/sh\n")
            self.group(name, number)
        os.makedirs(self.path(f"/home/{name}"), exist_ok=True)
        os.chown(self.path(f"/home/{name}"), number, number)

    def group(self, name, number):
        if name not in [line.split(":")[0] for line in self._read("/etc/group").splitlines()]:
            self.add("/etc/group", f"{name}:x:{number}:\n")

    def plug(self):
        """Plugs an Entropy Key in, with its long-term key in the keyring: softkey, in the place of what is on USB."""
        self.dongle = Softkey(self.run, name=self.name + "-dongle", transport="unix",
                              keyring=self.path("/etc/entropykey/keyring"))

    def take(self, block, **replaced):
        """Puts a block of a page, a file or what is to be added to one, where the block says."""
        text = replace(block.text, "the page", replaced)
        if block.words[0] == "add":
            self.add(block.words[1], text)
        else:
            self.write(block.words[0], text, 0o644)

    def sh(self, text, expect=0, seconds=DEADLINE, **options):
        """Runs commands as they stand; returns what they say. `keys`: what is typed, on a terminal."""
        said, lines = [], []
        for line in text.splitlines():
            if line.startswith("systemctl "):
                said.append(self._shell(lines, expect, seconds, options))
                lines = []
                self._systemctl(*shlex.split(line)[1:])
            else:
                lines.append(line)
        return "".join(said) + self._shell(lines, expect, seconds, options)

    def _shell(self, lines, expect, seconds, options):
        if not lines:
            return ""
        script = "\n".join(["set -eu", 'cd "$HOME"', *lines])
        options = {"preexec": self.enter, "env": self.env, **options}
        if keys := options.pop("keys", None):
            script = f"printf {shlex.quote(keys)} | script -qec {shlex.quote(script)} /dev/null"
        return self.run.run("sh", "-c", script, path=need("sh"), expect=expect, seconds=seconds, **options)

    def as_user(self, number, home):
        """Options of sh(): run as this user."""
        def drop():
            self.enter()
            os.setgroups([])
            os.setgid(number)
            os.setuid(number)
        return {"preexec": drop, "env": {**self.env, "HOME": home}}

    def _systemctl(self, action, *words):
        units = [word.removesuffix(".service") for word in words if not word.startswith("-")]
        if action == "enable":
            env = {**self.env, "SYSTEMD_OFFLINE": "1"}
            self.run.run("systemctl", "enable", *units, path=need("systemctl"), preexec=self.enter, env=env)
        for unit in units:
            if action in ("start", "restart") or action == "enable" and "--now" in words:
                self.stop_service(unit)
                self._start(unit)
            elif action == "reload":
                self.services[unit].program.signal(signal.SIGHUP)
            elif action == "stop":
                self.stop_service(unit)
            else:
                check(action in ("enable", "daemon-reload"), f"this test knows no systemctl {action}")

    def _start(self, unit):
        service = self.begin(unit)
        wait_until(service.ready, f"{unit} is ready on {self.name}")

    def begin(self, unit):
        """Starts a service; returns it without waiting until it is ready."""
        text, words = "", self.commands.get(unit)
        if not words:
            text = self._read(f"/{UNITS}/{unit}.service")
            words = shlex.split(re.search(r"(?m)^ExecStart=(.*)$", text)[1])
        # What the dongle is on USB for ekeyd here.
        if unit == "ekeyd" and self.dongle:
            config = self._read("/etc/ekeyd/ekeyd.conf")
            self.write("/etc/ekeyd/ekeyd.conf", config.replace("entropykey:usb", self.dongle.source), 0o644)
        for folder in re.findall(r"(?m)^RuntimeDirectory=(\S+)", text):
            os.makedirs(self.path("/run/" + folder), exist_ok=True)
        self.services[unit] = Service(self, unit, words, "Type=notify" in text)
        return self.services[unit]

    def stop_service(self, unit):
        service = self.services.pop(unit, None)
        if service and service.program.running():
            service.program.signal(signal.SIGTERM)
            check_equal(service.program.wait(), 0, f"exit status of {unit} on {self.name}")

    def counters(self, kind):
        """Of the listener or sink whose address begins so, from `ekeydctl show`."""
        for line in self.sh("ekeydctl show").splitlines():
            if kind in line:
                return dict(re.findall(r"([\w-]+)=(\S+)", line))
        raise Failure(f"ekeydctl show has no {kind}")


class Service:
    """A started unit; `notifies`: it tells when it is ready."""

    def __init__(self, machine, unit, words, notifies):
        env, self._notices = dict(machine.env), None
        if notifies:
            self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._notices.setblocking(False)
            env["NOTIFY_SOCKET"] = machine.path(f"/run/notify.{unit}.{len(machine.run.programs)}")
            self._notices.bind(env["NOTIFY_SOCKET"])
        self.program = machine.run.start(f"{unit} on {machine.name}", *words[1:], path=words[0], preexec=machine.enter, env=env)

    def ready(self):
        if not self.program.running():
            raise Failure(f"{self.program.name} ended with {self.program.wait()}")
        try:
            return not self._notices or b"READY=1" in self._notices.recv(4096)
        except BlockingIOError:
            return False


def bridge(machine, address):
    """A network of the machine's own, such as a bridge to its guests: one end of a wire that leads nowhere."""
    machine.do("ip", "link", "add", "name", "bridge", "type", "veth", "peer", "name", "bridge-end")
    machine.do("ip", "address", "add", f"{address}/24", "dev", "bridge")
    for end in ("bridge", "bridge-end"):
        machine.do("ip", "link", "set", end, "up")


def join(one, one_address, other, other_address):
    """A wire between two machines with these addresses."""
    name = "to-" + other.name
    one.run.run("ip", "link", "add", "name", name, "netns", one.pid(), "type", "veth", "peer", "name", "to-" + one.name,
                "netns", other.pid(), path=need("ip"))
    for machine, end, address in ((one, name, one_address), (other, "to-" + one.name, other_address)):
        machine.do("ip", "address", "add", f"{address}/24", "dev", end)
        machine.do("ip", "link", "set", end, "up")


def keygen(machine, text):
    """Runs a page's commands that make keys; returns the public ones."""
    keys = re.findall(r"(?m)^.*?([A-Za-z0-9+/]{43}=)", machine.sh(text))
    check(keys, f"no public key is printed by: {text}")
    return keys
