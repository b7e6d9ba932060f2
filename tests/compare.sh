#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests of ddome compare and ddome probe: tests/compare.sh PROGRAM DEVIATE SCRATCH_DIR. One line a
# case, totals at the end. DEVIATE answers vectors as a program with deviations would.
set -u

program=${1:-./ddome}
deviate=${2:-build/deviate}
scratch=${3:-build/test-scratch}
case $program in /*) ;; *) program=$PWD/$program ;; esac
case $deviate in /*) ;; *) deviate=$PWD/$deviate ;; esac
root=$PWD
work=$scratch/compare
passed=0
failed=0
skipped=0
unset DDOME_DATA

rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1

# ---- functions ----

# verdict NAME WHY: ok when WHY is empty.
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok compare $1"
    else
        failed=$((failed + 1))
        echo "FAIL compare $1"
        echo "  $2"
    fi
}

# call ARGS...: runs the program; status, out, err.
call() {
    "$program" "$@" > out 2> err
    status=$?
}

# holds STATUS TEXT...: that status, and each text in out; why says what is wrong.
holds() {
    why=
    [ "$status" -eq "$1" ] || why="status $status, want $1: $(head -n 1 err)"
    [ "$status" -ne 0 ] || [ ! -s err ] || why="$why; standard error: $(head -n 1 err)"
    shift
    for text in "$@"; do
        grep -q -F -e "$text" out || why="$why; out lacks '$text': $(head -n 4 out | tr '\n' '|')"
    done
}

# equal NAME A B: status 0 and nothing on standard error.
equal() {
    name=$1
    shift
    call compare "$@"
    holds 0 equal
    verdict "$name" "$why"
}

# differs NAME A B TEXT...: status 4, one line on standard error, and each text on standard output.
differs() {
    name=$1
    a=$2
    b=$3
    shift 3
    call compare "$a" "$b" --explain
    holds 4 "$@"
    [ "$(grep -c '^ddome: .* differ, first in ' err)" -eq 1 ] || why="$why; err: $(head -n 1 err)"
    verdict "$name" "$why"
}

# fails NAME STATUS PART ARGS...: that status, one line that holds PART, nothing on standard output.
fails() {
    name=$1
    want=$2
    part=$3
    shift 3
    call "$@"
    why=
    [ "$status" -eq "$want" ] || why="status $status, want $want: $(head -n 1 err)"
    [ "$(wc -l < err)" -eq 1 ] || why="$why; more or less than one line on standard error"
    grep -q -F -e "$part" err || why="$why; the line lacks '$part': $(head -n 1 err)"
    [ ! -s out ] || why="$why; something on standard output"
    verdict "$name" "$why"
}

# json NAME STATUS ARGS...: that status and one JSON object with "success".
json() {
    name=$1
    want=$2
    shift 2
    call "$@" --json
    why=
    [ "$status" -eq "$want" ] || why="status $status, want $want: $(head -n 1 err)"
    [ "$(wc -l < out)" -eq 1 ] || why="$why; not one line"
    if [ -z "$python" ]; then
        grep -q '^{"success": ' out || why="$why; no object"
    else
        "$python" -c 'import json, sys; assert "success" in json.load(open("out"))' 2> json-err ||
            why="$why; no JSON: $(tail -n 1 json-err)"
    fi
    verdict "$name" "$why"
}

python=$(command -v python3 || true)

# ---- runs ----

tiny="arch=mlp hidden=8 gate_hidden=8 synth_train=400 synth_test=200 synth_size=8 synth_domains=2
synth_shapes=3 clients=6 experts=2 top_k=1 labels_per_client=2 unseen_clients=2 holdout_clients=1
active_anchors=2 active_normal=2 rounds=3 batch=16 pretrain_epochs=1 eval_every=1"

# The stand-in for the operating system (make OS=c99) cannot make the folder of a run.
call train $tiny --out run --quiet
if grep -q 'plain C99 cannot make' err; then
    echo "skipped compare all of it: plain C99 cannot make a folder"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

# copy: a fresh copy of the run in the folder other.
copy() {
    rm -rf other
    cp -r run other
}

copy
equal "two equal runs" run other
json "two equal runs as JSON" 0 compare run other

awk 'NR == 2 { match($0, /"loss":\["........"/); at = RSTART + 15
        last = substr($0, at, 1); new = last == "0" ? "1" : "0"
        $0 = substr($0, 1, at - 1) new substr($0, at + 1) } { print }' run/rounds.jsonl > other/rounds.jsonl
differs "a loss of round 2" run other "first difference: rounds.jsonl, line 2 (round 2), loss of client" \
    "ULP" "0 later rounds differ" "agrees    partition.csv" "differs   rounds.jsonl" \
    "--trace-rounds 2-2" "ddome compare A.trace B.trace --explain"
json "a loss that differs as JSON" 4 compare run other

copy
sed 's/"gate":"./"gate":"_/' run/rounds.jsonl > other/rounds.jsonl
differs "the gate of all rounds" run other "line 1 (round 1), gate" "2 later rounds differ"

copy
sed '3s/unseen/global/' run/metrics.csv > other/metrics.csv
differs "a cell of a table" run other "first difference: metrics.csv, line 3, column 2 (scope)" \
    "A        unseen" "B        global"

copy
sed 's/"train_sha256": "./"train_sha256": "_/' run/manifest.json > other/manifest.json
differs "other data" run other "first difference: manifest.json, member train_sha256" "ddome data info"

copy
sed '2s/anchor/normal/' run/partition.csv > other/partition.csv
awk '{ print } END { print "more" }' run/metrics.csv > other/metrics.csv
differs "the partition comes first" run other "first difference: partition.csv, line 2, column 3 (role)" \
    "1 only in B" "ddome partition write"

copy
rm -r other/final
call compare run other
holds 0 "only in A final/expert_0.safetensors" "equal as far as B has what A has"
verdict "files that B lacks are counted" "$why"

copy
head -n 1 run/rounds.jsonl > other/rounds.jsonl
head -n 2 run/metrics.csv > other/metrics.csv
grep -v '"train_sha256"' run/manifest.json > other/manifest.json
call compare run other
holds 0 "0 of 1 lines differ, 2 missing in B: agrees as far as B has" "1 missing in B: agrees as far as B has" \
    "equal as far as B has what A has"
verdict "a run cut short agrees as far as it goes" "$why"
call compare run other --json
holds 0 '"state": "agrees as far as B has"' '"missing": 0, "missing_parts": '
verdict "and says so in JSON" "$why"
sed 's/^{/{"more": [1],/' run/manifest.json > other/manifest.json
call compare run other
holds 0 "members differ, 1 only in B"
verdict "members that only B's manifest has" "$why"
sed 's/^{/{"more": [1, {"x": true}],/' run/manifest.json > first.json
sed 's/^{/{"more": [1, {"x": false}],/' run/manifest.json > other/manifest.json
cp -r run listed
cp first.json listed/manifest.json
differs "lists in a manifest" listed other "A        [1,{x:true}]" "B        [1,{x:false}]"
copy
awk 'NR == 2 { sub(/^[0-9]*/, "99999999999999999999999999") } { print }' run/metrics.csv > other/metrics.csv
differs "a number without end in a table" run other "B        99999999999999999999999999"
copy
printf 'a\033[31mb\n' > other/metrics.csv
differs "an escape sequence in a table" run other 'B        a\x1b[31mb'

