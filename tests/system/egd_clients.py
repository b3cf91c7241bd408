#!/usr/bin/env python3
"""Programs of others that take their random bytes over EGD, as Debian has them, on our ekeyd: each takes what it says it
takes, counted by ekeyd, and does its own work with it. QEMU's are in tests/qemu and in examples.py."""
import os
import re

from clients import Connection
from daemons import Ekeyd, Softkey
from harness import Skip, check, check_contains, check_equal, main, need, peer, test, wait_until


@test("GnuPG with Debian's libgcrypt built for EGD: its random bytes, and a new key's, are ekeyd's")
def gnupg(run):
    home = run.path(".gnupg")  # where libgcrypt looks for the socket: ~/.gnupg/entropy
    os.mkdir(home, 0o700)
    listener = f"unix:{home}/entropy"
    daemon = Ekeyd(run, f"listen = {listener}", softkeys=[Softkey(run)])
    daemon.seeded()
    library = os.path.dirname(peer("libgcrypt/libgcrypt.so.20"))
    env = {"HOME": run.folder, "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": library}

    def gpg(*arguments):
        return run.run("gpg", "--batch", "--no-tty", *arguments, path=need("gpg"), env=env, seconds=60)

    def served():
        return int(daemon.listeners()[listener]["bytes"])

    numbers = {gpg("--no-permission-warning", "--gen-random", "--armor", "2", "48").splitlines()[-1] for _ in range(2)}
    check_equal(len(numbers), 2, "different numbers")
    check(all(re.fullmatch(r"[A-Za-z0-9+/]{64}", text) for text in numbers), f"48 bytes each: {numbers}")
    # libgcrypt's pool takes 600 bytes before it gives any (POOLSIZE in random-csprng.c).
    check(served() >= 1200, f"gpg took {served()} bytes for two runs")

    before = served()
    try:
        gpg("--passphrase", "", "--quick-generate-key", "test@localhost", "ed25519")
        check_contains(gpg("--with-colons", "--list-secret-keys"), r"(?m)^sec:u:255:22:", "the key that was made")
    finally:
        run.run("gpgconf", "--kill", "gpg-agent", path=need("gpgconf"), env=env)
    check(served() - before >= 600, f"a new key took {served() - before} bytes")
    counters = daemon.listeners()[listener]
    check_equal(counters["errors"], "0", "errors")
    print(f"{counters['requests']} requests, {counters['bytes']} bytes")


@test("GnuPG with libgcrypt built for EGD makes nothing without noise: it waits for ekeyd's, and goes on when it comes")
def gnupg_waits(run):
    home = run.path(".gnupg")
    os.mkdir(home, 0o700)
    listener = f"unix:{home}/entropy"
    daemon = Ekeyd(run, f"listen = {listener}")  # without a dongle
    env = {"HOME": run.folder, "PATH": os.environ["PATH"],
           "LD_LIBRARY_PATH": os.path.dirname(peer("libgcrypt/libgcrypt.so.20"))}
    gpg = run.start("gpg", "--batch", "--no-tty", "--gen-random", "--armor", "2", "48", path=need("gpg"), env=env)
    wait_until(lambda: daemon.listeners()[listener]["waiting"] == "1", "gpg waits")
    check(gpg.running() and not re.search(r"(?m)^[A-Za-z0-9+/]{64}$", gpg.output()), "gpg gives nothing meanwhile")
    key = Softkey(run)
    with daemon.controller() as control:
        control.command(f'Keyring("{key.keyring}")')
        control.command(f'AddEntropyKey("{key.path}")')
    check_equal(gpg.wait(60), 0, "exit status of gpg")
    check_contains(gpg.output(), r"(?m)^[A-Za-z0-9+/]{64}$", "the random bytes")


MAIN_CF = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {programs}/sbin
command_directory = {programs}/sbin
shlib_directory = {programs}
meta_directory = {folder}
mail_owner = daemon
setgid_group = mail
default_privs = nobody
inet_interfaces = loopback-only
mynetworks_style = host
myhostname = test.localhost
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
tls_random_source = egd:{egd}
tls_random_reseed_period = 1s
"""
# As in Debian's master.cf, but for the chroot.
MASTER_CF = """tlsmgr unix - - n 1000? 1 tlsmgr -v
postlog unix-dgram n - n - 1 postlogd
"""
DAEMON = 1  # user and group of mail_owner, in Debian's base-passwd


def postfix(run, egd):
    """Starts Postfix's master with tlsmgr alone, in a folder of its own, and returns that folder."""
    if os.geteuid() != 0:
        raise Skip("needs root, as Postfix does")
    folder = run.path("postfix")
    os.chmod(run.folder, 0o711)
    os.mkdir(folder)
    for name in ("queue", "queue/private", "queue/public", "queue/pid", "data"):
        os.mkdir(os.path.join(folder, name))
        if name != "queue":
            os.chown(os.path.join(folder, name), DAEMON, DAEMON)
    programs = peer("usr/lib/postfix")
    run.write("postfix/main.cf", MAIN_CF.format(folder=folder, programs=programs, egd=egd), 0o644)
    run.write("postfix/master.cf", MASTER_CF, 0o644)
    env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": programs, "MAIL_CONFIG": folder}
    master = run.start("postfix", "-c", folder, "-d", path=peer("usr/lib/postfix/sbin/master"), env=env)
    wait_until(lambda: not master.running() or os.path.exists(f"{folder}/queue/private/tlsmgr"), "Postfix's master")
    check(master.running(), f"Postfix's master ended: {master.output()}")
    return folder


def seed(folder):
    """Asks tlsmgr for 32 bytes, as smtpd does before its first TLS session. Returns them in base64."""
    with Connection(f"unix:{folder}/queue/private/tlsmgr") as tlsmgr:
        hello = b"protocol\0tlsmgr_protocol\0\0"
        check_equal(tlsmgr.receive(len(hello)), hello, "tlsmgr's greeting")
        tlsmgr.send(b"request\0seed\0size\x0032\0\0")
        answer = tlsmgr.receive(len(b"status\0" b"0\0" b"seed\0" b"\0\0") + 44)
    found = re.fullmatch(rb"status\x000\0seed\0([A-Za-z0-9+/]{43}=)\0\0", answer)
    check(found, f"tlsmgr's answer: {answer}")
    return found[1]


@test("Postfix's tlsmgr (tls_random_source = egd:PATH): its 32 bytes, again on every reseed, on one connection that it keeps")
def postfix_tlsmgr(run):
    egd = run.path("entropy")
    listener = f"unix:{egd}"
    daemon = Ekeyd(run, f"listen = {listener}", softkeys=[Softkey(run)])
    daemon.seeded()
    folder = postfix(run, egd)
    check(seed(folder) != seed(folder), "two seeds are the same")
    # 32 bytes (tls_random_bytes) at its start, and again after at most a second each.
    wait_until(lambda: int(daemon.listeners()[listener]["bytes"]) >= 4 * 32, "four times 32 bytes", 60)
    counters = daemon.listeners()[listener]
    check_equal((counters["clients"], counters["errors"]), ("1", "0"), "connections of tlsmgr, kept; errors")
    with open(f"{folder}/log", encoding="ascii") as file:
        log = file.read()
    check(log.count("tls_prng_egd_read: got 32 bytes from EGD server") >= 3, f"tlsmgr does not say so:\n{log}")
    check(not re.search(r"warning|fatal|panic", log), f"Postfix complains:\n{log}")
    print(f"{counters['requests']} requests, {counters['bytes']} bytes")


if __name__ == "__main__":
    main()
