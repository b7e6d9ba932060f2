#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests of whole runs by the command line: tests/cli_runs.sh PROGRAM SCRATCH_DIR. What a run leaves
# behind, also one that breaks off (SPEC 17.1), --seeds, report, the self-test before any work, and
# what a compiler must refuse.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_runs "$@"
need_folders

# members MANIFEST: the names of its members in order, on one line.
members() {
    sed -n 's/^  "\([a-z0-9_]*\)": .*/\1/p' "$1" | tr '\n' ' '
}

# hash_of COMMAND...: SHA-256 of what it prints.
hash_of() {
    "$@" | sha256sum | cut -d ' ' -f 1
}

tables="metrics.csv clients.csv experts.csv comm.csv rounds.jsonl"
python=yes
python3 -c 'import json' > /dev/null 2>&1 || python=
sums=yes
command -v sha256sum > /dev/null 2>&1 || sums=

# ---- what a run leaves ----

call train $tiny --out whole --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
verdict "a run to compare with" "$why"

# SPEC 12.3, 13.4.
call train $tiny --algo common --out common --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
cmp -s common/final/common.safetensors common/final/expert_0.safetensors ||
    why="$why; expert 0 is not the common expert"
cmp -s whole/final/common.safetensors common/final/common.safetensors ||
    why="$why; not the common expert of ddome"
[ -f common/rounds.jsonl ] && [ ! -s common/rounds.jsonl ] || why="$why; rounds.jsonl is not empty"
[ "$(cat common/comm.csv)" = "$(head -n 1 whole/comm.csv)" ] || why="$why; comm.csv has more than its header"
grep -q '^  "rounds": 0,$' common/manifest.json && grep -q '^  "experts": 1,$' common/manifest.json ||
    why="$why; not 0 rounds and 1 expert in the manifest"
[ "$(tail -n +2 common/metrics.csv | cut -d , -f 1)" = 0 ] || why="$why; not evaluated once, at round 0"
[ ! -e common/final/gate.safetensors ] || why="$why; it has a gate"
verdict "algo = common: no round, expert 0 is the common expert" "$why"

# SPEC 13.4.
call train $tiny rounds=5 eval_every=2 --out every --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
[ "$(tail -n +2 every/metrics.csv | cut -d , -f 1 | tr '\n' ' ')" = "2 4 5 " ] ||
    why="$why; evaluated: $(cut -d , -f 1 every/metrics.csv | tr '\n' ' ')"
verdict "every second round is evaluated, and the last" "$why"

# SPEC 9.0, 9.4: a key that is without effect is written empty.
call pretrain $tiny --out pre --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
call train $tiny --algo fedavg common=pre/common.safetensors --out fedavg --quiet
[ "$status" -eq 0 ] || why="$why; status $status: $(cat err)"
[ ! -e fedavg/final/common.safetensors ] || why="$why; it has a common expert"
grep -q '"common_' fedavg/manifest.json && why="$why; common_ members in the manifest"
grep -q '^common = ""$' fedavg/config.toml || why="$why; the key common is not empty"
verdict "fedavg from a random start has no common expert" "$why"
call train $tiny --algo fedavg init=common common=pre/common.safetensors --out fedavg_common --quiet
why=
[ "$status" -eq 0 ] && cmp -s pre/common.safetensors fedavg_common/final/common.safetensors ||
    why="status $status: $(cat err)"
grep -q '"common_sha256"' fedavg_common/manifest.json || why="$why; not in the manifest"
verdict "fedavg from the common expert has one" "$why"

