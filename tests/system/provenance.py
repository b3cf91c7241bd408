"""Says which bytes of a noise source every served byte was made from.

The rules recomputed here, with Python's own SHA-512 and a ChaCha20 of the tests' own, are those that ekeyd documents
(ekeyd/health/monitor.h, ekeyd/conditioner/conditioner.h, ekeyd/pool/rbg3_xor.h): tested noise is released in whole
blocks of 2,500 bytes, counted from where the health tests began; a conditioned output of 64 bytes is SHA-512 of the
released bytes since the last one, as many as hold 64 * 8 + 64 bits at the claimed min-entropy; and when the source
fails, the credit of what was gathered is taken back, so that those bytes are in the next output beside a full measure
of new ones. The first output seeds a generator and is not served. Those that follow are served XORed with the
generator's next 64 bytes, but for one now and then that reseeds it: after 64 KiB, or after a minute and 1 KiB.

Nothing here needs to be told a secret of the daemon: whoever knows all the noise knows all that is served.
"""
import copy
import hashlib
import itertools
import os
import sys

from harness import Failure

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors"))
from generator import Generator  # noqa: E402

BLOCK = 2500
OUTPUT = 64
PACKET = 32  # the tests begin anew between packets, never within one
RESEED_AFTER = 65536  # bytes served
RESEED_FEWEST = 1024  # not before so many, whatever the time


def measure(min_entropy):
    """Bytes of noise that an output takes."""
    return -(-(8 * OUTPUT + 64) // min_entropy)


class Unexplained(Failure):
    """`begin`: the first of the bytes served that the rules cannot have made."""

    def __init__(self, begin):
        super().__init__(f"bytes {begin} to {begin + OUTPUT} that were served are not made of tested noise by the rules")
        self.begin = begin


class Noise:
    """Where conditioned outputs may come from."""

    def __init__(self, stream, min_entropy):
        self._stream = stream
        self._need = measure(min_entropy)

    def candidates(self, position, block_end):
        """The pieces of the stream that the next output may be made of, likely ones first, each with the end of the
        block that its last byte is in. `position` is where the last output ended; None before the first."""
        need = self._need
        if position is not None:
            yield [(position, position + need)], block_end
        # What was gathered of the block that was being used up, if anything, then a later block.
        tail = [(position, block_end)] if position is not None and position < block_end else []
        gathered = sum(e - b for b, e in tail)
        earliest = block_end if block_end is not None else 0
        following = range(earliest, len(self._stream), BLOCK)  # a block was dropped
        anew = range(-(-earliest // PACKET) * PACKET, len(self._stream), PACKET)  # the tests began again
        for begin in (*following, *anew):
            for size in {need - gathered, need}:
                if size > 0:
                    yield [*tail, (begin, begin + size)], begin + BLOCK

    def output(self, pieces):
        return hashlib.sha512(b"".join(self._stream[b:e] for b, e in pieces)).digest()

    def find(self, output, position, block_end, likely):
        """`likely`: where no noise was dropped; quick."""
        candidates = itertools.islice(self.candidates(position, block_end), 1 if likely else None)
        return next((c for c in candidates if self.output(c[0]) == output), None)


def after(candidate):
    """Position and end of the block once the candidate is used up."""
    pieces, block_end = candidate
    position = pieces[-1][1]
    while position > block_end:
        block_end += BLOCK
    return position, block_end


def unmasked(output, generator):
    return bytes(a ^ b for a, b in zip(output, generator.generate(OUTPUT)))


def explain(served, stream, min_entropy, others=(), ends=None, unseen=0):
    """Finds the origin of every whole output in `served`, which one client has read without a gap from the first
    byte on, in `stream`, the noise in the order in which it was decrypted. `others` are what other takers have got
    meanwhile, each without a gap; `unseen`, how many outputs at most went where they cannot be read. To `ends` is added, for each output in `served`, where in the stream the last of its
    noise is. Returns the pieces of the stream that were used, those that became seeds too, as
    (begin, end), in order. Fails for an output that the rules cannot have made.
    """
    noise = Noise(stream, min_entropy)
    used = []
    generator = None  # before the first seed
    where = (None, None)

    def masked(output, likely):
        """Made with the generator as it is."""
        if generator is None or generator.since_reseed >= RESEED_AFTER:
            return None
        trial = copy.copy(generator)
        found = noise.find(unmasked(output, trial), *where, likely)
        return found and (trial, [found])

    def masked_after_reseed(output, likely):
        """An output became a seed and was not served; this is the next one."""
        if generator is not None and generator.since_reseed < RESEED_FEWEST:
            return None
        for seed in itertools.islice(noise.candidates(*where), 1 if likely else None):
            trial = (generator or Generator()).reseeded(noise.output(seed[0]))
            found = noise.find(unmasked(output, trial), *after(seed), likely)
            if found:
                return trial, [seed, found]
        return None

    takers = [served, *others]
    begins = [0] * len(takers)

    def next_output():
        """Who got it, and how it was made."""
        nonlocal generator, where, unseen
        found = search(True)
        while not found and unseen > 0:
            unseen -= 1
            if generator is None:
                seed = next(noise.candidates(*where))
                generator, where = Generator().reseeded(noise.output(seed[0])), after(seed)
            generator.generate(OUTPUT)
            where = after(next(noise.candidates(*where)))
            found = search(True)
        found = found or search(False)
        if not found:
            raise Unexplained(begins[0])
        return found

    def search(likely):
        for make in (masked, masked_after_reseed):
            for taker, data in enumerate(takers):
                output = data[begins[taker]:begins[taker] + OUTPUT]
                if len(output) == OUTPUT and (made := make(output, likely)):
                    return taker, made
        return None

    while begins[0] + OUTPUT <= len(served):
        taker, (generator, candidates) = next_output()
        begins[taker] += OUTPUT
        for candidate in candidates:
            used += candidate[0]
            where = after(candidate)
        if taker == 0 and ends is not None:
            ends.append(where[0])
    return used


def bytes_from(used, begin, end):
    """How many of the bytes used lie in begin..end of the stream."""
    return sum(max(0, min(e, end) - max(b, begin)) for b, e in used)
