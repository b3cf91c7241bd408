#!/usr/bin/env python3
"""contrib/examples/first-boot: SSH host keys are made only after the first push."""
import json
import os
import re
import shlex

from clients import free_port
from daemons import Ekeyd, Softkey
from harness import check, check_equal, main, need, peer, program, source_folder, test
from hosts import example

UNITS = "etc/systemd/system"


def image(run):
    """An image's root with our units and Debian's of ssh, enabled as the example says. Commands are /bin/true, because the
    image has none."""
    os.makedirs(run.path(UNITS))
    with open(os.path.join(source_folder(), "contrib/systemd/egd-push.service.in"), encoding="utf-8") as file:
        units = {"egd-push.service": file.read(), "ssh-host-keys.service": example("first-boot/ssh-host-keys.service")}
    for name in ("ssh.service", "ssh.socket"):
        with open(peer(f"lib/systemd/system/{name}"), encoding="utf-8") as file:
            units[name] = file.read()
    for name, text in units.items():
        text = re.sub(r"(?m)^(Exec\w+=-?)/?\S+", r"\1/bin/true", text)
        run.write(f"{UNITS}/{name}", re.sub(r"(?m)^Documentation=.*\n", "", text), 0o644)
    run.run("systemctl", f"--root={run.folder}", "enable", "egd-push", "ssh-host-keys", "ssh", path=need("systemctl"))
    return run.path(UNITS)


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


@test("first boot: with the unit enabled, ssh needs its host keys and they need egd-push to be ready, which it is after its first push")
def units(run):
    folder = image(run)
    env = dict(os.environ, SYSTEMD_UNIT_PATH=f"{folder}:/lib/systemd/system")
    for unit in ("ssh-host-keys.service", "ssh.service", "ssh.socket"):
        said = run.run("systemd-analyze", "verify", os.path.join(folder, unit), path=need("systemd-analyze"), env=env)
        check("ordering cycle" not in said and "ssh-host-keys" not in said, f"systemd-analyze says: {said}")
    for unit in ("ssh.service", "ssh.socket"):
        check("ssh-host-keys.service" in settings(folder, unit, "Requires"), f"{unit} does not need its keys")
        check(unit in settings(folder, "ssh-host-keys.service", "Before"), f"the keys are not made before {unit}")
    for name in ("Requires", "After"):
        check("egd-push.service" in settings(folder, "ssh-host-keys.service", name), f"{name} lacks egd-push.service")
    check_equal(settings(folder, "egd-push.service", "Type"), ["notify"], "when egd-push is ready: Type")
    check_equal(settings(folder, "ssh-host-keys.service", "Type"), ["oneshot"], "when the keys are there: Type")


@test("first boot: cloud-init takes the example, runs its command before it makes keys, and the command ends with the first push and not before")
def cloud_init(run):
    import jsonschema  # pylint: disable=import-outside-toplevel
    import yaml  # pylint: disable=import-outside-toplevel
    text = example("first-boot/cloud-init.yaml")
    check_equal(text.split("\n")[0], "#cloud-config", "its first line")
    config = yaml.safe_load(text)
    with open(peer("usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"), encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft4Validator(schema).validate(config)
    known = {key for part in schema["$defs"].values() for key in part.get("properties", {})}
    check_equal(sorted(set(config) - known), [], "keys that cloud-init does not know")
    with open(peer("etc/cloud/cloud.cfg"), encoding="utf-8") as file:
        modules = yaml.safe_load(file)["cloud_init_modules"]
    check(modules.index("seed_random") < modules.index("ssh"), f"the order of cloud-init's modules: {modules}")
    # Nothing but the address is this test's own.
    port = free_port()
    command = [word.replace("vsock:host:888", f"tcp:127.0.0.1:{port}") for word in config["random_seed"]["command"]]
    check(str(port) in shlex.join(command), f"the command names no server: {command}")
    env = dict(os.environ, PATH=f"{os.path.dirname(program('egd-push'))}:{os.environ['PATH']}")
    seeding = run.start("cloud-init's command", *command[1:], path=need(command[0]), env=env)
    seeding.wait_output("cannot connect")
    seeding.wait_output(r"cannot connect[\s\S]*cannot connect")
    check(seeding.running(), "the command ended without a push")
    daemon = Ekeyd(run, f"listen = tcp:127.0.0.1:{port}", softkeys=[Softkey(run)])
    check_equal(seeding.wait(60), 0, "its exit status, with a server")
    check_equal(daemon.listeners()[f"tcp:127.0.0.1:{port}"]["bytes"], "64", "bytes that it took")


if __name__ == "__main__":
    main()
