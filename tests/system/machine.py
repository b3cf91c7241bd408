"""Machines on which the pages of contrib/doc can be tried as they stand: a network and a view of the file system of its own
(namespaces without a name, which end with the test), in which /etc is a copy and /run, /home, /root, /mnt, /var/lib and /usr/local are
empty folders of the test's. ekeyd, egd-push and the others are in /usr/local/sbin, as `meson install` puts them, and run with --sandbox strict;
their units, users and folders are there.

A line that begins with `systemctl` is done here: units are enabled by systemd's own systemctl, without its daemon, started with their
ExecStart, and reloaded with their ExecReload; such a line is over when the unit is ready. Of a unit's other lines and its drop-ins' these
hold: User, Group, the capabilities, ProtectHome, RestrictAddressFamilies, LoadCredential and Sockets. Everything else goes to a shell, as
root, in /root."""
import contextlib
import ctypes
import errno
import glob
import os
import re
import shlex
import shutil
import signal
import socket
import struct

from daemons import Softkey
from harness import DEADLINE, Failure, build_folder, check, check_equal, command, need, program, source_folder, wait_until
from hosts import Host
from pages import replace

CLONE_NEWNS, CLONE_NEWUTS = 0x20000, 0x4000000
OWN = ("etc", "run", "home", "root", "mnt", "var/lib", "usr/local")
UNITS = "etc/systemd/system"
PROGRAMS = ("ekeyd", "ekeydctl", "ekey-rekey", "egd-push", "softkey")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def visible(run):
    """Folders of the test's that may lie where a machine has its own."""
    folders = [source_folder(), build_folder(), run.folder, os.environ.get("EKEYD_PEERS", "")]
    return [os.path.abspath(path) for path in folders if any(os.path.abspath(path).startswith(f"/{own}/") for own in OWN[1:] if path)]


