#!/usr/bin/python3
"""The documents, every Markdown file of the tree: links lead somewhere; options, commands, settings, files and messages that they name
are there. howto.py tries what they tell to do."""
import glob
import json
import os
import re

from harness import build_folder, check, check_equal, main, source_folder, test
from pages import FENCED, Page, pages, prose, spans, symptoms, text, tried

OURS = ("ekeyd", "ekeydctl", "ekey-rekey", "egd-push", "softkey")
# What no test can provoke cheaply: it takes a USB device and a user who may not open it.
UNSEEN = {"no permission to open it; a udev rule must give it to the daemon's group"}


def documents():
    """The paths of the Markdown files below the top folder."""
    top = source_folder()
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".git" and not name.startswith("build")
                      and not os.path.exists(os.path.join(folder, name, "build.ninja"))]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in names if name.endswith(".md")]
    check("README.md" in found, f"no documents in {top}")
    return sorted(found)


def source(pattern):
    return glob.glob(os.path.join(source_folder(), pattern), recursive=True)


def command_lines(document):
    """Lines of commands: between fences (```sh), indented, or in backquotes."""
    lines = [line for _, language, _, block, _ in FENCED.findall(text(document)) if language == "sh" for line in block.splitlines()]
    lines += re.findall(r"(?m)^    (.+)$", re.sub(r"(?ms)^ *```.*?^ *```$", "", text(document)))
    return [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines + spans(document)]


