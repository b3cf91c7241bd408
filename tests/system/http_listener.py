#!/usr/bin/env python3
"""listen = http: what it tells, to whom, and that nobody can disturb others by it."""
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import time

from clients import Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, check, check_contains, check_equal, main, test, wait_until


class Http:
    """A daemon's HTTP listener."""

    def __init__(self, port):
        self.port = port
        self.setting = f"listen = http:127.0.0.1:{port}"

    def ask(self, path, method="GET"):
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """Every sample: "name{labels}" and its value."""
        status, headers, body = self.ask("/metrics")
        check_equal(status, 200, "the status of /metrics")
        check_equal(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "its type")
        lines = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
        samples = {name: float(value) for name, _, value in lines}
        check_equal(len(samples), len(lines), "the number of samples, each with labels of its own")
        return samples

    def value(self, pattern):
        """The one sample whose name and labels match."""
        found = [value for name, value in self.metrics().items() if re.search(pattern, name)]
        check(len(found) == 1, f"{len(found)} samples match {pattern}")
        return found[0]


def promtool():
    """Debian's, as tests/run unpacks it; or an installed one."""
    unpacked = os.path.join(os.environ.get("EKEYD_PEERS", ""), "usr/bin/promtool")
    path = unpacked if os.path.exists(unpacked) else shutil.which("promtool")
    check(path, "promtool is missing: tests/run unpacks Debian's package prometheus")
    return path


def check_with_promtool(*arguments, text=None):
    checked = subprocess.run([promtool(), "check", *arguments], input=text, text=True, capture_output=True, timeout=60)
    # It tells what it does not like on standard error and ends with 0 or 3.
    check(checked.returncode == 0 and not checked.stderr.strip(),
          f"promtool check {arguments[0]}: status {checked.returncode}, {checked.stdout}{checked.stderr}")


def start(run, *settings, softkeys=None, **options):
    http_listener = Http(free_port())
    keys = [Softkey(run)] if softkeys is None else softkeys
    return http_listener, Ekeyd(run, http_listener.setting, *settings, softkeys=keys, **options), keys


@test("http: metrics pass promtool and tell what clients, sources, sinks and the kernel do")
def metrics(run):
    tcp = free_port()
    web, ekeyd, _ = start(run, f"listen = tcp:127.0.0.1:{tcp}", f"sink = file:{run.path('out')}",
                          "source = tty:/dev/absent,min-entropy=1")
    ekeyd.seeded(64)
    with Egd(f"tcp:127.0.0.1:{tcp}") as client:
        client.read(100)
        client.level()
        figures = web.metrics()
    check_equal(figures[f'ekeyd_listener_out_bytes_total{{listener="tcp:127.0.0.1:{tcp}"}}'], 100, "bytes served")
    check_equal(figures[f'ekeyd_listener_requests_total{{listener="tcp:127.0.0.1:{tcp}"}}'], 2, "requests")
    check_equal(figures[f'ekeyd_listener_clients{{listener="tcp:127.0.0.1:{tcp}"}}'], 1, "clients")
    check_equal(figures["ekeyd_seeded"], 1, "seeded")
    wait_until(lambda: web.value("ekeyd_source_temperature_celsius") > 0, "the key reports its temperature")
    wait_until(lambda: web.value("ekeyd_source_shannon_entropy.*left.*raw") > 0, "and its estimates")
    figures = web.metrics()
    check_equal(figures['ekeyd_source_up{source="2",address="tty:/dev/absent,min-entropy=1"}'], 0, "an absent source")
    check(any(re.search('ekeyd_source_session.*source="1".*running', name) and value == 1
              for name, value in figures.items()), "the session runs")
    with open("/proc/sys/kernel/random/poolsize", encoding="ascii") as file:
        check_equal(figures["ekeyd_kernel_pool_size"], float(file.read()), "the kernel's pool")
    check_with_promtool("metrics", text=web.ask("/metrics")[2])


@test("http: waits of blocking reads are counted, as long as they were, and only those that waited")
def waits(run):
    fifo = run.path("noise")
    os.mkfifo(fifo)
    web, ekeyd, _ = start(run, f"source = device:{fifo}", softkeys=[])
    with ekeyd.client() as client, open(fifo, "r+b", buffering=0) as noise:
        asked = time.monotonic()
        client.ask(16)
        wait_until(lambda: web.value("ekeyd_listener_waiting.*unix") == 1, "the client waits")
        seen = time.monotonic()
        check_equal(web.value("ekeyd_listener_wait_seconds_count.*unix"), 0, "waits that are over")
        time.sleep(0.3)  # what is measured
        given = time.monotonic()
        noise.write(hashlib.shake_256(b"noise that passes its tests").digest(5000))
        client.receive(16)
        got = time.monotonic()
        client.read(16)  # is there at once
    figures = web.metrics()
    listener = f'listener="{ekeyd.egd}"'
    check_equal(figures[f"ekeyd_listener_wait_seconds_count{{{listener}}}"], 1, "waits")
    waited = figures[f"ekeyd_listener_wait_seconds_sum{{{listener}}}"]
    check(given - seen - 0.01 < waited < got - asked + 0.01,
          f"told {waited} s, which should be from {given - seen} to {got - asked}")
    bounds = {float(bound): value for name, value in figures.items()
              if listener in name for bound in re.findall('le="(.*)"', name)}
    for bound, value in bounds.items():
        check_equal(value, waited <= bound, f"the waits up to {bound} s")


@test("http: readyz answers 200 only when seeded and with a healthy source, and says why not")
def ready(run):
    key = Softkey(run)
    web, ekeyd, _ = start(run, softkeys=[key])
    check_equal(web.ask("/healthz")[0], 200, "healthz")
    ekeyd.seeded(64)
    wait_until(lambda: web.ask("/readyz")[0] == 200, "it is ready")
    key.program.stop()
    status, _, body = wait_until(lambda: (lambda answer: answer if answer[0] != 200 else None)(web.ask("/readyz")),
                                 "it is no longer ready", 60)
    check_equal(status, 503, "readyz without a source")
    check_contains(body, "no source is healthy", "the reason")
    check_equal(web.ask("/healthz")[0], 200, "healthz without a source")


@test("http: only GET and HEAD are answered, and only what is there")
def methods(run):
    web, _, _ = start(run, softkeys=[])
    check_contains(web.ask("/readyz")[2], "there is no source", "readyz")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
        status, headers, _ = web.ask("/metrics", method)
        check_equal((status, headers.get("Allow")), (405, "GET, HEAD"), method)
    status, headers, body = web.ask("/metrics", "HEAD")
    check_equal((status, body), (200, ""), "HEAD")
    check(int(headers["Content-Length"]) > 1000, "HEAD tells the length")
    for path in ("/nothing", "//metrics", "/metrics/", "/../etc/passwd", "/%00"):
        check_equal(web.ask(path)[0], 404, path)
    check_equal(web.ask("/metrics?x=1")[0], 200, "a query is not looked at")


@test("http: an address that others can reach needs allow=, and who is not named there is sent away")
def addresses(run):
    out = run.run("ekeyd", "--check-config", "--config", "/dev/null", "--listen", "http:0.0.0.0:8890", expect=2)
    check_contains(out, "needs allow=NETWORK", "the message")
    port = free_port()
    Ekeyd(run, f"listen = http:0.0.0.0:{port},allow=192.0.2.0/24")
    try:
        Http(port).ask("/metrics")
        raise Failure("answered to one who is not allowed")
    except (http.client.HTTPException, OSError):
        pass


if __name__ == "__main__":
    main()
