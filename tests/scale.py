#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs that are large in one direction: scale.py [PROGRAM] [all | clients | states | rounds | resume].

clients: 10,000 clients of a few samples each, against 1,000 of the same samples.
states:  320 clients that each keep a model, against 20: train, verify, resume, eval.
rounds:  1,000 rounds of tiny experts: peak memory, bytes of each file.
resume:  CPU time to go on from round 90 and from round 990, ten rounds before the end of each run.

Prints the figures, "ok NAME", "FAIL NAME: why" or "skipped NAME: why", and the totals. Peak memory is
what /usr/bin/time says: a child of python3 would be charged for python3's own.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

PROGRAM = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "./ddome")
PARTS = sys.argv[2] if len(sys.argv) > 2 else "all"
TIMER = "/usr/bin/time"

# Bounds. What each of 9,000 clients more may cost with the same samples in all: its record, its list
# of samples; where it is evaluated also its result and its line of clients.csv.
CLIENT_BYTES, EVALUATED_BYTES = 256, 1024
# CPU time of ten times as many clients over that of one time; a quadratic loop would take 100.
CLIENT_FACTOR, CLIENT_SECONDS = 15, 0.2
# Models that stay with clients are on the disk: 300 of 650 kB cost less than one of them, besides
# what 300 clients cost that keep nothing.
STATE_BYTES = 600 * 1024
# Between 100 and 1,000 rounds nothing may stay in memory. Which pages a process touches varies by
# 200 kB from call to call, so each length gets up to TRIES and its least peak counts.
FLAT_BYTES, TRIES = 256 * 1024, 12
# Bytes a round late in a run over those early: numbers get longer digits; how many signatures an
# evaluation shows depends on the run.
FILE_GROWTH, SIGNATURE_GROWTH = 1.25, 2
# CPU time to go on from round 990 over that from round 90: all but the tables is the same.
RESUME_FACTOR, RESUME_SECONDS = 1.5, 0.1

TINY = """synth_size=8 synth_domains=3 synth_shapes=4 synth_noise=8 arch=mlp hidden=4 experts=3
    top_k=2 gate_hidden=4 batch=4 pretrain_epochs=1 pretrain_batch=256 max_draws=20""".split()
MANY = TINY + """synth_train=60000 synth_test=1200 rounds=4 eval_every=2 active_anchors=2
    active_normal=8 holdout_clients=10 unseen_clients=100""".split()
LONG = TINY + """synth_train=600 synth_test=120 clients=30 samples_per_client=20 active_anchors=1
    active_normal=3 eval_every=10 holdout_clients=2 unseen_clients=4 labels_per_client=3""".split()

counts = {"ok": 0, "FAIL": 0, "skipped": 0}


def line(kind, name, why=""):
    counts[kind] += 1
    print("%s scale: %s%s" % (kind, name, ": " + why if why else ""), flush=True)


def judge(name, good, why):
    line("ok" if good else "FAIL", name, "" if good else why)


def measure(words):
    """(exit code, peak bytes, CPU seconds, last line of standard error) of one call."""
    done = subprocess.run([TIMER, "-f", "%M %U %S", PROGRAM] + words, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    lines = done.stderr.strip().splitlines() or [""]
    kilobytes, user, system = lines[-1].split()
    said = [one for one in lines[:-1] if not one.startswith("Command ")]
    return done.returncode, 1024 * int(kilobytes), float(user) + float(system), "".join(said[-1:])


def train(out, words):
    """(peak bytes, CPU seconds) of a run into the folder; None, and it is told, when it fails."""
    code, peak, seconds, said = measure(["train"] + words + ["--out", out, "--force", "--quiet"])
    if code != 0:
        line("FAIL", "train " + " ".join(words[-3:]), "status %d: %s" % (code, said))
        return None
    return peak, seconds


def sizes(folder):
    """{path in the folder: bytes}, without checkpoints."""
    found = {}
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "ckpt"]
        for name in names:
            path = os.path.join(at, name)
            found[os.path.relpath(path, folder)] = os.path.getsize(path)
    return found


def megabytes(count):
    return "%.2f MB" % (count / 1e6)


# ---- clients ----

KINDS = (
    "partition=iid",
    "partition=dirichlet alpha=1 min_size=1",
    "partition=shards shards_per_client=2",
    "partition=quantity beta=1 min_size=1",
    "partition=iid sampling=uniform dropout=0.1 straggler=0.3",
    "partition=iid anchors=cluster",
    "partition=iid schedule=grow schedule_groups=5 schedule_rounds=1",
    "partition=iid algo=fedavg",
    "partition=iid algo=ifca",
    "partition=iid algo=fedmix top_k=3",
    "partition=iid eval_scope=seen seen_samples=24",
    "partition=iid algo=scaffold",
    "partition=iid active_normal=900 rounds=1",
)


