#!/usr/bin/python3
"""The Debian packages (package_build.py): what is in them, installed in a bare Debian system. In the place of 1.1.5's: upgrade.py."""
import fnmatch
import glob
import itertools
import os
import re

from clients import Egd
from daemons import answers
from debian import Bare, depends, package, with_our_packages
from harness import build_folder, check, check_contains, check_equal, main, need, peer, source_folder, test, wait_until


@test("Debian package egd-push: small, and needs only libc, libsodium and what runs it")
def push_is_small(run):
    check_equal(sorted(depends("egd-push")),
                [["libc6"], ["libsodium23"], ["systemd", "systemd-standalone-sysusers", "systemd-sysusers"]],
                "what egd-push depends on")
    size = os.path.getsize(package("egd-push"))
    check(size < 300_000, f"egd-push: {size} bytes")  # built without optimisation, for the tests


@test("Debian packages: no file is in two of them, or in one of ours and in another's of 1.1.5; documents are not compressed")
def contents(run):
    ours = {name: packed(run, package(name)) for name in ("ekeyd", "egd-push", "ekeyd-egd-linux", "ekeyd-softkey")}
    for one, other in itertools.combinations(ours, 2):
        check_equal(ours[one] & ours[other], set(), f"files in {one} and {other}")
    names = [os.path.basename(path) for files in ours.values() for path in files if "/share/doc/" in path or "/examples/" in path]
    twice = {name for name in names if names.count(name) > 1} - {"copyright", "changelog.Debian.gz", "README.md", "egd-push.conf"}
    check_equal(twice, set(), "documents in two packages")
    check_equal({name for name in names if name.endswith(".gz")}, {"changelog.Debian.gz"}, "compressed documents")
    # egd-push replaces no file of ekeyd-egd-linux, so that it breaks it is all it must say.
    old = {os.path.basename(path) for path in glob.glob(os.path.join(peer("usr"), "*", "*ekeyd-egd*"))}
    check(old, "the old client is not among the peers")
    check_equal([path for path in ours["egd-push"] if os.path.basename(path) in old], [], "files of ekeyd-egd-linux 1.1.5 in egd-push")


def packed(run, path):
    listed = run.run("dpkg-deb", "--contents", path, path=need("dpkg-deb"))
    return {re.split(" -> ", line.split(None, 5)[5])[0] for line in listed.splitlines() if not line.startswith("d")}


@test("Debian packages in a bare system: installed, run as they are, removed without a trace")
def bare(run):
    system = Bare(run, base=with_our_packages(run))
    check_contains(system.call("ekeyd", "--check-config"), r"/etc/ekeyd/ekeyd.conf: good", "the configuration as installed")
    for name in ("ekeyd", "egd-push", "softkey"):
        check_contains(system.call(name, "--version"), r"2\.0\.0", f"{name} --version")
    check_contains(system.read("etc/group"), r"^(.*\n)*ekeyd:", "the group that udev's rules name")
    units = [path for name in ("ekeyd", "egd-push") for path in system.call("dpkg", "-L", name).split()
             if re.fullmatch(r"/lib/systemd/system/.*\..*", path)]
    check_equal(len(units), 5, f"units in the packages: {units}")
    check_equal(system.call("systemd-analyze", "verify", "--man=no", *units), "", "what systemd-analyze says of them")
    owner = os.stat(system.path("etc/entropykey/keyring")).st_uid
    check_contains(system.read("etc/passwd"), rf"(?m)^ekeyd:x:{owner}:", "the user, whose the keyring is")
    key = system.start("softkey", "--unix", "/run/key", "--keyring", "/etc/entropykey/keyring", "--rate", "1000")
    key.wait_output(r"^ready ")
    system.write("etc/ekeyd/ekeyd.conf", "source = entropykey:/run/key\nlisten = unix:/run/egd.sock,mode=0666\n"
                                         "control = unix:/run/ekeyd.sock\n")
    daemon = system.start("ekeyd", "--foreground")
    wait_until(lambda: answers("unix:" + system.path("run/egd.sock")), "ekeyd answers")
    with Egd("unix:" + system.path("run/egd.sock")) as client:
        check_equal(len(client.read(64, 60)), 64, "bytes from the installed daemon")
    check_contains(system.call("ekeydctl", "list"), r"YES,Running OK,/run/key", "ekeydctl list")
    check_equal(len(system.call("egd-push", "--from", "unix:/run/egd.sock", "--to", "file:/root/bytes", "--once",
                                "--bytes", "64")) >= 0 and os.path.getsize(system.path("root/bytes")), 64, "bytes pushed")
    daemon.stop()
    key.stop()
    system.call("apt-get", "-q", "purge", "-y", "ekeyd", "egd-push", "ekeyd-softkey")
    # The keyring stays, and users do, as everywhere in Debian; deb-systemd-helper and ldconfig keep what is theirs.
    left = sorted(set(system.files()) - set(system.read("root/before").splitlines()))
    check_equal(left, ["etc/entropykey", "etc/entropykey/keyring"], "what is left after a purge")
    lost = sorted(set(system.read("root/before").splitlines()) - set(system.files()))
    check_equal(lost, [], "what a purge took that was there before")


