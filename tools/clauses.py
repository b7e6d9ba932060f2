#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table clause of SPEC.md -> vectors -> sources -> tests, made from what cites what.

    tools/clauses.py            prints docs/clauses.md
    tools/clauses.py --write    writes it
    tools/clauses.py --check    exit 1 when the file is not what would be written
    tools/clauses.py --lines    prints it with line numbers

Sources and tests cite clauses as "SPEC 5.3", "SPEC 2.3 to 2.5" or "SPEC 5.11, 5.12"; vectors have a
member `clause`. A citation of a chapter or of a clause with parts counts for that line alone.
"""

import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "docs", "clauses.md")
SOURCES = ("ddome.h", "ddome.c", "nn", "data", "fl", "tools")
TESTS = ("tests",)

NUMBER = r"\d+(?:\.\d+)*"
HEADING = re.compile(r"^#+ (%s) (.+)$" % NUMBER)
PARAGRAPH = re.compile(r"^(?:\*\*)?(\d+(?:\.\d+)+)(?:\*\*)?(?: |$)")
BOLD = re.compile(r"^(?:\*\*%s ([^*]+)\*\*|%s \*\*([^*]+)\*\*)" % (NUMBER, NUMBER))
CITATION = re.compile(r"SPEC (%s[a-z]?(?:(?:,| to| and) %s[a-z]?)*)" % (NUMBER, r"\d+(?:\.\d+)+"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def clauses(text):
    """[(number, title)] in the order of SPEC.md."""
    found = []
    before = ""
    for line in text.splitlines():
        fresh, before = before == "", line
        heading = HEADING.match(line)
        if heading:
            found.append((heading.group(1), heading.group(2)))
            continue
        paragraph = PARAGRAPH.match(line)
        if paragraph and fresh:
            bold = BOLD.match(line)
            title = (bold.group(1) or bold.group(2)) if bold else ""
            found.append((paragraph.group(1), title.strip().rstrip(".")))
    return found


def key(number):
    return tuple(int(part) for part in number.split("."))


def whole_lines(text):
    """The lines; one that ends inside a citation has the next one's words, too."""
    lines = text.splitlines()
    for line, following in zip(lines, lines[1:] + [""]):
        broken = re.search(r"SPEC [\d., tond]+(,| to| and)$", line)
        yield line + " " + following.lstrip(" *#/") if broken else line


def cited(text, numbers):
    """{clause: first line that cites it}; "a to b" stands for all clauses between, of that depth."""
    lines = {}
    for at, line in enumerate(whole_lines(text), 1):
        for match in CITATION.finditer(line):
            parts = re.findall(r"(,|to|and)? ?(%s)" % NUMBER, match.group(1))
            before = None
            for word, number in parts:
                names = [number]
                if word == "to" and before is not None:
                    names = [n for n in numbers if len(key(n)) == len(key(number))
                             and key(before) <= key(n) <= key(number)]
                for name in names:
                    lines.setdefault(name, at)
                before = number
    return lines


def files(places):
    for place in places:
        path = os.path.join(ROOT, place)
        if os.path.isfile(path):
            yield place, path
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(f for f in folders if f not in ("golden", "vectors", "__pycache__"))
            for name in sorted(names):
                if name.endswith((".c", ".h", ".cc", ".py", ".sh", ".toml")):
                    full = os.path.join(folder, name)
                    yield os.path.relpath(full, ROOT), full


def citations(places, numbers):
    """{clause: [(file, line)]}"""
    table = {}
    for name, path in files(places):
        if os.path.abspath(path) == os.path.abspath(__file__):
            continue
        for clause, line in cited(read(path), numbers).items():
            table.setdefault(clause, []).append((name, line))
    return table


def vectors():
    """{clause: [(level, number of vectors)]}"""
    table = {}
    folder = os.path.join(ROOT, "tests", "vectors")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if not name.endswith(".json") or name in ("schema.json", "manifest.json"):
            continue
        for vector in json.loads(read(os.path.join(folder, name))).get("vectors", []):
            counts = table.setdefault(vector["clause"], {})
            counts[name] = counts.get(name, 0) + 1
    return {clause: sorted(counts.items()) for clause, counts in table.items()}


def cell(places, lines):
    shown = ("%s:%d" % place if lines else place[0] for place in places)
    return ", ".join("`%s`" % text for text in shown)


# Known answers, an identity, a list of tests, where a section is introduced: no code of their own
WITHOUT_CODE = ("4.10", "12.5", "17.4.7", "19.5.1")


def stands_alone(number, names):
    """Is it a heading, a word, a limit, or in WITHOUT_CODE?"""
    return (any(name.startswith(number + ".") for name in names) or "." not in number
            or number.split(".")[0] in ("1", "20") or number in WITHOUT_CODE)


def table(lines):
    numbers = clauses(read(os.path.join(ROOT, "SPEC.md")))
    names = [number for number, _ in numbers]
    source, test, vector = citations(SOURCES, names), citations(TESTS, names), vectors()
    out = ["# From clauses to vectors, sources and tests", "",
           "Made by `tools/clauses.py --write` from the clauses of SPEC.md, the member `clause` of the",
           "vectors and the citations \"SPEC 5.3\" in sources and tests; `make lint` checks that it is up",
           "to date and that no other line is empty. `tools/clauses.py --lines` adds line numbers. Headings,",
           "words (chapter 1), the limits (chapter 20) and what has no code of its own are marked -.", "",
           "| clause | what | vectors | sources | tests |", "|---|---|---|---|---|"]
    for number, title in numbers:
        if stands_alone(number, names) and number not in source and number not in test:
            title = (title + " -").lstrip()
        made = ", ".join("`%s` (%d)" % pair for pair in vector.get(number, []))
        out.append("| %s | %s | %s | %s | %s |" % (number, title.replace("|", "\\|"), made,
                                                   cell(source.get(number, []), lines),
                                                   cell(test.get(number, []), lines)))
    empty = [number for number, _ in numbers if number not in source and number not in test
             and number not in vector and not stands_alone(number, names)]
    unknown = sorted((set(source) | set(test) | set(vector)) - set(names), key=key)
    return "\n".join(out) + "\n", unknown, empty


def main(arguments):
    if len(arguments) > 1 or not set(arguments) <= {"--write", "--check", "--lines"}:
        sys.stderr.write(__doc__)
        return 2
    text, unknown, empty = table("--lines" in arguments)
    for clause in empty:
        print("clause %s of SPEC.md is cited by no vector, source or test" % clause)
    for clause in unknown:
        print("SPEC.md has no clause %s, which is cited" % clause)
    if "--write" in arguments:
        with open(TABLE, "w", encoding="utf-8") as file:
            file.write(text)
    elif "--check" in arguments:
        current = read(TABLE) if os.path.exists(TABLE) else ""
        if current != text:
            print("docs/clauses.md is out of date: tools/clauses.py --write")
            return 1
    else:
        sys.stdout.write(text)
    return 1 if unknown or empty else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
