"""What the system tests share: they start the real programs and talk to them from outside.

A test is a function decorated with @test("what it shows"); it is handed a Run, which owns a private folder and
every program started in it. `harness.main()` at the end of a file runs one test or all of its file:

    hostile_clients.py            every test of the file
    hostile_clients.py NAME       one of them
    hostile_clients.py --list     names and what they show, for meson

Waiting is for an event and has a deadline; nothing sleeps for a guessed time. When a test fails, the logs of all
of its programs are printed. Standard library only.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# Programs with a sandbox. Here a system call that it refuses ends them, so that all tests show that its list is whole.
CONFINED = ("ekeyd", "egd-push")

SKIPPED = 77  # meson's exit status for a test that cannot run here

# Generous, because a machine that is loaded, or stands still for half a minute, is no defect; what must be quick is
# measured by the test itself.
DEADLINE = 60.0


class Failure(Exception):
    """The test has failed; the message is for a person."""


class Skip(Exception):
    """The machine lacks what the test needs."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def check_equal(got, expected, what):
    if got != expected:
        raise Failure(f"{what}: expected {expected!r}, got {got!r}")


def check_contains(text, pattern, what):
    if not re.search(pattern, text):
        raise Failure(f"{what}: nothing matches {pattern!r} in:\n{text}")
    return text


def wait_until(condition, what, seconds=DEADLINE, interval=0.02):
    """Asks `condition` until it gives something true, and returns that. For what offers no event to wait for."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {seconds:g} s in vain: {what}")
        time.sleep(interval)


# ---------------------------------------------------------------- where the programs are

def build_folder():
    folder = os.environ.get("EKEYD_BUILD")
    if not folder:
        raise Failure("EKEYD_BUILD must name the build folder")
    return folder


def source_folder():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def program(name):
    folders = {"ekeyd": "ekeyd", "ekeydctl": "ekeyd", "ekey-rekey": "ekeyd", "egd-push": "egd-push",
               "softkey": "tests/softkey"}
    path = os.path.join(build_folder(), folders[name], name)
    check(os.access(path, os.X_OK), f"{path} is not built")
    return path


def build_option(name):
    with open(os.path.join(build_folder(), "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
        return next(option["value"] for option in json.load(file) if option["name"] == name)


def confined(name, arguments):
    """The arguments, and --sandbox if the test does not say itself what it is to be. Sanitizers trace, start processes and
    read files where they like: they stay without."""
    if name not in CONFINED or any(a.startswith("--sandbox") for a in map(str, arguments)):
        return arguments
    return ("--sandbox", "no" if sanitized() else "strict", *arguments)


def command(name, *arguments):
    """What start() would start, for tests that start it themselves."""
    return [program(name), *confined(name, arguments)]


def sanitized():
    """Whether the programs are built with sanitizers, which have memory of their own and lock none."""
    return build_option("b_sanitize") != "none"


def peer(path):
    """A file of Debian's old packages. Missing is a failure, because what is not tried is not shown."""
    root = os.environ.get("EKEYD_PEERS")
    check(root, "EKEYD_PEERS must name the folder where Debian's ekeyd and ekeyd-egd-linux are unpacked "
                "(tests/run does that)")
    full = os.path.join(root, path)
    check(os.path.exists(full), f"{full} is missing: unpack Debian's packages there (tests/run does that)")
    return full


def need(tool):
    path = shutil.which(tool)
    check(path, f"{tool} is not installed (tests/run installs it)")
    return path


# ---------------------------------------------------------------- programs

