#!/usr/bin/python3
"""Logs at their most verbose: no key and no byte of noise is in them, in any form; and every line is a whole event."""
import base64
import contextlib
import os
import re
import signal
import time

from clients import Control, ControlError, Egd, connect, free_port
from daemons import FAST, Ekeyd, Softkey
from debians_pollen import certificate
from harness import check, check_contains, check_equal, main, test, wait_until
from pollen_client import Pollen
from secret_search import Secrets

FIELD = r' [a-z][a-z_-]*=(?:[^\s"\\=]+|"(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*")'
# Standard error for journald: the priority stands for the level.
LINE = re.compile(rf"<(?P<level>[3-7])>(?P<event>[^\s=\"<>][^=\"]*?)(?P<fields>(?:{FIELD})*)")


def lines_of(program):
    """The events of a log: (level, event, fields)."""
    events = []
    for line in program.output().splitlines():
        match = LINE.fullmatch(line)
        check(match, f"{program.name}: no line of a log: {line!r}")
        check(all(" " <= c != "\x7f" for c in line), f"{program.name}: a control character in {line!r}")
        events.append((int(match["level"]), match["event"], match["fields"]))
    check(events, f"{program.name} has logged nothing")
    return events


def level_of(events, beginning):
    levels = {level for level, event, _ in events if event.startswith(beginning)}
    check_equal(len(levels), 1, f"levels of '{beginning}' in {events}")
    return levels.pop()


class KeyFiles:
    """A file of each kind that holds a secret."""

    def __init__(self, run):
        self.secrets = Secrets()
        # The keys of both ends of a sealed link.
        self.publics = {}
        for who in ("server", "client"):
            self.publics[who] = run.run("ekeydctl", "keygen", run.path(who + ".key")).strip()
            # In the file, the public key stands in a comment.
            text, = [line for line in run.read(who + ".key").splitlines() if not line.startswith(b"#")]
            self.secrets.add(f"{who}'s static key", base64.b64decode(text, validate=True))
            self.secrets.add_text(f"{who}'s static key", text.decode())
        self.identity = run.path("server.key")
        self.cert, self.cert_key = certificate(run, "tls")
        text = "".join(run.read("tls.key").decode().split("\n")[1:-2])
        self.secrets.add("the key of a certificate", base64.b64decode(text))
        self.secrets.add_text("the key of a certificate", text)

    def add_keyring(self, path):
        with open(path, encoding="ascii") as keyring:
            text = keyring.read().split()[1]
        self.secrets.add("a long-term key", base64.b64decode(text))
        self.secrets.add_text("a long-term key", text)


@test("promise 6: the logs of a full run hold no key and no byte of noise, with faults; raw, escaped, in hexadecimal or in base64")
def no_secrets(run):
    files = KeyFiles(run)
    secrets = files.secrets
    run.write("peers", f"{files.publics['client']} client\n")
    os.mkfifo(run.path("commands"))
    key = Softkey(run, "--fault", "bad-mac@60", "--fault", "garbage=300@90", "--fault", "drop@120", "--commands", run.path("commands"),
                  rate=FAST)
    tcp, sealed = free_port(), free_port()
    seeds, seeds_tls = Pollen(), Pollen(tls=files.cert)
    daemon = Ekeyd(run, f"identity = {files.identity}", "log-level = debug", f"listen = tcp:127.0.0.1:{tcp},output=drbg",
                   f"listen = sealed:127.0.0.1:{sealed},peers={run.path('peers')}", f"sink = file:{run.path('sunk')}",
                   seeds.setting, f"{seeds_tls.setting},cert={files.cert},key={files.cert_key}",
                   softkeys=[key], journal=True)
    with open(key.card, encoding="ascii") as card:
        master = re.search(r"^Master key (.*)$", card.read(), re.MULTILINE).group(1)
    secrets.add_text("the master key", master)
    files.add_keyring(key.keyring)
    pushes = []
    for name, upstream in (("local", daemon.egd), ("clear", f"tcp:127.0.0.1:{tcp}"),
                           ("sealed", f"sealed:127.0.0.1:{sealed},key={files.publics['server']}")):
        push = run.start("egd-push", "--from", upstream, "--once", "--to", f"file:{run.path(name)}", "--bytes", "512",
                         "--identity", run.path("client.key"), "-v", "-v", journal=True)
        check_equal(push.wait(60), 0, f"exit status of egd-push from {upstream}")
        secrets.add(f"what egd-push wrote from {upstream}", run.read(name))
        pushes.append(push)
    secrets.add("served bytes", daemon.seeded(2048))
    for pollen in (seeds, seeds_tls):
        secrets.add("a seed of pollen's", pollen.seed())
        pollen.ask("/no-challenge")
    capture = run.start("ekeydctl", "--socket", daemon.control, "capture", "1", "3000")
    check_equal(capture.wait(60), 0, "exit status of the capture")
    # A new long-term key while the daemon runs, then a fault and a reset: they all have their events.
    rekey = run.start("ekey-rekey", "--device", key.path, "--keyring", key.keyring, "--socket", daemon.control[5:], key.serial,
                      *master.split(), journal=True)
    check_equal(rekey.wait(60), 0, "exit status of ekey-rekey")
    files.add_keyring(key.keyring)
    # It has another number now.
    wait_until(lambda: any(k["Status"] == "Running OK" for k in daemon.controller().keys()), "the key runs again", 60)
    with open(run.path("commands"), "w", encoding="ascii", buffering=1) as commands:
        commands.write("fault 1 biased\n")
        key.program.wait_output("done: fault 1 biased")
        daemon.program.wait_output("source has failed.*(adaptive proportion|FIPS 140-2)")  # whichever is first
        commands.write("mend 1\n")
        key.program.wait_output("done: mend 1")
    run.run("ekeydctl", "--socket", daemon.control, "reset", key.path)
    secrets.add("served bytes", daemon.seeded(1024))
    written = os.urandom(200)
    secrets.add("what a client has written", written)
    with Egd(daemon.egd) as client:
        client.write(written)
        client.level()
    run.run("ekeydctl", "--socket", daemon.control, "shutdown")
    check_equal(daemon.program.wait(60), 0, "exit status of ekeyd")

    secrets.add("what a sink was given", run.read("sunk"))
    noise = key.plaintext()  # it goes on
    secrets.add("noise", noise)
    secrets.check_absent(daemon.program, *pushes, rekey, key.program)
    # Otherwise nothing has been looked through.
    check_equal(level_of(lines_of(daemon.program), "session established"), 5, "the level of a session")
    for push in pushes:
        check_equal(level_of(lines_of(push), "pushed"), 6, "the level of a push")
    check(any("public_key" in fields for _, _, fields in lines_of(daemon.program)), "the public key, which may be shown")
    secrets.check_finds(run, run.read("sealed")[100:140])
    secrets.check_finds(run, noise[-40:])


