# SPDX-License-Identifier: MIT
"""Every call for files, memory and threads failing in turn, in each way that it can fail."""

import os
import shutil
import subprocess
import threading

from campaign import FINDING, differences, halves, state, tree

# How a call may fail; with a + it and all later ones do, so that cleaning up fails, too.
WAYS = {
    "write": ("EIO", "ENOSPC", "EINTR", "short", "part", "EIO+"),
    "read": ("EIO", "EINTR", "part", "EIO+"),
    "pwrite": ("EIO", "ENOSPC", "EINTR", "short", "part", "EIO+"),
    "pread": ("EIO", "EINTR", "part", "EIO+"),
    "fsync": ("EIO", "ENOSPC", "EINTR", "EIO+"),
    "open_write": ("EIO", "ENOSPC", "EIO+"),
    "mkdir": ("EIO", "ENOSPC", "EIO+"),
    "rename": ("EIO", "ENOSPC", "EIO+"),
    "ftruncate": ("EIO", "EINTR"),
    "close_write": ("EIO", "ENOSPC", "EINTR"),
    "close": ("EIO", "EINTR"),
    "access": ("EIO", "EIO+"),
    "readdir": ("EIO", "EIO+"),
}
OTHER_WAYS = {"io": ("EIO",), "memory": ("ENOMEM", "ENOMEM+"), "arena": ("ENOMEM",),
              "thread": ("EAGAIN", "EAGAIN+")}
NAMES = {"io": "I/O", "memory": "memory", "arena": "allocation", "thread": "thread"}
HARMLESS = ("EINTR", "part")
# A failure of these ends the call; one of the others may be without effect.
HARD = ("write", "read", "pwrite", "pread", "fsync", "open_write", "close_write", "mkdir", "rename",
        "ftruncate")
# SPEC 18.1; a file that cannot be opened or looked at counts as missing where it is input.
CODES = {"io": (5,), "memory": (6,), "arena": (6,), "thread": (1,)}
SOFT_CODES = (2, 3, 5)
DONE = os.path.join("run", "ckpt", "DONE")
# Calls that a program could make behind the shim's back.
UNKNOWN = set("""openat creat fopen fdopen freopen fclose pread pwrite readv writev sync fdatasync
syncfs sync_file_range remove unlinkat renameat renameat2 link linkat symlink truncate flock lockf
mmap munmap sendfile dup dup2 pipe fork execv posix_spawn chdir fchdir mkstemp mkdtemp tmpfile
posix_memalign aligned_alloc memalign valloc strdup strndup getline getdelim asprintf open_memstream
posix_fallocate fallocate chmod fchmod utimensat scandir fdopendir nftw glob realpath lstat fstatat
statvfs open64 stat64 fstat64 fcntl64 lseek64 ftruncate64 readdir64 pthread_key_create
sem_open shm_open open close read write fsync ftruncate lseek fcntl fstat stat access rename mkdir
unlink rmdir opendir readdir closedir malloc calloc realloc pthread_create pthread_mutex_init
pthread_cond_init""".split())


class Fault:
    """The n-th call of a group, or of a name, in a case, and how it fails."""

    def __init__(self, case, group, wish, call, path):
        self.case, self.group, self.wish = case, group, wish
        self.call, self.path = call, path
        self.way = wish.split(":")[2]
        self.name = "%s/%s" % (case.name, wish)

    def lasting(self):
        """Cleaning up may fail as well, so temporary files may stay."""
        return self.way.endswith("+") or self.call == "unlink"

    def harmless(self):
        """Must it be as if nothing had happened?"""
        return self.way in HARMLESS

    def is_hard(self):
        """Must the call end? Letting go of a lock, or of a file without a name, cannot fail."""
        letting_go = self.call == "close_write" and self.path.endswith(("/lock", "/clients.tmp"))
        return self.call in HARD and not letting_go

    def codes(self):
        """Exit codes that are right besides that of the call without a fault."""
        if self.harmless():
            return ()
        return CODES[self.group] if self.group != "io" or self.is_hard() else SOFT_CODES

    def may_pass(self):
        """May the call end as without the fault, with nothing missing? Memory for a text that is
        not printed after all is not missed."""
        return self.harmless() or self.group in ("memory", "arena") or (
            self.group == "io" and not self.is_hard())


def faults_of(case):
    """All of them, in the order of the calls: each call in each way, and all of one name. Where not
    every call for files is to be tried, three of one name on one file are."""
    numbers, met = {}, {}
    for group, call, path in case.log:
        if group not in case.groups:
            continue
        numbers[group] = numbers.get(group, 0) + 1
        met[call] = met.get(call, 0) + 1
        met[call, path] = met.get((call, path), 0) + 1
        if group == "io" and met[call] == 1:
            yield Fault(case, group, "%s:1:EIO+" % call, call, path)
        if group == "io" and not case.every and met[call, path] > 3:
            continue
        ways = WAYS.get(call, OTHER_WAYS[group])
        if group == "arena" and case.every:
            ways = ("ENOMEM", "ENOMEM+")
        for way in ways:
            yield Fault(case, group, "%s:%d:%s" % (group, numbers[group], way), call, path)


