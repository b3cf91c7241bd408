#!/usr/bin/python3
"""egd-push from outside: what it asks of servers, what it gives to the kernel, and how it fails."""
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

from clients import free_port
from daemons import Ekeyd, Softkey
from egd_server import EgdServer
from harness import (DEADLINE, Skip, check, check_contains, check_equal, command, main, need, peer, program, sanitized,
                     test, wait_until)

NOBODY = 65534
SANDBOX_IS_OFF = "egd-push: the sandbox is off\n"  # of a build with sanitizers


def serve(run, name="egd", mode="serve"):
    return EgdServer("unix:" + run.path(name), mode)


def pool_size():
    with open("/proc/sys/kernel/random/poolsize", encoding="ascii") as file:
        return int(file.read())


@test("egd-push delivers on every interval where Debian's ekeyd-egd-linux asks for nothing: counted by one server")
def counts(run):
    if pool_size() != 256:
        raise Skip("an old kernel: its /dev/random still asks")
    server = EgdServer("tcp:127.0.0.1:0")
    old = run.start("ekeyd-egd-linux", "-H", "127.0.0.1", "-p", server.address.rpartition(":")[2], "-r", "1",
                    path=peer("usr/sbin/ekeyd-egd-linux"))
    server.wait(lambda: len(server.clients) == 1, "ekeyd-egd-linux connects")
    began = time.monotonic()
    push = run.start("egd-push", "--from", server.address, "--interval", "0.5", "-v")
    server.wait(lambda: len(server.clients) == 2 and len(server.clients[1].requests) >= 10, "ten pushes")
    took = time.monotonic() - began
    check(old.running() and push.running() and server.clients[0].open, "both are running and connected")
    check_equal(server.clients[0].requests, [], "requests of ekeyd-egd-linux meanwhile")
    print(f"egd-push: {len(server.clients[1].requests)} requests; ekeyd-egd-linux: 0, in {took:.1f} s")


@test("egd-push: the running kernel takes pushes, credited for root from a local socket, uncredited over TCP")
def kernel(run):
    if os.geteuid() != 0:
        raise Skip("needs root")
    local, remote = serve(run), EgdServer("tcp:127.0.0.1:0")
    push = run.start("egd-push", "--from", local.address, "--from", remote.address, "--interval", "0.5", "-v")
    push.wait_output(re.escape(f"pushed upstream={local.address} bytes=64 bits_credited=256"))
    push.wait_output(re.escape(f"pushed upstream={remote.address} bytes=64 bits_credited=0"))
    run.run("egd-push", "--from", remote.address, "--once", "--credit", "8", "-v", "--bytes", "4096")
    check_contains(run.programs[-1].output(), "bytes=4096 bits_credited=32768", "--credit 8")


@test("egd-push: without CAP_SYS_ADMIN it says so once and mixes without credit")
def unprivileged(run):
    if os.geteuid() != 0:
        raise Skip("needs root, to become another user")
    os.chmod(run.folder, 0o755)
    server = serve(run)

    def drop():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    # A copy, because that user need not be able to enter the build folder.
    copy = shutil.copy(program("egd-push"), run.path("egd-push"))
    push = run.start("egd-push", "--from", server.address, "--interval", "0.2", "-v", path=copy, preexec=drop)
    server.wait_requests(4)
    push.wait_output(r"bits_credited=0")
    check_equal(push.output().count("CAP_SYS_ADMIN"), 1, "mentions of the missing capability")


@test("egd-push --once --to -: exactly the bytes that the server gave")
def standard_output(run):
    server = serve(run)
    for size in (1, 64, 255, 256, 1000, 4096):
        before = len(server.served())
        done = subprocess.run(command("egd-push", "--from", server.address, "--to", "-", "--once", "--bytes",
                                      str(size)), capture_output=True, timeout=DEADLINE, check=False)
        said = done.stderr.replace(SANDBOX_IS_OFF.encode(), b"")
        check_equal((done.returncode, said), (0, b""), "exit status and messages")
        check_equal(done.stdout, server.served()[before:], f"the {size} bytes")


@test("egd-push --to - from several servers: exactly N bytes a push, that are not those of one of them")
def mixed(run):
    servers = [serve(run, f"egd{n}") for n in range(3)]
    froms = [word for server in servers for word in ("--from", server.address)]
    done = subprocess.run(command("egd-push", *froms, "--from", "unix:" + run.path("dead"), "--to", "-", "--once"),
                          capture_output=True, timeout=DEADLINE, check=False)
    check_equal(done.returncode, 0, "exit status")
    check_equal(len(done.stdout), 64, "bytes")
    check(all(done.stdout != server.served() for server in servers), "one server replaced the others")
    check_contains(done.stderr.decode(), "dead reason=\"cannot connect", "the dead one is named")


