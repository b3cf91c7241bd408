#!/usr/bin/python3
"""Debian's ekeydctl, Munin plugin and ekeyd-egd-linux 1.1.5, unchanged, against our ekeyd."""
import os
import re

from clients import Control, free_port
from daemons import Ekeyd, Softkey
from harness import (build_folder, check, check_contains, check_equal, main, need, peer, test, wait_until)


def old_ekeydctl(run, daemon, *arguments, expect=0):
    """Runs Debian's ekeydctl. It reads one fixed file, /etc/entropykey/ekeyd.conf; Lua is told to look elsewhere, so
    that neither the program nor the system is changed.
    """
    config = run.write("old.conf", f'UnixControlSocket "{daemon.control[5:]}"\n')
    elsewhere = f'local load = loadfile; loadfile = function() return load("{config}") end'
    return run.run("ekeydctl 1.1.5", "-e", elsewhere, peer("usr/sbin/ekeydctl"), *arguments, path=need("lua5.1"),
                   expect=expect)


@test("Debian's ekeydctl: list, stats, add, addall, remove, keyring, shutdown")
def ekeydctl(run):
    keys = [Softkey(run, name=f"key{n}") for n in range(2)]
    daemon = Ekeyd(run, softkeys=keys[:1])
    daemon.seeded()
    listed = old_ekeydctl(run, daemon, "list").splitlines()
    check_equal(listed, ["NR,OK,Status,Path,SerialNo", f"1,YES,Running OK,{keys[0].path},{keys[0].serial}"], "list")
    for identity in ("1", keys[0].serial, keys[0].path):
        numbers = dict(line.split("=", 1) for line in old_ekeydctl(run, daemon, "stats", identity).splitlines())
        check(int(numbers["TotalEntropy"]) > 0 and int(numbers["BytesRead"]) > 0, f"stats {identity}: {numbers}")
    check_equal(sorted(set(OLD_STATISTICS) - set(numbers)), [], "statistics of 1.1.5 that are missing")
    old_ekeydctl(run, daemon, "add", keys[1].path)
    check_equal(len(old_ekeydctl(run, daemon, "list").splitlines()), 3, "lines of list with two keys")
    old_ekeydctl(run, daemon, "remove", keys[1].path)
    check_equal(len(old_ekeydctl(run, daemon, "list").splitlines()), 2, "lines of list after remove")
    os.mkdir(run.path("keys"))
    os.symlink(keys[1].path, run.path("keys/one"))
    old_ekeydctl(run, daemon, "addall", run.path("keys"))
    check_contains(old_ekeydctl(run, daemon, "list"), re.escape(run.path("keys/one")), "list after addall")
    old_ekeydctl(run, daemon, "keyring", keys[0].keyring)
    check_contains(old_ekeydctl(run, daemon, "remove", "nonesuch", expect=4), r"^ERROR \S+", "an unknown id")
    check_contains(old_ekeydctl(run, daemon, "keyring", "/nonexistent", expect=4), r"^ERROR \S+", "a missing keyring")
    old_ekeydctl(run, daemon, "shutdown")
    check_equal(daemon.program.wait(5), 0, "exit status after shutdown")


# Named in the manual of 1.1.5 and shown by it.
OLD_STATISTICS = """
BytesRead BytesWritten ConnectionNonces ConnectionPackets ConnectionRekeys ConnectionResets ConnectionTime EntropyRate
FipsFrameRate FrameByteLast FramesOk FramingErrors KeyDbsdShannonPerByteL KeyDbsdShannonPerByteR KeyEnglishBadness
KeyRawBadness KeyRawShannonPerByteL KeyRawShannonPerByteR KeyRawShannonPerByteX KeyShortBadness KeyTemperatureC
KeyTemperatureF KeyTemperatureK KeyVoltage PacketErrors PacketOK ReadRate TotalEntropy WriteRate
""".split()


@test("ekeyd on a configuration of 1.1.5: says at its start, and to --check-config, what it took each line for")
def understood(run):
    config = run.write("old.conf", f'''-- as an owner of 2010 has it
UnixControlSocket "{run.path("old.sock")}"
Keyring "{run.write("old.keyring", "")}"

EGDUnixSocket("{run.path("old.egd")}", "0660")
''')
    said = [(f"{config}:2", f"control = unix:{run.path('old.sock')}"), (f"{config}:3", f"keyring = {run.path('old.keyring')}"),
            (f"{config}:5", f"listen = unix:{run.path('old.egd')},mode=0660")]
    check_equal(run.run("ekeyd", "--config", config, "--check-config").splitlines(),
                [*(f"{where}: {setting}" for where, setting in said), f"{config}: good"], "what --check-config says")
    daemon = run.start("ekeyd", "--config", config, "--foreground")
    daemon.wait_output(r" ready version=")
    lines = re.findall(r'understood a line in the form of ekeyd 1.1.5 where=(\S+) setting="(.*)"', daemon.output())
    check_equal(lines, said, "what the log says")


