"""A guest whose random pool starts empty, and the ways to make it ready: when the kernel's generator is ready, and when
the tool has done its part. All times are the guest kernel's own, of its log, in seconds since its start.

    times = boot(run, "sealed")         {"begun": 3.1, "done": 4.0, "init": 3.9}; what never came is missing

`begun` is where the tool is started: the first program's script, with the network up. No process in the guest waits in getrandom()
unless the tool itself does or `waiter` is given, because a wait there makes the kernel gather jitter of its own.
"""
import re

from clients import free_port
from daemons import Ekeyd, Softkey
from debians_pollen import debians_pollen
from guest import PROGRAMS, Guest
from harness import need, peer

HOST = "10.0.2.2"  # the host's loopback address, as QEMU's user network shows it
NETWORK = ["-nic", "user,model=virtio-net-pci"]

BEGIN = """. /test/functions.sh
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
told() { # told EVENT: in the kernel's log, which has the time
    echo "boot: $1" >/dev/kmsg
}
is_ready() {
    dmesg | grep -q 'crng init done'
}
first_push() { # first_push OPTION...: until egd-push has pushed once
    egd-push -v "$@" --once >/tmp/push.log 2>&1 || failed 'a push'
    told done
    cat /tmp/push.log
}
"""
END = r"""
dmesg | grep -E 'crng init done|\] boot: '
"""
# It is not awaited, as nothing says that it will not come; what is measured is that it has not within this time.
IN_VAIN = 8


class Host:
    """ekeyd on softkey beside the guest, on TCP, over sealed links, and for QEMU's virtio-rng."""

    def __init__(self, run):
        self.tcp, self.sealed_port = free_port(), free_port()
        self.guest_key = run.path("guest.key")
        run.run("ekeydctl", "keygen", run.path("home.key"))
        public = run.run("ekeydctl", "keygen", self.guest_key).split()[-1]
        peers = run.write("peers", f"{public} guest\n")
        self.public = run.run("ekeydctl", "pubkey", run.path("home.key")).split()[-1]
        self.daemon = Ekeyd(run, f"identity = {run.path('home.key')}", f"listen = tcp:127.0.0.1:{self.tcp}",
                            f"listen = sealed:127.0.0.1:{self.sealed_port},peers={peers}", softkeys=[Softkey(run)])
        self.daemon.seeded()

    def identity(self):
        with open(self.guest_key, "rb") as file:
            return {"/etc/identity.key": file.read()}


def guest_of(run, method, host):
    """The machine for a method, the script before the tool is started, and that of the tool."""
    modules, programs, files, qemu = ["virtio_pci", "virtio_net"], ["egd-push"], {}, list(NETWORK)
    before = ""
    if method == "nothing":
        tool = f"sleep {IN_VAIN}"
    elif method == "pollinate":
        with open(peer("usr/bin/pollinate"), "rb") as script:
            files = {"/bin/pollinate": script.read(), "/etc/debian_version": b"12\n",
                     "/etc/default/pollinate": b"DEVICE=/dev/urandom\nBINARY=1\nWAIT=60\n"}
        programs = [need("curl")]
        before = "mkdir -p /var/cache/pollinate /var/lib/dpkg\n: >/var/lib/dpkg/status"
        tool = f"""pollinate --insecure --server {debians_pollen(run)[0].replace('127.0.0.1', HOST)} >/tmp/pollinate.log 2>&1 || failed 'pollinate'
[ -e /var/cache/pollinate/seeded ] || failed 'pollinate has not seeded'
told done
sleep {IN_VAIN // 2}"""
    elif method == "haveged":
        programs = [peer("usr/sbin/haveged")]
        # Debian's options.
        tool = f"start haveged haveged --Foreground --verbose=1 -w 1024\nsleep {IN_VAIN}"
    elif method == "ekeyd-egd-linux":
        programs = [peer("usr/sbin/ekeyd-egd-linux")]
        tool = f"start old ekeyd-egd-linux -H {HOST} -p {host.tcp} -r 1\nwait_for 'the generator is ready' 60 is_ready"
    elif method == "virtio-rng":
        modules.append("virtio-rng")
        qemu += ["-chardev", f"socket,id=egd,path={host.daemon.egd.removeprefix('unix:')}", "-object", "rng-egd,id=rng,chardev=egd",
                 "-device", "virtio-rng-pci,rng=rng"]
        tool = "wait_for 'the generator is ready' 60 is_ready"
    elif method == "tcp":
        tool = f"first_push --from tcp:{HOST}:{host.tcp} --timeout 60 --credit 8"
    elif method == "tcp-uncredited":
        tool = f"first_push --from tcp:{HOST}:{host.tcp} --timeout 60"
    elif method == "sealed":
        files = host.identity()
        tool = f"first_push --from sealed:{HOST}:{host.sealed_port},key={host.public} --identity /etc/identity.key --timeout 60"
    elif method == "vsock":
        modules.append("vsock_loopback")
        programs = PROGRAMS
        before = """start softkey softkey --pty /tmp/key --keyring /tmp/keyring --rate 500
wait_for 'softkey is ready' 60 logged softkey '^ready '
printf '%s\\n' 'source = entropykey:/tmp/key' 'listen = vsock:any:888' 'control = unix:/tmp/control.sock' \\
    'keyring = /tmp/keyring' >/tmp/ekeyd.conf
start ekeyd ekeyd --config /tmp/ekeyd.conf --foreground
wait_for 'ekeyd is ready' 60 logged ekeyd ' ready'"""
        tool = "first_push --from vsock:local:888 --timeout 60"
    return Guest(run, modules=modules, programs=programs, files=files, qemu=qemu,
                 kernel_options="random.trust_bootloader=off"), before, tool


def boot(run, method, waiter=False, host=None):
    """`waiter`: a process that waits in getrandom() from `begun` on, as sshd or systemd would. `host`: of an earlier boot."""
    if method in ("ekeyd-egd-linux", "virtio-rng", "tcp", "tcp-uncredited", "sealed"):
        host = host or Host(run)
    guest, before, tool = guest_of(run, method, host)
    waits = "head -c 1 /dev/random >/dev/null &" if waiter else ""
    output = guest.run("\n".join([BEGIN, before, "told begun", waits, tool, END]), seconds=180)
    print(f"--- {method}\n" + output)
    return {event: float(time) for time, event in
            re.findall(r"\[ *(\d+\.\d+)\] (?:boot: |random: crng )(begun|done|init)", output)}
