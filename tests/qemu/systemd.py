#!/usr/bin/python3
"""A Debian system with systemd as its first process and our packages: what the units do there."""
from daemons import Ekeyd, Softkey
from debian import Bare, with_our_packages
from debian_guest import DebianGuest
from guest import USBIP_MODULES, attach_program
from harness import check_contains, main, test


@test("systemd")
def units(run):
    system = Bare(run, base=with_our_packages(run))
    system.call("systemctl", "enable", "egd-push-early")
    system.write("etc/ekeyd/egd-push.conf", "from = char:/dev/virtio-ports/egd\n")
    key = Softkey(run)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded()
    guest = DebianGuest(run, system, modules=[*USBIP_MODULES, "virtio_pci", "virtio_console"],
                        files={"/test" + name: text for name, text in attach_program().items()}, qemu=[
        "-chardev", f"socket,id=egd,path={daemon.egd.removeprefix('unix:')},reconnect=1",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=egd,name=egd"])
    guest.start(""". /test/functions.sh
systemctl --failed --no-legend
systemctl --no-pager status ekeyd egd-push-early || true
systemd-analyze || true
systemd-analyze blame | head -20 || true
systemd-analyze critical-chain --no-pager || true
journalctl --no-pager -o short-monotonic | tail -150
""")
    print(guest.wait_ready(300))
    print(guest.wait(240))


if __name__ == "__main__":
    main()
