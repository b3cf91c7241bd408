#!/usr/bin/python3
"""Units, sysusers.d and tmpfiles.d as `meson install` puts them. unit_order.py has their order, ../qemu/systemd.py a boot."""
import glob
import os
import re
import shutil
import subprocess

from harness import build_folder, check, check_contains, check_equal, main, need, test
from pages import Page

SERVICES = ("ekeyd", "egd-push", "egd-push-early")

# What systemd alone acts upon, at moments that a test does not wait for. tests/qemu/systemd.py shows the others.
SETTINGS = {
    "ekeyd": {"Type": "notify", "WatchdogSec": "60", "Restart": "on-failure", "RestartSec": "5", "StartLimitIntervalSec": "0",
              "After": "network.target"},
    "egd-push": {"Type": "notify", "WatchdogSec": "60", "Restart": "on-failure", "RestartSec": "5", "RestartPreventExitStatus": "2",
                 "JobRunningTimeoutSec": "30"},
    "egd-push-early": {"Type": "notify", "WatchdogSec": "60", "Restart": "on-failure", "RestartSec": "5", "RestartPreventExitStatus": "2",
                       "JobRunningTimeoutSec": "10", "IPAddressDeny": "any"},
}

FAMILIES = {"unix": {"AF_UNIX"}, "vsock": {"AF_VSOCK"}, **dict.fromkeys(("tcp", "sealed", "http", "pollen"), {"AF_INET", "AF_INET6"})}


def installed(run):
    run.run("meson", "install", "-C", build_folder(), "--no-rebuild", "--destdir", run.path("root"), path=need("meson"))
    return run.path("root/usr/local")


def verify(run, top, *units, expect=0):
    """Where they will be: /usr/local is theirs for this one command, with the programs and manual pages that they name."""
    return run.run("systemd-analyze verify", "--mount", "sh", "-c", 'mount --bind "$0" /usr/local && exec systemd-analyze verify "$@"',
                   top, *(f"/usr/local/lib/systemd/system/{name}" for name in units), path=need("unshare"), expect=expect)


@test("units as installed: systemd-analyze verify finds nothing to say of them")
def verified(run):
    top = installed(run)
    units = sorted(os.path.basename(path) for path in glob.glob(f"{top}/lib/systemd/system/*"))
    check_equal(units, ["egd-push-early.service", "egd-push.service", "ekeyd-control.socket", "ekeyd.service", "ekeyd.socket"], "units")
    check_equal(verify(run, top, *units).strip(), "", "what systemd-analyze says")
    for old, new, said in (("ProtectSystem=strict", "ProtectSystm=strict", "Unknown key"), ("Type=notify", "Type=notfy", "Failed to parse"),
                           ("/sbin/ekeyd", "/sbin/ekeyd-not", "not executable"), ("man:ekeyd(8)", "man:ekeyd-not(8)", "man ekeyd-not")):
        rewrite(f"{top}/lib/systemd/system/ekeyd.service", old, new)
        check_contains(verify(run, top, "ekeyd.service", expect=None), said, f"what it says of {new}")
        rewrite(f"{top}/lib/systemd/system/ekeyd.service", new, old)


