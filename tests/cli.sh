#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests of the command line: tests/cli.sh PROGRAM SCRATCH_DIR. One line a case, totals at the end.
# Every exit code that can be had cheaply (SPEC 18.1), one-line messages, streams (SPEC 18.2), repeatability, linking.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli "$@"
need_folders

# ---- usage: status 2 ----
# SPEC 18.3.1: words, options, the nearest name. SPEC 18.3.4: --threads. SPEC 18.4.1: DDOME_ISA.

fails "no command" 2 "expected a command"
fails "unknown command names the nearest" 2 "the nearest is train" trian
fails "unknown second word" 2 "the nearest is partition write" partition wirte
fails "missing second word" 2 "expected a second word" data
fails "unknown option names the nearest" 2 "the nearest is --quiet" train --quite --out run
fails "unknown short option" 2 "unknown option -x" train -x --out run
fails "option of another command" 2 "takes no --force" config --force
fails "option without its value" 2 "--out needs a value" train --out
fails "flag with a value" 2 "--force takes no value" train --force=1 --out run
fails "missing --out" 2 "needs --out DIR" train
fails "too few arguments" 2 "usage: ddome report" report
fails "too many arguments" 2 "usage: ddome selftest" selftest x
fails "seed list with an empty item" 2 "--seeds: expected numbers" train --seeds 1,,2 --out run
fails "seed list with a word" 2 "seed: expected a whole number" train --seeds 1,x --out run
fails "no thread" 2 "threads: expected a whole number 1..256, found 0" train --threads 0 --out run
fails "too many threads" 2 "1..256, found 257" train --threads 257 --out run
fails "threads that are no number" 2 "--threads: expected a whole number 1..256, found 2x" \
    pretrain --threads 2x --out run
fails "a number of threads beyond any" 2 "found 99999999999" train --threads=99999999999 --out run
DDOME_ISA=altivec
export DDOME_ISA
fails "kernels nobody has" 2 "kernels altivec: expected c or a set that this build and this processor have" \
    train $tiny --out run
unset DDOME_ISA
fails "threads where nothing runs" 2 "takes no --threads" config --threads 2
fails "a trace by two threads" 2 "a trace is written by one thread: expected 1, found 2" \
    train $tiny --trace t.jsonl --threads 2 --out run
fails "a trace of several seeds" 2 "expected one run, found --seeds 1,2" \
    train $tiny --seeds 1,2 --trace t.jsonl --out run
fails "tensors of no trace" 2 "expected --trace FILE" train $tiny --trace-tensors '*' --out run
fails "rounds of no trace" 2 "expected --trace FILE" train $tiny --trace-rounds 0-1 --out run
fails "a trace of what is not trained" 2 "takes no --trace" config --trace t.jsonl
for rounds in 3 2-1 x-2 1- -1 1-2x 1,2 99999999999-99999999999; do
    fails "traced rounds $rounds" 2 "--trace-rounds: expected A-B" \
        train $tiny --trace t.jsonl "--trace-rounds=$rounds" --out run
done
fails "traced rounds behind the last" 2 "a trace of rounds 4 to 9: expected a first round of at most 3" \
    train $tiny rounds=3 --trace t.jsonl --trace-rounds 4-9 --out run
fails "seed twice" 2 "found 1 twice" train --seeds 1,2,1 --out run

# ---- configuration: status 2 ----

fails "unknown key names the nearest" 2 "the nearest is rounds" train rouns=3 --out run
fails "missing configuration file" 2 "cannot open missing.toml" train missing.toml --out run
fails "K above M" 2 "top_k = 3: expected at most experts = 2" train $tiny top_k=3 --out run
fails "plan of an unknown key" 2 "the nearest is rounds" plan $tiny rouns=3
fails "plan with K above M" 2 "top_k = 3: expected at most experts = 2" plan $tiny top_k=3
fails "value out of range" 2 "batch: expected a whole number 1..65536" train $tiny batch=0 --out run
fails "--algo that is none" 2 "expected ddome, fedavg" train --algo fedprocks --out run
fails "scaffold with an explicit momentum" 2 "expected 0 with algo = scaffold" \
    train $tiny momentum=0.9 --algo scaffold --out run
printf 'seed = 1\nrouns = 3\n' > bad.toml
fails "file and line of a bad key" 2 "bad.toml:2: unknown key \"rouns\"; the nearest is rounds" \
    config bad.toml
