"""A virtual machine with Debian's generic kernel, for what the machine that runs the tests may lack: USB, a random pool
of its own, virtio-rng, vsock.

    guest = Guest(run, modules=["vhci-hcd", "cdc-acm"], programs=["ekeyd", "softkey"], files={"/etc/x": b"text"})
    output = guest.run(SCRIPT)           the script's output; a status other than 0 is a Failure that shows it

QEMU emulates the processor (-accel tcg), slowly and everywhere alike; KVM is never tried. The guest has an
initramfs of busybox, the kernel modules asked for with those that they need, and our programs with their shared
libraries; see `init` for how it reports. Standard library only.
"""
import os
import re
import secrets
import stat
import subprocess
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(FOLDER), "system"))
from harness import Failure, build_folder, check, confined, need, program  # noqa: E402

# Emulation takes three to ten times as long as the machine itself, more when that is busy.
DEADLINE = 120.0

PROGRAMS = ["ekeyd", "ekeydctl", "egd-push", "softkey"]
USBIP_MODULES = ["usbip-core", "vhci-hcd", "cdc-acm"]


def attach_program():
    """For `files`: see its text."""
    with open(os.path.join(FOLDER, "attach"), "rb") as text:
        return {"/bin/attach": text.read()}


def kernel_folder():
    folder = os.environ.get("EKEYD_KERNEL") or os.path.join(build_folder(), "kernel")
    check(os.path.exists(os.path.join(folder, "release")),
          f"no kernel in {folder}: tests/qemu/fetch {folder} makes it (tests/run does that)")
    return folder


class Archive:
    """A cpio archive in the "newc" form, which the kernel unpacks as its first file system
    (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self._data = bytearray()
        self._names = set()

    def _entry(self, name, mode, content=b"", device=(0, 0), owner=(0, 0)):
        name = name.strip("/")
        if name in self._names:
            return
        self._names.add(name)
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)
        encoded = name.encode() + b"\0"
        fields = [len(self._names), mode, *owner, 1, 0, len(content), 0, 0, *device, len(encoded), 0]
        self._data += b"070701" + b"".join(b"%08x" % f for f in fields) + encoded
        self._pad()
        self._data += content
        self._pad()

    def _pad(self):
        self._data += bytes(-len(self._data) % 4)

    def folder(self, name):
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, content, mode=0o644):
        self._entry(name, stat.S_IFREG | mode, content)

    def copy(self, path, name=None):
        with open(path, "rb") as file:
            self.file(name or path, file.read(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def device(self, name, major, minor):
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def close(self):
        self._entry("TRAILER!!!", 0)
        return bytes(self._data)


def needed_modules(folder, names):
    """The modules' files, each after those that it depends on. What the kernel has built in needs none."""
    with open(os.path.join(folder, "modules.builtin"), encoding="ascii") as lines:
        builtin = {os.path.basename(line.strip()).replace("_", "-") for line in lines}
    ordered = []

    def add(name):
        if name.replace("_", "-") + ".ko" in builtin:
            return
        paths = [os.path.join(folder, "modules", spelt + ".ko")
                 for spelt in (name, name.replace("_", "-"), name.replace("-", "_"))]
        path = next((p for p in paths if os.path.exists(p)), None)
        check(path, f"the kernel in {folder} has no module {name}")
        if path in ordered:
            return
        with open(path, "rb") as file:
            depends = re.search(rb"\0depends=([^\0]*)\0", file.read())
        for other in depends[1].decode().split(",") if depends else []:
            if other:
                add(other)
        ordered.append(path)

    for name in names:
        add(name)
    return ordered


def shared_libraries(path):
    """The libraries and the loader that a program needs, as ldd names them."""
    listed = subprocess.run([need("ldd"), path], capture_output=True, text=True, check=False)
    missing = re.search(r"(\S+) => not found", listed.stdout)
    check(not missing, f"{path} needs {missing and missing[1]}, which is not here")
    return re.findall(r"(/\S+) \(0x", listed.stdout)


