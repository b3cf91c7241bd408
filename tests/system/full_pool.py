#!/usr/bin/python3
"""While the pool is full its sources are paused. Whoever needs them all the same has them: one that waits, a startup test, a capture."""
import os

from clients import free_port
from daemons import Ekeyd
from egd_server import EgdServer
from harness import check, check_contains, check_equal, main, program, test, wait_until

NOISE = "source = device:/dev/urandom,min-entropy=7"


def is_full(daemon, size):
    """For wait_until: no output of 64 bytes fits any more, and the source is read no longer."""
    before = daemon.statistic("BytesRead")
    held = int(next(row for row in daemon.health().splitlines() if row.startswith("PoolBytes=")).partition("=")[2])
    return held > size - 64 and daemon.statistic("BytesRead") == before


@test("promise 8: who waits for more than a full pool has for it is served, though the pool is hardly below its brim")
def more_than_left(run):
    daemon = Ekeyd(run, NOISE, "pool-size = 320")  # the smallest
    wait_until(lambda: is_full(daemon, 320), "the pool is full")
    with daemon.client() as client, daemon.client() as other:
        check_equal(len(client.read(70)), 70, "bytes")
        check_equal(len(client.read(255)), 255, "bytes")
        check_equal(len(other.read(10)), 10, "bytes for another one")


@test("promise 8: a remote client is served though the reserve keeps nearly all of the pool; from a device and from an EGD server")
def behind_the_reserve(run):
    server = EgdServer(f"unix:{run.path('upstream')}")
    for name, source in (("device", NOISE), ("upstream", f"source = egd:{server.address},min-entropy=7")):
        tcp = f"tcp:127.0.0.1:{free_port()}"
        daemon = Ekeyd(run, source, "reserve = 60000", f"listen = {tcp}", name=name)
        wait_until(lambda daemon=daemon: is_full(daemon, 65536), "the pool is full")
        with daemon.client() as local:
            for _ in range(25):
                check_equal(len(local.read(255)), 255, "bytes for a local client")
        daemon.egd = tcp
        with daemon.client() as remote:
            for _ in range(25):
                check_equal(len(remote.read(255)), 255, f"bytes for a remote client, of {name}")
        daemon.program.stop()


@test("a source that is reset or given anew while nobody takes anything passes its startup test, and is paused again")
def startup_test(run):
    daemon = Ekeyd(run, NOISE)
    wait_until(lambda: is_full(daemon, 65536), "the pool is full")
    released = int(daemon.statistic("BytesReleased"))
    run.run("ekeydctl", "--socket", daemon.control[5:], "reset", "1")
    wait_until(lambda: int(daemon.statistic("BytesReleased")) > released, "it passes a startup test after its reset")
    check_equal(daemon.key()["Status"], "Running OK", "its status")
    wait_until(lambda: is_full(daemon, 65536), "it is paused again")
    with open(daemon.config, encoding="ascii") as file:
        text = file.read()
    with open(daemon.config, "w", encoding="ascii") as file:
        file.write(text.replace("min-entropy=7", "min-entropy=6"))
    run.run("ekeydctl", "--socket", daemon.control[5:], "reload")
    wait_until(lambda: (daemon.key(2) or {}).get("Status") == "Running OK", "it is healthy with its new claim")


@test("capture: from a source that is paused, because the pool is full")
def captured(run):
    daemon = Ekeyd(run, NOISE)
    wait_until(lambda: is_full(daemon, 65536), "the pool is full")
    out = run.path("captured")
    run.run("ekeydctl", "-c", '"$0" --socket "$1" capture 1 20000 > "$2"', program("ekeydctl"), daemon.control[5:], out, path="/bin/sh")
    check_equal(os.path.getsize(out), 20000, "bytes captured")
    wait_until(lambda: is_full(daemon, 65536), "it is paused again")


@test("a source that has failed is not read at full speed, while there is room in the pool")
def failed(run):
    server = EgdServer(f"unix:{run.path('zeros')}", data=bytes)
    daemon = Ekeyd(run, f"source = egd:{server.address},min-entropy=7", "source = device:/dev/zero")
    daemon.program.wait_output(r"source has failed.*egd:")
    daemon.program.wait_output(r"source has failed.*zero")
    # In the time in which each is tried again 4096 bytes are read ten times, and a read of a device's may be as large.
    daemon.program.wait_output(r"(?s)is tried again.*is tried again", 30)
    for number in (1, 2):
        read = int(daemon.statistic("BytesRead", number))
        check(read < 30 * 4096, f"source {number}: {read} bytes were read in 10 seconds to be thrown away")
        check(read > 4096, f"source {number} was not read any more")
    check_contains(daemon.health("1"), "Failure=repetition", "health")


if __name__ == "__main__":
    main()
