#!/usr/bin/python3
"""For every fault of the operating system: no bad byte, nobody lost but the guilty, and it recovers by itself.

Each test is one daemon that lives through several faults; each fault is a row of the table that fault_table.py makes.
"""
import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import time

from clients import Connection, ControlError, Egd, connect
from daemons import Softkey
from fault_rig import Rig, record
from harness import check, check_contains, check_equal, cpu_seconds, main, test, wait_until
from system_faults import DEVICE, FILE, HALF, SystemFaults


def size_of(path):
    return os.stat(path).st_size if os.path.exists(path) else 0


def sinks(rig):
    with rig.daemon.controller() as control:
        rows, _ = control.command("ListSinks")
    return "\n".join("\t".join(row) for row in rows)


@test("promise 8: system calls that are interrupted or do half of the work cost nothing and nobody")
def interrupted(run):
    faults = SystemFaults(run)
    rig = Rig(run, f"sink = file:{run.path('out')}", faults=faults)
    calls = ("read", "write", "send", "recv", "accept4", "epoll_wait", "poll")
    with rig.row("every other system call is interrupted (EINTR)", says="nothing") as row:
        for call in calls:
            faults.set(call, errno.EINTR, every=2)
        rig.reader.wait_more(100 * 64)
        rig.bystanders.ask_all()
        with rig.daemon.client() as client:
            client.level()
        for call in calls:
            faults.wait_done(call, 1)
            faults.clear(call)
        row.over()
    with rig.row("reads and writes do half of what was asked", says="nothing") as row:
        for call in ("read", "write", "send", "recv"):
            faults.set(call, HALF)
        rig.reader.wait_more(100 * 64)
        rig.bystanders.ask_all()
        for call in ("read", "write", "send", "recv"):
            faults.wait_done(call, 1)
            faults.clear(call)
        row.over()
    rig.finish("out")


@test("promise 8: the wall clock jumps: no timer waits longer, or less, for that")
def wall_clock(run):
    faults = SystemFaults(run)
    rig = Rig(run, f"sink = file:{run.path('out')}", "silence = 1", faults=faults)
    for words, seconds in (("forward by a year", 31536000), ("back by a year", -31536000)):
        with rig.row(f"the wall clock is set {words}", says="nothing") as row:
            was = size_of(run.path("out"))
            faults.wall_clock(seconds)
            # The sink rests by a timer after each of its blocks.
            row.over(lambda was=was: size_of(run.path("out")) > was + 5 * 64)
        rig.reader.wait_more(100 * 64)
        check("failure=silence" not in rig.daemon.program.output(), "the key was found silent because of the clock")
    rig.finish("out")


