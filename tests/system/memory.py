#!/usr/bin/env python3
"""Resident memory, and where secrets are in it."""
import base64
import os
import re
import resource
import signal

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Skip, build_option, check, check_equal, main, program, test, wait_until


def plain_build():
    """Figures are for what is shipped; sanitizers have others."""
    if build_option("b_sanitize") != "none":
        raise Skip("built with sanitizers, whose memory is not ours")


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


def regions(pid):
    """(begin, end, readable, name, flags) of every region of a process's memory."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as lines:
        for line in lines:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if head:
                found.append([int(head[1], 16), int(head[2], 16), head[3][0] == "r", head[4].strip(), set()])
            elif line.startswith("VmFlags:"):
                found[-1][4] = set(line.split()[1:])
    return found


def memory_of(pid):
    """(name, flags, bytes) of every region that can be read."""
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except PermissionError:
        raise Skip("the memory of another process cannot be read here (CAP_SYS_PTRACE)") from None
    with memory:
        for begin, end, readable, name, flags in regions(pid):
            if readable and name not in ("[vvar]", "[vsyscall]"):
                memory.seek(begin)
                try:
                    yield name or "anonymous", flags, memory.read(end - begin)
                except OSError:
                    continue


def places(pid, secret):
    """Where a secret lies: [(region, whether it is locked and left out of core dumps)]."""
    return [(name, {"lo", "dd"} <= flags) for name, flags, content in memory_of(pid) if secret in content]


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
        check(locked > 0, "no packet found in locked memory: the test shows nothing")
        check_equal(loose, 0, "decrypted packets in memory that is not locked")
    finally:
        key.program.signal(signal.SIGCONT)


def dumps_core(run, arguments):
    """Starts a program that may dump core as much as it likes, aborts it, and says whether it did."""
    started = run.start(os.path.basename(str(arguments[0])), *arguments[1:], path=arguments[0], folder=run.folder,
                        preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
    return started


def abort(started):
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
    wait_until(lambda: os.path.exists(run.path("e.sock")), "the daemon's socket")
    with Egd(f"unix:{run.path('e.sock')}") as client:
        client.read(8)
    check(not abort(daemon), "ekeyd dumped core")


if __name__ == "__main__":
    main()
