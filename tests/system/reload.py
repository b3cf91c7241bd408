#!/usr/bin/python3
"""The configuration is read again while clients are served."""
import os
import re
import signal
import socket
import time

from clients import ControlError, Egd, free_port
from daemons import Ekeyd, Softkey, answers
from harness import Skip, check, check_contains, check_equal, main, test, wait_until


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
                               (f"listen = {extra}\nlisten = {extra},rate=9\n", rf":{lines + 2}: .*given twice \(first: .*:{lines + 1}\)"),
                               (f"listen = {extra}\nreserve = 70000\n", rf":{lines + 2}: reserve"),
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
    # A port that the kernel chooses is no place that is given twice.
    run.run("ekeyd", "--check-config", "--config", run.write("free", "listen = tcp:127.0.0.1:0\nlisten = tcp:127.0.0.1:0,rate=9\n"))


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


@test("reload: other parameters of a listener close none of its clients that they admit; one that waits gets what it asked for, once")
def clients_stay(run):
    tcp, path = f"tcp:127.0.0.1:{free_port()}", run.path("local")
    unix, key = f"unix:{path}", Softkey(run)
    daemon = Ekeyd(run, f"listen = {tcp},max-clients=8", f"listen = {unix},mode=0600", keyring=key.keyring)

    def change(*pairs):
        for old, new in pairs:
            rewrite(daemon, lambda text, old=old, new=new: text.replace(old, new))

    with Egd(tcp) as waits, Egd(tcp) as idle, Egd(unix) as local:
        waits.ask(200)
        idle.send(b"\x02")  # half of a request
        local.ask(100)
        wait_until(lambda: daemon.listeners()[f"{tcp},max-clients=8"]["waiting"] == "1", "one client waits")
        # The listeners are changed before the sink fails, and changed back.
        rewrite(daemon, lambda text: text + "sink = file:/nowhere/at/all\n")
        change((f"{tcp},max-clients=8", f"{tcp},max-clients=2"), ("mode=0600", "mode=0660"))
        check_contains(refusal(daemon), "/nowhere", "the answer")
        check_equal(daemon.listeners()[f"{tcp},max-clients=8"]["clients"], "2", "clients after a refusal")
        change(("sink = file:/nowhere/at/all", f"source = {key.source}"))
        command(daemon, "Reload")
        check_equal(os.stat(path).st_mode & 0o777, 0o660, "the Unix socket's mode")
        with Egd(tcp) as more:
            check(more.closed_within(30), "those that stay are not counted")
        check_equal(len(waits.receive(200)), 200, "bytes for the one that waits")
        check_equal(len(local.receive(100)), 100, "bytes for the local one that waits")
        idle.send(bytes([40]))
        check_equal(len(idle.receive(40)), 40, "bytes for the one that had sent half of a request")
        check(all(one.silent_for(0.5) for one in (waits, idle, local)), "more came than was asked for")
        change((f"{tcp},max-clients=2", f"{tcp},deny=127.0.0.0/8"))
        command(daemon, "Reload")
        check(waits.closed_within(30) and idle.closed_within(30), "clients that are no longer admitted are served on")
        check_equal(len(local.read(16)), 16, "bytes for a client that is not concerned")
        change((f"{unix},mode=0660", f"{unix}.elsewhere,mode=0660"))
        command(daemon, "Reload")
        check(local.closed_within(30), "a client of a listener that went elsewhere is left hanging")