def chatter(rig, lines):
    """Makes the daemon log so many different lines."""
    with rig.daemon.controller() as control:
        for _ in range(lines // 2):
            _, words = control.command(f'AddEntropyKey("device:{rig.run.path("chatter")}")')
            control.command(f'RemoveEntropyKey("{words.removeprefix("ID ")}")')


@test("promise 8: a standard error that nobody reads holds up nothing; what was lost is counted when it is read again")
def unread_standard_error(run):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.mkfifo(run.path("chatter"))
    rig = Rig(run, preexec=lambda: os.dup2(writing, 2))
    with rig.row("standard error is a pipe that nobody reads", says="lines of the log were lost lost=N") as row:
        chatter(rig, 400)
        rig.reader.wait_more()
        text = os.read(reading, 65536)
        row.over()
    chatter(rig, 2)
    text += os.read(reading, 65536)
    check_contains(text.decode(), r"(?m)^ekeyd: lines of the log were lost.* lost=[1-9]\d+$", "standard error")
    rig.finish()


@test("promise 8: a system log that takes no more holds up nothing; what was lost is counted; a new one is found")
def full_system_log(run):
    faults = SystemFaults(run)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.settimeout(30)
    log.bind(run.path("log"))
    os.mkfifo(run.path("chatter"))
    # In the background, because only there it writes to the system's log.
    rig = Rig(run, env=faults.env(SYSTEM_FAULTS_LOG=run.path("log")), background=True)
    with rig.row("the system's log takes no more", says="lines of the log were lost lost=N") as row:
        chatter(rig, 2000)  # more than any queue of sockets holds
        rig.reader.wait_more()
        taken = [log.recv(4096).decode()]
        log.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                taken.append(log.recv(4096).decode())
        log.settimeout(30)
        row.over()
    # RFC 3164, 4.1.1: facility 3, system daemons, makes 24 to 31; severity 5 is a notice.
    head = r"\w{3} [ \d]\d \d\d:\d\d:\d\d ekeyd\[\d+\]: "
    for line in taken:
        check_contains(line, f"^<(2[4-9]|3[01])>{head}\\S", "a line of the system's log")
    check_contains("\n".join(taken), f"(?m)^<29>{head}ready version=", "the line of the start")
    chatter(rig, 2)
    check_contains(log.recv(4096).decode(), r"lines of the log were lost.* lost=[1-9]\d+$", "after it was emptied")
    with rig.row("the system's log is started anew", says="nothing") as row:
        log.close()
        os.unlink(run.path("log"))
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.settimeout(30)
        log.bind(run.path("log"))
        chatter(rig, 2)
        check_contains(log.recv(4096).decode(), r"source", "the new log's first line")
        row.over()
    rig.finish()


@test("promise 8: memory that may not be locked, and threads that cannot be made, while it runs: an error for who asked")
def refusals(run):
    faults = SystemFaults(run)
    rig = Rig(run, "source = device:/dev/zero", faults=faults)  # fails its tests: nothing of it is ever served
    asked = {
        "add a key": f'AddEntropyKey("{run.path("other.pty")}")',
        "add a listener": f'AddListener("unix:{run.path("other.egd")}")',
        "add a sink": f'AddSink("file:{run.path("other")}")',
        "read the keyring": f'Keyring("{rig.key.keyring}")',
        "add a device": 'AddEntropyKey("device:/dev/full")',
    }
    other = Softkey(run, name="other", keyring=run.path("other-ring"))
    with rig.row("no memory can be locked (ENOMEM)", says="ERROR cannot lock N bytes of memory ...") as row:
        with faults.on("mlock", errno.ENOMEM), rig.daemon.controller() as control:
            for what, command in asked.items():
                refused = error_of(control, command)
                check_contains(refused, r"cannot lock \d+ bytes .*memlock", f"the answer to: {what}")
            rig.reader.wait_more()
        row.over()
    with rig.row("no thread can be made (EAGAIN)", says="ERROR ... its reader cannot be started: ...") as row:
        with faults.on("pthread_create", errno.EAGAIN), rig.daemon.controller() as control:
            refused = error_of(control, asked["add a device"])
            check_contains(refused, r"/dev/full: its reader cannot be started", "the answer")
            control.command('ResetEntropyKey("2")')
            check_contains(rig.daemon.key(2)["Status"], r"Closed", "the source that lost its thread")
            rig.reader.wait_more()
        row.over(lambda: rig.daemon.key(2)["Status"] != "Closed")
    with rig.daemon.controller() as control:
        for what in ("add a listener", "read the keyring"):
            control.command(asked[what])
    other.program.stop()
    rig.finish()


@test("promise 8: connections that cannot be taken: who is connected is served on, and later ones when it is over")
def refused_connections(run):
    faults = SystemFaults(run)
    rig = Rig(run, faults=faults)

    def answered():
        with rig.daemon.client() as client, rig.daemon.controller() as control:
            client.level()
            return control.keys()

    for error, words, says in (
            (errno.ECONNABORTED, "connections break before they are accepted (ECONNABORTED)", "nothing"),
            (errno.EMFILE, "no descriptors left to the daemon (EMFILE)", "no new clients for a second: ..."),
            (errno.ENFILE, "no descriptors left to the system (ENFILE)", "no new clients for a second: ..."),
            (errno.ENOMEM, "no memory for a connection (ENOMEM)", "no new clients for a second: ...")):
        with rig.row(words, says) as row:
            faults.set("accept4", error)
            with Egd(rig.daemon.egd), Egd(rig.tcp), contextlib.closing(connect(rig.daemon.control)):
                faults.wait_done("accept4", 3)
                rig.reader.wait_more()
                rig.bystanders.ask_all()
                spent = cpu_seconds(rig.daemon.program.pid)
                if error != errno.ECONNABORTED:  # such a connection is gone, and cannot come again and again
                    time.sleep(0.5)  # a span of measuring, not a wait for something
                    check(cpu_seconds(rig.daemon.program.pid) - spent < 0.3, f"{words}: it spins")
                faults.clear("accept4")
                row.over(answered)
    with rig.row("no more sockets can be watched (fs.epoll.max_user_watches)", "clients closed: ...") as row:
        faults.set("epoll_ctl", errno.ENOSPC)
        for address in (rig.daemon.egd, rig.tcp, rig.daemon.control):
            with Connection(address) as late:
                check(late.closed_within(30), f"{address}: a client that nobody watches is left hanging")
        rig.reader.wait_more()
        rig.bystanders.ask_all()
        faults.clear("epoll_ctl")
        row.over(answered)
    with rig.row("no memory for what is sent (ENOBUFS)", "nothing") as row:
        faults.set("send", errno.ENOBUFS, every=2)
        rig.reader.wait_more()
        rig.bystanders.ask_all()
        faults.clear("send")
        row.over(answered)
    rig.finish()


@test("promise 8: a disk that is full: the sink says so and writes again when there is room; no byte is lost or twice")
def full_disk(run):
    faults = SystemFaults(run)
    rig = Rig(run, f"sink = file:{run.path('out')}", faults=faults)
    for error, words in ((errno.ENOSPC, "the disk of a file sink is full (ENOSPC)"),
                         (errno.EIO, "the disk of a file sink fails (EIO)")):
        with rig.row(words, says=f"ListSinks: {os.strerror(error)}") as row:
            faults.set("write", error, kinds=FILE)
            faults.wait_done("write", 1)
            wait_until(lambda error=error: os.strerror(error) in sinks(rig), "the sink's state tells what is wrong")
            rig.reader.wait_more()
            was = size_of(run.path("out"))
            faults.clear("write")
            row.over(lambda was=was: size_of(run.path("out")) >= was + 64)
            wait_until(lambda: "state=ok" in sinks(rig), "the sink's state is ok again")
    rig.finish("out")


@test("promise 8: a kernel that takes no entropy: said, tried again, and nobody else has less for it")
def kernel_fails(run):
    faults = SystemFaults(run)
    rig = Rig(run, "sink = kernel,interval=1,bytes=64,credit=0", faults=faults)
    with rig.row("/dev/random fails (EIO)", says="a push to the kernel failed") as row:
        for call in ("write", "ioctl"):
            faults.set(call, errno.EIO, kinds=DEVICE)
        rig.daemon.program.wait_output(r"a push to the kernel failed reason=.*Input/output error")
        rig.reader.wait_more()
        for call in ("write", "ioctl"):
            faults.clear(call)
        row.over(lambda: "state=ok" in sinks(rig))
    rig.finish(unseen=60)  # one a second


@test("promise 8: a start that the system refuses: one sentence, exit status 1, nothing left behind")
def start_refused(run):
    key = Softkey(run)
    faults = SystemFaults(run)
    config = run.write("refused.conf", f"control = unix:{run.path('c.sock')}\nlisten = unix:{run.path('e.sock')}\n"
                                       f"source = {key.source}\nkeyring = {key.keyring}\n"
                                       f"pidfile = {run.path('pid')}\n")
    cases = (
        ("at the start: little memory may be locked (RLIMIT_MEMLOCK)", "cannot lock N bytes of memory ...",
         r"cannot lock \d+ bytes .*memlock", None, little_locked_memory),
        ("at the start: the pid file's file system is read-only (EROFS)", "the pid file cannot be written: ...",
         r"refused\.conf:5: .*/pid: the pid file cannot be written: Read-only file system", ("open", errno.EROFS), None),
        ("at the start: a socket's file system is read-only (EROFS)", "cannot listen on PATH: ...",
         r"refused\.conf:2: .*e\.sock: Read-only file system", ("bind", errno.EROFS), None),
        ("at the start: no process for the background (EAGAIN)", "cannot go to the background: ...",
         r"cannot go to the background: Resource temporarily unavailable", ("fork", errno.EAGAIN), None),
    )
    for words, says, pattern, fault, preexec in cases:
        with faults.on(*fault) if fault else contextlib.nullcontext():
            foreground = [] if fault and fault[0] == "fork" else ["--foreground"]
            output = run.run("ekeyd", "--config", config, *foreground, expect=1, env=faults.env(), preexec=preexec)
        check_contains(output, pattern, words)
        check(len(output.strip().splitlines()) <= 2, f"more than one clear sentence:\n{output}")
        left = [name for name in ("c.sock", "e.sock", "pid") if os.path.lexists(run.path(name))]
        check_equal(left, [], f"files left behind ({words})")
        record(words, 0, 0, says, "does not start")


def little_locked_memory():
    """RLIMIT_MEMLOCK binds only who lacks CAP_IPC_LOCK, which root has: taken away for good (capabilities(7))."""
    drop_from_bounding_set, ipc_lock = 24, 14  # linux/prctl.h, linux/capability.h
    ctypes.CDLL(None).prctl(drop_from_bounding_set, ipc_lock, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))