class Guest:
    def __init__(self, run, modules=(), programs=(), files=None, qemu=(), memory=512, kernel_options="", preexec=None):
        """`programs`: ours, by name, or others, by path. `modules`: names, parameters may follow: "dummy_hcd num=2". `files`: path in the
        guest to bytes; those in /bin can be run. `qemu`: more arguments. `preexec`: see harness.Program."""
        self._run = run
        self._mark = "@" + secrets.token_hex(8)
        self._modules = [m.split() for m in modules]
        self._programs = [name if name.startswith("/") else program(name) for name in programs]
        self._files = files or {}
        self._qemu = [str(a) for a in qemu]
        self._memory = memory
        self._kernel_options = kernel_options
        self._preexec = preexec
        self._began = None
        self.machine = None  # harness.Program

    def _image(self, script):
        archive = Archive()
        with open(os.path.join(FOLDER, "init"), "rb") as init:
            archive.file("init", init.read(), 0o755)
        for folder in ("bin", "sbin", "dev", "proc", "sys"):
            archive.folder(folder)
        archive.device("dev/console", 5, 1)
        archive.copy(need("busybox"), "bin/busybox")
        for path in self._programs:
            self._program(archive, path)
            for library in shared_libraries(path):
                archive.copy(library)
        parameters = {m[0].replace("-", "_"): " ".join(m[1:]) for m in self._modules}
        lines = []
        for path in needed_modules(kernel_folder(), [m[0] for m in self._modules]):
            name = os.path.basename(path)
            archive.copy(path, f"modules/{name}")
            lines.append(f"/modules/{name} {parameters.get(name[:-3].replace('-', '_'), '')}".strip() + "\n")
        archive.file("test/modules", "".join(lines).encode())
        archive.copy(os.path.join(FOLDER, "functions.sh"), "test/functions.sh")
        archive.file("test/script", script.encode())
        for path, content in self._files.items():
            archive.file(path, content, 0o755 if path.startswith("/bin/") else 0o600)
        return archive.close()

    def _program(self, archive, path):
        """In /bin; what has a sandbox by way of a script that makes it strict, as harness.py does outside."""
        name = os.path.basename(path)
        arguments = confined(name, ())
        # Without what is for debuggers: it is most of a program and would fill the guest's memory.
        stripped = self._run.path("stripped")
        subprocess.run([need("strip"), "-o", stripped, path], check=True)
        if not arguments:
            archive.copy(stripped, f"bin/{name}")
            return
        archive.copy(stripped, f"libexec/{name}")
        archive.file(f"bin/{name}", f'#!/bin/sh\nexec /libexec/{name} {" ".join(arguments)} "$@"\n'.encode(), 0o755)

    def start(self, script):
        with open(self._run.path("initramfs"), "wb") as image:
            size = image.write(self._image(script))
        # The kernel gives its files half of the memory, and cuts off in silence what is more.
        check(size < 0.4 * 2**20 * self._memory, f"{size} bytes of files are too much for {self._memory} MiB of memory")
        # The processor has no RDRAND and the kernel is told to trust none, so the guest's pool starts empty.
        # A panic ends the machine instead of leaving it to the time limit. A busy host keeps ticks back while the kernel
        # measures by them: its check of the timer then panics, and its idea of the processor's clock (TSC) is wrong by
        # any factor, and every second with it. So neither is used; the clock is the emulated HPET.
        options = f"console=ttyS0 loglevel=5 panic=-1 no_timer_check notsc random.trust_cpu=off mark={self._mark} {self._kernel_options}"
        self._began = time.monotonic()
        self.machine = self._run.start(
            "qemu", "-accel", "tcg", "-machine", "pc", "-cpu", "qemu64", "-m", self._memory, "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", os.path.join(kernel_folder(), "vmlinux"), "-initrd", self._run.path("initramfs"),
            "-append", options, "-serial", f"file:{self._run.path('console')}", "-serial", "stdio",
            *self._qemu, path=need("qemu-system-x86_64"), preexec=self._preexec)

    def _fail(self, why):
        try:
            console = self._run.read("console").decode(errors="replace")
        except OSError:
            console = ""
        raise Failure(f"{why}\n--- the guest said\n{self.output()[-8000:]}\n--- its console\n{console[-3000:]}")

    def wait_ready(self, seconds=DEADLINE):
        """Waits until the script begins; returns the seconds that it took since QEMU was started."""
        try:
            self.machine.wait_output(re.escape(self._mark) + r" ready ", seconds)
        except Failure:
            self._fail(f"the guest did not boot within {seconds:g} s")
        return time.monotonic() - self._began

    def wait_output(self, pattern, seconds=DEADLINE):
        """Waits for something that the script says."""
        try:
            return self.machine.wait_output(pattern, seconds)
        except Failure:
            self._fail(f"the guest never said {pattern!r}")

    def wait(self, seconds=DEADLINE):
        """Waits for the script's end and returns its output."""
        try:
            status = self.machine.wait_output(re.escape(self._mark) + r" exit (\d+)", seconds)[1]
        except Failure:
            self._fail(f"the script in the guest did not end within {seconds:g} s")
        if status != "0":
            self._fail(f"the script in the guest ended with {status}")
        self.machine.wait(30)
        return self.output()

    def output(self):
        return self.machine.output().replace("\r", "")

    def run(self, script, seconds=DEADLINE):
        self.start(script)
        return self.wait(seconds)
