#!/usr/bin/python3
"""ekeydctl on a running ekeyd: what it prints for programs and for people."""
import json

from daemons import FAST, Ekeyd, Softkey
from harness import check, check_equal, main, test, wait_until


def ekeydctl(run, daemon, *arguments, **options):
    return run.run("ekeydctl", "--socket", daemon.control, *arguments, **options)


def no_constant(word):
    raise AssertionError(f"{word} is no JSON")


def read_json(text):
    """Strictly: Python's reader takes NaN and double names unless told otherwise."""
    def unique(pairs):
        check_equal(len(dict(pairs)), len(pairs), f"names in {pairs}")
        return dict(pairs)
    return json.loads(text, parse_constant=no_constant, object_pairs_hook=unique)


@test("ekeydctl list, stats and health: --json says what the control protocol says, numbers as numbers")
def as_json(run):
    keys = [Softkey(run, name=name) for name in ("key", 'k"e\\yü\x01')]
    daemon = Ekeyd(run, softkeys=keys[:1])
    daemon.seeded()
    ekeydctl(run, daemon, "add", keys[1].path)
    wait_until(lambda: daemon.key(2)["Status"] == "Running OK", "the second key runs")

    listed = read_json(ekeydctl(run, daemon, "list", "--json"))
    check_equal([(row["NR"], row["OK"], row["Status"], row["SerialNo"]) for row in listed],
                [(n + 1, True, "Running OK", key.serial) for n, key in enumerate(keys)], "list --json")
    # As the daemon writes it: what is a control character is escaped on the wire already.
    check_equal(listed[1]["Path"], keys[1].path.replace("\x01", "\\x01"), "a path with special characters")

    with daemon.controller() as control:
        wire = control.statistics("1")
    stats = read_json(ekeydctl(run, daemon, "--json", "stats", "1"))
    check_equal(sorted(stats), sorted(wire), "names of stats --json")
    check(isinstance(stats["TotalEntropy"], int) and stats["TotalEntropy"] >= int(wire["TotalEntropy"]), "TotalEntropy")
    for name, value in stats.items():
        word = name in ("KeyRawBadness", "KeyShortBadness", "KeyEnglishBadness", "HealthState")
        check(isinstance(value, str) if word else value is None or isinstance(value, (int, float)), f"{name}: {value!r}")

    health = read_json(ekeydctl(run, daemon, "health", "--json"))
    check_equal([source["SerialNo"] for source in health["Sources"]], [key.serial for key in keys], "health --json")
    check(health["PoolBytesIn"] > 0 and health["Sources"][0]["BytesTested"] > 0, f"{health}")
    one = read_json(ekeydctl(run, daemon, "health", "2", "--json"))
    check_equal((one["Source"], one["State"], one["Failure"]), (2, "healthy", "none"), "health 2 --json")


@test("ekeydctl --json: what a key has not reported is null; a command that takes no --json says so; errors are no JSON")
def json_errors(run):
    # It never agrees on a session key, so it never reports.
    key = Softkey(run, rate=FAST)
    daemon = Ekeyd(run, f"source = {key.source}", keyring=run.write("empty", ""))
    wait_until(lambda: daemon.key()["Status"] == "Serial unknown", "a key that is not in the keyring")
    stats = read_json(ekeydctl(run, daemon, "stats", "1", "--json"))
    check(stats["KeyVoltage"] is None and stats["KeyTemperatureC"] is None, f"{stats}")
    said = ekeydctl(run, daemon, "stats", "9", "--json", expect=1)
    check(said.startswith("ekeydctl: ") and "{" not in said, said)
    check("takes no --json" in ekeydctl(run, daemon, "show", "--json", expect=2), "show --json")


if __name__ == "__main__":
    main()
