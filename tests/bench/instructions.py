#!/usr/bin/python3
"""Counts the instructions that a program takes for one unit of work, with valgrind's callgrind.

usage: instructions.py [--most WORK=N]... PROGRAM WORK...

PROGRAM is run as `PROGRAM WORK UNITS` for two numbers of units; what start-up costs drops out of the difference.
Fails when a WORK takes more than its N.
"""
import argparse
import re
import subprocess
import sys

FEW, MANY = 20_000, 60_000


def instructions(program, work, units):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, work, str(units)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
    return int(found.group(1))


parser = argparse.ArgumentParser()
parser.add_argument("--most", action="append", default=[])
parser.add_argument("program")
parser.add_argument("work", nargs="+")
options = parser.parse_args()
limits = dict(limit.split("=") for limit in options.most)

too_many = False
for work in options.work:
    difference = instructions(options.program, work, MANY) - instructions(options.program, work, FEW)
    each = difference / (MANY - FEW)
    limit = f", at most {limits[work]}" if work in limits else ""
    print(f"{work}: {each:.0f} instructions{limit}")
    too_many |= work in limits and each > int(limits[work])
sys.exit(1 if too_many else 0)