# What Fedora's macros say of folders, as far as the spec file uses them, for where `meson install` puts things here; and what else
# is not in rpm itself.
MACROS = """
%_prefix /usr/local
%_datadir /usr/local/share
%_sysconfdir /usr/local/etc
%_unitdir /usr/local/lib/systemd/system
%_udevrulesdir /usr/local/lib/udev/rules.d
%_sysusersdir /usr/local/lib/sysusers.d
%_tmpfilesdir /usr/local/lib/tmpfiles.d
%_mandir /usr/local/share/man
%_licensedir /usr/local/share/licenses
%meson meson setup --auto-features=enabled
%meson_build meson compile
%meson_install meson install
%tmpfiles_create() systemd-tmpfiles --create %{*}
%systemd_post() systemctl preset %{*}
%systemd_preun() systemctl disable %{*}
%systemd_postun_with_restart() systemctl try-restart %{*}
"""
SECTIONS = {"description", "package", "prep", "build", "install", "pre", "post", "preun", "postun", "files", "changelog", "license", "doc",
            "dir", "config"}


@test("RPM spec file: rpmspec reads it; it names every file that is installed, and none that is not; the build's options are the tree's")
def spec(run):
    path = os.path.join(source_folder(), "contrib/rpm/ekeyd.spec")
    parsed = run.run("rpmspec", "--load", run.write("macros", MACROS), "--parse", path, path=need("rpmspec"))
    words = set(re.findall(r"%\{?\??(\w+)", re.sub(r"(?m)^#.*", "", parsed)))
    check_equal(words - SECTIONS, set(), "macros that nobody defines")
    check_contains(parsed, r"(?m)^meson setup .*-Djitter=disabled", "what Fedora is not asked for")
    check_contains(parsed, r"(?m)^BuildRequires:.* libstdc\+\+-static", "what -static-libstdc++ needs")
    check_contains(parsed, r"(?m)^\* \w{3} \w{3} \d\d \d{4} .* - 2\.0\.0-1$", "the version in %changelog")
    lines = [line for part in re.split(r"(?m)^%files", parsed)[1:] for line in part.split("\n%changelog")[0].splitlines()]
    named = {line.split()[-1] for line in lines if re.match(r"(%config\S* )?/", line)}
    folders = {line.split()[-1] for line in lines if line.startswith("%dir ")}
    folder = run.path("root")
    run.run("meson", "install", "-C", build_folder(), "--no-rebuild", "--destdir", folder, path=need("meson"))
    for made in re.findall(r"(?m)^install -D .* \S*?(/usr/local/etc/\S+)$", parsed):  # as %install says
        os.makedirs(os.path.dirname(folder + made), exist_ok=True)
        os.mknod(folder + made)
    softkeys = {"/usr/local/bin/softkey", "/usr/local/share/man/man1/softkey.1*"}  # not installed with the tests
    check_equal([name for name in sorted(named - softkeys | folders) if not glob.glob(folder + name)], [], "files that are not installed")
    check(softkeys <= named, "softkey's files")
    missing = [full[len(folder):] for top, _, files in os.walk(folder) for full in (os.path.join(top, name) for name in files)
               if not any(fnmatch.fnmatch(full[len(folder):], name) or full[len(folder):].startswith(name + "/") for name in named)]
    check_equal(missing, [], "installed files that it does not name")


if __name__ == "__main__":
    main()