def many_clients(work):
    out = os.path.join(work, "clients")
    for kind in KINDS:
        few, many = (train(out, MANY + ["clients=%d" % clients] + kind.split())
                     for clients in (1000, 10000))
        if few is None or many is None:
            continue
        each = max(0, many[0] - few[0]) / 9000
        most = EVALUATED_BYTES if "seen" in kind else CLIENT_BYTES
        longest = CLIENT_FACTOR * few[1] + CLIENT_SECONDS
        print("  %s: %s, %s: %.0f bytes a client; %.2f s, %.2f s" %
              (kind, megabytes(few[0]), megabytes(many[0]), each, few[1], many[1]))
        judge("10,000 clients: " + kind, each <= most and many[1] <= longest,
              "%.0f bytes a client, at most %d; %.2f s, at most %.2f s" %
              (each, most, many[1], longest))


def partition_file(work):
    """The same clients from a file: written, read, the same run."""
    path, drawn, read = (os.path.join(work, name) for name in ("clients.csv", "drawn", "read"))
    words = MANY + ["clients=10000"]
    code, _, _, said = measure(["partition", "write"] + words + ["partition=iid", "--out", path])
    if code != 0:
        line("FAIL", "partition write", said)
        return
    ends = [train(drawn, words + ["partition=iid"]),
            train(read, words + ["partition=file", "partition_file=" + path])]
    if None not in ends:
        print("  from a file: %s, drawn: %s" % (megabytes(ends[1][0]), megabytes(ends[0][0])))
        same = all(open(os.path.join(drawn, name), "rb").read() ==
                   open(os.path.join(read, name), "rb").read()
                   for name in ("partition.csv", "metrics.csv", "rounds.jsonl"))
        judge("10,000 clients from a file are those that were drawn", same, "other bytes")


# ---- states ----

# All clients take part, and share the same samples.
LARGE = """synth_size=8 synth_train=3200 synth_test=60 synth_domains=3 synth_shapes=4 arch=mlp
    hidden=800 experts=1 top_k=1 gate_hidden=4 batch=8 pretrain_epochs=1 pretrain_batch=64 rounds=2
    partition=iid holdout_clients=0 unseen_clients=0 anchor_clients=0 active_anchors=0
    eval_scope=seen seen_samples=8 checkpoint_every=1""".split()
STATES = ("algo=local local_budget=full", "algo=scaffold")


def states_of(work, words):
    """Peak bytes of each command on a run; None when one fails."""
    out = os.path.join(work, "states")
    end = train(out, LARGE + words)
    if end is None:
        return None
    peaks = {"train": end[0]}
    for command in (["verify", out, "--round", "2"], ["eval", out], ["resume", out]):
        if command[0] == "resume":
            os.remove(os.path.join(out, "SHA256SUMS"))
        code, peaks[command[0]], _, said = measure(command + ["--quiet"])
        if code != 0:
            line("FAIL", " ".join(command[:1] + words), "status %d: %s" % (code, said))
            return None
    return peaks


def growth(work, kind):
    """Bytes that 300 clients more cost, at most, of all commands; None when one fails."""
    few, many = (states_of(work, kind.split() + ["clients=%d" % clients,
                                                 "active_normal=%d" % clients])
                 for clients in (20, 320))
    if few is None or many is None:
        return None
    for command in few:
        print("  %s, %s: 20 clients %s, 320 clients %s" %
              (kind, command, megabytes(few[command]), megabytes(many[command])))
    return max(many[command] - few[command] for command in few)


def many_states(work):
    base = growth(work, "algo=fedavg")
    for kind in STATES:
        grown = growth(work, kind)
        if base is not None and grown is not None:
            judge("states of 300 clients more are not in memory: " + kind,
                  grown <= base + STATE_BYTES, "%d bytes more, at most %d + %d" %
                  (grown, base, STATE_BYTES))


# ---- rounds ----

ROUNDS = (100, 300, 1000)


def ends_of(work, words):
    """Peak bytes and sizes of files at each length; None when a run fails."""
    out = os.path.join(work, "rounds")
    peaks, files = [], []
    for count in ROUNDS:
        end = train(out, LONG + words + ["rounds=%d" % count])
        if end is None:
            return None
        peaks.append(end[0])
        files.append(sizes(out))
        shutil.rmtree(out)
    return peaks, files


