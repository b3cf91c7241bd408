#!/usr/bin/python3
"""What a restart of ekeyd does to a guest whose virtio-rng QEMU feeds from it."""
import re

from daemons import Ekeyd, Softkey
from guest import Guest
from harness import check, main, test
from manager import Manager

# Reads on and on, each time after a moment; says how often, and when a read takes long.
READER = """. /test/functions.sh
echo "current: $(cat /sys/class/misc/hw_random/rng_current)"
n=0
while true; do
    dd if=/dev/hwrng of=/tmp/bytes bs=64 count=1 2>/dev/null &
    tries=0
    while kill -0 $! 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" != 50 ] || echo "nothing came after read $n"
        usleep 100000
    done
    n=$((n + 1))
    echo "read $n"
done
"""


def reads(guest):
    return max((int(number) for number in re.findall(r"(?m)^read (\d+)$", guest.output())), default=0)


def more_reads(guest):
    guest.wait_output(rf"^read {reads(guest) + 5}\r?\n")


@test("promise 8: a QEMU guest's virtio-rng goes on over restarts of ekeyd, which hands QEMU's connection over; without the service manager's store it starves")
def virtio_rng(run):
    manager = Manager(run)
    daemon = Ekeyd(run, softkeys=[Softkey(run)], env=manager.env())
    daemon.seeded()
    guest = Guest(run, modules=["virtio_pci", "virtio-rng"], qemu=[
        "-chardev", f"socket,id=egd,path={daemon.egd.removeprefix('unix:')}",
        "-object", "rng-egd,id=rng0,chardev=egd", "-device", "virtio-rng-pci,rng=rng0"])
    guest.start(READER)
    guest.wait_output("^current: virtio_rng")
    for _ in range(2):
        more_reads(guest)
        manager.restart(daemon)
        daemon.program.wait_output("clients of the last ekeyd are served on clients=1$")
    more_reads(guest)
    manager.stop_daemon(daemon)
    manager.drop()
    manager.start_daemon(daemon)
    daemon.seeded()
    last = guest.wait_output(r"^nothing came after read (\d+)\r?\n(?![\s\S]*^read)")[1]
    check(reads(guest) <= int(last), "the guest reads on without the store: then this test shows nothing")
    guest.machine.stop()


if __name__ == "__main__":
    main()
