"""What ekeyd serves, as a stream for a battery: from a synthetic source, fast and poor, by way of the whole daemon."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from clients import Egd  # noqa: E402
from daemons import Ekeyd  # noqa: E402

MODES = ("full-entropy", "drbg")
CHUNK = 1 << 16


def poor_noise(size):
    """Bits that are 1 in 51.6 % of cases, and depend on those before: worth more than 6 bits a byte, and no battery
    takes them for good."""
    bits = int.from_bytes(os.urandom(size), "little")
    both = bits & bits >> 21
    fours = both & both >> 9
    return (bits | (fours >> 64 & bits >> 133)).to_bytes(size, "little")


def poor(size):
    """The negative control."""
    for done in range(0, size, CHUNK):
        yield poor_noise(min(CHUNK, size - done))


def feed_fifo(path):
    """Until nobody reads it."""
    try:
        with open(path, "wb", buffering=0) as fifo:
            while True:
                fifo.write(poor_noise(CHUNK))
    except BrokenPipeError:
        pass


def served(run, mode, size):
    """`size` bytes from a listener with output=`mode`."""
    fifo = run.path(mode)
    os.mkfifo(fifo)
    threading.Thread(target=feed_fifo, args=(fifo,), daemon=True).start()
    address = f"unix:{run.path(mode + '.out')}"
    daemon = Ekeyd(run, f"source = device:{fifo},min-entropy=4,fips=no", f"listen = {address},output={mode}", name=mode)
    requests = b"\x02\xff" * 16 # less than what makes the daemon wait until answers are read
    with Egd(address) as client:
        client.ask(255)
        client.receive(255, 60)
        client.send(requests * 4)
        left = size
        while left > 0:
            client.send(requests)
            chunk = client.receive(255 * 16, 60)[:left]
            left -= len(chunk)
            yield chunk
    daemon.program.stop()
