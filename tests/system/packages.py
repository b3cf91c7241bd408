#!/usr/bin/python3
"""The Debian packages: built, checked by lintian, installed in a bare Debian system, in the place of 1.1.5's."""
import glob
import os
import re
import shutil

from clients import Control, Egd
from daemons import Softkey, answers
from debian import Bare, built_packages, package, with_our_packages
from harness import check, check_contains, check_equal, main, need, peer, test, wait_until


@test("Debian packages: built, and lintian finds no error")
def built(run):
    folder = built_packages()
    names = sorted(os.path.basename(path).split("_")[0] for path in glob.glob(folder + "/*.deb"))
    for name in ("egd-push", "ekeyd", "ekeyd-egd-linux", "ekeyd-softkey"):
        check(name in names, f"{name} is not among {names}")
    changes = glob.glob(folder + "/*.changes")
    check_equal(len(changes), 1, "files named *.changes")
    said = run.run("lintian", "--allow-root", "--fail-on", "error", "--no-tag-display-limit", changes[0],
                   path=need("lintian"), seconds=120)
    print(said)


@test("Debian package egd-push: small, and needs only libc, libsodium and what every Debian system has")
def push_is_small(run):
    depends = run.run("dpkg-deb", "--field", package("egd-push"), "Depends", path=need("dpkg-deb"))
    names = {re.match(r"[a-z0-9.+-]+", one.strip()).group() for one in depends.split(",")}
    # systemd runs it and makes its user; the three before are essential or come with apt.
    strange = names - {"libsodium23", "libc6", "libgcc-s1", "libstdc++6", "libseccomp2", "libcap2", "systemd"}
    check_equal(strange, set(), "packages that egd-push depends on")
    size = os.path.getsize(package("egd-push"))
    print(f"egd-push: {size} bytes")


@test("Debian packages in a bare system: installed, run as they are, removed without a trace")
def bare(run):
    system = Bare(run, base=with_our_packages(run))
    check_contains(system.call("ekeyd", "--check-config"), r"/etc/ekeyd/ekeyd.conf: good", "the configuration as installed")
    for name in ("ekeyd", "egd-push", "softkey"):
        check_contains(system.call(name, "--version"), r"2\.0\.0", f"{name} --version")
    check_contains(system.read("etc/group"), r"^(.*\n)*ekeyd:", "the group that udev's rules name")
    units = [path for name in ("ekeyd", "egd-push") for path in system.call("dpkg", "-L", name).split()
             if re.fullmatch(r"/lib/systemd/system/.*\..*", path)]
    check_equal(len(units), 5, f"units in the packages: {units}")
    check_equal(system.call("systemd-analyze", "verify", "--man=no", *units), "", "what systemd-analyze says of them")
    owner = os.stat(system.path("etc/entropykey/keyring")).st_uid
    check_contains(system.read("etc/passwd"), rf"(?m)^ekeyd:x:{owner}:", "the user, whose the keyring is")
    key = system.start("softkey", "--unix", "/run/key", "--keyring", "/etc/entropykey/keyring", "--rate", "1000")
    key.wait_output(r"^ready ")
    system.write("etc/ekeyd/ekeyd.conf", "source = entropykey:/run/key\nlisten = unix:/run/egd.sock,mode=0666\n"
                                         "control = unix:/run/ekeyd.sock\n")
    daemon = system.start("ekeyd", "--foreground")
    wait_until(lambda: answers("unix:" + system.path("run/egd.sock")), "ekeyd answers")
    with Egd("unix:" + system.path("run/egd.sock")) as client:
        check_equal(len(client.read(64, 60)), 64, "bytes from the installed daemon")
    check_contains(system.call("ekeydctl", "list"), r"YES,Running OK,/run/key", "ekeydctl list")
    check_equal(len(system.call("egd-push", "--from", "unix:/run/egd.sock", "--to", "file:/root/bytes", "--once",
                                "--bytes", "64")) >= 0 and os.path.getsize(system.path("root/bytes")), 64, "bytes pushed")
    daemon.stop()
    key.stop()
    system.call("apt-get", "-q", "purge", "-y", "ekeyd", "egd-push", "ekeyd-softkey")
    left = [path for path in ("usr/sbin/ekeyd", "usr/sbin/egd-push", "usr/bin/softkey", "etc/ekeyd",
                              "lib/systemd/system/ekeyd.service") if os.path.lexists(system.path(path))]
    check_equal(left, [], "what is left after a purge")
    check(os.path.exists(system.path("etc/entropykey/keyring")), "the purge took the keyring")