@test("promise 6: a keyring, an identity or a key in PEM that is given for another file stays secret, at the start and at a reload")
def mistaken_files(run):
    files = KeyFiles(run)
    key = Softkey(run)
    files.add_keyring(key.keyring)
    daemon = Ekeyd(run, f"identity = {files.identity}", "log-level = debug", softkeys=[key], journal=True)
    good = run.read("ekeyd.conf").decode()
    others = {"keyring": key.keyring, "identity": files.identity, "PEM": files.cert_key}
    asked = 0
    said = []

    def reload(text):
        nonlocal asked
        run.write("ekeyd.conf", text)
        daemon.program.signal(signal.SIGHUP)
        asked += 1
        daemon.program.wait_output(rf"(?:not reloaded[\s\S]*){{{asked}}}")

    for kind, path in others.items():
        text = open(path, encoding="ascii").read()
        reload(text)
        said += [run.start("ekeyd", "--config", path, "--check-config"), run.start("ekeyd", "--convert", path),
                 run.start("egd-push", "--config", path)]
        if kind != "keyring":
            with daemon.controller() as control, contextlib.suppress(ControlError):
                control.command(f'Keyring("{path}")')
        settings = [f"listen = sealed:127.0.0.1:{free_port()},peers={path}"]
        if kind != "PEM":
            settings.append(f"listen = pollen:127.0.0.1:{free_port()},cert={path},key={path}")
        if kind != "identity":
            settings.append(f"identity = {path}\nlisten = sealed:127.0.0.1:{free_port()},peers={run.write('none', '')}")
            said.append(run.start("egd-push", "--identity", path, "--once", "--from",
                                  f"sealed:127.0.0.1:1,key={files.publics['server']}"))
        # A key itself, where its file was to be named.
        inline = [line for line in text.splitlines() if line and not line.startswith(("#", "-----"))][0].split()[-1]
        settings.append(f"identity = {inline}")
        said.append(run.start("egd-push", "--config", run.write(f"push-{kind}", f"identity = {inline}\nfrom = unix:/x\n")))
        for number, setting in enumerate(settings):
            lines = good.replace(f"identity = {files.identity}\n", "") if setting.startswith("identity") else good
            if not setting.startswith("identity"):
                reload(lines + setting + "\n")
            own = lines.replace(run.path("ekeyd."), run.path(f"{kind}-{number}."))
            said.append(run.start("ekeyd", "--foreground", "--config", run.write(f"{kind}-{number}", own + setting + "\n")))
    for program in said:
        what = " ".join(program.arguments)
        check(program.wait() in (1, 2), f"it takes {what}")
        check_contains(program.output(), r"^(ekeyd|egd-push): ", what)
    daemon.program.signal(signal.SIGTERM)
    check_equal(daemon.program.wait(60), 0, "exit status of ekeyd")
    files.secrets.check_absent(daemon.program, *said)
    check_equal(sum(event.startswith("not reloaded") for _, event, _ in lines_of(daemon.program)), asked, "answers to SIGHUP")


