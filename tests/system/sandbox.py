#!/usr/bin/python3
"""The sandbox: that it is on in every thread, what it leaves, and that it can be left out. That its list of system calls is
whole is shown by all other tests: they run with `--sandbox strict`."""
import os
import pwd
import tempfile

from clients import ControlError
from daemons import Ekeyd, Softkey
from harness import Skip, check, check_contains, check_equal, main, program, sanitized, test, wait_until


def sandboxed():
    if sanitized():
        raise Skip("built with sanitizers, which need what the sandbox refuses")


def fields(pid, task="self"):
    folder = f"/proc/{pid}/task/{task}" if task != "self" else f"/proc/{pid}"
    with open(f"{folder}/status", encoding="ascii") as lines:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def of_all_threads(pid, *names):
    return {tuple(fields(pid, task)[name] for name in names) for task in os.listdir(f"/proc/{pid}/task")}


def with_threads(run, name, *arguments, **options):
    """ekeyd, which reads a device in a thread that began before the filter."""
    daemon = Ekeyd(run, "source = device:/dev/urandom", name=name, arguments=arguments, **options)
    daemon.seeded()
    check(len(os.listdir(f"/proc/{daemon.program.pid}/task")) > 1, "there is one thread: the test shows little")
    return daemon


@test("sandbox: by default every thread of ekeyd has a filter of system calls and no new privileges; with no, neither")
def filtered(run):
    sandboxed()
    ours = fields("self")
    for word in ("yes", "strict", "no"):
        settings = [] if word == "yes" else ["--sandbox", word]
        # A path, and the harness adds no option of its own.
        daemon = with_threads(run, word, *settings, path=program("ekeyd"))
        expected = (ours["Seccomp"], ours["NoNewPrivs"]) if word == "no" else ("2", "1")
        check_equal(of_all_threads(daemon.program.pid, "Seccomp", "NoNewPrivs"), {expected}, f"sandbox {word}")
        daemon.program.wait_output("the sandbox is off" if word == "no" else "sandbox.*system_calls=filtered")


@test("sandbox: egd-push has the filter, and no new privileges")
def push_filtered(run):
    sandboxed()
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    push = run.start("egd-push", "--from", daemon.egd, "--to", f"file:{run.path('out')}", "--sandbox", "yes")
    wait_until(lambda: os.path.exists(run.path("out")), "a push")
    check_equal((fields(push.pid)["Seccomp"], fields(push.pid)["NoNewPrivs"]), ("2", "1"), "Seccomp and NoNewPrivs")


def needs_landlock(daemon):
    said = daemon.program.wait_output("sandbox.*files=.*").group(0)
    if "Landlock: not in this kernel" in said:
        raise Skip("this kernel has no Landlock; the virtual machine's has")
    check_contains(said, "Landlock, version", "the log")


def refused(control, command):
    try:
        control.command(command)
    except ControlError as error:
        check_contains(str(error), "Permission denied", "the reason")
        return True
    return False


@test("sandbox: ekeydctl adds what lies in folders that the configuration names, or below /dev, and nothing elsewhere")
def files(run):
    sandboxed()
    key = Softkey(run)
    with tempfile.TemporaryDirectory(prefix="ekeyd-test-") as other:
        try_files(run, key, other)


def try_files(run, key, other):
    os.mkfifo(os.path.join(other, "fifo"))
    for path in (os.path.join(other, "keyring"), run.path("keyring.new")):
        with open(path, "w", encoding="ascii") as file, open(key.keyring, encoding="ascii") as old:
            file.write(old.read())
    for word in ("yes", "no"):
        daemon = Ekeyd(run, name=word, softkeys=[key] if word == "yes" else [], keyring=key.keyring,
                       arguments=["--sandbox", word])
        if word == "yes":
            needs_landlock(daemon)
            daemon.seeded()
        with daemon.controller() as control:
            control.command(f'Keyring("{run.path("keyring.new")}")')
            control.command('AddEntropyKey("device:/dev/urandom")')
            control.command(f'AddListener("unix:{run.path("later.sock")}")')
            control.command(f'RemoveListener("unix:{run.path("later.sock")}")')
            for command in (f'Keyring("{other}/keyring")', f'AddEntropyKey("device:{other}/fifo")',
                            f'AddListener("unix:{other}/later.sock")', f'AddSink("file:{other}/out")'):
                check_equal(refused(control, command), word == "yes", f"{command} is refused with sandbox {word}")


@test("user: ekeyd opens its sockets as root, then is that user, without capabilities, and serves, also from a source that is added then")
def dropped(run):
    if os.getuid() != 0:
        raise Skip("only root can become another user")
    nobody = pwd.getpwnam("nobody")
    # Its folder is one that the user can enter, its socket one that he could not have made.
    os.chmod(run.folder, 0o711)
    first = Softkey(run)
    daemon = Ekeyd(run, "user = nobody", softkeys=[first])
    daemon.seeded()
    status = fields(daemon.program.pid)
    check_equal(status["Uid"].split(), [str(nobody.pw_uid)] * 4, "its user ids")
    check_equal(status["Gid"].split(), [str(nobody.pw_gid)] * 4, "its group ids")
    check_equal(set(status["Groups"].split()) - {str(nobody.pw_gid)}, set(), "its other groups")
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        check_equal(int(status[name], 16), 0, name)
    check_equal(status["NoNewPrivs"], "1", "NoNewPrivs")
    with daemon.controller() as control:
        control.command('AddEntropyKey("device:/dev/urandom")')
    daemon.seeded(2048)


if __name__ == "__main__":
    main()
