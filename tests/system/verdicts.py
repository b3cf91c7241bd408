#!/usr/bin/python3
"""Whether the page, /readyz, the metrics and `ekeydctl top` say the same, and the truth, when something is wrong."""
import hashlib
import html
import os
import re
import socket

from daemons import FAST, Softkey
from harness import check, check_contains, check_equal, main, test, wait_until
from noise_peer import SealedServer, hello, identity_file, key_pair, public_text
from web import start


def wrong(web):
    """The sentences of the page's verdict: its title, and what is listed."""
    box = check_contains(web.ask("/")[2], r'<div class="verdict \w+">', "the verdict").split('<div class="verdict ')[1]
    title, _, listed = box[box.index(">") + 1:].partition("</div>")[0].partition("<ul>")
    return [html.unescape(one) for one in [title, *re.findall("<li>(.*?)</li>", listed)]]


def top(run, ekeyd):
    return run.run("ekeydctl", "--socket", ekeyd.control, "top", "--interval", "1")


def waits(ekeyd):
    return ekeyd.listeners()[ekeyd.egd + ",mode=0600"]["waiting"] != "0"


@test("promise 3: http and top: not ready when only sources of credit 0 are left, though they are healthy")
def uncredited(run):
    key = Softkey(run, rate=FAST)
    web, ekeyd, _ = start(run, "source = device:/dev/urandom,min-entropy=0", softkeys=[key])
    ekeyd.seeded(64)
    wait_until(lambda: web.ask("/readyz")[0] == 200, "it is ready")
    check_equal(ekeyd.key(2)["Status"], "Running OK", "the source of credit 0")
    key.program.stop()
    with ekeyd.client() as client:
        client.send(b"\x02\xff" * 1000)  # more than the pool can hold
        wait_until(lambda: waits(ekeyd), "the client waits")
        status, _, body = wait_until(lambda: (lambda a: a if a[0] != 200 else None)(web.ask("/readyz")), "not ready any more")
        check_equal(status, 503, "readyz")
        check_contains(body, "no source that counts is healthy", "the reason")
        figures = web.metrics()
        check_equal(figures["ekeyd_ready"], 0, "ekeyd_ready")
        check_equal(figures['ekeyd_source_up{source="2",address="device:/dev/urandom,min-entropy=0"}'], 1, "the other source")
        check_contains(wrong(web)[0], "^Not ready: no source that counts is healthy", "the page")
        check_contains(top(run, ekeyd), r"(?m)^! Not ready: no source that counts is healthy", "top")


@test("http and top: a key that is not in the keyring is told as that, also after the silence that follows from it")
def unknown_serial(run):
    key = Softkey(run)
    web, ekeyd, _ = start(run, f"source = {key.source}", "silence = 1", softkeys=[], keyring=run.write("empty", ""))
    wait_until(lambda: "State=failed" in ekeyd.health(), "it has been silent for longer than is allowed")
    check_equal(ekeyd.key()["Status"], "Serial unknown", "its status")
    said = wrong(web)
    check_contains(said[0], "^Not ready: not seeded", "the title")
    check_equal(len(said), 2, f"what is wrong: {said}")
    check_contains(said[1], re.escape(key.serial) + r"\): its long-term key is not in the keyring: see ekey-rekey\(8\)\.$", "the page")
    check_contains(top(run, ekeyd), rf"(?m)^! Source 1 \({re.escape(key.serial)}\): its long-term key is not in the keyring: "
                   r"see ekey-rekey\(8\)\.$", "top")


@test("http and top: a key whose serial number is another one than serial= says is told as that, and not as one without a long-term key")
def other_serial(run):
    key = Softkey(run)
    web, ekeyd, _ = start(run, f"source = {key.source},serial=NwBvBlg3OTBJORFD", softkeys=[], keyring=key.keyring)
    wait_until(lambda: ekeyd.key()["Status"] == "Wrong serial number", f"its status: {ekeyd.key()}")
    check_contains(ekeyd.health(), "(?m)another serial number than serial= says", "its health")
    expected = re.escape(key.serial) + r"\): the device there has another serial number than serial= says\.$"
    check_contains(wrong(web)[1], expected, "the page")
    check_contains(top(run, ekeyd), "(?m)^! Source 1 .*" + expected, "top")