@test("upgrade: Debian's ekeyd 1.1.5 running on its configuration; ours takes its place with the same keys and sockets")
def upgrade(run):
    system = Bare(run)
    system.install("ekeyd", "ekeyd-egd-linux")
    check_contains(system.call("dpkg-query", "-W", "ekeyd"), r"1\.1\.5", "the old package")
    key = Softkey(run, transport="unix")
    os.mkdir(system.path("run/keys"))
    link = system.path("run/keys/one")
    run.run("ln", key.path, link, path=need("ln"))  # the same socket, inside
    shutil.copy(key.keyring, system.path("etc/entropykey/keyring"))
    system.write("etc/entropykey/ekeyd.conf", '''-- as an owner of 2010 has it
Daemonise(false)
UnixControlSocket "/run/ekeyd.sock"
Keyring "/etc/entropykey/keyring"
EGDUnixSocket "/run/egd.sock"
AddEntropyKeys "/run/keys"
''')
    control, egd = ("unix:" + system.path(name) for name in ("run/ekeyd.sock", "run/egd.sock"))
    old = system.start("/usr/sbin/ekeyd")
    wait_until(lambda: answers(control) and answers(egd), "1.1.5 answers")
    wait_until(lambda: row(control) == ("YES", "Running OK", "/run/keys/one", key.serial), "1.1.5 runs the key")
    with Egd(egd) as client:
        client.read(32, 60)
    old.stop()
    keyring = system.read("etc/entropykey/keyring")
    config = system.read("etc/entropykey/ekeyd.conf")
    system.write("etc/default/ekeyd-egd-linux", "START_EKEYD_EGD_LINUX=YES\nHOST=192.0.2.7\nPORT=8888\n")

    system.install(package("ekeyd"), package("ekeyd-egd-linux"), package("egd-push"))
    check_contains(system.call("dpkg-query", "-W", "ekeyd"), r"2\.0\.0", "the new package")
    check_equal(system.read("etc/entropykey/keyring"), keyring, "the keyring after the upgrade")
    check_equal(system.read("etc/entropykey/ekeyd.conf"), config, "the configuration after the upgrade")
    check(not os.path.exists(system.path("etc/init.d/ekeyd")), "the old start script is still there")
    check(not os.path.exists(system.path("usr/sbin/ekeyd-egd-linux")), "the old egd client is still there")
    check_contains(system.read("etc/ekeyd/egd-push.conf"), r"(?m)^from = tcp:192\.0\.2\.7:8888$",
                   "egd-push's configuration, made of the old client's")
    new = system.start("/usr/sbin/ekeyd", "--foreground")
    new.wait_output(r"config=/etc/entropykey/ekeyd.conf", 60)
    wait_until(lambda: row(control) == ("YES", "Running OK", "/run/keys/one", key.serial), "ours runs the key")
    with Egd(egd) as client:
        check_equal(len(client.read(32, 60)), 32, "bytes after the upgrade")
    check_contains(system.call("ekeydctl", "list"), rf"YES,Running OK,/run/keys/one,{re.escape(key.serial)}", "ekeydctl list")
    # Who has kept the old ekeydctl and Munin plugin can go on with them.
    shutil.copy(peer("usr/sbin/ekeydctl"), system.path("root/ekeydctl"))
    shutil.copy(peer("usr/share/munin/plugins/ekeyd_stat_"), system.path("root/ekeyd_stat_TotalEntropy"))
    system.install("lua5.1", "lua-socket", "perl")
    check_contains(system.call("lua5.1", "/root/ekeydctl", "list"), rf"YES,Running OK,/run/keys/one,{re.escape(key.serial)}",
                   "the old ekeydctl")
    system.call("env", "controlsocket=/run/ekeyd.sock", "perl", "/root/ekeyd_stat_TotalEntropy")


def row(control):
    try:
        with Control(control) as one:
            keys = one.keys()
    except OSError:
        return None
    return keys and tuple(keys[0].get(name) for name in ("OK", "Status", "Path", "SerialNo"))


if __name__ == "__main__":
    main()
