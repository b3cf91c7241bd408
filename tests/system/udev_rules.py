#!/usr/bin/python3
"""The rules of udev/ as text. What the rules do with a device, tests/qemu/usbip.py shows."""
import os
import re
import subprocess

from harness import check, check_equal, main, need, source_folder, test

FOLDER = os.path.join(source_folder(), "udev")
RULES = os.path.join(FOLDER, "60-ekeyd.rules")
ALL_RULES = [RULES, os.path.join(FOLDER, "60-egd-push.rules")]

# udev(7): keys that match take == and !=, keys that assign the others; some are both.
MATCH = {"ACTION", "KERNEL", "SUBSYSTEM", "SUBSYSTEMS", "ATTR", "ATTRS", "ENV"}
ASSIGN = {"ENV", "GOTO", "LABEL", "SYMLINK", "GROUP", "MODE", "TAG"}
EITHER = {"IMPORT"}  # written with =, it matches by succeeding
PART = re.compile(r'([A-Z]+)(?:\{([^}"]+)\})?(==|!=|\+=|=)"([^"]*)"')


def rules(path=RULES):
    """Every rule as a list of (key, attribute, operator, value)."""
    with open(path, encoding="ascii") as lines:
        for line in lines:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            parts = [PART.fullmatch(part) for part in re.split(r", (?=[A-Z])", line)]
            check(all(parts), f"not a rule: {line}")
            yield [part.groups() for part in parts]


@test("udev rules: every key, operator and label is one that udev knows; udevadm verify agrees where it exists")
def syntax(run):
    udevadm = need("udevadm")
    for path in ALL_RULES:
        check_rules(path)
        if int(subprocess.run([udevadm, "--version"], capture_output=True, text=True, check=True).stdout) >= 254:
            run.run("udevadm", "verify", "--resolve-names=never", path, path=udevadm)


def check_rules(path):
    labels, jumps = set(), []
    for rule in rules(path):
        for key, attribute, operator, value in rule:
            known = MATCH if operator in ("==", "!=") else ASSIGN | EITHER
            check(key in known, f"{key}{operator}\"{value}\" is not a thing that a rule says")
            check((attribute is not None) == (key in ("ATTR", "ATTRS", "ENV", "IMPORT")), f"{key}{{{attribute}}}")
            if key == "LABEL":
                labels.add(value)
                check(value in jumps, f"nothing jumps to {value}")
            if key == "GOTO":
                check(value not in labels, f"GOTO {value} goes back, which udev does not do")
                jumps.append(value)
    check_equal(sorted(set(jumps) - labels), [], "labels that are missing")


@test("udev rules: the devices are those that ekeyd drives, as USB devices, and as ttys where they have one")
def devices(run):
    found = {"ATTR": set(), "ATTRS": set()}
    for rule in rules():
        ids = {attribute: value for key, attribute, operator, value in rule if attribute in ("idVendor", "idProduct")}
        if ids:
            key = next(key for key, attribute, _, _ in rule if attribute == "idVendor")
            found[key].add(f"{ids['idVendor']}:{ids['idProduct']}")
    driven = set()
    sources = os.path.join(source_folder(), "ekeyd/sources")
    for name in os.listdir(sources):
        if name.endswith(".cpp"):
            with open(os.path.join(sources, name), encoding="utf-8") as file:
                driven |= {f"{vendor}:{product}" for vendor, product in
                           re.findall(r"\{0x([0-9a-f]{4}), 0x([0-9a-f]{4})\}", file.read())}
    check_equal(found["ATTR"], driven, "USB devices in the rules, and in the drivers")
    check_equal(found["ATTRS"], driven - {"1d50:60c6", "12d8:0001"}, "ttys: all but ChaosKey and Alea, which have none")


if __name__ == "__main__":
    main()