# init = file: with the common expert's file what init = common gives, for each algorithm with rounds. SPEC 12.4.
model=pre/common.safetensors
for words in fedavg fedprox scaffold ensemble "fedmix top_k=2" "local eval_scope=seen" ifca ddome; do
    algo=${words%% *}
    call train $tiny algo=$words init=common common=$model --out from_common --force --quiet
    why=
    [ "$status" -eq 0 ] || why="status $status: $(cat err)"
    call train $tiny algo=$words common=$model init=file init_file=$model --out from_file_$algo --quiet
    [ "$status" -eq 0 ] || why="$why; status $status: $(cat err)"
    for file in rounds.jsonl metrics.csv clients.csv comm.csv; do
        cmp from_common/$file from_file_$algo/$file > cmp.out 2>&1 || why="$why; $(cat cmp.out)"
    done
    grep -q '^init_file = "sha256:[0-9a-f]*"$' from_file_$algo/config.toml || why="$why; no hash in config.toml"
    verdict "$algo from a file is $algo from the common expert" "$why"
done
# At a rate that moves nothing a model ends as it starts.
call train $tiny algo=head common=$model --out head --quiet
start=head/final/expert_0.safetensors
call train $tiny algo=head common=$model init=file init_file=$start lr=0.000000000000001 momentum=0 --out head_on --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
cmp $start head_on/final/expert_0.safetensors > cmp.out 2>&1 || why="$why; $(cat cmp.out)"
verdict "a head starts from the head of a file" "$why"
call verify from_file_ifca --rounds all --quiet
verdict "a run from a file is verified" "$([ "$status" -eq 0 ] || cat err)"

# From the checkpoint of round 1; the counter of batches starts at that of the file. SPEC 17.6.7.
for words in fedavg "local eval_scope=seen" ifca; do
    algo=${words%% *}
    call train $tiny algo=$words init=file init_file=$model checkpoint_every=1 --out on_$algo --quiet
    why=
    [ "$status" -eq 0 ] || why="status $status: $(cat err)"
    mv on_$algo/SHA256SUMS kept
    rm -f on_$algo/manifest.json on_$algo/ckpt/00000002.safetensors
    grep -v ' 00000002' on_$algo/ckpt/DONE > done.out && cp done.out on_$algo/ckpt/DONE
    call resume on_$algo
    grep -q 'round 2' err && ! grep -q 'round 1 ' err || why="$why; not from round 1: $(cat err)"
    cmp kept on_$algo/SHA256SUMS > cmp.out 2>&1 || why="$why; status $status; $(cat cmp.out)"
    verdict "$algo from a file goes on from a checkpoint" "$why"
done
call eval from_file_ddome --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
tail -n 2 from_file_ddome/clients.csv | while read -r line; do grep -q -x "$line" out || echo "no $line"; done > cmp.out
verdict "eval needs no start" "$why$(cat cmp.out)"
fails "eval of local needs it" 2 "expected init_file=FILE" eval from_file_local
call eval from_file_local init_file=$model --quiet
verdict "but where clients may still be there" "$([ "$status" -eq 0 ] || cat err)"
cp head/final/common.safetensors same.safetensors
call eval from_file_local init_file=same.safetensors --quiet
verdict "by its bytes" "$([ "$status" -eq 0 ] || cat err)"
fails "another file as the start of eval" 4 "is not the file that from_file_local/config.toml names by its hash" \
    eval from_file_local init_file=whole/final/expert_0.safetensors
call plan $tiny algo=fedavg
drawn=$(sed -n 's/^memory bytes of the server: //p' out)
values=$(sed -n 's/^expert values: //p;s/^expert parameters: //p' out | head -n 1)
call plan $tiny algo=fedavg init=file init_file=$model
given=$(sed -n 's/^memory bytes of the server: //p' out)
verdict "the plan of a start counts its memory" "$([ "$given" -eq $((drawn + 4 * values)) ] || echo "$drawn, $given of $values values")"
mv from_file_local/config.toml kept
fails "eval without the configuration of the run" 3 "config.toml" eval from_file_local init_file=$model
mv kept from_file_local/config.toml
fails "a start that is missing" 3 "cannot open nowhere" train $tiny algo=fedavg init=file init_file=nowhere --out run
fails "a start of another shape" 3 "tensor fc1.weight: expected" \
    train $tiny algo=fedavg hidden=9 init=file init_file=$model --out run
