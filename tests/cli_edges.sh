#!/bin/sh
# SPDX-License-Identifier: MIT
# Command line tests of what hardly ever happens: tests/cli_edges.sh PROGRAM SCRATCH_DIR. Locks that
# the system refuses; links and pipes in the place of files; files that must not grow; calls for files
# that are interrupted, cut into pieces, or fail; files that change while they are read; memory that is
# out; older processors.
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

# tests/preload/calls.c says what VARIABLES of `with` there are.

# bears NAME VARIABLES [OTHERS]: a run, and under OTHERS its evaluation, are what they are without.
bears() {
    rm -rf borne
    with "$2" "train $tiny --out borne --quiet"
    why=
    [ "$status" -eq 0 ] && cmp -s borne/SHA256SUMS whole/SHA256SUMS || why="status $status: $(head -n 1 err)"
    with "${3:-$2}" "eval whole --quiet"
    [ "$status" -eq 0 ] && cmp -s out evaluated || why="$why; eval: status $status: $(head -n 1 err)"
    verdict "$1" "$why"
}

# breaks NAME STATUS VARIABLES ARGS [PART]: that status, one line, which holds PART, and no finished run
# in the folder broken, where `resume` finds one without its end.
breaks() {
    rm -rf broken
    case $4 in
    resume*)
        cp -r whole broken
        rm broken/SHA256SUMS
        ;;
    esac
    with "$3" "$4"
    refusal "$1" "$2" "${5:-ddome}" broken
}

# Which call CALL of a resume is the first one for a table: one for each piece of the checkpoint comes before it.
first_of_a_table() {
    nth=1
    while [ $nth -lt 500 ]; do
        rm -rf broken
        cp -r whole broken
        rm broken/SHA256SUMS
        with "CALL=$1 NTH=$nth TIMES=1 ERROR=5" "$resume"
        ! grep -q metrics.csv err || break
        nth=$((nth + 1))
    done
    echo $nth
}

