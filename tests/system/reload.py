#!/usr/bin/env python3
"""The configuration is read again while clients are served."""
import os
import re
import signal
import socket
import time

from clients import ControlError, Egd, free_port
from daemons import Ekeyd, Softkey, answers
from harness import check, check_contains, check_equal, main, test, wait_until


def rewrite(daemon, change):
    with open(daemon.config, encoding="ascii") as file:
        text = change(file.read())
    with open(daemon.config, "w", encoding="ascii") as file:
        file.write(text)


def command(daemon, text):
    with daemon.controller() as control:
        return control.command(text)


def refusal(daemon):
    """What Reload answers that cannot be done."""
    try:
        command(daemon, "Reload")
    except ControlError as error:
        return str(error)
    raise AssertionError("Reload took a bad configuration")


@test("reload: SIGHUP adds and removes listeners, sources and sinks; clients of what stays go on, those of what goes are closed")
def changes(run):
    first, second = Softkey(run), Softkey(run, name="second")
    goes, comes = f"unix:{run.path('goes')}", f"unix:{run.path('comes')}"
    # One of that folder from the start: the sandbox leaves no others.
    sink, other = run.path("sink"), run.path("other")
    daemon = Ekeyd(run, f"listen = {goes}", f"sink = file:{other}", softkeys=[first])
    daemon.seeded()
    with daemon.client() as stays, Egd(goes) as leaves:
        stays.read(16)
        leaves.read(16)
        rewrite(daemon, lambda text: text.replace(f"listen = {goes}\n", f"listen = {comes},max-clients=1\n")
                .replace(other, sink) + f"source = {second.source}\n")
        before = daemon.key(1)["Path"]
        daemon.program.signal(signal.SIGHUP)
        daemon.program.wait_output(r"reloaded.*config=")
        check(leaves.closed_within(30), "a client of a listener that is gone was left hanging")
        check(not os.path.exists(goes[5:]), "the socket that is gone is left behind")
        check_equal(len(stays.read(16)), 16, "bytes for a client that is not concerned")
        with Egd(comes) as new:
            check_equal(len(new.read(16)), 16, "bytes at the new listener")
            with Egd(comes) as more:
                check(more.closed_within(30), "the new listener's limit is not kept")
        check_equal(daemon.key(1)["Path"], before, "the source that stays")
        wait_until(lambda: (daemon.key(2) or {}).get("OK") == "YES", "the new source is good")
        wait_until(lambda: os.path.exists(sink) and os.path.getsize(sink) > 0, "the sink is written to")
        rewrite(daemon, lambda text: text.replace(f"source = {first.source}\n", "").replace(f"sink = file:{sink}\n", ""))
        run.run("ekeydctl", "--socket", daemon.control[5:], "reload")
        check(daemon.key(1) is None, "the source that is gone is still there")
        check_equal(command(daemon, "ListSinks")[0], [], "sinks")
        check_equal(len(stays.read(16)), 16, "bytes for a client that is not concerned")


@test("reload: a file with a mistake, or an address in use, changes nothing and is reported with its line")
def mistakes(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    daemon.seeded()
    good = open(daemon.config, encoding="ascii").read()
    lines = good.count("\n")
    extra = f"unix:{run.path('extra')}"
    with socket.create_server(("127.0.0.1", 0)) as taken, daemon.client() as client:
        port = taken.getsockname()[1]
        for tail, expected in ((f"listen = {extra}\nlissen = x\n", rf":{lines + 2}: .*listen"),
                               (f"listen = {extra},max-client=3\n", rf":{lines + 1}: .*max-clients"),
                               (f"listen = {extra}\nlisten = tcp:127.0.0.1:{port}\n", rf":{lines + 2}: .*in use"),
                               (f"listen = {extra}\nsink = file:/nowhere/at/all\n", rf":{lines + 2}: .*(No such|given up)"),
                               (f"listen = {extra}\nlisten = http:127.0.0.1:{port}\n", rf":{lines + 2}: ")):
            rewrite(daemon, lambda _, tail=tail: good.replace(f"listen = {daemon.egd},mode=0600\n", "# gone\n") + tail)
            check_contains(refusal(daemon), expected, f"the answer to {tail!r}")
            check_equal(len(client.read(16)), 16, "bytes for a client after a refusal")
            check(answers(daemon.egd) and not os.path.exists(extra[5:]), f"{tail!r} changed the listeners")
        os.unlink(daemon.config)
        check_contains(refusal(daemon), "ekeyd.conf", "the answer without a file")
        check_equal(len(client.read(16)), 16, "bytes for a client after a refusal")
    check_contains(daemon.program.output(), "not reloaded: all stays as it was", "the log")


@test("reload: a listener's limits change at the same socket; when that fails it comes back with those it had")
def same_place(run):
    port = free_port()
    old, new = f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port},max-clients=1"
    daemon = Ekeyd(run, f"listen = {old}", softkeys=[Softkey(run)])
    daemon.seeded()
    with daemon.client() as stays:
        rewrite(daemon, lambda text: text.replace(old, new))
        command(daemon, "Reload")
        with Egd(old) as one, Egd(old) as two:
            check_equal(len(one.read(16)), 16, "bytes")
            check(two.closed_within(30), "the new limit is not kept")
        rewrite(daemon, lambda text: text.replace(new, old) + "sink = file:/nowhere/at/all\n")
        check_contains(refusal(daemon), "/nowhere", "the answer")
        check(new in daemon.listeners(), "the listener that was there is not back")
        check_equal(len(stays.read(16)), 16, "bytes for a client that is not concerned")


