#!/usr/bin/python3
"""A Debian system with systemd as its first process and our packages: what the units do there."""
from daemons import Ekeyd, Softkey
from debian import Bare, with_our_packages
from debian_guest import DebianGuest
from guest import USBIP_MODULES, attach_program
from harness import main, test
from pages import Page

VERBOSE = "[Service]\nExecStart=\nExecStart=/usr/sbin/egd-push --config /etc/ekeyd/egd-push.conf -v\n"

SCRIPT = r""". /test/functions.sh
property() { # property UNIT NAME
    systemctl show -p "$2" --value "$1"
}
journal() { # journal UNIT PATTERN
    journalctl --no-pager -o cat -u "$1" | grep -Eq "$2"
}
check 'no unit has failed' [ -z "$(systemctl --failed --no-legend --plain | tee /dev/stderr)" ]
check 'ours run' systemctl -q is-active ekeyd egd-push-early
check 'no order goes in a circle' sh -c '! journalctl --no-pager -b | grep "ordering cycle"'

echo '--- egd-push-early: port and driver of virtio-serial are there, and it is first'
check 'it was ready before the seed file was read' \
    is_at_least "$(property systemd-random-seed InactiveExitTimestampMonotonic)" "$(property egd-push-early ActiveEnterTimestampMonotonic)"
check 'it pushed, with credit' journal egd-push-early 'pushed .*bits_credited=256'
check 'it is not root' [ "$(stat -c %U /proc/$(property egd-push-early MainPID))" = egd-push ]
check 'it reloads' systemctl reload egd-push-early
wait_for 'and says so' 5 journal egd-push-early 'reloaded servers=1'
echo 'bites = 3' >>/etc/ekeyd/egd-push.conf
check 'a bad file' systemctl reload egd-push-early
wait_for 'is told of with its line' 5 journal egd-push-early 'not reloaded.*egd-push.conf:2: '
check 'and in its status' sh -c 'systemctl status egd-push-early | grep "Status: \"not reloaded"'
check 'it goes on' systemctl -q is-active egd-push-early

echo '--- ekeyd: a key comes by USB'
start softkey softkey --usbip 127.0.0.1:3240 --keyring /tmp/keyring --rate 200
wait_for 'softkey is ready' 60 logged softkey '^ready '
cat /tmp/keyring >/etc/entropykey/keyring
check 'it reads the keyring again' systemctl reload ekeyd
check 'the key is plugged in' attach 0 1
running() {
    ekeydctl list | grep -q 'YES,Running OK'
}
wait_for 'the key runs' 120 running
check 'ekeyd is not root' [ "$(stat -c %U /proc/$(property ekeyd MainPID))" = ekeyd ]
fed() {
    ekeydctl show | grep -E '^ *kernel.* bytes=[1-9]' >/dev/null
}
wait_for 'the kernel gets bytes' 60 fed
ekeydctl show | grep kernel
check 'with credit' sh -c '! ekeydctl show | grep "mixes without credit"'

echo '--- ekeyd: its configuration is read again'
conf=/etc/ekeyd/ekeyd.conf
cp $conf /tmp/good
echo 'listen = unix:/run/ekeyd/second.sock' >>$conf
check 'a good file' systemctl reload ekeyd
check 'is in force' [ -S /run/ekeyd/second.sock ]
echo 'lissen = x' >>$conf
check 'with a bad file systemctl reload fails' sh -c '! systemctl reload ekeyd'
wait_for 'for a reason that is told with its line' 5 journal ekeyd "ekeyd.conf:$(wc -l <$conf): "
check 'ekeyd goes on' systemctl -q is-active ekeyd

echo '--- ekeyd: clients stay over a restart, also where starts fail meanwhile'
start client egd-push --from unix:/run/ekeyd/egd.sock --to file:/tmp/bytes --interval 1 -v
gets_bytes() { # the file is replaced with every answer
    cp /tmp/bytes /tmp/bytes.before
    wait_for 'it gets bytes' 60 sh -c '! cmp -s /tmp/bytes /tmp/bytes.before'
}
wait_for 'the client has bytes' 60 [ -s /tmp/bytes ]
gets_bytes
check 'systemctl restart says that it failed' sh -c '! systemctl restart ekeyd'
wait_for 'it is tried again' 60 sh -c '[ "$(systemctl show -p NRestarts --value ekeyd)" -ge 2 ]'
check 'and systemd has not given up' [ "$(property ekeyd ActiveState)" = activating ]
cp /tmp/good $conf
served() { # served TIMES
    [ "$(journalctl --no-pager -o cat -u ekeyd | grep -c 'clients of the last ekeyd are served on clients=1')" -ge "$1" ]
}
wait_for 'with a good file the client is served on' 10 served 1
gets_bytes
check 'a restart' systemctl restart ekeyd
wait_for 'the client is served on' 10 served 2
gets_bytes
check 'it saw no failure' sh -c '! grep -E "failed|lost|connect" /tmp/client.log'

echo '--- ekeyd: the unit lets it write below /run/ekeyd, and where ReadWritePaths= says'
install -d -o ekeyd /var/lib/noise
echo 'sink = file:/var/lib/noise/bytes' >>$conf
check 'elsewhere is refused' sh -c '! systemctl restart ekeyd'
wait_for 'and named' 5 journal ekeyd '/var/lib/noise.*Read-only file system'
mkdir -p /etc/systemd/system/ekeyd.service.d
printf '[Service]\nReadWritePaths=/var/lib/noise\n' >/etc/systemd/system/ekeyd.service.d/override.conf
systemctl daemon-reload
check 'with ReadWritePaths=' systemctl restart ekeyd
wait_for 'it writes' 60 [ -s /var/lib/noise/bytes ]
wait_for 'the client is served on' 10 served 3

echo '--- ekeyd: vsock, as qemu-libvirt.md has it'
cat /test/vsock.listen >>$conf
check 'it is refused as the unit is' sh -c '! systemctl restart ekeyd'
wait_for 'and the unit is named for it' 5 journal ekeyd 'cannot listen on vsock:any:888: .*RestrictAddressFamilies='
mkdir -p /etc/systemd/system/ekeyd.service.d
cp /test/vsock.conf /etc/systemd/system/ekeyd.service.d/vsock.conf
check 'it starts with what the page adds' sh -ec "$(cat /test/vsock.commands)"
check 'a push' egd-push --from vsock:local:888 --to file:/tmp/by-vsock --once --timeout 60
check 'in the end no unit has failed' [ -z "$(systemctl --failed --no-legend --plain | tee /dev/stderr)" ]
"""