@test("promise 8: a stopped dongle is found silent; a daemon that was stopped itself goes on")
def stopped(run):
    rig = Rig(run, "silence = 1")
    with rig.row("the dongle's process is stopped (SIGSTOP)", says="Silent") as row:
        rig.key.program.signal(signal.SIGSTOP)
        wait_until(lambda: rig.daemon.key()["Status"] == "Silent", "the key is found silent")
        rig.bystanders.ask_all()
        rig.key.program.signal(signal.SIGCONT)
        row.over(lambda: rig.daemon.key()["Status"] == "Running OK")
    with rig.row("the daemon is stopped for three seconds (SIGSTOP)", says="nothing") as row:
        rig.daemon.program.signal(signal.SIGSTOP)
        time.sleep(3)  # the fault
        rig.daemon.program.signal(signal.SIGCONT)
        row.over(lambda: rig.daemon.key()["Status"] == "Running OK")
    rig.finish()


@test("promise 5: clients that never read, and those that send garbage, cost themselves")
def bad_clients(run):
    rig = Rig(run)
    with rig.row("a control client asks on and never reads", says="nothing; it waits") as row:
        with Connection(rig.daemon.control) as bad:
            fill(bad, b"Help\n" * 1000)
            rig.reader.wait_more()
            rig.bystanders.ask_all()
            check(rig.daemon.memory() < 12288, f"{rig.daemon.memory()} kB resident")
        row.over()
    with rig.row("an EGD client asks on and never reads", says="nothing; it waits") as row:
        with Connection(rig.tcp) as bad:
            fill(bad, b"\x00" * 4096)
            rig.reader.wait_more()
            rig.bystanders.ask_all()
        row.over()
    with rig.row("EGD and control clients send garbage", says="clients closed: what they sent is no EGD") as row:
        for address in (rig.daemon.egd, rig.tcp):
            with Connection(address) as bad:
                bad.send(b"\xff" * 300)
                check(bad.closed_within(30), f"{address} keeps a client that sends garbage")
        with Connection(rig.daemon.control) as bad:
            bad.send(b"\x00\xff\n")
            check_contains(bad.receive(40).decode(), "ERROR", "the answer to garbage")
        row.over()
    rig.daemon.program.wait_output("what they sent is no EGD")
    rig.finish()


def fill(bad, asked):
    """Sends until the daemon takes no more."""
    bad.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bad.socket.settimeout(1)
    with contextlib.suppress(socket.timeout):
        for _ in range(4000):
            bad.socket.send(asked)


def error_of(control, command):
    try:
        control.command(command)
    except ControlError as error:
        return str(error)
    return "OK"


if __name__ == "__main__":
    main()