call train $tiny --out whole --quiet
call eval whole --quiet
mv out evaluated
if ${CC:-cc} -shared -fPIC -o calls.so "$root/tests/preload/calls.c" -ldl 2> err && with "CALL=read NTH=1 ERROR=5" "eval whole --quiet" &&
    [ "${status:-0}" -eq 5 ] && with "CALL=fstat NTH=1 ERROR=5" "eval whole --quiet" && [ "$status" -eq 5 ]; then
    bears "reads and writes in pieces, interrupted" PIECES=1
    bears "a file system without a flush (EINVAL)" "CALL=fsync NTH=1 ERROR=22"
    bears "folders that cannot be opened have no flush (EACCES)" "CALL=open FILE=. NTH=1 ERROR=13"
    bears "a folder that cannot be listed keeps what is in it" "CALL=readdir NTH=1 ERROR=5"
    mkdir seeds seeds/seed-1
    breaks "the runs of a report cannot be listed" 5 "CALL=readdir NTH=2 ERROR=5" "report seeds" "reading seeds failed"
    for call in fsync close ftruncate; do
        bears "$call is interrupted (EINTR)" "CALL=$call NTH=2 TIMES=1 ERROR=4"
    done
    train="train $tiny --out broken --quiet"
    resume="resume broken --quiet"
    for nth in 1 2 9; do
        breaks "write $nth fails: the disk is full" 5 "CALL=write NTH=$nth ERROR=28" "$train"
        breaks "flush $nth fails" 5 "CALL=fsync NTH=$nth ERROR=5" "$train"
        breaks "rename $nth fails" 5 "CALL=rename NTH=$nth ERROR=13" "$train"
        breaks "read $nth fails" 5 "CALL=read NTH=$nth ERROR=5" "eval whole --quiet"
        breaks "file $nth became shorter" 5 "CALL=read NTH=$nth ERROR=0" "eval whole --quiet"
    done
    for nth in 12 40 95; do # of the first checkpoint, of the second one: SPEC 17.6.4
        breaks "write $nth fails, amid a checkpoint" 5 "CALL=write NTH=$nth ERROR=28" "$train" .safetensors.tmp
        verdict "half a checkpoint does not keep the disk full: write $nth" "$(find broken -name '*.tmp')"
    done
    breaks "close 2 fails" 5 "CALL=close NTH=2 ERROR=5" "$train"
    breaks "the lock cannot be emptied" 5 "CALL=ftruncate NTH=1 TIMES=1 ERROR=5" "$train"
    breaks "a table cannot be cut" 5 "CALL=ftruncate NTH=2 TIMES=1 ERROR=5" "$train"
    breaks "the end of a table cannot be found" 5 "CALL=lseek NTH=1 TIMES=1 ERROR=5" "$train"
    breaks "a table cannot be looked at" 5 "CALL=fstat NTH=2 TIMES=1 ERROR=5" "$train"
    breaks "what is no file" 5 "CALL=fstat NTH=1 ERROR=5" "eval whole --quiet"
    for cause in 5 23 24; do # EIO, ENFILE, EMFILE: not that it is missing
        breaks "a file cannot be opened (errno $cause)" 5 "CALL=open FILE=.toml NTH=1 ERROR=$cause" "eval whole --quiet"
    done
    for nth in 1 2 3 4 5; do # made, a file written in it; the same with ckpt; a table
        breaks "flush $nth of a folder fails" 5 "CALL=open FILE=. NTH=$nth TIMES=1 ERROR=24" "$train"
    done
    breaks "the flush of a checkpoint's folder fails" 5 "CALL=open FILE=ckpt/. NTH=2 TIMES=1 ERROR=24" "$train"
    breaks "the flush after a checkpoint has its name fails" 5 "CALL=open FILE=ckpt/. NTH=3 TIMES=1 ERROR=24" "$train"
    breaks "a checkpoint cannot have its name" 5 "CALL=rename FILE=00.safetensors NTH=1 ERROR=5" "$train" 00.safetensors
    breaks "the table of a saved run cannot be looked at" 5 \
        "CALL=fstat NTH=$(first_of_a_table fstat) TIMES=1 ERROR=5" "$resume" metrics.csv
    breaks "the start of a saved table cannot be found" 5 \
        "CALL=lseek NTH=$(first_of_a_table lseek) TIMES=1 ERROR=5" "$resume" metrics.csv

    # ---- what stays with clients: SPEC 12.6.9 ----
    scaffold="train $tiny algo=scaffold momentum=0 checkpoint_every=1"
    call $scaffold --out kept --quiet
    with PIECES=1 "$scaffold --out pieces --quiet"
    verdict "control variates are read and written in pieces, interrupted" "$(cmp kept/SHA256SUMS pieces/SHA256SUMS 2>&1)"
    breaks "a control variate finds the disk full" 5 "CALL=pwrite NTH=2 ERROR=28" "$scaffold --out broken --quiet" clients.tmp
    breaks "a control variate cannot be read back" 5 "CALL=pread NTH=1 ERROR=5" "$scaffold --out broken --quiet" clients.tmp
    breaks "a control variate became shorter" 5 "CALL=pread NTH=1 ERROR=0" "$scaffold --out broken --quiet" clients.tmp
    breaks "the file of control variates cannot be made" 5 "CALL=open FILE=clients.tmp NTH=1 ERROR=28" \
        "$scaffold --out broken --quiet" clients.tmp
    verdict "no file of control variates is left behind" "$(find broken pieces kept -name 'clients.tmp')"
    long=$(printf '%04200d' 0)
    TMPDIR=$long call eval kept --quiet
    verdict "an evaluation of SCAFFOLD needs no temporary file" "$([ "$status" -eq 0 ] || head -n 1 err)"
    call train $tiny algo=local eval_scope=seen --out local --quiet
    TMPDIR=$long call eval local --quiet
    refusal "a folder of temporary files whose path is too long" 5 "path too long" none
    TMPDIR=nowhere call eval local --quiet
    refusal "no folder of temporary files" 5 nowhere/ddome- none
    TMPDIR=nowhere call verify local --rounds 1 --quiet
    refusal "verify keeps its files out of the run" 5 nowhere/ddome- none
    mkdir temporary
    with "TMPDIR= CALL=mkstemp NTH=1 ERROR=28" "eval local --quiet"
    refusal "an empty TMPDIR is /tmp" 5 "cannot write /tmp/ddome-" none
    TMPDIR=temporary call eval local --quiet
    verdict "temporary files have no name" "$([ "$status" -eq 0 ] || head -n 1 err; ls temporary)"

    # ---- the lock of a run ----
    breaks "the lock cannot be made" 5 "CALL=open FILE=/lock NTH=1 ERROR=30" "$train" /lock
    breaks "a file system without locks (ENOLCK)" 5 "CALL=fcntl NTH=1 TIMES=1 ERROR=37" "$train" "cannot lock"
    for cause in 11 13; do # EAGAIN, EACCES
        breaks "a lock that went meanwhile (errno $cause)" 2 "CALL=fcntl NTH=1 TIMES=1 ERROR=$cause" "$train" "process 0"
        breaks "a lock without an owner (errno $cause)" 2 "CALL=fcntl NTH=1 TIMES=2 ERROR=$cause" "$train" "process 0"
    done
    bears "the lock is removed while it is taken" "CALL=stat FILE=/lock NTH=1 TIMES=2 ERROR=2"
    bears "the lock is another file meanwhile" "CALL=inode FILE=/lock NTH=1 TIMES=2"
    bears "the lock is on another disk meanwhile" "CALL=device FILE=/lock NTH=1 TIMES=2"
    bears "the lock cannot be looked at at once" "CALL=fstat NTH=1 TIMES=1 ERROR=5" NTH=0
    breaks "the lock is removed each time" 5 "CALL=stat FILE=/lock NTH=1 ERROR=2" "$train" /lock

    # ---- sizes, memory ----
    whole_batches
    cifar="partition describe data=cifar10 data_dir=$work/cifar"
    breaks "a file of -1 bytes" 6 "CALL=size SIZE=-1 NTH=1" "eval whole --quiet" "too large for memory"
    breaks "a file becomes longer between two readings" 5 "CALL=size SIZE=3073 NTH=1 TIMES=1" "$cifar" "became longer"
    for nth in 1 2; do
        breaks "block $nth of memory is not there" 6 "CALL=malloc NTH=$nth" "$train" "out of memory"
    done
