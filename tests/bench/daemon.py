#!/usr/bin/python3
"""What the daemon costs, and how it shares: the real ekeyd, measured from outside.

usage: daemon.py idle-memory|idle-cpu|fairness EGD_LOAD
"""
import json
import os
import resource
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from clients import connect  # noqa: E402
from daemons import Ekeyd, Softkey  # noqa: E402
from harness import Run  # noqa: E402

KEY_RATE = 86  # entropy frames a second of an Entropy Key
FRAME = 32  # bytes of noise in one


def raise_file_limit(wanted):
    """For this process and what it starts. Returns the limit, which may be lower for who is not root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hard), max(wanted, hard)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def idle_memory(run, _):
    most = min(10_000, raise_file_limit(10_200) - 200)
    daemon = Ekeyd(run, softkeys=[Softkey(run)])
    daemon.seeded()
    print(f"{daemon.memory()} kB resident, of it {daemon.program.status('RssAnon')} kB its own")
    idle = []
    for count in (64, 1000, most):
        new = [connect(daemon.egd, 60) for _ in range(count - len(idle))]
        for client in new:
            client.sendall(b"\x00")
        for client in new: # each is answered once, so each was accepted
            client.recv(4)
        idle += new
        print(f"{daemon.memory()} kB with {count} idle clients")


def cpu_seconds(pid):
    """Processor time that a process has used: its clock, as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def percent_of_a_core(pid, seconds):
    used, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(pid) - used) / (time.monotonic() - began)


def idle_cpu(run, _):
    for name, settings, what in (("filling", [], "while the pool fills"),
                                 ("full", ["pool-size = 320"], "with a full pool")):
        daemon = Ekeyd(run, *settings, name=name, softkeys=[Softkey(run, name=name + "-key", rate=KEY_RATE)])
        daemon.seeded(1)
        used = percent_of_a_core(daemon.program.pid, 8)
        print(f"{used:.3f} % of a core with one key at {KEY_RATE} frames a second, {what}")
        daemon.program.stop()


def measure_fairness(egd_load, daemon, seconds, sizes):
    said = subprocess.run([egd_load, daemon.egd, "1000", str(seconds), *map(str, sizes)], check=True,
                          capture_output=True, text=True).stdout
    result = json.loads(said)
    print(f"1,000 readers of {' and '.join(map(str, sizes))} bytes for {result['seconds']:.0f} s: "
          f"{result['bytes'] / result['seconds']:.0f} bytes/s, {result['bytes'] / 1000:.0f} bytes each, "
          f"Jain's index {result['jain']:.4f}", flush=True)


def feed(path, rate):
    """Noise into a FIFO, `rate` bytes a second, until nobody reads it."""
    pause = 0.01
    try:
        with open(path, "wb", buffering=0) as fifo:
            due = time.monotonic()
            while True:
                fifo.write(os.urandom(int(rate * pause)))
                due = max(due + pause, time.monotonic() - 1)
                time.sleep(max(0, due - time.monotonic()))
    except BrokenPipeError:
        pass


def fairness(run, egd_load):
    """An answer cannot be divided: with 130 bytes for each reader, only those of small requests can be compared. So a
    faster source serves the mixed ones."""
    raise_file_limit(2000)
    slow = Ekeyd(run, name="slow", softkeys=[Softkey(run, rate=3000 / FRAME)])
    slow.seeded(1)
    print("an Entropy Key's interface at 3 kB/s:")
    measure_fairness(egd_load, slow, 60, [16])
    slow.program.stop()
    fifo = run.path("noise")
    os.mkfifo(fifo)
    threading.Thread(target=feed, args=(fifo, 1_000_000), daemon=True).start()
    fast = Ekeyd(run, f"source = device:{fifo}", name="fast")
    fast.seeded(1)
    print("a source of 1 MB/s:")
    for sizes in ([255], [16, 255]):
        measure_fairness(egd_load, fast, 8, sizes)


def main():
    works = {"idle-memory": idle_memory, "idle-cpu": idle_cpu, "fairness": fairness}
    if len(sys.argv) != 3 or sys.argv[1] not in works:
        sys.exit(__doc__)
    run, failed = Run(), True
    try:
        works[sys.argv[1]](run, sys.argv[2])
        failed = False
    finally:
        run.close(failed)


main()
