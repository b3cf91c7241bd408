#!/usr/bin/python3
"""GnuPG on a libgcrypt that takes its random bytes over EGD, when there are none. That it makes keys of them, Postfix and other
clients are in howto.py, QEMU in tests/qemu."""
import os
import re

from daemons import Ekeyd, Softkey
from harness import check, check_contains, check_equal, main, need, peer, test, wait_until


@test("GnuPG with libgcrypt built for EGD makes nothing without noise: it waits for ekeyd's, and goes on when it comes")
def gnupg_waits(run):
    home = run.path(".gnupg")
    os.mkdir(home, 0o700)
    listener = f"unix:{home}/entropy"
    daemon = Ekeyd(run, f"listen = {listener}")  # without a dongle
    env = {"HOME": run.folder, "PATH": os.environ["PATH"],
           "LD_LIBRARY_PATH": os.path.dirname(peer("libgcrypt/libgcrypt.so.20"))}
    gpg = run.start("gpg", "--batch", "--no-tty", "--gen-random", "--armor", "2", "48", path=need("gpg"), env=env)
    wait_until(lambda: daemon.listeners()[listener]["waiting"] == "1", "gpg waits")
    check(gpg.running() and not re.search(r"(?m)^[A-Za-z0-9+/]{64}$", gpg.output()), "gpg gives nothing meanwhile")
    key = Softkey(run)
    with daemon.controller() as control:
        control.command(f'Keyring("{key.keyring}")')
        control.command(f'AddEntropyKey("{key.path}")')
    check_equal(gpg.wait(60), 0, "exit status of gpg")
    check_contains(gpg.output(), r"(?m)^[A-Za-z0-9+/]{64}$", "the random bytes")


if __name__ == "__main__":
    main()