class Machine(Host):
    def __init__(self, run, name):
        self.folder = run.path(name)
        os.chmod(run.folder, 0o711)  # for commands that are not root's
        for folder in OWN[1:]:
            os.makedirs(self.path("/" + folder), 0o755)
        shutil.copytree("/etc", self.path("/etc"), symlinks=True)
        mounts = []
        for path in visible(run):
            os.makedirs(self.path(path))
            mounts.append(("--bind", path, self.path(path)))
        for program_name in PROGRAMS:
            self.write(f"/usr/local/libexec/{program_name}", "", 0o755)
            mounts.append(("--bind", program(program_name), self.path(f"/usr/local/libexec/{program_name}")))
        # Last what hides the others.
        mounts += [("--rbind", self.path("/" + folder), "/" + folder)
                   for folder in sorted(OWN, key=lambda own: run.folder.startswith(f"/{own}/"))]
        script = "\n".join(shlex.join(("mount", *words)) for words in mounts)
        super().__init__(run, name, "--uts", "--mount", "--propagation", "private", "sh", "-ec", f"{script}; echo ready; exec sleep infinity")
        self._holder.wait_output("^ready$")
        self.dongle = None
        self.services = {}
        self.commands = {}  # of units that are not ours: name to words
        self.env = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}
        self._install()
        self.name_address("localhost", "127.0.0.1")

    def _install(self):
        for name in PROGRAMS:
            options = shlex.join(command(name)[1:])
            self.write(f"/usr/local/sbin/{name}", f'#!/bin/sh\nexec /usr/local/libexec/{name} {options} "$@"\n', 0o755)
        lib = "/usr/local/lib"
        for pattern in (f"{build_folder()}/contrib/*.service", f"{source_folder()}/contrib/systemd/*.socket"):
            for path in glob.glob(pattern):
                os.makedirs(self.path(f"{lib}/systemd/system"), exist_ok=True)
                shutil.copy(path, self.path(f"{lib}/systemd/system"))
        for path in glob.glob(f"{source_folder()}/contrib/systemd/*.*s"):
            name, _, kind = os.path.basename(path).partition(".")
            if kind in ("sysusers", "tmpfiles"):
                os.makedirs(self.path(f"{lib}/{kind}.d"), exist_ok=True)
                shutil.copy(path, self.path(f"{lib}/{kind}.d/{name}.conf"))
        # As README.md says.
        self.sh("systemd-sysusers")
        self.sh("systemd-tmpfiles --create ekeyd.conf")
        shutil.copy(os.path.join(source_folder(), "contrib/examples/ekeyd.conf"), self._made("/etc/ekeyd/ekeyd.conf"))

    def _made(self, path):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        return self.path(path)

    def path(self, path):
        """Where the test finds the machine's file."""
        return os.path.join(self.folder, path.lstrip("/"))

    def read(self, path):
        with open(self.path(path), encoding="utf-8") as file:
            return file.read()

    def write(self, path, text, mode=0o600):
        with open(self._made(path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(path), mode)

    def add(self, path, text):
        self.write(path, self.read(path) + text, 0o644)

    def enter(self):
        super().enter()
        for name, kind in (("uts", CLONE_NEWUTS), ("mnt", CLONE_NEWNS)):
            with open(f"/proc/{self.pid()}/ns/{name}", "rb") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), kind) != 0:
                    raise OSError(ctypes.get_errno(), "setns")

    def name_address(self, name, address):
        self.write("/etc/hosts", (self.read("/etc/hosts") if os.path.exists(self.path("/etc/hosts")) else "")
                   + f"{address} {name}\n", 0o644)

    def user(self, name, number):
        """Makes a user, with a group and a home, if there is none."""
        known = [line.split(":")[0] for line in self.read("/etc/passwd").splitlines()]
        if name not in known:
            self.add("/etc/passwd", f"{name}:x:{number}:{number}::/home/{name}:/bin/sh\n")
            self.group(name, number)
        os.makedirs(self.path(f"/home/{name}"), exist_ok=True)
        os.chown(self.path(f"/home/{name}"), number, number)

    def group(self, name, number):
        if name not in [line.split(":")[0] for line in self.read("/etc/group").splitlines()]:
            self.add("/etc/group", f"{name}:x:{number}:\n")

    def plug(self):
        """Plugs an Entropy Key in, with its long-term key in the keyring: softkey, in the place of what is on USB."""
        self.dongle = Softkey(self.run, name=self.name + "-dongle", transport="unix",
                              keyring=self.path("/etc/entropykey/keyring"))
        self.own("ekeyd", "/etc/entropykey/keyring")
        os.chmod(self.dongle.path, 0o666)  # as udev does for the group of a dongle

    def own(self, name, path):
        """Gives a file to a user of the machine's."""
        user = next(line.split(":") for line in self.read("/etc/passwd").splitlines() if line.startswith(name + ":"))
        os.chown(self.path(path), int(user[2]), int(user[3]))

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
                self.services[unit].reload()
            elif action == "stop":
                self.stop_service(unit)
            else:
                check(action in ("enable", "daemon-reload"), f"this test knows no systemctl {action}")

    def _start(self, unit):
        service = self.begin(unit)
        wait_until(service.ready, f"{unit} is ready on {self.name}")

    def begin(self, unit):
        """Starts a service; returns it without waiting until it is ready."""
        if unit == "ekeyd" and self.dongle:  # what the dongle is on USB for ekeyd here
            config = self.read("/etc/ekeyd/ekeyd.conf")
            self.write("/etc/ekeyd/ekeyd.conf", config.replace("entropykey:usb", self.dongle.source), 0o644)
        text = "" if unit in self.commands else self.unit(unit + ".service") + self._drop_ins(unit + ".service")
        self.services[unit] = Service(self, unit, text, self.commands.get(unit))
        return self.services[unit]

    def unit(self, name):
        """Its text."""
        return next(self.read(f"{folder}/{name}") for folder in ("/etc/systemd/system", "/usr/local/lib/systemd/system")
                    if os.path.exists(self.path(f"{folder}/{name}")))

    def _drop_ins(self, name):
        return "".join(self.read(f"/{UNITS}/{name}.d/{file}") for file in sorted(glob.glob("*.conf", root_dir=self.path(f"/{UNITS}/{name}.d"))))

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
    """A started unit, from its text, or from words that need no unit."""

    def __init__(self, machine, unit, text, words=None):
        def setting(name):
            return re.findall(rf"(?m)^{name}=(.*)$", text)

        env, self._notices = dict(machine.env), None
        if "notify" in setting("Type"):
            self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._notices.setblocking(False)
            env["NOTIFY_SOCKET"] = machine.path(f"/run/notify.{unit}.{len(machine.run.programs)}")
            self._notices.bind(env["NOTIFY_SOCKET"])
            os.chmod(env["NOTIFY_SOCKET"], 0o666)
        for credential in setting("LoadCredential"):
            name, _, path = credential.partition(":")
            content = machine.read(path) if os.path.exists(machine.path(path)) else ""
            machine.write(f"/run/credentials/{unit}/{name}", content, 0o400)
            machine.own(setting("User")[0], f"/run/credentials/{unit}/{name}")
            env["CREDENTIALS_DIRECTORY"] = f"/run/credentials/{unit}"
        passed = [(self._listen(machine, machine.unit(name)), name) for name in setting("Sockets")]
        words = words or shlex.split(setting("ExecStart")[0])
        if user := setting("User"):
            words = [need("setpriv"), f"--reuid={user[0]}", f"--regid={setting('Group')[0]}", "--init-groups", "--no-new-privs",
                     *(f"--{kind}={capabilities(setting(name))}" for kind, name in CAPABILITIES), *words]
        if setting("ProtectHome") == ["yes"]:
            hide = "for folder in /home /root; do mount -t tmpfs -o ro,mode=0 hidden $folder; done; exec \"$@\""
            words = [need("unshare"), "--mount", "--propagation", "private", "sh", "-ec", hide, "sh", *words]

        def enter():
            machine.enter()
            if families := setting("RestrictAddressFamilies"):
                allow_families(families)

        self._machine, self._reload = machine, setting("ExecReload")
        self.program = machine.run.start(f"{unit} on {machine.name}", *words[1:], path=words[0], preexec=enter, env=env,
                                         descriptors=[(listener.fileno(), name) for listener, name in passed])
        for listener, _ in passed:
            listener.close()

    @staticmethod
    def _listen(machine, text):
        """A socket unit's socket, bound on the machine, because its name is compared there."""
        path = re.search(r"(?m)^ListenStream=(.*)$", text)[1]
        mode = int(re.search(r"(?m)^SocketMode=(.*)$", text)[1], 8)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(machine.path(path))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                machine.enter()
                listener.bind(path)
                os.chmod(path, mode)
            os._exit(0)
        os.waitpid(child, 0)
        check(os.path.exists(machine.path(path)), f"{path} cannot be made on {machine.name}")
        listener.listen()
        return listener

    def reload(self):
        check(self._reload, f"{self.program.name} has no ExecReload=")
        self._machine.sh(self._reload[0].lstrip("+").replace("$MAINPID", str(self.program.pid)))

    def ready(self):
        if not self.program.running():
            raise Failure(f"{self.program.name} ended with {self.program.wait()}")
        try:
            return not self._notices or b"READY=1" in self._notices.recv(4096)
        except BlockingIOError:
            return False