def rewrite(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    check(old in text, f"{path} has no {old}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


@test("units: systemd-analyze security scores each service 2.0 or better, and leaves CAP_SYS_ADMIN, without which nothing is credited")
def scored(run):
    units = f"{installed(run)}/lib/systemd/system"

    def score(name):
        done = subprocess.run([need("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", name],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout.strip().splitlines()[-1])
        return done

    for name in SERVICES:
        path = f"{units}/{name}.service"
        done = score(path)
        check(done.returncode == 0, f"{name} scores worse:\n" + done.stdout)
        check_contains(done.stdout, "CapabilityBoundingSet=~CAP_SYS_ADMIN +Service has administrator", "the right to credit")
        check_contains(done.stdout, "PrivateUsers= +Service has access", "the capability is the system's, not a user namespace's")
        with open(path, encoding="utf-8") as file:
            check_contains(file.read(), r"(?m)^AmbientCapabilities=CAP_SYS_ADMIN\b", f"{name} as its own user")
    for setting in ("User=", "SystemCallFilter=", "CapabilityBoundingSet="):  # none is there for nothing
        with open(f"{units}/ekeyd.service", encoding="utf-8") as file:
            run.write("ekeyd.service", "".join(line for line in file if not line.startswith(setting)), 0o644)
        check(score(run.path("ekeyd.service")).returncode != 0, f"it scores as well without {setting}")


def setting(text, name):
    """Its values, line by line."""
    return re.findall(rf"(?m)^{name}=(.*)$", text)


@test("units: readiness, watchdog, restarts and room for clients' connections are as the manual pages and systemd's say")
def settings(run):
    for name, expected in SETTINGS.items():
        with open(f"{build_folder()}/contrib/{name}.service", encoding="utf-8") as file:
            text = file.read()
        for key, value in expected.items():
            check_equal(setting(text, key), [value], f"{key}= of {name}")
        check_equal(len(setting(text, "ExecReload")), 1, f"lines ExecReload= of {name}")
        if name == "ekeyd":
            # sd_notify(3) before 254 does not say how much room there is; ekeyd(8) says why it is no more.
            check_equal(setting(text, "FileDescriptorStoreMax"), ["1024"], "FileDescriptorStoreMax=")
            check_equal(setting(text, "Environment"), ["FDSTORE=1024"], "Environment=")


@test("units: ekeyd may make the sockets of every kind of listener, with what qemu-libvirt.md adds for vsock; egd-push-early none of the Internet")
def families(run):
    said = run.run("ekeyd", "--listen", "none:x", "--check-config", expect=2)
    kinds = set(re.findall(r"[a-z]+", said.partition("it takes")[2]))
    check_equal(sorted(kinds), sorted(FAMILIES), "kinds of listeners")
    texts = {}
    for name in SERVICES:
        with open(f"{build_folder()}/contrib/{name}.service", encoding="utf-8") as file:
            texts[name] = file.read()
    drop_in = Page("qemu-libvirt").at("vsock").text("ini", "/etc/systemd/system/ekeyd.service.d/vsock.conf")
    allowed = set(" ".join(setting(texts["ekeyd"] + drop_in, "RestrictAddressFamilies")).split())
    for kind, needed in FAMILIES.items():
        check(needed <= allowed, f"{kind} needs {needed}, and the unit has {allowed}")
    for name, denied in (("egd-push", None), ("egd-push-early", "~AF_INET AF_INET6")):
        lines = setting(texts[name], "RestrictAddressFamilies")
        check_equal(set(lines[0].split()), {"AF_UNIX", "AF_NETLINK", "AF_INET", "AF_INET6", "AF_VSOCK"}, f"families of {name}")
        check_equal(lines[1:], [denied] if denied else [], f"further lines of {name}")


@test("sysusers.d and tmpfiles.d: the users, ekeyd's folder, and a keyring of root's that becomes ekeyd's with what it holds")
def users_and_folders(run):
    top = installed(run)
    root = run.path("image")
    os.makedirs(f"{root}/etc/entropykey")
    shutil.copytree(f"{top}/lib", f"{root}/usr/lib")
    sysusers = run.run("systemd-sysusers", "--dry-run", f"--root={root}", path=need("systemd-sysusers"))
    check_contains(sysusers, "Creating user 'ekeyd'", "what it would do")
    check(not os.path.exists(f"{root}/etc/passwd"), "a dry run made users")
    run.run("systemd-sysusers", f"--root={root}", path=need("systemd-sysusers"))
    users, groups = table(f"{root}/etc/passwd"), table(f"{root}/etc/group")
    for name in ("ekeyd", "egd-push"):
        check(0 < int(users[name][2]) < 1000, f"{name} is no system user: {users[name]}")
        check_equal(users[name][3], groups[name][2], f"the group of {name}")
        check_equal(users[name][6], "/usr/sbin/nologin", f"the shell of {name}")
        check(name in groups["dialout"][3].split(","), f"{name} may not open serial lines")
    key = "key of 2010\n"
    with open(f"{root}/etc/entropykey/keyring", "w", encoding="ascii") as file:
        file.write(key)
    for _ in range(2):  # at each boot
        run.run("systemd-tmpfiles", "--create", f"--root={root}", path=need("systemd-tmpfiles"))
        for path, mode in (("run/ekeyd", 0o40755), ("etc/entropykey/keyring", 0o100600)):
            about = os.stat(f"{root}/{path}")
            check_equal((about.st_mode, str(about.st_uid), str(about.st_gid)), (mode, *users["ekeyd"][2:4]), path)
    with open(f"{root}/etc/entropykey/keyring", encoding="ascii") as file:
        check_equal(file.read(), key, "the keyring")
    os.unlink(f"{root}/etc/entropykey/keyring")
    run.run("systemd-tmpfiles", "--create", f"--root={root}", path=need("systemd-tmpfiles"))
    check_equal(os.stat(f"{root}/etc/entropykey/keyring").st_size, 0, "bytes in a new keyring")


def table(path):
    with open(path, encoding="utf-8") as file:
        return {line.split(":", 1)[0]: line.rstrip("\n").split(":") for line in file}


if __name__ == "__main__":
    main()
