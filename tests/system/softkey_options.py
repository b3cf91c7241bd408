#!/usr/bin/python3
"""softkey's lines and noise where no host program of ours or Debian's shows them."""
import base64
import os
import re
import select
import tty

from daemons import Ekeyd, Softkey
from harness import DEADLINE, check, check_contains, check_equal, main, test, wait_until


@test("softkey --noise - the file's bytes go out once and in order, and then the key is silent")
def noise(run):
    sent = os.urandom(32 * 100)
    path = run.path("noise")
    with open(path, "wb") as file:
        file.write(sent)
    key = Softkey(run, "--noise", path)
    daemon = Ekeyd(run, "silence = 1", softkeys=[key])
    wait_until(lambda: "Failure=silence" in daemon.health(1), "the end of the noise to be noticed")
    check_equal(key.plaintext(), sent, "what softkey sent")


@test("softkey --tty - it speaks on a tty that it is given: a reset is answered with the serial number frame")
def given_tty(run):
    host, device = os.openpty()
    tty.setraw(host)
    key = run.start("softkey", "--tty", os.ttyname(device), "--rate", 10)
    serial = key.wait_output(r"^ready \S+ (\S+)$").group(1)
    os.write(host, b"\x03")
    seen = b""
    while b"\r\n" not in seen.partition(b"* S!AA")[2]:
        check(select.select([host], [], [], DEADLINE)[0], f"no serial number frame came: {seen!r}")
        seen += os.read(host, 4096)
    frame = b"* S!AA" + seen.partition(b"* S!AA")[2]
    check_equal(frame[6:22].decode(), serial, "the serial number in the S frame")
    check_equal(len(frame.partition(b"\r\n")[0]) + 2, 64, "the length of the frame")


@test("softkey - noise that is not there, a tty that is none, two lines at once - one sentence each, exit status 2 or 1")
def wrong(run):
    for arguments, says in (
            (["--pty", run.path("k"), "--noise", "/nonexistent/noise"], "/nonexistent/noise"),
            (["--tty", "/dev/null"], "/dev/null"),
            (["--pty", run.path("k"), "--unix", run.path("u")], "one"),
            (["--pty", run.path("k"), "--fault", "toast@3"], "toast"),
            (["--usbip", "nonsense"], "--usbip nonsense"),
            (["--pty", run.path("k"), "--devices", "2"], "--usbip"),
            (["--usbip", "127.0.0.1:0", "--devices", "9"], "--devices"),
            (["--pty", run.path("k"), "--device", "onerng"], "--usbip"),
            (["--usbip", "127.0.0.1:0", "--device", "twornd"], "onerng"),
            (["--usbip", "127.0.0.1:0", "--device", "truerng", "--keyring", run.path("r")], "--keyring"),
            (["--pty", run.path("k"), "--fault", "stall@0"], "--usbip"),
            (["--pty", run.path("k"), "--commands", "/nonexistent/fifo"], "/nonexistent/fifo"),
            (["--pty", run.path("k"), "--commands", run.write("file", "")], "FIFO"),
            (["--pty", run.path("k"), "--serial", "short"], "serial")):
        program = run.start("softkey", *arguments)
        status = program.wait()
        check(status in (1, 2), f"{arguments}: exit status {status}")
        check_contains(program.output(), says, f"the sentence for {arguments}")



@test("softkey --new-card, --card, --state - a card is made once, read back and checked; the long-term key stays over restarts")
def own_key(run):
    card, state = run.path("card"), run.path("state")
    printed = run.run("softkey", "--new-card", card)
    with open(card, encoding="ascii") as file:
        check_equal(file.read(), printed, "the card in its file")
    check_equal(os.stat(card).st_mode & 0o777, 0o600, "the card's mode")
    serial = re.search(r"^Serial (\S{16})$", printed, re.MULTILINE).group(1)
    check(len(base64.b64decode(re.search(r"^Master key (.*)$", printed, re.MULTILINE).group(1))) == 33, "33 bytes of key")
    check_contains(run.run("softkey", "--new-card", card, expect=1), "never overwritten", "the sentence")
    lines = []
    for name in ("first", "second"):
        keyring = run.path(name)
        key = run.start("softkey", "--pty", run.path("pty"), "--card", card, "--state", state, "--keyring", keyring)
        check_equal(key.wait_output(r"^ready \S+ (\S+)$").group(1), serial, "the card's serial number")
        key.stop()
        with open(keyring, encoding="ascii") as file:
            lines.append(file.read())
    check_equal(lines[0], lines[1], "the long-term key after the restart")
    check_equal(os.stat(state).st_mode & 0o777, 0o600, "the state's mode")
    key = ["--pty", run.path("pty")]
    wrong_key = run.write("wrong", printed.replace("Master key ", "Master key A", 1))
    for arguments, says, status in (
            (["--card", wrong_key], "wrong: master key", 1),
            (["--card", run.write("half", f"Serial {serial}\n")], "Master key", 1),
            (["--card", run.path("none")], "none: No such file", 1),
            (["--card", card, "--state", run.write("damaged", f"{serial} AAAA\n")], "damaged: line 1", 1),
            (["--card", card, "--serial", serial], "--card", 2), (["--state", state], "--state needs", 2)):
        check_contains(run.run("softkey", *key, *arguments, expect=status), says, f"the sentence for {arguments}")


@test("softkey --commands - unplugs, plugs in, begins and mends faults as it is told; nonsense is answered and does no harm")
def commands(run):
    os.mkfifo(run.path("commands"))
    key = Softkey(run, "--commands", run.path("commands"))
    daemon = Ekeyd(run, softkeys=[key])

    def tell(line, answer="done: "):
        with open(run.path("commands"), "w", encoding="ascii") as fifo:
            fifo.write(line + "\n")
        key.program.wait_output("^softkey: " + re.escape(answer + line))

    def wait_status(word):
        wait_until(lambda: (daemon.key() or {}).get("Status") == word, f"the status {word!r}", 60)
    wait_status("Running OK")
    tell("unplug 1")
    wait_status("Key closed. (Vanished?)")
    tell("plug 1")
    wait_status("Running OK")
    tell("fault 1 short")
    wait_status("Framing errors")
    tell("mend 1")
    wait_status("Running OK")
    for nonsense in ("unplug", "unplug 2", "fault 1", "fault 1 toast", "fault 1 short@3", "dance 1", "mend 1 2"):
        tell(nonsense, "not done: ")
    wait_status("Running OK")


if __name__ == "__main__":
    main()
