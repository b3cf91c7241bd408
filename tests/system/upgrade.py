#!/usr/bin/python3
"""Debian's packages of 1.1.5, configured and running in a bare Debian system; ours take their place, are removed and purged.
A stand-in for systemctl keeps what the packages' scripts ask systemd for; ekeyd then runs as its unit runs it (as_unit.py)."""
import os
import re
import shutil
import socket

import as_unit
from clients import Control, Egd
from daemons import Detached, Softkey, answers
from debian import Bare, dependencies, package
from harness import check, check_contains, check_equal, main, need, peer, source_folder, test, wait_until
from pages import tries

OURS = ("ekeyd", "ekeyd-egd-linux", "egd-push")
# What is enabled, by the links there are; and it stops what a start script has started. (That does not find its daemon by itself here,
# because the path of a program differs between mount namespaces.)
SYSTEMCTL = '''#!/bin/sh
echo "$*" >>/root/asked
case "$*" in
*is-enabled* | *preset*) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@" ;;
*is-active*) exit 3 ;;
"stop ekeyd.service") [ ! -x /etc/init.d/ekeyd ] || kill $(cat /run/ekeyd.pid) ;;
esac
'''
RECORDER = '#!/bin/sh\necho "udevadm $*" >>/root/asked\n'


def with_old_packages(run):
    """1.1.5 installed, never started."""
    system = Bare(run)
    system.install("ekeyd", "ekeyd-egd-linux", *sorted(dependencies("ekeyd", "egd-push")))
    check_contains(system.call("dpkg-query", "-W", "ekeyd"), r"1\.1\.5", "the old package")
    os.rename(system.path("usr/bin/systemctl"), system.path("usr/bin/systemctl.real"))
    system.write("usr/bin/systemctl", SYSTEMCTL, 0o755)
    system.write("usr/bin/udevadm", RECORDER, 0o755)
    system.write("root/asked", "")
    os.makedirs(system.path("run/systemd/system"), exist_ok=True)
    os.makedirs(system.path("run/udev"), exist_ok=True)
    run.udev = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    run.udev.bind(system.path("run/udev/control"))
    system.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)
    return system


def asked(system, begin=0):
    return system.read("root/asked").splitlines()[begin:]


def upgraded(system, page):
    """As the page says."""
    before = len(asked(system))
    for name in OURS:
        shutil.copy(package(name), system.path("root"))
    system.write("etc/apt/apt.conf.d/test", 'APT::Install-Recommends "no";\nAPT::Sandbox::User "root";\nAPT::Get::Assume-Yes "yes";\n')
    print(system.call("sh", "-ec", "cd /root\n" + page.text("sh", "on", "Debian")))
    check_contains(system.call("dpkg-query", "-W", "ekeyd"), r"2\.0\.0", "the new package")
    print("\n".join(asked(system, before)))
    return asked(system, before)


def enabled(system, unit):
    return os.path.lexists(system.path(f"etc/systemd/system/multi-user.target.wants/{unit}"))


@test("upgrade: Debian's ekeyd 1.1.5 running on its configuration; ours takes its place with the same keys and sockets, and leaves the keyring")
@tries("upgrade", ("Upgrade from ekeyd 1.1.5", "sh on Debian"))
def upgrade(run, page):
    system = with_old_packages(run)
    key = Softkey(run, transport="unix")
    os.mkdir(system.path("run/keys"))
    run.run("ln", key.path, system.path("run/keys/one"), path=need("ln"))  # the same socket, inside
    os.chmod(key.path, 0o666)  # as udev does for the group of a dongle
    shutil.copy(key.keyring, system.path("etc/entropykey/keyring"))
    os.chmod(system.path("etc/entropykey/keyring"), 0o600)
    # Sockets where 1.1.5's own examples have them.
    system.write("etc/entropykey/ekeyd.conf", '''-- as an owner of 2010 has it
UnixControlSocket "/var/run/ekeyd.sock"
Keyring "/etc/entropykey/keyring"
EGDUnixSocket("/etc/entropy", "0660", "root", "users")
EGDUnixSocket "/var/lib/egd"
AddEntropyKeys "/run/keys"
''')
    control, egd = ("unix:" + system.path(name) for name in ("run/ekeyd.sock", "etc/entropy"))
    system.call("/usr/sbin/ekeyd")
    wait_until(lambda: os.path.exists(system.path("run/ekeyd.pid")) and system.read("run/ekeyd.pid").strip(), "the pid file of 1.1.5")
    old = run.ends_with(Detached(int(system.read("run/ekeyd.pid"))))
    wait_until(lambda: answers(control) and answers(egd), "1.1.5 answers")
    wait_until(lambda: row(control) == ("YES", "Running OK", "/run/keys/one", key.serial), "1.1.5 runs the key")
    with Egd(egd) as client:
        client.read(32, 60)
    keyring, config = (system.read(f"etc/entropykey/{name}") for name in ("keyring", "ekeyd.conf"))
    system.write("etc/default/ekeyd-egd-linux", "START_EKEYD_EGD_LINUX=YES\nHOST=192.0.2.7\nPORT=8888\n")

    said = upgraded(system, page)
    wait_until(lambda: not old.running(), "1.1.5 has been stopped")
    check_equal(system.read("etc/entropykey/keyring"), keyring, "the keyring after the upgrade")
    check_equal(system.read("etc/entropykey/ekeyd.conf"), config, "the configuration after the upgrade")
    left = [path for path in system.files() if re.search(r"etc/(init|rc.)\.d/.*ekeyd|ekeyd-egd-linux$|entropykey/keyring\.", path)]
    check_equal(left, ["etc/default/ekeyd-egd-linux", "usr/share/doc/ekeyd-egd-linux"], "what is left of 1.1.5")
    conffiles = system.call("dpkg-query", "--show", "--showformat=${Conffiles}", "ekeyd")
    check("keyring" not in conffiles, f"dpkg would take the keyring with the package: {conffiles}")
    for unit, verb in (("ekeyd.service", "restart"), ("egd-push.service", "start")):
        check(enabled(system, unit), f"{unit} is not enabled")
        check_contains("\n".join(said), rf"(?m)^.*\b{verb} {re.escape(unit)}$", f"what systemd is asked about {unit}")
    check_contains(system.read("etc/ekeyd/egd-push.conf"), r"(?m)^from = tcp:192\.0\.2\.7:8888$",
                   "egd-push's configuration, made of the old client's")
    check_devices(said)
    check_ours(run, system, key, control, egd)
    check_old_tools(system, key)
    check_removal(system, keyring)