# ---- one fault ----

def judge(fault, done, files):
    """Complaints about how a call with a fault ended."""
    case, bad = fault.case, []
    if not done.fired.startswith("fault\t"):
        return ["the fault never happened"]
    if done.code == FINDING or not isinstance(done.code, int) or done.code < 0:
        return [done.summary()]
    if fault.may_pass() and done.code == case.result.code:
        # A file at which nobody can look counts as there, also where files are compared.
        if case.prints and done.out != case.result.out and fault.call != "access":
            bad.append("exit %d with other results" % done.code)
        return bad + differences(files, case.want, fault.lasting())
    if done.code not in fault.codes():
        bad.append("expected exit %s, found %s" % (
            " or ".join(str(code) for code in fault.codes()) or case.result.code, done.summary()))
    if done.err.count("\n") != 1 or not done.err.startswith("ddome: "):
        bad.append("expected one line on standard error, found %r" % done.err[:200])
    if case.words[0] == "resume" and DONE not in files:
        bad.append("the checkpoints are lost")
    if done.out and "--json" not in case.words:
        bad.append("something on standard output")
    return bad + halves(files, case.want, case.before, fault.lasting())


class Tries:
    """The faults of one case; what has been repaired once is not repaired again."""

    def __init__(self, campaign, case):
        self.campaign, self.case = campaign, case
        self.repaired, self.lock = {}, threading.Lock()

    def repair(self, folder, files):
        """The call is made again, without a fault, over what it left (SPEC 17.3.3)."""
        key = state(files)
        with self.lock:
            if key in self.repaired:
                return self.repaired[key]
        done = self.campaign.call(self.case.again, folder, plain=True)
        bad = []
        if done.code != self.case.result.code:
            bad.append("afterwards: %s" % done.summary())
        bad += ["afterwards " + one for one in differences(tree(folder), self.case.want)]
        with self.lock:
            self.repaired[key] = bad
        return bad

    def one(self, fault, name):
        """None, or what was wrong."""
        folder = self.case.fresh(self.campaign, "calls-" + name)
        done = self.campaign.call(self.case.words, folder, fault.wish)
        files = tree(folder)
        bad = judge(fault, done, files) or self.repair(folder, files)
        if not bad:
            return None
        return "%s %s: %s" % (fault.call, fault.path, "; ".join(bad[:3]))


def try_case(campaign, case):
    """A line for each group of the case."""
    faults = list(faults_of(case))
    tries = Tries(campaign, case)
    for group in case.groups:
        some = campaign.mine([fault for fault in faults if fault.group == group])
        found = [(fault.name, why) for fault, why in zip(some, campaign.each(tries.one, some))
                 if why]
        campaign.fails(found)
        if some and not found:
            calls = len({fault.wish.rpartition(":")[0] for fault in some})
            campaign.line("ok", "%s: %d %s faults at %d calls, all with nothing lost" %
                          (case.name, len(some), NAMES[group], calls))
        campaign.add("%s faults" % NAMES[group], len(some) - len(found))


# ---- is the shim where it should be ----

def check_shim(campaign, case):
    """A leak is seen, and no source calls for files or memory behind the shim's back."""
    folder = case.fresh(campaign, "leak")
    done = campaign.call(case.words, folder, "memory:1:leak")
    if done.code == FINDING and "LeakSanitizer" in done.err:
        campaign.line("ok", "a leak made on purpose is seen")
    else:
        campaign.line("FAIL", "a leak made on purpose is not seen: %s" % done.summary())
    if shutil.which("nm") is None:
        campaign.line("skipped", "calls that the shim does not know: there is no nm")
        return
    found, build = set(), os.path.dirname(campaign.faulty)
    for here, _, names in os.walk(build):
        for name in names:
            if name.endswith(".o") and here != os.path.join(build, "tests", "faults"):
                text = subprocess.run(["nm", "-u", os.path.join(here, name)], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout
                found |= {"%s in %s" % (word, name) for word in text.split() if word in UNKNOWN}
    if found:
        campaign.line("FAIL", "tests/faults/shim.h does not map %s" % ", ".join(sorted(found)))
    else:
        campaign.line("ok", "all calls for files, memory and threads go through the shim")


def run(campaign, cases):
    """The whole part."""
    check_shim(campaign, cases[0])
    for case in cases:
        if campaign.wants(case.name):
            try_case(campaign, case.measure(campaign))
