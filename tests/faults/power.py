# SPDX-License-Identifier: MIT
"""The power fails: what was not flushed to the disk may be there, or not, or in part. Such disks
are made from the journal of a run, at every change it made, and each is gone on with (SPEC 17.6). A
killed process loses nothing that it wrote, so kills alone would not miss a forgotten flush."""

import os
import random

from campaign import differences, halves, read, state, tree
from cases import Case, go_on, train

MIXED = 3  # disks of the kind `mixed` a moment
WAYS = ["nothing", "names", "bytes"] + ["mixed%d" % i for i in range(MIXED)]


class Node:
    """A file (bytes) or a folder ({name: Node}): what it may be on the disk, oldest first."""

    def __init__(self, content):
        self.history = [content]

    def now(self):
        """As programs see it."""
        return self.history[-1]

    def change(self, content):
        """Not flushed."""
        self.history.append(content)

    def sync(self):
        """Flushed: nothing older can come back."""
        self.history = [self.history[-1]]

    def is_folder(self):
        """Or a file."""
        return isinstance(self.history[0], dict)


class Disk:
    """A folder as the changes of a journal make it."""

    def __init__(self):
        self.root = Node({})
        self.promised = False  # a list of checkpoints has been written and flushed
        self.renamed = set()

    def split(self, path):
        """(the folder, the name in it)."""
        node, parts = self.root, os.path.normpath(path).split(os.sep)
        for part in parts[:-1]:
            node = node.now()[part]
        return node, parts[-1]

    def find(self, path):
        """The node, or None."""
        folder, name = self.split(path)
        return folder if name == "." else folder.now().get(name)

    def link(self, path, node):
        """Gives it a name, or, None, takes the name away."""
        folder, name = self.split(path)
        names = dict(folder.now())
        if node is None:
            del names[name]
        else:
            names[name] = node
        folder.change(names)

    def apply(self, change, path, other, at, text):
        """One line of the journal."""
        node = self.find(path)
        if change == "create" and node is None:
            self.link(path, Node(b""))
        elif change == "create" and other == "empty":
            node.change(b"")
        elif change == "write":
            old = node.now()
            node.change(old[:at].ljust(at, b"\0") + text + old[at + len(text):])
        elif change == "cut":
            node.change(node.now()[:at])
        elif change == "mkdir":
            self.link(path, Node({}))
        elif change == "remove":
            self.link(path, None)
        elif change == "rename":
            self.link(path, None)
            self.link(other, node)
            self.renamed.add(os.path.normpath(other))
        elif change == "sync":
            node.sync()
            self.promised |= os.path.join(os.path.normpath(path), "DONE") in self.renamed


def pick(node, way, rng):
    """What of it is on the disk."""
    if way == "nothing":
        return node.history[0]
    if way in ("names", "bytes"):
        return node.history[-1 if node.is_folder() == (way == "names") else 0]
    chosen = rng.choice(node.history)
    if node.is_folder() or rng.random() < 0.5:
        return chosen
    whole, safe = node.now(), len(os.path.commonprefix([node.history[0], node.now()]))
    cut = rng.randint(safe, len(whole))
    return whole[:cut] + (b"\0" * (len(whole) - cut) if rng.random() < 0.5 else b"")


def make(content, folder, way, rng):
    """Writes a disk as it may be."""
    os.makedirs(folder, exist_ok=True)
    for name in sorted(content):
        node, path = content[name], os.path.join(folder, name)
        if node.is_folder():
            make(pick(node, way, rng), path, way, rng)
        else:
            with open(path, "wb") as file:
                file.write(pick(node, way, rng))


def journal(path):
    """[(change, path, other, at, bytes)]."""
    text, changes, at = read(path), [], 0
    while at < len(text):
        end = text.index(b"\n", at)
        change, name, other, where, size = text[at:end].decode().split("\t")
        at = end + 1 + int(size)
        changes.append((change, name, other, int(where), text[end + 1:at]))
    return changes


class Moment:
    """Behind the n-th change, in one way."""

    def __init__(self, number, way):
        self.number, self.way = number, way
        self.name = "power/%s:%d" % (way, number)


class Failures:
    """The run, its journal, the disks met so far."""

    def __init__(self, campaign):
        self.campaign = campaign
        self.case = Case("power", train(campaign), ("io",))
        folder = self.case.fresh(campaign, "power-whole")
        self.case.result = campaign.call(self.case.words, folder, journal=folder + ".journal")
        self.case.want = tree(folder)
        self.changes = journal(folder + ".journal")
        self.met = set()

    def replay(self, wanted):
        """(moment, disk) for the moments wanted, the disk being as it is there."""
        at = {}
        for moment in wanted:
            at.setdefault(moment.number, []).append(moment)
        disk = Disk()
        for number, change in enumerate(self.changes, 1):
            disk.apply(*change)
            for moment in at.get(number, ()):
                yield moment, disk

    def all(self, wanted, name):
        """[(moment's name, what was lost)]."""
        found = ((moment.name, self.one(moment, disk, name))
                 for moment, disk in self.replay(wanted))
        return [one for one in found if one[1]]

    def one(self, moment, disk, name):
        """None, or what was lost; a disk that has been met before is not tried again."""
        rng = random.Random("%d %s" % (self.campaign.seed, moment.name))
        folder = self.campaign.folder("power-" + name)
        make(pick(disk.root, moment.way, rng), folder, moment.way, rng)
        files = tree(folder)
        key = state(files), disk.promised
        if key in self.met:
            return None
        self.met.add(key)
        words = go_on(self.campaign, folder, self.case.words)
        bad = [] if words[0] == "resume" or not disk.promised else ["the checkpoints are lost"]
        bad += [one for one in halves(files, self.case.want, {}, True) if "SHA256SUMS" in one]
        done = self.campaign.call(words, folder, plain=True)
        if done.code != 0:
            return "; ".join(bad + ["%s: %s" % (words[0], done.summary())])
        return "; ".join((bad + differences(tree(folder), self.case.want))[:3]) or None


def run(campaign):
    """The whole part."""
    if not campaign.wants("power"):
        return
    if not campaign.resumes:
        campaign.line("skipped", "power failures: this program has no resume")
        return
    failures = Failures(campaign)
    some = campaign.mine([Moment(number, way) for number in range(1, len(failures.changes) + 1)
                          for way in WAYS])
    found = sum(campaign.each(failures.all, [some[0::2], some[1::2]]), [])
    campaign.fails(found)
    if not found:
        campaign.line("ok", "the power fails at %d moments: %d different disks, each gone on with "
                      "to the same files" %
                      (len({moment.number for moment in some}), len(failures.met)))
    campaign.add("power failures", len(failures.met) - len(found))
