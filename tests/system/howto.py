#!/usr/bin/python3
"""The pages of contrib/doc, tried as they stand (see pages.py and machine.py): what a page tells to write is written, what it
tells to type is typed. Guests of QEMU
are in tests/qemu/guest_howto.py, first boots in howto_first_boot.py, HAProxy in howto_haproxy.py."""
import os
import re
import shutil
import socket

from clients import Connection
from harness import Skip, build_folder, check, check_contains, check_equal, main, peer, source_folder, test, wait_until
from machine import UNITS, Machine, bridge, join, keygen
from pages import tries

ALICE, POSTFIX, KVM = 12345, 12346, 12348

# Answers gpg-agent's questions with a passphrase; the protocol is libassuan's.
PINENTRY = """#!/bin/sh
echo OK
while read -r word rest; do
    case $word in GETPIN) echo D passphrase ;; esac
    echo OK
    case $word in BYE) exit ;; esac
done
"""


def host(run, name="host"):
    """The one with the dongle, and the configuration that is installed."""
    machine = Machine(run, name)
    machine.plug()
    return machine


def bytes_of(machine, kind):
    return int(machine.counters(kind)["bytes"])


def gnupg_home(machine, home, number):
    """Lets gpg ask for a passphrase without a person, and not measure for seconds how fast this machine is."""
    machine.write("/usr/local/bin/pinentry", PINENTRY, 0o755)
    machine.write(f"{home}/.gnupg/gpg-agent.conf", "pinentry-program /usr/local/bin/pinentry\ns2k-count 65536\n")
    for name in ("", "/gpg-agent.conf"):
        os.chown(machine.path(f"{home}/.gnupg{name}"), number, number)
    os.chmod(machine.path(f"{home}/.gnupg"), 0o700)


KEY = r"(?m)^pub +ed25519[\s\S]*^uid +.*alice@example.org"


@test("how to, GnuPG by way of the kernel: the page's sink has bytes, and gpg makes a key")
@tries("gnupg", "By way of the kernel")
def gnupg_kernel(run, page):
    machine = host(run)
    gnupg_home(machine, "/root", 0)
    machine.take(page.blocks[0])
    try:
        said = machine.sh(page.commands(), keys="y\n")
    finally:
        machine.sh("gpgconf --kill gpg-agent")
    check_contains(said, r"(?m)^.*kernel.*bytes=", "ekeydctl show")
    check_contains(said, KEY, "gpg")
    wait_until(lambda: bytes_of(machine, "kernel") > 0, "bytes for the kernel")


