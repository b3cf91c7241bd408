#!/usr/bin/python3
"""When systemd starts our units at boot, by systemd itself: `systemd-analyze verify` makes the jobs of a whole boot and says where they go
in a circle. What comes before what is shown by a demand for the contrary, which must make a circle."""
import glob
import os
import re
import shutil

from harness import build_folder, check, check_contains, check_equal, main, need, peer, source_folder, test
from pages import Page

GENERATORS = "/lib/systemd/system-generators"


class Boot:
    """Unit files of a machine, beside those of systemd. All commands are `true`, since this machine has not all of them."""

    def __init__(self, run, name):
        self.run, self.name = run, name
        for path in glob.glob(f"{build_folder()}/contrib/*.service") + glob.glob(f"{source_folder()}/contrib/systemd/*.socket"):
            with open(path, encoding="utf-8") as file:
                self.unit(os.path.basename(path), file.read())

    def path(self, name):
        return self.run.path(f"{self.name}/{name}")

    def unit(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        text = re.sub(r"(?m)^(Exec\w+=)[-+]?\S+", r"\1/bin/true", text)
        self.run.write(f"{self.name}/{name}", re.sub(r"(?m)^Documentation=.*\n", "", text), 0o644)

    def stub(self, name, target, unit=""):
        self.unit(name, f"[Unit]\n{unit}[Service]\nType=oneshot\nExecStart=/bin/true\n")
        self.wants(target, name)

    def wants(self, target, name, kind="wants", file=None):
        link = self.path(f"{target}.{kind}/{name}")
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.lexists(link):
            os.symlink(f"../{file or name}", link)

    def enable(self, name):
        """As `systemctl enable` does."""
        with open(self.path(name), encoding="utf-8") as file:
            for kind, targets in re.findall(r"(?m)^(Wanted|Required)By=(.*)$", file.read()):
                for target in targets.split():
                    self.wants(target, name, {"Wanted": "wants", "Required": "requires"}[kind])

    def change(self, name, edit):
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        self.run.write(f"{self.name}/{name}", edit(text), 0o644)

    def circles(self, target="multi-user.target"):
        """What systemd says of circles when it is to reach the target."""
        said = self.run.run("systemd-analyze", "verify", target, path=need("systemd-analyze"), expect=None,
                            env=dict(os.environ, SYSTEMD_UNIT_PATH=f"{self.path('.')}:/lib/systemd/system"))
        return "".join(line + "\n" for line in said.splitlines() if "ordering cycle" in line or "Found dependency" in line)

    def check_before(self, unit, others):
        """The unit is started before each of the others, and its own file says so, whatever else it says."""
        for other in others:
            def only(text, other=other):
                return re.sub(r"(?m)^Before=(.*)$", lambda line: f"Before={other}" if other in line[1].split() else "", text)
            with open(self.path(unit), encoding="utf-8") as file:
                text = file.read()
            self.change(unit, only)
            check_equal(self.circles(), "", f"circles, of {unit} with Before={other} only")
            self.unit(f"{unit}.d/contrary.conf", f"[Unit]\nAfter={other}\n")
            check_contains(self.circles(), "ordering cycle", f"circles when {unit} is after {other}, before which it should be")
            shutil.rmtree(self.path(f"{unit}.d"))
            self.change(unit, lambda _, text=text: text)


@test("units, order: nothing goes in a circle, with all of ours enabled; egd-push comes before what makes keys")
def before_keys(run):
    boot = Boot(run, "units")
    for name in ("ekeyd.service", "ekeyd.socket", "egd-push.service"):
        boot.enable(name)
    # As Fedora has it: the target wants the services, and so comes after them.
    boot.stub("sshd-keygen.service", "multi-user.target")
    boot.unit("sshd-keygen.target", "[Unit]\nDescription=keys\n")
    for kind in ("rsa", "ecdsa", "ed25519"):
        boot.stub(f"sshd-keygen@{kind}.service", "sshd-keygen.target")
    boot.stub("sshd.service", "multi-user.target", "Wants=sshd-keygen.target\nAfter=sshd-keygen.target\n")
    boot.stub("ssh.service", "multi-user.target")
    boot.wants("multi-user.target", "first-boot-complete.target")
    boot.check_before("egd-push.service", ["ssh.service", "sshd.service", "sshd-keygen.service", "first-boot-complete.target",
                                           *(f"sshd-keygen@{kind}.service" for kind in ("rsa", "ecdsa", "ed25519"))])


@test("units, order: egd-push-early comes before the seed file is read and before sysinit.target, after the ports of virtio-serial, and in no circle where /tmp waits for the random seed")
def early(run):
    boot = Boot(run, "units")
    boot.enable("egd-push-early.service")
    boot.wants("multi-user.target", "first-boot-complete.target")
    boot.check_before("egd-push-early.service", ["systemd-random-seed.service", "first-boot-complete.target", "sysinit.target"])
    for module in ("virtio_pci", "virtio_console"):
        boot.unit(f"modprobe@{module}.service.d/contrary.conf", "[Unit]\nAfter=egd-push-early.service\n")
        check_contains(boot.circles(), "ordering cycle", f"circles when {module} is loaded after it")
        shutil.rmtree(boot.path(f"modprobe@{module}.service.d"))
    # crypttab(5): what has a key from /dev/urandom waits for systemd-random-seed.service.
    generate(run, boot, "cryptsetup", crypttab="tmp /dev/sdb1 /dev/urandom tmp\n")
    generate(run, boot, "fstab", fstab="/dev/sda1 / ext4 defaults 0 1\n/dev/mapper/tmp /tmp ext4 defaults 0 2\n")
    check(os.path.exists(boot.path("tmp.mount")), "the generators made nothing")
    check_equal(boot.circles(), "", "circles, with an encrypted /tmp")
    boot.unit("egd-push-early.service.d/tmp.conf", "[Service]\nPrivateTmp=yes\n")
    check_contains(boot.circles(), "ordering cycle", "circles with PrivateTmp=, which the unit therefore has not")


def generate(run, boot, name, **table):
    """What a generator of systemd's makes of a table (systemd.generator(7))."""
    (file, text), = table.items()
    folder = boot.path(".")
    run.run(f"systemd-{name}-generator", *3 * [folder], path=f"{GENERATORS}/systemd-{name}-generator",
            env=dict(os.environ, **{f"SYSTEMD_{file.upper()}": run.write(file, text, 0o644)}))


@test("how to, OpenSSH: no order goes in a circle, with ssh.service or with ssh.socket; each has its keys first")
def openssh(run):
    page = Page("openssh")
    for way in ("ssh.service", "ssh.socket"):
        boot = Boot(run, way)
        for name in ("ssh.service", "ssh.socket"):
            with open(peer(f"lib/systemd/system/{name}"), encoding="utf-8") as file:
                boot.unit(name, file.read())
        for block in page.blocks:
            if block.language == "ini":
                boot.unit(block.words[0].removeprefix("/etc/systemd/system/"), block.text)
        for name in ("egd-push.service", "ssh-host-keys.service", way):
            boot.enable(name)
        check_equal(boot.circles(), "", f"circles with {way}")
        # What a connection starts, by a socket with Accept=no and yes.
        boot.unit("ssh@.service", "[Service]\nExecStart=/bin/true\n")
        for server, file in (("ssh.service", "ssh.service"), ("ssh@1.service", "ssh@.service")):
            boot.wants("multi-user.target", server, file=file)
            boot.unit("ssh-host-keys.service.d/contrary.conf", f"[Unit]\nAfter={server}\n")
            check_contains(boot.circles(), "ordering cycle", f"circles when the keys come after {server}")
            shutil.rmtree(boot.path("ssh-host-keys.service.d"))
            check_equal(boot.circles(), "", f"circles with {way} and {server}")
    boot.change("ssh-host-keys.service", lambda text: text.replace("Before=ssh.service", "Before=ssh.service ssh.socket"))
    check_contains(boot.circles(), "ordering cycle", "circles when the keys come before ssh.socket")


if __name__ == "__main__":
    main()