@test("http and top: what is no Entropy Key, and sends without a pause, is told as broken frames and not as silence")
def no_frames(run):
    path = run.path("receiver")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        web, ekeyd, _ = start(run, f"source = entropykey:{path}", softkeys=[], keyring=run.write("empty", ""))
        with listener.accept()[0] as receiver:
            receiver.sendall(b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n" * 5)
            wait_until(lambda: ekeyd.key()["Status"] == "Framing errors", f"its status: {ekeyd.key()}")
            check_contains(wrong(web)[1], "what it sends arrives broken: look at its cable or hub", "the page")
            check_contains(top(run, ekeyd), "(?m)^! Source 1 .*: what it sends arrives broken", "top")


@test("http and top: a client that waits in vain is told though some bytes are left; one that gets bytes, sharing, is not")
def in_vain(run):
    fifo = run.path("noise")
    os.mkfifo(fifo)
    web, ekeyd, _ = start(run, f"source = device:{fifo}", "silence = 600", softkeys=[])
    with open(fifo, "r+b", buffering=0) as noise, ekeyd.client() as client:
        noise.write(hashlib.shake_256(b"noise that passes its tests").digest(5000))
        # What is still on its way would serve the client that is to wait.
        wait_until(lambda: ekeyd.statistic("BytesRead") == "5000", "all of the noise has come")
        while (left := client.level() // 8) >= 255:
            client.read(255)
        check(left > 0, "nothing is left")
        check_equal([one for one in wrong(web) if "wait" in one], [], "nobody waits yet")
        client.ask(255)
        wait_until(lambda: waits(ekeyd), "the client waits")
        sentence = f"A client of {ekeyd.egd} waits, and is served nothing."
        wait_until(lambda: sentence in wrong(web), "the page tells that it waits")
        check(web.value("^ekeyd_pool_bytes$") > 0, "the pool is empty")
        # The control socket shows the address as it was given.
        check_contains(top(run, ekeyd), rf"(?m)^! A client of {re.escape(ekeyd.egd)},mode=0600 waits, and is served nothing\.$", "top")
        check("clients wait" not in " ".join(wrong(web)).lower(), "clients, without any")
        noise.write(hashlib.shake_256(b"more of it").digest(2500))
        client.receive(255)
        wait_until(lambda: sentence not in wrong(web), "the page tells it no more")


@test("ekeydctl health and top, metrics: noise that fails FIPS 140-2 too often is counted as a failure, by its name")
def fips(run):
    # Hexadecimal digits are 4 bits a byte as they come, and no uniform bytes.
    os.mkfifo(run.path("digits"))
    web, ekeyd, _ = start(run, f"source = device:{run.path('digits')},min-entropy=1", softkeys=[])
    with open(run.path("digits"), "r+b", buffering=0) as fifo:
        fifo.write(hashlib.shake_256(b"digits").hexdigest(5000).encode())
        check_counted(run, web, ekeyd)


def check_counted(run, web, ekeyd):
    wait_until(lambda: "FipsRateFailures=1" in ekeyd.health("1"), "the failure is counted")
    health = run.run("ekeydctl", "--socket", ekeyd.control, "health", "1")
    names = [line.partition("=")[0] for line in health.splitlines()]
    check(names.index("FipsRateFailures") > names.index("DeviceFailures"), "the new name comes after those that were there")
    check_contains(run.run("ekeydctl", "--socket", ekeyd.control, "health", "--json"), '"FipsRateFailures": 1', "JSON")
    check(web.value('health_failures_total.*"fips_rate"') >= 1, "the metrics")
    check_contains(top(run, ekeyd), rf"(?m)^    1  Health test failed +- +0 B/s .* 1 +1 +- +- +device:{re.escape(run.path('digits'))}$", "top")


@test("metrics: the min-entropy of a sealed source is what counts of it now, not what is claimed")
def advised(run):
    own = key_pair()
    server = SealedServer(key_pair(), [own.public.data])
    server.payload = hello([server.own.public.data], credit=2)
    web, ekeyd, _ = start(run, f"identity = {identity_file(run, 'own.key', own)}",
                          f"source = sealed:{server.address},key={public_text(server.own)}", softkeys=[])
    ekeyd.seeded(64, 60)
    check_equal(web.value("^ekeyd_source_min_entropy"), 2, "bits a byte, of a server that advises 2")


if __name__ == "__main__":
    main()
