#!/usr/bin/python3
"""The first command of README.md, on a build that is there already."""
import os
import re

from harness import build_folder, check, check_contains, main, source_folder, test


def tried(run, devices, keyring):
    env = dict(os.environ, EKEYD_SYSFS=devices, EKEYD_KEYRING=keyring, TMPDIR=run.folder)
    said = run.run("try", build_folder(), path=os.path.join(source_folder(), "contrib", "try"), env=env, seconds=80)
    check_contains(said, r"IS NO HARDWARE", "what contrib/try says")
    check_contains(said, r"32 bytes at a client.*\n( [0-9a-f]{2}){16}\n( [0-9a-f]{2}){16}\n", "the bytes shown")
    check_contains(said, r"\n1,YES,Running OK,", "ekeydctl list")
    check_contains(said, r"\nState=healthy\n", "ekeydctl health")
    left = [name for name in os.listdir(run.folder) if name.startswith("tmp.")]
    check(not left, f"files left behind: {left}")
    check(not re.search(re.escape(run.folder), processes()), "a program that it started is left behind")
    return said


def processes():
    lines = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                lines.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass  # it has just ended
    return "\n".join(lines)


@test("contrib/try without a dongle: says so, uses softkey, shows bytes, list and health, and leaves nothing behind")
def without_key(run):
    os.mkdir(run.path("devices"))
    tried(run, run.path("devices"), run.path("none"))


@test("contrib/try with a dongle that has no long-term key: says how to set one, and uses softkey")
def key_without_keyring(run):
    device = run.path("devices/1-1")
    os.makedirs(device + "/1-1:1.0/tty/ttyACM0")
    for name, text in (("idVendor", "20df"), ("idProduct", "0001"), ("serial", "NwBvBlg3OTBJORFD")):
        run.write(f"devices/1-1/{name}", text + "\n")
    said = tried(run, run.path("devices"), run.write("keyring", "# empty\n"))
    check_contains(said, r"ekey-rekey --device /dev/ttyACM0 NwBvBlg3OTBJORFD", "the advice")


if __name__ == "__main__":
    main()
