# SPDX-License-Identifier: MIT
"""What the parts of the fault campaign share: calls of the program, trees of files, verdicts."""

import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess

# A sanitizer's finding ends the program with 99, which is no status of SPEC 18.1.
FINDING = 99
SANITIZERS = {
    "ASAN_OPTIONS": "exitcode=%d:detect_leaks=1:allocator_may_return_null=1" % FINDING,
    "LSAN_OPTIONS": "exitcode=%d" % FINDING,
    "UBSAN_OPTIONS": "exitcode=%d:halt_on_error=1" % FINDING,
}
SECONDS = 120  # a call of a tenth of a second that takes longer hangs

# Of a run that goes on, or of the process that writes it.
OUTSIDE = ("log.txt", "lock")
# Times and kernels may differ between equal runs, nothing else of these files (SPEC 17.5).
TIMES = {"timing.csv": re.compile(rb"(?<=,)[0-9]+$", re.MULTILINE),
         "host.json": re.compile(rb'"kernels": "\w+"|"milliseconds": [0-9]+')}
SUMS = "SHA256SUMS"
SHOWN = 10  # failures of one part, at most


class Result:
    """How a call ended: exit code (negative: the signal), both streams, the faults it met."""

    def __init__(self, code, out, err, fired=""):
        self.code, self.out, self.err, self.fired = code, out, err, fired

    def summary(self):
        """One line for people."""
        lines = [line for line in self.err.splitlines() if line.strip()] or ["no message"]
        found = next((line for line in lines if "ERROR: " in line or "runtime error" in line), None)
        return "exit %s: %s" % (self.code, found or lines[-1])