fails "no help on an unknown word" 2 "no help on" help trian
fails "--seeds of a refused configuration" 2 "top_k = 3: expected at most experts = 2" \
    train $tiny top_k=3 --seeds 1,2 --out run
fails "--seeds of an unknown key" 2 "the nearest is rounds" train rouns=3 --seeds 1,2 --out run
why=
[ ! -e run ] || why="the folder run was made"
verdict "nothing is made by a refused call" "$why"

# ---- data: status 3 ----

cifar="data=cifar10 arch=mlp hidden=8 data_dir=cifar"
fails "no data folder named" 3 "DDOME_DATA" train $tiny data=cifar10 --out run
fails "plan without data" 3 "is missing" plan $cifar data_dir=nowhere
fails "missing data folder" 3 "is missing" train $cifar data_dir=nowhere --out run
fails "data check of an empty folder" 3 "holds no data set" data check .

whole_batches
call data check cifar
why=
[ "$status" -eq 0 ] && grep -q '^ok cifar10$' out || why="status $status: $(cat out err)"
verdict "data check of whole files" "$why"
call data info cifar
why=
[ "$status" -eq 0 ] && grep -q 'train: 10 records' out || why="status $status: $(cat out err)"
verdict "data info counts records" "$why"
# SPEC 16.1.1: DDOME_DATA over the default, words over DDOME_DATA; further below words over files.
DDOME_DATA=cifar "$program" config > out 2> err
why=
grep -q '^data_dir = "cifar"$' out || why="$(grep data_dir out)"
verdict "DDOME_DATA is the default of data_dir" "$why"
DDOME_DATA=cifar "$program" config data_dir=other > out 2> err
why=
grep -q '^data_dir = "other"$' out || why="$(grep data_dir out)"
verdict "the key data_dir wins over DDOME_DATA" "$why"

rm "$folder/data_batch_3.bin"
fails "missing data file" 3 "data_batch_3.bin is missing" train $cifar --out run
fails "data check names a missing file" 3 "data_batch_3.bin is missing" data check cifar
whole_batches
zeros 3073 > "$folder/data_batch_2.bin"
printf 'cut' >> "$folder/data_batch_2.bin"
fails "size that is no multiple" 3 "data_batch_2.bin" train $cifar --out run
zeros 3000 > "$folder/data_batch_2.bin"
fails "truncated batch" 3 "the record is cut" train $cifar --out run
fails "data check of a truncated batch" 3 "the record is cut" data check cifar
whole_batches
{
    printf '\012'
    zeros 3072
} > "$folder/data_batch_5.bin"
fails "label 10 in CIFAR-10" 3 "expected a label 0..9, found 10" train $cifar --out run
fails "data check of label 10" 3 "data_batch_5.bin offset 0" data check cifar

# ---- input and output: status 5 ----
# SPEC 17.3.4: the folder of a run. SPEC 18.2.1: standard output.

echo x > file
fails "unwritable output folder" 5 "file/run" train $tiny --out file/run
fails "parent of the output folder is missing" 5 "no/run" train $tiny --out no/run
fails "unwritable trace" 5 "file/t.jsonl" train $tiny --trace file/t.jsonl --out run
fails "missing folder of a trace" 5 "no/t.jsonl" train $tiny --trace no/t.jsonl --out run
rm -rf run
fails "unwritable partition file" 5 "file/p.csv" partition write $tiny --out file/p.csv
if [ -c /dev/full ]; then
    "$program" version > /dev/full 2> err
    status=$?
    why=
    [ "$status" -eq 5 ] || why="status $status"
    verdict "standard output that is full" "$why"
else
    skip "standard output that is full" "there is no /dev/full"
fi

# ---- a run ----
# SPEC 18.2.2: progress on standard error alone.

call train $tiny --out run
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
grep -q '^root hash  [0-9a-f]*$' out || why="$why; no root hash on standard output"
grep -q 'round 2/2' err || why="$why; no line a round on standard error"
grep -q -E '(round|evaluation|epoch|embedding) [0-9]+/' out && why="$why; progress on standard output"
grep -q "$(printf '\033')" err && why="$why; terminal codes in a file"
verdict "train writes results and progress apart" "$why"

