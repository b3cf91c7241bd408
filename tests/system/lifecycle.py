#!/usr/bin/python3
"""How ekeyd starts, refuses to start, ends, and comes back."""
import os
import re
import signal
import socket
import stat
import time

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Skip, check, check_contains, check_equal, main, test, wait_until


@test("promise 8: SIGTERM with clients waiting: gone within a second, sockets and pid file removed")
def sigterm(run):
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon = Ekeyd(run, name=f"ekeyd{int(number)}", softkeys=[Softkey(run, name=f"key{int(number)}", rate=20)])
        check_equal(open(daemon.pidfile, encoding="ascii").read().strip(), str(daemon.program.pid), "the pid file")
        waiting = [daemon.client() for _ in range(10)]
        for client in waiting:
            client.send(b"\x02\xff" * 20)
        control = daemon.controller()
        began = time.monotonic()
        daemon.program.signal(number)
        status = daemon.program.wait(10)
        took = time.monotonic() - began
        check_equal(status, 0, "exit status")
        check(took < 1, f"ended after {took:.2f} s")
        for client in waiting:
            check(client.closed_within(1), "a client that waited was left hanging")
            client.close()
        control.close()
        for path in (daemon.egd, daemon.control):
            check(not os.path.exists(path[5:]), f"{path} is left behind")
        check(not os.path.exists(daemon.pidfile), "the pid file is left behind")
        print(f"{signal.Signals(number).name}: {took * 1000:.0f} ms")