def check_devices(said):
    """Dongles that are there already get their new owner: all that the rules know."""
    with open(os.path.join(source_folder(), "udev/60-ekeyd.rules"), encoding="utf-8") as file:
        vendors = set(re.findall(r'ATTRS?\{idVendor\}=="(\w+)"', file.read()))
    triggered = " ".join(line for line in said if line.startswith("udevadm trigger --action=change"))
    check_equal(set(re.findall(r"--property-match=ID_VENDOR_ID=(\w+)", triggered)), vendors, "vendors of the devices that udev looks at again")
    check_contains(triggered, "--subsystem-match=misc --sysname-match=hw_random", "/dev/hwrng")


def check_ours(run, system, key, control, egd):
    units = [f"/etc/systemd/system/ekeyd-old-{n}.socket" for n in (1, 2)]
    check_equal(system.call("systemd-analyze", "verify", "--man=no", *units, "/lib/systemd/system/ekeyd.service"), "",
                "what systemd-analyze says of what the package made")
    new = as_unit.start(system)
    new.wait_output(r" ready .*config=/etc/entropykey/ekeyd.conf", 60)
    check_contains(new.output(), r"where=/etc/entropykey/ekeyd.conf:5 setting=\"listen = unix:/var/lib/egd\"", "what it understood")
    about = os.stat(system.path("etc/entropy"))
    users = int(re.search(r"(?m)^users:x:(\d+):", system.read("etc/group")).group(1))
    check_equal((about.st_mode & 0o777, about.st_uid, about.st_gid), (0o660, 0, users), "mode, user and group of /etc/entropy")
    check_equal(os.stat(system.path("var/lib/egd")).st_mode & 0o777, 0o600, "the mode of /var/lib/egd")
    wait_until(lambda: row(control) == ("YES", "Running OK", "/run/keys/one", key.serial), "ours runs the key")
    for address in (egd, "unix:" + system.path("var/lib/egd")):
        with Egd(address) as client:
            check_equal(len(client.read(32, 60)), 32, "bytes after the upgrade")
    listed = rf"YES,Running OK,/run/keys/one,{re.escape(key.serial)}"
    check_contains(system.call("ekeydctl", "list"), listed, "ekeydctl list")


def check_old_tools(system, key):
    """Who has kept the old ekeydctl and Munin plugin can go on with them."""
    shutil.copy(peer("usr/sbin/ekeydctl"), system.path("root/ekeydctl"))
    shutil.copy(peer("usr/share/munin/plugins/ekeyd_stat_"), system.path("root/ekeyd_stat_TotalEntropy"))
    system.install("lua5.1", "lua-socket", "perl")
    check_contains(system.call("lua5.1", "/root/ekeydctl", "list"), rf"YES,Running OK,/run/keys/one,{re.escape(key.serial)}",
                   "the old ekeydctl")
    values = system.call("env", "controlsocket=/run/ekeyd.sock", "perl", "/root/ekeyd_stat_TotalEntropy")
    check_contains(values, r"(?m)^\S+\.value [1-9]\d*$", "the old plugin's figures")


