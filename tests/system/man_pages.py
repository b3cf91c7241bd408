#!/usr/bin/python3
"""Manual pages: without warnings, one for each program, and nothing that the program says of itself is missing."""
import glob
import os
import re

from harness import check, check_equal, main, need, program, source_folder, test

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


if __name__ == "__main__":
    main()