@test("reload: what was added over the control socket stays; options that need a restart are named")
def restart_named(run):
    added = f"unix:{run.path('added')}"
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    command(daemon, f'AddListener("{added}")')
    rewrite(daemon, lambda text: text + "pool-size = 4096\nsilence = 20\nreserve = 512\n")
    said = run.run("ekeydctl", "--socket", daemon.control[5:], "reload")
    check_contains(said, r"restart: pool-size, silence$", "what ekeydctl says")
    check(answers(added), "what was added over the control socket is gone")
    wait_until(lambda: "PoolReserved=512\n" in daemon.health() + "\n", "the reserve is kept")


@test("--convert: a configuration of ekeyd 1.1.5 becomes one of ours that says which line each setting is from")
def convert(run):
    old = run.write("old.conf", f"""-- the file of 1.1.5
Daemonise(true)
UnixControlSocket "{run.path("sock")}"
Keyring "{run.path("keys")}"
EGDTCPSocket(8888, "127.0.0.1")
EGDUnixSocket("{run.path("egd")}", "0660", "root", "root")
AddEntropyKeys "/nowhere"
""")
    text = run.run("ekeyd", "--convert", old)
    for expected in (r"# line 2: Daemonise\(true\)\nforeground = no\n",
                     rf"# line 3: UnixControlSocket .*\ncontrol = unix:{run.path('sock')}\n",
                     rf"# line 4: .*\nkeyring = {run.path('keys')}\n", r"# line 5: .*\nlisten = tcp:127.0.0.1:8888\n",
                     rf"# line 6: .*\nlisten = unix:{run.path('egd')},mode=0660,user=root,group=root\n",
                     r"# line 7: AddEntropyKeys \"/nowhere\"\nsource = entropykey:/nowhere/\n"):
        check_contains(text, expected, "what --convert prints")
    new = run.write("new.conf", text)

    def in_effect(path):
        return run.run("ekeyd", "--config", path, "--print-config").split("\n", 1)[1]
    check_equal(in_effect(new), in_effect(old), "what the new file says")
    for bad, expected in (('Keyring "/k"\nfor i = 1, 2 do end\n', "old.conf:2: "),
                          ('Keyring "/k"\nEGDTCPSocket(99999)\n', "old.conf:2: "),
                          ("listen = tcp:127.0.0.1:8888\n", "1.1.5")):
        run.write("old.conf", bad)
        check_contains(run.run("ekeyd", "--convert", old, expect=2), expected, f"what it says of {bad!r}")


@test("a service manager is told that ekeyd is ready, that it reloads, that its loop turns and that it ends")
def service_manager(run):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(run.path("notify"))
        manager.settimeout(30)

        def hear(pattern):
            while True:
                told = manager.recv(4096).decode()
                if re.search(pattern, told):
                    return told
        daemon = Ekeyd(run, env=dict(os.environ, NOTIFY_SOCKET=run.path("notify"), WATCHDOG_USEC="200000"))
        hear(r"^READY=1$")
        for _ in range(3):
            hear(r"^WATCHDOG=1$")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.program.signal(signal.SIGHUP)
        since = int(re.search(r"MONOTONIC_USEC=(\d+)$", hear(r"^RELOADING=1\n")).group(1))
        check(before <= since <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, f"it reloads at {since}")
        hear(r"^READY=1\nSTATUS=reloaded$")
        rewrite(daemon, lambda text: text + "lissen = x\n")
        daemon.program.signal(signal.SIGHUP)
        hear(r"^READY=1\nSTATUS=not reloaded: .*:5: ")
        daemon.program.signal(signal.SIGTERM)
        hear(r"^STOPPING=1$")


if __name__ == "__main__":
    main()
