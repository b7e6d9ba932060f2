# SPDX-License-Identifier: MIT
"""Two processes and one run directory: the second is refused, whatever it wants to do; a lock that
a killed process left behind locks nothing (SPEC 17.6)."""

import os
import signal
import subprocess

from campaign import Result, differences, tree
from cases import Case, go_on, train
from places import refused

STOPS = 6  # moments at which the first one is looked at
PAIRS = 20


def start(campaign, words, folder, fault=None):
    """The program, not waited for."""
    return subprocess.Popen([campaign.faulty] + words, cwd=folder, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=campaign.environment(fault))


def ended(running):
    """Waits for it."""
    out, err = running.communicate()
    return Result(running.returncode, out.decode(), err.decode())


def stopped(campaign, words, folder, number):
    """A process that has stopped itself before its n-th call for files."""
    running = start(campaign, words, folder, "io:%d:stop" % number)
    _, status = os.waitpid(running.pid, os.WUNTRACED)
    return running, os.WIFSTOPPED(status)


def others(campaign, folder):
    """What a second process may want."""
    some = [train(campaign), train(campaign, "--force"), train(campaign, "--resume")]
    return some + [words for words in [go_on(campaign, folder, some[2])] if words[0] == "resume"]


def one_stop(campaign, case, number):
    """Complaints about what happens while the first process is before its n-th call."""
    folder = case.fresh(campaign, "locks")
    running, stands = stopped(campaign, case.words, folder, number)
    if not stands:
        ended(running)
        return ["it did not stop"]
    before, bad = tree(folder), []
    for words in others(campaign, folder):
        done = campaign.call(words, folder)
        bad += ["%s %s: %s" % (words[0], words[-3], one) for one in refused(done, 2, "in use")]
    if tree(folder) != before:
        bad.append("the second one changed something")
    os.kill(running.pid, signal.SIGCONT)
    done = ended(running)
    if done.code != 0:
        bad.append("the first one: " + done.summary())
    return bad + differences(tree(folder), case.want)


def one_stale(campaign, case, number, words):
    """Complaints after the first process was killed with the lock in its hands."""
    folder = case.fresh(campaign, "locks")
    running, _ = stopped(campaign, case.words, folder, number)
    os.kill(running.pid, signal.SIGKILL)
    ended(running)
    if not os.path.exists(os.path.join(folder, "run", "lock")):
        return ["no lock was left"]
    done = campaign.call(words, folder)
    bad = [] if done.code == 0 else ["%s: %s" % (words[0], done.summary())]
    return bad + differences(tree(folder), case.want)


def one_pair(campaign, case):
    """Complaints about two that start together."""
    folder = case.fresh(campaign, "locks")
    words = train(campaign, "--resume")
    both = [ended(one) for one in [start(campaign, words, folder) for _ in range(2)]]
    codes = sorted(one.code for one in both)
    bad = [] if codes in ([0, 0], [0, 2]) else ["they end with %s" % codes]
    for one in both:
        bad += refused(one, 2, "in use") if one.code == 2 else []
    return bad + differences(tree(folder), case.want)


def run(campaign):
    """The whole part."""
    if not campaign.wants("locks"):
        return
    case = Case("locks", train(campaign), ("io",)).measure(campaign)
    locks = [i for i, (call, path) in enumerate(case.io_calls(), 1)
             if call == "fcntl" and path.endswith("/lock")]
    if not locks or not campaign.resumes:
        campaign.line("skipped", "two processes: this program locks no run")
        return
    last = len(case.io_calls())
    first = locks[0] + 3  # the owner has written its number
    stops = [first + (last - 2 - first) * i // (STOPS - 1) for i in range(STOPS)]
    found = ["before call %d: %s" % (at, why) for at in stops
             for why in one_stop(campaign, case, at)]
    found += ["stale, before call %d: %s" % (at, why) for at in stops
              for why in one_stale(campaign, case, at, train(campaign, "--force"))]
    found += ["stale, before call %d: %s" % (at, why) for at in stops
              for why in one_stale(campaign, case, at, train(campaign, "--resume"))]
    found += ["a pair: " + why for _ in range(PAIRS) for why in one_pair(campaign, case)]
    campaign.fails([("locks", why) for why in found])
    if not found:
        campaign.line("ok", "two processes on one run: all others refused at %d moments, %d stale "
                      "locks taken over, %d pairs started together" % (STOPS, 2 * STOPS, PAIRS))
