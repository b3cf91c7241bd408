#!/usr/bin/python3
"""The generator of ekeyd/pool/generator.h, written anew from its rules in plain Python, and the vectors it makes.

    python3 generator.py > generator.json

ChaCha20 is written from RFC 8439 and checked against its vectors (2.3.2 and appendix A.1) before anything is printed.
The system tests use the class, too, to recompute what ekeyd serves.
"""
import hashlib
import json
import struct

KEY = 32
BUFFER = 1024 - KEY


def chacha20_block(key, counter, nonce):
    def quarter(a, b, c, d):
        s[a] = s[a] + s[b] & 0xffffffff
        s[d] ^= s[a]
        s[d] = (s[d] << 16 | s[d] >> 16) & 0xffffffff
        s[c] = s[c] + s[d] & 0xffffffff
        s[b] ^= s[c]
        s[b] = (s[b] << 12 | s[b] >> 20) & 0xffffffff
        s[a] = s[a] + s[b] & 0xffffffff
        s[d] ^= s[a]
        s[d] = (s[d] << 8 | s[d] >> 24) & 0xffffffff
        s[c] = s[c] + s[d] & 0xffffffff
        s[b] ^= s[c]
        s[b] = (s[b] << 7 | s[b] >> 25) & 0xffffffff

    start = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, *struct.unpack("<8L", key), counter,
             *struct.unpack("<3L", nonce)]
    s = list(start)
    for _ in range(10):
        quarter(0, 4, 8, 12)
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return struct.pack("<16L", *(a + b & 0xffffffff for a, b in zip(s, start)))


class Generator:
    """Key erasure: each refill is 1,024 bytes of key stream, the first 32 of which are the next key."""

    def __init__(self, key=bytes(KEY), rest=b""):
        self.key = key
        self._rest = rest  # of the buffer
        self.since_reseed = 0

    def reseeded(self, seed):
        """Another one, in the state after a reseed."""
        return Generator(hashlib.sha512(self.key + seed).digest()[:KEY])

    def generate(self, size):
        out = b""
        while len(out) < size:
            if not self._rest:
                stream = b"".join(chacha20_block(self.key, i, bytes(12)) for i in range((KEY + BUFFER) // 64))
                self.key, self._rest = stream[:KEY], stream[KEY:]
            take = size - len(out)
            out, self._rest = out + self._rest[:take], self._rest[take:]
        self.since_reseed += size
        return out


def check():
    block = chacha20_block(bytes(range(32)), 1, bytes.fromhex("000000090000004a00000000"))  # RFC 8439, 2.3.2
    assert block.hex() == ("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
                           "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e")
    block = chacha20_block(bytes(32), 0, bytes(12))  # RFC 8439, A.1, test vector 1
    assert block.hex() == ("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                           "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586")


def vectors():
    seeds = [hashlib.sha512(b"seed %d" % i).digest() for i in range(3)]
    steps = []
    generator = Generator()
    for seed, sizes in ((seeds[0], (1, 31, 32, 255, 673, 1, 992, 2500)), (seeds[1], (100,)), (seeds[2], (64, 64))):
        generator = generator.reseeded(seed)
        steps.append({"seed": seed.hex(), "outputs": [generator.generate(size).hex() for size in sizes]})
    return {"about": "Made by generator.py, an independent implementation of the rules in ekeyd/pool/generator.h, "
                     "checked against RFC 8439. Each seed is mixed into the state that the step before it left.",
            "steps": steps}


if __name__ == "__main__":
    check()
    print(json.dumps(vectors(), indent=1))