@test("logs: what keeps a program from starting has its level in the journal, and is a sentence for a person elsewhere")
def start_errors(run):
    missing = run.path("missing")
    for name, arguments, status, says in (
            ("ekeyd", ["--config", run.write("bad.conf", "\nlissen = x\n"), "--foreground"], 2, r"bad\.conf:2: .*did you mean listen\?"),
            ("ekeyd", ["--config", run.write("no.conf", f"keyring = {missing}\n"), "--foreground"], 1, r"no\.conf:1: .*missing.*No such"),
            ("egd-push", ["--intervall", "3"], 2, "command line: .*did you mean --interval"),
            ("egd-push", ["--from", "unix:/x", "--identity", missing], 1, "missing cannot be read")):
        journal = run.start(name, *arguments, journal=True)
        check_equal(journal.wait(), status, "exit status")
        check_equal(level_of(lines_of(journal), "cannot go on"), 3, f"the level of {says}")
        check_contains(lines_of(journal)[-1][2], f'^ reason=".*{says}', "the field reason")
        # The variable is inherited by what writes elsewhere, too.
        person = run.start(name, *arguments, env=dict(os.environ, JOURNAL_STREAM="8:1"))
        check_equal(person.wait(), status, "exit status")
        check_contains(person.output().splitlines()[-1], f"^{name}: .*{says}", "what a person sees")


@test("logs: each SIGHUP is answered by a line, though it says the same as the one before")
def answers(run):
    daemon = Ekeyd(run, journal=True)
    run.write("ekeyd.conf", "lissen = x\n")
    for number in range(1, 5):
        daemon.program.signal(signal.SIGHUP)
        daemon.program.wait_output(rf"(?:<3>not reloaded.*\n[\s\S]*){{{number}}}")


@test("logs: one line an event with its level and fields, whatever a path holds; a noisy client and a noisy dongle are told of once")
def lines(run):
    began = time.monotonic()
    noisy = [word for n in range(40) for kind in ("garbage", "bad-mac") for word in ("--fault", f"{kind}@{400 + 20 * n}")]
    odd = Softkey(run, name="odd", rate=FAST)
    odd_path = run.path('odd "name"=1\n\\<0>\x1b[31m')
    os.symlink(odd.path, odd_path)
    keys = [Softkey(run, *noisy, name="noisy", rate=FAST), Softkey(run, "--fault", "stuck@300", name="bad", rate=FAST)]
    files = KeyFiles(run)
    daemon = Ekeyd(run, "log-level = debug", f"sink = fifo:{run.path('nobody')}",
                   f"source = {keys[0].source},serial={keys[0].serial}", f"source = {keys[1].source}", keyring=keys[0].keyring, journal=True)
    files.secrets.add("served bytes", daemon.seeded(2048))
    with open(keys[0].keyring, encoding="ascii") as keyring:
        for line in keyring:
            files.secrets.add("a long-term key", base64.b64decode(line.split()[1]))
    with daemon.controller() as control:
        # A line of the control protocol has no newline in it: it is written \n there.
        path = odd_path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        control.command(f'AddEntropyKey("{path}")')
    wait_until(lambda: daemon.key(3) and daemon.key(3)["Status"] == "Running OK", "the key with the odd name runs", 60)
    for _ in range(60):
        with connect(daemon.egd) as client:
            client.sendall(b"\xff" * 64)
            client.recv(1)
        with Control(daemon.control) as control:
            control.send(b"\x1b]0;nonsense\x07\xff\n")
            control.line()
    wait_until(lambda: int(daemon.controller().statistics("1")["FramingErrors"]) >= 40
               and int(daemon.controller().statistics("1")["PacketErrors"]) >= 40, "the dongle has been noisy", 60)
    daemon.program.signal(signal.SIGTERM)
    check_equal(daemon.program.wait(60), 0, "exit status of ekeyd")
    minutes = 1 + int((time.monotonic() - began) / 60)

    events = lines_of(daemon.program)
    check_equal(level_of(events, "source has failed"), 3, "the level of a failure")
    check_equal(level_of(events, "clients closed: what they sent is no EGD"), 5, "the level of what a client did")
    check_equal(level_of(events, "ready"), 5, "the level of the start")
    check(any(level == 7 for level, _, _ in events), "no line of debugging")
    sentences = [event for _, event, _ in events]
    check(sentences.count("clients closed: what they sent is no EGD") <= minutes, f"repeats: {events}")
    # Of the noisy dongle: what begins its session, and nothing for each of its 80 faults.
    of_noisy = [event for event in events if keys[0].path in event[2]]
    check(len(of_noisy) < 30, f"{len(of_noisy)} lines of a noisy dongle: {of_noisy}")
    check(len(events) < 60 + 10 * minutes, f"{len(events)} lines: {events}")  # the bad key is tried again
    repeats = [a for a, b in zip(events, events[1:]) if a == b]
    check(len(repeats) < minutes, f"lines that repeat: {repeats}")  # after a minute they may
    files.secrets.add("noise", b"".join(k.plaintext() for k in (odd, *keys)))
    files.secrets.check_absent(daemon.program)
    # One name for one source.
    names = {name for _, _, fields in events for name in re.findall(r' source=("(?:[^"\\]|\\.)*"|\S+)', fields)}
    check_equal(len(names), 3, f"names of three sources: {names}")


if __name__ == "__main__":
    main()
