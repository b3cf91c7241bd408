#!/usr/bin/python3
"""A new machine's first boot, by contrib/doc/openssh.md and cloud-init.md: SSH host keys are made only after the first push, which comes
over the host's bridge as qemu-libvirt.md has it."""
import json
import os
import re
import shutil

from harness import check, check_contains, check_equal, main, need, peer, test, wait_until
from machine import UNITS, Machine, join
from pages import tries

ADDRESS = "192.168.122.1"  # on that page
KEY = "/etc/ssh/ssh_host_ed25519_key"


def host_and_guest(run, bridge):
    """By the page's part on the bridge: a host whose ekeyd is not running yet, and a guest of it."""
    host, guest = Machine(run, "host"), Machine(run, "guest")
    join(host, ADDRESS, guest, "192.168.122.2")
    host.plug()
    host.take(bridge.block("ini", "add", "/etc/ekeyd/ekeyd.conf"))
    guest.take(bridge.block("ini", "/etc/ekeyd/egd-push.conf"))
    shutil.rmtree(guest.path("/etc/ssh"), ignore_errors=True)
    guest.write(KEY, "the image's\n")
    return host, guest


def keys(guest):
    return sorted(name for name in os.listdir(guest.path("/etc/ssh")) if name.startswith("ssh_host_"))


def settings(folder, unit, name):
    """A unit's setting, as words, with what other units say of it from their side by links."""
    words = []
    with open(os.path.join(folder, unit), encoding="utf-8") as file:
        for line in file:
            if line.startswith(name + "="):
                words += line.split("=", 1)[1].split()
    if name == "Requires" and os.path.isdir(os.path.join(folder, unit + ".requires")):
        words += os.listdir(os.path.join(folder, unit + ".requires"))
    return words


@test("how to, OpenSSH: ssh needs its host keys and they need egd-push to be ready; with a server away there are no keys, with the first push there are")
@tries("qemu-libvirt", "Over the host's bridge")
@tries("openssh")
def openssh(run, bridge, page):
    host, guest = host_and_guest(run, bridge)
    for name in ("ssh.service", "ssh.socket"):
        shutil.copy(peer(f"lib/systemd/system/{name}"), guest.path("/" + UNITS))
    guest.sh("systemctl enable ssh")
    for block in page.blocks:
        if block.language == "ini":
            guest.take(block)
    guest.sh(page.commands())
    check_equal(keys(guest), [], "host keys of the image that are left")

    folder = guest.path("/" + UNITS)
    pushes = guest.unit("egd-push.service")
    guest.write(f"/{UNITS}/egd-push.service", pushes, 0o644)
    check_contains(pushes, "(?m)^JobRunningTimeoutSec=", "what the page's wait.conf is for")
    check("ssh-host-keys.service" in settings(folder, "ssh.service", "Requires"), "ssh.service does not need its keys")
    check("ssh.service" in settings(folder, "ssh-host-keys.service", "Before"), "the keys are not made before ssh.service")
    for name in ("Requires", "After"):
        check("egd-push.service" in settings(folder, "ssh-host-keys.service", name), f"{name} lacks egd-push.service")
    check_equal(settings(folder, "egd-push.service", "Type"), ["notify"], "when egd-push is ready: Type")
    check_equal(settings(folder, "ssh-host-keys.service", "Type"), ["oneshot"], "when the keys are there: Type")
    verify(run, folder)

    # As the units' order has it.
    pushing = guest.begin("egd-push")
    pushing.program.wait_output("cannot connect")
    check(not pushing.ready(), "egd-push is ready without a push")
    host.sh("systemctl restart ekeyd")
    wait_until(pushing.ready, "egd-push is ready")
    guest.sh(settings_line(folder, "ssh-host-keys.service", "ExecStart"))
    check_contains(guest.sh(f"ssh-keygen -l -f {KEY}"), "ED25519", "the host key")


def settings_line(folder, unit, name):
    with open(os.path.join(folder, unit), encoding="utf-8") as file:
        return re.search(rf"(?m)^{name}=(.*)$", file.read())[1]


