#!/usr/bin/env python3
"""softkey's lines and noise where no host program of ours or Debian's shows them."""
import os
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
            (["--pty", run.path("k"), "--serial", "short"], "serial")):
        program = run.start("softkey", *arguments)
        status = program.wait()
        check(status in (1, 2), f"{arguments}: exit status {status}")
        check_contains(program.output(), says, f"the sentence for {arguments}")


if __name__ == "__main__":
    main()