fails "a start from held-out samples" 2 "init_file=$model was trained on other samples than this run may train on" \
    train $tiny algo=fedavg seed=2 init=file init_file=$model --out run
fails "a start of a run on other samples" 2 "or another file" \
    train $tiny algo=fedavg seed=2 init=file init_file=whole/final/expert_0.safetensors --out run

# The manifest of a file in this folder, or in its `final`, is here.
cp whole/manifest.json manifest.json
cp $model bare.safetensors
mkdir final
cp $model final/bare.safetensors
for file in bare.safetensors final/bare.safetensors; do
    fails "a start from held-out samples, $file" 2 "init_file=$file was trained on other samples" \
        train $tiny algo=fedavg seed=2 init=file init_file=$file --out run
done
rm -rf manifest.json final

# A folder of a path that leaves room for no more than the names of its files.
name=$(printf '%0120d' 0)
deep=$name
while [ ${#deep} -lt 960 ]; do
    mkdir "$deep"
    deep=$deep/$name
done
deep=$(printf '%.975s' "$deep")
call train $tiny algo=fedavg common=$model --out "$deep" --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
call eval "$deep" --quiet
[ "$status" -eq 0 ] || why="$why; eval: status $status: $(cat err)"
verdict "a run in a folder with a path of 975 bytes" "$why"

# SPEC 17.1.2, 17.2.4.
why=
[ "$(cut -c 67- pre/SHA256SUMS | tr '\n' ' ')" = "common.safetensors config.toml manifest.json " ] ||
    why="hashed: $(cut -c 67- pre/SHA256SUMS | tr '\n' ' ')"
for file in pre/* pre/.[!.]*; do
    case ${file#pre/} in
    common.safetensors | config.toml | manifest.json | SHA256SUMS | host.json | '.[!.]*') ;;
    *) why="$why; it wrote $file" ;;
    esac
done
want="specification algo arith seed data train_records test_records train_sha256 test_sha256 pool_sha256
dirichlet_draws dirichlet_repaired common_sha256 common_epochs common_holdout_correct common_holdout_total
expert_parameters "
[ "$(members pre/manifest.json)" = "$(echo "$want" | tr '\n' ' ' | sed 's/  *$/ /')" ] ||
    why="$why; members $(members pre/manifest.json)"
grep -q '^  "algo": "pretrain",$' pre/manifest.json || why="$why; not algo pretrain"
[ "$(sed -n '1p;$p' pre/manifest.json | tr '\n' ' ')" = "{ } " ] || why="$why; not one object"
verdict "pretrain hashes its three files, the manifest's form" "$why"

# ---- runs that break off: SPEC 17.1.3 ----

# broken_off RUN: neither of the last two files.
broken_off() {
    for file in manifest.json SHA256SUMS; do
        [ ! -e "$1/$file" ] || why="$why; $1/$file was written"
    done
}

# Round 6 diverges: the lines of the rounds before it are there, as in a run that ends with one of them. SPEC 17.1.3.
call train $tiny lr=10 rounds=8 eval_every=2 --out diverged --quiet
why=
[ "$status" -eq 7 ] && [ ! -s out ] || why="status $status: $(cat err)"
broken_off diverged
call train $tiny lr=10 rounds=4 eval_every=2 --out shorter --quiet
[ "$status" -eq 0 ] || why="$why; the shorter one: status $status: $(cat err)"
for file in metrics.csv clients.csv experts.csv; do
    cmp -s "diverged/$file" "shorter/$file" || why="$why; another $file"
done
call train $tiny lr=10 rounds=5 eval_every=2 --out shorter --force --quiet
[ "$status" -eq 0 ] || why="$why; the other shorter one: status $status: $(cat err)"
for file in comm.csv rounds.jsonl; do
    cmp -s "diverged/$file" "shorter/$file" || why="$why; another $file"
done
verdict "a run that diverges leaves the lines of the rounds before" "$why"

mkdir -p blocked/final/gate.safetensors
call train $tiny --out blocked --quiet
why=
[ "$status" -eq 5 ] || why="status $status: $(cat err)"
broken_off blocked
for file in $tables; do
    cmp -s "blocked/$file" "whole/$file" || why="$why; another $file"
done
verdict "a run whose models cannot be written keeps its tables" "$why"

# Between the last two files. SPEC 17.3.3: the folder holds a run all the same; SPEC 18.3.2: none to
# evaluate.
mkdir -p sealing/host.json
call train $tiny --out sealing --quiet
why=
[ "$status" -eq 5 ] && [ ! -e sealing/SHA256SUMS ] || why="status $status: $(cat err)"
cmp -s sealing/manifest.json whole/manifest.json || why="$why; another manifest"
call eval sealing --quiet
[ "$status" -eq 3 ] || why="$why; eval: status $status: $(cat err)"
call train $tiny --out sealing --quiet
[ "$status" -eq 2 ] || why="$why; again: status $status: $(cat err)"
rmdir sealing/host.json
call train $tiny --out sealing --force --quiet
[ "$status" -eq 0 ] && cmp -s sealing/SHA256SUMS whole/SHA256SUMS || why="$why; forced: status $status"
verdict "a run that breaks off between manifest.json and SHA256SUMS is not whole" "$why"

# ---- --seeds: SPEC 18.3.3 ----

# With seed 6 the normal clients have every set of 5 out of 6 labels, and no unseen client can be drawn.
few="clients=12 labels_per_client=5"
call train $tiny $few --seeds 5,6,1 --out seeds --quiet
why=
[ "$status" -eq 2 ] && grep -q 'no label set is left' err || why="status $status: $(cat err)"
[ ! -s out ] || why="$why; something on standard output"
[ ! -e seeds/seed-6/SHA256SUMS ] && [ ! -e seeds/seed-1 ] || why="$why; it went on behind seed 6"
call train $tiny $few --seed 5 --out alone --quiet
[ "$status" -eq 0 ] && cmp -s seeds/seed-5/SHA256SUMS alone/SHA256SUMS || why="$why; seed 5 did not stay"
verdict "--seeds ends with the first run that fails, and keeps those before it" "$why"

# ---- sources of the configuration: SPEC 16.1.1 ----

printf 'rounds = 3\nseed = 5\n' > one.toml
printf 'rounds = 4\nbatch = 9\n' > two.toml

# resolved NAME PATTERN ARGS...: three lines of `ddome config` are as PATTERN says.
resolved() {
    name=$1
    want=$2
    shift 2
    call config "$@"
    why=
    [ "$(grep -E '^(seed|rounds|batch) =' out | tr '\n' ' ')" = "$want" ] || why="$(head -n 3 out err)"
    verdict "$name" "$why"
}

resolved "the later of two files wins, key by key" "seed = 5 rounds = 4 batch = 9 " one.toml two.toml
resolved "whatever their order is" "seed = 5 rounds = 3 batch = 9 " two.toml one.toml
resolved "the later of two equal words wins" "seed = 1 rounds = 6 batch = 256 " rounds=5 rounds=6
resolved "also of a word and its option" "seed = 8 rounds = 10 batch = 256 " --seed 7 seed=8
resolved "words win over files behind them" "seed = 5 rounds = 6 batch = 9 " rounds=6 one.toml two.toml

# ---- eval of a run that left records out: SPEC 18.3.2 ----

whole_batches
{
    zeros 6145
    printf x
} > "$folder/test_batch.bin"
echo 'test 0' > list.txt
echo 'test 1' > other.txt
cifar="data=cifar10 arch=mlp hidden=4 partition=iid clients=2 holdout_clients=0 unseen_clients=1
experts=1 top_k=1 anchor_clients=0 active_anchors=0 active_normal=2 rounds=1 batch=4 eval_every=1"
call train $cifar --algo fedavg data_dir=cifar exclude=list.txt --out left_out --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
verdict "a run that leaves a record out" "$why"
fails "eval of it without exclude=" 2 "exclude=FILE" eval left_out data_dir=cifar
fails "eval of it with another list" 4 "the data are not those of" \
    eval left_out data_dir=cifar exclude=other.txt
fails "eval of it without data_dir" 3 "DDOME_DATA" eval left_out exclude=list.txt
call eval left_out data_dir=cifar exclude=list.txt --quiet
why=
[ "$status" -eq 0 ] && grep -q '^1,2,unseen,0,0,' out || why="status $status: $(cat out err)"
DDOME_DATA=cifar "$program" eval left_out exclude=list.txt --quiet > again 2> err
[ $? -eq 0 ] && cmp -s out again || why="$why; DDOME_DATA: $(cat err)"
verdict "eval of it with the same list" "$why"

# ---- report ----

# SPEC 17.3.2: also of a list of one.
call report whole
if [ -n "$sums" ]; then
    one=$(hash_of cat whole/SHA256SUMS)
    why=
    grep -q "^$one  whole\$" out || why="no line $one"
    [ "$(tail -n 1 out)" = "$(hash_of echo "$one")  root hash of all" ] || why="$why; $(tail -n 1 out)"
    verdict "the root hash of a list of one" "$why"
else
    skip "the root hash of a list of one" "no sha256sum here"
fi

# SPEC 18.3.1.
right=$(sed -n 's/^  "common_holdout_correct": \([0-9]*\),$/\1/p' pre/manifest.json)
total=$(sed -n 's/^  "common_holdout_total": \([0-9]*\),$/\1/p' pre/manifest.json)
call report pre
why=
grep -q "^pre: accuracy [01]\.[0-9]* on the held-out part ($right of $total)\$" out || why=$(cat out err)
grep -q '^pretrain  -  *0  *-  *-  ' out || why="$why; a line of a run"
verdict "report of a pretraining gives its accuracy" "$why"

# SPEC 18.2.3.
if [ -n "$python" ]; then
    json "report has decimals as numbers" 0 "d['runs'][0]['accuracy_mean'] <= 1 and \
d['runs'][0]['accuracy_worst'] <= d['runs'][0]['accuracy_mean'] and 'accuracy' not in d['runs'][0]" \
        report whole --json
    json "report of a pretraining has null for what it lacks" 0 "d['runs'][0]['accuracy_mean'] is None and \
d['runs'][0]['accuracy_worst'] is None and d['runs'][0]['scope'] is None and \
abs(d['runs'][0]['accuracy'] - $right / $total) < 1e-6" report pre --json
    mkdir odd
    cp whole/SHA256SUMS whole/metrics.csv odd
    for mean in nan 0.5 00.500000 0.5000000 1e-1 -0.500000 '0.500000, 1' ''; do
        sed "s/\(\"accuracy_mean\": \"\)[^\"]*/\1$mean/; s/\"ddome\"/\"fedavg\"/" \
            whole/manifest.json > odd/manifest.json
        json "report of the mean \"$mean\"" 0 "d['runs'][0]['accuracy_mean'] is None" report odd --json
    done
    # Letters of one to four bytes stay. Bad are a byte that begins none and cuts; an overlong form,
    # a surrogate and a value too large; and the cut at the end.
    letters='a\303\244\342\202\254\360\237\230\200z'
    bad='\377\303\244\342\202\303' worse='\300\257\355\240\200\364\220' cut='\303\244\303'
    json "bytes of a path that are not UTF-8" 2 "all(part in d['error'] for part in (
'a\u00e4\u20ac\U0001f600z/\ufffd\u00e4\ufffd\ufffd\ufffd/', '/' + 7 * '\ufffd' + '/\u00e4\ufffd;'))" \
        config "$(printf "$letters/$bad/$worse/$cut;")" --json
