#!/usr/bin/python3
"""Resident memory, and where secrets are in it."""
import base64
import os
import resource
import signal

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Skip, check, check_equal, main, program, test, wait_until
from process_memory import memory_of, places, plain_build


@test("ekeyd with one key and ten clients: below 6 MB resident")
def ekeyd_resident(run):
    plain_build()
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    daemon.seeded()
    clients = [Egd(f"tcp:127.0.0.1:{port}" if n % 2 else daemon.egd) for n in range(10)]
    for _ in range(100):
        for client in clients:
            client.ask(255)
        for client in clients:
            client.receive(255)
    print(f"VmRSS {daemon.memory()} kB, of it {daemon.program.status('RssAnon')} kB its own")
    check(daemon.memory() < 6 * 1024, f"{daemon.memory()} kB resident")


@test("egd-push with two upstreams: below 3 MB resident")
def push_resident(run):
    plain_build()
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    out = run.path("out")
    push = run.start("egd-push", "--from", daemon.egd, "--from", f"tcp:127.0.0.1:{port}", "--to", f"file:{out}",
                     "--interval", "1")
    wait_until(lambda: os.path.exists(out) and os.stat(out).st_size >= 64, "two pushes into the file")
    print(f"VmRSS {push.status('VmRSS')} kB")
    check(int(push.status("VmRSS")) < 3 * 1024, f"{push.status('VmRSS')} kB resident")


@test("promise 6: the long-term key is in locked memory that is left out of core dumps, and nowhere else")
def key_is_locked(run):
    plain_build()
    key = Softkey(run, rate=5000)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded(2500)
    with daemon.controller() as control:
        wait_until(lambda: int(control.statistics("1")["ConnectionRekeys"]) >= 2, "two session keys made")
        control.command(f'Keyring("{key.keyring}")')  # read again: the old copy must be gone, too
        daemon.seeded(2500)
    text = open(key.keyring, encoding="ascii").read().split()[1]
    for what, secret in (("the key", base64.b64decode(text)), ("the key's base64", text.encode())):
        found = places(daemon.program.pid, secret)
        print(f"{what}: {found}")
        check(all(locked for _, locked in found), f"{what} lies in memory that is not locked: {found}")
    check(places(daemon.program.pid, base64.b64decode(text)), "the key was not found at all: the test shows nothing")


@test("promise 6: decrypted noise and pool bytes are in locked memory, and nowhere else")
def noise_is_locked(run):
    plain_build()
    key = Softkey(run, rate=3000)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded(10_000)

    def found():
        """Packets in locked memory. None when the daemon had just finished a block, and holds no packet any more."""
        key.program.signal(signal.SIGSTOP)
        try:
            recent = key.plaintext()[-32 * 120:]
            locked = loose = 0
            for name, flags, content in memory_of(daemon.program.pid):
                hits = sum(1 for at in range(0, len(recent), 32) if recent[at:at + 16] in content)
                if {"lo", "dd"} <= flags:
                    locked += hits
                elif hits:
                    loose += hits
                    print(f"{hits} packets in {name}, flags {sorted(flags)}")
            print(f"of the last {len(recent) // 32} packets: {locked} in locked memory, {loose} elsewhere")
            check_equal(loose, 0, "decrypted packets in memory that is not locked")
            return locked
        finally:
            key.program.signal(signal.SIGCONT)

    wait_until(found, "packets in locked memory: without any, the test shows nothing")


def dumps_core(run, arguments):
    """Starts a program that may dump core as much as it likes."""
    return run.start(os.path.basename(str(arguments[0])), *arguments[1:], path=arguments[0], folder=run.folder,
                     preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))


def abort(started):
    """Whether it dumped core."""
    started.signal(signal.SIGABRT)
    _, status = os.waitpid(started.pid, 0)
    started._process.returncode = -os.WTERMSIG(status)
    return os.WCOREDUMP(status)


@test("promise 6: core dumps are off, whatever the limit was when the daemon was started")
def no_core(run):
    control = dumps_core(run, ["/bin/sleep", "1000"])
    wait_until(lambda: open(f"/proc/{control.pid}/comm", encoding="ascii").read() == "sleep\n", "sleep runs")
    if not abort(control):
        raise Skip("no program dumps core on this machine, so this shows nothing")
    key = Softkey(run)
    config = run.write("c.conf", f"control = unix:{run.path('c.sock')}\nlisten = unix:{run.path('e.sock')}\n"
                                 f"source = {key.source}\nkeyring = {key.keyring}\n")
    daemon = dumps_core(run, [program("ekeyd"), "--config", config, "--foreground"])
    daemon.wait_output("ekeyd: ready")
    with Egd(f"unix:{run.path('e.sock')}") as client:
        client.read(8)
    check(not abort(daemon), "ekeyd dumped core")


if __name__ == "__main__":
    main()
