#!/usr/bin/python3
"""listen = http: what it tells, to whom, and that nobody can disturb others by it."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import time

from clients import Egd, connect, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, check, check_contains, check_equal, main, source_folder, test, wait_until
from web import Http, start


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
    for path in ("/nothing", "//metrics", "/metrics/", "/../etc/passwd", "/%2e%2e/etc"):
        check_equal(web.ask(path)[0], 404, path)
    check_equal(web.ask("/metrics?x=1")[0], 200, "a query is not looked at")


@test("http: an address that others can reach needs allow=, and who is not named there is sent away")
def addresses(run):
    out = run.run("ekeyd", "--check-config", "--config", "/dev/null", "--listen", "http:0.0.0.0:8890", expect=2)
    check_contains(out, "needs allow=NETWORK", "the message")
    port = free_port()
    ekeyd = Ekeyd(run, f"listen = http:0.0.0.0:{port},allow=192.0.2.0/24")
    try:
        Http(port).ask("/metrics")
        raise Failure("answered to one who is not allowed")
    except (http.client.HTTPException, OSError):
        pass
    counted = next(fields for address, fields in ekeyd.listeners().items() if address.startswith("http:"))
    check_equal((counted["refused"], counted["denied"]), ("1", "1"), "who was refused, and by a rule")
    ekeyd.program.wait_output("clients refused: the listener's rules do not admit them listener=.*http:.*address=127.0.0.1 times=1")


@test("http: garbage, endless headers and absurd lengths are counted as errors; a missing page and a mere connection are not")
def errors(run):
    web, _, _ = start(run, softkeys=[])
    def counted():
        return web.value("ekeyd_listener_errors_total.*http")
    web.ask("/nothing")
    web.ask("/metrics", "DELETE")
    connect(f"tcp:127.0.0.1:{web.port}").close()
    check_equal(counted(), 0, "errors")
    for number, rubbish in enumerate((b"\x00\xff\x01 garbage\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * 20000,
                                      b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"), 1):
        with connect(f"tcp:127.0.0.1:{web.port}") as client:
            client.sendall(rubbish)
            wait_until(lambda: counted() == number, f"it is counted: {rubbish[:20]}")


@test("http: only names of this host are answered, so that no other site's page reads it; with allow= every name is")
def hosts(run):
    port, open_port = free_port(), free_port()
    Ekeyd(run, f"listen = http:127.0.0.1:{port}", f"listen = http:127.0.0.1:{open_port},allow=127.0.0.0/8")

    def status(where, host):
        connection = http.client.HTTPConnection("127.0.0.1", where, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest("GET", "/metrics", skip_host=True)
            for value in [host] if host is not None else []:
                connection.putheader("Host", value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
    for host in ("localhost", f"localhost:{port}", "LocalHost.", f"127.0.0.1:{port}", "127.9.9.9", "[::1]", f"[::1]:{port}", ""):
        check_equal(status(port, host)[0], 200, f"Host: {host}")
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "192.0.2.1", "[", ":"):
        got, said = status(port, host)
        check_equal(got, 421, f"Host: {host}")
        check_contains(said, "allow=127.0.0.0/8", "what it says")
        check_equal(status(open_port, host)[0], 200, f"Host: {host}, with allow=")


def add_line(path, line):
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


@test("http: a listener that is added over the control socket, or by a reload, answers, and no client is lost for it")
def added(run):
    key = Softkey(run)
    daemon = Ekeyd(run, softkeys=[key])
    with daemon.client() as client:
        client.read(16)
        for add in (lambda one: run.run("ekeydctl", "--socket", daemon.control, "listen", f"http:127.0.0.1:{one.port}"),
                    lambda one: (add_line(daemon.config, one.setting),
                                 run.run("ekeydctl", "--socket", daemon.control, "reload"))):
            web = Http(free_port())
            add(web)
            wait_until(lambda: web.ask("/readyz")[0] == 200, "it answers")
            check_equal(web.value("ekeyd_listener_clients.*unix"), 1, "clients of the other listener")
            client.read(16)


@test("promise 5: http: slow, greedy and senseless HTTP clients do not disturb EGD clients, nor each other for long")
def hostile(run):
    web, ekeyd, _ = start(run)
    ekeyd.seeded(64)
    before = ekeyd.memory()
    crowd = []
    # More than there are places for, each with a request that never ends.
    for _ in range(100):
        crowd.append(connect(f"tcp:127.0.0.1:{web.port}"))
        crowd[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    with ekeyd.client() as client:
        for _ in range(50):
            client.read(20)
    counters = next(row for row in listeners(ekeyd) if row[0].startswith("http:"))
    check("clients=64" in counters and "refused=36" in counters, f"of 100 clients 64 are let in: {counters}")
    for one in crowd:
        one.close()
    wait_until(lambda: "clients=0" in next(row for row in listeners(ekeyd) if row[0].startswith("http:")),
               "their places come back")
    with ekeyd.client() as client:
        for rubbish in (b"\x00\xff" * 5000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"\r\n" * 20000,
                        b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100000,
                        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000,
                        b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n"):
            with connect(f"tcp:127.0.0.1:{web.port}") as greedy:
                greedy.setblocking(False)
                with contextlib.suppress(OSError):  # it does not read what it asked for
                    greedy.send(rubbish)
                client.read(20)
    check_equal(web.ask("/readyz")[0], 200, "readyz, after all that")
    check(ekeyd.memory() - before < 6 * 1024, f"grew from {before} to {ekeyd.memory()} kB")


def listeners(ekeyd):
    with ekeyd.controller() as control:
        return control.command("ListListeners")[0]


@test("http: counters of two scrapes differ by what was served between them, and the daemon's own key is in none")
def scrapes(run):
    web, ekeyd, keys = start(run)
    ekeyd.seeded(64)
    first = web.metrics()
    with ekeyd.client() as client:
        served = client.read(5000)
    second = web.metrics()
    bytes_out = f'ekeyd_listener_out_bytes_total{{listener="{ekeyd.egd}"}}'
    check_equal(second[bytes_out] - first[bytes_out], 5000, "bytes served between two scrapes")
    for name in first:
        if "_total" in name or "_bucket" in name:
            check(second.get(name, -1) >= first[name], f"{name} has fallen from {first[name]} to {second.get(name)}")
    with open(keys[0].keyring, encoding="ascii") as file:
        secrets = [word for line in file if not line.startswith("#") for word in line.split()[1:] if len(word) > 20]
    check(secrets, "the keyring holds a key")
    text = web.ask("/metrics")[2] + web.ask("/")[2]
    for secret in secrets + [base64.b64encode(served[:24]).decode(), served[:16].hex()]:
        check(secret not in text, "a secret is in the figures")


@test("prometheus: promtool takes the alerts and what the dashboard asks, and ekeyd has every figure that they name")
def alerts_and_dashboard(run):
    folder = os.path.join(source_folder(), "contrib/prometheus")
    check_with_promtool("rules", os.path.join(folder, "ekeyd.rules.yml"))
    tried = subprocess.run([promtool(), "test", "rules", "ekeyd.rules.test.yml"], cwd=folder, text=True, timeout=60,
                           capture_output=True, check=False)
    check_equal(tried.returncode, 0, f"promtool test rules\n{tried.stdout}{tried.stderr}")

    with open(os.path.join(folder, "ekeyd-dashboard.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    asked = [target["expr"].replace("$__rate_interval", "5m") for panel in dashboard["panels"]
             for target in panel["targets"]]
    check(len(asked) > 15, f"the dashboard asks for {len(asked)} figures only")
    # JSON is YAML, and a recording rule is an expression that promtool parses.
    rules = {"groups": [{"name": "d", "rules": [{"record": f"d:{i}", "expr": one} for i, one in enumerate(asked)]}]}
    check_with_promtool("rules", run.write("dashboard.json", json.dumps(rules)))

    web, _, _ = start(run, softkeys=[])
    families = set(re.findall("^# TYPE (\\S+)", web.ask("/metrics")[2], re.MULTILINE))
    with open(os.path.join(folder, "ekeyd.rules.yml"), encoding="utf-8") as file:
        named = re.findall(r"\b(?:ekeyd|process)_\w+", file.read() + json.dumps(asked))
    unknown = {name for name in named if name not in families and name.removesuffix("_bucket") not in families}
    check(not unknown, f"ekeyd has no {', '.join(sorted(unknown))}")


if __name__ == "__main__":
    main()
