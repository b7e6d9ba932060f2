#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python3 tests/port.py PROGRAM [VECTORS_DIR]

Runs the port beside this file against PROGRAM: whole runs, the test vectors, and ports that are
wrong on purpose, whose mistake `PROGRAM compare --explain` has to name (SPEC 19.4, 19.5).
One line a check, then the totals; exit 1 when one fails.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
PLACES = (os.path.join(HERE, "..", "tools", "presets"), HERE)
# Whole runs: configuration, words. The baselines and controls are of SPEC 10.3 to 12.7, 13.5, 13.8.
RUNS = [("three_rounds.toml", words) for words in (
    "", "arith=fma eval_also=holdout,global", "algo=fedavg", "algo=scaffold bn_stats=local",
    "algo=ensemble bn_stats=first",
    "norm=group gate=frozen test=mixture eval_also=global,seen")]
RUNS += [("baselines.toml", "rounds=4 eval_every=2 algo=" + words) for words in (
    "fedprox last_batch=drop batch=7", "scaffold server_lr=0.5 dropout=0.3 straggler=0.5",
    "ensemble init=random augment=true epochs=2", "fedmix order=gate-first mix=probs",
    "fedmix gate=oracle", "ifca dropout=0.3 schedule=grow schedule_rounds=2",
    "ifca init=random ifca_test=oracle eval_scope=unseen",
    "local local_budget=full straggler=0.5 schedule=switch schedule_rounds=1",
    "head eval_scope=holdout eval_also=unseen", "common",
    "ddome top_k=2 gate=random anchors=cluster",
    "ddome top_k=2 gate=oracle anchors=wrong sampling=uniform",
    "ddome top_k=2 anchors=none dropout=1",
    "ddome top_k=2 common_every=2 order=experts-first eval_scope=global")]
counts = {"ok": 0, "FAIL": 0, "skipped": 0}


def line(kind, name, why=""):
    """Prints a result and counts it."""
    counts[kind] += 1
    print("%s port: %s%s" % (kind, name, ": " + why if why else ""), flush=True)


def call(words, both=True):
    """Exit code, and standard output, or both streams as one text."""
    try:
        done = subprocess.run(words, cwd=HERE, text=True, errors="replace", check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout + (done.stderr if both else "")


def port(words):
    """A command of the port."""
    return call([sys.executable, "-B", "-m", "port"] + words)


def first_bad(text):
    """The line that says what failed."""
    lines = [one for one in text.splitlines() if one.strip()] or ["no output"]
    return next((one for one in lines if one.startswith("FAIL")), lines[-1])


def result(name, code, text):
    """A line for a call that has to end with 0."""
    line("FAIL" if code else "ok", name, first_bad(text) if code else "")


def find_config(name):
    """The path of a configuration."""
    found = (os.path.join(place, name) for place in PLACES)
    return next((path for path in found if os.path.exists(path)), None)


def runs(program, scratch):
    """Whole runs of the program, done again by the port."""
    for number, (name, words) in enumerate(RUNS):
        config = find_config(name)
        told = ("run %s %s" % (name, words)).strip()
        if config is None:
            line("FAIL", told, "no such configuration")
            continue
        folder = os.path.join(scratch, "run-%d" % number)
        run = [program, "train", config] + words.split() + ["--out", folder, "--quiet"]
        code, text = call(run)
        if code == 0:
            code, text = port(["check", folder])
        result(told, code, text)


def compare(name, words, code, word):
    """A comparison by the program ends with a code, has all values, and names one cause, or none."""
    found, text = call(words, both=False)
    try:
        told = json.loads(text)
        causes = [one["names"] for one in told.get("explain", {}).get("deviations", [])]
        missing = told["missing"]
    except (ValueError, KeyError, AttributeError) as error:
        line("FAIL", name, "no such JSON (%r): %s" % (error, first_bad(text)))
        return
    if found != code:
        line("FAIL", name, "exit code %d, not %d" % (found, code))
    elif missing != 0 and not word:  # wrong ports answer the operations alone
        line("FAIL", name, "%d vectors were not answered" % missing)
    elif causes != ([[word]] if word else []):
        line("FAIL", name, "expected %s alone, found %s" % (word, causes))
    else:
        line("ok", name)


def vectors(program, folder, scratch):
    """All vectors by the port, and its answers by the program."""
    answers = os.path.join(scratch, "answers")
    code, text = port(["vectors", folder, "--answers", answers])
    result("vectors", code, text)
    if code in (0, 1):
        compare("compare", [program, "compare", folder, answers, "--json"], 0, "")


def wrong_ports(program, folder, scratch):
    """Each wrong port: the vectors catch it, and the program names its mistake."""
    from port import wrong
    for number, word in enumerate(wrong.TABLE):  # the word itself must not stand in a path
        answers = os.path.join(scratch, "wrong-%d" % number)
        code, text = port(["vectors", folder, "--wrong", word, "--answers", answers])
        result("wrong port " + word, code, text)
        if code in (0, 1):
            compare("explain " + word,
                    [program, "compare", folder, answers, "--explain", "--json"], 4, word)


def main(words):
    """The checks; 1 when one fails."""
    if len(words) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        importlib.import_module("numpy")
    except ImportError:
        print("skipped port: python3 has no numpy")
        return 0
    program = os.path.abspath(words[0])
    folder = os.path.abspath(words[1] if len(words) > 1 else os.path.join(HERE, "vectors"))
    with tempfile.TemporaryDirectory() as scratch:
        runs(program, scratch)
        vectors(program, folder, scratch)
        wrong_ports(program, folder, scratch)
    print("%(ok)d passed, %(FAIL)d failed, %(skipped)d skipped" % counts)
    return int(counts["FAIL"] > 0)


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    sys.exit(main(sys.argv[1:]))