def verify(run, folder):
    """Has systemd judge the units; commands are /bin/true, because this machine has not all of them."""
    copy = run.path("units")
    shutil.copytree(folder, copy, symlinks=True)
    units = ("egd-push.service", "ssh-host-keys.service", "ssh.service", "ssh.socket")
    for name in units:
        with open(os.path.join(copy, name), encoding="utf-8") as file:
            text = re.sub(r"(?m)^(Exec\w+=-?)/?\S+", r"\1/bin/true", file.read())
        run.write(f"units/{name}", re.sub(r"(?m)^Documentation=.*\n", "", text), 0o644)
    env = dict(os.environ, SYSTEMD_UNIT_PATH=f"{copy}:/lib/systemd/system")
    for unit in units[1:]:
        said = run.run("systemd-analyze", "verify", os.path.join(copy, unit), path=need("systemd-analyze"), env=env)
        check("ordering cycle" not in said and "ssh-host-keys" not in said, f"systemd-analyze says: {said}")


# Of Debian's modules those that the page's user data are for, in Debian's order; and where it finds them.
CLOUD_CFG = """datasource_list: [NoCloud]
network: {{config: disabled}}
preserve_hostname: true
users: []
cloud_init_modules: {modules}
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
"""
PASSES = ("init --local", "init", "modules --mode=config", "modules --mode=final")


def cloud_init(guest):
    """cloud-init as Debian packages it, and its configuration for the guest; returns the words that begin its command."""
    import yaml  # pylint: disable=import-outside-toplevel
    shutil.copytree(peer("etc/cloud"), guest.path("/etc/cloud"))
    with open(peer("etc/cloud/cloud.cfg"), encoding="utf-8") as file:
        modules = [name for name in yaml.safe_load(file)["cloud_init_modules"] if name in ("seed_random", "write-files", "ssh")]
    guest.write("/etc/cloud/cloud.cfg.d/99-test.cfg", CLOUD_CFG.format(modules=json.dumps(modules)), 0o644)
    guest.env = {**guest.env, "PYTHONPATH": peer("usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE": "1"}
    return f"/usr/bin/python3 {peer('usr/bin/cloud-init')}"


@test("how to, cloud-init: Debian's cloud-init takes the page's user data, makes no host keys before the first push and new ones after it, and starts egd-push")
@tries("qemu-libvirt", "Over the host's bridge")
@tries("cloud-init")
def cloud_init_boots(run, bridge, page):
    host, guest = host_and_guest(run, bridge)
    text = page.text("yaml", "user-data")
    check_unknown_keys(text)
    program = cloud_init(guest)
    guest.write("/root/user-data", text)
    check_contains(guest.sh(page.commands().replace("cloud-init", program, 1)), "Valid cloud-config", "cloud-init schema")
    # Nothing but the address is this test's own.
    guest.write("/var/lib/cloud/seed/nocloud/user-data", text.replace("vsock:host:888", f"tcp:{ADDRESS}:8888"))
    guest.write("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: first\n")
    os.unlink(guest.path("/etc/ekeyd/egd-push.conf"))
    guest.write("/usr/local/bin/systemctl", '#!/bin/sh\necho "$*" >> /run/systemctl\n', 0o755)
    script = "\n".join(f"{program} {words}" for words in PASSES)
    boot = run.start("cloud-init", "-ec", f"{script}", path=need("sh"), preexec=guest.enter, env=guest.env)
    boot.wait_output(r"cannot connect[\s\S]*cannot connect")
    check(boot.running(), "cloud-init went on without a push")
    check_equal(keys(guest), ["ssh_host_ed25519_key"], "host keys: only the image's old one")
    host.sh("systemctl restart ekeyd")
    check_equal(boot.wait(), 0, "its exit status, with a server")
    check_equal(host.counters("tcp:")["bytes"], "64", "bytes that it took")
    check_contains(guest.sh(f"ssh-keygen -l -f {KEY}"), "ED25519", "the new host key")
    with open(guest.path("/run/systemctl"), encoding="ascii") as file:
        guest.sh("".join(f"systemctl {line}" for line in file))
    check("egd-push" in guest.services, "egd-push was not started")


def check_unknown_keys(text):
    """cloud-init's own check lets pass what it does not know."""
    import jsonschema  # pylint: disable=import-outside-toplevel
    import yaml  # pylint: disable=import-outside-toplevel
    config = yaml.safe_load(text)
    with open(peer("usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"), encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft4Validator(schema).validate(config)
    known = {key for part in schema["$defs"].values() for key in part.get("properties", {})}
    check_equal(sorted(set(config) - known), [], "keys that cloud-init does not know")


if __name__ == "__main__":
    main()
