#!/usr/bin/python3
"""Logs at their most verbose: no key and no byte of noise is in them, in any form; and every line is a whole event."""
import base64
import os
import re
import signal
import time

from clients import Control, Egd, connect, free_port
from daemons import FAST, Ekeyd, Softkey
from debians_pollen import certificate
from harness import check, check_equal, main, test, wait_until
from pollen_client import Pollen

WINDOW = 8  # bytes: less may be there by chance, and as much of a key is no secret that is left


class Secrets:
    """Looks for every piece of WINDOW bytes (in base64, of WINDOW + 1) of what is secret: raw, hexadecimal, base64."""

    def __init__(self):
        self.known = {}

    def add(self, name, data):
        check(len(data) >= WINDOW, f"{name}: {len(data)} bytes")
        for at in range(len(data) - WINDOW + 1):
            piece = data[at:at + WINDOW]
            self.known[piece] = name
            self.known[piece.hex().encode()] = name
            if at + WINDOW < len(data):
                encoded = base64.b64encode(data[at:at + WINDOW + 1])
                self.known[encoded] = name
                self.known[encoded.replace(b"+", b"-").replace(b"/", b"_")] = name

    def add_text(self, name, text):
        """A key as people see it, with its groups and without."""
        for form in (text, text.replace(" ", "")):
            self.add(name, form.encode())

    def found(self, log):
        for text in (log, log.lower()):
            for size in {len(piece) for piece in self.known}:
                for at in range(len(text) - size + 1):
                    if name := self.known.get(text[at:at + size]):
                        yield name, text[at:at + size]


FIELD = r' [a-z][a-z_-]*=(?:[^\s"\\=][^\s"\\]*|"(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*")'
# Standard error for journald: the priority stands for the level.
LINE = re.compile(rf"<(?P<level>[3-7])>(?P<event>[^\s=\"<>][^=\"]*?)(?P<fields>(?:{FIELD})*)")
JOURNAL = dict(os.environ, JOURNAL_STREAM="8:1")


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


@test("promise 6: the logs of a full run hold no key and no byte of noise, raw, in hexadecimal or in base64")
def no_secrets(run):
    secrets = Secrets()
    # The keys of both ends of a sealed link.
    publics = {}
    for who in ("server", "client"):
        publics[who] = run.run("ekeydctl", "keygen", run.path(who + ".key")).strip()
        # In the file, the public key stands in a comment.
        key, = [line for line in run.read(who + ".key").splitlines() if not line.startswith(b"#")]
        secrets.add(f"{who}'s static key", base64.b64decode(key, validate=True))
    run.write("peers", f"{publics['client']} client\n")

    key = Softkey(run, rate=FAST)
    tcp, sealed = free_port(), free_port()
    cert, cert_key = certificate(run, "tls")
    secrets.add("the key of a certificate", base64.b64decode("".join(run.read("tls.key").decode().split("\n")[1:-2])))
    seeds, seeds_tls = Pollen(), Pollen(tls=cert)
    daemon = Ekeyd(run, f"identity = {run.path('server.key')}", "log-level = debug", f"listen = tcp:127.0.0.1:{tcp},output=drbg",
                   f"listen = sealed:127.0.0.1:{sealed},peers={run.path('peers')}", f"sink = file:{run.path('sunk')}",
                   seeds.setting, f"{seeds_tls.setting},cert={cert},key={cert_key}",
                   softkeys=[key], env=JOURNAL)
    with open(key.card, encoding="ascii") as card:
        master = re.search(r"^Master key (.*)$", card.read(), re.MULTILINE).group(1)
    secrets.add_text("the master key", master)

    def add_keyring():
        with open(key.keyring, encoding="ascii") as keyring:
            line = keyring.read().split()[1]
        secrets.add("a long-term key", base64.b64decode(line))
        secrets.add_text("a long-term key", line)

    add_keyring()
    pushes = []
    for name, upstream in (("local", daemon.egd), ("clear", f"tcp:127.0.0.1:{tcp}"),
                           ("sealed", f"sealed:127.0.0.1:{sealed},key={publics['server']}")):
        push = run.start("egd-push", "--from", upstream, "--once", "--to", f"file:{run.path(name)}", "--bytes", "512",
                         "--identity", run.path("client.key"), "-v", "-v", env=JOURNAL)
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
                      *master.split(), env=JOURNAL)
    check_equal(rekey.wait(60), 0, "exit status of ekey-rekey")
    add_keyring()
    # It has another number now.
    wait_until(lambda: any(k["Status"] == "Running OK" for k in daemon.controller().keys()), "the key runs again", 60)
    run.run("ekeydctl", "--socket", daemon.control, "reset", key.path)
    secrets.add("served bytes", daemon.seeded(1024))
    written = os.urandom(200)
    secrets.add("what a client has written", written)
    with Egd(daemon.egd) as client:
        client.write(written)
        client.level()
    run.run("ekeydctl", "--socket", daemon.control, "shutdown")
    check_equal(daemon.program.wait(60), 0, "exit status of ekeyd")

    secrets.add("what a sink was given", run.read("sunk")[:20000])
    secrets.add("noise", key.plaintext()[:60000])
    logs = [daemon.program, *pushes, rekey, key.program]
    for program in logs:
        found = next(secrets.found(program.output().encode()), None)
        check(not found, f"the log of {program.name} holds {found and found[0]}: {found and found[1]!r}")
    # Otherwise nothing has been looked through.
    check_equal(level_of(lines_of(daemon.program), "session established"), 5, "the level of a session")
    for push in pushes:
        check_equal(level_of(lines_of(push), "pushed"), 6, "the level of a push")
    check(any("public_key" in fields for _, _, fields in lines_of(daemon.program)), "the public key, which may be shown")
    planted = f"x key={base64.b64encode(b'??' + run.read('sealed')[100:140]).decode()} y".encode()
    check(next(secrets.found(planted), None), "a planted secret was not found")
    check(next(secrets.found(run.read("local")[3:40].hex().upper().encode()), None), "a planted secret was not found")


@test("logs: one line an event with its level and fields, whatever a path holds; a noisy client and a noisy dongle are told of once")
def lines(run):
    began = time.monotonic()
    noisy = [word for n in range(40) for kind in ("garbage", "bad-mac") for word in ("--fault", f"{kind}@{400 + 20 * n}")]
    odd = Softkey(run, name="odd", rate=FAST)
    odd_path = run.path('odd "name"=1\n\\<0>\x1b[31m')
    os.symlink(odd.path, odd_path)
    keys = [Softkey(run, *noisy, name="noisy", rate=FAST), Softkey(run, "--fault", "stuck@300", name="bad", rate=FAST)]
    daemon = Ekeyd(run, "log-level = debug", f"sink = fifo:{run.path('nobody')}", softkeys=keys, env=JOURNAL)
    daemon.seeded()
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
    check_equal([a for a, b in zip(events, events[1:]) if a == b], [], "lines that repeat")


if __name__ == "__main__":
    main()