call train $tiny seed=2 --out two --quiet
differs "another seed" run two "first difference: config.toml, line 1, key seed" \
    "first computed difference: manifest.json, member train_sha256" "give both the same keys"

# What other settings moved first is shown closer.
call train $tiny lr=0.02 --out rate --quiet
differs "another rate" run rate "key lr" "first computed difference: rounds.jsonl, line 1 (round 1), loss of client" \
    "give both the same keys" "if they are meant to differ: trace round 1 on both sides" \
    "ddome train rate/config.toml --out DIR-B --trace B.trace --trace-rounds 1-1"
call train $tiny arith=fma --out fused --quiet
differs "another profile" run fused "if they are meant to differ: trace round"

# A folder is quoted as the shell takes it.
copy
cp rate/rounds.jsonl other/rounds.jsonl
rm -rf "it's mine"
cp -r other "it's mine"
differs "a folder with a blank and a quote" run "it's mine" "train 'it'\\''s mine/config.toml' --out DIR-B"
"$program" compare run "it's mine" 2> err | sed -n 's/^ *\(ddome train .*\)--trace B.trace.*/\1/p' > command.sh
why=
(
    # shellcheck disable=SC2317 # the command that is read calls it
    ddome() { printf '%s|' "$@"; }
    . ./command.sh
) > out 2> err
grep -q -F "train|it's mine/config.toml|--out|DIR-B|" out || why="$(cat command.sh out err)"
verdict "which the shell reads back" "$why"

# Any file of a run makes a folder a run: other programs write what they have.
for file in config.toml manifest.json partition.csv rounds.jsonl metrics.csv; do
    rm -rf some
    mkdir some
    cp "run/$file" some
    equal "a folder with $file alone is a run" run some
    holds 0 "agrees    $file" "equal as far as B has what A has"
    verdict "and agrees" "$why"
done
cp rate/rounds.jsonl some
differs "a run without a configuration" run some "first difference: rounds.jsonl" \
    "ddome train run/config.toml --out DIR-A" "some has no config.toml: B.trace is for the program that made it"
rm -rf some
mkdir some
fails "an empty folder is none" 2 "a folder of vectors (some)" compare run some

copy
printf '{' > other/rounds.jsonl
fails "a damaged line" 3 "other/rounds.jsonl:1:" compare run other
copy
printf 'a\000b' > other/metrics.csv
fails "a NUL in a table" 3 "other/metrics.csv: expected text" compare run other

# ---- models ----

# flip FILE BACK MASKED: another byte, BACK bytes before the end.
flip() {
    size=$(wc -c < "$1")
    at=$((size - $2))
    old=$(dd if="$1" bs=1 skip="$at" count=1 2> /dev/null | od -An -tu1 | tr -d ' ')
    printf "\\$(printf '%03o' $(((old + $3) % 256)))" | dd of="$1" bs=1 seek="$at" conv=notrunc 2> /dev/null
}

model=run/final/expert_1.safetensors
cp $model model.st
equal "two equal models" $model model.st
flip model.st 4 1
differs "one bit of a model" $model model.st "first difference: tensor fc2.weight, F32" "= [5,7] of [6,8]" \
    "differ   1 of 48 elements" "1 of 4 tensors differ"
json "models as JSON" 4 compare $model model.st
equal "a model within some ULP" $model model.st --ulp 1
equal "a model within a share" $model model.st --relative 1e-5
printf 'model ulp 1\n* exact\n' > near.txt
equal "a model within tolerances" $model model.st --tolerances near.txt
copy
cp model.st other/final/expert_1.safetensors
differs "a final model" run other "first difference: final/expert_1.safetensors, fc2.weight" "[5,7] of [6,8]"

