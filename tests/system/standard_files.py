#!/usr/bin/python3
"""Standard input, output and error that are closed, or full: nothing else is written in their place, and what is lost is told."""
import os

from daemons import answers
from egd_server import EgdServer
from harness import check, check_contains, check_equal, main, program, test, wait_until


def config(run):
    control = f"unix:{run.path('control')}"
    return control, run.write("ekeyd.conf", f"control = {control}\npidfile = {run.path('pid')}\nkeyring = {run.write('keyring', '')}\n"
                              "foreground = no\n")


def closed(*numbers):
    """For preexec."""
    def close():
        for number in numbers:
            os.close(number)
    return close


@test("ekeyd started without standard files: it runs in the background, and the pid file holds its number and nothing else")
def without(run):
    for numbers in ((2,), (0, 1, 2), (1, 2), (0,), (1,)):
        control, file = config(run)
        started = run.start("ekeyd", "--config", file, preexec=closed(*numbers))
        check_equal(started.wait(), 0, f"exit status without {numbers}")
        with open(run.path("pid"), encoding="ascii") as pid_file:
            pid = pid_file.read()
        check_contains(pid, r"\A\d+\n\Z", f"the pid file, without {numbers}")
        wait_until(lambda: answers(control), f"it answers, without {numbers}")
        os.kill(int(pid), 15)
        wait_until(lambda: not os.path.exists(run.path("pid")), "it ends")


@test("egd-push --to - without standard output: it fails, and no byte of noise is written to standard error")
def no_output(run):
    served = []

    def data(size):
        served.append(os.urandom(size))
        return served[-1]

    server = EgdServer(f"unix:{run.path('server')}", data=data)
    os.mkfifo(run.path("errors"))
    with open(os.open(run.path("errors"), os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        run.run("egd-push", "-c", '"$0" --from "$1" --to - --once 2>"$2" >&-', program("egd-push"), server.address, run.path("errors"),
                path="/bin/sh", expect=1)
        said = reader.read()
    check(said.isascii(), f"what is no text was written to standard error: {said!r}")
    check_contains(said.decode(), r"(?i)standard output|bad file descriptor|closed", "what it says")
    for piece in served:
        check(piece not in said and piece.hex().encode() not in said, "noise was written to standard error")


@test("what is printed and does not get there, because the disk is full, is an error of every program")
def full(run):
    old = run.write("old.conf", 'TCPControlSocket "1234"\n')
    for name, arguments in (("ekeyd", "--help"), ("ekeyd", "--print-config"), ("ekeyd", f"--convert {old}"), ("ekeydctl", "--help"),
                            ("egd-push", "--help"), ("egd-push", "--version"), ("ekey-rekey", "-h")):
        said = run.run(name, "-c", f'"$0" {arguments} >/dev/full', program(name), path="/bin/sh", expect=1)
        check_contains(said, "No space left on device", f"what {name} {arguments} says")


if __name__ == "__main__":
    main()
