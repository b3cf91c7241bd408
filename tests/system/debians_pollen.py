"""Debian's pollen, which ekeyd's listener of that name stands in for."""
import socket
import threading

from clients import free_port
from daemons import answers
from harness import need, peer, wait_until


class SystemLog:
    """What pollen does not start without. It is in a file system that only pollen sees, and forgets what it is told."""

    WITHIN = 'mount -t tmpfs none /run && ln -s "$1" /run/log && shift && exec "$@"'

    def __init__(self, run):
        self.path = run.path("system-log")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            self._socket.recv(65536)

    def start(self, run, program, *arguments):
        return run.start("unshare", "--mount", "sh", "-c", self.WITHIN, "sh", self.path, program, *arguments, path=need("unshare"))


def certificate(run, name, *kind):
    """A certificate for localhost and 127.0.0.1 that its own key has signed, and the key. `kind` is that of the key."""
    kind = kind or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    run.run("openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "1", "-keyout", run.path(name + ".key"),
            "-out", run.path(name + ".pem"), path=need("openssl"))
    return run.path(name + ".pem"), run.path(name + ".key")


def debians_pollen(run):
    """A running one; returns its addresses, in clear and over TLS."""
    http, https = free_port(), free_port()
    cert, key = certificate(run, "debian")
    SystemLog(run).start(run, peer("usr/bin/pollen"), "-http-port", http, "-https-port", https, "-cert", cert, "-key", key,
                         "-device", "/dev/urandom")
    wait_until(lambda: answers(f"tcp:127.0.0.1:{http}"), "pollen answers")
    return f"http://127.0.0.1:{http}/", f"https://127.0.0.1:{https}/"
