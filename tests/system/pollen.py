#!/usr/bin/python3
"""listen = pollen: as Debian's pollen, for Debian's pollinate and others; what it refuses, and to whom."""
import contextlib
import hashlib
import os
import re
import signal
import socket
import time
import urllib.request

import pages
from clients import connect, free_port
from daemons import Ekeyd, Softkey
from debians_pollen import debians_pollen
from harness import Skip, check, check_contains, check_equal, main, test, wait_until
from pollen_client import FORM, Pollen, check_pollinated, counters, pollinate, start, when_closed
from provenance import explain


@test("pollen: Debian's pollinate takes a seed over HTTP, and is told when there is none")
def pollinate_http(run):
    pollen, ekeyd, _ = start(run)
    ekeyd.seeded()
    device = run.write("device", "")
    output = pollinate(run, 0, device, SERVER=f"http://127.0.0.1:{pollen.port}/")
    check_pollinated(run, ekeyd, device, output, 1)


@test("pollen: answers what Debian's pollen answers, and differs where the manual says so")
def beside_debians(run):
    clear, _ = debians_pollen(run)
    theirs = Pollen(int(clear.rstrip("/").rpartition(":")[2]))
    ours, ekeyd, _ = start(run)
    ekeyd.seeded()
    same = [
        {"path": "/?challenge=abc"}, {"path": "/some/where?challenge=abc"}, {"path": "/?x=1&challenge=a%62c+d&challenge=e"},
        {"method": "POST", "body": "challenge=abc"}, {"method": "POST", "body": "x=1&challenge=a%62c+d%00%ff&challenge=e"},
        {"method": "POST", "body": "challenge=body", "path": "/?challenge=query"},
        {"method": "POST", "body": "x=1", "path": "/?challenge=query"},
        {"method": "POST", "body": "challenge=abc", "content_type": FORM.upper() + " ; charset=utf-8"},
        {"method": "POST", "body": "chall%65nge=abc"}, {"method": "POST", "body": "challenge=" + "a" * 4086},
        {"path": "/?challenge=" + "a" * 4086}, {"method": "POST", "body": "challenge=abc", "path": "/?" + "a" * 4096},
        {}, {"path": "/?"}, {"path": "/?challenge="}, {"path": "/?challenge"}, {"path": "/?CHALLENGE=abc"},
        {"path": "/?challenge=%zz"}, {"path": "/?challenge=%"}, {"path": "/?x;challenge=abc"},
        {"method": "POST", "body": ""}, {"method": "POST", "body": "challenge="}, {"method": "POST", "body": "abc"},
        {"method": "POST", "body": "challenge=abc", "content_type": None},
        {"method": "POST", "body": "challenge=abc", "content_type": "text/plain"},
    ]
    ours_answered = 0
    for request in same:
        (their_status, their_headers, their_text), (status, headers, text) = theirs.ask(**request), ours.ask(**request)
        check_equal(status, their_status, f"the status for {request}")
        check_equal(headers["Content-Type"], their_headers["Content-Type"], f"the type for {request}")
        if status == 200:
            ours_answered += 1
            check_equal(text.split("\n")[0], their_text.split("\n")[0], f"the first line for {request}")
            check_equal([len(line) for line in text.split("\n")], [len(line) for line in their_text.split("\n")], "the lines")
            check(text.split("\n")[1] != their_text.split("\n")[1], "the seeds are the same")
    check_equal(counters(ekeyd)["bytes"], 64 * ours_answered, "bytes of the pool that were served")
    # Ours, on purpose: ekeyd.conf(5).
    form = "--B\r\nContent-Disposition: form-data; name=\"challenge\"\r\n\r\nabc\r\n--B--\r\n"
    different = [({"method": method, "path": "/?challenge=abc"}, 405)
                 for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW")]
    different += [({"method": "POST", "body": form, "content_type": "multipart/form-data; boundary=B"}, 400),
                  ({"method": "POST", "body": "challenge=" + "a" * 4087}, 413),
                  ({"method": "POST", "body": "a" * 5000, "content_type": "application/json", "path": "/?challenge=abc"}, 413),
                  ({"method": "POST", "body": "challenge=abc", "path": "/?" + "a" * 4097}, 413),
                  ({"path": "/?challenge=" + "a" * 4087}, 413), ({"path": "/?challenge=" + "a" * 7000}, 413),
                  ({"path": "/?challenge=" + "a" * 9000}, 414), ({"method": "POST", "body": "challenge=" + "a" * 9000}, 413)]
    for request, status in different:
        check_equal(theirs.ask(**request)[0], 200, f"their status for {request}")
        check_equal(ours.ask(**request)[0], status, f"our status for {request}")
    check_equal(ours.ask("/?challenge=abc", "PUT")[1]["Allow"], "GET, POST", "what is allowed")
    check_contains(ours.ask("/?" + "a" * 4097)[2], "form or a query may have 4096 bytes", "what is said of one that is too long")
    check_equal(counters(ekeyd)["bytes"], 64 * ours_answered, "bytes that were served, after what was refused")


@test("pollen: on IPv6, as on IPv4")
def ipv6(run):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        raise Skip("no IPv6 here") from None
    pollen, ekeyd, _ = start(run, ",allow=::1", host="::1")
    ekeyd.seeded()
    pollen.seed()
    device = run.write("device", "")
    output = pollinate(run, 0, device, SERVER=f"http://[::1]:{pollen.port}/")
    check_pollinated(run, ekeyd, device, output, 2)
    check_contains(run.run("ekeydctl", "--socket", ekeyd.control, "show"), rf"pollen:\[::1\]:{pollen.port},.*bytes=128", "its row")


@test("pollen: the manual page and the how-to say that the answer to a challenge is no authentication")
def no_authentication(run):
    del run
    for document in ("ekeyd/ekeyd.conf.5", "contrib/doc/pollinate.md"):
        check_contains(pages.text(document), r"(?i)answer to (the|its) challenge\s+is\s+no\s+authentication", document)


# ---------------------------------------------------------------- the promises

@test("promise 2: pollen: every seed is made of tested noise by the rules, 64 bytes of the pool for each answer")
def provenance(run):
    pollen, ekeyd, keys = start(run)
    # The only client, from the first byte on.
    seeds = b"".join(pollen.seed(f"challenge {i}") for i in range(20))
    check(explain(seeds, keys[0].plaintext(), 7), "nothing was explained")
    check_equal(counters(ekeyd)["bytes"], len(seeds), "bytes that were counted")


@test("promise 3: pollen: no seed before there is noise, and none while the noise fails its tests: 503, and pollinate fails")
def unseeded(run):
    fifo = run.path("noise")
    os.mkfifo(fifo)
    pollen, ekeyd, _ = start(run, ",wait=1", f"source = device:{fifo}", softkeys=[])
    status, headers, text = pollen.ask("/?challenge=abc")
    check_equal((status, headers["Retry-After"], headers["Connection"]), (503, "10", "close"), "the answer without noise")
    check_contains(text, "no entropy", "its words")
    with open(fifo, "r+b", buffering=0) as noise:
        noise.write(b"\xaa" * 5000)
        wait_until(lambda: "failed" in ekeyd.health(), "the source fails")
        pollinate(run, 1, run.write("device", ""), SERVER=f"http://127.0.0.1:{pollen.port}/")
    check_equal((counters(ekeyd)["bytes"], counters(ekeyd)["waiting"]), (0, 0), "bytes served, and those who wait")


@test("promise 4: pollen: no seed is given twice, not on one connection nor on many at once, nor to one who has left")
def never_twice(run):
    pollen, ekeyd, keys = start(run, softkeys=[Softkey(run, rate=5000)])
    wait_until(lambda: int(re.search(r"PoolBytes=(\d+)", ekeyd.health()).group(1)) > 4200, "bytes for all")
    keys[0].program.signal(signal.SIGSTOP)  # what is there is all there is
    seeds = []
    with contextlib.closing(pollen.connect()) as kept:
        seeds += [pollen.seed(on=kept) for _ in range(10)]
        crowd = [pollen.connect() for _ in range(30)]
        for i, client in enumerate(crowd):
            client.request("GET", f"/?challenge={i}")
        texts = [client.getresponse().read().decode() for client in crowd]
        for i, text in enumerate(texts):
            check_equal(text.split("\n")[0], hashlib.sha512(str(i).encode()).hexdigest(), "the answer to each challenge")
        seeds += [bytes.fromhex(text.split("\n")[1]) for text in texts]
        pipelined = connect(f"tcp:127.0.0.1:{pollen.port}")
        pipelined.sendall(b"GET /?challenge=x HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /?challenge=y HTTP/1.1\r\nConnection: close\r\n\r\n")
        text = pipelined.makefile("rb").read().decode()
        seeds += [bytes.fromhex(line) for line in re.findall("^[0-9a-f]{128}$", text, re.MULTILINE)[1::2]]
    check_equal(len(seeds), 44, "seeds")
    with ekeyd.client() as client:
        everything = b"".join(seeds) + client.read(1000)
    keys[0].program.signal(signal.SIGCONT)
    pieces = [everything[i:i + 8] for i in range(0, len(everything), 8)]
    check_equal(len(set(pieces)), len(pieces), "different pieces of eight bytes among what was given")
    check_equal(counters(ekeyd)["bytes"], 64 * 44, "bytes counted")


@test("promise 4: pollen: a client that leaves while it waits costs the pool nothing, and others have its turn")
def gone(run):
    fifo = run.path("noise")
    os.mkfifo(fifo)
    pollen, ekeyd, _ = start(run, ",wait=60", f"source = device:{fifo}", softkeys=[])
    crowd = [pollen.connect() for _ in range(20)]
    for client in crowd:
        client.request("GET", "/?challenge=abc")
    wait_until(lambda: counters(ekeyd)["waiting"] == 20, "all wait")
    stays = crowd.pop()
    for client in crowd:
        client.close()
    with open(fifo, "r+b", buffering=0) as noise:
        noise.write(hashlib.shake_256(b"noise that passes its tests").digest(5000))
        check_equal(stays.getresponse().status, 200, "the status for the one who has stayed")
    wait_until(lambda: counters(ekeyd)["clients"] == 1, "the others' places come back")
    check_equal(counters(ekeyd)["bytes"], 64, "bytes served")


@test("promise 5: pollen: two hundred slow clients and senseless ones hold up neither pollen's nor EGD's clients")
def hostile(run):
    pollen, ekeyd, _ = start(run)
    ekeyd.seeded()
    before = ekeyd.memory()
    crowd = [connect(f"tcp:127.0.0.1:{pollen.port}") for _ in range(200)]
    for i, client in enumerate(crowd):
        client.sendall([b"P", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + FORM.encode() + b"\r\nContent-Length: 138\r\n\r\nchal",
                        b"GET /?challenge="][i % 4])
    for _ in range(20):
        pollen.seed()
    with ekeyd.client() as client:
        for _ in range(50):
            client.read(20)
    for client in crowd:
        client.close()
    for rubbish in (b"\x00\xff" * 5000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"\r\n" * 20000,
                    b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100000,
                    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\n",
                    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"ffffffffffffffffff\r\n" * 500,
                    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n" * 100,
                    b"GET /?challenge=x HTTP/1.1\r\nHost: x\r\n\r\n" * 2000, b"GET /?" + b"&" * 100000 + b" HTTP/1.1\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500):
        with connect(f"tcp:127.0.0.1:{pollen.port}") as greedy:
            greedy.setblocking(False)
            with contextlib.suppress(OSError):  # it does not read what it asked for
                greedy.send(rubbish)
            pollen.seed()
    check(ekeyd.memory() - before < 8 * 1024, f"grew from {before} to {ekeyd.memory()} kB")


@test("promise 5: pollen: one who is silent is closed after five seconds, and one who never ends his request after ten; both are counted")
def late(run):
    pollen, ekeyd, _ = start(run)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        silent, half, slow = (stack.enter_context(connect(f"tcp:127.0.0.1:{pollen.port}")) for _ in range(3))
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 138\r\n\r\nchal")
        slow.sendall(b"GET /?challenge=x HTTP/1.1\r\nA: ")
        after = when_closed({"silent": silent, "half": half, "slow": slow}, {slow}, began)
    print(f"closed after {after}")
    check(4.9 < min(after["silent"], after["half"]), f"closed too soon: {after}")
    check(max(after["silent"], after["half"]) < after["slow"], f"the silent ones were closed after the one who sends: {after}")
    check(9.9 < after["slow"] < 30, f"one who never ends his request was closed after {after['slow']} s")
    wait_until(lambda: counters(ekeyd)["clients"] == 0, "their places come back")
    check_equal(counters(ekeyd)["timed-out"], 3, "those who are counted")
    pollen.seed()


@test("promise 7: pollen: its clients have their turns beside greedy EGD clients, and these beside its own")
def turns(run):
    pollen, ekeyd, _ = start(run, ",wait=60,rate-network=1000000,burst-network=1000000",
                             softkeys=[Softkey(run, rate=300)])  # the pool is empty now and then
    ekeyd.seeded()
    greedy = [ekeyd.client() for _ in range(8)]
    for client in greedy:
        client.send(b"\x02\xff" * 20000)
        client.socket.setblocking(False)

    def drain():
        taken = 0
        for client in greedy:
            with contextlib.suppress(BlockingIOError):
                while got := client.socket.recv(65536):
                    taken += len(got)
        return taken

    drain()
    for _ in range(5):
        pollen.seed()
        drain()
    # Turn by turn: with nine who want bytes, a seed of 64 waits for about 8 times as much.
    check_equal(counters(ekeyd)["bytes"], 5 * 64, "bytes served")
    wait_until(lambda: drain() > 0, "the others have theirs")


# ---------------------------------------------------------------- figures

@test("pollen: ekeydctl and the metrics tell what its clients ask and get, in a row of its own")
def figures(run):
    http_port = free_port()
    fifo = run.path("noise")
    os.mkfifo(fifo)
    pollen, ekeyd, _ = start(run, ",wait=1", f"listen = http:127.0.0.1:{http_port}", f"source = device:{fifo}", softkeys=[])
    check_equal(pollen.ask("/?challenge=abc")[0], 503, "the status without noise")
    with open(fifo, "r+b", buffering=0) as noise:
        noise.write(hashlib.shake_256(b"noise that passes its tests").digest(5000))
        ekeyd.seeded(1)
    pollen.seed()
    check_equal(pollen.ask()[0], 400, "the status without a challenge")
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=60) as page:
        text = page.read().decode()
    listener = f'{{listener="pollen:127.0.0.1:{pollen.port}"}}'
    for name, value in {"out_bytes_total": 64, "requests_total": 3, "errors_total": 1, "accepted_total": 3, "waiting": 0,
                        "turned_away_total": 1}.items():
        check_contains(text, rf"(?m)^ekeyd_listener_{name}{re.escape(listener)} {value}$", "the metrics")
    row = run.run("ekeydctl", "--socket", ekeyd.control, "show")
    check_contains(row, rf"pollen:127.0.0.1:{pollen.port},wait=1.*bytes=64.*turned-away=1", "what ekeydctl shows")


# ---------------------------------------------------------------- limits

@test("pollen: a network has what its rate allows: who comes too soon waits for it, or is told 429 in time")
def rate(run):
    pollen, ekeyd, _ = start(run, ",wait=2,rate-network=64,burst-network=256")
    ekeyd.seeded()
    began = time.monotonic()
    for _ in range(4):  # its burst
        pollen.seed()
    burst = time.monotonic() - began
    pollen.seed()
    waited = time.monotonic() - began
    check(waited > 0.9, f"the fifth seed of 64 bytes came after {waited} s at 64 bytes a second")
    check(burst < waited, f"four came in {burst} s, and the fifth not before {waited} s")
    check(counters(ekeyd)["delayed"] >= 1, "requests that were held back are counted")
    crowd = [pollen.connect() for _ in range(10)]
    for client in crowd:
        client.request("GET", "/?challenge=x")
    answers = [client.getresponse() for client in crowd]
    statuses = [answer.status for answer in answers]
    late = next(answer for answer in answers if answer.status != 200)
    check_equal((late.status, late.headers["Retry-After"], late.headers["Connection"]), (429, "10", "close"), "who is too late")
    check(1 <= statuses.count(200) <= 9 and set(statuses) == {200, 429}, f"statuses of ten at once: {statuses}")
    check_equal(counters(ekeyd)["bytes"], 64 * (5 + statuses.count(200)), "bytes served")
    check_equal(counters(ekeyd)["held-back"], 0, "those held back, in the end")


@test("pollen: who may come: networks, their number, and the number of all")
def access(run):
    denied = Pollen()
    few = Pollen()
    ekeyd = Ekeyd(run, f"listen = pollen:127.0.0.1:{denied.port},deny=127.0.0.0/8",
                  f"listen = pollen:127.0.0.1:{few.port},max-clients=3,max-clients-network=2,network-prefix4=32",
                  softkeys=[Softkey(run)])
    ekeyd.seeded()

    def refused(pollen, source="127.0.0.1"):
        with socket.create_connection(("127.0.0.1", pollen.port), timeout=60, source_address=(source, 0)) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /?challenge=x HTTP/1.1\r\nConnection: close\r\n\r\n")
                return client.recv(100) == b""
            return True

    check(refused(denied), "one of a network that is denied was answered")
    there = [few.connect() for _ in range(2)]
    for client in there:
        few.seed(on=client)
    check(refused(few), "a third one of a network was answered")
    check(not refused(few, "127.0.0.2"), "one of another network was not answered")
    with socket.create_connection(("127.0.0.1", few.port), timeout=60, source_address=("127.0.0.2", 0)) as third:
        third.sendall(b"GET /?challenge=x HTTP/1.1\r\n\r\n")
        check(third.recv(100), "the third place")
        check(refused(few, "127.0.0.3"), "a fourth one was answered")
    for client in there:
        client.close()
    wait_until(lambda: not refused(few), "the places come back")
    rows = ekeyd.listeners()
    row = next(fields for address, fields in rows.items() if f":{denied.port}," in address)
    check_equal((row["denied"], row["refused"], row["accepted"]), ("1", "1", "0"), "counters of the first listener")
    row = next(fields for address, fields in rows.items() if f":{few.port}," in address)
    check(int(row["network-full"]) >= 1 and int(row["refused"]) >= 2, f"counters of the second one: {row}")


@test("pollen: challenges are stirred in when accept-writes=mix, and count for nothing")
def mixing(run):
    fifo = run.path("noise")
    os.mkfifo(fifo)
    pollen, ekeyd, _ = start(run, ",wait=1,accept-writes=mix", f"source = device:{fifo}", softkeys=[])
    crowd = [pollen.connect() for _ in range(2)]
    for client in crowd:
        client.request("GET", "/?challenge=" + "a" * 4000)
    check_equal([client.getresponse().status for client in crowd], [503, 503], "the statuses")
    row = counters(ekeyd)
    check_equal(row["written"], 8000, "bytes that were written")
    check(4000 <= row["mixed"] <= 8000, f"{row['mixed']} bytes were mixed")
    check_equal(row["bytes"], 0, "bytes served")


@test("pollen: output=drbg serves any number of clients at once, when it is seeded and not before")
def drbg(run):
    fifo = run.path("noise")
    os.mkfifo(fifo)
    pollen, ekeyd, _ = start(run, ",output=drbg,wait=60,rate-network=1000000", f"source = device:{fifo}", softkeys=[])
    crowd = [pollen.connect() for _ in range(200)]
    for client in crowd:
        client.request("GET", "/?challenge=abc")
    wait_until(lambda: counters(ekeyd)["waiting"] == 200, "all wait")
    with open(fifo, "r+b", buffering=0) as noise:
        noise.write(hashlib.shake_256(b"noise that passes its tests").digest(5000))
        seeds = {client.getresponse().read().decode().split("\n")[1] for client in crowd}
    check_equal(len(seeds), 200, "seeds")


if __name__ == "__main__":
    main()
