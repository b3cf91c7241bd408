"""Runs the installed ekeyd in a bare system (debian.py) as its unit does: sockets made by socket units, its user and capabilities, a
file system that is read-only but for ReadWritePaths, a /tmp of its own. From the units and drop-ins as they stand there."""
import contextlib
import glob
import os
import re
import socket

from harness import check, need
from machine import CAPABILITIES, capabilities

FOLDERS = ("etc/systemd/system", "lib/systemd/system")


def unit(system, name):
    """Its text, and that of its drop-ins."""
    own = next(f"{folder}/{name}" for folder in FOLDERS if os.path.exists(system.path(f"{folder}/{name}")))
    drop_ins = sorted(glob.glob(system.path(f"{FOLDERS[0]}/{name}.d/*.conf")))
    return "".join(system.read(os.path.relpath(path, system.root)) for path in [system.path(own), *drop_ins])


def settings(text, name):
    return [word for line in re.findall(rf"(?m)^{name}=(.*)$", text) for word in line.split()]


def start(system):
    text = unit(system, "ekeyd.service")
    passed = [(_listen(system, unit(system, name)), name) for name in settings(text, "Sockets")]
    mounts = ['mount --bind "$0" "$0"', 'cd "$0"', "mount -t proc proc proc"]
    for path in settings(text, "ReadWritePaths"):
        if path.startswith("-") and not os.path.exists(system.path(path.lstrip("-/"))):
            continue
        mounts.append(f"mount --bind .{path.lstrip('-')} .{path.lstrip('-')}")
    mounts.append("mount -o remount,bind,ro .")
    if settings(text, "PrivateTmp")[-1] == "yes":
        mounts += [f"mount -t tmpfs private {folder}" for folder in ("tmp", "var/tmp")]
    user, group = settings(text, "User")[-1], settings(text, "Group")[-1]
    rights = [f"--{kind}={capabilities(re.findall(rf'(?m)^{name}=(.*)$', text))}" for kind, name in CAPABILITIES]
    words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs", *rights,
             *settings(text, "ExecStart")]
    program = system.run.start("ekeyd.service", "--mount", "sh", "-ec", "; ".join(mounts) + '; exec chroot . "$@"', system.root, *words,
                               path=need("unshare"), descriptors=[(listener.fileno(), name) for listener, name in passed])
    for listener, _ in passed:
        listener.close()
    return program


def _listen(system, text):
    """A socket unit's socket, made by root in the system, as systemd does: its name is compared there."""
    path, mode = settings(text, "ListenStream")[-1], int(settings(text, "SocketMode")[-1], 8)
    owner = [_number(system, file, (settings(text, name) or ["root"])[-1])
             for file, name in (("etc/passwd", "SocketUser"), ("etc/group", "SocketGroup"))]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(system.path(path.lstrip("/")))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.chroot(system.root)
            listener.bind(path)
            os.chmod(path, mode)
            os.chown(path, *owner)
        os._exit(0)
    os.waitpid(child, 0)
    check(os.path.exists(system.path(path.lstrip("/"))), f"{path} cannot be made")
    listener.listen()
    return listener


def _number(system, file, name):
    return int(re.search(rf"(?m)^{re.escape(name)}:[^:]*:(\d+):", system.read(file)).group(1))
