#!/usr/bin/python3
"""listen = pollen with a certificate: pollinate over HTTPS, what is wrong with files, and what handshakes may cost others."""
import base64
import contextlib
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import time

from clients import ControlError, connect, free_port
from daemons import Ekeyd, Softkey, answers
from debians_pollen import certificate
from harness import check, check_contains, check_equal, main, need, test, wait_until
from pollen_client import Pollen, check_pollinated, counters, pollinate, start, when_closed
from process_memory import places, plain_build


def start_tls(run, cert, key, parameters="", *settings, **options):
    pollen, ekeyd, keys = start(run, f",cert={cert},key={key}{parameters}", *settings, **options)
    pollen.tls = cert
    return pollen, ekeyd, keys


@test("pollen: Debian's pollinate takes a seed over HTTPS with the right authority, none with a wrong one, and any when told --insecure")
def pollinate_https(run):
    cert, key = certificate(run, "tls")
    other, _ = certificate(run, "other")
    pollen, ekeyd, _ = start_tls(run, cert, key)
    ekeyd.seeded()
    url = f"https://localhost:{pollen.port}/"
    for options, answers in ((f"--cacert {cert}", 1), ("--insecure", 2)):
        device = run.write("device", "")
        check_pollinated(run, ekeyd, device, pollinate(run, 0, device, SERVER=url, CURL_OPTS=options), answers)
    for options in (f"--cacert {other}", ""):
        device = run.write("device", "")
        output = pollinate(run, 1, device, SERVER=url, CURL_OPTS=options)
        check("its flag is there" not in output and os.path.getsize(device) == 0, f"pollinate took a seed with {options!r}")
    check_equal(counters(ekeyd)["bytes"], 2 * 64, "bytes served: who does not trust the certificate costs none")


