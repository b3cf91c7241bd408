"""What tests of the pollen listener share: a client, Debian's pollinate, and a daemon that answers both."""
import contextlib
import hashlib
import http.client
import os
import re
import select
import ssl
import time

from clients import free_port
from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, need, peer

FORM = "application/x-www-form-urlencoded"


class Pollen:
    """A pollen listener, ours or Debian's."""

    def __init__(self, port=None, tls=None, host="127.0.0.1"):
        self.port = port or free_port()
        self.host = host
        self.setting = f"listen = pollen:{f'[{host}]' if ':' in host else host}:{self.port}"
        self.tls = tls  # the certificate that it must have, or those above it

    def connect(self):
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=60)
        return http.client.HTTPSConnection(self.host, self.port, timeout=60, context=ssl.create_default_context(cafile=self.tls))

    def ask(self, path="/", method="GET", body=None, content_type=FORM, on=None):
        """Status, headers and body."""
        connection = on or self.connect()
        try:
            connection.request(method, path, body, {"Content-Type": content_type} if body is not None and content_type else {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            if not on:
                connection.close()

    def seed(self, challenge="some challenge", **options):
        """The bytes of one answer, which is as it should be."""
        status, headers, text = self.ask(method="POST", body=f"challenge={challenge.replace(' ', '+')}", **options)
        check_equal(status, 200, f"the status, with {text}")
        check_equal(headers["Content-Type"], "text/plain; charset=utf-8", "the type")
        check_equal(headers["Content-Length"], "258", "the length")
        check_equal(headers["Cache-Control"], "no-store", "who may keep it")
        lines = text.split("\n")
        check_equal((len(lines), lines[2]), (3, ""), "two lines")
        check_equal(lines[0], hashlib.sha512(challenge.encode()).hexdigest(), "the answer to the challenge")
        check(re.fullmatch("[0-9a-f]{128}", lines[1]), f"{lines[1]} is no seed")
        return bytes.fromhex(lines[1])


def start(run, parameters="", *settings, softkeys=None, host="127.0.0.1", **options):
    pollen = Pollen(host=host)
    keys = [Softkey(run)] if softkeys is None else softkeys
    return pollen, Ekeyd(run, pollen.setting + parameters, *settings, softkeys=keys, **options), keys


def counters(ekeyd):
    return next({name: int(value) for name, value in fields.items()} for address, fields in ekeyd.listeners().items()
                if address.startswith("pollen:"))


def when_closed(connections, slow, began):
    """Sends a byte twice a second on those that are slow. How long after `began` the server closed each, by its name."""
    after = {}
    while left := {name: connection for name, connection in connections.items() if name not in after}:
        check(time.monotonic() < began + 60, f"not closed within a minute: {sorted(left)}")
        readable = select.select(list(left.values()), [], [], 0.5)[0]
        for name, connection in left.items():
            with contextlib.suppress(ConnectionError):  # is told by what is read, too
                if connection in slow and connection not in readable:
                    connection.sendall(b"a")
            with contextlib.suppress(ConnectionError):
                if connection not in readable or connection.recv(1000):
                    continue
            after[name] = time.monotonic() - began
    return after


# /var/cache/pollinate, /etc/default and /dev/log are its own while it runs.
ITS_OWN = """set -e
mount -t tmpfs none /var/cache && mkdir /var/cache/pollinate
mount -t tmpfs none /etc/default && cp "$1" /etc/default/pollinate
shift
status=0
"$@" || status=$?
if [ -e /var/cache/pollinate/seeded ]; then echo "its flag is there"; fi
exit $status
"""


def pollinate(run, expect, device, **settings):
    """Runs Debian's pollinate with its own settings, but for those that are given. Returns what it printed."""
    with open(peer("etc/default/pollinate"), encoding="utf-8") as file:
        lines = file.read() + "".join(f'{name}="{value}"\n' for name, value in {"DEVICE": device, **settings}.items())
    return run.run("unshare", "--mount", "sh", "-c", ITS_OWN, "sh", run.write("pollinate.default", lines),
                   peer("usr/bin/pollinate"), "--strict", path=need("unshare"), expect=expect)


def check_pollinated(run, ekeyd, device, output, answers):
    check_contains(output, "its flag is there", "pollinate's own mark of success")
    # A hash of all that curl printed: of the seed, of the times, and so never the same twice.
    check_equal(os.path.getsize(device), 64, "bytes that pollinate wrote to its device")
    check_equal(counters(ekeyd)["bytes"], 64 * answers, "bytes of the pool that were served")
