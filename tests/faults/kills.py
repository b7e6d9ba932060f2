# SPDX-License-Identifier: MIT
"""Runs killed (kill -9) or interrupted at seeded random moments, each finished by `resume`: the
same files as those of a run that nobody disturbed (SPEC 17.6)."""

import random
import signal
import statistics
import subprocess
import time

from campaign import Result, differences, halves, tree
from cases import Case, go_on, train

KILLS = 100  # of each kind
SIGNALS = 20
AGAIN = 0.3  # how often the call that goes on is killed as well
TRIES = 50
ROUNDS = ["rounds=8", "synth_noise=20"]


class Moment:
    """One disturbance; its name is its seed."""

    def __init__(self, kind, number):
        self.kind, self.number = kind, number
        self.name = "kills/%s:%d" % (kind, number)


class Kills:
    """The run that is disturbed, and how long it takes."""

    def __init__(self, campaign):
        self.campaign = campaign
        self.case = Case("kills", train(campaign, *ROUNDS), ("io",)).measure(campaign)
        self.calls = len(self.case.io_calls())
        self.seconds = statistics.median(self.duration(i) for i in range(7))
        self.early, self.twice = [], []

    def duration(self, number):
        """Of a whole run, beside another one as in the campaign."""
        folder = self.case.fresh(self.campaign, "duration-%d" % number)
        start = time.monotonic()
        self.campaign.call(self.case.words, folder)
        return time.monotonic() - start

    def send(self, words, folder, after, number):
        """The call gets a signal after so many seconds, or ends before."""
        with subprocess.Popen([self.campaign.faulty] + words, cwd=folder,
                              env=self.campaign.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            time.sleep(after)
            running.send_signal(number)
            out, err = running.communicate()
        return Result(running.returncode, out.decode(), err.decode())

    def strike(self, kind, words, folder, rng):
        """Kills a call, or sends it a signal, somewhere."""
        if kind == "call":
            return self.campaign.call(words, folder, "io:%d:kill" % rng.randint(1, self.calls))
        number = {"time": signal.SIGKILL, "interrupt": signal.SIGINT, "term": signal.SIGTERM}[kind]
        return self.send(words, folder, rng.uniform(0, self.seconds), number)

    def disturb(self, moment, folder_name, rng):
        """Tries until it hits; (folder, result)."""
        for _ in range(TRIES):
            folder = self.case.fresh(self.campaign, folder_name)
            done = self.strike(moment.kind, self.case.words, folder, rng)
            if done.code != 0:
                return folder, done
        return folder, done

    def one(self, moment, name):
        """None, or what was lost."""
        rng = random.Random("%d %s" % (self.campaign.seed, moment.name))
        folder, done = self.disturb(moment, "kills-" + name, rng)
        wanted = {"interrupt": (-2, 130), "term": (-15, 143)}.get(moment.kind, (-9,))
        if done.code not in wanted:
            return "expected exit %s, found %s" % (wanted, done.summary())
        bad = halves(tree(folder), self.case.want, {}, True)
        words = go_on(self.campaign, folder, self.case.words)
        if words[0] != "resume":
            self.early.append(moment)
        if rng.random() < AGAIN:
            done = self.strike(moment.kind, words, folder, rng)
            if done.code in wanted:
                self.twice.append(moment)
            elif done.code != 0:
                bad.append("killed while it went on: " + done.summary())
            bad += halves(tree(folder), self.case.want, {}, True)
            words = go_on(self.campaign, folder, self.case.words)
        bad += self.finish(folder, words)
        return "; ".join(bad[:3]) or None

    def finish(self, folder, words):
        """Goes on to the end, which must be that of the undisturbed run."""
        done = self.campaign.call(words, folder)
        if done.code != 0:
            return ["%s: %s" % (words[0], done.summary())]
        bad = differences(tree(folder), self.case.want)
        if done.out != self.case.result.out:
            bad.append("%s prints other results" % words[0])
        return bad


def try_kind(campaign, kills, kind, count, text):
    """A line for one kind of disturbance."""
    some = campaign.mine([Moment(kind, i) for i in range(1, count + 1)])
    if not some:
        return
    kills.early, kills.twice = [], []
    found = [(moment.name, why)
             for moment, why in zip(some, campaign.each(kills.one, some)) if why]
    campaign.fails(found)
    if not found:
        campaign.line("ok", "%d runs %s (%d before a checkpoint, %d once more while they went on), "
                      "each resumed to the same files" %
                      (len(some), text, len(kills.early), len(kills.twice)))
    campaign.add("kills" if kind in ("time", "call") else "signals", len(some) - len(found))


def run(campaign):
    """The whole part."""
    if not campaign.wants("kills"):
        return
    if not campaign.resumes:
        campaign.line("skipped", "kills: this program has no resume")
        return
    kills = Kills(campaign)
    try_kind(campaign, kills, "time", KILLS, "killed at random moments")
    try_kind(campaign, kills, "call", KILLS, "killed within random calls for files")
    try_kind(campaign, kills, "interrupt", SIGNALS, "interrupted")
    try_kind(campaign, kills, "term", SIGNALS, "terminated")