@test("pollen: over TLS 1.2 and 1.3 and nothing older, answers as in clear, also to slow ones; what is no TLS is closed")
def over_tls(run):
    cert, key = certificate(run, "tls")
    pollen, ekeyd, _ = start_tls(run, cert, key)
    ekeyd.seeded()
    with contextlib.closing(pollen.connect()) as kept:
        check(pollen.seed(on=kept) != pollen.seed(on=kept), "a seed was given twice")
    for version, spoken in (("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False), ("-tls1", False)):
        tried = subprocess.run([need("openssl"), "s_client", "-connect", f"127.0.0.1:{pollen.port}", "-CAfile", cert,
                                "-verify_return_error", "-cipher", "ALL:@SECLEVEL=0", version], stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=60, check=False)
        check_equal(tried.returncode == 0, spoken, f"openssl s_client {version}\n{tried.stdout.decode(errors='replace')}")
    # Byte by byte: its hello is awaited, then the library reads what comes.
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    link = ssl.create_default_context(cafile=cert).wrap_bio(ours, theirs, server_hostname="localhost")
    with connect(f"tcp:127.0.0.1:{pollen.port}") as slow:
        def step(call):
            while True:
                try:
                    result = call()
                except ssl.SSLWantReadError:
                    result = None
                for byte in theirs.read():
                    slow.sendall(bytes([byte]))
                if result is not None:
                    return result
                ours.write(slow.recv(65536))

        step(lambda: link.do_handshake() or True)
        step(lambda: link.write(b"GET /?challenge=x HTTP/1.1\r\nHost: x\r\n\r\n"))
        check_contains(step(lambda: link.read(1000)).decode(), "200 OK", "the answer to one who is slow")
    before = counters(ekeyd)["errors"]
    for nonsense in (b"GET /?challenge=x HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x16\x03\x01\x00\x02ab",
                     b"\x16\x03\x01\x00\x00"):
        with connect(f"tcp:127.0.0.1:{pollen.port}") as client:
            client.sendall(nonsense)
            with contextlib.suppress(OSError):  # it may be closed already
                client.shutdown(socket.SHUT_WR)
                check(b"200" not in client.recv(1000), "what is no TLS was answered")
    wait_until(lambda: counters(ekeyd)["errors"] >= before + 2, "what is no TLS is counted")
    pollen.seed()


def stock_of_hellos(cert, number, port):
    """Connections, and the first message for each of them."""
    theirs = ssl.MemoryBIO()
    link = ssl.create_default_context(cafile=cert).wrap_bio(ssl.MemoryBIO(), theirs, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        link.do_handshake()
    return [connect(f"tcp:127.0.0.1:{port}") for _ in range(number)], theirs.read()


SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>


def came_at(connection):
    """When the answer came, by the kernel's clock: a test that is kept waiting itself sees them all at once."""
    connection.settimeout(60)
    data, extra, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(16))
    check(data and extra, "no answer with a time")
    seconds, nanoseconds = struct.unpack("qq", extra[0][2])
    return seconds + nanoseconds * 1e-9


@test("promise 5: pollen: two hundred handshakes at once do not hold up an EGD client until they are done, nor do those that never begin")
def handshakes(run):
    early = socket.socket()  # the kernel begins to note times a moment after it is told to
    early.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    cert, key = certificate(run, "slow", "rsa:2048")  # slow to sign with, so that the order shows
    tcp = free_port()
    pollen, ekeyd, _ = start_tls(run, cert, key, "", f"listen = tcp:127.0.0.1:{tcp}")
    ekeyd.seeded(1000)
    silent = [connect(f"tcp:127.0.0.1:{pollen.port}") for _ in range(50)]
    for client in silent[::2]:
        client.sendall(b"\x16\x03\x01\x02")
    # As many of an address as may be in a handshake at a time, and more.
    crowd, hello = stock_of_hellos(cert, 200, pollen.port)
    with connect(f"tcp:127.0.0.1:{tcp}") as client:
        wait_until(lambda: counters(ekeyd)["clients"] == 250, "all are connected")
        for one in (client, *crowd):
            one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        ekeyd.program.signal(signal.SIGSTOP)
        for one in crowd:
            one.sendall(hello)
        client.sendall(b"\x02\x01")
        ekeyd.program.signal(signal.SIGCONT)
        answered = came_at(client)
        waiting, before = set(crowd), 0
        while len(crowd) - len(waiting) < 64:
            for one in select.select(list(waiting), [], [], 60)[0]:
                waiting.remove(one)
                before += came_at(one) < answered
    print(f"the EGD client was answered after {before} of 200 handshakes")
    check(before < 20, f"the EGD client was answered after {before} of 200 handshakes")
    for one in [*crowd, *silent]:
        one.close()
    wait_until(lambda: counters(ekeyd)["clients"] == 0, "their places come back")
    pollen.seed()


@test("promise 5: pollen: over TLS one whose first message is not whole after five seconds is closed and counted, and so is one who stops after it")
def late(run):
    cert, key = certificate(run, "tls")
    pollen, ekeyd, _ = start_tls(run, cert, key)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        (stops, silent, slow), hello = stock_of_hellos(cert, 3, pollen.port)
        for client in (stops, silent, slow):
            stack.enter_context(client)
        stops.sendall(hello)
        slow.sendall(b"\x16\x03\x01\x02\x00")
        after = when_closed({"stops": stops, "silent": silent, "slow": slow}, {slow}, began)
    print(f"closed after {after}")
    check(4.9 < min(after.values()) and max(after.values()) < 30, f"they were closed after {after}")
    # Who may send for ten seconds may send two bytes a second for as long.
    check(after["slow"] < 9.9, f"one whose first message is never whole was closed after {after['slow']} s")
    wait_until(lambda: counters(ekeyd)["clients"] == 0, "their places come back")
    row = counters(ekeyd)
    check_equal((row["timed-out"], row["errors"]), (3, 0), "those who are counted as late, and as errors")
    ekeyd.seeded()
    pollen.seed()


@test("pollen: SIGHUP adds a listener with a certificate, changes nothing when that is bad, and takes it away")
def added(run):
    cert, key = certificate(run, "tls")
    ekeyd = Ekeyd(run, softkeys=[Softkey(run)])
    ekeyd.seeded()
    pollen = Pollen(tls=cert)
    without = run.read("ekeyd.conf").decode()

    def reload_with(line):
        run.write("ekeyd.conf", without + line)
        ekeyd.program.signal(signal.SIGHUP)

    reload_with(f"{pollen.setting},cert={cert},key={cert}\n")
    ekeyd.program.wait_output(f"not reloaded: all stays as it was.*key {cert} holds no private key")
    check(not answers(f"tcp:127.0.0.1:{pollen.port}"), "a listener without a key is there")
    reload_with(f"{pollen.setting},cert={cert},key={key}\n")
    ekeyd.program.wait_output("reloaded config=")
    pollen.seed()
    check_equal(counters(ekeyd)["bytes"], 64, "bytes that were served")
    reload_with("")
    wait_until(lambda: not answers(f"tcp:127.0.0.1:{pollen.port}"), "the listener goes")


@test("pollen: a reload takes the new certificate for new connections, and one that is bad or unreadable changes nothing")
def reload(run):
    cert, key = certificate(run, "tls")
    old = run.write("old.pem", run.read("tls.pem").decode())
    pollen, ekeyd, _ = start_tls(run, cert, key)
    ekeyd.seeded()
    pollen.tls = old

    def reloaded():
        with ekeyd.controller() as control:
            control.command("Reload")

    def replace(other):
        for kind in (".pem", ".key"):
            os.replace(run.path(other + kind), run.path("tls" + kind))

    with contextlib.closing(pollen.connect()) as before:
        pollen.seed(on=before)
        certificate(run, "new")
        replace("new")
        reloaded()
        pollen.seed(on=before)
        check(not trusted(pollen), "the old certificate is still shown")
        pollen.tls = cert
        pollen.seed()
    reloaded()  # nothing new
    certificate(run, "odd")
    os.replace(run.path("odd.key"), key)
    try:
        reloaded()
        check(False, "a key of another certificate was taken")
    except ControlError as error:
        check_contains(str(error), f"cert {cert} with key {key}: .*match", "what is wrong")
    os.unlink(key)
    try:
        reloaded()
        check(False, "a key that is missing was taken")
    except ControlError as error:
        check_contains(str(error), f"key {key} cannot be read: No such file", "what is wrong")
    pollen.seed()
    check_contains(ekeyd.program.output(), "certificate read again", "the log")


AUTHORITY = """[ca]
default_ca = it
[it]
database = {folder}/index
serial = {folder}/serial
policy = policy
default_md = sha256
[policy]
commonName = supplied
"""


def dated(run, key, start, end):
    """The text of a certificate for localhost with these dates, YYYYMMDDHHMMSSZ."""
    openssl = need("openssl")
    config = run.write("authority", AUTHORITY.format(folder=run.folder))
    run.write("index", "")
    run.write("serial", "01\n")
    run.run("openssl", "req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", run.path("csr"), path=openssl)
    run.run("openssl", "ca", "-config", config, "-batch", "-selfsign", "-in", run.path("csr"), "-keyfile", key, "-notext", "-outdir", run.folder,
            "-startdate", start, "-enddate", end, "-out", run.path("dated"), path=openssl)
    return run.read("dated").decode()


@test("pollen: a certificate that has expired, or is not valid yet, is shown, with a warning at the start and when a reload takes it")
def expired(run):
    cert, key = certificate(run, "tls")
    good = run.read("tls.pem").decode()

    def reload_with(pem):
        run.write("tls.pem", pem)
        with ekeyd.controller() as control:
            control.command("Reload")

    run.write("tls.pem", dated(run, key, "20200229000000Z", "20210304050607Z"))
    pollen, ekeyd, _ = start_tls(run, cert, key)
    ekeyd.program.wait_output(f"clients will not trust the certificate: it has expired.*cert={cert} until=2021-03-04T05:06:07Z")
    ekeyd.seeded()
    check(not trusted(pollen), "openssl trusts it")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connect(f"tcp:127.0.0.1:{pollen.port}")) as client:
        client.sendall(b"GET /?challenge=x HTTP/1.1\r\nHost: x\r\n\r\n")
        check_contains(client.recv(1000).decode(), "200 OK", "the answer to one who does not look at it")
    reload_with(good)
    pollen.seed()
    check_equal(ekeyd.program.output().count("will not trust"), 1, "warnings until then")
    reload_with(dated(run, key, "20900102030405Z", "20910101000000Z"))
    ekeyd.program.wait_output(f"clients will not trust the certificate: it is not valid yet.*cert={cert} from=2090-01-02T03:04:05Z")
    check_equal(ekeyd.program.output().count("will not trust"), 2, "warnings in all")


def trusted(pollen):
    try:
        return pollen.seed() is not None
    except ssl.SSLCertVerificationError:
        return False


@test("promise 6: pollen: a seed is nowhere in memory once it is sent, nor is the file of the key, in clear and over TLS")
def memory(run):
    plain_build()
    cert, key = certificate(run, "tls")
    clear = Pollen()
    pollen, ekeyd, _ = start_tls(run, cert, key, "", clear.setting)
    ekeyd.seeded()
    with contextlib.closing(pollen.connect()) as over_tls, contextlib.closing(clear.connect()) as in_clear:
        seeds = [pollen.seed(on=over_tls), clear.seed(on=in_clear), pollen.seed(), clear.seed()]
        for seed in seeds:  # of those who have closed, and of those who have not
            for form in (seed, seed[16:32], seed.hex().encode(), seed.hex().encode()[32:64]):
                # It may still be on its way out of a buffer when it has arrived.
                wait_until(lambda form=form: not places(ekeyd.program.pid, form), f"no seed is left: {form}", 10)
    lines = run.read("tls.key").split(b"\n")[1:-2]
    check(not places(ekeyd.program.pid, lines[0]), "the text of the key's file is in memory")
    # ekeyd.conf(5) says so; and without it, the search would show nothing.
    check(places(ekeyd.program.pid, base64.b64decode(b"".join(lines))[40:60]), "the key itself was not found in memory")


@test("pollen: a daemon that runs as another user has read the key before, and keeps it when that user cannot")
def other_user(run):
    os.chmod(run.folder, 0o755)
    cert, key = certificate(run, "tls")
    os.chmod(cert, 0o644)
    os.chmod(key, 0o600)
    pollen, ekeyd, _ = start_tls(run, cert, key, "", "user = nobody", "group = nogroup")
    ekeyd.seeded()
    pollen.seed()
    certificate(run, "new")
    os.replace(run.path("new.key"), key)
    os.chmod(ekeyd.config, 0o644)  # which that user may read
    with ekeyd.controller() as control:
        control.command("Reload")
    ekeyd.program.wait_output("the certificate stays as it was.*Permission denied \\(ekeyd runs as the user nobody\\)")
    pollen.seed()


@test("pollen: what is wrong with a certificate or its key is told with the file, and nothing starts")
def bad_files(run):
    cert, key = certificate(run, "tls")
    _, other = certificate(run, "other")
    run.run("openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:x", "-out", run.path("locked.key"), path=need("openssl"))
    locked = run.path("locked.key")
    text = run.write("text", "no PEM\n")
    broken = run.write("broken.pem", run.read("tls.pem").decode().replace("M", "?", 3))
    open_key = run.write("open.key", run.read("tls.key").decode(), 0o644)
    both = run.write("both.pem", run.read("tls.pem").decode() + run.read("tls.key").decode())
    huge = run.write("huge.pem", "x" * 70000)
    missing = run.path("missing")
    for one, two, said in (
            (missing, key, f"certificate {missing} cannot be read: No such file"),
            (cert, missing, f"key {missing} cannot be read: No such file"),
            (run.folder, key, f"certificate {run.folder} is no regular file"),
            (text, key, f"certificate {text} is no PEM"),
            (cert, text, f"key {text} is no PEM"),
            (key, key, f"certificate {key} holds no certificate"),
            (cert, cert, f"key {cert} holds no private key"),
            (both, key, f"certificate {both} holds a private key, too"),
            (cert, open_key, f"key {open_key} is open to others \\(mode 0644\\)"),
            (cert, locked, f"key {locked} has a password"),
            (huge, key, f"certificate {huge} is longer than 65536 bytes"),
            (broken, key, f"cert {broken} with key {key}: "),
            (cert, other, f"cert {cert} with key {other}: .*match")):
        pollen = Pollen()
        out = run.run("ekeyd", "--foreground", "--config", "/dev/null", "--keyring", run.write("keyring", ""), "--control",
                      f"unix:{run.path('c')}", "--listen", f"pollen:127.0.0.1:{pollen.port},cert={one},key={two}", expect=1)
        check_contains(out, said, f"the message for {one} and {two}")


if __name__ == "__main__":
    main()
