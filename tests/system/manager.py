"""A service manager as ekeyd sees one: sockets that it passes (sd_listen_fds(3)), a socket for what it is told, and a store
of descriptors (sd_notify(3), systemd.service(5): FileDescriptorStoreMax=)."""
import array
import os
import re
import select
import signal
import socket
import threading
import time

from harness import DEADLINE, Failure, check_equal

SO_COOKIE = 57  # asm-generic/socket.h


class Manager:
    def __init__(self, run, store=1024, sockets=()):
        """`store`: descriptors that it stores, and says so; 0: none, and nothing is said. `sockets` are passed at each start,
        pairs of a descriptor and a name."""
        self.most = store
        self.sockets = list(sockets)
        self.said = []
        self.stored = []  # name, socket or file, as descriptors
        self._path = run.path("notify")
        self._changed = threading.Condition()
        self._reads = threading.Event()
        self._reads.set()
        self._barrier = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self._path)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        run.ends_with(self)

    def env(self):
        return dict(os.environ, NOTIFY_SOCKET=self._path, **{"FDSTORE": str(self.most)} if self.most else {})

    def _listen(self):
        while True:
            self._reads.wait()
            text, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(253 * 4), socket.MSG_CMSG_CLOEXEC)
            descriptors = array.array("i")
            for level, kind, data in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(data[:len(data) - len(data) % descriptors.itemsize])
            with self._changed:
                if not self._take(text.decode(), list(descriptors)):  # it is stopped
                    return
                self._changed.notify_all()

    def _take(self, text, descriptors):
        fields = dict(line.split("=", 1) for line in text.split("\n"))
        name = fields.get("FDNAME", "stored")
        if "TEST" in fields:
            self._barrier = int(fields["TEST"])
            return self._barrier > 0
        self.said.append(text)
        if "FDSTOREREMOVE" in fields:
            for fd in [fd for fd, its in self.stored if its == name]:
                os.close(fd)
            self.stored = [(fd, its) for fd, its in self.stored if its != name]
        for fd in descriptors:
            if fields.get("FDSTORE") == "1" and len(self.stored) < self.most:
                self.stored.append((fd, name))
            else:
                os.close(fd)
        return True

    def hear_all(self):
        """Waits until what it was told before this has been read."""
        with self._changed:
            number = self._barrier + 1
            self._tell(number)
            if not self._changed.wait_for(lambda: self._barrier >= number, DEADLINE):
                raise Failure("the manager does not read what it is told")

    def _tell(self, number):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.sendto(f"TEST={number}".encode(), self._path)

    def hear(self, pattern):
        """Waits until it was told something that matches."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(re.search(pattern, text) for text in self.said), DEADLINE):
                raise Failure(f"the manager was never told {pattern!r}, but {self.said}")

    def deaf(self):
        """From here on it reads nothing, and its queue is full."""
        self._reads.clear()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.connect(self._path)
            teller.setblocking(False)
            full = 0
            while full < 2:  # the thread takes one more
                try:
                    teller.send(b"X=1")
                    full = 0
                except BlockingIOError:
                    full += 1
                    time.sleep(0.05)

    def hears(self):
        """Again, and has read what it was told meanwhile."""
        self._reads.set()
        self.hear_all()

    def names(self):
        return [name for _, name in self.stored]

    def descriptors(self):
        """What the next process gets. Descriptors of connections that have ended are dropped, as FDPOLL=1 says."""
        poll = select.poll()
        for fd, _ in self.stored:
            poll.register(fd, 0)
        gone = {fd for fd, events in poll.poll(0) if events & (select.POLLHUP | select.POLLERR)}
        for fd in gone:
            os.close(fd)
        self.stored = [(fd, name) for fd, name in self.stored if fd not in gone]
        return self.sockets + self.stored

    def stop_daemon(self, daemon):
        """Ends it as `systemctl restart` does; returns how long it took."""
        began = time.monotonic()
        daemon.program.signal(signal.SIGTERM)
        check_equal(daemon.program.wait(), 0, "exit status")
        took = time.monotonic() - began
        self.hear_all()
        return took

    def start_daemon(self, daemon):
        daemon.descriptors = self.descriptors()
        self.said.clear()
        daemon.start()
        self.hear("^READY=1")

    def restart(self, daemon):
        self.stop_daemon(daemon)
        self.start_daemon(daemon)

    def drop(self):
        """The store is lost, as when the service is stopped."""
        for fd, _ in self.stored:
            os.close(fd)
        self.stored = []

    def stop(self):
        self._reads.set()
        if os.path.exists(self._path):
            self._tell(0)
            self._thread.join(5)
        self.drop()
        self.socket.close()