def check_removal(system, keyring):
    before = len(asked(system))
    system.call("apt-get", "-q", "install", "-y", "--reinstall", "-o", "APT::Sandbox::User=root",
                *("/root/" + os.path.basename(package(name)) for name in ("ekeyd", "egd-push")))
    again = "\n".join(asked(system, before))
    check("ekeyd.socket" not in again, f"ekeyd.socket is to go on over an upgrade: {again}")
    check_contains(again, r"(?m)try-restart egd-push-early\.service egd-push\.service$", "who runs egd-push gets the new one")
    before = len(asked(system))
    system.call("apt-get", "-q", "remove", "-y", "ekeyd", "egd-push")
    stopped = [word for line in asked(system, before) if line.startswith("stop ") for word in line.split()[1:]]
    check_equal(set(stopped), {"ekeyd.socket", "ekeyd.service", "egd-push.service", "egd-push-early.service"}, "what is stopped")
    check(stopped.index("ekeyd.socket") < stopped.index("ekeyd.service"), f"the socket would start ekeyd again: {stopped}")
    system.call("apt-get", "-q", "purge", "-y", "ekeyd", "egd-push", "ekeyd-egd-linux")
    check_equal(system.read("etc/entropykey/keyring"), keyring, "the keyring after a purge")
    check_equal([path for path in system.files() if re.search("ekeyd|egd-push|entropykey/", path)],
                ["etc/entropykey/keyring"], "what a purge leaves")


@test("upgrade: 1.1.5 that was not to be started is not; the old client's address, quotes and credit; output to a file")
@tries("upgrade", ("Upgrade from ekeyd 1.1.5", "sh on Debian"))
def upgrade_stopped(run, page):
    system = with_old_packages(run)
    system.write("etc/default/ekeyd", "START_EKEYD='NO'\n")
    system.write("etc/default/ekeyd-egd-linux", 'START_EKEYD_EGD_LINUX="YES"\nHOST=::1\nSHANNONS=5\n')
    system.write("var/lib/noise", "")
    system.write("etc/entropykey/ekeyd.conf", 'Keyring "/etc/entropykey/keyring"\nSetOutputToFile "/var/lib/noise"\nAddEntropyKey "/run/key"\n')
    keyring = system.read("etc/entropykey/keyring")
    check_failing(run, system)
    check_equal(system.read("etc/entropykey/keyring"), keyring, "the keyring after an upgrade that failed")
    said = upgraded(system, page)
    check(not enabled(system, "ekeyd.service"), "ekeyd.service is enabled")
    check(not any(re.search(r"start ekeyd\.service", line) for line in said), f"ekeyd.service is started: {said}")
    check(enabled(system, "egd-push.service"), "egd-push.service is not enabled")
    config = system.read("etc/ekeyd/egd-push.conf")
    check_contains(config, r"(?m)^from = tcp:\[::1\]:8888$", "an IPv6 address")
    check_contains(config, r"(?m)^# credit = 5$", "the old credit")
    said = system.call("egd-push", "--config", "/etc/ekeyd/egd-push.conf", "--to", "-", "--once", "--timeout", "1", expect=1)
    check_contains(said, r"\[::1\]:8888", "egd-push takes its configuration, and the server is not there")
    # What is written to a file is written through a hole in the unit's sandbox.
    key = Softkey(run, transport="unix")
    run.run("ln", key.path, system.path("run/key"), path=need("ln"))
    os.chmod(key.path, 0o666)
    with open(system.path("etc/entropykey/keyring"), "w", encoding="ascii") as file, open(key.keyring, encoding="ascii") as ours:
        file.write(ours.read())
    as_unit.start(system).wait_output(r" ready ", 60)
    wait_until(lambda: os.path.getsize(system.path("var/lib/noise")) >= 64, "noise in the file")


def check_failing(run, system):
    """An upgrade that cannot be unpacked leaves 1.1.5."""
    folder = run.path("failing")
    run.run("dpkg-deb", "--raw-extract", package("ekeyd"), folder, path=need("dpkg-deb"))
    with open(folder + "/DEBIAN/preinst", "a", encoding="utf-8") as script:
        script.write("exit 1\n")
    run.run("dpkg-deb", "--build", folder, system.path("root/failing.deb"), path=need("dpkg-deb"))
    system.call("dpkg", "--install", "/root/failing.deb", expect=1)
    check_contains(system.call("dpkg-query", "-W", "ekeyd"), r"1\.1\.5", "the package that stays")
    check(not os.path.exists(system.path("etc/entropykey/keyring.kept")), "the keyring is left aside")


def row(control):
    try:
        with Control(control) as one:
            keys = one.keys()
    except OSError:
        return None
    return keys and tuple(keys[0].get(name) for name in ("OK", "Status", "Path", "SerialNo"))


if __name__ == "__main__":
    main()
