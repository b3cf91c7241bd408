"""Documents: the pages of contrib/doc, and their blocks of commands and files, which tests run as they stand. contrib/HACKING.md tells how
a block says what it is.

A test says with @tries which blocks it is for, is handed them, and fails if it has not used one. documents.py sees that every block of every
page is some test's."""
import ast
import functools
import glob
import os
import re
import textwrap

from harness import check, check_equal, source_folder

FOLDER = os.path.join(source_folder(), "contrib", "doc")
FENCED = re.compile(r"(?ms)^( *)```(\S+)([^\n]*)\n(.*?)^\1```$|^#+ ([^\n]+)$")


class Block:
    """Between fences: its language, the words behind that, and its text."""

    def __init__(self, section, language, words, text):
        self.section = section
        self.language = language
        self.words = words
        self.used = False
        self._text = text

    @property
    def text(self):
        self.used = True
        return self._text

    def label(self):
        """What it says of itself, in the form that @tries takes."""
        return " ".join((self.language, *self.words))


class Page:
    def __init__(self, name, blocks=None):
        self.name = name
        self.blocks = self._read() if blocks is None else blocks

    def _read(self):
        with open(os.path.join(FOLDER, self.name + ".md"), encoding="utf-8") as file:
            text = file.read()
        found, section = [], ""
        for _, language, words, block, heading in FENCED.findall(text):
            if heading:
                section = heading
            else:
                found.append(Block(section, language, words.split(), textwrap.dedent(block)))
        check_equal(2 * len(found), len(re.findall(r"(?m)^ *```", text)), f"fences in {self.name}.md")
        check(found, f"{self.name}.md has no blocks")
        return found

    def at(self, section):
        """The part of the page below a heading."""
        blocks = [block for block in self.blocks if block.section == section]
        check(blocks, f"{self.name}.md has nothing below '{section}'")
        return Page(self.name, blocks)

    def part(self, parts):
        """The blocks of these parts (see tries); of the whole page if there are none."""
        blocks = [block for block in self.blocks if not parts or block.section in parts or (block.section, block.label()) in parts]
        for part in parts:
            check(any(part in (block.section, (block.section, block.label())) for block in blocks), f"{self.name}.md has no {part}")
        return Page(self.name, blocks)

    def block(self, language, *words):
        """The one block of this kind."""
        found = [block for block in self.blocks if block.language == language and block.words == list(words)]
        check_equal(len(found), 1, f"blocks ```{' '.join((language, *words))} in {self.name}.md")
        return found[0]

    def text(self, language, *words, **replaced):
        """Its text, but for what is a test's own: paths, addresses, keys. A name that it does not hold is a mistake."""
        return replace(self.block(language, *words).text, f"{self.name}.md", replaced)

    def file(self, path, **replaced):
        """The text of the block that is this file, or is to be added to it."""
        found = [block for block in self.blocks if block.words in ([path], ["add", path])]
        check_equal(len(found), 1, f"blocks of {path} in {self.name}.md")
        return replace(found[0].text, f"{self.name}.md", replaced)

    def commands(self, number=0):
        """The text of a block of commands that says nothing more of itself: the first, or another."""
        found = [block for block in self.blocks if block.language == "sh" and not block.words]
        check(len(found) > number, f"{self.name}.md has only {len(found)} blocks of commands there")
        return found[number].text


def tries(name, *parts):
    """For a test that tries a page: all of it, or these parts: headings, each for all the blocks below it, or (heading, label of a block).
    The test is handed a Page of these blocks, after those of other @tries above, and fails if one of them is left unused."""
    def decorate(function):
        @functools.wraps(function)
        def trying(run, *others):
            page = Page(name).part(parts)
            function(run, *others, page)
            check_equal([(block.section, block.label()) for block in page.blocks if not block.used], [], f"blocks of {name}.md that were not tried")
        return trying
    return decorate


def tried():
    """The blocks that tests try, by their @tries: (page, heading, label)."""
    found = set()
    for path in glob.glob(os.path.join(source_folder(), "tests", "*", "*.py")):
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for function in ast.walk(tree):
            for call in getattr(function, "decorator_list", []):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "tries":
                    name, *parts = map(ast.literal_eval, call.args)
                    found |= {(name, block.section, block.label()) for block in Page(name).part(parts).blocks}
    return found


def pages():
    return sorted(name[:-3] for name in os.listdir(FOLDER) if name.endswith(".md"))


def replace(text, name, replaced):
    for old, new in replaced.items():
        check(old in text, f"{name} holds no {old}")
        text = text.replace(old, new)
    return text


def text(document):
    with open(os.path.join(source_folder(), document), encoding="utf-8", errors="replace") as file:
        return file.read()


def prose(document):
    """Without what stands between fences or is indented as code."""
    return re.sub(r"(?m)^    .*$", "", re.sub(r"(?ms)^ *```.*?^ *```$", "", text(document)))


def spans(document):
    """What stands in backquotes."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose(document))]


TROUBLE = "contrib/doc/troubleshooting.md"
COMMANDS = ("ekeyd", "ekeydctl", "egd-push", "ekey-rekey", "control", "systemctl", "journalctl", "udevadm", "dmesg")
# What others say.
FOREIGN_MESSAGES = {"crng init done", "ekeyd-egd-linux", *map(os.strerror, (1, 2, 13, 30, 38, 99))}


def symptoms():
    """The messages in the headings of troubleshooting.md, and those in its text that are whole phrases."""
    headings = [span for heading in re.findall(r"(?m)^### (.*)$", text(TROUBLE)) for span in re.findall(r"`([^`]+)`", heading)]
    phrases = [span for span in spans(TROUBLE) if re.match(r"[\w'-]+ [\w'(-]+ ", span) and span.split()[0] not in
               COMMANDS]
    return {span for span in headings + phrases if span.split()[0] not in COMMANDS and span not in FOREIGN_MESSAGES}
