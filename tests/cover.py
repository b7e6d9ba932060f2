#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Branch coverage of nn/, data/ and fl/, by file, out of gcov's own JSON.

    python3 tests/cover.py TREE REASONS LEAST BUILD_DIR...

TREE is where the compiler ran, BUILD_DIR (below TREE) where the objects and their .gcno and .gcda
are. Branches are gcov's: the two ways out of each condition of a line, and each case of a switch.
The counts of one line are summed over all objects that have it; an object that never ran counts
with zeros. Exit 1 when less than LEAST percent of all branches were taken, reasons or not, and
when an entry of REASONS is wrong. A line of REASONS is

    FILE:FUNCTION:COUNT:text of the line :: why no test can take these branches

and excuses at most COUNT branches that were never taken on the lines with this text of the function.
An entry without such a line, or whose line has no such branch any more, is an error. The way out of a rule
whose breach ends the program, assert and NN_INVARIANT, is excused without an entry.
"""
import collections
import json
import os
import subprocess
import sys

FOLDERS = ("nn", "data", "fl")
SEPARATOR = " :: "
RULES = ("assert(", "NN_INVARIANT(")


class Line:
    """One line of one function: how often it ran, how often each of its branches was taken."""

    def __init__(self):
        self.count = 0
        self.branches = []

    def add(self, record):
        self.count += record["count"]
        counts = [branch["count"] for branch in record["branches"] if not branch["throw"]]
        self.branches += [0] * (len(counts) - len(self.branches))
        for i, count in enumerate(counts):
            self.branches[i] += count

    def never(self):
        return self.branches.count(0)


def reports(build):
    """gcov's account of every object below build."""
    for folder, _, names in sorted(os.walk(build)):
        for name in sorted(names):
            if name.endswith(".gcno"):
                command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", name]
                run = subprocess.run(command, cwd=folder, check=True, capture_output=True)
                for line in run.stdout.splitlines():
                    yield json.loads(line)


def collect(tree, builds):
    """{(file, function, line number): Line} of the files of FOLDERS."""
    lines = collections.defaultdict(Line)
    for build in builds:
        for report in reports(build):
            for file in report["files"]:
                path = os.path.join(report["current_working_directory"], file["file"])
                name = os.path.relpath(os.path.normpath(path), tree)
                if name.split(os.sep)[0] in FOLDERS:
                    for record in file["lines"]:
                        where = (name, record.get("function_name", ""), record["line_number"])
                        lines[where].add(record)
    return lines


def texts(tree, lines):
    """{key of lines: the text of the line}"""
    sources = {}
    for name in {name for name, _, _ in lines}:
        with open(os.path.join(tree, name), encoding="utf-8") as file:
            sources[name] = file.read().splitlines()
    return {key: sources[key[0]][key[2] - 1].strip() for key in lines}


def excuse(path, lines, text):
    """({key of lines: branches with a reason}, errors)"""
    excused, errors = collections.Counter(), []
    for key in lines:
        if text[key].startswith(RULES):
            excused[key] = lines[key].never()
    with open(path, encoding="utf-8") as file:
        for number, entry in enumerate(file, 1):
            entry = entry.rstrip("\n")
            if entry == "" or entry.startswith("#"):
                continue
            place, found, why = entry.partition(SEPARATOR)
            parts = place.split(":", 3)
            if not found or not why.strip() or len(parts) != 4 or not parts[2].isdigit():
                errors.append(f"{path}:{number}: not FILE:FUNCTION:COUNT:text :: why")
                continue
            name, function, count, words = parts
            keys = [key for key in lines
                    if key[:2] == (name, function) and text[key] == words and key not in excused]
            never = sum(lines[key].never() for key in keys)
            if not keys:
                errors.append(f"{path}:{number}: {name}, {function} has no such line")
            elif never == 0:
                errors.append(f"{path}:{number}: every branch of this line was taken")
            left = int(count)
            for key in keys:
                excused[key] = min(left, lines[key].never())
                left -= excused[key]
    return excused, errors


class Sum:
    """What is counted of a file or a folder."""

    def __init__(self):
        self.lines = self.run = self.branches = self.taken = self.excused = 0

    def add(self, line, excused):
        self.lines += 1
        self.run += line.count > 0
        self.branches += len(line.branches)
        self.taken += len(line.branches) - line.never()
        self.excused += excused

    def percent(self, without=0):
        possible = self.branches - without
        return 100.0 * self.taken / possible if possible else 100.0

    def row(self, name):
        return (f"{name:<28} {self.lines:6} {self.run:6} {self.branches:8} {self.taken:7} "
                f"{self.percent():6.2f} {self.excused:7} {self.percent(self.excused):8.2f}")


def table(lines, excused):
    """Prints a row a file, a folder, and all; returns the sum of all."""
    files = collections.defaultdict(Sum)
    folders = {folder: Sum() for folder in FOLDERS}
    whole = Sum()
    for key, line in lines.items():
        for part in (files[key[0]], folders[key[0].split(os.sep)[0]], whole):
            part.add(line, excused[key])
    print(f"{'file':<28} {'lines':>6} {'run':>6} {'branches':>8} {'taken':>7} {'%':>6} "
          f"{'excused':>7} {'% of rest':>9}")
    for name in sorted(files):
        print(files[name].row(name))
    for folder in FOLDERS:
        print(folders[folder].row(folder + "/"))
    print(whole.row("all"))
    return whole


def list_never(lines, excused, text):
    """Prints a line for each place with branches that were never taken and have no reason."""
    print("never taken, without a reason:")
    for key in sorted(lines, key=lambda key: (key[0], key[2])):
        never = lines[key].never() - excused[key]
        if never > 0:
            name, function, number = key
            which = " ".join(str(i) for i, n in enumerate(lines[key].branches) if n == 0)
            print(f"{name}:{number}: {which} of {len(lines[key].branches)}: {function}: {text[key]}")


def main():
    tree, reasons, least, *builds = sys.argv[1:]
    tree = os.path.realpath(tree)
    lines = collect(tree, builds)
    text = texts(tree, lines)
    excused, errors = excuse(reasons, lines, text)
    list_never(lines, excused, text)
    whole = table(lines, excused)
    for error in errors:
        print(error)
    enough = whole.branches > 0 and whole.percent() >= float(least)
    print(f"{'ok' if enough and not errors else 'FAIL'} coverage: {whole.percent():.2f} % of "
          f"{whole.branches} branches, at least {least} % are asked for; "
          f"{whole.percent(whole.excused):.2f} % without the {whole.excused} that have a reason")
    sys.exit(0 if enough and not errors else 1)


if __name__ == "__main__":
    main()
