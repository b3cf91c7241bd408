#!/usr/bin/python3
"""Sockets that a service manager opens and passes to ekeyd."""
import hashlib
import os
import re
import signal
import socket
import stat
import urllib.request

from clients import ControlError, Egd, free_port
from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, command, main, need, test


class Sockets:
    """Listening sockets of the test's own, which nobody else can bind."""

    def __init__(self, run):
        self.run = run
        self.all = {}

    def unix(self, name, mode=0o600):
        made = socket.socket(socket.AF_UNIX)
        made.bind(self.run.path(name))
        os.chmod(self.run.path(name), mode)
        made.listen()
        self.all[name] = made
        return f"unix:{self.run.path(name)}"

    def tcp(self, name, host="127.0.0.1"):
        self.all[name] = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        return f"{f'[{host}]' if ':' in host else host}:{self.all[name].getsockname()[1]}"

    def descriptors(self):
        return [(made.fileno(), name) for name, made in self.all.items()]

    def stop(self):
        for made in self.all.values():
            made.close()


def sockets(run):
    return run.ends_with(Sockets(run))


def rewrite(daemon, old, new):
    with open(daemon.config, encoding="ascii") as file:
        text = file.read()
    check(old in text, f"{old!r} is not in the configuration")
    with open(daemon.config, "w", encoding="ascii") as file:
        file.write(text.replace(old, new))


def reload(daemon):
    with daemon.controller() as control:
        return control.command("Reload")


@test("passed sockets: EGD on Unix and TCP, HTTP, pollen, sealed and control are served as their lines say; the files stay when ekeyd ends")
def every_kind(run):
    passed = sockets(run)
    unix, control = passed.unix("ekeyd.egd"), passed.unix("ekeyd.sock")
    tcp, http, pollen, sealed, _ = (passed.tcp(name) for name in ("tcp", "http", "pollen", "sealed", "nobody's"))
    peers = run.write("peers", "")
    run.run("ekeydctl", "keygen", run.path("identity"))
    daemon = Ekeyd(run, f"listen = tcp:{tcp},max-clients=1", f"listen = http:{http}", f"listen = pollen:{pollen}", f"listen = sealed:{sealed},peers={peers}",
                   f"identity = {run.path('identity')}", softkeys=[Softkey(run)], descriptors=passed.descriptors())
    daemon.program.wait_output(r"no listen and no control line names.*address=tcp:127.0.0.1:\d+")
    check_equal(daemon.program.output().count("line names"), 1, "warnings about sockets")
    check_equal((daemon.egd, daemon.control), (unix, control), "where the harness has ekeyd listen")
    daemon.seeded()
    with Egd(f"tcp:{tcp}") as first, Egd(f"tcp:{tcp}") as second:
        check_equal(len(first.read(16)), 16, "bytes over TCP")
        check(second.closed_within(), "the line's max-clients is not kept")
    with urllib.request.urlopen(f"http://{http}/healthz", timeout=60) as answer:
        check_equal(answer.read(), b"ok\n", "the HTTP listener")
    challenge = hashlib.sha512(b"of no weight").hexdigest()
    with urllib.request.urlopen(f"http://{pollen}/?challenge={challenge}", timeout=60) as answer:
        check_equal(len(answer.read().split()), 2, "lines of pollen's answer")
    with socket.create_connection(sealed.split(":"), timeout=60) as stranger:
        stranger.sendall(bytes(200))
        check_equal(stranger.recv(1), b"", "what a stranger is told on the sealed listener")
    daemon.program.signal(signal.SIGTERM)
    check_equal(daemon.program.wait(), 0, "exit status")
    for name in ("ekeyd.egd", "ekeyd.sock"):
        check(stat.S_ISSOCK(os.lstat(run.path(name)).st_mode), f"the service manager's {name} was removed")
    daemon.start()  # a client that came in between would have waited
    daemon.seeded()


@test("passed sockets: one that no line names is told of, and taken by a line that a reload adds; a line that goes and comes back finds its socket")
def reloaded(run):
    passed = sockets(run)
    late = passed.unix("late")
    tcp = "tcp:" + passed.tcp("tcp")
    daemon = Ekeyd(run, f"listen = {tcp}", softkeys=[Softkey(run)], descriptors=passed.descriptors())
    daemon.program.wait_output(rf"no control line names.*address={late}\b")
    daemon.seeded()
    rewrite(daemon, f"listen = {tcp}\n", f"listen = {late}\n")
    with Egd(tcp) as leaves, Egd(late) as waits:
        leaves.read(16)
        reload(daemon)
        check(leaves.closed_within(), "a client of the line that went was left hanging")
        check_equal(len(waits.read(16)), 16, "bytes for one who connected before there was a line")
    rewrite(daemon, f"listen = {late}\n", f"listen = {tcp},max-clients=1\n")
    reload(daemon)
    check(os.path.exists(late[5:]), "the service manager's file was removed with the line")
    with Egd(tcp) as first, Egd(tcp) as second:
        check_equal(len(first.read(16)), 16, "bytes")
        check(second.closed_within(), "the new limit is not kept")
    with daemon.controller() as control:
        try:
            control.command(f'AddListener("{tcp}")')
        except ControlError as error:
            check_contains(str(error), rf"{tcp},max-clients=1 listens there", "the answer")
        else:
            check(False, "two listeners share a passed socket")
    with Egd(tcp) as client:
        check_equal(len(client.read(16)), 16, "bytes after the refusal")


