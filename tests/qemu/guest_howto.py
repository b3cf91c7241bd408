#!/usr/bin/python3
"""contrib/doc/qemu-libvirt.md: guests by virtio-rng, virtio-serial and vsock, with the page's lines for QEMU, and with those that
libvirt makes of the page's XML. Over the host's bridge: howto_first_boot.py."""
import json
import os
import re
import shlex

from guest import PROGRAMS, Guest
from harness import check, check_contains, check_equal, main, need, test
from machine import Machine
from pages import tries

NOBODY = 65534
KVM = 12345

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


def qemu(page, section):
    """The page's options for QEMU."""
    return page.at(section).text("text", "qemu")


def host_of_page(run, page):
    """A host with a dongle and the page's socket."""
    host = Machine(run, "host")
    host.plug()
    host.group("kvm", KVM)
    socket = page.at("QEMU and libvirt guests")
    host.take(socket.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    host.sh(socket.commands())
    return host


def takes_its_bytes(run, host, page, options):
    """A guest with both devices: its kernel reads one, egd-push the other."""
    guest = Guest(run, programs=["egd-push"], modules=["virtio_pci", "virtio-rng", "virtio_console"], qemu=options, preexec=host.enter,
                  files={"/etc/ekeyd/egd-push.conf": page.at("virtio-serial").file("/etc/ekeyd/egd-push.conf").encode()})
    output = guest.run(""". /test/functions.sh
# What udev does elsewhere.
mkdir /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    ln -s "../${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
echo "current: $(cat /sys/class/misc/hw_random/rng_current)"
dd if=/dev/hwrng of=/tmp/bytes bs=64 count=16
check 'the bytes are there' [ "$(wc -c </tmp/bytes)" = 1024 ]
check 'a push' egd-push --config /etc/ekeyd/egd-push.conf --once -v --timeout 60 >/tmp/push.log 2>&1
cat /tmp/push.log
""", 240)
    check_contains(output, "(?m)^current: virtio_rng.0$", "the guest's generator, as the page has it")
    check_contains(output, "pushed upstream=char:/dev/virtio-ports/egd bytes=64 bits_credited=256", "egd-push")
    served = int(host.counters("unix:/run/ekeyd/guests.sock")["bytes"])
    check(served >= 1024 + 64, f"the guest took 1024 and 64 bytes, and ekeyd served {served}")


@test("how to, QEMU: a guest by virtio-rng and by virtio-serial, with the page's options")
@tries("qemu-libvirt", "QEMU and libvirt guests", ("virtio-rng", "text qemu"), ("virtio-serial", "text qemu"),
       ("virtio-serial", "ini /etc/ekeyd/egd-push.conf"))
def qemu_lines(run, page):
    options = shlex.split(qemu(page, "virtio-rng") + qemu(page, "virtio-serial"))
    takes_its_bytes(run, host_of_page(run, page), page, options)


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


@test("how to, libvirt: a guest by virtio-rng and by virtio-serial: libvirt takes the page's XML, and QEMU what libvirt makes of it; vsock is the same device as in QEMU's options")
@tries("qemu-libvirt", "QEMU and libvirt guests", ("virtio-rng", "xml"), ("virtio-serial", "xml"), ("virtio-serial", "ini /etc/ekeyd/egd-push.conf"),
       ("vsock", "xml"), ("vsock", "text qemu"))
def libvirt_lines(run, page):
    host = host_of_page(run, page)
    options = libvirt(run, "".join(page.at(section).text("xml") for section in ("virtio-rng", "virtio-serial", "vsock")))
    domain = run.path("domain.xml")  # with the page's XML in it; what the schema does not know, libvirt ignores
    run.run("virt-xml-validate", domain, "domain", path=need("virt-xml-validate"))
    # A vsock device needs /dev/vhost-vsock, which few build machines have.
    vsock = [json.loads(value)["driver"] for option, value in options if option == "-device" and "vsock" in value]
    check_equal(vsock, [re.search(r"-device ([^,]+)", qemu(page, "vsock"))[1]], "libvirt's device for vsock")
    ours = [word for option, value in options if re.search("charrng0|objrng0|charchannel0|virtio-serial-pci", value) for word in (option, value)]
    check_equal(len(ours), 2 * 6, f"the devices' options: {ours}\n")
    takes_its_bytes(run, host, page, ours)


@test("how to, vsock: QEMU has the page's device; egd-push with the page's settings, in a guest, is served by an ekeyd that listens as it says")
@tries("qemu-libvirt", ("vsock", "text qemu"), ("vsock", "ini add /etc/ekeyd/ekeyd.conf"), ("vsock", "ini /etc/ekeyd/egd-push.conf"))
def vsock(run, page):
    words = shlex.split(qemu(page, "vsock"))
    device, _, settings = words[1].partition(",")
    known = run.run("qemu", "-device", f"{device},help", path=need("qemu-system-x86_64"))
    check_contains(known, rf"(?m)^\s*{settings.partition('=')[0]}=", "the device's settings")
    listen = page.file("/etc/ekeyd/ekeyd.conf")
    # The guest is its own host: vsock's loopback.
    config = page.file("/etc/ekeyd/egd-push.conf", **{"vsock:host": "vsock:local"})
    Guest(run, programs=PROGRAMS, modules=["vsock_loopback"], files={
        "/etc/egd-push.conf": config.encode(), "/etc/ekeyd.conf": listen.encode()}).run(""". /test/functions.sh
start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 60 logged softkey '^ready '
start ekeyd ekeyd --config /etc/ekeyd.conf --source entropykey:/tmp/key --keyring /tmp/keyring --foreground
wait_for 'ekeyd is ready' 60 logged ekeyd ' ready'
check 'a push' egd-push --config /etc/egd-push.conf --once -v --timeout 60 >/tmp/push.log 2>&1
grep 'pushed upstream=vsock:local:888 bytes=64 bits_credited=256' /tmp/push.log || failed 'no credit'
""", 240)


if __name__ == "__main__":
    main()