def low_port():
    """One that only root may listen on."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port below 1024 is free")


@test("reload: a listener at a host name, one at a low port and one in a folder of root's take other parameters in an ekeyd that could not open them again")
def not_opened_again(run):
    if os.getuid() != 0:
        raise Skip("only root can become another user")
    named, low, folder = f"tcp:localhost:{free_port()}", f"tcp:127.0.0.1:{low_port()}", run.path("of-root")
    os.mkdir(folder, 0o711)
    os.chmod(run.folder, 0o711)
    local = f"unix:{folder}/egd"
    places = {named: "tcp:127.0.0.1:" + named.rpartition(":")[2], low: low, local: local}
    daemon = Ekeyd(run, "user = nobody", f"listen = {named}", f"listen = {low}", f"listen = {local},mode=0666", softkeys=[Softkey(run)])
    os.chmod(daemon.config, 0o644)
    daemon.seeded()
    clients = {place: Egd(at) for place, at in places.items()}
    for client in clients.values():
        client.read(16)
    rewrite(daemon, lambda text: text.replace(named, named + ",rate=4000").replace(low, low + ",max-clients=9")
            .replace("mode=0666", "mode=0666,max-clients=9"))
    command(daemon, "Reload")
    check_equal([text.partition(",")[2] for text in daemon.listeners() if not text.startswith(daemon.egd)],
                ["rate=4000", "max-clients=9", "mode=0666,max-clients=9"], "the listeners' parameters")
    for place, client in clients.items():
        check_equal(len(client.read(16)), 16, f"bytes for a client of {place}")
        with Egd(places[place]) as new:
            check_equal(len(new.read(16)), 16, f"bytes for a new client of {place}")
    # What that user may not do is refused, and costs nobody a place or a client.
    other_low = low_port()
    for change, expected in (((named, f"tcp:0.0.0.0:{places[named].rpartition(':')[2]}"), "/nowhere"),
                             (("mode=0666", "mode=0600"), "egd: .*given up rights"), ((low, f"tcp:127.0.0.1:{other_low}"), "given up rights"),
                             ((named, named.replace("localhost", "localhost.invalid")), "localhost.invalid")):
        with open(daemon.config, encoding="ascii") as file:
            good = file.read()
        rewrite(daemon, lambda text, change=change: text.replace(*change) + "sink = file:/nowhere/at/all\n")
        check_contains(refusal(daemon), expected, f"the answer to {change}")
        rewrite(daemon, lambda _, good=good: good)
        for place, client in clients.items():
            check_equal(len(client.read(16)), 16, f"bytes for a client of {place} after a refusal")


@test("reload: a keyring that cannot be read any more stays in use, and the answer says so; another one that cannot be read is refused")
def keyring(run):
    if os.getuid() != 0:
        raise Skip("only root can become another user")
    os.chmod(run.folder, 0o711)
    key = Softkey(run)
    daemon = Ekeyd(run, "user = nobody", softkeys=[key])
    os.chmod(daemon.config, 0o644)
    daemon.seeded()
    os.chmod(key.keyring, 0o600)
    said = run.run("ekeydctl", "--socket", daemon.control[5:], "reload")
    check_contains(said, "the keyring stays as it was: .*given up rights", "what ekeydctl says")
    other = run.write("other", "", 0o600)
    rewrite(daemon, lambda text: text.replace(f"keyring = {key.keyring}", f"keyring = {other}"))
    check_contains(refusal(daemon), rf":4: .*{other}.*given up rights", "the answer to another keyring")
    os.chmod(other, 0o644)
    command(daemon, "Reload")


@test("reload: another keyring is used for the next session")
def other_keyring(run):
    key = Softkey(run)
    empty = run.write("empty", "")
    daemon = Ekeyd(run, f"source = {key.source}", keyring=empty)
    wait_until(lambda: "unknown" in (daemon.key() or {}).get("Status", ""), "the key has no long-term key here")
    rewrite(daemon, lambda text: text.replace(empty, key.keyring))
    command(daemon, "Reload")
    daemon.seeded()


@test("reload: a keyring without a key in it, which may be another file, is refused with its line; one that was emptied is told of")
def no_keyring(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    daemon.seeded()
    text = run.write("text", "# of what\n\nroot:x:0:0:root:/root:/bin/bash\n")
    with open(daemon.config, encoding="ascii") as file:
        ours = re.search(r"(?m)^keyring = (.*)$", file.read())[1]
    rewrite(daemon, lambda config: config.replace(ours, text))
    check_contains(refusal(daemon), rf"ekeyd\.conf:\d+: keyring {re.escape(text)} has no key in it; line 3: ", "the answer to another file")
    run.write("text", "# none\n")
    said = run.run("ekeydctl", "--socket", daemon.control[5:], "reload")
    check_contains(said, "the keyring has no keys any more", "what ekeydctl says of an empty one")


@test("reload: a file sink that a daemon without its rights cannot open again stays when its line is changed, and after it is changed back")
def sink_kept(run):
    if os.getuid() != 0:
        raise Skip("only root can become another user")
    os.chmod(run.folder, 0o711)
    os.mkdir(run.path("owned"), 0o755)
    sink = f"file:{run.path('owned/out')}"
    daemon = Ekeyd(run, "user = nobody", f"sink = {sink},rate=100", softkeys=[Softkey(run)])
    os.chmod(daemon.config, 0o644)
    rewrite(daemon, lambda text: text.replace("rate=100", "rate=200"))
    check_contains(refusal(daemon), "Permission denied.*given up rights", "the answer")
    shown = run.run("ekeydctl", "--socket", daemon.control[5:], "show")
    check_contains(shown, re.escape(sink) + ",rate=100", "what is shown after a refusal")
    rewrite(daemon, lambda text: text.replace("rate=200", "rate=100"))
    command(daemon, "Reload")
    before = os.path.getsize(run.path("owned/out"))
    wait_until(lambda: os.path.getsize(run.path("owned/out")) > before, "it is written to")


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
