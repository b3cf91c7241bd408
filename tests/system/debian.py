"""Debian packages of this tree, and bare Debian systems to try them in. Both are made once a build folder."""
import fcntl
import glob
import os
import re
import subprocess

from harness import Failure, build_folder, check, need, source_folder


def _once(name, make):
    """Makes the folder `name` in the build folder with make(folder), unless a former test has; returns its path."""
    folder = os.path.join(build_folder(), name)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(folder):
            make(folder + ".new")
            os.rename(folder + ".new", folder)
    return folder


def _run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8",
                                   DEB_BUILD_OPTIONS="noautodbgsym noopt", DEB_CXXFLAGS_APPEND="-g0"))
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout.decode(errors='replace')[-6000:]}")
    return done.stdout.decode(errors="replace")


def built_packages():
    """The folder with the packages. They are built anew when the tree has changed since."""
    def build(folder):
        subprocess.run(["rm", "-rf", folder], check=True)
        # Nice to the tests beside it, which have deadlines.
        log = _run("nice", "-n", "10", os.path.join(source_folder(), "contrib/debian/build"), folder)
        with open(os.path.join(folder, "build.log"), "w", encoding="utf-8") as file:
            file.write(log)

    folder = os.path.join(build_folder(), "packages")
    programs = [os.path.join(build_folder(), path) for path in ("ekeyd/ekeyd", "egd-push/egd-push", "tests/softkey/softkey")]
    for part in ("debian", "systemd", "rpm"):
        programs += glob.glob(os.path.join(source_folder(), "contrib", part, "*"))
    if os.path.exists(folder) and any(os.path.getmtime(path) > os.path.getmtime(folder) for path in programs):
        subprocess.run(["rm", "-rf", folder], check=True)
    return _once("packages", build)


def package(name):
    found = glob.glob(os.path.join(built_packages(), f"{name}_*.deb"))
    check(len(found) == 1, f"packages named {name}: {found}")
    return found[0]


def _mirror():
    """Where this system's own packages come from."""
    sites = _run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages").split()
    check(sites, "apt knows no place where packages come from")
    return sites[0]


def _bare_base():
    return _once("debian-base", lambda folder: _run(need("debootstrap"), "--variant=minbase", "bookworm", folder, _mirror()))


def with_our_packages(run):
    """The folder of a bare system where apt has installed ours, as they are now, and udev. Not to be changed: Bare copies it."""
    packages = built_packages()
    folder = os.path.join(build_folder(), "debian-installed")
    if os.path.exists(folder) and os.path.getmtime(packages) > os.path.getmtime(folder):
        subprocess.run(["rm", "-rf", folder], check=True)
    return _once("debian-installed", lambda new: _install_ours(run, new))


def _install_ours(run, folder):
    subprocess.run(["rm", "-rf", folder], check=True)
    system = Bare(run, root=folder)
    system.install("udev", *sorted(dependencies("ekeyd", "egd-push", "ekeyd-softkey")))
    system.write("root/before", "\n".join(system.files()))
    system.install(*(package(name) for name in ("ekeyd", "egd-push", "ekeyd-softkey")))
    os.utime(folder)


def depends(name):
    """What our package depends on, without versions: a set of alternatives for each, in the order of the field."""
    field = _run("dpkg-deb", "--field", package(name), "Depends")
    return [[re.match(r"[a-z0-9.+-]+", one.strip()).group() for one in each.split("|")] for each in field.split(",")]


def dependencies(*names):
    """The first choice for everything that these packages of ours depend on."""
    return {alternatives[0] for name in names for alternatives in depends(name)} - set(names)


class Bare:
    """A Debian system with nothing but its essential packages and apt, in a folder. Each command sees a /proc of its
    own that is gone with it; daemons are never started by packages.
    """

    def __init__(self, run, root=None, base=None):
        """A copy of the folder `base`, which is such a system; in the run's folder, if `root` names no other."""
        self.run = run
        self.root = root or run.path("root")
        _run("cp", "-a", base or _bare_base(), self.root)
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def files(self):
        """Every path, but those that differ from day to day: logs, caches, what dpkg and apt keep, and /root."""
        skipped = {self.path(name) for name in ("proc", "root", "run", "tmp", "var/cache", "var/log", "var/lib/dpkg",
                                                "var/lib/apt")}
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in skipped]
            found += [os.path.relpath(os.path.join(folder, name), self.root) for name in [*folders, *names]]
        return sorted(found)

    def command(self, *arguments):
        return ["--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', self.root, *arguments]

    def start(self, *arguments):
        return self.run.start(os.path.basename(arguments[0]), *self.command(*arguments), path=need("unshare"))

    def call(self, *arguments, expect=0, seconds=300):
        return self.run.run(os.path.basename(arguments[0]), *self.command(*arguments), path=need("unshare"),
                            expect=expect, seconds=seconds)

    def install(self, *packages):
        """Names of Debian's packages, or files of ours."""
        names = []
        for one in packages:
            if one.endswith(".deb"):
                _run("cp", one, self.path("root"))
                one = "/root/" + os.path.basename(one)
            names.append(one)
        return self.call("sh", "-c", "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y "
                         "--no-install-recommends -o APT::Sandbox::User=root " + " ".join(names))