# Other kinds of clients (SPEC 13.8) have lines of their own, and no line of the others moves.
call train $tiny --out one-kind --quiet
call train $tiny eval_also=global,seen --out kinds --quiet
call compare kinds one-kind
holds 4 "first difference: config.toml, line" "key eval_also" 'A        eval_also = "global,seen"' \
    'B        eval_also = "none"' "agrees    metrics.csv" " 6 missing in B"
! grep -q 'first computed' out || why="$why; $(cat out)"
verdict "runs on other kinds of clients" "$why"
call compare one-kind kinds
holds 4 "first difference: config.toml, key eval_also" " 6 only in B"
! grep -q 'first computed' out || why="$why; $(cat out)"
verdict "the other way round" "$why"
cp -R kinds moved
sed '2s/,unseen,[0-9]*,/,unseen,9,/' kinds/metrics.csv > moved/metrics.csv
call compare one-kind moved
holds 4 "first computed difference: metrics.csv, line 2, column 3 (clients)"
verdict "a line of both is still compared" "$why"

# A key at its default stands in no config.toml (SPEC 16.1.6).
call train $tiny mu=0.5 test=mixture --out young --quiet
call compare one-kind young
holds 4 "first difference: config.toml, key mu" "A        mu = 0.01" "B        mu = 0.5"
grep -q '2 of [0-9]* keys differ' out || why="$why; $(grep keys out)"
verdict "young keys are told beside their defaults" "$why"

# Models that stay with their clients (SPEC 12.6.6): of all that took part, and no experts.
call train $tiny algo=local eval_scope=seen --out own --quiet
cp -R own own-b
last=0
for kept in own/final/client_*; do
    id=${kept##*_}
    [ "${id%%.*}" -le "$last" ] || last=${id%%.*}
done
equal "two equal runs of local" own own-b
flip own-b/final/client_$last.safetensors 4 1
differs "a client's own model" own own-b "first difference: final/client_$last.safetensors, fc2.weight" \
    "agrees    final/client_" "1 of 4 tensors differ"
rm own-b/final/client_$last.safetensors
call compare own own-b
holds 0 "only in A final/client_$last.safetensors"
verdict "one that B lacks" "$why"
json "both as JSON" 0 compare own own-b

head -c 100 $model > cut.st
fails "a cut model" 3 "cut.st" compare $model cut.st

# ---- vectors ----

# words COUNT SEED: floats of 0.5 to 2, every third one negative.
words() {
    awk -v n="$1" -v s="$2" 'BEGIN { for (i = 0; i < n; i++) {
        s = s * 16807 % 2147483647
        printf "%s%s%06x", i ? " " : "", i % 3 == 2 ? "bf" : "3f", s % 16777216 } }'
}

# f32 NAME SHAPE COUNT SEED: a value of an object.
f32() {
    printf '"%s":{"dtype":"F32","shape":[%s],"words":"%s"}' "$1" "$2" "$(words "$3" "$4")"
}

scalar() {
    printf '"%s":{"dtype":"F32","shape":[],"words":"%s"}' "$1" "$2"
}

# vector ID OP ATTRIBUTES VALUE...: one line of a level.
vector() {
    printf '{"id":"%s","op":"%s","clause":"5","profile":"ma","attributes":{%s},"expected":{},"inputs":{' "$1" "$2" "$3"
    shift 3
    comma=
    for value in "$@"; do
        printf '%s%s' "$comma" "$value"
        comma=,
    done
    printf '}}'
}

{
    printf '{"schema":"ddome-vectors-1","specification":1,"level":"mixed","vectors":[\n'
    for i in 1 2; do
        vector sum-$i sum "" "$(f32 x 700 700 $i)"
        printf ',\n'
        vector matmul-$i matmul "" "$(f32 a 2,600 1200 1$i)" "$(f32 b 600,3 1800 2$i)"
        printf ',\n'
        vector conv-$i conv '"stride":1,"pad":1' "$(f32 x 1,5,5,3 75 3$i)" "$(f32 w 4,3,3,3 108 4$i)"
        printf ',\n'
        vector norm-$i batch_norm "" "$(f32 x 3,2,1,4 24 5$i)" "$(f32 gamma 4 4 6$i)" "$(f32 beta 4 4 7$i)" \
            "$(f32 running_mean 4 4 8$i)" "$(scalar running_var x | sed 's/\[\]/[4]/; s/"x"/"3f800000 3f900000 3fa00000 3fb00000"/')"
        printf ',\n'
        vector sgd-$i sgd '"first":0' "$(f32 w 9 9 9$i)" "$(f32 g 9 9 10$i)" "$(f32 v 9 9 11$i)" \
            "$(scalar lr 3c23d70a)" "$(scalar momentum 3f666666)" "$(scalar weight_decay 00000000)"
        printf ',\n'
    done
    vector top-k top_k '"k":2' '"score":{"dtype":"F32","shape":[4],"words":"3e800000 3f000000 3e800000 3d800000"}'
    printf '\n]}\n'
} > inputs.json
why=
"$deviate" inputs.json A.json 2> err || why=$(head -n 1 err)
verdict "vectors of the rules" "$why"
cp A.json B.json
equal "the same answers" A.json B.json
json "the same answers as JSON" 0 compare A.json B.json

# The last digit of the last word of matmul-2.
awk '/"id":"matmul-2"/ { sub(/.$/, "", $0); at = index($0, "\"expected\"") ; head = substr($0, 1, at - 1)
        tail = substr($0, at); match(tail, /[0-9a-f]"}}}*$/); c = substr(tail, RSTART, 1)
        new = c == "0" ? "1" : "0"
        $0 = head substr(tail, 1, RSTART - 1) new substr(tail, RSTART + 1) "," } { print }' A.json > B.json
