"""The whole path on a kernel of its own: a dongle, ekeyd, and egd-push into a random pool that starts empty."""
import re

from daemons import Ekeyd, Softkey
from guest import PROGRAMS, Guest
from harness import check, check_contains, main, peer, test


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
wait_for 'ekeyd ends' 20 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
""")
    check_contains(output, r"crng init done", "the kernel's word")


@test("in a guest, Debian's ekeyd-egd-linux asks for nothing once the pool was seeded, and egd-push delivers on every interval: counted by one ekeyd in one run")
def old_and_new(run):
    output = Guest(run, programs=[*PROGRAMS, peer("usr/sbin/ekeyd-egd-linux")]).run(""". /test/functions.sh
start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 20 logged softkey '^ready '
daemon entropykey:/tmp/key --listen tcp:127.0.0.1:8888 --listen tcp:127.0.0.1:8889
counter() { # counter PORT NAME
    ekeydctl --socket /tmp/control.sock show | grep ":$1" | grep -o "\\b$2=[0-9]*" | cut -d= -f2
}
at_least() { # at_least NUMBER PORT NAME
    [ "$(counter "$2" "$3")" -ge "$1" ]
}
nobody_waits() {
    [ "$(counter 8888 waiting)" = 0 ]
}
start old ekeyd-egd-linux -H 127.0.0.1 -p 8888 -r 1
wait_for 'the old program seeds the pool' 60 sh -c "dmesg | grep 'crng init done'"
wait_for 'the old program asks' 60 at_least 1 8888 requests
wait_for 'it has its answers' 60 nobody_waits
start new egd-push --from tcp:127.0.0.1:8889 --interval 3 -v
wait_for 'a push' 60 at_least 1 8889 requests
began=$(cut -d. -f1 /proc/uptime)
before=$(counter 8888 requests)
echo "ekeyd-egd-linux before: $before requests"
wait_for 'eight pushes' 120 at_least 8 8889 requests
took=$(($(cut -d. -f1 /proc/uptime) - began))
check "seven intervals of 3 s took $took s" [ "$took" -le 60 ]
check 'the old program still runs' kill -0 $old_pid
echo "ekeyd-egd-linux since: $(counter 8888 clients) connected, $(($(counter 8888 requests) - before)) requests"
echo "egd-push: $(counter 8889 clients) connected, $(counter 8889 requests) requests, $(counter 8889 bytes) bytes, in $took s"
kill $new_pid $old_pid
end_daemon
""", 180)
    check_contains(output, r"(?m)^ekeyd-egd-linux since: 1 connected, 0 requests$", "what the old program asked for")
    requests, size = map(int, re.search(r"(?m)^egd-push: 1 connected, (\d+) requests, (\d+) bytes", output).groups())
    check(requests >= 8 and size == 64 * requests, f"{requests} requests of egd-push, {size} bytes")
    print(*re.findall(r"(?m)^(?:ekeyd-egd-linux|egd-push).*: .*", output), sep="\n")


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
wait_for 'ekeyd ends' 20 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
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
