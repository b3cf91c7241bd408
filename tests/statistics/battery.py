"""Statistical tests of a stream of bytes, by packaged programs: rngtest (FIPS 140-2), ent and dieharder.

They cannot show that bytes are hard to guess; what a hash or a cipher makes passes whatever went in. They find
mistakes on the way out: bytes that repeat, are left out, are not masked, or come from an empty buffer.

A battery is fed with chunks and says in the end what failed. What a perfect stream fails once in a million runs or
more seldom is a failure; all else is shown and left to the reader.
"""
import math
import re
import shutil
import subprocess
import tempfile

# dieharder's tests that take at most 500 MB each, in the order of what they take; the others of its list want
# gigabytes a test.
DIEHARDER = {
    100: "sts monobit", 101: "sts runs", 0: "diehard birthdays", 12: "diehard 3d sphere", 10: "diehard parking lot",
    11: "diehard 2d sphere", 15: "diehard runs", 102: "sts serial", 4: "diehard bitstream",
    8: "diehard count the 1s", 9: "diehard count the 1s, byte", 16: "diehard craps", 13: "diehard squeeze",
    3: "diehard rank 6x8", 2: "diehard rank 32x32", 209: "dab monobit",
}


class Stopped(Exception):
    """The program takes no more."""


class Program:
    def __init__(self, *command):
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self.output, stderr=subprocess.STDOUT)

    def feed(self, chunk):
        try:
            self.process.stdin.write(chunk)
        except BrokenPipeError:
            raise Stopped from None

    def result(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.output.seek(0)
        return self.output.read().decode()

    def kill(self):
        self.process.kill()
        self.result()


def need(name):
    path = shutil.which(name)
    if not path:
        raise FileNotFoundError(f"{name} is not installed (tests/run installs it)")
    return path


class Rngtest:
    """FIPS 140-2 over blocks of 2,500 bytes."""
    name = "rngtest"

    def __init__(self):
        self.program = Program(need("rngtest"))

    def feed(self, chunk):
        self.program.feed(chunk)

    def verdict(self):
        text = self.program.result()
        passed, failed = (int(re.search(rf"FIPS 140-2 {what}: (\d+)", text)[1]) for what in ("successes", "failures"))
        # Of a perfect stream 8 blocks in 10,000 fail; so many more than that, by Chernoff's bound, in 1e-9 of runs.
        expected = 8e-4 * (passed + failed)
        most = 0
        while most <= expected or expected - most + most * math.log(most / expected) < math.log(1e9):
            most += 1
        return [(f"rngtest: of {passed + failed} blocks {failed} failed, {expected:.1f} expected, {most} allowed",
                 failed <= most and passed > 0)]


class Ent:
    """The distribution of bytes, and how much one tells of the next."""
    name = "ent"

    def __init__(self):
        self.program = Program(need("ent"), "-t")

    def feed(self, chunk):
        self.program.feed(chunk)

    def verdict(self):
        row = self.program.result().splitlines()[1].split(",")
        size, chi_square, correlation = int(row[1]), float(row[3]), float(row[6])
        # Both in standard deviations: chi-square of 255 degrees of freedom by Wilson and Hilferty's approximation.
        spread = 2 / (9 * 255)
        chi = ((chi_square / 255) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
        serial = correlation * math.sqrt(size)
        return [(f"ent: chi-square of bytes {chi_square:.1f}, {chi:+.1f} standard deviations", abs(chi) < 6),
                (f"ent: serial correlation {correlation:+.6f}, {serial:+.1f} standard deviations", abs(serial) < 6)]


class Dieharder:
    """Its tests one after the other, each on the bytes that follow; the one that the stream's end cuts off counts for
    nothing."""
    name = "dieharder"

    def __init__(self, tests=tuple(DIEHARDER), samples=100):
        """`samples`: p-values that a test makes and judges together."""
        self.left = list(tests)
        self.samples = samples
        self.results = []
        self.start()

    def start(self):
        self.program = None
        if self.left:
            # Generator 200: raw bytes from standard input.
            self.program = Program(need("dieharder"), "-g", "200", "-d", str(self.left[0]), "-p", str(self.samples), "-D",
                                   "test_name", "-D", "ntuple", "-D", "pvalues", "-D", "assessment")

    def feed(self, chunk):
        if self.program is None:
            return
        try:
            self.program.feed(chunk)
        except Stopped:
            self.collect()
            self.left.pop(0)
            self.start()

    # dieharder itself calls a p-value near 1 a failure as well. Its p-values lean that way for a perfect stream, the
    # more the fewer samples they are made of (of 40 runs of birthdays with 20 samples of /dev/urandom one gave 0.9994,
    # and eleven were above 0.95), so only one near 0 is held against the stream here.
    def collect(self):
        for line in self.program.result().splitlines():
            fields = [field.strip() for field in line.split("|")]
            if fields[-1] in ("PASSED", "WEAK", "FAILED"):
                self.results.append((f"dieharder: {', '.join(fields[:-1])}: {fields[-1]}", float(fields[-2]) > 1e-6))

    def verdict(self):
        if self.program:
            self.program.kill()
        return self.results or [("dieharder: too few bytes for any of its tests", False)]


def judge(chunks, programs):
    """Feeds them all. Returns (text, passed) for each result."""
    for chunk in chunks:
        for program in programs:
            try:
                program.feed(chunk)
            except Stopped:
                raise RuntimeError(f"{program.name} ended too soon:\n{program.program.result()}") from None
    return [result for program in programs for result in program.verdict()]