differs "one word" A.json B.json "first difference: vector matmul-2, c of matmul" "element 5 = [1,2] of [2,3]" \
    "1 of 6 elements" "nothing explains it"
json "one word as JSON" 4 compare A.json B.json --explain
equal "one word within 15 ULP" A.json B.json --ulp 15
printf 'mixed ulp 15\n' > level.txt
equal "one word within the tolerance of its level" A.json B.json --tolerances level.txt
printf 'conv ulp 15\n' > level.txt
call compare A.json B.json --tolerances level.txt
holds 4
verdict "the tolerance of another level" "$why"

# Each deviation is found, and named for all its vectors at once.
for row in reversed-order:8 one-level-sums:4 fused:4 mean-by-reciprocal:2 ties-to-higher-index:1 dampening:2 \
    biased-running-variance:2; do
    word=${row%:*}
    "$deviate" A.json B.json "$word" 2> err
    call compare A.json B.json --explain
    line=$(grep -E '^  one deviation explains ' out)
    why=
    [ "$status" -eq 4 ] || why="status $status"
    case " $(echo "$line" | sed 's/.*: //') " in
    *" $word "*) ;;
    *) why="$why; $word is not named: $(sed -n '/^causes/,$p' out | tr '\n' '|')" ;;
    esac
    verdict "explains $word" "$why"
done
json "an explanation as JSON" 4 compare A.json B.json --explain
grep -q '"deviations": \[{"names": \["biased-running-variance"\]' out
verdict "names the cause in JSON" "$([ $? -eq 0 ] || tail -c 300 out)"

"$deviate" A.json B.json fused dampening
call compare A.json B.json --explain
holds 4 "4 of 6 differing vectors: fused" "2 of 2 differing vectors: dampening" "sgd, 2 of 2 differing vectors: dampening"
verdict "explains two operations by a set of two" "$why"

"$deviate" A.json B.json reversed-order fused
call compare A.json B.json --explain
holds 4 "two deviations together explain all" "differences: reversed-order + fused" \
    "    reversed-order: sums run from the last" "    fused: " "matmul, 2 of 2 differing vectors: reversed-order + fused"
verdict "explains by a pair" "$why"
json "a pair as JSON" 4 compare A.json B.json --explain
grep -q -F '"deviations": [{"names": ["reversed-order + fused"' out && grep -q '"against": null' out
verdict "names the pair in JSON" "$([ $? -eq 0 ] || tail -c 300 out)"

sed '/"id":"conv/d' A.json > B.json
equal "missing vectors are counted" A.json B.json
grep -q 'mixed  *9  *0  *2' out
verdict "in the table of levels" "$([ $? -eq 0 ] || head out err)"
# Values that B lacks, alone or under another name.
awk '/"id":"sgd-1"/ { at = index($0, "\"expected\""); tail = substr($0, at); sub(/"w":/, "\"out\":", tail)
        $0 = substr($0, 1, at - 1) tail } { print }' A.json > B.json
equal "a value under another name" A.json B.json
grep -q -F 'missing  sgd-1: B has out; expected w' out && grep -q 'mixed  *11  *0  *0, and values of others: 1$' out &&
    grep -q '^equal as far as B has what A has$' out
verdict "which is counted and shown" "$([ $? -eq 0 ] || head out err)"
call compare A.json B.json --json
holds 0 '"id": "sgd-1", "level": "mixed", "op": "sgd", "state": "ok", "missing": 1' '"missing": 0, "missing_parts": 1'
verdict "and stands in JSON" "$why"

printf '{"schema":"ddome-vectors-1","vectors":[{"id":"top-k","expected":{"index":{"dtype":"U32","shape":[1],"words":"0"}}}]}' > B.json
call compare A.json B.json
holds 4 "missing  top-k: B has index; expected chosen"
verdict "an answer of other names alone" "$why"

# Vectors for which every order is right are exact under tolerances for other orders.
printf '{"schema":"ddome-vectors-1","level":"sum","vectors":[{"id":"s","op":"sum","exact":"any-order","expected":{"total":{"dtype":"F32","shape":[],"words":"3f800000"}}}]}' > any.json
sed 's/3f800000/3f800001/' any.json > near.json
printf 'sum ulp 4\n* ulp 4\n' > near.txt
call compare any.json near.json --tolerances near.txt
holds 4
verdict "any-order is exact under tolerances" "$why"
equal "but not against --ulp" any.json near.json --ulp 1
equal "nor --relative" any.json near.json --relative 1e-5
sed 's/any-order/this-order/' any.json > order.json
equal "this-order is as the tolerances say" order.json near.json --tolerances near.txt
printf '# x\nmatmull ulp 4\n' > near.txt
fails "a level that is none" 2 "near.txt:2: expected the level of a vector file, the pass of a trace, model or *, found matmull; nearest is matmul" \
    compare any.json near.json --tolerances near.txt
fails "also between runs" 2 "nearest is matmul" compare run run --tolerances near.txt

# What a file says neither moves the terminal nor ends its line.
sed 's/"id":"s"/"id":"\\u001b[31m\\nequal\\u009b\\u202e"/' any.json > shown-a.json
sed 's/3f800000/3f800001/' shown-a.json > shown-b.json
differs "escape sequences in an id" shown-a.json shown-b.json \
    'first difference: vector \x1b[31m\x0aequal\xc2\x9b\xe2\x80\xae, total of sum'
grep -q "$(printf '\033')" out err
verdict "are nowhere as such" "$([ $? -eq 1 ] || cat out err)"
fails "a line break in a path" 3 'cannot open no\x0apath' compare "$(printf 'no\npath')" run

