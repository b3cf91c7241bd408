#!/usr/bin/python3
"""What the upgrade from 1.1.5 writes for sockets and files outside /run/ekeyd, carried out by systemd itself, with the sandbox of
ekeyd.service. The upgrade is in ../system/upgrade.py."""
import os

from debian import Bare, with_our_packages
from debian_guest import DebianGuest
from harness import check_equal, main, test

SCRIPT = """set -eu
shown() {
    systemctl is-active ekeyd ekeyd-old-1.socket ekeyd-old-2.socket
    stat -c '%n %a %U %G' /etc/entropy /var/lib/egd /var/lib/noise
    ekeydctl show | grep -o 'unix:/[^ ,]*\\|file:[^ ]* .*state=[a-z]*' | sort -u
}
shown
systemctl restart ekeyd
shown
systemctl stop ekeyd
for path in /etc/entropy /var/lib/egd; do [ ! -e $path ] || echo "$path is still there"; done
systemctl start ekeyd
shown
"""
SHOWN = """active
active
active
/etc/entropy 660 root users
/var/lib/egd 600 root root
/var/lib/noise 644 ekeyd ekeyd
"""


@test("units of an upgrade from 1.1.5: systemd makes the sockets outside /run/ekeyd as they were, ekeyd has them and its file; over a restart, too")
def old_paths(run):
    system = Bare(run, base=with_our_packages(run))
    os.unlink(system.path("etc/ekeyd/ekeyd.conf"))
    system.write("var/lib/noise", "")
    system.write("etc/entropykey/ekeyd.conf", """UnixControlSocket "/var/run/ekeyd.sock"
EGDUnixSocket("/etc/entropy", "0660", "root", "users")
EGDUnixSocket "/var/lib/egd"
SetOutputToFile "/var/lib/noise"
""")
    system.call("/usr/share/ekeyd/old-paths", "/etc/entropykey/ekeyd.conf")
    guest = DebianGuest(run, system, modules=[])
    guest.start(SCRIPT)
    guest.wait_ready(240)
    said = guest.wait(120)
    print(said)
    check_equal("is still there" in said, False, "a stopped ekeyd leaves sockets")
    check_equal(said.count(SHOWN), 3, "times that all was as it should be: at the start, after a restart, after a stop and a start")


if __name__ == "__main__":
    main()