def many_rounds(work, name, words):
    """Peak memory flat, files of as many bytes a round early and late."""
    peaks = None
    for _ in range(TRIES):
        ends = ends_of(work, words)
        if ends is None:
            return
        peaks = ends[0] if peaks is None else list(map(min, peaks, ends[0]))
        grown = max(peaks) - peaks[0]
        if grown <= FLAT_BYTES:
            break
    print("  %s: peak memory at 100, 300, 1,000 rounds: %s" % (name, ", ".join(map(megabytes, peaks))))
    judge("1,000 rounds in the memory of 100: " + name, grown <= FLAT_BYTES,
          "%d bytes more, at most %d" % (grown, FLAT_BYTES))
    linear(name, ends[1])


def linear(name, files):
    worst, counted = ("", 0.0), 0
    for path in sorted(files[0]):
        early, late = ((files[i + 1][path] - files[i][path]) / (ROUNDS[i + 1] - ROUNDS[i])
                       for i in (0, 1))
        if max(early, late) < 1:  # the same at any length
            continue
        print("  %s: %s: bytes a round %.1f, then %.1f" % (name, path, early, late))
        most = SIGNATURE_GROWTH if path == "signatures.csv" else FILE_GROWTH
        worst = max(worst, (path, late / max(early, 1e-9) / most), key=lambda pair: pair[1])
        counted += 1
    judge("files grow linearly: " + name, counted > 5 and worst[1] <= 1,
          "%s: %.2f times the bytes a round that are allowed" % worst)


# ---- resume ----

def stopped_at(work, stop):
    """A run of stop + 10 rounds, killed as soon as its checkpoint of round `stop` is whole; None."""
    out = os.path.join(work, "stopped%d" % stop)
    done = os.path.join(out, "ckpt", "DONE")
    words = ["train"] + LONG + ["rounds=%d" % (stop + 10), "checkpoint_every=%d" % stop, "epochs=20",
                                "--out", out, "--force", "--quiet"]
    mark = "%08d" % stop
    with subprocess.Popen([PROGRAM] + words, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            if os.path.exists(done) and mark in open(done, encoding="utf-8").read():
                run.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
    return None if os.path.exists(os.path.join(out, "SHA256SUMS")) else out


def seconds_to_resume(work, stop):
    """The least of five tries, each from the same state."""
    kept = stopped_at(work, stop)
    if kept is None:
        return None
    least = None
    for _ in range(5):
        out = os.path.join(work, "resumed")
        shutil.copytree(kept, out)
        code, _, seconds, said = measure(["resume", out, "--quiet"])
        shutil.rmtree(out)
        if code != 0:
            line("FAIL", "resume from round %d" % stop, "status %d: %s" % (code, said))
            return None
        least = seconds if least is None else min(least, seconds)
    return least


def resuming(work):
    name = "time to resume at round 90 and 990"
    if measure(["resume", "--help"])[0] != 0:
        line("skipped", name, "this build has no command resume")
        return
    early, late = seconds_to_resume(work, 90), seconds_to_resume(work, 990)
    if early is None or late is None:
        line("skipped", name, "the run was over before it could be killed, or see above")
        return
    print("  resume: ten rounds from round 90: %.2f s, from round 990: %.2f s" % (early, late))
    judge(name, late <= RESUME_FACTOR * early + RESUME_SECONDS,
          "%.2f s, at most %.1f * %.2f s + %.1f s" % (late, RESUME_FACTOR, early, RESUME_SECONDS))


def main():
    if not re.fullmatch("all|clients|states|rounds|resume", PARTS):
        sys.exit(__doc__)
    if not os.path.exists(TIMER):
        line("skipped", "peak memory and time", TIMER + " is missing (Debian package time)")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    with tempfile.TemporaryDirectory() as work:
        if PARTS in ("all", "clients"):
            many_clients(work)
            partition_file(work)
        if PARTS in ("all", "states"):
            many_states(work)
        if PARTS in ("all", "rounds"):
            many_rounds(work, "ddome", [])
            many_rounds(work, "fedavg", ["algo=fedavg"])
            many_rounds(work, "scaffold", ["algo=scaffold"])
            many_rounds(work, "a renewed common expert", ["common_every=50"])
            many_rounds(work, "evaluated every round", ["eval_every=1"])
        if PARTS in ("all", "resume"):
            resuming(work)
    tail = ", %d skipped" % counts["skipped"] if counts["skipped"] else ""
    print("%d passed, %d failed%s" % (counts["ok"], counts["FAIL"], tail))
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