def anchors(document):
    """What a link may name behind #: headings, as the sites that show Markdown make links of them."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^ *```.*?^ *```$", "", text(document)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@test("documents: every link from a Markdown file leads to a file that is there, and to a heading that it has")
def links(run):
    broken = []
    count = 0
    for document in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", text(document)):
            if re.match(r"[a-z]+:", target):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            other = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
            if not os.path.exists(os.path.join(source_folder(), other)) or anchor and anchor not in anchors(other):
                broken.append(f"{document}: {target}")
    check_equal(broken, [], "links that lead nowhere")
    check(count > 10, f"only {count} links were found")


@test("documents: every page of contrib/doc is in README.md, and every block of commands, or of a file, on it is tried by a test")
def listed_and_tried(run):
    named = set(re.findall(r"\]\(contrib/doc/([\w-]+)\.md\)", text("README.md")))
    check_equal(sorted(set(pages()) - named), [], "pages that README.md does not name")
    blocks = {(name, block.section, block.label()) for name in pages() if "```" in text(f"contrib/doc/{name}.md") for block in Page(name).blocks}
    check(len(blocks) > 50, f"only {len(blocks)} blocks were found")
    check_equal(sorted(blocks - tried()), [], "blocks that no test tries")


@test("documents: every option, command of ekeydctl, setting and parameter that they name is one of the programs' or in their manual pages")
def names(run):
    helps = {name: run.run(name, "--help") for name in OURS}
    options = {name: set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", said)) for name, said in helps.items()}
    everything = set().union(*options.values())
    settings = {option[2:] for option in options["ekeyd"] | options["egd-push"] if option.startswith("--")}
    commands = set(re.findall(r"(?m)^  ([a-z]+) ", helps["ekeydctl"]))
    manuals = "".join(text(path) for pattern in ("*/*.[1-8]", "tests/softkey/*.1")
                      for path in source(pattern)).replace("\\-", "-").replace("\\fI", "")
    logged = literals()
    unknown, count = [], 0

    def known(document, what, there):
        nonlocal count
        count += 1
        if not there:
            unknown.append(f"{document}: {what}")

    for document in documents():
        for line in command_lines(document):
            words = re.sub(r"^[A-Z_]+=\S+ ", "", line).split()
            if not words:
                continue
            if words[0] in OURS:
                for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(words[1:]).partition(" > ")[0]):
                    known(document, f"{words[0]} {word}", word in options[words[0]])
            if words[0] == "ekeydctl" and len(words) > 1 and words[1][0] not in "-[":
                known(document, f"ekeydctl {words[1]}", words[1] in commands)
            if words[0].startswith("--") and len(words) < 3:
                known(document, words[0], words[0].partition("=")[0] in everything | FOREIGN_OPTIONS)
            if setting := re.match(r"([a-z][a-z-]*) = ", line):
                known(document, line, setting[1] in settings)
        for parameter in re.findall(r"`([a-z][a-z0-9-]*=)[^` ]*`", prose(document)):
            known(document, parameter, parameter in manuals or parameter in logged or parameter in FOREIGN_PARAMETERS)
        for page, chapter in re.findall(rf"\b({'|'.join(OURS)}|ekeyd\.conf)\((\d)\)", text(document)):
            known(document, f"{page}({chapter})", source(f"**/{page}.{chapter}"))
    check_equal(unknown, [], "names that are nowhere else")
    check(count > 80, f"only {count} names were found")


# Of meson and others, named without the program.
FOREIGN_OPTIONS = {"--enable-random"}
FOREIGN_PARAMETERS = {"dtoverlay="}


@test("documents: every file of the source that they name is there; HACKING.md tells of every folder")
def files(run):
    missing = []
    for document in documents():
        for path in re.findall(r"(?:^|[\s`(])((?:contrib|tests|protocol|ekeyd|egd-push|udev)/[\w./*-]*[\w*])(?=[\s`),:;.]|$)", text(document)):
            if not source(path) and path not in BUILT and "NAME" not in path:
                missing.append(f"{document}: {path}")
        for path in re.findall(r"(?m)(?:^    |`)(?:EKEYD_BUILD=\S+ )?build/([\w/-]+)", text(document)):
            if not os.path.exists(os.path.join(build_folder(), path)):
                missing.append(f"{document}: build/{path}")
    check_equal(missing, [], "files that are not there")
    table = text("contrib/HACKING.md").partition("## Where things are")[2].partition("\n## ")[0]
    folders = {os.path.basename(os.path.dirname(path)) for path in source("ekeyd/*/meson.build")}
    check_equal(sorted(folder for folder in folders if f"{folder}/`" not in table), [], "folders that HACKING.md does not tell of")


BUILT = {"ekeyd/ekeyd", "ekeyd/ekeydctl", "egd-push/egd-push", "tests/softkey/softkey"}


def literals():
    """All string literals of the programs, parts that are written one after the other as one."""
    found = []
    for pattern in ("ekeyd/**/*.cpp", "ekeyd/**/*.h", "egd-push/*.cpp", "egd-push/*.h", "protocol/**/*.cpp", "protocol/**/*.h"):
        for path in source(pattern):
            for run_of in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', text(path)):
                found.append("".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', run_of)))
    return "\n".join(found)


@test("documents: every message that troubleshooting.md explains is one of the programs', as it stands, and a test has seen it")
def messages(run):
    known = literals()
    found = symptoms()
    check(len(found) > 35, f"only {len(found)} messages are quoted: {found}")
    check_equal(sorted(message for message in found if message not in known), [], "messages that no program says")
    seen = "\n".join(text(path) for pattern in ("tests/system/*.py", "tests/qemu/*.py", "tests/unit/**/*.cpp", "tests/softkey/*.cpp")
                     for path in source(pattern))
    check_equal(sorted(message for message in found - UNSEEN if message not in seen), [], "messages that no test has seen")


@test("documents: the tests and benchmarks that how-we-know.md names for promises and figures are there")
def known(run):
    titles = set(re.findall(r'(?:TEST_CASE\(|@test\()"([^"]*)"', "\n".join(
        text(path) for pattern in ("tests/unit/**/*.cpp", "tests/system/*.py") for path in source(pattern))))
    # meson allows no colon in a name.
    for kind in ("tests", "benchmarks"):
        with open(os.path.join(build_folder(), "meson-info", f"intro-{kind}.json"), encoding="utf-8") as file:
            titles |= {entry["name"].replace(" -", ":") for entry in json.load(file)}
    titles = {title.replace(" -", ":") for title in titles}
    page = text("contrib/doc/how-we-know.md")
    promises = re.findall(r"(?ms)^(\d)\. .*?((?:^ +- `[^`]+`\n)+)", page)
    check_equal([number for number, _ in promises], [str(number) for number in range(1, 9)], "the promises")
    missing = []
    for number, listed in promises:
        for title in re.findall("`([^`]+)`", listed):
            if not any(known.startswith(f"promise {number}: {title}") for known in titles):
                missing.append(f"promise {number}: {title}")
    figures = [row.split(" | ")[2] for row in re.findall(r"(?m)^\| .*$", page.partition("## Measured")[2].partition("How soon")[0])[1:]]
    named = [name for cell in figures + re.findall(r"Measured by (`[^`]+`)", page) for name in re.findall("`([^`]+)`", cell)]
    check(len(named) > 10 and all("`" in cell or "the same" in cell for cell in figures), f"figures without a test: {figures}")
    check_equal(missing + [name for name in named if name not in titles], [], "tests and benchmarks that are not there")


if __name__ == "__main__":
    main()