# Of setpriv, and of units.
CAPABILITIES = (("inh-caps", "AmbientCapabilities"), ("ambient-caps", "AmbientCapabilities"), ("bounding-set", "CapabilityBoundingSet"))


def capabilities(lines):
    """As setpriv has them."""
    return ",".join(["-all", *(f"+{word.removeprefix('CAP_').lower()}" for line in lines for word in line.split())])


def allow_families(lines):
    """For preexec: sockets of these families and no others, by a filter such as systemd makes of RestrictAddressFamilies (seccomp(2)). What
    the lines name is added up, and taken away after a ~ (systemd.exec(5))."""
    socket_call = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    load, equal, leave = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, refuse = 0x7fff0000, 0x00050000 | errno.EAFNOSUPPORT
    names = []
    for line in lines:
        words = line.removeprefix("~").split()
        names = [name for name in names if name not in words] + (words if line[:1] != "~" else [])
    families = [getattr(socket, name) for name in names]
    # The call's number, and its first argument: linux/seccomp.h, struct seccomp_data.
    program = [(load, 0, 0, 0), (equal, 1, 0, socket_call), (leave, 0, 0, allow), (load, 0, 0, 16)]
    program += [(equal, len(families) - n, 0, family) for n, family in enumerate(families)]
    program += [(leave, 0, 0, refuse), (leave, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filter_of = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    set_seccomp, mode_filter = 22, 2  # linux/prctl.h, linux/seccomp.h
    if ctypes.CDLL(None, use_errno=True).prctl(set_seccomp, mode_filter, filter_of, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


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
