#!/usr/bin/python3
"""Completion for bash: the files are sourced, and their functions called as bash calls them."""
import os
import subprocess

from daemons import Ekeyd, Softkey
from harness import build_folder, check, check_equal, main, program, source_folder, test, wait_until

# Words as bash parts them: at spaces, and at : and =.
SCRIPT = r"""
set -u
source "$1"
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
mapfile -t COMP_WORDS < <(grep -oE '[:=]+|[^:= ]+' <<<"$COMP_LINE")
[[ $COMP_LINE != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
name=${COMP_WORDS[0]}
function=$(complete -p "$name" | sed -E 's/.*-F ([^ ]+) .*/\1/')
"$function" "$name" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]-}"
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}"
"""


def complete(line):
    file = "egd-push" if line.startswith("egd-push") else "ekeyd"
    folders = [os.path.dirname(program(name)) for name in ("ekeydctl", "egd-push")]
    ran = subprocess.run(["bash", "-c", SCRIPT, "bash", os.path.join(source_folder(), f"contrib/completion/{file}.bash"), line],
                         env=dict(os.environ, PATH=":".join([*folders, os.environ["PATH"]])), capture_output=True, text=True,
                         timeout=60, cwd=build_folder(), check=False)
    check_equal(ran.stderr, "", f"what bash says about completing {line!r}")
    return ran.stdout.split("\n")[:-1]


@test("completion: commands and options of every program, as the programs tell them")
def words(run):
    check({"list", "stats", "top", "keygen", "shutdown"} <= set(complete("ekeydctl ")), "the commands of ekeydctl")
    check_equal(complete("ekeydctl st"), ["stats"], "a command")
    check_equal(complete("ekeydctl --js"), ["--json"], "an option")
    check_equal(complete("ekeydctl list --j"), ["--json"], "an option after the command")
    check_equal(complete("ekeydctl -s /nonexistent un"), ["unlisten", "unsink"], "commands after an option")
    check_equal(complete("ekeydctl shutdown "), [], "a command without arguments")
    check_equal(complete("ekeyd --log-level n"), ["notice"], "a level")
    check_equal(complete("ekeyd --log-level=n"), ["notice"], "a level after =")
    check_equal(complete("ekeyd --check"), ["--check-config"], "an option of ekeyd")
    check_equal(complete("ekeyd --source entropykey:u"), ["usb"], "the rest of an address")
    check("root" in complete("ekeyd --user ro"), "a user")
    check_equal(complete("ekey-rekey --dev"), ["--device"], "an option of ekey-rekey")
    check_equal(complete("egd-push --qu"), ["--quorum"], "an option of egd-push")
    check_equal(complete("egd-push --to ker"), ["kernel"], "a destination")
    check_equal(complete("egd-push --sandbox=st"), ["strict"], "a value after =")
    for name in ("ekeydctl", "ekeyd", "ekey-rekey", "egd-push"):
        said = run.run(name, "--help", path=program(name))
        options = sorted({word.strip("[],.:") for word in said.split() if word.startswith("--")})
        check_equal([o for o in options if o not in complete(f"{name} --")], [], f"options of {name} that are not offered")
    folder = run.path("a folder")
    os.mkdir(folder)
    check_equal(complete(f"ekeydctl addall {run.path('')}"), [folder], "a folder")
    check_equal(complete(f"ekey-rekey --device {run.path('')}"), [folder], "a file")


@test("completion: ids, listeners and sinks of the running daemon; what a device is called is never carried out")
def from_the_daemon(run):
    # A name that a shell would carry out if it were let.
    evil = "$(touch${IFS}pwned)`touch${IFS}pwned`"
    keys = [Softkey(run, name="key"), Softkey(run, name=evil)]
    daemon = Ekeyd(run, f"sink = file:{run.path('out')}", softkeys=keys[:1])
    run.run("ekeydctl", "--socket", daemon.control, "add", keys[1].path)
    wait_until(lambda: daemon.key(2)["Status"] == "Running OK", "the second key runs")
    ask = f"ekeydctl -s {daemon.control[5:]} "
    offered = complete(ask + "stats ")
    check_equal([subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True).stdout for word in offered],
                ["1", keys[0].path, keys[0].serial, "2", keys[1].path, keys[1].serial], "ids, as the shell then reads them")
    check_equal(complete(ask + "remove " + keys[0].serial[:8]), [quoted(keys[0].serial)], "a serial number")
    check_equal(complete(ask + "capture 1 "), [], "the second argument of capture")
    check_equal(complete(ask + "unlisten unix:"), [daemon.egd[5:] + r"\,mode=0600"], "listeners, after the colon")
    check_equal(complete(ask + "unsink "), ["file:" + run.path("out")], "sinks")
    check(not os.path.exists(os.path.join(build_folder(), "pwned")), "a device's name has been carried out")


def quoted(word):
    return subprocess.run(["bash", "-c", 'printf %q "$1"', "bash", word], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