class Program:
    """A started program. Its standard output and error are kept as they come, and can be waited for. `descriptors` are
    passed to it as a service manager does: pairs of a descriptor and its name. With `journal`, it is told that its output
    is the journal's."""

    def __init__(self, name, arguments, env=None, stdin=subprocess.DEVNULL, folder=None, preexec=None, descriptors=(), journal=False):
        self.name = name
        self.arguments = [str(a) for a in arguments]
        self._output = bytearray()
        self._arrivals = []  # how much there was, and when
        self._changed = threading.Condition()
        numbers = [fd for fd, _ in descriptors]
        passing = [sys.executable, "-SE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "pass_descriptors.py"),
                   ",".join(map(str, numbers)), ":".join(name for _, name in descriptors)] if numbers else []
        self._reading, writing = os.pipe()
        if journal:  # systemd.exec(5)
            about = os.fstat(writing)
            env = dict(env or os.environ, JOURNAL_STREAM=f"{about.st_dev}:{about.st_ino}")
        try:
            self._process = subprocess.Popen(passing + self.arguments, stdin=stdin, stdout=writing, pass_fds=numbers,
                                             stderr=subprocess.STDOUT, env=env, cwd=folder, preexec_fn=preexec)
        except BaseException:
            os.close(self._reading)
            raise
        finally:
            os.close(writing)
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def _read(self):
        while chunk := os.read(self._reading, 65536):
            with self._changed:
                self._output += chunk
                self._arrivals.append((len(self._output), time.monotonic()))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self):
        return self._process.pid

    @property
    def stdin(self):
        return self._process.stdin

    def output(self):
        with self._changed:
            return self._output.decode(errors="replace")

    def output_bytes(self):
        with self._changed:
            return bytes(self._output)

    def running(self):
        return self._process.poll() is None

    def wait_output(self, pattern, seconds=DEADLINE):
        """Waits until the output matches, and returns the match."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                found = re.search(pattern, self._output.decode(errors="replace"), re.MULTILINE)
                if found:
                    return found
                left = end - time.monotonic()
                if left <= 0 or not self._pump.is_alive():
                    raise Failure(f"{self.name}: its output never matched {pattern!r}")
                self._changed.wait(min(left, 0.5))

    def when(self, match):
        """The time at which a match of wait_output() was complete."""
        with self._changed:
            end = len(self._output.decode(errors="replace")[:match.end()].encode())
            return next(at for size, at in self._arrivals if size >= end)

    def wait(self, seconds=DEADLINE):
        """Waits for its end, and returns the exit status (negative: the signal)."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {seconds:g} s") from None
        self._pump.join(5)
        return status

    def signal(self, number):
        self._process.send_signal(number)

    def refused(self):
        """Whether the sandbox has ended it."""
        return self._process.returncode == -signal.SIGSYS or "sandbox: system call number" in self.output()

    def stop(self):
        """Ends it, the hard way if it must be. Says nothing: the test that cares looks at wait()."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._pump.join(5)
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._reading is not None:
            os.close(self._reading)
            self._reading = None

    def status(self, field):
        """A field of /proc/PID/status, as text without its unit: VmRSS in kB."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key == field:
                    return value.split()[0]
        raise Failure(f"/proc/{self.pid}/status has no {field}")


def cpu_seconds(pid):
    """What a process has used of a processor until now."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run:
    """One test's folder and programs."""

    def __init__(self):
        # Short, because a Unix socket's path may have 107 characters.
        self.folder = tempfile.mkdtemp(prefix="ekeyd-test-")
        self.programs = []
        self.others = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def start(self, name, *arguments, path=None, **options):
        if path is None:
            arguments = confined(name, arguments)
        started = Program(name, [path or program(name), *arguments], **options)
        self.programs.append(started)
        return started

    def run(self, name, *arguments, path=None, expect=0, seconds=DEADLINE, **options):
        """Runs a program to its end and returns its output; `expect` None takes any exit status."""
        started = self.start(name, *arguments, path=path, **options)
        status = started.wait(seconds)
        if expect is not None:
            check_equal(status, expect, f"exit status of {' '.join(started.arguments)}\n{started.output()}\n")
        return started.output()

    def ends_with(self, other):
        """Has other.stop() called when the test ends; returns `other`."""
        self.others.append(other)
        return other

    def close(self, failed):
        """Ends all programs, and returns what is to be said against how they ended."""
        for other in self.others:
            other.stop()
        for started in reversed(self.programs):
            started.stop()
        refused = [started.name for started in self.programs if started.refused()]
        if failed or refused:
            for started in self.programs:
                print(f"--- {' '.join(started.arguments)} (status {started._process.returncode})")
                print(started.output()[-6000:])
        shutil.rmtree(self.folder, ignore_errors=True)
        return f"the sandbox ended {', '.join(refused)} for a system call that is not on its list" if refused else ""


# ---------------------------------------------------------------- running tests

_tests = {}


def test(title):
    def add(function):
        _tests[function.__name__] = (title, function)
        return function
    return add


def _run_one(name):
    title, function = _tests[name]
    run = Run()
    began = time.monotonic()
    outcome, reason = "ok", ""
    try:
        function(run)
    except Skip as skip:
        outcome, reason = "skipped", str(skip)
    except Failure as failure:
        where = traceback.extract_tb(failure.__traceback__)
        lines = [f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in where[1:]]
        outcome, reason = "FAILED", f"{failure}\n  at {' -> '.join(lines)}"
    except Exception:  # the test's own mistake, or a program that broke a connection
        outcome, reason = "FAILED", traceback.format_exc()
    finally:
        if refused := run.close(outcome == "FAILED"):
            outcome, reason = "FAILED", f"{refused}\n  {reason}"
    print(f"{outcome}: {title} ({time.monotonic() - began:.1f} s)", flush=True)
    if reason:
        print(f"  {reason}", flush=True)
    return outcome


def main():
    if sys.argv[1:] == ["--list"]:
        for name, (title, _) in _tests.items():
            print(f"{name}\t{title.replace(':', ' -')}")  # meson allows no colon in a name
        return
    # A test that hangs is stopped by meson; its programs must not outlive it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcomes = [_run_one(name) for name in (sys.argv[1:] or list(_tests))]
    if "FAILED" in outcomes:
        sys.exit(1)
    if set(outcomes) == {"skipped"}:
        sys.exit(SKIPPED)