# SPEC 17.3.1, 17.3.2.
if command -v sha256sum > /dev/null 2>&1; then
    why=$( (cd run && sha256sum -c SHA256SUMS) 2>&1)
    status=$?
    checked=$(echo "$why" | grep -c ': OK$')
    why=$(echo "$why" | grep -v ': OK$')
    [ "$status" -eq 0 ] || why="$why; status $status"
    [ "$checked" -eq "$(wc -l < run/SHA256SUMS)" ] && [ "$checked" -gt 0 ] ||
        why="$why; $checked files are as they should be"
    verdict "sha256sum -c takes SHA256SUMS" "$why"
    hash=$(sha256sum < run/SHA256SUMS | cut -d ' ' -f 1)
    why=
    grep -q "^root hash  $hash\$" out || why="sha256sum gives $hash"
    verdict "the root hash is that of SHA256SUMS" "$why"
else
    skip "sha256sum -c takes SHA256SUMS" "no sha256sum here"
    skip "the root hash is that of SHA256SUMS" "no sha256sum here"
fi
# SPEC 17.1.1: what is hashed. SPEC 17.5: what is not.
why=
for name in config.toml manifest.json partition.csv metrics.csv clients.csv experts.csv comm.csv \
    rounds.jsonl final/gate.safetensors final/expert_0.safetensors final/expert_1.safetensors; do
    grep -q "  $name\$" run/SHA256SUMS || why="$why $name is not hashed;"
done
for name in timing.csv host.json SHA256SUMS; do
    ! grep -q "  $name\$" run/SHA256SUMS || why="$why $name is hashed;"
done
LC_ALL=C sort -k 2 run/SHA256SUMS | cmp -s - run/SHA256SUMS || why="$why not sorted by name"
verdict "what SHA256SUMS holds" "$why"

# SPEC 17.3.3.
call train $tiny --out run
why=
[ "$status" -eq 2 ] && grep -q 'holds a run already' err || why="status $status: $(cat err)"
verdict "a folder that holds a run is refused" "$why"
cp run/SHA256SUMS before
call train $tiny --out run --force --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
[ ! -s err ] || why="$why; --quiet is not silent"
cmp -s before run/SHA256SUMS || why="$why; other hashes"
verdict "--force replaces it by the same bytes, --quiet is silent" "$why"
# SPEC 16.1.6.
call train run/config.toml --out again --quiet
why=
[ "$status" -eq 0 ] && cmp -s before again/SHA256SUMS || why="status $status: $(cat err)"
verdict "a run's own config.toml repeats it" "$why"
call train $tiny --seed=2 --out other --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
! cmp -s before other/SHA256SUMS || why="$why; the same hashes"
verdict "another seed gives another run" "$why"
# SPEC 16.1.1.
printf 'rounds = 1\nseed = 5\n' > one.toml
call config seed=7 one.toml
why=
grep -q '^rounds = 1$' out && grep -q '^seed = 7$' out || why="$(cat out err | head -n 3)"
verdict "command line over file over default" "$why"
call train $tiny --seeds 1,2 --out seeds --quiet
why=
[ "$status" -eq 0 ] && cmp -s before seeds/seed-1/SHA256SUMS || why="status $status: $(cat err)"
cmp -s other/SHA256SUMS seeds/seed-2/SHA256SUMS || why="$why; seed 2 differs"
grep -q '^2 seeds    mean 0\.[0-9]*, standard deviation 0\.[0-9]*$' out ||
    why="$why; $(tail -n 1 out)"
verdict "--seeds runs all and gives mean and deviation" "$why"
call train $tiny --seeds 3,2 --out seeds --quiet
verdict "the seed that fails is named" "$(
    [ "$status" -eq 2 ] && grep -q '^ddome: seed 2: seeds/seed-2 holds a run already' err || echo "status $status: $(cat err)"
)"
for algo in fedavg common; do
    call train $tiny --algo $algo --out $algo --quiet
    why=
    [ "$status" -eq 0 ] && grep -q "\"algo\": \"$algo\"" $algo/manifest.json ||
        why="status $status: $(cat err)"
    verdict "train --algo $algo" "$why"
done
for algo in fedprox scaffold ensemble fedmix local ifca head; do
    call train "$root/tools/presets/baselines.toml" rounds=2 --algo $algo --out $algo --quiet
    why=
    [ "$status" -eq 0 ] && grep -q "\"algo\": \"$algo\"" $algo/manifest.json ||
        why="status $status: $(cat err)"
    verdict "train tools/presets/baselines.toml --algo $algo" "$why"
