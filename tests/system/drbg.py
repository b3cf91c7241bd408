#!/usr/bin/python3
"""A listener with output=drbg on the real daemon: unseeded, seeded, without its key, and with prediction resistance."""
from clients import Egd
from daemons import Ekeyd, Softkey
from harness import check, check_equal, main, test, wait_until

SEED = 64  # bytes of the pool that a reseed takes


def address(run, name="drbg"):
    return f"unix:{run.path(name)}"


def no_more_noise(key, daemon):
    """Unplugs the key, and waits until nothing of it is on its way any more."""
    key.program.stop() # which takes its tty along
    wait_until(lambda: daemon.key()["Status"].startswith("Key closed"), "the key is seen to be gone", 30)


def plug_in(run, daemon):
    """A key in the place of the one that is gone; it has a serial number of its own."""
    key = Softkey(run)
    with daemon.controller() as control:
        control.command(f'Keyring("{key.keyring}")')


def drain(daemon):
    """Takes what the pool holds, by way of a full-entropy listener."""
    with daemon.client() as client:
        while client.read_now(255):
            pass


@test("promise 3: drbg: unseeded it refuses: a blocking read waits, the other gives nothing, the level is 0")
def unseeded(run):
    key_path = run.path("softkey.pty")
    daemon = Ekeyd(run, f"listen = {address(run)},output=drbg", f"source = entropykey:{key_path}",
                   keyring=run.write("keyring", ""))
    with Egd(address(run)) as waiting, Egd(address(run)) as asking:
        waiting.ask(255)
        check_equal(asking.level(), 0, "bits available")
        check_equal(asking.read_now(255), b"", "a non-blocking read")
        check(waiting.silent_for(0.5), "a blocking read was answered")
        plug_in(run, daemon)
        check_equal(len(waiting.receive(255, 60)), 255, "bytes once there is a seed")
        check(asking.level() > 0, "the level is still 0")


@test("promise 3: drbg: without its key it serves on, until its seed is older than max-age; then again with the key")
def too_old(run):
    key = Softkey(run)
    daemon = Ekeyd(run, f"listen = {address(run, 'short')},output=drbg,max-age=1",
                   f"listen = {address(run, 'long')},output=drbg,max-age=3600", softkeys=[key])
    with Egd(address(run, "short")) as short, Egd(address(run, "long")) as long:
        short.read(255, 60)
        no_more_noise(key, daemon)
        drain(daemon)
        wait_until(lambda: short.read_now(1) == b"", "the seed is too old for max-age=1", 30)
        check_equal(short.level(), 0, "bits available")
        short.ask(16)
        check(short.silent_for(0.5), "a blocking read was answered from a seed that is too old")
        check_equal(len(long.read(100_000)), 100_000, "bytes for the listener with max-age=3600")
        plug_in(run, daemon)
        check_equal(len(short.receive(16, 60)), 16, "bytes once the key is back")


@test("promise 3: drbg: prediction resistance takes a seed for each request, and waits when there is none")
def prediction_resistance(run):
    key = Softkey(run)
    daemon = Ekeyd(run, f"listen = {address(run, 'fresh')},output=drbg,prediction-resistance=yes",
                   f"listen = {address(run, 'plain')},output=drbg", softkeys=[key])
    daemon.seeded(1000)
    with daemon.client() as pool, Egd(address(run, "fresh")) as fresh, Egd(address(run, "plain")) as plain:
        wait_until(lambda: pool.level() >= 8 * 20 * SEED, "noise for twenty seeds")
        plain.read(32)
        no_more_noise(key, daemon)
        held = pool.level()
        for size in (1, 32, 255):
            check_equal(len(fresh.read(size)), size, "bytes")
            held -= 8 * SEED
            check_equal(pool.level(), held, f"bits in the pool after a read of {size} bytes")
        check_equal(len(fresh.read_now(16)), 16, "bytes of a non-blocking read")
        check_equal(pool.level(), held - 8 * SEED, "bits in the pool after a non-blocking read")
        drain(daemon)
        check_equal(fresh.read_now(16), b"", "a non-blocking read without noise for a seed")
        fresh.ask(16)
        check(fresh.silent_for(0.5), "a read was answered without a fresh seed")
        check_equal(len(plain.read(1000)), 1000, "bytes for the listener without prediction resistance")
        plug_in(run, daemon)
        check_equal(len(fresh.receive(16, 60)), 16, "bytes once the key is back")


@test("promise 4: drbg: what two clients get never repeats, by one listener or two, across reseeds")
def never_twice(run):
    daemon = Ekeyd(run, f"listen = {address(run, 'a')},output=drbg,max-age=1", f"listen = {address(run, 'b')},output=drbg",
                   f"listen = {address(run, 'c')},output=drbg,prediction-resistance=yes", softkeys=[Softkey(run)])
    got = [bytearray() for _ in range(6)]
    clients = [Egd(address(run, "abc"[n % 3])) for n in range(6)]
    for size in (1, 16, 31, 255) * 50:
        for client in clients:
            client.ask(size)
        for stream, client in zip(got, clients):
            stream += client.receive(size, 60)
    got.append(daemon.seeded(5000))
    seen = set()
    for stream in got:
        for at in range(len(stream) - 7):
            piece = bytes(stream[at:at + 8])
            check(piece not in seen, f"8 bytes came twice: {piece.hex()}")
            seen.add(piece)
    print(f"{sum(map(len, got))} bytes, every 8 of them once")


if __name__ == "__main__":
    main()
