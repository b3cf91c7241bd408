#!/usr/bin/python3
"""listen = http: what it tells, to whom, and that nobody can disturb others by it."""
import base64
import contextlib
import hashlib
import html
import http.client
import json
import os
import re
import shutil
import struct
import subprocess
import time
import zlib

from clients import Egd, connect, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, build_folder, check, check_contains, check_equal, main, need, source_folder, test, wait_until
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


class Png:
    """A picture as a browser writes it: 8 bits a channel, no interlacing (PNG specification, chapters 5, 7 and 9)."""

    def __init__(self, data):
        check(data.startswith(b"\x89PNG\r\n\x1a\n"), "it is no PNG")
        packed, at = b"", 8
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + size]
            if kind == b"IHDR":
                self.width, self.height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
                check_equal((depth, interlaced), (8, 0), "depth and interlacing")
                self.channels = {2: 3, 6: 4}[colour]
            elif kind == b"IDAT":
                packed += body
            at += 12 + size
        self._raw = zlib.decompress(packed)

    def colours(self, part=0.1, step=8):
        """The set of its colours (red, green, blue), of every eighth line of the upper tenth: Python is slow."""
        stride, n = self.width * self.channels, self.channels
        before, found = bytearray(stride), set()
        for y in range(int(self.height * part)):
            filtered = self._raw[y * (stride + 1)]
            line = bytearray(self._raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
            if filtered:
                self._unfilter(filtered, line, before)
            if y % step == 0:
                found.update(zip(line[0::n], line[1::n], line[2::n]))
            before = line
        return found

    def _unfilter(self, kind, line, up):
        n = self.channels
        for i in range(len(line)):
            a, b, c = line[i - n] if i >= n else 0, up[i], up[i - n] if i >= n else 0
            if kind == 1:
                guess = a
            elif kind == 2:
                guess = b
            elif kind == 3:
                guess = (a + b) // 2
            else:
                p = a + b - c
                guess = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + guess) & 255


def chromium(run, url, *arguments, name):
    """What headless Chromium writes to standard output, and to standard error."""
    done = subprocess.run(
        [need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--window-size=1200,1500", "--enable-logging=stderr", f"--user-data-dir={run.path(name)}", *arguments, url],
        capture_output=True, text=True, timeout=110, check=False)
    check_equal(done.returncode, 0, f"the exit status of chromium\n{done.stderr}")
    return done.stdout, done.stderr


@test("http: the page in Chromium - needs nothing from elsewhere, shows what is wrong, and a device's words stay words")
def page(run):
    evil = run.path("<img src=x onerror=document.title=1>&quot;")
    web, ekeyd, keys = start(run, f"source = tty:{evil}", f"sink = file:{run.path('out')}")
    keys[0].program.wait_output("ready")
    ekeyd.seeded(1000)
    wait_until(lambda: any(name.startswith("ekeyd_source_rate") and value > 0
                           for name, value in web.metrics().items()), "the key has a rate")
    status, headers, body = web.ask("/")
    check_equal((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"), "the page")
    for forbidden in ("<img", "<script", "http://", "https://", "src=\"", "@import", "url("):
        check(forbidden not in body, f"the page holds {forbidden}")
    check_contains(headers["Content-Security-Policy"], "default-src 'none'; style-src 'sha256-", "its policy")
    # A picture of each kind is kept in the build folder, for people.
    url = f"http://127.0.0.1:{web.port}/"
    pictures = {}
    for kind, options in {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}.items():
        path = os.path.join(build_folder(), f"page-{kind}.png")
        _, log = chromium(run, url, f"--screenshot={path}", *options, name=kind)
        check("Content Security Policy" not in log, f"the page breaks its own policy:\n{log}")
        with open(path, "rb") as file:
            pictures[kind] = Png(file.read()).colours()
    # Colours of style.css: the style sheet was taken. The curve's only once the history has two points.
    check((0xfd, 0xf1, 0xd6) in pictures["light"], "the light page has no yellow box for what is wrong")
    check((0x36, 0x2a, 0x0f) in pictures["dark"], "the dark page has none")
    document, _ = chromium(run, url, "--dump-dom", name="dom")
    check("<img" not in document, "a path became an element")
    check_contains(document, "Ready, but this is wrong:", "the verdict")
    check_contains(document, re.escape(keys[0].serial.replace("&", "&amp;")), "the key's serial number")
    check_contains(document, r"&lt;img src=x onerror=document.title=1&gt;&amp;quot;", "the path, as text")
    check_contains(document, "No such file or directory", "what is wrong")
    check_contains(document, f"unix:{run.path('ekeyd.egd')}", "the listener")
    curves = wait_until(lambda: curve_of(web, "Noise of 1"), "the key's noise is drawn, once the history has two points")
    check(all(62 <= x <= 352 and 10 <= y <= 108 for x, y in curves), f"the curve leaves its field: {curves}")
    check(any(y < 108 for _, y in curves), f"the curve is at nothing, though the key runs: {curves}")
    check(curve_of(web, "In the pool"), "the pool's level is drawn")
    path = os.path.join(build_folder(), "page-light.png")
    chromium(run, url, f"--screenshot={path}", name="curve")
    with open(path, "rb") as file:
        check((0x17, 0x69, 0xaa) in Png(file.read()).colours(1, 2), "the picture has no line in the colour of curves")


def curve_of(web, title):
    """The points of a plot's line, as the page has it; empty when nothing is drawn."""
    figures = [one for one in web.ask("/")[2].split("<figure>")[1:] if title in one]
    check_equal(len(figures), 1, f"plots of {title}")
    drawn = re.search('class="line" d="([^"]*)"', figures[0].split("</figure>")[0])
    return [tuple(map(float, point)) for point in re.findall(r"([\d.]+) ([\d.]+)", drawn.group(1))] if drawn else []


@test("http: on a phone, 360 points wide, nothing is wider than the window but tables, which scroll by themselves")
def narrow(run):
    where = run.path("a-rather-long-name-of-a-device-that-does-not-fit-on-any-line-of-a-small-screen-" + "x" * 60)
    web, _, _ = start(run, f"source = tty:{where}", f"sink = file:{run.path('out')}")
    wait_until(lambda: "unplugged" in web.ask("/")[2], "the device is told to be absent")
    # Chromium's own window is never that narrow: a frame is, in a page that tells how wide its content gets.
    page_html = re.sub('<meta http-equiv="refresh"[^>]*>', "", web.ask("/")[2])
    run.write("frame.html", f'<!DOCTYPE html><iframe width="360" height="900" srcdoc="{html.escape(page_html)}" onload="'
              "const root = this.contentDocument.documentElement; document.title = 'wide ' + root.scrollWidth + ' of ' + root.clientWidth"
              '"></iframe>')
    document, _ = chromium(run, f"file://{run.path('frame.html')}", "--dump-dom", name="narrow")
    wide, inner = map(int, re.search(r"<title>wide (\d+) of (\d+)", check_contains(document, "<title>wide", "the widths")).groups())
    check(300 < inner <= 360, f"the frame is {inner} points wide")
    check(wide <= inner, f"the page is {wide} points wide in a window of {inner}")
    check_equal(page_html.count("<caption>"), page_html.count("<table>"), "captions of tables")
    check('<th>' not in page_html, "a heading of a table does not say of what it is")


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
