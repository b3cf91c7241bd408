#!/usr/bin/python3
"""Manual pages: without warnings, one for each program, and nothing that the program says of itself is missing."""
import glob
import os
import re

from harness import check, check_equal, main, need, source_folder, test

PAGES = {"ekeyd": "ekeyd/ekeyd.8", "ekeydctl": "ekeyd/ekeydctl.8", "ekey-rekey": "ekeyd/ekey-rekey.8",
         "egd-push": "egd-push/egd-push.8", "softkey": "tests/softkey/softkey.1"}


def page(path):
    full = os.path.join(source_folder(), path)
    check(os.path.exists(full), f"there is no manual page {path}")
    return full


@test("manual pages: man -l shows every one without a warning")
def warnings(run):
    pages = [page for pattern in ("*.[1-8]", "*/*.[1-8]", "*/*/*.[1-8]")
             for page in glob.glob(os.path.join(source_folder(), pattern))
             if not os.path.relpath(page, source_folder()).startswith("build")]
    check(pages, "there is no manual page")
    env = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80", MANROFFSEQ="")
    for path in pages:
        said = run.run("man", "-c", '"$0" --warnings=w -E UTF-8 -l -Tutf8 -Z "$1" > /dev/null', need("man"), path,
                       path="/bin/sh", env=env)
        check_equal(said, "", f"what man says about {path}")
    print(f"{len(pages)} pages")


@test("manual pages: every program has one, and every option of its --help is in it")
def complete(run):
    page("ekeyd/ekeyd.conf.5")
    for name, path in PAGES.items():
        with open(page(path), encoding="utf-8") as file:
            text = file.read().replace("\\-", "-")
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run.run(name, "--help")))
        missing = sorted(option for option in options if option not in text)
        check(not missing, f"{path} does not mention {', '.join(missing)}")


def words(path):
    """A page without its commands of fonts and the backslashes before dashes."""
    with open(page(path), encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")
    return re.sub(r"(?m)^\.(?:[BIR]{1,2}|TP|SH|br)\b *", "", re.sub(r"\\f[BIRP]", "", text))


def section(text, begin, end):
    """From one line to the next that is like another."""
    found = re.search(rf"(?ms)^{begin}$(.*?)^{end}", text)
    check(found, f"there is nothing between {begin} and {end}")
    return found[1]


@test("manual pages: ekeyd(8) and ekeyd.conf(5) have every kind of address that ekeyd takes, egd-push(8) those of egd-push")
def kinds(run):
    pages = {"ekeyd/ekeyd.8": words("ekeyd/ekeyd.8"), "ekeyd/ekeyd.conf.5": words("ekeyd/ekeyd.conf.5")}
    of_option = {role: section(pages["ekeyd/ekeyd.8"], rf'"?--{role} [^\n]*', '"?--') for role in ("source", "listen", "sink", "control")}
    for role, told in of_option.items():
        said = run.run("ekeyd", f"--{role}", "zzzzzzzzzzzz:", "--check-config", expect=2)
        known = re.search(r"it takes ([\w, ]+)", said)[1].split(", ")
        check(len(known) > 1, f"kinds of {role}: {said}")
        check_equal([kind for kind in known if not re.search(rf"\b{kind}\b", told)], [], f"kinds missing in ekeyd(8), --{role}")
        check_equal([kind for kind in known if not re.search(rf"{role} = [^\n]*\b{kind}\b", pages["ekeyd/ekeyd.conf.5"])], [],
                    f"kinds missing in ekeyd.conf(5), {role}")
    pushes = run.run("egd-push", "--help")
    for kind in ("unix:", "tcp:", "sealed:", "vsock:", "char:"):
        check(kind in pushes and kind in words(PAGES["egd-push"]), f"egd-push and {kind}")


@test("manual pages: the synopsis of each has every option; ekeydctl(8) has every command, and every status that the daemon knows")
def synopsis(run):
    for name in ("ekey-rekey", "egd-push"):
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run.run(name, "--help"))) - {"--help", "--version", "--verbose", "--foreground"}
        told = section(words(PAGES[name]), "SYNOPSIS", "DESCRIPTION")
        check_equal(sorted(option for option in options if option not in told), [], f"options missing in the synopsis of {name}")
    told = section(words(PAGES["ekeyd"]), "SYNOPSIS", "DESCRIPTION")
    own = re.findall(r"(?m)(--[a-z-]+)\b.* and exit$", run.run("ekeyd", "--help"))
    check(len(own) > 4, f"what ekeyd does and exits: {own}")
    check_equal([option for option in own if option not in told], [], "what is missing in the synopsis of ekeyd")
    control = words(PAGES["ekeydctl"])
    commands = re.findall(r"(?m)^  ([a-z]+) ", run.run("ekeydctl", "--help"))
    listed = section(control, "COMMANDS", "STATUS")
    check_equal([command for command in commands if not re.search(rf'(?m)^"?.*\b{command}\b', listed)], [], "commands missing in ekeydctl(8)")
    words_of = set()
    for path in glob.glob(os.path.join(source_folder(), "ekeyd/sources/*.cpp")) + [os.path.join(source_folder(), "ekeyd/stage.cpp")]:
        with open(path, encoding="utf-8") as file:
            for line in re.findall(r"status\.word = ([^;]*);", file.read()):
                words_of |= set(re.findall('"([^"]+)"', line))
    check(len(words_of) > 12, f"status words: {words_of}")
    statuses = section(control, "STATUS", "STATISTICS")
    check_equal(sorted(word for word in words_of if word.strip() not in statuses), [], "statuses missing in ekeydctl(8)")


if __name__ == "__main__":
    main()