@test("how to, GnuPG by way of EGD: a user's gpg on Debian's libgcrypt built for EGD makes a key of ekeyd's bytes, and none without ekeyd")
@tries("gnupg", "By way of EGD")
def gnupg_egd(run, page):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "build-libgcrypt"), encoding="utf-8") as file:
        option = re.search(r"configure (\S+)", page.text("sh", "build"))[1]
        check(option in file.read(), f"the library of this test is built without {option}")
    machine = host(run)
    machine.user("alice", ALICE)
    shutil.copy(peer("libgcrypt/libgcrypt.so.20"), machine.path("/usr/local/lib"))
    machine.take(page.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    machine.sh(page.commands())
    gnupg_home(machine, "/home/alice", ALICE)
    alice = machine.as_user(ALICE, "/home/alice")
    listener = "unix:/run/ekeyd/alice.sock"
    try:
        check_contains(machine.sh(page.text("sh", "as", "alice"), keys="y\n", **alice), KEY, "gpg")
        # libgcrypt's pool takes 600 bytes before it gives any (POOLSIZE in random-csprng.c).
        counters = machine.counters(listener)
        check(int(counters["bytes"]) >= 600, f"gpg took {counters['bytes']} bytes")
        check_equal(counters["errors"], "0", "errors")
        machine.stop_service("ekeyd")
        said = machine.sh("LD_LIBRARY_PATH=/usr/local/lib gpg --gen-random --armor 2 48", expect=2, **alice)
        check(not re.search(r"(?m)^[A-Za-z0-9+/]{64}$", said), f"gpg without ekeyd gives {said}")
    finally:
        machine.sh("gpgconf --kill gpg-agent", **alice)


MAIN_CF = """compatibility_level = 3.6
queue_directory = /var/lib/postfix/queue
data_directory = /var/lib/postfix/data
daemon_directory = {programs}/sbin
command_directory = {programs}/sbin
shlib_directory = {programs}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
mynetworks_style = host
myhostname = test.localhost
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
maillog_file = /var/lib/postfix/log
maillog_file_prefixes = /var/lib/postfix
tls_random_reseed_period = 1s
"""


def postfix(machine):
    """Postfix as Debian packages it, of whose services tlsmgr is enough, with the line of Debian's master.cf."""
    machine.user("postfix", POSTFIX)
    machine.group("postdrop", POSTFIX + 1)
    for name in ("queue/private", "queue/public", "queue/pid", "data"):
        os.makedirs(machine.path(f"/var/lib/postfix/{name}"))
        os.chown(machine.path(f"/var/lib/postfix/{name}"), POSTFIX, POSTFIX)
    programs = peer("usr/lib/postfix")
    machine.write("/etc/postfix/main.cf", MAIN_CF.format(programs=programs), 0o644)
    with open(peer("usr/share/postfix/master.cf.dist"), encoding="utf-8") as file:
        line = re.search(r"(?m)^tlsmgr .*tlsmgr$", file.read())[0]
    machine.write("/etc/postfix/master.cf", f"{line} -v\npostlog unix-dgram n - n - 1 postlogd\n", 0o644)
    machine.env = {**machine.env, "LD_LIBRARY_PATH": programs, "MAIL_CONFIG": "/etc/postfix",
                   "PATH": f"{machine.env['PATH']}:{peer('usr/sbin')}"}
    machine.commands["postfix"] = [f"{programs}/sbin/master", "-c", "/etc/postfix", "-d"]


def seed(machine):
    """Asks tlsmgr for 32 bytes, as smtpd does before its first TLS session. Returns them in base64."""
    socket = machine.path("/var/lib/postfix/queue/private/tlsmgr")
    wait_until(lambda: os.path.exists(socket), "Postfix's master")
    with Connection(f"unix:{socket}") as tlsmgr:
        hello = b"protocol\0tlsmgr_protocol\0\0"
        check_equal(tlsmgr.receive(len(hello)), hello, "tlsmgr's greeting")
        tlsmgr.send(b"request\0seed\0size\x0032\0\0")
        answer = tlsmgr.receive(len(b"status\0" b"0\0" b"seed\0" b"\0\0") + 44)
    found = re.fullmatch(rb"status\x000\0seed\0([A-Za-z0-9+/]{43}=)\0\0", answer)
    check(found, f"tlsmgr's answer: {answer}")
    return found[1]


@test("how to, Postfix: tlsmgr, set up as the page says, takes its 32 bytes from ekeyd, again on every reseed, on one connection that it keeps")
@tries("postfix")
def postfix_tlsmgr(run, page):
    machine = host(run)
    postfix(machine)
    machine.take(page.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    machine.sh(page.commands())
    listener = "unix:/run/ekeyd/postfix.sock"
    check(seed(machine) != seed(machine), "two seeds are the same")
    # 32 bytes (tls_random_bytes) at its start, and again after at most a second each.
    wait_until(lambda: bytes_of(machine, listener) >= 4 * 32, "four times 32 bytes")
    counters = machine.counters(listener)
    check_equal((counters["clients"], counters["errors"]), ("1", "0"), "connections of tlsmgr, kept; errors")
    with open(machine.path("/var/lib/postfix/log"), encoding="ascii") as file:
        log = file.read()
    check(log.count("tls_prng_egd_read: got 32 bytes from EGD server") >= 3, f"tlsmgr does not say so:\n{log}")
    check(not re.search(r"warning|fatal|panic", log), f"Postfix complains:\n{log}")


def scp_leads_to(machine, hosts):
    """Has scp on a machine copy to others of this test, by their names; to None, nowhere."""
    cases = "".join(f'root@{name}:*) ' + (f'cp "$1" "{other.folder}${{2#*:}}"' if other else 'cat "$1" >/dev/null') + " ;;\n"
                    for name, other in hosts.items())
    machine.write("/usr/local/bin/scp", f'#!/bin/sh\ncase $2 in\n{cases}*) echo "no host for $2"; exit 1 ;;\nesac\n', 0o755)


def left_keys(machine):
    return [name for name in os.listdir(machine.path("/root")) if name.endswith(".key")]


@test("how to, a VPS: keys made at home, peers, scp, egd-push: what it pushes came sealed and is credited; a key that is not in the peers gets nothing")
@tries("vps")
def vps(run, page):
    at_home, in_vps = page.at("At home"), page.at("In the VPS")
    home, far = host(run, "home"), Machine(run, "vps-1")
    join(home, "198.51.100.1", far, "198.51.100.2")
    far.name_address("home.example.org", "198.51.100.1")
    scp_leads_to(home, {"vps-1.example.net": far})
    home_key, vps_key = keygen(home, at_home.commands(0))
    home.take(at_home.block("text", "/etc/ekeyd/peers"), PUBLIC_KEY_OF_VPS_1=vps_key)
    home.take(at_home.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    home.sh(at_home.commands(1))
    check_equal(left_keys(home), [], "keys of others that are left at home")
    far.take(in_vps.block("ini", "/etc/ekeyd/egd-push.conf"), PUBLIC_KEY_OF_HOME=home_key)
    check_contains(far.sh(in_vps.commands()), r"pushed .*bits_credited=256", "the VPS's first push")
    check_equal(home.counters("sealed:")["accepted"], "2", "links to the VPS")
    # Another one's key.
    home.write("/etc/ekeyd/peers", home_key + " another\n", 0o644)
    home.sh("systemctl reload ekeyd")
    wait_until(lambda: home.counters("sealed:")["clients"] == "0", "the link is closed")
    check_contains(far.sh("egd-push --config /etc/ekeyd/egd-push.conf --once --timeout 2", expect=1), "egd-push", "without a line in the peers")


@test("how to, a relay: keys made at home; from home by the relay to the slice, all of it sealed; the slice's pushes are credited, and the relay has no other source")
@tries("relay")
def relay(run, page):
    home, middle, far = host(run, "home"), Machine(run, "relay"), Machine(run, "slice")
    join(home, "198.51.100.1", middle, "198.51.100.2")
    join(middle, "203.0.113.1", far, "203.0.113.2")
    middle.name_address("home.example.org", "198.51.100.1")
    far.name_address("relay.example.org", "203.0.113.1")
    scp_leads_to(home, {"relay.example.org": middle, "slice-1.example.net": far, "slice-2.example.net": None, "slice-3.example.net": None})
    os.unlink(far.path("/usr/local/sbin/ekeydctl"))  # egd-push comes without it
    keys = [f"PUBLIC_KEY_OF_{name}" for name in ("HOME", "RELAY", "SLICE_1", "SLICE_2", "SLICE_3")]
    made = keygen(home, page.at("At home").commands())
    check_equal(len(made), len(keys), "keys made at home")
    keys = dict(zip(keys, made))
    for machine, section in ((home, "At home"), (middle, "On the relay"), (far, "In the slice")):
        for block in page.at(section).blocks:
            if block.language != "sh":
                machine.take(block, **{name: key for name, key in keys.items() if name in block.text})
    home.sh(page.at("At home").commands(1))
    check_equal(left_keys(home), [], "keys of others that are left at home")
    middle.sh(page.at("On the relay").commands())
    far.sh(page.at("In the slice").commands())
    check_contains(far.sh("egd-push --config /etc/ekeyd/egd-push.conf --once -v"), r"pushed .*bits_credited=256", "a push in the slice")
    check_contains(middle.sh("ekeydctl list"), r"1,YES,Running OK,sealed:home.example.org:8889", "the relay's source")
    check(bytes_of(home, "sealed:") > 0, "home gave nothing to the relay")


def enabled(machine, unit, by):
    return os.path.islink(machine.path(f"/{UNITS}/{by}.wants/{unit}.service"))


@test("how to, guests: egd-push, enabled as the page says, is ready with its first push of what the host's bridge brings; or egd-push-early")
@tries("qemu-libvirt", "Over the host's bridge", "In the guest")
def in_the_guest(run, page):
    machine, guest = host(run), Machine(run, "guest")
    join(machine, "192.168.122.1", guest, "192.168.122.2")
    over_bridge, inside = page.at("Over the host's bridge"), page.at("In the guest")
    machine.take(over_bridge.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    machine.sh("systemctl restart ekeyd")
    guest.take(over_bridge.block("ini", "/etc/ekeyd/egd-push.conf"))
    guest.sh(inside.commands(0))
    check(enabled(guest, "egd-push", "multi-user.target"), "egd-push is not enabled")
    taken = bytes_of(machine, "tcp:192.168.122.1:8888")
    check(taken >= 64, f"egd-push is ready, and took {taken} bytes")
    guest.stop_service("egd-push")
    guest.sh(inside.commands(1))
    check(enabled(guest, "egd-push-early", "sysinit.target"), "egd-push-early is not enabled")


@test("how to, vsock: the host's ekeyd listens as the page says, with all that its unit forbids")
@tries("qemu-libvirt", ("vsock", "ini add /etc/ekeyd/ekeyd.conf"), ("vsock", "ini /etc/systemd/system/ekeyd.service.d/vsock.conf"), ("vsock", "sh"))
def vsock_listens(run, page):
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        raise Skip(f"this kernel has no vsock: {error}") from error
    machine = host(run)
    for block in page.blocks:
        if block.language == "ini":
            machine.take(block)
    machine.sh(page.commands())
    check_equal(machine.counters("vsock:any:888")["clients"], "0", "clients")


@test("how to, a seed in the image: the page's command writes one that systemd may credit")
@tries("qemu-libvirt", "QEMU and libvirt guests", "A seed in the image")
def seed_in_image(run, page):
    machine = host(run)
    machine.group("kvm", KVM)
    machine.take(page.at("QEMU and libvirt guests").block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    machine.sh(page.at("QEMU and libvirt guests").commands())
    os.makedirs(machine.path("/mnt/var/lib/systemd"))
    machine.sh(page.at("A seed in the image").commands())
    path = machine.path("/mnt/var/lib/systemd/random-seed")
    check_equal(os.path.getsize(path), 64, "bytes of the seed")
    check_equal(os.getxattr(path, "user.random-seed-creditable"), b"1", "the attribute that has systemd credit it")


@test("how to, a key of your own: the page's commands build softkey, make the card, and systemd takes the unit")
@tries("own-key")
def own_key(run, page):
    machine = Machine(run, "board")
    build, card, unit = (page.commands(number) for number in range(3))
    # The source, with what is built there already; meson and ninja find that it is.
    source = "/root/source"
    os.mkdir(machine.path(source))
    for name in os.listdir(source_folder()):
        if not name.startswith(("build", ".")):
            os.symlink(os.path.join(source_folder(), name), machine.path(f"{source}/{name}"))
    os.symlink(build_folder(), machine.path(f"{source}/build"))
    machine.write("/usr/local/bin/apt-get", '#!/bin/sh\nprintf "%s\\n" "$@" >/root/packages\n', 0o755)
    os.unlink(machine.path("/usr/local/sbin/softkey"))
    machine.sh(f"cd {source}\n{build}", seconds=300)
    check("libsodium-dev" in machine.read("/root/packages").splitlines(), "what the build needs is not installed")
    machine.sh(card)
    check_contains(machine.sh("cat /etc/entropy-key/card"), r"(?m)^Serial \S{16}$", "the card")
    machine.sh(f"cd {source}\n" + unit.replace("--now ", ""))
    check(os.path.islink(machine.path(f"/{UNITS}/multi-user.target.wants/entropy-key-gadget.service")), "the unit is not enabled")


@test("how to, watching: every command of the page answers; the page and the metrics are served")
@tries("watching")
def watching(run, page):
    machine = host(run)
    machine.take(page.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    machine.sh("systemctl restart ekeyd")
    wait_until(lambda: "Running OK" in machine.sh("ekeydctl list"), "the key runs")
    said = machine.sh(page.at("Watching ekeyd").commands())
    for pattern in (r"(?m)^NR,OK,Status,Path,SerialNo$", r"(?m)^EntropyRate=", r"(?m)^State=healthy"):
        check_contains(said, pattern, "what the commands say")
    for command in ("list", "stats 1", "health"):
        check_contains(machine.sh(f"ekeydctl {command} --json"), r"^[\[{]", f"ekeydctl {command} --json")
    page_says = page.at("A page, Prometheus and Grafana").commands()
    wait_until(lambda: machine.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8890/readyz") == "200", "ready")
    check_contains(machine.sh(page_says), r"(?m)^ekeyd_\w+", "the metrics")
    machine.sh(page.at("Raw noise, for assessment with other tools").commands().replace("1000000", "10000"))
    check_equal(os.path.getsize(machine.path("/root/noise.bin")), 10000, "bytes captured")


@test("how to, many clients: ekeyd takes the page's settings, and listens")
@tries("many-clients", "Serve many clients and stay in control", "More bytes than the dongle has")
def many_clients(run, page):
    machine = host(run)
    bridge(machine, "192.168.122.1")
    for block in page.blocks:
        machine.add("/etc/ekeyd/ekeyd.conf", block.text)
    machine.sh("systemctl restart ekeyd")
    for address in ("tcp:0.0.0.0:8888", "tcp:192.168.122.1:8889"):
        check_equal(machine.counters(address)["clients"], "0", f"clients of {address}")


# /var/cache is its own, so that its mark of success is.
POLLINATE = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs none /var/cache && mkdir /var/cache/pollinate && {pollinate} "$@" && [ -e /var/cache/pollinate/seeded ]' pollinate "$@"
"""


@test("how to, pollinate: Debian's pollinate takes a seed from ekeyd with the page's certificate, also when that is renewed, and none without")
@tries("pollinate")
def pollinate(run, page):
    machine, guest = host(run), Machine(run, "guest")
    join(machine, "192.168.122.1", guest, "192.168.122.2")
    guest.name_address("host", "192.168.122.1")
    server = page.at("On the host")
    machine.sh(server.commands(0))
    machine.take(server.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    machine.sh(server.commands(1))
    with open(machine.path("/etc/ekeyd/pollen.pem"), encoding="ascii") as file:
        guest.write("/etc/pollinate/host.pem", file.read(), 0o644)
    with open(peer("etc/default/pollinate"), encoding="utf-8") as file:
        # Not this machine's own generator.
        guest.write("/etc/default/pollinate", file.read().replace("/dev/urandom", "/root/device"), 0o644)
    guest.write("/usr/local/bin/pollinate", POLLINATE.format(pollinate=peer("usr/bin/pollinate")), 0o755)
    guest.sh(page.at("In the machine").commands(), expect=1)
    check_equal(bytes_of(machine, "pollen:"), 0, "bytes for one who does not know the host yet")
    guest.take(page.at("In the machine").block("sh", "add", "/etc/default/pollinate"))
    guest.sh(page.at("In the machine").commands())
    check_equal(bytes_of(machine, "pollen:"), 64, "bytes for pollinate")
    check_equal(os.path.getsize(guest.path("/root/device")), 64, "bytes that it wrote to its device")
    machine.sh(server.commands(0))
    machine.sh(server.commands(2))
    machine.services["ekeyd"].program.wait_output("certificate read again")
    guest.sh(page.at("In the machine").commands(), expect=1)
    guest.write("/etc/pollinate/host.pem", machine.read("/etc/ekeyd/pollen.pem"), 0o644)
    guest.sh(page.at("In the machine").commands())
    check_equal(bytes_of(machine, "pollen:"), 128, "bytes for pollinate after the certificate was renewed")


@test("how to, upgrade: Debian's configuration of 1.1.5 and its keyring are converted as the page says, and the daemon runs with its sockets")
@tries("upgrade", ("Upgrade from ekeyd 1.1.5", "sh"))
def upgrade(run, page):
    machine = host(run)
    shutil.copy(peer("etc/entropykey/ekeyd.conf"), machine.path("/etc/entropykey/ekeyd.conf"))
    shutil.rmtree(machine.path("/etc/ekeyd"))
    machine.sh(page.commands())
    with open(machine.path("/etc/ekeyd/ekeyd.conf"), encoding="utf-8") as file:
        converted = file.read()
    check_contains(converted, r"(?m)^control = unix:/var/run/ekeyd.sock", "the control socket of 1.1.5")
    check_contains(converted, r"(?m)^keyring = /etc/entropykey/keyring", "its keyring")
    machine.sh(f"ekeydctl add {machine.dongle.path}")
    wait_until(lambda: "Running OK" in machine.sh("ekeydctl list"), "the key runs, with the keyring as it was")


if __name__ == "__main__":
    main()