@test("promise 8: SIGKILL and restart: it comes back on the same socket paths")
def sigkill(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    first = daemon.seeded()
    daemon.program.signal(signal.SIGKILL)
    check_equal(daemon.program.wait(), -signal.SIGKILL, "exit status")
    check(os.path.exists(daemon.egd[5:]), "SIGKILL leaves the socket: otherwise this test shows nothing")
    daemon.start()
    second = daemon.seeded()
    check(first != second, "the same bytes after a restart")


@test("a socket that another ekeyd serves is not taken over; the other goes on")
def socket_in_use(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    config = run.write("second.conf", f"listen = {daemon.egd}\ncontrol = unix:{run.path('second.sock')}\n"
                                      f"keyring = {run.path('keyring')}\n")
    refused(run, config, [1, 2], r"in use|already|another", "second.sock")
    daemon.seeded()
    config = run.write("third.conf", f"control = {daemon.control}\nkeyring = {run.path('keyring')}\n")
    refused(run, config, [1, 2], r"in use|already|another")
    check_equal(len(daemon.controller().keys()), 1, "keys that the first daemon lists")


def refused(run, config, statuses, pattern, *not_made, arguments=()):
    """ekeyd ends by itself with one clear sentence, and leaves nothing half-started."""
    program = run.start("ekeyd", "--config", config, "--foreground", *arguments)
    status = program.wait(10)
    output = program.output().strip()
    check(status in statuses, f"exit status {status} instead of {statuses}; it said: {output}")
    check_contains(output, pattern, "what ekeyd says")
    complaints = [line for line in output.splitlines() if line.strip()]
    check(len(complaints) <= 2, f"more than one clear sentence:\n{output}")
    for name in not_made:
        check(not os.path.lexists(run.path(name)), f"{name} was made by a daemon that did not start")
    return output


@test("bad configuration: the file, the line and a suggestion; exit status 2; nothing half-started")
def bad_configuration(run):
    good = f"control = unix:{run.path('c.sock')}\nlisten = unix:{run.path('e.sock')}\nkeyring = {run.write('k', '')}\n"
    cases = {
        "lisen = unix:/x\n": r"bad.conf:4.*lisen.*listen",
        "listen = unx:/x\n": r"bad.conf:4.*unx",
        "listen = tcp:127.0.0.1:99999\n": r"bad.conf:4.*99999",
        "listen = unix:/tmp/x,mod=0600\n": r"bad.conf:4.*mod.*mode",
        "listen = unix:/tmp/x,mode=rw\n": r"bad.conf:4.*rw",
        "source = entropy-key:/dev/x\n": r"bad.conf:4.*entropy-key.*entropykey",
        "source = device:/dev/zero,min-entropy=9\n": r"bad.conf:4.*(min-entropy|9)",
        "sink = kernal\n": r"bad.conf:4.*kernal.*kernel",
        "user = no-such-user\n": r"bad.conf:4.*no user.*no-such-user",
        "group = no-such-group\n": r"bad.conf:4.*no group.*no-such-group",
        "just words\n": r"bad.conf:4",
        "pool-size = many\n": r"bad.conf:4.*many",
        "sink = kernel,interval=never\n": r"bad.conf:4.*never",
        "source = entropykey:/dev/x,serial=short\n": r"bad.conf:4.*short",
    }
    for line, pattern in cases.items():
        config = run.write("bad.conf", good + line)
        refused(run, config, [2], pattern, "c.sock", "e.sock")
        check_contains(run.run("ekeyd", "--config", config, "--check-config", expect=2), pattern, "--check-config")
    refused(run, run.path("absent.conf"), [2], r"absent\.conf")
    config = run.write("good.conf", good)
    refused(run, config, [2], r"nonsense", "c.sock", "e.sock", arguments=["--nonsense"])


@test("ekeyd as a user who may not remove its files: they are left behind, the log says so, and the next start takes their place")
def left_behind(run):
    if os.getuid() != 0:
        raise Skip("only root can become another user")
    os.chmod(run.folder, 0o711)
    daemon = Ekeyd(run, "user = nobody")
    daemon.program.stop()
    for path in (daemon.egd[5:], daemon.control[5:], daemon.pidfile):
        check_contains(daemon.program.output(), rf"(socket|pid) file is left behind path={re.escape(path)} reason=\"Permission denied", "the log")
    daemon.start()
    check(daemon.program.running(), "it does not start again")


@test("keyring: unreadable, missing and with a key of wrong length: one clear sentence each")
def keyrings(run):
    def config(keyring):
        return run.write("k.conf", f"control = unix:{run.path('c.sock')}\nlisten = unix:{run.path('e.sock')}\n"
                                   f"keyring = {keyring}\n")
    os.mkdir(run.path("folder"))
    refused(run, config(run.path("folder")), [1, 2], r"folder", "c.sock", "e.sock")
    with open(run.path("huge"), "wb") as file:
        file.truncate(2 << 20)
    refused(run, config(run.path("huge")), [1, 2], r"huge", "c.sock", "e.sock")


@test("keyring: a key of wrong length is named with its line, and the daemon says that the dongle has no key")
def wrong_key_length(run):
    key = Softkey(run)
    short = run.write("short", f"# comment\n{key.serial} c2hvcnQ=\n")
    key.keyring = short
    daemon = Ekeyd(run, softkeys=[key])
    daemon.program.wait_output(r"short.*line 2|line 2.*short|short:2")
    wait_for_status(daemon, r"Serial (ok|unknown)|Long-Term-Key")
    check_equal(daemon.key()["OK"], "NO", "the key's OK column")


def wait_for_status(daemon, pattern):
    wait_until(lambda: (key := daemon.key()) and re.search(pattern, key["Status"]), f"a status like {pattern}")


@test("a port in use: one clear sentence that names it, exit status 1 or 2, nothing half-started")
def port_in_use(run):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        config = run.write("p.conf", f"control = unix:{run.path('c.sock')}\nlisten = unix:{run.path('e.sock')}\n"
                                     f"listen = tcp:127.0.0.1:{port}\nkeyring = {run.write('k', '')}\n")
        refused(run, config, [1, 2], rf"{port}.*(in use|already)", "c.sock", "e.sock")


@test("a folder that does not exist, a user that does not exist: named, nothing half-started")
def other_start_errors(run):
    base = f"control = unix:{run.path('c.sock')}\nkeyring = {run.write('k', '')}\n"
    cases = {
        f"listen = unix:{run.path('none')}/deeper/e.sock\n": r"none/deeper/e\.sock",
        "user = no-such-user-here\n": r"no-such-user-here",
        f"sink = file:{run.path('none')}/out\n": r"none/out",
        f"sink = file:{run.path('k')}/out\n": r"k/out",
    }
    for line, pattern in cases.items():
        refused(run, run.write("o.conf", base + line), [1, 2], pattern, "c.sock")


@test("socket permissions are as set from the first moment on")
def socket_mode(run):
    daemon = Ekeyd(run, f"listen = unix:{run.path('open.sock')},mode=0666", softkeys=[Softkey(run)])
    for path, mode in ((daemon.egd[5:], 0o600), (run.path("open.sock"), 0o666)):
        check_equal(oct(stat.S_IMODE(os.stat(path).st_mode)), oct(mode), f"mode of {path}")


@test("--check-config and --print-config start nothing; what is printed is read back")
def print_config(run):
    config = run.write("a.conf", f"listen = tcp:127.0.0.1:{free_port()}\ncontrol = unix:{run.path('c.sock')}\n"
                                 f"source = device:/dev/urandom,min-entropy=0\nkeyring = {run.write('k', '')}\n")
    run.run("ekeyd", "--config", config, "--check-config")
    printed = run.run("ekeyd", "--config", config, "--print-config")
    again = run.run("ekeyd", "--config", run.write("b.conf", printed), "--print-config")
    check_equal(again.split("\n", 1)[1], printed.split("\n", 1)[1], "what --print-config makes of its own output")
    check_contains(printed, r"min-entropy=0", "the configuration in effect")
    check(not os.path.exists(run.path("c.sock")), "a control socket was made")


@test("in the background: the pid file holds the daemon's own number; the starter ends when the sockets answer")
def background(run):
    key = Softkey(run)
    egd = run.path("e.sock")
    config = run.write("b.conf", f"listen = unix:{egd}\ncontrol = unix:{run.path('c.sock')}\nsource = {key.source}\n"
                                 f"keyring = {key.keyring}\npidfile = {run.path('pid')}\n")
    run.run("ekeyd", "--config", config)
    pid = int(run.read("pid"))
    try:
        with Egd("unix:" + egd) as client:
            check_equal(len(client.read(64, 30)), 64, "bytes")
    finally:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 5
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end and not zombie(pid):
            time.sleep(0.02)
    check(not os.path.exists(run.path("pid")), "the pid file is left behind")


def zombie(pid):
    try:
        return open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] == "Z"
    except OSError:
        return True


if __name__ == "__main__":
    main()
