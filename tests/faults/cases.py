# SPDX-License-Identifier: MIT
"""The calls of the program that faults are tried on, and the files that they read."""

import os
import shutil
import struct

from campaign import read, tree

TINY = ("arch=mlp hidden=2 gate_hidden=2 synth_train=60 synth_test=30 synth_size=8 synth_domains=2 "
        "synth_shapes=2 clients=4 experts=2 top_k=1 labels_per_client=2 unseen_clients=1 "
        "holdout_clients=0 active_anchors=1 active_normal=1 rounds=2 batch=16 pretrain_epochs=1 "
        "pretrain_batch=16 eval_every=1").split()
# The same on files of MNIST's form.
SMALL = ("arch=mlp hidden=2 gate_hidden=2 clients=3 experts=2 top_k=1 labels_per_client=5 "
         "unseen_clients=1 holdout_clients=0 active_anchors=1 active_normal=1 rounds=1 batch=16 "
         "pretrain_epochs=1 pretrain_batch=16").split()
FILES = """data = "mnist"
data_dir = "../in/mnist"
exclude = "../in/exclude.txt"
common = "../in/common/common.safetensors"
partition = "file"
partition_file = "../in/partition.csv"
"""
# What else has memory of its own; the calls for files are those of `train`, but where something
# stays with clients (SPEC 12.6.9).
KEEPING = ("scaffold", "local", "images")
ALGORITHMS = {
    "scaffold": ["algo=scaffold"], "ensemble": ["algo=ensemble"], "ifca": ["algo=ifca"],
    "local": ["algo=local", "eval_scope=seen"], "fedmix": ["algo=fedmix", "top_k=2"],
    "head": ["algo=head"], "common": ["algo=common"],
    "controls": ["anchors=cluster", "test=mixture", "common_every=1", "dropout=0.5"],
    "images": ["algo=fedavg", "arch=resnet34", "width=1", "bn_stats=local", "augment=true",
               "rounds=1", "partition=iid", "clients=1", "anchor_clients=0", "active_anchors=0",
               "experts=1", "synth_train=10", "synth_test=2"],
}
TRACED = ["algo=fedavg", "rounds=1", "active_anchors=0", "epochs=1", "batch=64",
          "--trace-tensors", "*/w"]


class Case:
    """A call in a folder of its own, which holds copies of `start` ({name there: folder})."""

    def __init__(self, name, words, groups, start=None, again=None, prints=True, every=False):
        self.name, self.words, self.groups = name, words, groups
        self.every = every  # call for files and in all ways; else few of those that repeat
        self.start = start or {}
        self.again = again or words
        self.prints = prints  # the same results each time
        self.before, self.want, self.result, self.log = {}, {}, None, []

    def fresh(self, campaign, name):
        """The folder, made anew."""
        folder = campaign.folder(name)
        for to, path in self.start.items():
            shutil.copytree(os.path.join(campaign.scratch, path), os.path.join(folder, to))
        return folder

    def measure(self, campaign):
        """Without a fault: the calls it makes, how it ends, what it leaves."""
        folder = self.fresh(campaign, "whole-" + self.name)
        self.before = tree(folder)
        log = folder + ".log"
        self.result = campaign.call(self.words, folder, log=log)
        self.want = tree(folder)
        self.log = [line.split("\t") for line in read(log).decode().splitlines()]
        return self

    def io_calls(self):
        """[(call, path)] of those for files."""
        return [(call, path) for group, call, path in self.log if group == "io"]


def train(campaign, *words):
    """The words of a tiny run into the folder `run`, with all checkpoints that there can be."""
    keeps = ["checkpoint_every=1"] if campaign.resumes else []
    return ["train"] + TINY + keeps + list(words) + ["--out", "run", "--quiet"]


def go_on(campaign, folder, words):
    """The words that finish a run which was killed; before its first checkpoint it starts anew."""
    kept = any(name == "DONE" for _, _, names in os.walk(os.path.join(folder, "run", "ckpt"))
               for name in names)
    if kept:
        return ["resume", "run", "--quiet"]
    return words + (["--resume"] if campaign.resumes else ["--force"])


# ---- inputs ----

