"""The whole path on a kernel of its own: a dongle, ekeyd, and egd-push into a random pool that starts empty."""
import re

from daemons import Ekeyd, Softkey
from guest import PROGRAMS, Guest
from harness import check, check_contains, main, test


@test("in a guest, a dongle's entropy goes through ekeyd and egd-push into the kernel's pool, which it makes ready")
def tty_to_pool(run):
    # Nothing else may seed the pool meanwhile: no module and no program that waits for it.
    output = Guest(run, programs=PROGRAMS).run(""". /test/functions.sh
before=$(cat /proc/sys/kernel/random/entropy_avail)
echo "pool before: $before"
check 'the pool is not ready yet' [ "$before" -lt 256 ]
dmesg | grep -q 'crng init done' && failed 'the pool was ready already'
start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 20 logged softkey '^ready '
daemon entropykey:/tmp/key
wait_for 'the key runs' 30 lists 'Running OK'
check 'a push' egd-push --from unix:/tmp/egd.sock --to kernel --credit 8 --bytes 64 --once --timeout 60
echo "pool after: $(cat /proc/sys/kernel/random/entropy_avail)"
check 'the pool is ready' [ "$(cat /proc/sys/kernel/random/entropy_avail)" = 256 ]
dmesg | grep 'crng init done' || failed 'the kernel does not say that its generator is ready'
kill $ekeyd_pid
wait_for 'ekeyd ends' 5 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
""")
    check_contains(output, r"crng init done", "the kernel's word")


@test("in a guest, ekeyd as user nobody and in its sandbox feeds the kernel, with credit, and keeps no right but that")
def dropped(run):
    output = Guest(run, programs=PROGRAMS, files={"/etc/passwd": b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
                                                  "/etc/group": b"root:x:0:\nnogroup:x:65534:\n"}).run(""". /test/functions.sh
start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 20 logged softkey '^ready '
chmod 644 /etc/passwd /etc/group
daemon entropykey:/tmp/key --user nobody --sink kernel,credit=8,interval=1
wait_for 'the kernel is fed' 30 sh -c "dmesg | grep 'crng init done'"
grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|NoNewPrivs|Seccomp):' /proc/$ekeyd_pid/status
kill $ekeyd_pid
wait_for 'ekeyd ends' 5 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
""")
    for line in (r"Uid:\s65534\s65534\s65534\s65534", r"Gid:\s65534\s65534\s65534\s65534", r"Groups:\s(65534 )?$",
                 r"CapPrm:\s0000000000200000", r"CapEff:\s0000000000200000", r"NoNewPrivs:\s1", r"Seccomp:\s2"):
        check_contains(output, "(?m)^" + line, "the daemon's rights")  # capability 21 is CAP_SYS_ADMIN
    check_contains(output, r"sandbox .*system_calls=filtered.*files=.Landlock, version", "the log")


def pool_bytes_out(daemon):
    return int(re.search(r"PoolBytesOut\D+(\d+)", daemon.health())[1])


@test("QEMU's rng-egd on ekeyd's Unix socket: the guest reads /dev/hwrng, its virtio-rng, from our pool")
def virtio_rng(run):
    key = Softkey(run)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded()
    before = pool_bytes_out(daemon)
    guest = Guest(run, modules=["virtio_pci", "virtio-rng"], qemu=[
        "-chardev", f"socket,id=egd,path={daemon.egd.removeprefix('unix:')}", "-object", "rng-egd,id=rng,chardev=egd",
        "-device", "virtio-rng-pci,rng=rng"])
    output = guest.run(""". /test/functions.sh
echo "current: $(cat /sys/class/misc/hw_random/rng_current)"
dd if=/dev/hwrng of=/tmp/bytes bs=64 count=16
check 'the bytes are there' [ "$(wc -c </tmp/bytes)" = 1024 ]
check 'and differ from each other' [ "$(gzip -c </tmp/bytes | wc -c)" -gt 1000 ]
sha256sum /tmp/bytes
""")
    check_contains(output, "current: virtio_rng", "the guest's generator")
    served = pool_bytes_out(daemon) - before
    check(served >= 1024, f"the guest read 1024 bytes, and ekeyd served {served}")


if __name__ == "__main__":
    main()