else
    skip "calls that do less, or fail" "no library can be put before the program here"
fi

# ---- processors that lack what this program has kernels for: SPEC 18.4.1 ----

# older ARGS...: on that processor. The memory has a bound: a sanitizer's program takes all that there is under qemu.
older() {
    (ulimit -v 4000000 && exec qemu-x86_64 -cpu "$lacking" "$program" "$@") > out 2> err
    status=$?
}
for lacking in Nehalem max,-fma; do
    older version
    if [ "$status" -ne 0 ]; then
        skip "a processor without AVX2 or FMA: $lacking" "no qemu-x86_64, or no program for it"
        continue
    fi
    older selftest
    why=
    [ "$status" -eq 0 ] && ! grep -q 'kernels *avx' out || why="status $status: $(head -n 1 err)"
    DDOME_ISA=avx2
    export DDOME_ISA
    older selftest
    unset DDOME_ISA
    [ "$status" -eq 2 ] && grep -q '^ddome: kernels avx2: expected c or ' err || why="$why; avx2: status $status"
    verdict "a processor without AVX2 or FMA: $lacking" "$why"
done

# ---- files that must not grow beyond a limit: SPEC 18.1, 18.2.3 ----

# limited ARGS...: files of at most 200 blocks, of 512 or of 1024 bytes; a checkpoint has more.
limited() {
    (ulimit -f 200 && exec "$program" "$@") > out 2> err
    status=$?
}
if (ulimit -f 200) 2> err; then
    limited train $tiny hidden=256 --out limited --quiet
    refusal "a file beyond the limit" 5 limited/ckpt/00000000.safetensors.tmp limited
    limited train $tiny hidden=256 --out limited --force --quiet --json
    why=
    [ "$status" -eq 5 ] && [ "$(wc -l < out)" -eq 1 ] || why="status $status"
    grep -q '^{"success": false, "status": 5, "error": "cannot write .*}$' out || why="$why; not so: $(head -c 200 out)"
    verdict "--json: a file beyond the limit" "$why"
else
    skip "a file beyond the limit" "this shell sets none: $(head -n 1 err)"
fi

# ---- links and pipes: SPEC 17.3.5 ----

# elsewhere FILE: the run whole without its end as the folder odd, and beside it a victim, a copy of FILE.
elsewhere() {
    rm -rf odd
    cp -r whole odd
    rm odd/SHA256SUMS
    cp "$1" victim
    cp victim theirs
}

# ends NAME: the last call made of the folder odd a whole run, and touched nothing beside it.
ends() {
    why=
    [ "$status" -eq 0 ] && cmp -s odd/SHA256SUMS whole/SHA256SUMS || why="status $status: $(head -n 1 err)"
    [ -z "$(find odd -name '*.tmp')" ] || why="$why; left: $(find odd -name '*.tmp')"
    cmp -s victim theirs || why="$why; a file beside it was written"
    verdict "$1" "$why"
}

