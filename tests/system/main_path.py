#!/usr/bin/python3
"""The whole way, from a dongle's sealed frames to a client's bytes, with several of everything, and captures."""
import os
import re
import threading

from clients import ControlError, Egd, free_port
from daemons import Ekeyd, Softkey
from harness import Failure, check, check_contains, check_equal, main, program, test, wait_until
from provenance import BLOCK, OUTPUT, explain, measure


def whole_way(run, transport):
    key = Softkey(run, transport=transport)
    daemon = Ekeyd(run, softkeys=[key])
    served = daemon.seeded(20 * OUTPUT)
    check_equal(len(explain(served, key.plaintext(), 7)), 1 + 20, "a seed and outputs made of what softkey sealed")
    row = daemon.key()
    check_equal((row["OK"], row["Status"], row["Path"], row["SerialNo"]), ("YES", "Running OK", key.path, key.serial),
                "the row of ListEntropyKeys")


@test("from a dongle on a pty to a client: every byte is the hash of tested noise, XORed with the generator's")
def pty(run):
    whole_way(run, "pty")


@test("from a dongle on a Unix socket to a client: every byte is the hash of tested noise, XORed with the generator's")
def unix_socket(run):
    whole_way(run, "unix")


@test("promise 4: no byte twice: eight clients on two listeners share what is served without an overlap")
def no_byte_twice(run):
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run, rate=2000)])
    got = [b""] * 8

    def drink(which):
        with Egd(daemon.egd if which % 2 else f"tcp:127.0.0.1:{port}") as client:
            for turn in range(40):
                if turn % 3:
                    got[which] += client.read(48)
                else:
                    got[which] += client.read_now(48)

    threads = [threading.Thread(target=drink, args=(which,)) for which in range(len(got))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = set()
    for stream in got:
        for at in range(len(stream) - 7):
            piece = stream[at:at + 8]
            check(piece not in seen, f"8 bytes came twice: {piece.hex()}")
            seen.add(piece)
    print(f"{sum(map(len, got))} bytes, every 8 of them once")


@test("promise 3: unseeded: clients wait or get a short answer, never a byte")
def unseeded(run):
    daemon = Ekeyd(run)
    with daemon.client() as waiting, daemon.client() as asking:
        waiting.ask(16)
        check_equal(asking.level(), 0, "bits available")
        check_equal(asking.read_now(16), b"", "a non-blocking read")
        check(waiting.silent_for(1), "a blocking read was answered")
        key = Softkey(run)
        with daemon.controller() as control:
            control.command(f'Keyring("{key.keyring}")')
            control.command(f'AddEntropyKey("{key.path}")')
        check_equal(len(waiting.receive(16)), 16, "bytes once there is a key")


@test("EGD: level, both reads, write and process id, one by one and pipelined; each answer is one piece")
def egd_commands(run):
    daemon = Ekeyd(run, softkeys=[Softkey(run, rate=2000)])
    daemon.seeded(512)
    with daemon.client() as client:
        wait_until(lambda: client.level() >= 4096, "a level of 4,096 bits")
        client.write(b"some bytes that are thrown away", 8)
        digits = client.process_id()
        check(digits.isdigit() and int(digits) == daemon.program.pid, f"process id {digits!r}")
        client.send(b"\x01\x14")
        check_equal(len(client.socket.recv(1000)), 21, "bytes of the first recv() for a read of 20")
        client.send(b"\x02\x20\x00\x01\x10\x03\x00\x00\x02hi\x02\x08")
        client.receive(32 + 4)
        check_equal(client.receive(1)[0], 16, "the count of the pipelined read")
        client.receive(16 + 8)
        client.send(b"\x02\x00\x01\x00")  # reads of nothing
        check_equal(client.receive(1), b"\x00", "the answer to reads of nothing")


@test("capture returns exactly the plaintext that softkey logged, and none of it reaches the pool")
def capture(run):
    key = Softkey(run, rate=500)
    daemon = Ekeyd(run, softkeys=[key])
    served = daemon.seeded()
    size = 20_000
    captured = captured_bytes(run, daemon, size)
    check_equal(len(captured), size, "bytes captured")
    plain = key.plaintext()
    where = plain.find(captured)
    check(where >= 0, "what was captured is no part of what softkey sealed")
    print(f"{size} bytes captured: those from byte {where} of softkey's log on")
    # The pool goes on with what came before and after, never with what was captured: all that is served is explained
    # by the noise without it.
    with daemon.client() as client:
        served += client.read((where // measure(7) + 64) * OUTPUT)
    check(captured not in served, "captured bytes were served")
    plain = key.plaintext()
    used = explain(served, plain[:where] + plain[where + size:], 7)
    check(max(e for _, e in used) > where + BLOCK, "nothing was served of the noise after the capture")


def captured_bytes(run, daemon, size):
    """Runs `ekeydctl capture`, whose standard output is binary, into a file."""
    out = run.path("captured")
    run.run("ekeydctl", "-c", '"$0" --socket "$1" capture 1 "$2" > "$3"', program("ekeydctl"), daemon.control[5:], size,
            out, path="/bin/sh")
    with open(out, "rb") as file:
        return file.read()


@test("capture into a closed pipe, and a source that goes away in the middle: an error there, others served on")
def capture_cut_short(run):
    key = Softkey(run, rate=100)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded()
    run.run("ekeydctl", "-c", '"$0" --socket "$1" capture 1 1000000 | head -c 100 | wc -c', program("ekeydctl"),
            daemon.control[5:], path="/bin/sh")
    wait_until(lambda: captures_again(run, daemon), "another capture is possible once the first one's client has gone")
    half = run.start("ekeydctl", "--socket", daemon.control[5:], "capture", "1", "1000000")
    wait_until(half.output, "captured bytes")
    with daemon.controller() as control:
        control.command('RemoveEntropyKey("1")')
    check(half.wait() != 0, "a capture that was cut short ended with status 0")
    check_contains(half.output()[-300:], r"removed|ended", "what ekeydctl says")


def captures_again(run, daemon):
    tried = run.start("ekeydctl", "--socket", daemon.control[5:], "capture", "1", "10")
    return tried.wait() == 0


@test("several sources, listeners and sinks at once, added and removed while clients are served")
def several(run):
    keys = [Softkey(run, name=f"key{n}", transport=("pty", "unix")[n % 2]) for n in range(3)]
    port = free_port()
    daemon = Ekeyd(run, f"sink = file:{run.path('file')}", f"listen = tcp:127.0.0.1:{port}", softkeys=keys[:1])
    daemon.seeded()
    wait_until(lambda: size_of(run.path("file")) >= 64, "bytes in the file of the sink")
    with daemon.client() as all_along, daemon.controller() as control:
        all_along.read(64)
        for key in keys[1:]:
            _, words = control.command(f'AddEntropyKey("{key.path}","{key.serial}")')
            check_contains(words, r"^ID \d+$", "the answer to AddEntropyKey")
        wait_until(lambda: [row["Status"] for row in control.keys()] == ["Running OK"] * 3, "three keys that run")
        all_along.read(64)
        for identity, left in ((keys[0].serial, 2), (keys[1].path, 1)):
            control.command(f'RemoveEntropyKey("{identity}")')
            check_equal(len(control.keys()), left, "keys left")
        check_equal(control.keys()[0]["SerialNo"], keys[2].serial, "the key that is left")
        all_along.read(64)
        refused(control, f'AddEntropyKey("{run.path("nothing")}")')
        refused(control, f'AddEntropyKey("{keys[2].path}","{keys[0].serial}")')  # it is not that one
        _, words = control.command(f'AddEntropyKey("{keys[2].path}","{keys[2].serial}")')
        check_equal(words, "ID 3", "the answer for a key that is there already, by its serial number")
        _, words = control.command(f'AddEntropyKey("{keys[2].path}")')
        check_equal(words, "ID 3", "the answer for a key that is there already")
        check_equal(len(control.keys()), 1, "keys after it was added again")
        all_along.read(64)
        end_of_listener_and_sink(run, daemon, control, port)
        all_along.read(64)


def end_of_listener_and_sink(run, daemon, control, port):
    """Adds a listener, removes both TCP listeners and the file; the clients of what goes lose their connection."""
    later = run.path("later.sock")
    ctl = ("ekeydctl", "--socket", daemon.control[5:])
    run.run(*ctl, "listen", f"unix:{later},mode=0600")
    with Egd("unix:" + later) as client, Egd(f"tcp:127.0.0.1:{port}") as old:
        check_equal(len(client.read(64)), 64, "bytes of the listener that was added")
        run.run(*ctl, "unlisten", f"unix:{later},mode=0600")
        run.run(*ctl, "unlisten", f"tcp:127.0.0.1:{port}")
        check(client.closed_within() and old.closed_within(), "clients of a listener that was removed")
    check(not os.path.exists(later), "the socket of a listener that was removed is left behind")
    check_contains(run.run(*ctl, "show"), re.escape(run.path("file")), "what show tells of sinks")
    run.run(*ctl, "unsink", f"file:{run.path('file')}")
    size = size_of(run.path("file"))
    run.run(*ctl, "sink", f"file:{run.path('second')}")
    wait_until(lambda: size_of(run.path("second")) >= 64, "bytes in the file of the second sink")
    check_equal(size_of(run.path("file")), size, "bytes in the file after its sink was removed")


def size_of(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def refused(control, command):
    try:
        control.command(command)
    except ControlError as error:
        check(len(str(error)) > len("ERROR "), f"{command}: an error without a reason")
        return
    raise Failure(f"{command} was not refused")


@test("promise 8: a key that is absent at the start is waited for")
def absent_at_start(run):
    late = run.path("softkey.pty")
    daemon = Ekeyd(run, f"source = entropykey:{late}", keyring=run.write("keyring", ""))
    with daemon.client() as client:
        client.ask(8)
        check(client.silent_for(0.5), "a byte without a source")
        told = [line for line in daemon.program.output().splitlines() if "No such file" in line]
        check_equal(len(told), 1, f"lines that tell of it: {told}")
        key = Softkey(run)
        with daemon.controller() as control:
            control.command(f'Keyring("{key.keyring}")')
        check_equal(len(client.receive(8)), 8, "bytes once the key is there")


@test("device: /dev/urandom is served after its tests; /dev/zero is not, and the reason is told")
def devices(run):
    daemon = Ekeyd(run, "source = device:/dev/urandom,min-entropy=4")
    daemon.seeded()
    zeros = Ekeyd(run, "source = device:/dev/zero", name="zeros")
    with zeros.client() as client:
        client.ask(1)
        zeros.program.wait_output(r"source has failed.*repetition")
        check(client.silent_for(1), "a byte made of zeros was served")
    check_contains(zeros.health(), r"Failure=repetition", "health")


@test("promise 2: min-entropy=0 is mixed in and never credited: alone it serves nothing")
def no_credit(run):
    daemon = Ekeyd(run, "source = device:/dev/urandom,min-entropy=0")
    with daemon.client() as client, daemon.controller() as control:
        wait_until(lambda: int(control.statistics("1")["BytesReleased"]) > 10 * 2500, "released blocks of the source")
        check_equal(client.read_now(1), b"", "a byte that nobody vouches for")
        check_equal(client.level(), 0, "bits available")


if __name__ == "__main__":
    main()
