#!/bin/sh
# SPDX-License-Identifier: MIT
# Command line tests of what hardly ever happens: tests/cli_edges.sh PROGRAM SCRATCH_DIR. Locks that
# the system refuses; reads and writes that are interrupted, cut into pieces, or fail.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_edges "$@"
need_folders

# ---- locks that cannot be made ----

# The nth call of pthread_mutex_init and pthread_cond_init, n = REFUSE, fails for want of memory.
cat > locks.c << 'END'
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
static int calls;
static int refused(void)
{
    const char *n = getenv("REFUSE");
    return n != NULL && ++calls == atoi(n) ? EAGAIN : 0;
}
int pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *how)
{
    const pthread_mutex_t made = PTHREAD_MUTEX_INITIALIZER;
    (void)how;
    *lock = made;
    return refused();
}
int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *how)
{
    const pthread_cond_t made = PTHREAD_COND_INITIALIZER;
    (void)how;
    *cond = made;
    return refused();
}
END
locked() {
    REFUSE=$1 LD_PRELOAD=$work/locks.so "$program" train $tiny --threads 2 --out "locked$1" --quiet > out 2> err
    status=$?
}
if ${CC:-cc} -shared -fPIC -o locks.so locks.c -pthread 2> err && locked 0 && [ "$status" -eq 0 ] &&
    locked 1 && [ "$status" -eq 1 ]; then
    for n in 1 2 3; do
        locked "$n"
        why=
        [ "$status" -eq 1 ] || why="status $status"
        grep -q '^ddome: cannot start 2 threads: thread ' err || why="$why; $(head -n 1 err)"
        [ "$(wc -l < err)" -eq 1 ] && [ ! -s out ] || why="$why; more than one line"
        [ ! -e "locked$n/SHA256SUMS" ] || why="$why; a finished run"
        verdict "lock $n of a team is refused" "$why"
    done
else
    skip "locks that are refused" "no threads, or no library can be put before the program here"
fi

# ---- calls for files that do less than they are asked, or fail: SPEC 17.3.4, 18.2.1 ----

# CALL=write ERROR=ENOSPC NTH=3: the third write to a file, and all later ones, fail so. NTH=0: none does.
# PIECES: reads and writes do at most 700 bytes, and every second call is interrupted.
cat > calls.c << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
static unsigned calls, pieces;
static int fails(const char *name)
{
    const char *call = getenv("CALL"), *nth = getenv("NTH"), *error = getenv("ERROR");
    if (call == NULL || nth == NULL || error == NULL || strcmp(call, name) != 0)
        return 0;
    if (++calls < (unsigned)atoi(nth))
        return 0;
    errno = atoi(error);
    return 1;
}
static size_t piece(size_t count)
{
    if (getenv("PIECES") == NULL)
        return count;
    if (++pieces % 2 == 0)
        return 0;
    return count < 700 ? count : 700;
}
#define REAL(name) (*(void **)&real = dlsym(RTLD_NEXT, name))
ssize_t read(int file, void *bytes, size_t count)
{
    ssize_t (*real)(int, void *, size_t);
    const size_t part = piece(count);
    REAL("read");
    if (fails("read"))
        return errno == 0 ? 0 : -1; /* 0: the file has become shorter */
    errno = EINTR;
    return part == 0 && count != 0 ? -1 : real(file, bytes, part);
}
ssize_t write(int file, const void *bytes, size_t count)
{
    ssize_t (*real)(int, const void *, size_t);
    const size_t part = file > 2 ? piece(count) : count;
    REAL("write");
    if (file > 2 && fails("write"))
        return -1;
    errno = EINTR;
    return part == 0 && count != 0 ? -1 : real(file, bytes, part);
}
int fsync(int file)
{
    int (*real)(int);
    REAL("fsync");
    return fails("fsync") ? -1 : real(file);
}
int close(int file)
{
    int (*real)(int);
    REAL("close");
    if (!fails("close"))
        return real(file);
    const int cause = errno;
    real(file);
    errno = cause;
    return -1;
}
int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *);
    REAL("rename");
    return fails("rename") ? -1 : real(from, to);
}
int ftruncate(int file, off_t length)
{
    int (*real)(int, off_t);
    REAL("ftruncate");
    return fails("ftruncate") ? -1 : real(file, length);
}
int fstat(int file, struct stat *info)
{
    int (*real)(int, struct stat *);
    REAL("fstat");
    return fails("fstat") ? -1 : real(file, info);
}
END

# with VARIABLES ARGS...: the program with that library before it; status, out, err.
with() {
    env LD_PRELOAD="$work/calls.so" $1 "$program" $2 > out 2> err
    status=$?
}

# bears NAME VARIABLES: a run, and its evaluation, are what they are without.
bears() {
    rm -rf borne
    with "$2" "train $tiny --out borne --quiet"
    why=
    [ "$status" -eq 0 ] && cmp -s borne/SHA256SUMS whole/SHA256SUMS || why="status $status: $(head -n 1 err)"
    with "$2" "eval whole --quiet"
    [ "$status" -eq 0 ] && cmp -s out evaluated || why="$why; eval: status $status: $(head -n 1 err)"
    verdict "$1" "$why"
}

# breaks NAME STATUS VARIABLES ARGS: that status, one line, and no finished run in the folder broken.
breaks() {
    rm -rf broken
    with "$3" "$4"
    why=
    [ "$status" -eq "$2" ] || why="status $status, want $2: $(head -n 1 err)"
    [ "$(grep -c '^ddome: ' err)" -eq 1 ] && [ "$(wc -l < err)" -eq 1 ] || why="$why; not one line"
    [ ! -s out ] || why="$why; something on standard output"
    [ ! -e broken/SHA256SUMS ] || why="$why; a finished run"
    verdict "$1" "$why"
}

call train $tiny --out whole --quiet
call eval whole --quiet
mv out evaluated
if ${CC:-cc} -shared -fPIC -o calls.so calls.c -ldl 2> err && with "CALL=read NTH=1 ERROR=5" "eval whole --quiet"
    [ "${status:-0}" -eq 5 ]; then
    bears "reads and writes in pieces, interrupted" PIECES=1
    bears "a file system without a flush (EINVAL)" "CALL=fsync NTH=1 ERROR=22"
    train="train $tiny --out broken --quiet"
    for nth in 1 2 9; do
        breaks "write $nth fails: the disk is full" 5 "CALL=write NTH=$nth ERROR=28" "$train"
        breaks "flush $nth fails" 5 "CALL=fsync NTH=$nth ERROR=5" "$train"
        breaks "rename $nth fails" 5 "CALL=rename NTH=$nth ERROR=13" "$train"
        breaks "read $nth fails" 5 "CALL=read NTH=$nth ERROR=5" "eval whole --quiet"
        breaks "file $nth became shorter" 5 "CALL=read NTH=$nth ERROR=0" "eval whole --quiet"
    done
    breaks "close 2 fails" 5 "CALL=close NTH=2 ERROR=5" "$train"
    breaks "the lock cannot be emptied" 5 "CALL=ftruncate NTH=1 ERROR=5" "$train"
    breaks "a table cannot be cut" 5 "CALL=ftruncate NTH=2 ERROR=5" "$train"
    breaks "what is no file" 5 "CALL=fstat NTH=1 ERROR=5" "eval whole --quiet"
else
    skip "calls that do less, or fail" "no library can be put before the program here"
fi

totals