@test("passed sockets: a file that is open to more than the line's mode, user and group is refused with what to change in the socket unit")
def open_to_more(run):
    passed = sockets(run)
    base = f"control = unix:{run.path('c.sock')}\nkeyring = {run.write('k', '')}\n"
    open_to_all = passed.unix("open", 0o666)
    for parameters, says in (("", "SocketMode=0600"), (",mode=0660", "SocketMode=0660"), (",mode=0666,user=nobody", "SocketUser=nobody"),
                             (",mode=0666,group=nogroup", "SocketGroup=nogroup")):
        config = run.write("o.conf", base + f"listen = {open_to_all}{parameters}\n")
        program = run.start("ekeyd", "--config", config, "--foreground", descriptors=passed.descriptors())
        check_equal(program.wait(), 1, f"exit status with {parameters!r}")
        check_contains(program.output(), rf"o\.conf:3: .*open: .*{says}$", f"what it says of {parameters!r}")
        check_equal("the service manager made it with mode 0666" in program.output(), "Mode" in says, f"what it says of {parameters!r}")
    os.chmod(run.path("open"), 0o600)  # less is no fault
    daemon = Ekeyd(run, f"listen = {open_to_all},mode=0666", descriptors=passed.descriptors())
    check(f"{open_to_all},mode=0666" in daemon.listeners(), "the listener is not there")


@test("passed sockets: what is no listening stream socket is closed and told of; what is for another process is not looked at")
def not_listeners(run):
    passed = sockets(run)
    passed.unix("ekeyd.egd")
    ours, theirs = socket.socketpair()
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, datagrams, open(os.devnull, encoding="ascii") as null:
        more = [(theirs.fileno(), "connected"), (datagrams.fileno(), "datagrams"), (null.fileno(), "file")]
        daemon = Ekeyd(run, softkeys=[Softkey(run)], descriptors=passed.descriptors() + more)
        theirs.close()
        ours.settimeout(60)
        check_equal(ours.recv(1), b"", "what the other end of a connection hears")
    for name in ("connected", "datagrams", "file"):
        daemon.program.wait_output(rf"is closed: .*name={name} times=1$")
    daemon.seeded()
    other = run.write("other.conf", f"control = unix:{run.path('c.sock')}\nlisten = {daemon.egd}\nkeyring = {run.path('keyring')}\n")
    # A number in the place of the program is LISTEN_PID's.
    program = run.start("ekeyd", *command("ekeyd", "--config", other, "--foreground"), path="1", descriptors=passed.descriptors())
    check_equal(program.wait(), 1, "exit status")
    check_contains(program.output(), "another program listens there", "what it says")


@test("socket activation: systemd-socket-activate starts ekeyd when the first client comes, who is served")
def systemd(run):
    key = Softkey(run)
    egd, tcp = run.path("egd"), "127.0.0.1:" + str(free_port())
    config = run.write("a.conf", f"listen = unix:{egd},mode=0777\nlisten = tcp:{tcp}\nsource = {key.source}\n"
                                 f"keyring = {key.keyring}\ncontrol = unix:{run.path('c.sock')}\n")
    program = run.start("systemd-socket-activate", "-l", egd, "-l", tcp, *command("ekeyd", "--config", config, "--foreground"),
                        path=need("systemd-socket-activate"))
    program.wait_output(r"Listening on .*as 4")
    check(not os.path.exists(run.path("c.sock")), "it has not waited for a client")
    with Egd(f"unix:{egd}") as client:
        check_equal(len(client.read(64)), 64, "bytes for the client that started it")
        with Egd(f"tcp:{tcp}") as other:
            check_equal(len(other.read(64)), 64, "bytes over TCP")
    program.signal(signal.SIGTERM)
    check_equal(program.wait(), 0, "exit status")
    check(not re.search("no listen and no control", program.output()), "a socket was not recognised")
    check(os.path.exists(egd), "the service manager's file was removed")


if __name__ == "__main__":
    main()
