#!/usr/bin/env python3
"""contrib/examples/guests: guests by virtio-rng, virtio-serial and vsock, with the examples' lines for QEMU, and with those
that libvirt makes of the examples' XML."""
import json
import os
import re
import shlex

from daemons import Ekeyd, Softkey
from guest import PROGRAMS, Guest
from harness import check, check_contains, check_equal, main, need, test
from hosts import example

SOCKET = "/run/ekeyd/egd.sock"  # in the examples
NOBODY = 65534

DOMAIN = """<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>256</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>{qemu}</emulator>
    {devices}
  </devices>
</domain>
"""


class Host:
    """An ekeyd with a socket for each way into the guest, so that what each takes is counted by itself."""

    def __init__(self, run):
        self.run = run
        self.sockets = {kind: run.path(kind) for kind in ("virtio-rng", "virtio-serial")}
        self.daemon = Ekeyd(run, *(f"listen = unix:{path}" for path in self.sockets.values()), softkeys=[Softkey(run)])
        self.daemon.seeded()

    def example(self, kind, form):
        return example(f"guests/{kind}.{form}", **{SOCKET: self.sockets[kind]} if kind in self.sockets else {})

    def bytes(self, kind):
        return int(self.daemon.listeners()[f"unix:{self.sockets[kind]}"]["bytes"])


def takes_its_bytes(run, host, qemu):
    """A guest with both devices: its kernel reads one, egd-push the other."""
    guest = Guest(run, programs=["egd-push"], modules=["virtio_pci", "virtio-rng", "virtio_console"], qemu=qemu,
                  files={"/etc/egd-push.conf": example("guests/virtio-serial.conf").encode()})
    output = guest.run(""". /test/functions.sh
# What udev does elsewhere.
mkdir /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    ln -s "../${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
echo "current: $(cat /sys/class/misc/hw_random/rng_current)"
dd if=/dev/hwrng of=/tmp/bytes bs=64 count=16
check 'the bytes are there' [ "$(wc -c </tmp/bytes)" = 1024 ]
check 'a push' egd-push --config /etc/egd-push.conf --once -v --timeout 60 >/tmp/push.log 2>&1
cat /tmp/push.log
""", 240)
    check_contains(output, "current: virtio_rng", "the guest's generator")
    check_contains(output, "pushed upstream=char:/dev/virtio-ports/egd bytes=64 bits_credited=256", "egd-push")
    check(host.bytes("virtio-rng") >= 1024, f"the guest read 1024 bytes, and ekeyd served {host.bytes('virtio-rng')}")
    check_equal(host.bytes("virtio-serial"), 64, "bytes that ekeyd served egd-push")


@test("examples: a QEMU guest by virtio-rng and by virtio-serial, with the lines of contrib/examples/guests")
def qemu_lines(run):
    host = Host(run)
    takes_its_bytes(run, host, shlex.split(host.example("virtio-rng", "qemu") + host.example("virtio-serial", "qemu")))


def libvirt(run, devices):
    """QEMU's command line, as libvirt makes it of a guest with these devices; by its library, without its daemon."""
    domain = run.write("domain.xml", DOMAIN.format(qemu=need("qemu-system-x86_64"), devices=devices), 0o644)
    root = run.path("libvirt")
    os.mkdir(root)

    def drop():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    # As root it would want a user of its own, which Debian's package of the daemon makes.
    if os.geteuid() == 0:
        os.chmod(run.folder, 0o711)
        os.chown(root, NOBODY, NOBODY)
    said = run.run("virsh", "-q", "-c", f"qemu:///embed?root={root}", "domxml-to-native", "qemu-argv", "--xml", domain,
                   path=need("virsh"), env={"HOME": root, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, seconds=120,
                   preexec=drop if os.geteuid() == 0 else None)
    words = shlex.split(next(line for line in said.splitlines() if " -name guest=" in line))
    begin = words.index("-name")
    return [(option, value) for option, value in zip(words[begin:], words[begin + 1:]) if option.startswith("-")]


@test("examples: a libvirt guest by virtio-rng and by virtio-serial: libvirt takes the XML of contrib/examples/guests, and QEMU what libvirt makes of it; vsock is the same device as in QEMU's lines")
def libvirt_lines(run):
    host = Host(run)
    options = libvirt(run, "".join(host.example(kind, "xml") for kind in ("virtio-rng", "virtio-serial", "vsock")))
    # A vsock device needs /dev/vhost-vsock, which few build machines have.
    vsock = [json.loads(value)["driver"] for option, value in options if option == "-device" and "vsock" in value]
    check_equal(vsock, [re.search(r"-device ([^,]+)", host.example("vsock", "qemu"))[1]], "libvirt's device for vsock")
    ours = [word for option, value in options if re.search("charrng0|objrng0|charchannel0|virtio-serial-pci", value) for word in (option, value)]
    check_equal(len(ours), 2 * 6, f"the devices' options: {ours}\n")
    takes_its_bytes(run, host, ours)


@test("examples: vsock: QEMU has the device of contrib/examples/guests; egd-push with its settings, in a guest, is served by an ekeyd that listens as it says")
def vsock(run):
    words = shlex.split(example("guests/vsock.qemu"))
    device, _, settings = words[1].partition(",")
    known = run.run("qemu", "-device", f"{device},help", path=need("qemu-system-x86_64"))
    check_contains(known, rf"(?m)^\s*{settings.partition('=')[0]}=", "the device's settings")
    listen = re.search(r"`(listen = vsock:\S+)`", example("guests/vsock.xml"))[1]
    # The guest is its own host: vsock's loopback.
    config = example("guests/vsock.conf", **{"vsock:host": "vsock:local"})
    Guest(run, programs=PROGRAMS, modules=["vsock_loopback"], files={
        "/etc/egd-push.conf": config.encode(), "/etc/ekeyd.conf": f"{listen}\n".encode()}).run(""". /test/functions.sh
start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 60 logged softkey '^ready '
start ekeyd ekeyd --config /etc/ekeyd.conf --source entropykey:/tmp/key --keyring /tmp/keyring --foreground
wait_for 'ekeyd is ready' 60 logged ekeyd ' ready'
check 'a push' egd-push --config /etc/egd-push.conf --once -v --timeout 60 >/tmp/push.log 2>&1
grep 'pushed upstream=vsock:local:888 bytes=64 bits_credited=256' /tmp/push.log || failed 'no credit'
""", 240)


if __name__ == "__main__":
    main()