@test("egd-push --to file: the file holds exactly the last push, mode 0600, and is never seen half written")
def file(run):
    server = serve(run)
    path = run.path("seed")
    run.start("egd-push", "--from", server.address, "--to", f"file:{path}", "--interval", "0.1", "--bytes", "512")
    wait_until(lambda: os.path.exists(path), "the file")
    seen = set()
    while len(seen) < 5:
        content = run.read("seed")
        check_equal(len(content), 512, "bytes in the file")
        check(content in server.served(), "the file holds what the server never gave")
        seen.add(content)
    check_equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode")


def attribute(path):
    try:
        return os.getxattr(path, "user.random-seed-creditable")
    except OSError as error:
        return os.strerror(error.errno)


@test("egd-push --to file:,seed=yes: a seed that systemd credits, made of as many bytes as that takes")
def seed(run):
    server, remote = serve(run), EgdServer("tcp:127.0.0.1:0")
    path = run.path("random-seed")
    try:
        os.setxattr(run.folder, "user.test", b"1")
    except OSError as error:
        raise Skip(f"no attributes of users below {run.folder}") from error
    run.run("egd-push", "--from", server.address, "--once", "--to", f"file:{path},seed=yes", "--bytes", "512")
    check_equal(attribute(path), b"1", "the attribute")
    check_equal((stat.S_IMODE(os.stat(path).st_mode), os.path.getsize(path)), (0o600, 512), "mode and size")
    check_equal(len(server.served()), 1024, "bytes fetched, of 4 bits each")
    # As protocol and manual have it: each 64 bytes are the hash of their place and of the 128 bytes there.
    parts = [hashlib.blake2b((64 * i).to_bytes(2, "big") + server.served()[128 * i:128 * (i + 1)]).digest()
             for i in range(8)]
    check_equal(run.read("random-seed"), b"".join(parts), "the seed")
    # When only what came in clear is there, the seed has no mark, and that is said.
    server.close()
    output = run.run("egd-push", "--from", server.address, "--from", remote.address, "--once", "--to",
                     f"file:{path},seed=yes", expect=1)
    check_contains(output, "not marked as creditable", "what it says")
    check(attribute(path) != b"1", "a seed of bytes in clear is marked")
    check_equal(len(run.read("random-seed")), 64, "bytes of the new seed")


@test("egd-push --to file:,seed=yes: systemd credits the seed, and no other file")
def seed_for_systemd(run):
    server = serve(run)
    loader, unshare = "/lib/systemd/systemd-random-seed", need("unshare")
    check(os.path.exists(loader), "systemd is not installed (tests/run installs it)")
    if os.geteuid() != 0 or subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        raise Skip("mount namespaces are not to be had here")
    os.mkdir(run.path("var"))
    for parameter, word in (("", "not marked as creditable, not crediting"), (",seed=yes", None)):
        run.run("egd-push", "--from", server.address, "--once", "--to", f"file:{run.path('var/random-seed')}{parameter}")
        before = run.read("var/random-seed")
        output = run.run("systemd-random-seed", "-m", "/bin/sh", "-c",
                         f'mount --bind {run.path("var")} /var/lib/systemd && exec {loader} load', path=unshare,
                         env={**os.environ, "SYSTEMD_RANDOM_SEED_CREDIT": "1", "SYSTEMD_LOG_LEVEL": "debug",
                              "SYSTEMD_LOG_TARGET": "console"})
        check(run.read("var/random-seed") != before, "systemd has not used the seed")
        if word:
            check_contains(output, word, "what systemd says of a file that is no seed")
        else: # it says only why it does not credit
            check("not crediting" not in output, f"systemd does not credit the seed: {output}")


@test("egd-push --to file:,seed=yes: a file system without attributes is an error before anything is fetched")
def seed_without_attributes(run):
    server = serve(run)
    unshare = need("unshare")
    if os.geteuid() != 0 or subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        raise Skip("mount namespaces are not to be had here")
    os.mkdir(run.path("plain"))
    output = run.run("egd-push", "-m", "/bin/sh", "-c", f'mount -t ramfs none {run.path("plain")} && exec "$0" "$@"',
                     *command("egd-push"), "--from", server.address, "--once", "--to",
                     f"file:{run.path('plain')}/random-seed,seed=yes", path=unshare, expect=1)
    check_contains(output, "keeps no attributes of users", "what it says")
    check_equal(server.requests(), 0, "requests")


