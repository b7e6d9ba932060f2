# SPDX-License-Identifier: MIT
"""python3 -m port COMMAND, one of

train CONFIG [key=value...] --out DIR
check RUN
vectors DIR [--answers OUT] [--level NAME] [--wrong WORD]
"""

import json
import os
import sys

from . import config, federation, methods, vectors


def train(words):
    """Runs a configuration and writes its files."""
    at = words.index("--out")
    out, words = words[at + 1], words[:at] + words[at + 2:]
    os.makedirs(out, exist_ok=True)
    for name, text in federation.files(federation.run(config.read(words[0], words[1:]))).items():
        with open(os.path.join(out, name), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    return 0


def difference(mine, theirs):
    """The first line in which two texts differ, or nothing."""
    mine, theirs = mine.split("\n"), theirs.split("\n")
    for i in range(max(len(mine), len(theirs))):
        a, b = (text[i] if i < len(text) else "(end)" for text in (mine, theirs))
        if a != b:
            return "line %d: port %s, run %s" % (i + 1, a, b)
    return ""


def check(folder):
    """Runs a run's config.toml again and compares; 1 on a difference."""
    def text(name):
        with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
            return file.read()
    c = config.read(os.path.join(folder, "config.toml"))
    engine = methods if methods.wanted(c) else federation
    r = engine.run(c)
    results = {name: difference(mine, text(name))
               for name, mine in engine.files(r).items() if name != "models.txt"}
    if r.common:
        theirs = json.loads(text("manifest.json"))["common_sha256"]
        results["common_sha256"] = difference(r.common.hash(), theirs)
    for name, found in results.items():
        print("FAIL %s: %s" % (name, found) if found else "ok " + name)
    return int(any(results.values()))


def main(words):
    """The command line."""
    if words[:1] == ["train"] and "--out" in words:
        return train(words[1:])
    if len(words) == 2 and words[0] == "check":
        return check(words[1])
    if words[:1] == ["vectors"]:
        return vectors.main(words[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
