#!/usr/bin/python3
"""The example that makes a USB Entropy Key: its script and unit. tests/qemu/own_key.py makes a key with it."""
import os
import re
import shutil

from harness import check, check_contains, check_equal, main, need, source_folder, test

SCRIPT = os.path.join(source_folder(), "contrib/examples/entropy-key-gadget")
UNIT = SCRIPT + ".service"


@test("own key's script: a shell reads it; a card that is none, wrong words, a machine without USB device mode are one sentence each")
def script(run):
    run.run("sh", "-n", SCRIPT, path=need("sh"))
    card = run.write("card", "Serial short\n")
    for words, says in ((["start"], "card"), ([], "usage"), (["toast"], "usage"), (["start", card], "no serial number")):
        said = run.run("gadget", *words, path=SCRIPT, expect=1)
        check_contains(said, "^entropy-key-gadget: .*" + says, f"the sentence for {words}")
        check_equal(len(said.splitlines()), 1, f"lines for {words}")


@test("own key's unit: systemd likes it, it starts softkey with options that softkey has, and the script that is there")
def unit(run):
    with open(UNIT, encoding="utf-8") as file:
        text = file.read()
    known = run.run("softkey", "--help")
    for option in re.findall(r"--[a-z-]+", re.search(r"^ExecStart=.*$", text, re.MULTILINE).group(0)):
        check(option in known, f"softkey has no {option}")
    if shutil.which("systemd-analyze"):
        bin_folder = run.path("bin")
        os.mkdir(bin_folder)
        for name in ("softkey", "entropy-key-gadget"):
            os.symlink("/bin/true", os.path.join(bin_folder, name))
        local = run.write("own.service", text.replace("/usr/local/sbin", bin_folder).replace("man:softkey(1)", "file:/"))
        run.run("systemd-analyze", "verify", local, path=need("systemd-analyze"))


if __name__ == "__main__":
    main()