else
    skip "--json" "no python3 here"
fi

# ---- help: SPEC 18.3.1 ----

fails "help on an unknown word names the nearest" 2 "the nearest is train" help trian
fails "help on something like the keys" 2 "the nearest is keys" help kyes

# ---- the self-test: SPEC 3.7, 18.4.1 ----

usual=$(sed -n 's/.*"kernels": "\([a-z0-9]*\)".*/\1/p' whole/host.json)
call selftest
why=
[ "$status" -eq 0 ] && grep -q "^kernels  $usual\$" out || why="status $status: $(cat out err)"
verdict "selftest names the kernels of a run" "$why"
DDOME_ISA=
export DDOME_ISA
call selftest
why=
[ "$status" -eq 0 ] && grep -q "^kernels  $usual\$" out || why="status $status: $(cat out err)"
verdict "an empty DDOME_ISA is none" "$why"
DDOME_ISA=c
call selftest
why=
[ "$status" -eq 0 ] && grep -q '^kernels  c$' out || why="status $status: $(cat out err)"
verdict "selftest checks the kernels that DDOME_ISA names" "$why"
DDOME_ISA=altivec
fails "selftest of kernels nobody has" 2 "kernels altivec: expected c or" selftest
fails "unknown kernels are refused before data are read" 2 "kernels altivec" \
    train $cifar --algo fedavg data_dir=nowhere --out run
