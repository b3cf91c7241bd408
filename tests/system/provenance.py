"""Says which bytes of a noise source every served byte was made from.

The rules recomputed here, with Python's own SHA-512, are those that ekeyd documents (ekeyd/health/monitor.h,
ekeyd/conditioner/conditioner.h): tested noise is released in whole blocks of 2,500 bytes, counted from where the
health tests began; an output of 64 bytes is SHA-512 of the released bytes since the last output, as many as hold
64 * 8 + 64 bits at the claimed min-entropy; and when the source fails, the credit of what was gathered is taken back,
so that those bytes are in the next output beside a full measure of new ones.
"""
import hashlib

from harness import Failure

BLOCK = 2500
OUTPUT = 64
PACKET = 32  # the tests begin anew between packets, never within one


def measure(min_entropy):
    """Bytes of noise that an output takes."""
    return -(-(8 * OUTPUT + 64) // min_entropy)


def explain(served, stream, min_entropy):
    """Finds the origin of every whole output in `served`, which one client has read without a gap from the first
    byte on, in `stream`, the noise in the order in which it was decrypted. Returns the pieces of the stream that
    were used, as (begin, end), in order. Fails for an output that the rules cannot have made.
    """
    need = measure(min_entropy)
    used = []
    position = None  # where the next byte comes from
    block_end = None
    for index in range(len(served) // OUTPUT):
        output = served[OUTPUT * index:OUTPUT * (index + 1)]

        def is_output(*pieces):
            return hashlib.sha512(b"".join(stream[b:e] for b, e in pieces)).digest() == output

        found = None
        if position is not None and is_output((position, position + need)):
            found = [(position, position + need)]
        else:
            # What was gathered of the block that was being used up, if anything, then a later block.
            tail = [(position, block_end)] if position is not None and position < block_end else []
            gathered = sum(e - b for b, e in tail)
            earliest = block_end if block_end is not None else 0
            following = range(earliest, len(stream), BLOCK)  # a block was dropped
            anew = range(-(-earliest // PACKET) * PACKET, len(stream), PACKET)  # the tests began again
            for begin in (*following, *anew):
                for size in {need - gathered, need}:
                    if size > 0 and is_output(*tail, (begin, begin + size)):
                        found = [*tail, (begin, begin + size)]
                        block_end = begin + BLOCK
                        break
                if found:
                    break
        if not found:
            raise Failure(f"bytes {OUTPUT * index} to {OUTPUT * (index + 1)} that were served are not made of tested "
                          f"noise by the rules")
        used += found
        position = found[-1][1]
        while position > block_end:
            block_end += BLOCK
    return used


def bytes_from(used, begin, end):
    """How many of the bytes used lie in begin..end of the stream."""
    return sum(max(0, min(e, end) - max(b, begin)) for b, e in used)
