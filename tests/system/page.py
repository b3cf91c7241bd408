#!/usr/bin/python3
"""The page of the HTTP listener, in Chromium."""
import html
import os
import re
import struct
import subprocess
import zlib

from harness import build_folder, check, check_contains, check_equal, main, need, test, wait_until
from web import start


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


if __name__ == "__main__":
    main()