def idx_files(folder):
    """MNIST's files with few records (SPEC 7.8.2, 7.1.5)."""
    os.makedirs(folder)
    for split, count in (("train", 120), ("t10k", 40)):
        pixels = bytes((r * 37 + r // 10 * i * 11 + i * 5) % 256 for r in range(count)
                       for i in range(784))
        for name, words, content in (("images-idx3", (0x803, count, 28, 28), pixels),
                                     ("labels-idx1", (0x801, count),
                                      bytes(r % 10 for r in range(count)))):
            with open(os.path.join(folder, "%s-%s-ubyte" % (split, name)), "wb") as file:
                file.write(struct.pack(">%dI" % len(words), *words) + content)


def killed_run(campaign):
    """in/killed: a run that was killed amid its last round, after a checkpoint."""
    folder = campaign.folder("killing")
    words = train(campaign)
    log = os.path.join(campaign.scratch, "killing.log")
    done = campaign.call(words, folder, log=log)
    calls = [line.split("\t") for line in read(log).decode().splitlines()]
    paths = [path for group, _, path in calls if group == "io"]
    last = max(i for i, path in enumerate(paths, 1) if "metrics.csv" in path)
    shutil.rmtree(os.path.join(folder, "run"))
    done = campaign.call(words, folder, "io:%d:kill" % last)
    shutil.copytree(os.path.join(folder, "run"), os.path.join(campaign.scratch, "in", "killed"))
    return done.code


def make_inputs(campaign):
    """Folder `in`: finished runs, data, a partition, a common expert, traces. What failed, if any.
    """
    folder = campaign.folder("in")
    idx_files(os.path.join(folder, "mnist"))
    for name, text in (("exclude.txt", "train 3\ntest 5\n"), ("config.toml", FILES)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    mnist = ["data=mnist", "data_dir=../in/mnist", "exclude=../in/exclude.txt"] + SMALL
    for words in (["train"] + TINY + ["--seeds", "1,2", "--out", "../in/seeds"],
                  ["train"] + TINY + ["--seed", "3", "--out", "../in/other"],
                  ["partition", "write"] + mnist + ["--out", "../in/partition.csv"],
                  ["pretrain"] + mnist + ["--out", "../in/common"],
                  ["train"] + TINY + TRACED + ["--out", "../in/one", "--trace", "../in/one.jsonl"],
                  ["train"] + TINY + TRACED + ["lr=0.02", "--out", "../in/two", "--trace",
                                               "../in/two.jsonl"]):
        done = campaign.call(words, folder, plain=True)
        if done.code != 0:
            return "%s: %s" % (" ".join(words[:2]), done.summary())
    if campaign.resumes and killed_run(campaign) != -9:
        return "a run to be resumed was not killed"
    return None


# ---- the list ----

def make_cases(campaign):
    """All cases, whole runs first."""
    files, memory = ("io", "memory", "arena"), ("memory", "arena")
    words, forced = train(campaign), train(campaign, "--force")
    resumed = train(campaign, "--resume") if campaign.resumes else forced
    other = {"run": "in/other"}
    mnist = ["train", "../in/config.toml"] + SMALL + ["--out", "run", "--quiet"]
    cases = [
        Case("train", words, files, again=resumed, every=True),
        Case("forced", forced, ("io",), start=other),
        Case("refused", words, ("io",), start=other),
        Case("pretrain", ["pretrain"] + words[1:], files, again=["pretrain"] + forced[1:]),
        Case("files", mnist, files, again=mnist + ["--force"]),
        Case("trace", forced + TRACED + ["--trace", "trace.jsonl"], files),
        Case("threads", forced + ["--threads", "2"], ("thread",)),
        Case("eval", ["eval", "../in/other", "--quiet"], files),
        Case("report", ["report", "../in/seeds", "../in/other", "--csv", "--out", "table.csv"],
             files),
        Case("compare", ["compare", "../in/one", "../in/two"], files),
        Case("explain", ["compare", "../in/one.jsonl", "../in/two.jsonl", "--explain"], files),
        Case("partition", ["partition", "write"] + TINY + ["--out", "table.csv"], files),
        Case("probe", ["probe", "write", "probe"], files),
        Case("config", ["config", "../in/config.toml"], files),
        Case("data", ["data", "check", "../in/mnist", "--json"], ("memory",)),
        Case("plan", ["plan"] + TINY, memory, prints=False),
        Case("table", ["report", "../in/seeds", "../in/other", "--text"], memory),
        Case("lines", ["report", "../in/seeds", "../in/other", "--json"], memory),
        Case("objects", ["compare", "../in/one", "../in/two", "--json"], memory),
    ]
    for name, keys in ALGORITHMS.items():
        keeps = name in KEEPING
        again = "--resume" if keeps and campaign.resumes else "--force"
        cases.append(Case(name, train(campaign, *keys), files if keeps else memory,
                          again=train(campaign, again, *keys)))
    if campaign.resumes:
        cases[1:1] = [
            Case("resume", ["resume", "run", "--quiet"], files, start={"run": "in/killed"},
                 every=True),
            Case("verify", ["verify", "../in/other", "--rounds", "all", "--quiet"], files)]
    return cases
