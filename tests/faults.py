#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python3 tests/faults.py PROGRAM FAULTY [--scratch DIR] [--part N/M] [--only NAME] [--seed N]

The fault campaign (make check-faults): FAULTY is PROGRAM built with tests/faults/shim.h, in which a
chosen call for files, memory or threads fails. One line a part, then the totals; exit 1 when one
fails.
"""

import argparse
import os
import shutil
import signal
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "faults"))

import calls  # noqa: E402
import cases  # noqa: E402
import kills  # noqa: E402
import locks  # noqa: E402
import places  # noqa: E402
import power  # noqa: E402
from campaign import Campaign  # noqa: E402


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description="the fault campaign")
    parser.add_argument("program")
    parser.add_argument("faulty")
    parser.add_argument("--scratch", default=None)
    parser.add_argument("--part", default="1/1", help="N/M: every M-th fault, from the N-th")
    parser.add_argument("--only", default=None, help="a part, or a fault as a FAIL line names it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mounts", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(campaign):
    """The inputs; True when there are all."""
    shutil.rmtree(campaign.scratch, ignore_errors=True)
    wrong = cases.make_inputs(campaign)
    if wrong:
        campaign.line("FAIL", "the inputs of the campaign: " + wrong)
    return not wrong


def main():
    """All parts."""
    # A shell's job in the background ignores interrupts, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = arguments()
    scratch = given.scratch or os.path.join(os.path.dirname(given.faulty), "scratch")
    part = tuple(int(word) for word in given.part.split("/"))
    campaign = Campaign(given.program, given.faulty, scratch, given.seed, part, given.only)
    if given.mounts:
        places.mounts(campaign)
        for what, number in campaign.totals.items():
            print("total %s faults: %d" % (what, number))
        return 0
    if prepare(campaign):
        if part[0] == 1:
            places.run(campaign, [__file__, given.program, given.faulty, "--scratch", scratch])
            locks.run(campaign)
        kills.run(campaign)
        power.run(campaign)
        calls.run(campaign, cases.make_cases(campaign))
    print("with nothing lost: %s" % ", ".join("%d %s" % (number, what) for what, number in
                                              sorted(campaign.totals.items())))
    print("%d passed, %d failed, %d skipped" % tuple(campaign.counts[kind] for kind in
                                                     ("ok", "FAIL", "skipped")))
    return 1 if campaign.counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