@test("ekeyd --convert: what ekeyd would refuse to run with, it refuses to convert")
def converted(run):
    config = run.write("old.conf", f'-- 1\nEGDUnixSocket("{run.path("egd")}", "99")\n')
    for option in (("--config", config, "--check-config"), ("--convert", config)):
        check_contains(run.run("ekeyd", *option, expect=2), re.escape(f"ekeyd: {config}:2: ") + ".*99", f"what {option[0]} says")


@test("Debian's Munin plugin: config and values of every statistic, of each key and in total")
def munin(run):
    key = Softkey(run)
    daemon = Ekeyd(run, softkeys=[key])
    daemon.seeded()
    wait_until(lambda: float(Control(daemon.control).statistics("1")["KeyVoltage"]) > 0, "the first info frames")
    wait_until(lambda: Control(daemon.control).statistics("1")["FipsFrameRate"] != "nan", "a second count of tested blocks")
    env = dict(os.environ, controlsocket=daemon.control[5:])
    label = "stats" + key.serial.replace("/", "_")

    def plugin(name, *arguments):
        link = run.path(name)
        if not os.path.lexists(link):
            os.symlink(peer("usr/share/munin/plugins/ekeyd_stat_"), link)
        return run.run("Munin plugin", "-w", link, *arguments, path=need("perl"), env=env)

    check_equal(plugin("ekeyd_stat_", "autoconf").strip(), "yes", "autoconf")
    for name in ("KeyTemperatureC", "KeyVoltage", "TotalEntropy", "EntropyRate", "BytesRead", "FipsFrameRate"):
        check_contains(plugin(f"ekeyd_stat_{name}", "config"), rf"{re.escape(label)}\.label {re.escape(key.serial)}",
                       f"config of {name}")
        value = plugin(f"ekeyd_stat_{name}").strip()
        number = re.fullmatch(rf"{re.escape(label)}\.value (-?[0-9.]+)", value)
        check(number, f"{name}: {value!r}")
        print(value)
        if name == "KeyTemperatureC":
            check(0 < float(number.group(1)) < 60, f"{name}: {value!r}")
    total = plugin("ekeyd_stat_total_TotalEntropy").strip()
    check(re.fullmatch(r"totstat\.value [0-9.]+", total), f"the total: {total!r}")


def old_egd_client(run, port, *arguments, preload=None):
    env = dict(os.environ)
    if preload:
        # LD_PRELOAD is a list: a path with a space in it would be two.
        os.symlink(preload, run.path("preload.so"))
        preload = run.path("preload.so")
        env.update(LD_PRELOAD=preload, OLD_KERNEL_LOG=run.path("ioctls"))
    return run.start("ekeyd-egd-linux", "-H", "127.0.0.1", "-p", port, *arguments,
                     path=peer("usr/sbin/ekeyd-egd-linux"), env=env)


@test("Debian's ekeyd-egd-linux on a kernel before 5.18 (imitated): takes its blocks from our TCP listener")
def egd_linux(run):
    check(os.access("/dev/random", os.W_OK), "/dev/random cannot be written here")
    port = free_port()
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    daemon.seeded()
    shim = os.path.join(build_folder(), "tests", "system", "libold-kernel.so")
    client = old_egd_client(run, port, "-b", "4", "-r", "1", preload=shim)
    # The imitation writes a line for every RNDADDENTROPY: its credit in bits and its size in bytes.
    lines = wait_until(lambda: enough_lines(run.path("ioctls"), 8), "eight blocks given to the kernel")
    check(client.running(), "ekeyd-egd-linux has ended")
    sizes = {line.split()[1] for line in lines}
    check_equal(sizes, {"128"}, "bytes of each block that it gives to the kernel")
    digests = [line.split()[2] for line in lines]
    check_equal(len(set(digests)), len(digests), "different blocks")
    print(f"{len(lines)} blocks of 128 bytes, credited {lines[0].split()[0]} bits each")


def enough_lines(path, count):
    try:
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    return lines if len(lines) >= count else None


if __name__ == "__main__":
    main()