done
call train $tiny arith=fma --out fused --quiet
why=
[ "$status" -eq 0 ] && grep -q '"arith": "fma"' fused/manifest.json ||
    why="status $status: $(cat err)"
grep -q '^arith = "fma"$' fused/config.toml || why="$why; not in config.toml"
grep -q '"arith": "ma"' run/manifest.json || why="$why; the default is not ma"
verdict "train in the profile fma says so" "$why"
# SPEC 12.4.
why=
cmp -s run/partition.csv fedavg/partition.csv || why="other bytes"
verdict "every algorithm has the same partition" "$why"

# ---- traces ----

call train $tiny --trace t.jsonl --out traced --quiet
why=
[ "$status" -eq 0 ] && cmp -s before traced/SHA256SUMS || why="status $status: $(cat err)"
head -n 1 t.jsonl | grep -q '^{"trace":"ddome-trace-1","specification":1,"arith":"ma"}$' ||
    why="$why; $(head -n 1 t.jsonl)"
[ "$(grep -c '^{"key":"r[0-2]/.*}$' t.jsonl)" -eq $(($(wc -l < t.jsonl) - 1)) ] ||
    why="$why; a line that is no event"
[ ! -e t.jsonl.safetensors ] || why="$why; tensors that nobody wanted"
verdict "--trace moves no bit of the run" "$why"
echo old > one.jsonl.safetensors
call train $tiny --trace one.jsonl --out traced --force --quiet
why=
[ "$status" -eq 0 ] && cmp -s t.jsonl one.jsonl || why="status $status: $(cat err)"
[ ! -e one.jsonl.safetensors ] || why="$why; tensors of an older trace"
verdict "the same trace again, without old tensors" "$why"
call train $tiny --trace one.jsonl --trace-rounds 1-1 --trace-tensors 'nothing,*/dw' --out traced \
    --force --quiet
