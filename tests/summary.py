#!/usr/bin/python3
"""Reads meson's logs of tests and benchmarks (JSON): prints what benchmarks have measured, the names of what did not
pass and the end of what each failed test printed, then the line "N passed, N failed, N skipped". Fails when something
has failed; a log without a result is a failure.

summary.py --failed LOG... prints the names of the failed tests, for another try. The log of that try is again.json;
what passed only then is named, and counts as passed: the machine stood in the way, or the test is to be mended.
"""
import json
import os
import sys

LAST_LINES = 60  # of a failed test: a log that is cut to its end still tells why


def read(name):
    try:
        with open(name, encoding="utf-8") as log:
            results = [json.loads(line) for line in log if line.strip()]
    except FileNotFoundError:
        results = []
    return results or [{"name": f"{name} holds no result", "result": "FAIL"}]


def kind(result):
    if result["result"] == "SKIP":
        return "skipped"
    return "passed" if result["result"] in ("OK", "EXPECTEDFAIL") else "failed"


if sys.argv[1] == "--failed":
    for result in [result for name in sys.argv[2:] for result in read(name)]:
        if kind(result) == "failed" and " / " in result["name"]:
            print(result["name"].split(" / ", 1)[1])
    sys.exit(0)

results = {"passed": [], "failed": [], "skipped": []}
failures = []
logs = {os.path.basename(name): name for name in sys.argv[1:]}
again = logs.pop("again.json", None)
second = {result["name"]: result for result in read(again)} if again and os.path.exists(again) else {}
for name in logs.values():
    for result in read(name):
        if kind(result) == "failed" and kind(second.get(result["name"], result)) == "passed":
            print(f"passed only when tried again: {result['name']}")
            result = second[result["name"]]
        results[kind(result)].append(result["name"])
        if name.endswith("benchmarks.json"):
            print(result["name"] + ":")
            print("".join(f"    {line}\n" for line in result.get("stdout", "").strip().splitlines()))
        if kind(result) == "failed":
            failures.append(result)

for failure in failures:
    print(f"{failure['name']} printed last:")
    printed = (failure.get("stdout") or "") + (failure.get("stderr") or "")
    print("".join(f"    {line}\n" for line in printed.splitlines()[-LAST_LINES:]))
for word in ("skipped", "failed"):
    for name in results[word]:
        print(f"{word}: {name}")
print(", ".join(f"{len(names)} {word}" for word, names in results.items()))
sys.exit(1 if results["failed"] else 0)