# stays NAME: the victim is what it was.
stays() {
    verdict "$1" "$(cmp victim theirs 2>&1)"
}

# patient ARGS...: as call; a program that still waits after half a minute is ended.
patient() {
    "$program" "$@" > out 2> err &
    pid=$!
    turns=0
    while kill -0 $pid 2> /dev/null && [ $turns -lt 1500 ]; do
        sleep 0.02
        turns=$((turns + 1))
    done
    kill -KILL $pid 2> /dev/null
    wait $pid 2> /dev/null
    status=$?
}

if ln -s nowhere dangling 2> err; then
    mkdir looped
    ln -s SHA256SUMS looped/SHA256SUMS
    fails "a folder's name leads nowhere" 5 dangling train $tiny --out dangling --quiet
    fails "what cannot be looked at may be a run" 2 "looped holds a run" train $tiny --out looped --quiet

    elsewhere whole/config.toml
    for place in probe.tmp config.toml SHA256SUMS ckpt/DONE ckpt/00000009.safetensors final/gate.safetensors; do
        ln -s "$work/victim" "odd/$place.tmp"
        ln -sf "$work/victim" "odd/$place"
    done
    call train $tiny --out odd --force --quiet
    ends "links in the place of temporary files, and of whole ones, are replaced"

    found="expected a file, found a symbolic link; remove it"
    elsewhere whole/config.toml
    ln -s ../victim odd/lock
    fails "a link in the place of the lock" 5 "odd/lock: $found" resume odd --quiet
    stays "what the link of a lock names stays"
    elsewhere whole/metrics.csv
    ln -sf ../victim odd/metrics.csv
    fails "a link in the place of a table, gone on with" 5 "odd/metrics.csv: $found" resume odd --quiet
    for table in metrics.csv drift.csv; do
        cp whole/SHA256SUMS whole/$table odd
        ln -sf ../victim odd/$table
        fails "a link in the place of $table of a finished run" 5 "odd/$table: $found" resume odd --quiet
        verdict "it is finished still" "$(cmp odd/SHA256SUMS whole/SHA256SUMS 2>&1)"
        rm odd/$table
        cp whole/$table odd
    done
    elsewhere whole/config.toml
    ln -sf ../victim odd/metrics.csv
    fails "a link in the place of a table, made anew" 5 "odd/metrics.csv: $found" train $tiny --out odd --force --quiet
    stays "what the link of a new table names stays"
    rm -rf odd
    mkdir odd
    ln -s ../nothing odd/metrics.csv
    fails "a link to nothing in the place of a table" 5 "odd/metrics.csv: $found" train $tiny --out odd --quiet
    verdict "what the link would make is not made" "$([ ! -e nothing ] || echo 'it is there')"

    rm -rf odd far
    mkdir far
    ln -s far odd
    call train $tiny --out odd --quiet
    ends "a folder that a link names"
    rm odd/SHA256SUMS odd
    ln -s . near
    mv far odd
    call resume near/odd --quiet
    ends "a folder below a link"
else
    skip "links in the place of files" "no symbolic links here"
fi

rm -rf odd
if mkdir odd && mkfifo odd/metrics.csv 2> err; then
    found="expected a file, found a folder, a pipe or a device; remove it"
    patient train $tiny --out odd --force --quiet
    refusal "a pipe in the place of a table" 5 "odd/metrics.csv: $found" odd
    elsewhere whole/config.toml
    mkfifo odd/lock
    patient resume odd --quiet
    refusal "a pipe in the place of the lock" 5 "odd/lock: $found" odd
    elsewhere whole/config.toml
    rm -f odd/lock odd/metrics.csv
    mkfifo odd/metrics.csv
    patient resume odd --quiet
    refusal "a pipe in the place of a table, gone on with" 5 "odd/metrics.csv: $found" odd
    elsewhere whole/config.toml
    mkfifo odd/probe.tmp.tmp odd/ckpt/00000009.safetensors.tmp
    patient resume odd --quiet
    ends "pipes in the place of temporary files are replaced"
    mkfifo special
    patient probe write special
    refusal "a pipe in the place of a file that is written" 5 "special: $found" odd/none
    patient train $tiny --out traced --trace special --quiet
    refusal "a pipe in the place of a trace" 5 "special: $found" traced
    verdict "it is a pipe still" "$([ -p special ] || echo 'it was replaced')"
else
    skip "pipes in the place of files" "no pipes here"
fi

totals
