"""Looks for secrets in what programs have written, in any form that a log could give them."""
import base64
import binascii
import re

from harness import check

WINDOW = 8  # bytes: less may be there by chance, and as much of a key is no secret that is left

# Bytes in hexadecimal: aabb, AA:BB, aa bb, 0xaa, 0xbb and the like.
HEXADECIMAL = re.compile(rb"(?:(?:0x|\\x)?[0-9a-f]{2}[ :,._-]{0,2}){8,}", re.IGNORECASE)
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{11,}")  # both alphabets of RFC 4648


def unescaped(text):
    """What append_escaped() in ekeyd/runtime/log_text.cpp was given."""
    return re.sub(rb'\\(?:x([0-9a-f]{2})|(["\\]))', lambda m: bytes.fromhex(m[1].decode()) if m[1] else m[2], text)


def forms(text):
    """What `text` may stand for: itself, and all that is hexadecimal or base64 in it."""
    for view in {text, unescaped(text)}:
        yield view
        for run in HEXADECIMAL.findall(view):
            digits = re.sub(rb"(?i)0x|\\x|[^0-9a-f]", b"", run)
            for half in (digits, digits[1:]):  # a digit before it may belong to the word there
                yield binascii.unhexlify(half[:len(half) & ~1])
        for run in BASE64.findall(view):
            for at in range(4):  # the same
                part = run[at:].translate(bytes.maketrans(b"-_", b"+/"))
                yield base64.b64decode(part + b"A" * (-len(part) % 4))


class Secrets:
    def __init__(self):
        self._known = []

    def add(self, name, data):
        check(len(data) >= WINDOW, f"{name}: {len(data)} bytes")
        self._known.append((name, bytes(data)))

    def add_text(self, name, text):
        """A key as people see it, with its groups and without."""
        for form in {text, text.replace(" ", "")}:
            self.add(name, form.encode())

    def found(self, output):
        """The first piece of a secret that is in the bytes of a log: its name, and the piece; or None."""
        pieces = {view[at:at + WINDOW] for view in forms(output) for at in range(len(view) - WINDOW + 1)}
        for name, data in self._known:
            for at in range(len(data) - WINDOW + 1):
                piece = data[at:at + WINDOW]
                # A faulty dongle's noise is all zero, which is no secret.
                if piece in pieces and len(set(piece)) > 2:
                    return name, piece
        return None

    def check_absent(self, *programs):
        for program in programs:
            found = self.found(program.output_bytes())
            check(not found, f"the log of {program.name} holds {found and found[0]}: {found and found[1]!r}")

    def check_finds(self, run, secret):
        """Nothing is shown by a search that finds nothing. `secret` is a part of one."""
        escaped = "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\x{b:02x}" for b in secret).encode()
        hexadecimal = secret.hex().encode()
        for planted in (secret, escaped, hexadecimal, hexadecimal.upper(), secret.hex(":").encode(), secret.hex(" ").encode(),
                        b", ".join(b"0x%02x" % b for b in secret), b"\\x" + secret.hex("!").replace("!", "\\x").encode(),
                        base64.b64encode(b"??" + secret), base64.urlsafe_b64encode(secret), base64.b64encode(b"x" + secret)):
            # By a program, because what is kept of its output must be what it has written.
            with open(run.path("planted"), "wb") as file:
                file.write(b"<6>event key=" + planted + b" n=1\n")
            log = run.start("cat", run.path("planted"), path="cat")
            check(log.wait() == 0 and self.found(log.output_bytes()), f"a planted secret was not found: {planted!r}")
