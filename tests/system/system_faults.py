"""Makes chosen system calls of a program fail (tests/support/system_faults.cpp, preloaded).

    faults = SystemFaults(run)
    daemon = Ekeyd(run, env=faults.env())
    with faults.on("accept4", errno.EMFILE):
        ...
"""
import contextlib
import mmap
import os
import struct

from harness import build_folder, check, wait_until

# The order is that of the enum Call in system_faults.cpp.
CALLS = ("read", "write", "send", "recv", "accept4", "epoll_wait", "epoll_ctl", "mlock", "open", "ioctl",
         "pthread_create", "poll", "bind", "fork")
HALF = -1  # in place of an errno: the call handles half of the bytes only
FILE, FIFO, SOCKET, DEVICE = 1, 2, 4, 8

_RULE = struct.Struct("=qqqqq")  # error, every, kinds, seen, done
_CLOCK = len(CALLS) * _RULE.size


class SystemFaults:
    def __init__(self, run, name="system-faults"):
        self.path = run.path(name)
        with open(self.path, "wb") as file:
            file.truncate(_CLOCK + 8)
        with open(self.path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        for call in CALLS:
            self.clear(call)

    def env(self, **more):
        library = os.path.join(build_folder(), "tests", "support", "libsystem-faults.so")
        check(os.path.exists(library), f"{library} is not built")
        # Of a build with sanitizers: the library that asks to be first is not.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return dict(os.environ, LD_PRELOAD=library, SYSTEM_FAULTS=self.path, ASAN_OPTIONS=asan, **more)

    def _put(self, call, *rule):
        _RULE.pack_into(self._memory, CALLS.index(call) * _RULE.size, *rule)

    def set(self, call, error, every=1, kinds=FILE | FIFO | SOCKET | DEVICE):
        """Each `every`th call fails with `error` from now on, when its descriptor is one of `kinds`."""
        self._put(call, 0, every, kinds, 0, 0)
        self._put(call, error, every, kinds, 0, 0)

    def clear(self, call):
        self._put(call, 0, 1, 0, 0, 0)

    def done(self, call):
        """How many calls have failed since set()."""
        return _RULE.unpack_from(self._memory, CALLS.index(call) * _RULE.size)[4]

    def seen(self, call):
        """How many calls there were since set()."""
        return _RULE.unpack_from(self._memory, CALLS.index(call) * _RULE.size)[3]

    def wait_done(self, call, count):
        wait_until(lambda: self.done(call) >= count, f"{count} calls of {call} that fail; {self.done(call)} did")

    @contextlib.contextmanager
    def on(self, call, error, every=1, kinds=FILE | FIFO | SOCKET | DEVICE):
        self.set(call, error, every, kinds)
        yield
        self.clear(call)

    def wall_clock(self, seconds):
        """The wall clock is so much ahead of the true one from now on."""
        struct.pack_into("=q", self._memory, _CLOCK, int(seconds * 1e9))
