# SPDX-License-Identifier: MIT
# What the scripts of command line tests share: `begin`, the cases, the totals. Sourced, not run.
# shellcheck shell=sh

# begin AREA PROGRAM SCRATCH_DIR: an empty folder to work in; program, root, work.
begin() {
    area=$1
    program=${2:-./ddome}
    case $program in
    /*) ;;
    *) program=$PWD/$program ;;
    esac
    root=$PWD
    work=${3:-build/test-scratch}/$area
    passed=0
    failed=0
    skipped=0
    unset DDOME_DATA DDOME_ISA
    rm -rf "$work"
    mkdir -p "$work"
    cd "$work" || exit 1
    work=$PWD
}

# totals: the last line; the status of the script.
totals() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}

ok() {
    passed=$((passed + 1))
    echo "ok $area $1"
}

bad() {
    failed=$((failed + 1))
    echo "FAIL $area $1"
    echo "  $2"
}

skip() {
    skipped=$((skipped + 1))
    echo "skipped $area $1: $2"
}

# verdict NAME WHY: ok when WHY is empty.
verdict() {
    if [ -z "$2" ]; then ok "$1"; else bad "$1" "$2"; fi
}

# call ARGS...: runs the program; status, out, err.
call() {
    "$program" "$@" > out 2> err
    status=$?
}

# refusal NAME STATUS PART FOLDER: the last call ended with that status, one line on standard error that
# holds PART, nothing on standard output, and no finished run in FOLDER. SPEC 18.2.1, 18.2.2.
refusal() {
    why=
    [ "$status" -eq "$2" ] || why="status $status, want $2: $(head -n 1 err)"
    [ "$(grep -c '^ddome: ' err)" -eq 1 ] || why="$why; no line 'ddome: ...' or several"
    [ "$(wc -l < err)" -eq 1 ] || why="$why; more than one line on standard error"
    grep -q -F -e "$3" err || why="$why; the line lacks '$3': $(head -n 1 err)"
    [ ! -s out ] || why="$why; something on standard output"
    [ ! -e "$4/SHA256SUMS" ] || why="$why; $4/SHA256SUMS was written"
    verdict "$1" "$why"
}

# fails NAME STATUS PART ARGS...: a call fails so, without a finished run in the folder called run.
fails() {
    name=$1
    want=$2
    part=$3
    shift 3
    call "$@"
    refusal "$name" "$want" "$part" run
}

# with VARIABLES ARGS: the program with the library calls.so before it; status, out, err.
with() {
    env LD_PRELOAD="$work/calls.so" $1 "$program" $2 > out 2> err
    status=$?
}

# zeros COUNT: so many zero bytes.
zeros() {
    dd if=/dev/zero bs="$1" count=1 2> /dev/null
}

tiny="arch=mlp hidden=8 gate_hidden=8 synth_train=400 synth_test=200 synth_size=8 synth_domains=2
synth_shapes=3 clients=6 experts=2 top_k=1 labels_per_client=2 unseen_clients=2 holdout_clients=1
active_anchors=2 active_normal=2 rounds=2 batch=16 pretrain_epochs=1 eval_every=1"

# need_folders: the stand-in for the operating system (make OS=c99) cannot make the folder of a run.
need_folders() {
    call train $tiny --out probe --quiet
    if grep -q 'plain C99 cannot make' err; then
        skip "all of it" "plain C99 cannot make a folder"
        totals
        exit 0
    fi
}

folder=cifar/cifar-10-batches-bin

# whole_batches: 2 records of zeros in each file, label 0.
whole_batches() {
    rm -rf cifar
    mkdir -p "$folder"
    for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
        zeros 6146 > "$folder/$file.bin"
    done
}

# json NAME STATUS EXPRESSION ARGS...: one JSON object d on standard output for which it holds. SPEC 18.2.3.
json() {
    name=$1
    want=$2
    expression=$3
    shift 3
    call "$@"
    why=
    [ "$status" -eq "$want" ] || why="status $status: $(cat err)"
    python3 -c "import json, sys
d = json.loads(sys.stdin.read())
sys.exit(0 if $expression else 1)" < out 2> err ||
        why="$why; not so: $(head -c 200 out) $(tail -n 1 err)"
    verdict "--json: $name" "$why"
}
