#!/usr/bin/python3
"""A short run of tests/statistics: both output modes, from a poor source, and that source itself."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "statistics"))
import battery
import output
from harness import check, main, test

SIZE = 16_000_000


def judge(chunks):
    results = battery.judge(chunks, [battery.Rngtest(), battery.Ent(), battery.Dieharder(tests=[100, 0], samples=20)])
    for text, passed in results:
        print("ok    " if passed else "FAILED", text)
    check({text.split(":")[0] for text, _ in results} == {"rngtest", "ent", "dieharder"}, "a program is missing")
    return results


@test("statistics: full-entropy output passes rngtest, ent and dieharder, though its source does not")
def full_entropy(run):
    check(all(passed for _, passed in judge(output.served(run, "full-entropy", SIZE))), "the output is not random")


@test("statistics: drbg output passes rngtest, ent and dieharder")
def drbg(run):
    check(all(passed for _, passed in judge(output.served(run, "drbg", SIZE))), "the output is not random")


@test("statistics: the poor source that both were made from fails, in the eyes of each program")
def control(run):
    failed = {text.split(":")[0] for text, passed in judge(output.poor(SIZE)) if not passed}
    check(failed == {"rngtest", "ent", "dieharder"}, f"only {failed} saw it")


if __name__ == "__main__":
    main()
