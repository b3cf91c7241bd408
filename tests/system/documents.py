#!/usr/bin/env python3
"""The documents, every Markdown file of the tree: their links lead somewhere. howto.py tries what they tell to do."""
import os
import re

from harness import check, check_equal, main, source_folder, test


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


def text(document):
    with open(os.path.join(source_folder(), document), encoding="utf-8") as file:
        return file.read()


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


@test("documents: every page of contrib/doc is in README.md")
def listed(run):
    pages = {name for name in os.listdir(os.path.join(source_folder(), "contrib/doc")) if name.endswith(".md")}
    named = set(re.findall(r"\]\(contrib/doc/([\w-]+\.md)\)", text("README.md")))
    check_equal(sorted(pages - named), [], "pages that README.md does not name")


@test("documents: every page with commands or files is tried by a test")
def tried(run):
    tests = os.path.join(source_folder(), "tests")
    used = set()
    for folder in ("system", "qemu"):
        for name in os.listdir(os.path.join(tests, folder)):
            if name.endswith(".py"):
                used |= set(re.findall(r'Page\("([\w-]+)"\)', text(os.path.join("tests", folder, name))))
    pages = {name[:-3] for name in os.listdir(os.path.join(source_folder(), "contrib/doc")) if "```" in text("contrib/doc/" + name)}
    check_equal(sorted(pages - used), [], "pages that no test tries")


if __name__ == "__main__":
    main()