why=
[ "$status" -eq 0 ] && cmp -s before traced/SHA256SUMS || why="status $status: $(cat err)"
[ "$(grep -c '^{"key":"r1/' one.jsonl)" -eq $(($(wc -l < one.jsonl) - 1)) ] ||
    why="$why; other rounds than 1"
grep '^{"key":"r1/' t.jsonl > part
tail -n +2 one.jsonl | cmp -s part - || why="$why; other lines than those of the whole trace"
[ -s one.jsonl.safetensors ] || why="$why; no tensors"
verdict "--trace-rounds leaves out all others" "$why"
call train $tiny --trace t.jsonl --trace-tensors 'nothing' --out traced --force --quiet
why=
[ "$status" -eq 0 ] && [ -s t.jsonl.safetensors ] || why="status $status: $(cat err)"
verdict "a pattern that nothing fits" "$why"
rm -rf traced t.jsonl* one.jsonl* part

# ---- kernels: SPEC 18.4.1 ----

# same_kernels NAME RUN ARGS...: RUN/SHA256SUMS with every kernel table; one that the build or the processor lacks is
# refused, and the portable one is never lacking.
same_kernels() {
    name=$1
    like=$2
    shift 2
    for isa in c sse2 avx2 avx512 neon; do
        why=
        DDOME_ISA=$isa
        export DDOME_ISA
        call "$@" --out kernels --force --quiet
        unset DDOME_ISA
        if [ "$status" -eq 2 ] && [ $isa != c ] && grep -q "kernels $isa: expected c or" err; then
            [ ! -e kernels ] || why="the folder was made"
            verdict "$name: $isa is refused here" "$why"
        else
            [ "$status" -eq 0 ] && cmp -s "$like/SHA256SUMS" kernels/SHA256SUMS || why="status $status: $(cat err)"
            grep -q "\"kernels\": \"$isa\"" kernels/host.json || why="$why; not in host.json"
            verdict "$name: $isa" "$why"
        fi
        rm -rf kernels
    done
}

same_kernels "the same hashes from all kernels" run train $tiny
same_kernels "the same hashes from all kernels, profile fma" fused train $tiny arith=fma
why=
cmp -s run/rounds.jsonl fused/rounds.jsonl && why="the same bits"
verdict "the profile fma has other bits" "$why"

# ---- threads: SPEC 11.6, 18.3.4 ----

# same_threads NAME RUN ARGS...: RUN/SHA256SUMS with 1, 2, 3 and 7 threads.
same_threads() {
    name=$1
    like=$2
    shift 2
    why=
    for threads in 1 2 3 7; do
        call "$@" --threads $threads --out threads --force --quiet
        [ "$status" -eq 0 ] && cmp -s "$like/SHA256SUMS" threads/SHA256SUMS ||
            why="$why; $threads threads: status $status, other hashes? $(cat err)"
        grep -q "\"threads\": $threads," threads/host.json || why="$why; not in host.json"
    done
    verdict "$name" "$why"
}

# same_failure NAME WORDS...: one line and status 7, whoever comes first.
same_failure() {
    name=$1
    shift
    call train "$@" --threads 1 --out failed --force --quiet
    first=$status
    mv err first
    why=
    [ "$first" -eq 7 ] && grep -q 'is not finite' first || why="status $first: $(cat first)"
    for threads in 3 7 3 7; do
        call train "$@" --threads $threads --out failed --force --quiet
        [ "$status" -eq "$first" ] && cmp -s err first ||
            why="$why; $threads threads: status $status: $(cat err)"
    done
    verdict "$name" "$why"
}

call train $tiny --threads 2 --out threads --quiet
if [ "$status" -eq 2 ] && grep -q 'this build has no threads' err; then
    why=
    [ ! -e threads ] || why="the folder was made"
    call train $tiny --threads 1 --out threads --quiet
    [ "$status" -eq 0 ] && cmp -s before threads/SHA256SUMS || why="$why; status $status: $(cat err)"
    verdict "a build without threads takes one and refuses two" "$why"
    skip "the same hashes for any number of threads" "this build has no threads"
else
    same_threads "the same hashes for any number of threads" run train $tiny
    same_threads "the same hashes for any number of threads: fedavg" fedavg train $tiny --algo fedavg
    one="active_anchors=0 active_normal=1 eval_scope=global"
    call train $tiny $one --out alone --quiet
    same_threads "the same hashes for any number of threads: one client" alone train $tiny $one
    rm -rf alone
    call pretrain $tiny --out common_run --quiet
    same_threads "the same hashes for any number of threads: pretrain" common_run pretrain $tiny
    rm -rf common_run
    call eval run --quiet
    mv out want
    why=
    for threads in 2 3 7; do
        call eval run --threads $threads --quiet
        [ "$status" -eq 0 ] && cmp -s out want || why="$why; $threads threads: $(cat err)"
    done
    verdict "eval prints the same for any number of threads" "$why"
    same_failure "a failing client is told the same for any number of threads" \
        $tiny lr=1000 momentum=0.9 epochs=4 rounds=8
    same_failure "the same for fedavg" \
        $tiny lr=1000 momentum=0.9 epochs=4 rounds=8 --algo fedavg
    # Stacks beyond the limit; where the limit alone stops a run (sanitizers), nothing is learnt.
    if (ulimit -v 600000 && "$program" train $tiny --out limit --force --quiet) > out 2> err; then
        (ulimit -v 600000 && "$program" train $tiny --threads 256 --out limited --quiet) > out 2> err
        status=$?
        why=
        [ "$status" -eq 1 ] && grep -q 'cannot start 256 threads: thread' err ||
            why="status $status: $(cat err)"
        [ "$(wc -l < err)" -eq 1 ] && [ ! -e limited ] || why="$why; more than one line, or a folder"
        if [ "$status" -eq 0 ]; then
            skip "threads that cannot be started" "small stacks here"
        else
            verdict "threads that cannot be started" "$why"
        fi
    else
        skip "threads that cannot be started" "no limit on memory here"
    fi
fi

# ---- plan ----

# planned NAME: the value of a line of the plan in `plan`.
planned() {
    sed -n "s/^$1: //p" plan
}

# plans NAME ARGS...: exit 0, nothing on standard error, these lines, none twice; leaves `plan`.
plans() {
    name=$1
    shift
    call plan "$@"
    mv out plan
    why=
    [ "$status" -eq 0 ] && [ ! -s err ] || why="status $status: $(cat err)"
    for line in 'algorithm' 'expert parameters' 'gate message bytes' 'round 1 bytes down' \
        'run round trips' 'run multiply-adds' 'memory bytes of the run, rough' \
        'milliseconds of all rounds, rough'; do
        [ -n "$(planned "$line")" ] || why="$why; no line '$line'"
    done
    [ -z "$(sed 's/:.*//' plan | sort | uniq -d)" ] || why="$why; a line twice"
    verdict "$name" "$why"
}

# as_planned NAME RUN: the first round in RUN/comm.csv and the sums of its last line are the plan's.
as_planned() {
    first=$(planned 'round 1 round trips'),$(planned 'round 1 bytes down'),$(planned 'round 1 bytes up')
    sums=$(planned 'run bytes down'),$(planned 'run bytes up')
    why=
    [ "$(grep '^1,' "$2/comm.csv" | cut -d , -f 3-5)" = "$first" ] ||
        why="round 1: $(grep '^1,' "$2/comm.csv"), planned $first"
    [ "$(tail -n 1 "$2/comm.csv" | cut -d , -f 6-7)" = "$sums" ] ||
        why="$why; the run: $(tail -n 1 "$2/comm.csv"), planned $sums"
    verdict "$1" "$why"
}

plans "plan of the demo" "$root/tools/presets/demo.toml"
plans "plan of a ResNet" $tiny arch=resnet34 width=2
[ "$(planned architecture)" = resnet34 ] && [ "$(planned 'expert statistics')" -gt 0 ]
verdict "plan of a ResNet counts its statistics" "$([ $? -eq 0 ] || cat plan)"
plans "plan of a tiny run" $tiny
as_planned "the bytes of a plan are those of the run" run
plans "plan of fedavg" $tiny --algo fedavg
as_planned "the bytes of a plan are those of the run: fedavg" fedavg
plans "plan of the common expert alone" $tiny --algo common
why=
[ "$(planned 'rounds'),$(planned 'run bytes down')" = 0,0 ] || why=$(cat plan)
verdict "plan of the common expert alone moves nothing" "$why"

# ---- the other commands ----

# SPEC 8.8.
call partition write $tiny
why=
[ "$status" -eq 0 ] && cmp -s out run/partition.csv || why="status $status: $(cat err)"
verdict "partition write gives partition.csv" "$why"
call partition write $tiny --out p.csv
why=
[ "$status" -eq 0 ] && cmp -s p.csv run/partition.csv && [ ! -s out ] ||
    why="status $status: $(cat err)"
verdict "partition write --out" "$why"
call train $tiny partition=file partition_file=p.csv --out from_file --quiet
why=
[ "$status" -eq 0 ] && cmp -s p.csv from_file/partition.csv || why="status $status: $(cat err)"
grep -q '^partition_file = "sha256:[0-9a-f]*"$' from_file/config.toml || why="$why; no hash"
cmp -s run/rounds.jsonl from_file/rounds.jsonl || why="$why; other rounds"
verdict "a partition that is read back trains the same" "$why"
call partition describe $tiny
why=
[ "$status" -eq 0 ] && grep -q '^anchor  *2 clients' out || why="status $status: $(cat out err)"
verdict "partition describe" "$why"
# SPEC 9.4.
call pretrain $tiny --out common_run --quiet
why=
[ "$status" -eq 0 ] && [ -s common_run/common.safetensors ] || why="status $status: $(cat err)"
verdict "pretrain" "$why"
call train $tiny common=common_run/common.safetensors --out loaded --quiet
why=
[ "$status" -eq 0 ] && cmp -s run/rounds.jsonl loaded/rounds.jsonl ||
    why="status $status: $(cat err)"
verdict "a common expert that is loaded trains the same" "$why"

# pathless RUN WORD...: none of the words in any file that RUN/SHA256SUMS names, and these are there.
pathless() {
    run=$1
    shift
    files=$(cut -c 67- "$run/SHA256SUMS")
    for file in $files; do
        [ -s "$run/$file" ] || why="$why; $run/$file is missing or empty"
        for word in "$@"; do
            ! grep -q -a -F -e "$word" "$run/$file" || why="$why; $word in $run/$file"
        done
    done
    [ "$(echo "$files" | wc -l)" -gt 8 ] || why="$why; $run has only $files"
}

# SPEC 17.1.1: paths that no hashed file holds for another reason, and absolute ones.
mkdir secret_place
cp common_run/common.safetensors common_run/manifest.json secret_place
cp p.csv secret_place/borders.csv
call train $tiny common="$PWD/secret_place/common.safetensors" partition=file \
    partition_file=secret_place/borders.csv --out pathless_run --quiet
why=
[ "$status" -eq 0 ] && cmp -s run/rounds.jsonl pathless_run/rounds.jsonl ||
    why="status $status: $(cat err)"
pathless pathless_run "$PWD" "$root" secret_place borders.csv common_run pathless_run
pathless run "$PWD" "$root"
pathless loaded "$PWD" "$root" common_run
pathless from_file "$PWD" "$root" p.csv
verdict "no path in hashed files, even of runs that were given some" "$why"
# SPEC 18.3.2.
call eval run --quiet
tail -n +2 run/clients.csv | grep '^2,' > last
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
grep '^2,' out | cmp -s - last || why="$why; not the lines of clients.csv"
[ ! -s err ] || why="$why; --quiet is not silent"
verdict "eval repeats the last evaluation" "$why"
call eval fused --quiet
tail -n +2 fused/clients.csv | grep '^2,' > last
why=
[ "$status" -eq 0 ] && grep '^2,' out | cmp -s - last || why="status $status: $(cat err)"
verdict "eval keeps the profile of its run" "$why"
call eval from_file eval_scope=global --quiet
why=
[ "$status" -eq 0 ] && grep -q '(1 clients)$' out || why="status $status: $(cat err)"
verdict "eval in another scope" "$why"
call report run fedavg common
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
grep -q '^  expert 1 serves' out || why="$why; no expert table"
grep -q '^fedavg ' out || why="$why; no line of fedavg"
[ "$(tail -n 1 out | cut -d ' ' -f 3-)" = "root hash of all" ] || why="$why; no root hash of all"
verdict "report of three runs" "$why"
# SPEC 17.3.2.
if command -v sha256sum > /dev/null 2>&1; then
    hash=$(for run in run fedavg common; do
        sha256sum < $run/SHA256SUMS | cut -d ' ' -f 1
    done | sha256sum | cut -d ' ' -f 1)
    why=
    grep -q "^$hash  root hash of all\$" out || why="sha256sum gives $hash"
    verdict "the root hash of all runs" "$why"
else
    skip "the root hash of all runs" "no sha256sum here"
fi
mkdir cut
cp run/manifest.json run/SHA256SUMS run/metrics.csv cut
echo 'round,expert,label,routed,correct' > cut/experts.csv
echo '1,0,x,1,1' >> cut/experts.csv
mv run run.kept
fails "eval of no run" 3 "no/" eval no
fails "eval takes one run" 2 "found other" eval other other
call pretrain $tiny seed=2 --out common_other --quiet
fails "a common expert of other samples" 2 "pretrained on other samples" \
    train $tiny common=common_other/common.safetensors --out refused
fails "--seeds with one seed's common expert" 2 "a common expert belongs to one seed" \
    train $tiny --seeds 2,3 common=common_other/common.safetensors --out refused
fails "pretrain with a common expert" 2 "expected no key common" \
    pretrain $tiny common=common_other/common.safetensors --out refused
fails "a common expert of another architecture" 3 "another architecture" \
    train $tiny seed=2 arch=resnet34 width=1 common=common_other/common.safetensors --out refused
[ ! -e refused ] || mkdir refused.left
verdict "a refused common expert leaves no folder" "$([ ! -e refused.left ] || echo refused was made)"
# SPEC 18.3.2.
fails "eval on other data" 4 "the data are not those of" eval other synth_noise=25
fails "eval in another profile" 4 "arith = fma is not the profile of" eval other arith=fma
fails "report of a damaged table" 3 "cut/experts.csv: expected" report cut
fails "report of no run" 3 "manifest.json" report nowhere
mv run.kept run

# ---- help and JSON ----
# SPEC 18.3: every command has its help.

for command in train pretrain eval partition data config plan report selftest version help \
    "partition write" "partition describe" "data check" "data info"; do
    call $command --help
    why=
    [ "$status" -eq 0 ] && grep -q "^usage: ddome $command" out && [ ! -s err ] ||
        why="status $status: $(cat err)"
    verdict "$command --help" "$why"
done
for word in --help -h --version version help "help train" "help keys" selftest; do
    call $word
    why=
    [ "$status" -eq 0 ] && [ -s out ] && [ ! -s err ] || why="status $status: $(cat err)"
    verdict "$word" "$why"
done

if python3 -c 'import json' > /dev/null 2>&1; then
    json "version" 0 "d['success'] and d['specification'] >= 1" version --json
    json "failure" 2 "d['success'] is False and d['status'] == 2 and 'rounds' in d['error']" \
        config rouns=1 --json
    json "failure of the parser" 2 "d['success'] is False" trian --json
    json "a path that is no text" 2 "d['success'] is False" \
        config "$(printf 'a"\\\377.toml')" --json
    json "train" 0 "d['rounds'] == 2 and len(d['root_hash']) == 64 and d['accuracy_mean'] <= 1" \
        train $tiny --out js --json --quiet
    json "train --seeds" 0 "[r['seed'] for r in d['runs']] == [3, 4] and d['std'] >= 0" \
        train $tiny --seeds 3,4 --out jss --json --quiet
    json "report" 0 "len(d['runs']) == 2 and len(d['runs'][0]['labels_of_expert']) == 2" \
        report run fedavg --json
    json "partition write" 0 "d['partition_csv'].startswith('index,client,role')" \
        partition write $tiny --json
    json "partition describe" 0 "d['anchor']['clients'] == 2" partition describe $tiny --json
    json "partition describe of a repaired draw" 0 \
        "d['dirichlet_draws'] == 3 and d['dirichlet_repaired'] and d['normal']['most_labels'] >= 1 and d['held_out'] > 0" \
        partition describe $tiny partition=dirichlet alpha=0.01 clients=100 min_size=1 max_draws=3 --json
    json "config" 0 "'seed = 1' in d['config']" config --json
    json "plan" 0 "d['algorithm'] == 'ddome' and d['round 1 bytes down'] > 0 and d['rounds'] == 2" \
        plan $tiny --json
    json "eval" 0 "d['clients'] == 2" eval run --json --quiet
    json "pretrain" 0 "len(d['root_hash']) == 64" pretrain $tiny --out jsp --json --quiet
    json "selftest" 0 "d['success'] is True and d['kernels']" selftest --json
    json "help" 0 "'usage' in d['text']" train --help --json
    whole_batches
    json "data check" 0 "d['cifar10'] == 'ok'" data check cifar --json
else
    skip "--json" "no python3 here"
fi

# ---- the keys and the specification ----

if [ -f "$root/SPEC.md" ]; then
    call help keys
    why=
    grep '^[a-z]' out > keys
    sed 's/^| `\([a-z0-9_]*\)` + |/| `\1` |/' "$root/SPEC.md" > spec
    while read -r key default rest; do
        [ "$default" != '""' ] || default=empty
        grep -q -F "| \`$key\` | $default |" spec || why="$why $key = $default;"
    done < keys
    verdict "SPEC 16.3 has every key with its default" "$why"
else
    skip "SPEC 16.3 has every key with its default" "no SPEC.md here"
fi

# ---- linking ----

# links NAME COMPILER SOURCE: outside the tree, with ddome.h and libddome.a only.
links() {
    rm -rf "link$3"
    mkdir "link$3"
    cp "$root/ddome.h" "$root/libddome.a" "$root/tests/link/$3" "link$3"
    why=
    (
        cd "link$3" &&
            $2 -o user "$3" -I. libddome.a -lm -pthread ${CFLAGS_EXTRA:-} &&
            ./user out > hash
    ) > err 2>&1 || why="$(head -n 3 err)"
    [ -n "$why" ] || call train $tiny --out "link$3/cli" --quiet
    [ -n "$why" ] || grep -q "^root hash  $(cat "link$3/hash")\$" out || why="another root hash"
    verdict "$1" "$why"
}

# The library of a sanitized build needs the sanitizer's flags here, too; make hands them down.
links "a C program links and gives the same hash" \
    "${CC:-cc} -std=c99 -pedantic -Wall -Werror" user.c
if ${CXX:-c++} --version > /dev/null 2>&1; then
    links "a C++ program links and gives the same hash" \
        "${CXX:-c++} -std=c++11 -pedantic -Wall -Werror" user.cc
else
    skip "a C++ program links and gives the same hash" "no C++ compiler here"
fi

totals