@test("egd-push: a server that restarts, dies in the middle, sends garbage or nothing is got over, with one line each")
def bad_servers(run):
    server = serve(run)
    push = run.start("egd-push", "--from", server.address, "--interval", "0.2", "--timeout", "0.5", "-v")
    push.wait_output("pushed ")
    recovered = 0
    for mode, line in (("half", r"closed the connection \(32 of 64 bytes came\)"),
                       ("garbage", "bytes that nothing asked for"),
                       ("hang up", "gave nothing.*closed the connection\"$"),
                       ("silent", r"no whole answer within 0\.5 s \(0 of 64 bytes came\)")):
        server.mode = mode
        push.wait_output(line)
        server.mode = "serve"
        asked = server.requests()
        server.wait_requests(asked + 2)
        recovered += 1
        push.wait_output(rf"(?s)(delivers again.*){{{recovered}}}pushed ")
    server.close()
    push.wait_output("the connection has ended|cannot connect")
    again = serve(run)
    again.wait_requests(2)
    check(push.running(), "egd-push has ended")
    warned = [line for line in push.output().splitlines() if "32 of 64" in line]
    check_equal(len(warned), 1, "lines about the answer cut in half")


@test("egd-push: a dead server, and one that never answers, neither delay nor replace another")
def one_dead(run):
    good, silent = serve(run, "good"), serve(run, "silent", "silent")
    began = time.monotonic()
    push = run.start("egd-push", "--from", "unix:" + run.path("dead"), "--from", f"tcp:127.0.0.1:{free_port()}",
                     "--from", silent.address, "--from", good.address, "--interval", "0.2", "-v")
    push.wait_output("pushed ")
    check(time.monotonic() - began < 2, f"the first push took {time.monotonic() - began:.1f} s")
    good.wait_requests(5)
    check_equal(silent.requests(), 1, "requests to the server that never answers")


@test("egd-push: SIGTERM and SIGINT end it within a second, whatever it waits for")
def ends(run):
    silent = serve(run, "silent", "silent")
    for number in (signal.SIGTERM, signal.SIGINT):
        for upstream in (silent.address, "unix:" + run.path("dead")):
            asked = silent.requests()
            push = run.start("egd-push", "--from", upstream)
            if upstream == silent.address:
                silent.wait_requests(asked + 1)
            else:
                push.wait_output("cannot connect")
            began = time.monotonic()
            push.signal(number)
            check_equal(push.wait(5), 0, "exit status")
            check(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.1f} s to end")


@test("egd-push: a service manager hears READY=1 after the first push, and not before")
def readiness(run):
    server = serve(run, mode="silent")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(run.path("notify"))
    run.start("egd-push", "--from", server.address, "--timeout", "1", env={"NOTIFY_SOCKET": run.path("notify")})
    server.wait_requests(1)
    manager.setblocking(False)
    try:
        check(False, f"told too early: {manager.recv(100)!r}")
    except BlockingIOError:
        pass
    server.mode = "serve"
    manager.settimeout(DEADLINE)
    check_contains(manager.recv(1000).decode(), r"^READY=1$|^READY=1\n", "the first message")
    manager.close()


