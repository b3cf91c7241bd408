#!/usr/bin/env python3
"""Reads meson's testlog.json and prints what did not pass, then the line "N passed, N failed, N skipped".

Fails when a test has failed, or when none has passed.
"""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as log:
    results = [json.loads(line) for line in log if line.strip()]

skipped = [r["name"] for r in results if r["result"] == "SKIP"]
failed = [r["name"] for r in results if r["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")]
passed = len(results) - len(failed) - len(skipped)

for word, names in (("skipped", skipped), ("failed", failed)):
    for name in names:
        print(f"{word}: {name}")
print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(1 if failed or not passed else 0)