fails "unknown kernels: eval" 2 "kernels altivec" eval whole
fails "unknown kernels: pretrain" 2 "kernels altivec" pretrain $tiny --out run
fails "unknown kernels: plan" 2 "kernels altivec" plan $tiny
unset DDOME_ISA

# A library that rounds upwards before main begins breaks (a) in a program that is linked at run time.
cat > upward.c << 'END'
#include <fenv.h>
__attribute__((constructor)) static void upward(void)
{
    fesetround(FE_UPWARD);
}
END
if ${CC:-cc} -shared -fPIC -o upward.so upward.c -lm 2> err &&
    LD_PRELOAD="$work/upward.so" "$program" selftest > out 2> err; [ $? -eq 4 ]; then
    LD_PRELOAD=$work/upward.so
    export LD_PRELOAD
    fails "self-test before train" 4 "rounding" train $tiny --out run
    fails "self-test before pretrain" 4 "rounding" pretrain $tiny --out run
    fails "self-test before eval" 4 "rounding" eval whole
    fails "self-test before plan" 4 "rounding" plan $tiny
    fails "self-test before partition write" 4 "rounding" partition write $tiny
    fails "self-test before partition describe" 4 "rounding" partition describe $tiny
    fails "self-test before data check" 4 "rounding" data check cifar
    fails "self-test before data info" 4 "rounding" data info cifar
    unset LD_PRELOAD
    [ ! -e run ] || mkdir run.left
    verdict "nothing is made by a self-test that fails" "$([ ! -e run.left ] || echo run was made)"