@test("egd-push: a service manager that watches hears that it goes on, also while no server answers")
def watchdog(run):
    server = serve(run, mode="silent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(run.path("notify"))
        manager.settimeout(DEADLINE)
        run.start("egd-push", "--from", server.address, "--timeout", "30",
                  env={"NOTIFY_SOCKET": run.path("notify"), "WATCHDOG_USEC": "200000"})
        for _ in range(3):
            check_equal(manager.recv(1000), b"WATCHDOG=1", "what the manager hears")


def in_own_network_files(run, **files):
    """Starts of egd-push see these files in the place of /etc/hosts and the like, in a mount namespace of their own."""
    mounts = " && ".join(f"mount --bind {run.write(name, text, 0o644)} /etc/{name.replace('_', '.')}"
                         for name, text in files.items())
    unshare = need("unshare")
    if os.geteuid() != 0 or subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        raise Skip("mount namespaces are not to be had here")
    return ["-m", "/bin/sh", "-c", f'{mounts} && exec "$0" "$@"', *command("egd-push")]


@test("egd-push: every address of a name is tried")
def addresses(run):
    server = EgdServer("tcp:127.0.0.1:0")
    wrapped = in_own_network_files(run, hosts="::1 two-faced\n127.0.0.1 two-faced\n127.0.0.2 two-faced\n")
    upstream = server.address.replace("127.0.0.1", "two-faced")
    run.run("egd-push", *wrapped, "--from", upstream, "--once", path=need("unshare"))
    server.wait_requests(1)


@test("egd-push: a name server that never answers holds up neither another upstream nor SIGTERM")
def dead_name_server(run):
    server = serve(run)
    wrapped = in_own_network_files(run, resolv_conf="nameserver 127.77.0.1\n", nsswitch_conf="hosts: dns\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server:
        name_server.bind(("127.77.0.1", 53))
        name_server.settimeout(DEADLINE)
        push = run.start("egd-push", *wrapped, "--from", "tcp:nowhere.example:8888", "--from", server.address,
                         "--interval", "0.2", path=need("unshare"))
        name_server.recv(512)
        server.wait_requests(3)
        began = time.monotonic()
        push.signal(signal.SIGTERM)
        check_equal(push.wait(5), 0, "exit status")
        check(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.1f} s to end")
        output = run.run("egd-push", *wrapped, "--from", "tcp:nowhere.example:8888", "--once", "--timeout", "0.5",
                         path=need("unshare"), expect=1)
        check_contains(output, "the name was not found within 0.5 s", "what it says")


@test("egd-push: exit status 0, 1 and 2, with a sentence that names what is wrong")
def statuses(run):
    server, hang_up = serve(run), serve(run, "hang", "hang up")
    dead = "unix:" + run.path("dead")
    config = run.write("push.conf", f"from = {server.address}\nintervall = 3\n")
    for status, words, arguments in (
            (0, "", ["--from", server.address, "--once"]),
            (0, "dead reason=\"cannot connect", ["--from", server.address, "--from", dead, "--once"]),
            (1, "dead reason=\"cannot connect: No such file", ["--from", dead, "--once"]),
            (1, "closed the connection", ["--from", hang_up.address, "--once"]),
            (1, "(?s)dead reason=\"cannot connect.*hang reason=\"closed", ["--from", dead, "--from", hang_up.address, "--once"]),
            (1, "cannot write to the folder /nonexistent", ["--from", server.address, "--to", "file:/nonexistent/x"]),
            (2, "--from", []),
            (2, "did you mean --interval", ["--from", dead, "--intervall", "3"]),
            (1, "cannot read|/nonexistent", ["--from", dead, "--identity", "/nonexistent", "--once"]),
            (2, "key is .*ekeydctl pubkey", ["--from", "sealed:host:8889,key=x"]),
            (2, "--identity", ["--from", f"sealed:host:8889,key={'A' * 43}="]),
            (2, "there are 0 sealed upstreams", ["--from", dead, "--quorum", "2"]),
            (2, "1 to 4096", ["--from", dead, "--bytes", "5000"]),
            (2, r"push\.conf:2: .*did you mean interval", ["--config", config])):
        output = run.run("egd-push", *arguments, expect=status)
        check_contains(output, words, f"what {' '.join(arguments)} says")
        check(len(output.replace(SANDBOX_IS_OFF, "").splitlines()) <= 2, f"it says more than a sentence for each: {output}")


@test("egd-push --to -: it ends when its reader is gone, and fetches nothing that nobody would take")
def reader_gone(run):
    server = serve(run)
    reader, writer = os.pipe()
    push = subprocess.Popen(command("egd-push", "--from", server.address, "--to", "-", "--interval", "0.1", "--bytes",
                                    "4096"), stdout=writer, stderr=subprocess.PIPE)
    try:
        os.close(writer)
        # A pipe holds 65,536 bytes: sixteen pushes, and no more are asked for.
        server.wait(lambda: len(server.served()) >= 65536, "the pipe is full")
        first = push.stderr.readline()
        if first == SANDBOX_IS_OFF.encode():
            first = push.stderr.readline()
        check_contains(first.decode(), "takes nothing now", "what it says")
        check_equal(len(server.served()), 65536, "bytes fetched")
        os.close(reader)
        check_equal(push.wait(DEADLINE), 1, "exit status")
    finally:
        push.kill()
        push.communicate()


@test("promise 6: egd-push keeps its bytes in locked memory, and core dumps are off")
def locked(run):
    if sanitized():
        raise Skip("built with sanitizers, which lock no memory")
    server = serve(run, mode="silent")
    push = run.start("egd-push", "--from", server.address)
    server.wait_requests(1)
    check(int(push.status("VmLck")) >= 4, f"VmLck {push.status('VmLck')} kB")
    with open(f"/proc/{push.pid}/limits", encoding="ascii") as limits:
        check_contains(limits.read(), r"Max core file size\s+0\s+0", "limits")


@test("egd-push <-> ekeyd: local and over TCP")
def with_ekeyd(run):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    outputs = []
    name = "localhost" if os.path.exists("/etc/hosts") else "127.0.0.1"
    for upstream in (daemon.egd, f"tcp:{name}:{port}"):
        run.run("egd-push", "--from", upstream, "--once")
        path = run.path("out")
        run.run("egd-push", "--from", upstream, "--once", "--to", f"file:{path}", "--bytes", "1000")
        outputs.append(run.read("out"))
    check_equal([len(output) for output in outputs], [1000, 1000], "bytes")
    check(outputs[0] != outputs[1], "the same bytes twice")


if __name__ == "__main__":
    main()
