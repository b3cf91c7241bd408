#!/usr/bin/python3
"""egd-push in a guest, over what leads from a guest to its host without a network: vsock and virtio-serial."""
from daemons import Ekeyd, Softkey
from guest import PROGRAMS, Guest
from harness import check_contains, main, test

POOL_IS_READY = """
check 'the pool is ready' [ "$(cat /proc/sys/kernel/random/entropy_avail)" = 256 ]
dmesg | grep 'crng init done' || failed 'the kernel does not say that its generator is ready'
"""


@test("in a guest, egd-push makes the kernel's pool ready over vsock, from an ekeyd that listens there; and pushes when the clock jumps")
def vsock(run):
    output = Guest(run, programs=PROGRAMS, modules=["vsock_loopback"]).run(""". /test/functions.sh
egd-push --from vsock:host:888 --once && failed 'a push from nobody'
start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 60 logged softkey '^ready '
printf '%s\\n' 'source = entropykey:/tmp/key' 'listen = vsock:any:888' 'control = unix:/tmp/control.sock' \\
    'keyring = /tmp/keyring' >/tmp/ekeyd.conf
start ekeyd ekeyd --config /tmp/ekeyd.conf --foreground
wait_for 'ekeyd is ready' 60 logged ekeyd ' ready'
dmesg | grep -q 'crng init done' && failed 'the pool was ready already'
check 'a push' egd-push --from vsock:local:888 --once --timeout 60 -v >/tmp/push.log 2>&1
grep 'pushed upstream=vsock:local:888 bytes=64 bits_credited=256' /tmp/push.log || failed 'no credit'
""" + POOL_IS_READY + """
start again egd-push --from vsock:local:888 --interval 3600 --timeout 60 -vv
wait_for 'a push' 60 logged again 'pushed upstream'
check 'the clock jumps' date -s '2040-01-01 00:00'
wait_for 'it notices' 60 logged again 'pushing early reason="the clock was set or the machine slept"'
wait_for 'another push' 60 sh -c "sed '1,/pushing early/d' /tmp/again.log | grep -Eq 'pushed|repeated'"
""", seconds=240)
    check_contains(output, r'upstream=vsock:host:888 reason="cannot connect: (nothing carries vsock here|.*nobody listens)',
                   "what egd-push says of a host that is not there")


@test("in a guest, egd-push makes the pool ready over virtio-serial, and outlives a restart of the host's ekeyd")
def virtio_serial(run):
    key = Softkey(run)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded()
    guest = Guest(run, programs=["egd-push"], modules=["virtio_pci", "virtio_console"], qemu=[
        "-chardev", f"socket,id=egd,path={daemon.egd.removeprefix('unix:')},reconnect=1",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=egd,name=egd"])
    guest.start(""". /test/functions.sh
# What udev does elsewhere.
mkdir /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    ln -s "../${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
ticks() { # of the processor, in hundredths of a second
    awk '{ print $14 + $15 }' /proc/$push_pid/stat
}
start push egd-push --from char:/dev/virtio-ports/egd --interval 2 --timeout 60 -v
wait_for 'a push' 60 logged push 'pushed upstream=char:/dev/virtio-ports/egd bytes=64 bits_credited=256'
""" + POOL_IS_READY + """
echo 'HOST: stop'
wait_for 'the host is missed' 60 logged push 'nobody is at the other end of the device'
before=$(ticks)
sleep 3
used=$(($(ticks) - before))
check "it does not spin: $used ticks in 3 s" [ "$used" -lt 100 ]
echo 'HOST: start'
wait_for 'it delivers again' 120 logged push 'delivers again'
kill $push_pid
wait_for 'egd-push ends' 20 sh -c "! kill -0 $push_pid 2>/dev/null"
""")
    guest.wait_output("^HOST: stop")
    daemon.program.stop()
    guest.wait_output("^HOST: start")
    daemon.start()
    guest.wait(240)


if __name__ == "__main__":
    main()
