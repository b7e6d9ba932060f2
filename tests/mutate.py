#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the tests see a small change? Seeded mutants of nn/ and fl/, each against all tests until one fails.

    tests/mutate.py [--count N] [--seed N] [--jobs N] [--trees DIR] [--skip PATTERN]... [--only PATTERN]...
                    [--again] [--id ID]... [--show ID] [--report]

A mutant that does not compile, or whose objects are those of the original or of an earlier mutant, does
not count. Order: the suites of the mutated file, suites that include its header, all others, quick ones
first; then golden runs and vectors; then the scripts of the command line. Works on copies of the tree (in
--trees: a folder in memory spares the disk); results are appended to build/mutate/SEED.jsonl, and a second
call goes on after the last.
tests/mutants.txt has a reason for each survivor that no test needs to kill; exit 1 when one has none.
"""

import argparse
import collections
import concurrent.futures
import difflib
import fcntl
import filecmp
import fnmatch
import glob
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutate_sites  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "mutate")
REASONS = os.path.join(ROOT, "tests", "mutants.txt")
TREE = ("Makefile", "README.md", "SPEC.md", "ddome.c", "ddome.h", "nn", "data", "fl", "tests", "tools", "docs")
# A swapped pair of arguments has to be of one type, a removed pointer is no number.
ERRORS = "incompatible-pointer-types int-conversion format discarded-qualifiers return-type"
# What a mutant leaves without a value has an odd one, on the stack here and on the heap by MALLOC_PERTURB_.
FLAGS = " ".join(["-ftrivial-auto-var-init=pattern"] + [f"-Werror={word}" for word in ERRORS.split()])
MAKE = ["make", "-s", "-j1", "CC=gcc", "SIMD=0", "OPT=-O1", "BUILD=build", f"CFLAGS_EXTRA={FLAGS}"]
RUNNER, PROGRAMS = "build/tests/runner", ("ddome", "build/vectors", "build/deviate")
STAGES = ("own", "including", "others", "golden", "command line")
# three_rounds: the root hashes of a run with pretraining in both profiles, as in PLATFORMS.md.
THREE_ROUNDS = """while read -r arith want; do
    ./ddome train tools/presets/three_rounds.toml arith=$arith --out build/three --force --quiet |
        grep -q "^root hash  $want" || echo "FAIL three_rounds $arith"
done <tests/golden/three_rounds.txt
echo '1 passed, 0 failed'"""
SCRIPTS = (
    ("golden", "three_rounds", ["sh", "-c", THREE_ROUNDS]),
    ("golden", "vectors", ["sh", "tests/vectors.sh", "build/vectors", "build/scratch-vectors"]),
    ("command line", "cli_data", ["sh", "tests/cli_data.sh", "./ddome", "build/scratch"]),
    ("command line", "cli_runs", ["sh", "tests/cli_runs.sh", "./ddome", "build/scratch"]),
    ("command line", "cli_resume", ["sh", "tests/cli_resume.sh", "./ddome", "build/scratch"]),
    ("command line", "cli_edges", ["sh", "tests/cli_edges.sh", "./ddome", "build/scratch"]),
    ("command line", "cli_poor", ["sh", "tests/cli_poor.sh", "./ddome", "build/scratch"]),
    ("command line", "cli_hostile", ["sh", "tests/cli_hostile.sh", "./ddome", "build/scratch"]),
    ("command line", "report", ["sh", "tests/report.sh", "./ddome", "build/scratch"]),
    ("command line", "cli", ["sh", "tests/cli.sh", "./ddome", "build/scratch"]),
    ("command line", "compare", ["sh", "tests/compare.sh", "./ddome", "build/deviate", "build/scratch"]),
)
LIMITED = 'ulimit -c 0; ulimit -t "$1"; ulimit -v 8000000; ulimit -f 2000000; shift; exec "$@"'


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Tree:
    """A copy of the project with its objects; tests write only below its build folder."""

    def __init__(self, *path):
        self.path = os.path.join(*path)

    def at(self, name):
        return os.path.join(self.path, name)

    def make(self, *targets):
        return subprocess.run(MAKE + list(targets), cwd=self.path, capture_output=True, check=False,
                              text=True, errors="replace")  # fmt: skip

    def run(self, command, seconds):
        """What failed first ("" when nothing did): a FAIL line, the status, the time."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DDOME_")}
        environment.update(DDOME_TEST_DIR="build/scratch", MALLOC_PERTURB_="165")
        shutil.rmtree(self.at("build/scratch"), ignore_errors=True)
        os.makedirs(self.at("build/scratch"))
        process = subprocess.Popen(["sh", "-c", LIMITED, "sh", str(seconds)] + command, cwd=self.path,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace",
                                   stderr=subprocess.DEVNULL, start_new_session=True, env=environment)  # fmt: skip
        late = []

        def stop(because):
            late.append(because)
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

        # Time of the wall only for what waits without working; the machine may be busy.
        timer = threading.Timer(20 * seconds, stop, ["time"])
        timer.start()
        failure = last = ""
        for line in process.stdout:
            last = line
            if line.startswith("FAIL "):
                failure = line.strip()
                stop("failure")
                break
        timer.cancel()
        process.stdout.close()
        status = process.wait()
        if failure or late:
            return failure or "time"
        if status != 0:
            return "time" if -status in (signal.SIGXCPU, signal.SIGKILL) else f"status {status}"
        return "" if re.match(r"\d+ passed, 0 failed", last) else "ended early"