@test("systemd: Debian boots with our packages: no unit fails; egd-push-early pushes before the seed file is read; ekeyd credits from a key on USB, reloads, and keeps clients over restarts that fail and succeed")
def units(run):
    system = Bare(run, base=with_our_packages(run))
    system.call("systemctl", "enable", "egd-push-early")
    system.write("etc/ekeyd/egd-push.conf", "from = char:/dev/virtio-ports/egd\n")
    system.write("etc/systemd/system/egd-push-early.service.d/verbose.conf", VERBOSE)
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    daemon.seeded()
    page = Page("qemu-libvirt").at("vsock")
    files = {"/test/vsock.listen": page.text("ini", "add", "/etc/ekeyd/ekeyd.conf"), "/test/vsock.commands": page.commands(),
             "/test/vsock.conf": page.text("ini", "/etc/systemd/system/ekeyd.service.d/vsock.conf")}
    guest = DebianGuest(run, system, modules=[*USBIP_MODULES, "vsock_loopback"], probed=["virtio_pci", "virtio_console"],
                        files={**{name: text.encode() for name, text in files.items()},
                               **{"/test" + name: text for name, text in attach_program().items()}}, qemu=[
        "-chardev", f"socket,id=egd,path={daemon.egd.removeprefix('unix:')},reconnect=1",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=egd,name=egd"])
    guest.start(SCRIPT)
    print(f"booted in {guest.wait_ready(300):.0f} s")
    print(guest.wait(350))


if __name__ == "__main__":
    main()
