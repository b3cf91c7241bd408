#!/usr/bin/python3
"""Debian's ekeyd and ekey-setkey 1.1.5, unchanged, on softkey: the proof that it is a true Entropy Key."""
import os
import re

from clients import Egd
from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, main, peer, test, wait_until
from old_daemon import OldEkeyd

PACKET = 32  # bytes of plaintext


def run_on(run, transport):
    key = Softkey(run, transport=transport, rate=0)
    daemon = OldEkeyd(run, key.path, key.keyring)
    daemon.wait_status("Running OK")
    listed = daemon.keys()[0]
    check_equal((listed["OK"], listed["Path"], listed["SerialNo"]), ("YES", key.path, key.serial), "the row of list")
    with Egd(daemon.egd) as client:
        served = client.read(1000)
    check(len(set(served)) > 200, f"1,000 bytes with only {len(set(served))} different values")
    # What 1.1.5 serves is the plaintext as it is; its pool hands out the newest first, in pieces of any size.
    plaintext = key.plaintext()
    pieces = [served[at:at + 8] for at in range(0, 960, 40)]
    strange = [piece for piece in pieces if piece not in plaintext]
    check(len(strange) <= len(pieces) // 4, f"{len(strange)} of {len(pieces)} pieces served are not of softkey's noise")
    # Two session re-keys at 4,096 packets each, seen from both sides.
    wait_until(lambda: int(daemon.statistics()["ConnectionRekeys"]) >= 3, "two re-keys after the first")
    check_plausible(daemon.statistics())
    daemon.wait_status("Running OK")  # which it is not while one more re-key is going on


def check_plausible(numbers):
    print(" ".join(f"{name}={value}" for name, value in sorted(numbers.items())))
    value = {name: float(text) for name, text in numbers.items() if re.fullmatch(r"-?[0-9.]+", text)}
    check(value["TotalEntropy"] > 2 * 4096 * PACKET, f"TotalEntropy {value['TotalEntropy']}")
    check_equal(value["FramingErrors"], 0, "FramingErrors")
    # One at the start: before it knows the serial number 1.1.5 cannot verify the frame that asks for a re-key.
    check(value["PacketErrors"] <= 1, f"PacketErrors {value['PacketErrors']}")
    check(value["ConnectionResets"] <= 2, f"ConnectionResets {value['ConnectionResets']}")
    check(15 < value["KeyTemperatureC"] < 60, f"KeyTemperatureC {value['KeyTemperatureC']}")
    check(3.0 < value["KeyVoltage"] < 3.6, f"KeyVoltage {value['KeyVoltage']}")
    check_equal(numbers["KeyShortBadness"], "efm_ok", "KeyShortBadness")


@test("Debian's ekeyd on softkey's pty: Running OK, bytes over EGD, session re-keys, plausible statistics")
def on_pty(run):
    run_on(run, "pty")


@test("Debian's ekeyd on softkey's Unix socket: Running OK, bytes over EGD, session re-keys, plausible statistics")
def on_socket(run):
    run_on(run, "unix")


@test("Debian's ekeyd sees each failure of softkey's generators in its own words")
def failures(run):
    words = {"1": "efm_raw_left_bad", "8": "efm_temp_too_high", "B": "efm_volt_too_high"}
    for code, word in words.items():
        key = Softkey(run, "--fault", f"generators-failed={code}@50", transport="unix", name="key" + code)
        daemon = OldEkeyd(run, key.path, key.keyring)
        wait_until(lambda: statistic(daemon, "KeyShortBadness") == word, f"KeyShortBadness {word}")
        check_equal(statistic(daemon, "KeyRawBadness"), code, "KeyRawBadness")
        check_equal(len(key.plaintext()), 50 * PACKET, "bytes sent before the failure")
        daemon.program.stop()
        key.program.stop()


def statistic(daemon, name):
    try:
        return daemon.statistics().get(name)
    except Exception:  # it answers ERROR until it has seen every kind of report
        return None


@test("a key that is pulled out: Debian's ekeyd says that it vanished")
def unplugged(run):
    key = Softkey(run, "--fault", "unplugged@500")
    daemon = OldEkeyd(run, key.path, key.keyring)
    daemon.wait_status("Key closed. (Vanished?)")
    check(not os.path.lexists(key.path), "the link to the pty is still there")


def set_key(run, key, keyring, master, serial, expect=0):
    return run.run("ekey-setkey 1.1.5", "-s", serial, "-m", master, "-f", keyring, key.path,
                   path=peer("usr/sbin/ekey-setkey"), expect=expect)


def master_key(key):
    """From the card, without its spaces."""
    with open(key.card, encoding="ascii") as card:
        return re.search(r"^Master key (.*)$", card.read(), re.MULTILINE).group(1).replace(" ", "")


@test("Debian's ekey-setkey sets a long-term key in softkey; Debian's ekeyd runs with the keyring that it wrote")
def setkey(run):
    key = Softkey(run, transport="unix")
    keyring = run.write("old.keyring", "")
    set_key(run, key, keyring, master_key(key), key.serial)
    line = next(line for line in run.read("old.keyring").decode().splitlines() if line.startswith(key.serial))
    check(line not in open(key.keyring, encoding="ascii").read(), "ekey-setkey has not changed the key")
    daemon = OldEkeyd(run, key.path, keyring)
    daemon.wait_status("Running OK")
    daemon.program.stop()
    ours = Ekeyd(run, softkeys=[key], keyring=keyring)
    check_equal(len(ours.seeded()), 64, "bytes that our ekeyd serves with that keyring")
    ours.program.stop()
    wrong = master_key(Softkey(run, name="other", transport="unix", keyring=run.path("other.keyring")))
    check_contains(set_key(run, key, keyring, wrong, key.serial, expect=2), "master key does not match",
                   "a wrong master key")
    check_contains(set_key(run, key, keyring, master_key(key), "NwBvBlg3OTBJORFD", expect=4), "[Ss]erial",
                   "a wrong serial number")


if __name__ == "__main__":
    main()
