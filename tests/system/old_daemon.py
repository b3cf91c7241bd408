"""Starts Debian's ekeyd 1.1.5."""
import os

from clients import Control
from harness import peer, wait_until


class OldEkeyd:
    """Debian's daemon on one key, with EGD output and a control socket."""

    def __init__(self, run, path, keyring):
        self.egd = "unix:" + run.path("old.egd")
        self.control = "unix:" + run.path("old.sock")
        config = run.write("old.conf", f'''Daemonise(false)
UnixControlSocket "{self.control[5:]}"
Keyring "{keyring}"
EGDUnixSocket "{self.egd[5:]}"
AddEntropyKey "{path}"
''')
        self.program = run.start("ekeyd 1.1.5", "-f", config, "-p", run.path("old.pid"), path=peer("usr/sbin/ekeyd"))
        wait_until(lambda: os.path.exists(self.control[5:]), "the control socket of 1.1.5")

    def keys(self):
        with Control(self.control) as control:
            return control.keys()

    def wait_status(self, word):
        wait_until(lambda: self.keys() and self.keys()[0]["Status"] == word, f"the status {word!r}: {self.keys()}")

    def statistics(self):
        with Control(self.control) as control:
            return control.statistics("1")