def copy_sources(tree):
    """The sources as they are; a file that is the same keeps its time, so make compiles little."""
    kept = {"build", "ddome", "libddome.a"}
    for name in TREE:
        top = os.path.join(ROOT, name)
        for folder, _, files in [(ROOT, [], [name])] if os.path.isfile(top) else os.walk(top):
            for file in files:
                path = os.path.relpath(os.path.join(folder, file), ROOT)
                if "__pycache__" in path:
                    continue
                kept.add(path)
                target = tree.at(path)
                if not os.path.exists(target) or not filecmp.cmp(os.path.join(ROOT, path), target, shallow=False):
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    shutil.copy(os.path.join(ROOT, path), target)
    for folder, _, files in os.walk(tree.path):
        for file in files:
            path = os.path.relpath(os.path.join(folder, file), tree.path)
            if path not in kept and not path.startswith("build" + os.sep):
                os.remove(os.path.join(folder, file))


def prepare(tree):
    """The original, built, its tests passed once; the processor time of each."""
    os.makedirs(tree.path, exist_ok=True)
    copy_sources(tree)
    made = tree.make(RUNNER, *PROGRAMS)
    if made.returncode != 0:
        sys.exit(made.stderr)
    built = [digest(tree.at(path)) for path in (RUNNER,) + PROGRAMS]
    scripts = [digest(path) for path in sorted(glob.glob(tree.at("tests/*.sh")))]
    stamp = hashlib.sha256(" ".join(built + scripts).encode()).hexdigest()
    times = tree.at("build/times.json")
    if os.path.exists(times):
        known = json.loads(read(times))
        if known["stamp"] == stamp:
            return known["seconds"]
    seconds = {}
    for name, command in [(name, [RUNNER, name]) for name in suites(tree)] + [s[1:] for s in SCRIPTS]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        failure = tree.run(command, 600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if failure:
            sys.exit(f"mutate: {name} fails without a mutant: {failure}")
        seconds[name] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(times, "w", encoding="utf-8") as file:
        json.dump({"stamp": stamp, "seconds": seconds}, file)
    return seconds


def suites(tree):
    return re.findall(r"^ +T\((\w+)\)", read(tree.at("tests/suites.h")), re.M)


def plan(tree, path, seconds):
    """[(stage, name, command)]: the tests of a file in their order."""
    stem = base = os.path.splitext(os.path.basename(path))[0]
    names = sorted(suites(tree), key=lambda name: seconds[name])
    while "_" in base and base not in names:
        base = base.rsplit("_", 1)[0]
    own = [n for n in names if n == base] + [n for n in names if n.startswith(stem + "_")]
    header = f'/{base}.h"'
    including = [n for n in names if n not in own and header in read(tree.at(f"tests/t_{n}.c"))]
    others = [n for n in names if n not in own and n not in including]
    order = [("own", n) for n in own] + [("including", n) for n in including] + [("others", n) for n in others]
    return [(stage, n, [RUNNER, n]) for stage, n in order] + list(SCRIPTS)


def dependents(tree):
    """Which objects are made from a file, by the compiler's lists."""
    found = collections.defaultdict(list)
    for listed in glob.glob(tree.at("build/*/*.d")):
        words = read(listed).split("\n\n")[0].replace("\\\n", " ").split()
        for word in words[1:]:
            found[os.path.normpath(word)].append(words[0].rstrip(":"))
    return found


def order(all_sites, seed):
    """Every kind of change in turn, in each the sites in the order that the seed draws."""
    kinds = collections.defaultdict(list)
    for site in all_sites:
        kinds[site.kind].append(site)
    for kind in kinds:
        kinds[kind].sort(key=lambda site: site.draw(seed))
    for i in range(max(map(len, kinds.values()), default=0)):
        for kind in sorted(kinds):
            if i < len(kinds[kind]):
                yield kinds[kind][i]


class Campaign:
    def __init__(self, arguments):
        self.arguments = arguments
        self.file = os.path.join(WORK, f"{arguments.seed}.jsonl")
        self.lock = threading.Lock()
        self.records = {}
        self.tree = Tree(arguments.trees, "tree")
        self.seconds = self.objects = None
        if os.path.exists(self.file):
            for line in read(self.file).splitlines():
                record = json.loads(line)
                self.records[record["id"]] = record

    def sites(self):
        """Those of the files of nn/ and fl/ that this build compiles, in the order of the seed."""
        paths = [p for p in sorted(dependents(self.tree)) if re.match(r"(nn|fl)/\w+\.[ch]$", p)]
        if self.arguments.only:
            paths = [p for p in paths if any(fnmatch.fnmatch(p, o) for o in self.arguments.only)]
        paths = [p for p in paths if not any(fnmatch.fnmatch(p, o) for o in self.arguments.skip)]
        found = [s for p in paths for s in mutate_sites.sites(p, read(self.tree.at(p)))]
        return list(order(found, self.arguments.seed))

    def write(self, record):
        with self.lock, open(self.file, "a", encoding="utf-8") as file:
            self.records[record["id"]] = record
            file.write(json.dumps(record) + "\n")

    def same(self, mark, site):
        """Has another mutant made these objects?"""
        with self.lock:
            marks = {r.get("objects"): i for i, r in self.records.items() if i != site.id}
        return marks.get(mark)

    def judge(self, site, job, objects):
        """Compiles the mutant and runs the tests until one fails; the record."""
        record = {"id": site.id, "path": site.path, "line": site.line, "kind": site.kind, "change": site.change}
        record["words"] = site.words
        with open(job.at(site.path), "w", encoding="utf-8") as file:
            file.write(site.apply(read(self.tree.at(site.path))))
        if job.make(*objects).returncode != 0:
            return dict(record, verdict="not compiled")
        if all(filecmp.cmp(job.at(o), self.tree.at(o), shallow=False) for o in objects):
            return dict(record, verdict="equivalent")
        record["objects"] = hashlib.sha256("".join(digest(job.at(o)) for o in objects).encode()).hexdigest()
        same = self.same(record["objects"], site)
        if same:
            return dict(record, verdict="duplicate", by=same)
        job.make(RUNNER)
        built = False
        for stage, name, command in plan(self.tree, site.path, self.seconds):
            if command[0] != RUNNER and not built:
                job.make(*PROGRAMS)
                built = True
            failure = job.run(command, int(10 * self.seconds[name]) + 10)
            if failure:
                return dict(record, verdict="killed", stage=stage, by=name, how=failure)
        return dict(record, verdict="survived")

    def one(self, site, jobs):
        with self.lock:
            job = jobs.pop()
        objects = self.objects[site.path]
        try:
            record = self.judge(site, job, objects)
            self.write(record)
        finally:
            made = [o for o in objects if os.path.exists(self.tree.at(o))]
            for path in [site.path, RUNNER, "build/libddome.a", *PROGRAMS, *made]:
                shutil.copy2(self.tree.at(path), job.at(path))
            with self.lock:
                jobs.append(job)
        said = " ".join(str(record.get(key, "")) for key in ("stage", "by", "how")).strip()
        print(f"{site.id} {site.path}:{site.line}: {site.kind}: {site.change}: {record['verdict']} {said}"[:200], flush=True)

    def run(self, reasons):
        """Old ones that are wanted again, then new ones until enough count; which do is a matter of the seed."""
        self.seconds = prepare(self.tree)
        self.objects = dependents(self.tree)
        jobs = [Tree(self.arguments.trees, f"job{i}") for i in range(self.arguments.jobs)]
        for job in jobs:
            shutil.rmtree(job.path, ignore_errors=True)
            shutil.copytree(self.tree.path, job.path)
        ordered = self.sites()
        todo = [s for s in ordered if s.id in self.arguments.id or (self.arguments.again and self.open(s, reasons))]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            while True:
                list(pool.map(lambda site: self.one(site, jobs), todo))
                missing = max(self.arguments.count - len(self.counted(ordered)), 0)
                todo = [s for s in ordered if s.id not in self.records][:missing]
                if not todo:
                    return ordered

    def open(self, site, reasons):
        return self.records.get(site.id, {}).get("verdict") == "survived" and site.id not in reasons

    def counted(self, ordered):
        """The first sites that make a mutant that counts, as many as are asked for."""
        found = [s for s in ordered if self.records.get(s.id, {}).get("verdict") in ("killed", "survived")]
        return found[: self.arguments.count]


def read_reasons():
    """tests/mutants.txt: ID FILE: CHANGE: REASON, a reason may go on in indented lines."""
    reasons = {}
    last = None
    for line in read(REASONS).splitlines() if os.path.exists(REASONS) else []:
        if line.startswith("#") or not line.strip():
            continue
        if line[0] == " " and last:
            reasons[last] += " " + line.strip()
            continue
        last, rest = line.split(" ", 1)
        reasons[last] = rest
    return reasons


def summary(campaign, ordered, reasons):
    """The table by file, the survivors, the findings about reasons; True when all is well."""
    chosen = campaign.counted(ordered)
    table = collections.defaultdict(collections.Counter)
    survivors = []
    for site in chosen:
        record = campaign.records[site.id]
        place = record["stage"] if record["verdict"] == "killed" else "survived"
        if place == "survived":
            survivors.append(site)
            place = "with a reason" if site.id in reasons else "without"
        for row in (site.path, "all"):
            table[row]["mutants"] += 1
            table[row][place] += 1
    columns = ("mutants",) + STAGES + ("with a reason", "without")
    print(f"{'killed by':22}" + "".join(f"{column:>15}" for column in columns))
    for path in sorted(set(table) - {"all"}) + ["all"]:
        print(f"{path:22}" + "".join(f"{table[path][column] or '.':>15}" for column in columns))
    for site in survivors:
        print(f"survived {site.id} {site.path}:{site.line}: {reasons.get(site.id, 'no reason')}\n{difference(campaign.tree, site)}")
    known = {site.id: site for site in ordered}
    findings = [f"{i}: no such place in {r.split(':')[0]}" for i, r in reasons.items() if i not in known]
    findings += [f"{i}: has a reason and is killed" for i in reasons
                 if campaign.records.get(i, {}).get("verdict") == "killed"]  # fmt: skip
    for finding in findings:
        print(f"tests/mutants.txt: {finding}")
    left = table["all"]["without"]
    print(f"{len(chosen)} mutants: {len(chosen) - len(survivors)} killed, {len(survivors) - left} survived "
          f"with a reason, {left} without")  # fmt: skip
    return not findings and left == 0


def difference(tree, site):
    old = read(tree.at(site.path))
    new = site.apply(old)
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), site.path, site.path, lineterm="", n=1)
    return "\n".join(lines)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="mutants that count")
    parser.add_argument("--seed", type=int, default=1, help="which they are")
    parser.add_argument("--jobs", type=int, default=1, choices=(1, 2))
    parser.add_argument("--trees", default=WORK, help="where the copies of the tree are built")
    parser.add_argument("--skip", action="append", default=[], help="files to leave out")
    parser.add_argument("--only", action="append", default=[], help="files to mutate, and no others")
    parser.add_argument("--again", action="store_true", help="first run survivors without a reason again")
    parser.add_argument("--id", action="append", default=[], help="first run this mutant (again)")
    parser.add_argument("--show", help="the difference that a mutant makes")
    parser.add_argument("--report", action="store_true", help="only the summary of what is recorded")
    return parser.parse_args()


def main():
    arguments = options()
    os.makedirs(WORK, exist_ok=True)
    reasons = read_reasons()
    campaign = Campaign(arguments)
    if arguments.show:
        print(difference(campaign.tree, next(s for s in campaign.sites() if s.id == arguments.show)))
        return 0
    if arguments.report:
        ordered = campaign.sites()
    else:
        with open(os.path.join(WORK, "lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ordered = campaign.run(reasons)
    return 0 if summary(campaign, ordered, reasons) else 1


if __name__ == "__main__":
    sys.exit(main())