# A kernel far larger than its input.
printf '{"schema":"ddome-vectors-1","level":"pool","vectors":[{"id":"a","op":"max_pool","profile":"ma","attributes":{"kernel":4096,"stride":2048,"pad":4095},"inputs":{"x":{"dtype":"F32","shape":[1,1,1,1],"words":"3f800000"}},"expected":{"y":{"dtype":"F32","shape":[1,3,3,1],"words":"3f800000 3f800000 3f800000 3f800000 3f800000 3f800000 3f800000 3f800000 3f800000"}}}]}' > pool-a.json
sed 's/3f800000"}}/3f800001"}}/2' pool-a.json | sed 's/\(.*\)3f800000"/\13f800001"/' > pool-b.json
call compare pool-a.json pool-b.json --explain
holds 4 "causes"
verdict "a pool with a kernel of 4096 is explained in no time" "$why"
sed 's/4096/67108864/; s/4095/67108863/' pool-a.json > huge-a.json
sed 's/4096/67108864/; s/4095/67108863/' pool-b.json > huge-b.json
call compare huge-a.json huge-b.json --explain
holds 4 "larger computations"
verdict "a pool with a larger one is not done again" "$why"

printf '{"schema":"ddome-vectors-1","vectors":[]}' > B.json
call compare A.json B.json
holds 4
grep -q 'B.json has nothing that A.json has' err || why="$why; $(cat err)"
verdict "an empty answer is a difference" "$why"
printf '{"schema":"ddome-vectors-1","vectors":[{"id":"x","expected":3}]}' > B.json
fails "a damaged answer" 3 "B.json: vector x: expected" compare A.json B.json
printf '{"schema":' > B.json
fails "a cut answer" 3 "B.json" compare A.json B.json

# A folder of levels and one of answers; what is not there is missing.
rm -rf levels answers
mkdir levels answers
cp A.json levels/a.json
sed 's/"id":"/"id":"b-/; s/"mixed"/"more"/' A.json > levels/b.json
printf '{"schema":"ddome-vectors-1","files":[{"name":"a.json"},{"name":"b.json"},{"name":"schema.json"}]}' > levels/manifest.json
"$deviate" levels/a.json answers/a.json dampening
differs "folders" levels answers "mixed                        9         2         0" \
    "more                         0         0        11" "one deviation explains all 2 differences: dampening"
cp A.json one.json
equal "a file of answers to a folder" levels one.json
printf '{"files":[{"name":"../a.json"}]}' > levels/manifest.json
fails "a manifest that leads out of its folder" 3 "levels/manifest.json: expected \"files\"" compare levels answers

# Ids that A does not have are counted and no difference.
sed 's/"id":"sum-1"/"id":"sum-one"/' A.json > B.json
equal "an id that A does not have" A.json B.json
grep -q '^1 id of B is unknown, first sum-one$' out && grep -q '^equal as far as B has what A has$' out
verdict "is counted and shown" "$([ $? -eq 0 ] || head out err)"
call compare A.json B.json --json
holds 0 '"unknown": 1, "first_unknown": "sum-one"'
verdict "and stands in JSON" "$why"
sed 's/"id":"\(sgd\|conv\)/"id":"\1x/' A.json > B.json
equal "several of them" A.json B.json
grep -q '^4 ids of B are unknown, first convx-1$' out
verdict "are counted" "$([ $? -eq 0 ] || head out err)"
printf '{"schema":"ddome-vectors-1"}' > levels/manifest.json
fails "a manifest of vectors without files" 3 "levels/manifest.json: expected \"files\"" compare levels answers
printf '{"schema":"ddome-vectors-1","files":[{"name":"a.json"},{"name":"b.json"}]}' > levels/manifest.json
sed '/"id":"b-sum-1"/s//"id":"b-sum-one"/; s/"id":"/"id":"b-/' A.json > all.json
call compare levels all.json
holds 0 "more                        11         0         0"
! grep -q unknown out || why="$why; $(grep unknown out)"
verdict "one file of answers to all levels has none" "$why"
sed 's/"id":"b-sum-1"/"id":"c-sum-1"/' all.json > one.json
call compare levels one.json
holds 0 "1 id of B is unknown, first c-sum-1"
verdict "but those of no level, once" "$why"
rm -rf answers
mkdir answers
cp A.json answers/other.json
fails_with_results() { # NAME STATUS PART ARGS: as fails, with findings on standard output
    name=$1
    want=$2
    part=$3
    shift 3
    call "$@"
    holds "$want"
    grep -q -F -e "$part" err || why="$why; the line lacks '$part': $(head -n 1 err)"
    verdict "$name" "$why"
}
fails_with_results "answers under other names" 4 "answers has nothing that levels has; expected a file named a.json" \
    compare levels answers

# The example of docs/checking.md as it is written there.
page=$root/docs/checking.md
if [ -e "$page" ] && [ -e "$root/tests/vectors/manifest.json" ]; then
    rm -rf page
    mkdir -p page/my-answers page/tests
    cp -r "$root/tests/vectors" page/tests/vectors
    cp "$program" page/ddome
    file=$(sed -n 's/.*`\(my-answers\/[^`]*\)`.*/\1/p' "$page" | head -n 1)
    awk '/^ *{"schema"/ { on = 1 } on && !NF { exit } on' "$page" > "page/${file:-none}"
    command=$(sed -n 's/^ *\(\.\/ddome compare .*my-answers.*\)/\1/p' "$page")
    (cd page && sh -c "${command:-false}") > out 2> err
    status=$?
    holds 0 "sum                          1         0        17" "equal as far as B has what A has"
    ! grep -q unknown out || why="$why; $(grep unknown out)"
    verdict "the example of docs/checking.md" "$why"