else
    skip "self-test before every command that computes" "no library can be put before the program here"
fi

# ---- what a compiler must refuse: SPEC 2.2 ----

# refused NAME PROBE TEXT FLAGS...: nn/base.h does not compile with these flags and says TEXT; skipped
# where PROBE, the preprocessor's condition for what they do, does not hold.
refused() {
    name=$1
    printf '#include <float.h>\n#if !(%s)\n#error the flags do not matter here\n#endif\n' "$2" > probe.c
    part=$3
    shift 3
    if ! ${CC:-cc} -std=c99 "$@" -c -o probe.o probe.c > err 2>&1; then
        skip "$name" "the compiler has no such mode"
        return
    fi
    ${CC:-cc} -std=c99 "$@" -c -o base.o "$root/nn/base.c" > err 2>&1
    status=$?
    why=
    [ "$status" -ne 0 ] && grep -q -F -e "$part" err || why="status $status: $(head -n 2 err)"
    verdict "$name" "$why"
}

for flag in -ffast-math -Ofast; do
    refused "$flag does not compile" "defined(__FAST_MATH__)" \
        "compile without -ffast-math and -Ofast" $flag
done
refused "excess precision does not compile" "FLT_EVAL_METHOD == 2" \
    "FLT_EVAL_METHOD 0 or 1" -mfpmath=387

totals
