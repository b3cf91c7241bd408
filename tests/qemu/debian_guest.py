"""A guest that is a Debian system: systemd is its first process, and our packages are installed as apt installs them.

    system = Bare(run, base=with_our_packages(run))      ../system/debian.py; what the test changes in it, it changes there
    guest = DebianGuest(run, system, modules=[...])
    guest.start(SCRIPT)                                  as Guest; the script is a unit's, of which the boot does not wait

Standard library only.
"""
import os
import re
import stat

from guest import FOLDER, Archive, Guest, kernel_folder, needed_modules
from harness import need

# What no program here reads, and would only be unpacked: two thirds of a system.
LEFT_OUT = re.compile(r"usr/share/(doc|man|locale|info|lintian|zoneinfo|i18n|bash-completion|perl5?|common-licenses|bug|munin)(/|$)"
                      r"|usr/lib/x86_64-linux-gnu/(gconv|perl|libapt.*|libicu.*)(/|$)|usr/lib/(apt|udev/hwdb.*|systemd/catalog|mime|locale)(/|$)"
                      r"|var/(lib|cache|log)/(apt|debconf|dpkg/info)(/|$)|root/.*\.deb$|boot/|usr/bin/(apt.*|perl5.*|gpgv|localedef)$")

# Not what is tried here.
MASKED = ["getty@tty1", "getty.target", "serial-getty@ttyS0", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "fstrim.timer", "systemd-hwdb-update", "systemd-journal-catalog-update", "systemd-update-utmp", "systemd-update-utmp-runlevel", "e2scrub_reap",
          "systemd-pcrphase", "systemd-pcrphase-sysinit", "proc-sys-fs-binfmt_misc.automount", "systemd-binfmt"]

# Loads what the test asks for, because the image has no modprobe, and becomes systemd.
INIT = b"""#!/usr/bin/busybox sh
/usr/bin/busybox mount -t proc proc /proc
while read -r module; do
    /usr/bin/busybox insmod $module || echo "$module: not loaded" >/dev/console
done </test/modules
/usr/bin/busybox umount /proc
exec /lib/systemd/systemd
"""

UNIT = """[Unit]
Description=The test
After=multi-user.target
[Service]
Type=exec
ExecStart=/test/run
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS1
"""

RUN = b"""#!/bin/sh
export PATH=/test/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
stty -opost </dev/ttyS1
mark=$(sed -n 's/.*\\bmark=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
echo "$mark ready $(cut -d' ' -f1 /proc/uptime)"
cd /tmp || exit
sh /test/script
status=$?
[ "$status" = 0 ] || journalctl --no-pager -o short-monotonic -n 30
echo "$mark exit $status"
busybox poweroff -f
"""


class DebianArchive(Archive):
    """Its entries keep owner and mode."""

    def link(self, name, target):
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def tree(self, root):
        for folder, folders, names in os.walk(root):
            inside = os.path.relpath(folder, root)
            folders[:] = [name for name in folders if not self._left_out(inside, name)]
            for name in folders + names:
                if not self._left_out(inside, name):
                    self._add(os.path.join(folder, name), os.path.normpath(os.path.join(inside, name)))

    @staticmethod
    def _left_out(inside, name):
        return LEFT_OUT.match(os.path.normpath(os.path.join(inside, name)))

    def _add(self, path, name):
        about = os.lstat(path)
        content, device = b"", (0, 0)
        if stat.S_ISREG(about.st_mode):
            with open(path, "rb") as file:
                content = file.read()
        elif stat.S_ISLNK(about.st_mode):
            content = os.readlink(path).encode()
        elif stat.S_ISCHR(about.st_mode):
            device = (os.major(about.st_rdev), os.minor(about.st_rdev))
        elif not stat.S_ISDIR(about.st_mode):
            return
        self._entry(name, about.st_mode, content, device, (about.st_uid, about.st_gid))


class DebianGuest(Guest):
    def __init__(self, run, system, modules=(), probed=(), files=None, **options):
        """`modules` are loaded before systemd starts; `probed` are for modprobe, which systemd's units call."""
        options.setdefault("memory", 1024)
        mask = " ".join(f"systemd.mask={name if '.' in name else name + '.service'}" for name in MASKED)
        super().__init__(run, modules=modules, files=files,
                         kernel_options=f"systemd.show_status=no systemd.wants=test.service {mask}", **options)
        self._system = system
        self._probed = probed

    def _image(self, script):
        archive = DebianArchive()
        archive.file("init", INIT, 0o755)
        with open(need("busybox"), "rb") as busybox:
            archive.file("usr/bin/busybox", busybox.read(), 0o755)
        lines = []
        for path in needed_modules(kernel_folder(), [m[0] for m in self._modules]):
            name = os.path.basename(path)
            archive.copy(path, f"test/{name}")
            lines.append(f"/test/{name}\n")
        archive.file("test/modules", "".join(lines).encode())
        self._modprobe(archive)
        for name in ("usleep", "nc"):
            archive.link(f"test/bin/{name}", "/usr/bin/busybox")
        archive.copy(os.path.join(FOLDER, "functions.sh"), "test/functions.sh")
        archive.file("test/script", script.encode())
        archive.file("test/run", RUN, 0o755)
        archive.file("etc/systemd/system/test.service", UNIT.encode())
        archive.file("etc/machine-id", b"0123456789abcdef0123456789abcdef\n")  # not its first boot, when it would preset all units
        for path, content in self._files.items():
            archive.file(path, content, 0o755 if "/bin/" in path else 0o644)
        archive.tree(self._system.root)
        return archive.close()

    def _modprobe(self, archive):
        """busybox has one. It reads modules.dep: a file, and what is loaded before it (depmod(8))."""
        with open(os.path.join(kernel_folder(), "release"), encoding="ascii") as file:
            folder = f"usr/lib/modules/{file.read().strip()}"
        files = {name: needed_modules(kernel_folder(), [name]) for name in self._probed}
        for path in {path for needed in files.values() for path in needed}:
            archive.copy(path, f"{folder}/{os.path.basename(path)}")
        names = {name: [os.path.basename(path) for path in reversed(needed)] for name, needed in files.items()}
        archive.file(f"{folder}/modules.dep", "".join(f"{n[0]}: {' '.join(n[1:])}\n" for n in names.values() if n).encode())
        archive.link("usr/sbin/modprobe", "/usr/bin/busybox")