fi

# The vectors of the project catch each of these, and its cause is named for all at once.
levels=$root/tests/vectors
if [ -e "$levels/manifest.json" ]; then
    for word in reversed-order one-level-sums fused mean-by-reciprocal ties-to-higher-index dampening \
        biased-running-variance reversed-order+fused one-level-sums+fused-everywhere; do
        rm -rf answers
        mkdir answers
        for file in "$levels"/0[3-9]*.json "$levels"/1[0-6]*.json; do
            "$deviate" "$file" "answers/${file##*/}" ${word%+*} ${word#*+} 2> err || cat err
        done
        call compare "$levels" answers --explain
        line=$(grep -E '^  (one deviation explains|two deviations together explain) all [0-9]+ differences: ' out | tr -d ' ')
        why=
        [ "$status" -eq 4 ] || why="status $status"
        [ "${line##*:}" = "$word" ] || why="$why; $(sed -n '/^causes/,$p' out | tr '\n' '|')"
        verdict "tests/vectors catch $word" "$why"
    done
fi

# ---- traces ----

# line PASS NAME TENSOR OP SHAPE DIGIT [MORE]: an event whose hash is one digit 64 times.
line() {
    hash=$(printf '%064d' 0 | tr 0 "$6")
    printf '{"key":"r1/c0/s0/%s/%s/%s","round":1,"client":0,"step":0,"pass":"%s","op":"%s","name":"%s","tensor":"%s","dtype":"F32","shape":[%s],"sha256":"%s","first":["0x1p+0"]%s}\n' \
        "$1" "$2" "$3" "$1" "$4" "$2" "$3" "$5" "$hash" "${7:-}"
}

head_line='{"trace":"ddome-trace-1","specification":1,"arith":"ma"}'
inputs=',"inputs":{"x":"r1/c0/s0/data/images/value","w":"r1/c0/s0/start/gate/fc1.weight/value","b":"r1/c0/s0/start/gate/fc1.bias/value"}'
trace() { # DIGIT: of what comes from the product on
    echo "$head_line"
    line data images value given 2,3 1
    line start gate/fc1.weight value given 4,3 2
    line start gate/fc1.bias value given 4 3
    line forward gate/fc1 y linear 2,4 "$1" "$inputs"
    line forward gate/fc1.relu y relu 2,4 "$1"
    line backward gate/fc1 dy given 2,4 6
    line update gate/fc1.weight w sgd 4,3 "$1"
}
trace 4 > a.trace
cp a.trace b.trace
equal "two equal traces" a.trace b.trace
json "two equal traces as JSON" 0 compare a.trace b.trace
trace 5 > b.trace
differs "a trace" a.trace b.trace "first difference: r1/c0/s0/forward/gate/fc1/y, made by linear" \
    "A sha256 4444" "B sha256 5555" "2 later values differ, next:" "    r1/c0/s0/forward/gate/fc1.relu/y" \
    "forward            0         2" "backward           1         0" \
    "causes: A's inputs are not at hand; trace again with --trace-rounds 1-1 --trace-tensors 'r1/c0/s0/forward/gate/fc1/y,r1/c0/s0/data/images/value"
json "traces as JSON" 4 compare a.trace b.trace --explain
head -n 3 a.trace > short.trace
equal "a shorter trace has less" a.trace short.trace
call compare a.trace short.trace
holds 0 "5 values missing in B"
verdict "and that is counted" "$why"
sed '1s/"ma"/"fma"/' a.trace > b.trace
call compare a.trace b.trace
holds 0 "the profiles differ (SPEC 2.5): A has ma, B has fma"
verdict "traces of two profiles" "$why"

sed '3s/"sha256":"2/"sha256":"G/' a.trace > b.trace
fails "a damaged line of a trace" 3 "b.trace:3: expected sha256" compare a.trace b.trace
sed '5s/}$//' a.trace > b.trace
fails "a cut line of a trace" 3 "b.trace:5:" compare a.trace b.trace
sed '3s/"pass":"start"/"pass":"begin"/' a.trace > b.trace
fails "an unknown pass" 3 "b.trace:3: expected a pass" compare a.trace b.trace
sed '1s/trace-1/trace-9/' a.trace > b.trace
fails "a trace of another form" 3 "b.trace:1: expected" compare a.trace b.trace
sed 3p a.trace > b.trace
fails "a key twice" 3 "b.trace: expected each key once" compare a.trace b.trace

# Of B's lines key and sha256 are enough; what stands there is compared.
{
    echo "$head_line"
    sed -n 's/^\({"key":"[^"]*"\).*\("sha256":"[^"]*"\).*/\1,\2}/p' a.trace
} > b.trace
equal "key and sha256 are enough in B" a.trace b.trace
grep -q '^0 values missing in B, 0 only in B$' out
verdict "for all lines" "$([ $? -eq 0 ] || head out err)"
fails "but not in A" 3 "b.trace:2: expected the texts key, op, name and tensor" compare b.trace a.trace
sed 's/4444"/4445"/' b.trace > c.trace
differs "a hash alone that differs" a.trace c.trace "first difference: r1/c0/s0/forward/gate/fc1/y, made by linear"
sed '3s/"sha256"/"dtype":"F64","sha256"/' b.trace > c.trace
differs "a form of B's own" a.trace c.trace "A is F32, B is F64"
sed '3s/"sha256"/"op":"relu","sha256"/' b.trace > c.trace
equal "another op in B" a.trace c.trace
grep -q '^1 lines of B name another op, pass or tensor than A, first r1/c0/s0/start/gate/fc1.weight/value$' out
verdict "is counted" "$([ $? -eq 0 ] || head out err)"
sed '3s/"sha256"/"pass":"begin","sha256"/' b.trace > c.trace
fails "an unknown pass of B's own" 3 "c.trace:3: expected a pass" compare a.trace c.trace

# A list of inputs that names no keys, tensors of another trace, escapes in a key.
average() { # KEY COPIES DIGIT
    echo "$head_line"
    printf '{"key":"?","pass":"average","op":"given","name":"n","tensor":"w","dtype":"F32","shape":[1],"sha256":"%s"}\n' \
        e00e5eb9444182f352323374ef4e08ebcb784725fdd4fd612d7730540b3e0c8c # of 1.0
    printf '{"key":"%s","pass":"average","op":"average","name":"n","tensor":"w","dtype":"F32","shape":[1],"sha256":"%s","attributes":{"uniform":1},"inputs":{"copies":%s,"samples":{"dtype":"U32","shape":[1],"words":"1"}}}\n' \
        "$1" "$(printf '%064d' 0 | tr 0 "$3")" "$2"
}
one_tensor() { # NAME FILE: a float of 1.0 under that name
    head="{\"$1\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    printf "\\$(printf '%03o' ${#head})\\000\\000\\000\\000\\000\\000\\000%s\\000\\000\\200\\077" "$head" > "$2"
}
one_tensor '?' copies-a.trace.safetensors
for copies in '[5]' '[null]' '[]' '5' '[[]]' '["?",{}]'; do
    average r1/average/x/w "$copies" 1 > copies-a.trace
    average r1/average/x/w "$copies" 2 > copies-b.trace
    differs "copies of $copies" copies-a.trace copies-b.trace "causes: A's inputs are not at hand"
done
average 'r1/\u001b[31m\nequal\n/w' '["?"]' 1 > copies-a.trace
average 'r1/\u001b[31m\nequal\n/w' '["?"]' 2 > copies-b.trace
differs "escape sequences in a key" copies-a.trace copies-b.trace 'first difference: r1/\x1b[31m\x0aequal\x0a/w, made' \
    "--trace-tensors 'r1/??31m?equal?/w,?'"
average r1/average/x/w '["?"]' 1 > copies-a.trace
average r1/average/x/w '["?"]' 2 > copies-b.trace
call compare copies-a.trace copies-b.trace --explain
holds 4 "r1/average/x/w: nothing explains it"
verdict "a list of keys whose elements stand beside" "$why"
one_tensor r1/average/x/w copies-a.trace.safetensors # not that of its line
one_tensor r1/average/x/w copies-b.trace.safetensors
call compare copies-a.trace copies-b.trace --ulp 1
holds 4 "A sha256 1111" "the tensors beside copies-a.trace are of another trace: 1 have not the sha256"
verdict "tensors of another trace make nothing equal" "$why"
json "and in JSON" 4 compare copies-a.trace copies-b.trace --relative 1

# The engine's own trace: the first product of profile fma is fused.
call train $tiny --out traced --force --quiet --trace ma.trace --trace-tensors 'r0/s0/*' --trace-rounds 0-0
if [ "$status" -eq 0 ]; then
    call train $tiny arith=fma --out traced --force --quiet --trace fma.trace --trace-tensors 'r0/s0/*' --trace-rounds 0-0
    differs "traces of both profiles" ma.trace fma.trace "r0/s0/forward/common/fc1/y, made by linear" "element" \
        "one deviation explains it: fused"
fi

# The engine's own traces: each algorithm's is read, with every pass of it.
for algo in ddome fedavg common fedprox scaffold ensemble "fedmix top_k=2" "local eval_scope=seen" ifca head; do
    keys=$algo
    algo=${algo%% *}
    call train $tiny algo=$keys rounds=1 --out traced --force --quiet --trace $algo.trace
    equal "a trace of $algo" $algo.trace $algo.trace
done
for algo in fedprox scaffold; do
    call compare $algo.trace $algo.trace
    grep -q '^correct  *[1-9][0-9]* *0$' out
    verdict "pass correct of $algo" "$([ $? -eq 0 ] || head out err)"
done
printf 'correct exact\n' > near.txt
equal "a tolerance of the pass correct" scaffold.trace scaffold.trace --tolerances near.txt

# Another rate is none of the deviations: the lines say so themselves.
round_one="--force --quiet --trace-rounds 1-1 --trace-tensors *"
set -f
call train $tiny rounds=1 --out traced --trace slow.trace $round_one
call train $tiny rounds=1 lr=0.049 --out traced --trace fast.trace $round_one
set +f
differs "traces of two rates" slow.trace fast.trace "made by sgd" "B states lr " "nothing explains it"
grep -q 'B states lr 3d48b439 (0.0489999987), A ' out && ! grep -q 'comes nearest' out
verdict "name both, and nothing is near" "$([ $? -eq 0 ] || head out err)"
json "and in JSON" 4 compare slow.trace fast.trace --explain
grep -q '"stated": \[{"name": "lr", "a": "[^"]*", "b": "3d48b439 (0.0489999987)"}\]' out && ! grep -q '"nearest"' out
verdict "with the same words" "$([ $? -eq 0 ] || head out err)"
mv fast.trace.safetensors kept
differs "elements of one side" slow.trace fast.trace "elements of B are not at hand: trace again with"
differs "of the other" fast.trace slow.trace "elements of A are not at hand: trace again with"
mv slow.trace.safetensors fast.trace.safetensors # a start is the same in both, what is made of it not
differs "tensors of another trace with --explain" slow.trace fast.trace "elements of A and B are not at hand"
grep -q '^the tensors beside fast.trace are of another trace: 1 have not the sha256' out
verdict "are counted once" "$([ $? -eq 0 ] || head out err)"

# ---- the platform: SPEC 3.7 ----

# A library that rounds upwards, or flushes subnormals, before main begins.
cat > upward.c << 'END'
#include <fenv.h>
__attribute__((constructor)) static void upward(void)
{
    fesetround(FE_UPWARD);
}
END
echo 'int nothing_of_its_own;' > flush.c
for row in "upward::rounding" "flush:-ffast-math:subnormal"; do
    library=${row%%:*}
    flags=${row#*:}
    if ${CC:-cc} -shared -fPIC ${flags%:*} -o $library.so $library.c -lm 2> err &&
        LD_PRELOAD="$PWD/$library.so" "$program" selftest > out 2> err; [ $? -eq 4 ]; then
        LD_PRELOAD=$PWD/$library.so
        export LD_PRELOAD
        fails "$library: self-test before --explain" 4 "${row##*:}" compare A.json B.json --explain
        fails "$library: self-test before a tolerance" 4 "${row##*:}" compare A.json A.json --relative 1e-5
        fails "$library: self-test before probe write" 4 "${row##*:}" probe write probe.json
        fails "$library: self-test before probe read" 4 "${row##*:}" probe read any.json any.json
        call compare A.json A.json
        unset LD_PRELOAD
        holds 0 equal
        verdict "$library: bits alone are compared" "$why"
        [ ! -e probe.json ]
        verdict "$library: no probe is written" "$([ $? -eq 0 ] || ls)"
    else
        skipped=$((skipped + 1))
        echo "skipped compare $library: no such library can be put before the program here"
    fi
done

# ---- kinds and options ----

fails "two kinds" 2 "expected two of one kind, found a run (run) and a trace (a.trace)" compare run a.trace
fails "a model and vectors" 2 "found a model (safetensors)" compare model.st A.json
fails "nothing there" 3 "cannot open nothing" compare run nothing
echo hello > text
fails "none of these" 3 "text: expected a run folder, safetensors, a trace or vectors" compare text text
fails "one argument" 2 "too few arguments" compare run
fails "a distance that is none" 2 "--ulp: expected a whole number below 10^18, found -1" compare run run --ulp -1
fails "a share that is none" 2 "--relative: expected a decimal from 0 on, found x" compare run run --relative x
fails "tolerances twice" 2 "expected --tolerances or --ulp and --relative" compare run run --ulp 1 --tolerances near.txt
fails "no tolerance file" 2 "missing.txt" compare run run --tolerances missing.txt
printf 'conv ulp\n' > near.txt
fails "a damaged tolerance file" 2 "near.txt:1: expected LEVEL ulp N" compare run run --tolerances near.txt
for words in "probe write" "probe read" "data check" "partition describe"; do
    call help $words
    holds 0 "usage: ddome $words "
    [ "$(grep -c '^usage: ' out)" -eq 1 ] || why="$why; $(grep '^usage: ' out | tr '\n' '|')"
    verdict "help $words" "$why"
done
fails "help on a second word that is none" 2 'no help on "probe wirte"; the nearest is probe write' help probe wirte
fails "help on a second word of a command of one" 2 'no help on "train x"; the nearest is train;' help train x
fails "an option of compare elsewhere" 2 "takes no --explain" report run --explain
if [ -e "$root/tests/vectors/tolerances.txt" ]; then
    equal "the tolerances of tests/vectors" run run --tolerances "$root/tests/vectors/tolerances.txt"
fi

# ---- probe ----

call probe write probe.json
holds 0 "vectors    probe.json"
verdict "probe write" "$why"
if [ -n "$python" ]; then
    "$python" "$root/tests/vectors_schema.py" probe.json > out 2> err
    verdict "probe write keeps schema.json" "$([ $? -eq 0 ] || cat out err)"
fi
cp probe.json first.json
call probe write probe.json
cmp -s probe.json first.json
verdict "probe write again gives the same bytes" "$([ $? -eq 0 ] || echo differs)"
call probe read probe.json probe.json
holds 0 "order      as specified (chains of 256, totals ascending)" "(0..255) + (256..511) + (512..599)" \
    "products   rounded"
verdict "the probe's own answers" "$why"
json "probe read as JSON" 0 probe read probe.json probe.json
for row in "reversed-blocks:reversed, in blocks of 256" "one-level-sums:one-level ascending" \
    "lanes-8:lanes-8 combined in order" "double-accumulator:exact: the accumulator is wider" \
    "fused:as specified"; do
    "$deviate" probe.json answers.json "${row%%:*}"
    call probe read probe.json answers.json
    holds 0 "${row#*:}"
    verdict "probe of ${row%%:*}" "$why"
done
grep -q '^products   fused with the sum (fma)$' out
verdict "probe of products" "$([ $? -eq 0 ] || head out err)"
printf '{"schema":"ddome-vectors-1","vectors":[]}' > part.json
call probe read probe.json part.json
holds 0 "k = 32     no answer" "order      none: no answers"
verdict "probe without answers" "$why"
printf '{"schema":"ddome-vectors-1","vectors":[{"id":"probe.order_32","expected":{"c":{"dtype":"F32","shape":[1],"words":"00000000"}}}]}' > form.json
fails "answers of another form" 3 "probe.order_32: expected c as F32 [496,1]" probe read probe.json form.json
fails "vectors that are no probe" 3 "expected what \`ddome probe write\`" probe read A.json probe.json
fails "probe into a folder that is not there" 5 "no/probe.json" probe write no/probe.json
fails "a name that vectors cannot have" 2 "begins with no dot" probe write .probe

cd "$root" || exit 1
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
