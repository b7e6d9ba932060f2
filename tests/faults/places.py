# SPDX-License-Identifier: MIT
"""Places where a run cannot be written or has no memory, made for real: folders and file systems
that are read-only, disks and inodes that run out, an address space that is too small."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile

from campaign import Result, differences, halves, tree
from cases import Case, go_on, train

NOBODY = "65534"
PAGE, STEP = 4096, 1 << 18  # bytes by which disks and memory grow
LIMIT = 1 << 30  # of memory: enough for sure


def refused(done, code, text=""):
    """Complaints about a call that had to fail."""
    bad = []
    if done.code != code:
        bad.append("expected exit %d, found %s" % (code, done.summary()))
    if done.err.count("\n") != 1 or not done.err.startswith("ddome: ") or text not in done.err:
        bad.append("expected one line with %r, found %r" % (text, done.err[:200]))
    if done.out:
        bad.append("something on standard output")
    return bad


def conclude(campaign, name, found, text):
    """The line of a part."""
    campaign.fails([("places", "%s: %s" % (name, why)) for why in found])
    if not found:
        campaign.line("ok", "%s: %s" % (name, text))


# ---- read-only ----

def make_runs(campaign, folder):
    """A finished run, and one that was killed."""
    inputs = os.path.join(campaign.scratch, "in")
    shutil.copytree(os.path.join(inputs, "other"), os.path.join(folder, "whole"))
    if campaign.resumes:
        shutil.copytree(os.path.join(inputs, "killed"), os.path.join(folder, "killed"))


def read_only(campaign, call, folder, name):
    """Neither `folder` nor what is in it can be written."""
    before, found = tree(folder), []
    words = train(campaign)[:-3]
    writers = [words + ["--out", "new", "--quiet"],
               words + ["--out", "whole", "--force", "--quiet"]]
    readers = [["eval", "whole", "--quiet"], ["report", "whole"]]
    if campaign.resumes:
        writers.append(["resume", "killed", "--quiet"])
        readers.append(["verify", "whole", "--quiet"])
    for tried in writers:
        found += ["%s: %s" % (tried[0], one) for one in refused(call(tried), 5)]
    for tried in readers:
        done = call(tried)
        if done.code != 0:
            found.append("%s: %s" % (tried[0], done.summary()))
    found += differences(tree(folder), before)
    conclude(campaign, name, found, "%d writers end with exit 5, %d readers work" %
             (len(writers), len(readers)))


def by_rights(campaign):
    """A folder without the right to write. Root has every right, so it becomes nobody."""
    change = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
    if os.geteuid() != 0:
        change = []
    elif shutil.which("setpriv") is None:
        campaign.line("skipped", "read-only folder: root has every right, and there is no setpriv")
        return
    with tempfile.TemporaryDirectory() as top:
        program, folder = os.path.join(top, "ddome"), os.path.join(top, "folder")
        shutil.copy(campaign.faulty, program)
        os.mkdir(folder)
        make_runs(campaign, folder)
        os.chmod(top, 0o755)
        for here, _, _ in os.walk(folder):
            os.chmod(here, 0o555)

        def call(words):
            done = subprocess.run(change + [program] + words, cwd=folder, check=False,
                                  env=campaign.environment(), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        try:
            read_only(campaign, call, folder, "read-only folder")
        finally:
            for here, _, _ in os.walk(folder):
                os.chmod(here, 0o755)


# ---- file systems of our own, in a mount namespace ----

def mount(folder, options):
    """A file system in memory, or new options of one."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)


def by_mount(campaign):
    """A file system that is read-only."""
    folder = campaign.folder("mounted")
    mount(folder, "size=16m")
    make_runs(campaign, folder)
    mount(folder, "remount,ro")
    read_only(campaign, lambda words: campaign.call(words, folder), folder, "read-only file system")
    subprocess.run(["umount", folder], check=True)


def until_it_fits(campaign, name, options):
    """A run on a disk of each size, from too small for anything on; afterwards there is room."""
    case = Case("disk", train(campaign), ("io",)).measure(campaign)
    folder = campaign.folder("mounted")
    found, size, done = [], 0, None
    while done is None or done.code != 0:
        size += 1
        mount(folder, options(size))
        done = campaign.call(case.words, folder)
        if done.code != 0:
            bad = refused(done, 5, "No space left on device")
            bad += halves(tree(folder), case.want, {}, False)
            mount(folder, "remount,size=16m,nr_inodes=1k")
            again = campaign.call(go_on(campaign, folder, case.words), folder)
            bad += [] if again.code == 0 else ["with room: " + again.summary()]
            bad += differences(tree(folder), case.want)
            found += ["%s: %s" % (options(size), one) for one in bad[:1]]
        subprocess.run(["umount", folder], check=True)
    conclude(campaign, name, found, "%d sizes, all with exit 5 and nothing lost" % (size - 1))
    campaign.add("full disks", size - 1 - len(found))


def mounts(campaign):
    """What needs a mount namespace; run by `in_namespace`."""
    by_mount(campaign)
    until_it_fits(campaign, "disk full", lambda size: "size=%d" % (size * PAGE))
    until_it_fits(campaign, "disk out of inodes", lambda size: "size=16m,nr_inodes=%d" % (size + 1))


def in_namespace(campaign, words):
    """`mounts` in a process that may mount; its lines are passed on."""
    space = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    try:
        able = subprocess.run(space + ["mount", "-t", "tmpfs", "none", campaign.folder("mounted")],
                              stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        able = False
    if not able:
        campaign.line("skipped", "full disk, read-only file system: %s cannot mount" %
                      " ".join(space))
        return
    done = subprocess.run(space + [sys.executable] + words + ["--mounts"], text=True, check=False,
                          stdout=subprocess.PIPE)
    for line in done.stdout.splitlines():
        kind, _, text = line.partition(" faults: ")
        if kind in campaign.counts:
            campaign.line(kind, text)
        elif kind.startswith("total "):
            campaign.add(kind[6:], int(text))
    if done.returncode not in (0, 1):
        campaign.line("FAIL", "what needs mounts ended with %d" % done.returncode)


# ---- memory ----

def small_memory(campaign):
    """The program with an address space of each size, from the least in which it starts at all."""
    case = Case("address", train(campaign), ("io",)).measure(campaign)
    found, size, tried = [], 0, 0

    def call(words, folder):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        done = subprocess.run([campaign.plain] + words, cwd=folder, preexec_fn=limit, check=False,
                              env=campaign.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    while size < LIMIT:
        size += STEP
        if tried == 0 and call(["version"], campaign.scratch).code != 0:
            continue
        folder = case.fresh(campaign, "address")
        done = call(case.words, folder)
        if done.code == 0:
            break
        tried += 1
        bad = refused(done, 6, "out of memory") + halves(tree(folder), case.want, {}, False)
        found += ["%d bytes: %s" % (size, one) for one in bad[:1]]
    if tried == 0:
        found.append("no size was too small")
    conclude(campaign, "small address space", found, "%d sizes, all with exit 6" % tried)


def run(campaign, words):
    """The whole part. words: how this program was called."""
    if not campaign.wants("places"):
        return
    by_rights(campaign)
    in_namespace(campaign, words)
    small_memory(campaign)
