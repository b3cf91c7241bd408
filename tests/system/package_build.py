#!/usr/bin/python3
"""The Debian packages are built, and checked by lintian. What is in them: packages.py."""
import glob
import os

from debian import built_packages
from harness import check, check_equal, main, need, test


@test("Debian packages: built, and lintian finds no error")
def built(run):
    folder = built_packages()
    names = sorted(os.path.basename(path).split("_")[0] for path in glob.glob(folder + "/*.deb"))
    for name in ("egd-push", "ekeyd", "ekeyd-egd-linux", "ekeyd-softkey"):
        check(name in names, f"{name} is not among {names}")
    changes = glob.glob(folder + "/*.changes")
    check_equal(len(changes), 1, "files named *.changes")
    said = run.run("lintian", "--allow-root", "--fail-on", "error", "--no-tag-display-limit", changes[0],
                   path=need("lintian"), seconds=120)
    print(said)


if __name__ == "__main__":
    main()