class Campaign:
    """The two programs, the folder to work in, and the lines printed."""

    def __init__(self, plain, faulty, scratch, seed=1, part=(1, 1), only=None):
        self.plain, self.faulty = os.path.abspath(plain), os.path.abspath(faulty)
        self.scratch, self.seed = os.path.abspath(scratch), seed
        self.part, self.only = part, only
        self.counts = {"ok": 0, "FAIL": 0, "skipped": 0}
        self.totals = {}
        self.resumes = self.call(["resume", "--help"], os.getcwd(), plain=True).code == 0

    def line(self, kind, text):
        """Prints a result and counts it."""
        self.counts[kind] += 1
        print("%s faults: %s" % (kind, text), flush=True)

    def fails(self, found):
        """Failures [(name, why)], with the commands that repeat them."""
        for name, why in found[:SHOWN]:
            self.line("FAIL", '%s: %s; again: make check-faults FAULT_ARGS="--only %s --seed %d"' %
                      (name, why, name, self.seed))
        if len(found) > SHOWN:
            self.line("FAIL", "%d more of the same part" % (len(found) - SHOWN))

    def add(self, what, number):
        """For the last line but one."""
        self.totals[what] = self.totals.get(what, 0) + number

    def wants(self, part):
        """Is anything of this part to be tried?"""
        return not self.only or (self.only + "/").startswith(part + "/")

    def mine(self, faults):
        """Those of this part (--part N/M), or those of --only; each has a name PART/KIND:..."""
        if self.only:
            return [fault for fault in faults
                    if re.match(re.escape(self.only) + "(?![^:/])", fault.name)]
        return list(faults)[self.part[0] - 1::self.part[1]]

    def folder(self, name):
        """An empty folder."""
        path = os.path.join(self.scratch, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def environment(self, fault=None, log=None, journal=None):
        """Of a call: nothing of the caller's settings of ddome, and the wish for a fault."""
        own = {key: value for key, value in os.environ.items()
               if not key.startswith(("DDOME_", "FAULT"))}
        own.update(SANITIZERS)
        if fault:
            own["FAULT"] = fault
        if log:
            own["FAULT_LOG"] = log
        if journal:
            own["FAULT_JOURNAL"] = journal
        return own

    def call(self, words, cwd, fault=None, log=None, journal=None, plain=False):
        """The program with these words; fault, log and journal as shim.c and journal.c read them.
        """
        if fault and not log:
            log = cwd + ".fired"
        if log and os.path.exists(log):
            os.remove(log)
        try:
            done = subprocess.run([self.plain if plain else self.faulty] + words, cwd=cwd,
                                  env=self.environment(fault, log, journal),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return Result("none", "", "it hangs")
        fired = ""
        if fault and os.path.exists(log):
            fired = read(log).decode(errors="replace")
        return Result(done.returncode, done.stdout.decode(errors="replace"),
                      done.stderr.decode(errors="replace"), fired)

    def each(self, work, items, workers=2):
        """work(item, folder name) of every item, several at a time; complaints in order."""
        items = list(items)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            names = ["worker-%d" % i for i in range(workers)]

            def one(item):
                name = names.pop()
                try:
                    return work(item, name)
                finally:
                    names.append(name)
            return list(pool.map(one, items))


# ---- trees of files ----

def read(path):
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def tree(folder):
    """{path inside: bytes} of all files, without their times."""
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(here, name)
            text = read(path)
            if name in TIMES:
                text = TIMES[name].sub(b"0", text)
            found[os.path.relpath(path, folder)] = text
    return found


def outside(path):
    """Checkpoints, and files that may differ between equal runs."""
    return os.path.basename(path) in OUTSIDE or "ckpt" in path.split(os.sep)


def growing(path):
    """A table, which is written round by round; a trace, which is what was recorded. Of a call that
    fails they are a beginning (SPEC 17.1.3, 19.3)."""
    return path.endswith((".csv", ".jsonl")) and os.path.basename(path) != "partition.csv"


def state(files):
    """A digest of a tree, to know it again."""
    digest = hashlib.sha256()
    for path in sorted(files):
        if os.path.basename(path) not in OUTSIDE:
            digest.update(repr((path, hashlib.sha256(files[path]).hexdigest())).encode())
    return digest.hexdigest()


def broken_sums(files):
    """Files that a SHA256SUMS lists and that are not as it says (SPEC 17.3.1)."""
    bad = []
    for path, text in files.items():
        if os.path.basename(path) != SUMS:
            continue
        for line in text.decode(errors="replace").splitlines():
            name = os.path.join(os.path.dirname(path), line[66:])
            if hashlib.sha256(files.get(name, b"?")).hexdigest() != line[:64]:
                bad.append("%s is not as %s says" % (name, path))
    return bad


def differences(files, want, leftovers=False):
    """What a whole tree lacks or has too much, compared with the one wanted."""
    bad = broken_sums(files)
    for path in sorted(set(files) | set(want)):
        if outside(path) and not path.endswith(".tmp"):
            continue
        if path not in files:
            bad.append("%s is missing" % path)
        elif path not in want:
            if not (leftovers and path.endswith(".tmp")):
                bad.append("%s was left behind" % path)
        elif files[path] != want[path]:
            bad.append("%s has other bytes" % path)
    return bad


def tensors_whole(text):
    """Is it a safetensors file to its end (SPEC 17.4.1, 17.4.5)?"""
    size = int.from_bytes(text[:8], "little")
    try:
        ends = [one["data_offsets"][1] for one in json.loads(text[8:8 + size]).values()]
    except (ValueError, KeyError):
        return False
    return len(text) == 8 + size + max(ends, default=0)


def halves(files, want, start, leftovers):
    """What is half-written in the tree of a call that failed: neither as before, nor as wanted."""
    bad = broken_sums(files)
    for path, text in files.items():
        if outside(path) or text == want.get(path) or text == start.get(path):
            continue
        if path == "trace.jsonl.safetensors" and tensors_whole(text):
            continue
        if path.endswith(".tmp"):
            if not leftovers:
                bad.append("%s was left behind" % path)
        elif not growing(path) or path not in want:
            bad.append("%s is half-written" % path)
        elif not want[path].startswith(text):
            bad.append("%s is no beginning of the whole one" % path)
    return bad
