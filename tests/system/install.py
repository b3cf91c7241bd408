#!/usr/bin/python3
"""What `meson install` puts where, and that it fits together."""
import os
import re
import shutil

from harness import build_folder, check, check_contains, check_equal, main, need, source_folder, test, wait_until
from machine import Machine
from pages import text

EXPECTED = """
lib/systemd/system/egd-push.service lib/systemd/system/ekeyd.service lib/systemd/system/egd-push-early.service
lib/systemd/system/ekeyd.socket lib/systemd/system/ekeyd-control.socket
lib/sysusers.d/ekeyd.conf lib/sysusers.d/egd-push.conf lib/tmpfiles.d/ekeyd.conf lib/udev/rules.d/60-egd-push.rules
sbin/egd-push sbin/ekey-rekey sbin/ekey-setkey sbin/ekeyd sbin/ekeydctl
share/doc/ekeyd/egd-push.conf share/doc/ekeyd/ekeyd.conf share/doc/ekeyd/entropy-key-gadget
share/doc/ekeyd/entropy-key-gadget.service share/doc/ekeyd/SECURITY.md share/doc/ekeyd/doc/gnupg.md
share/doc/ekeyd/doc/troubleshooting.md share/doc/ekeyd/doc/how-we-know.md
share/doc/ekeyd/prometheus/README.md share/doc/ekeyd/prometheus/ekeyd-dashboard.json
share/doc/ekeyd/prometheus/ekeyd.rules.yml
lib/udev/rules.d/60-ekeyd.rules
share/man/man5/ekeyd.conf.5 share/man/man8/egd-push.8 share/man/man8/ekey-rekey.8 share/man/man8/ekey-setkey.8 share/man/man8/ekeyd.8
share/man/man8/ekeydctl.8 share/munin/plugins/ekeyd_stat_ share/bash-completion/completions/ekeyd
share/bash-completion/completions/ekeydctl share/bash-completion/completions/ekey-rekey
share/bash-completion/completions/egd-push etc/munin/plugin-conf.d/ekeyd
""".split()


def installed(run):
    run.run("meson", "install", "-C", build_folder(), "--no-rebuild", "--destdir", run.path("root"), path=need("meson"))
    return run.path("root/usr/local")


@test("meson install: programs, manual pages, units and examples, and no test program")
def install(run):
    top = installed(run)
    files = {os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names}
    missing = sorted(set(EXPECTED) - files)
    check_equal(missing, [], "files that are not installed")
    check(not any("softkey" in name or "test" in name for name in files), f"a test program is installed: {files}")


@test("the installed units start the installed programs; the example configuration is good")
def units(run):
    top = installed(run)
    for name in ("ekeyd", "egd-push"):
        with open(f"{top}/lib/systemd/system/{name}.service", encoding="utf-8") as file:
            command = re.search(r"^ExecStart=(\S+)", file.read(), re.MULTILINE).group(1)
        check(os.access(run.path("root") + command, os.X_OK), f"{name}.service starts {command}, which is not installed")
    run.run("ekeyd", "--config", os.path.join(source_folder(), "contrib/examples/ekeyd.conf"), "--check-config",
            path=f"{top}/sbin/ekeyd")


@test("README.md: what it tells to type after the build, in its order, on a machine that has nothing of ekeyd's yet: the daemon runs, and has the key")
def readme(run):
    steps = text("README.md").partition("\n## Install\n")[2].partition("\n## ")[0]
    build, begin, packages = re.findall(r"(?m)(?:^    .*\n)+", steps)
    check_contains(build, r"ninja -C build install$", "the block before")
    check_contains(packages, r"(?m)^ *contrib/debian/build /tmp/packages\n *apt install /tmp/packages/", "the block behind; packages.py does it")
    machine = Machine(run, "host")
    for name in ("/etc/ekeyd", "/etc/entropykey", "/usr/local/share", "/usr/local/lib/systemd"):
        shutil.rmtree(machine.path(name), ignore_errors=True)
    top = installed(run)
    for name in ("share", "lib"):
        shutil.copytree(os.path.join(top, name), machine.path(f"/usr/local/{name}"), dirs_exist_ok=True)
    machine.write("/usr/local/bin/udevadm", '#!/bin/sh\necho "$*" >>/run/udevadm\n', 0o755)
    before, start = re.sub("(?m)^ +", "", begin).split("systemctl daemon-reload\n")
    machine.sh(before)
    check_equal(machine.read("/run/udevadm").splitlines(), ["control --reload", "trigger"], "what udev is told")
    machine.plug()
    machine.sh(start)
    wait_until(lambda: "Running OK" in machine.sh("ekeydctl list"), "the key runs")


if __name__ == "__main__":
    main()
