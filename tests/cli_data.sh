#!/bin/sh
# SPDX-License-Identifier: MIT
# Command line tests of data sets and partitions: tests/cli_data.sh PROGRAM SCRATCH_DIR. IDX files,
# the keys that config.toml leaves out, kinds of partition there and back, what is refused with 2.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_data "$@"

# labels FIRST COUNT: so many bytes, 10 labels in turn.
labels() {
    i=0
    while [ "$i" -lt "$2" ]; do
        printf "\\0$(printf '%o' $(($1 + i % 10)))"
        i=$((i + 1))
    done
}

# idx FOLDER STEM COUNT FIRST: COUNT below 256 records of zeros.
idx() {
    mkdir -p "$1"
    count=$(printf '\\%03o' "$3")
    {
        printf "\0\0\010\003\0\0\0$count\0\0\0\034\0\0\0\034"
        zeros $((784 * $3))
    } > "$1/$2-images-idx3-ubyte"
    {
        printf "\0\0\010\001\0\0\0$count"
        labels "$4" "$3"
    } > "$1/$2-labels-idx1-ubyte"
}

# ---- IDX: SPEC 7.8, 18.3.1 ----

idx sets/mnist train 60 0
idx sets/mnist t10k 20 0
idx sets/emnist emnist-letters-train 60 1
idx sets/emnist emnist-letters-test 20 1
call data check sets
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
[ "$(cat out)" = "ok mnist
ok emnist-letters" ] || why="$why; $(cat out)"
verdict "data check finds MNIST and one way of EMNIST" "$why"
call data info sets/emnist
why=
[ "$status" -eq 0 ] && grep -q '^emnist-letters: 28 x 28 x 1, 26 classes$' out &&
    grep -q '^train: 60 records' out || why="status $status: $(cat out err)"
verdict "data info of EMNIST" "$why"
fails "another way of EMNIST" 3 "emnist-byclass-train-images-idx3-ubyte is missing" \
    partition describe data=emnist data_dir=sets
mv sets/mnist/train-images-idx3-ubyte sets/mnist/train-images-idx3-ubyte.gz
fails "a compressed file" 3 "gunzip" data check sets
mkdir packed packed/mnist
for name in t10k-labels-idx1 t10k-images-idx3 train-labels-idx1 train-images-idx3; do
    printf '\037\213\010' > "packed/mnist/$name-ubyte.gz"
done
fails "all files compressed" 3 "packed/mnist/train-images-idx3-ubyte.gz is compressed" \
    partition describe data=mnist data_dir=packed
fails "data check of compressed files" 3 "packed/mnist/train-images-idx3-ubyte.gz is compressed" data check packed
idx part/mnist train 60 0
fails "no test file" 3 "part/mnist/t10k-images-idx3-ubyte is missing" partition describe data=mnist data_dir=part
mkdir part/cifar-10-batches-bin
fails "an empty folder of CIFAR-10" 3 "part/cifar-10-batches-bin/data_batch_1.bin is missing" \
    partition describe data=cifar10 data_dir=part
idx sets/mnist train 60 1
fails "a label beyond the classes" 3 "offset 17: expected a label 0..9, found 10" data check sets
idx sets/mnist train 60 0

mnist="data=mnist data_dir=sets arch=mlp hidden=4 gate_hidden=4 clients=4 experts=2 top_k=1
active_anchors=1 active_normal=1 rounds=1 batch=8 pretrain_epochs=1 labels_per_client=2
holdout_clients=1 unseen_clients=2 eval_every=1"
echo 'train 0' > list.txt
call train $mnist partition=shards exclude=list.txt --out left_out --quiet
if grep -q 'plain C99 cannot make' err; then
    skip "a run on MNIST" "plain C99 cannot make a folder"
else
    why=
    [ "$status" -eq 0 ] || why="status $status: $(cat err)"
    grep -q '"data": "mnist"' left_out/manifest.json &&
        grep -q '"train_records": 59,' left_out/manifest.json || why="$why; manifest"
    ! grep -q -e emnist_split -e cifar100_labels -e beta -e shards_per_client left_out/config.toml ||
        why="$why; keys at their defaults in config.toml"
    verdict "a run on MNIST that leaves a record out" "$why"
    call eval left_out data_dir=sets exclude=list.txt --quiet
    why=
    [ "$status" -eq 0 ] || why="status $status: $(cat err)"
    verdict "eval of it" "$why"
    call train data=emnist emnist_split=letters $mnist data=emnist partition=quantity beta=2 \
        min_size=2 --out letters --quiet
    why=
    [ "$status" -eq 0 ] || why="status $status: $(cat err)"
    grep -q '^emnist_split = "letters"$' letters/config.toml &&
        grep -q '^beta = 2$' letters/config.toml || why="$why; config.toml"
    grep -q '"dirichlet_draws": [1-9]' letters/manifest.json || why="$why; no draws"
    verdict "a run on EMNIST letters, sizes drawn" "$why"
fi

# SPEC 16.1.6: these keys are marked in SPEC 16.3.
if [ -f "$root/SPEC.md" ]; then
    why=
    for key in cifar100_labels emnist_split shards_per_client beta; do
        grep -q "^| \`$key\` + |" "$root/SPEC.md" || why="$why $key"
    done
    verdict "SPEC 16.3 marks the keys that config.toml leaves out" "$why"
fi

# ---- partitions there and back: SPEC 8.7, 8.10, 8.11 ----

for kind in "partition=shards shards_per_client=3" "partition=quantity beta=0.3 min_size=3"; do
    call partition write $tiny $kind --out drawn.csv
    why=
    [ "$status" -eq 0 ] || why="status $status: $(cat err)"
    call partition write $tiny partition=file partition_file=drawn.csv
    [ "$status" -eq 0 ] && cmp -s out drawn.csv || why="$why; status $status: $(cat err)"
    verdict "$kind, read back" "$why"
done
call partition describe $tiny partition=dirichlet alpha=0.01 clients=300 min_size=1 max_draws=3
why=
[ "$status" -eq 0 ] && grep -q '^Dirichlet draws 3, repaired$' out ||
    why="status $status: $(cat out err)"
verdict "many clients at alpha = 0.01 end in the repair" "$why"

# ---- refused with 2, before anything is made: SPEC 8.3, 8.4.4, 8.5.1, 16.3, 16.4.3 ----

fails "anchors' labels beyond the classes" 2 "2 anchors with 4 disjoint labels each" \
    train $tiny anchor_labels=4 --out run
fails "anchors' groups of labels beyond the classes" 2 "8 anchors with 2 disjoint labels each" \
    train "$root/tools/presets/baselines.toml" experts=8 --out run
fails "more active anchors than there are" 2 "active_anchors = 3: expected at most anchor_clients" \
    train $tiny active_anchors=3 --out run
fails "anchors that are not the experts" 2 "anchor_clients = 3: expected 0 or experts = 2" \
    train $tiny anchor_clients=3 --out run
for key in alpha beta; do
    fails "$key = 0" 2 "$key: expected a decimal above 0" train $tiny $key=0 --out run
    fails "$key below 0" 2 "$key: expected a decimal above 0" train $tiny $key=-1 --out run
done
fails "alpha next to 0" 2 "alpha: expected 0.0009765625 (2^-10) .. 1048576 (2^20), found a smaller value; raise it" \
    train $tiny partition=dirichlet alpha=0.0001 --out run
fails "beta next to 0" 2 "beta: expected 0.0009765625 (2^-10) .. 1048576 (2^20), found a smaller value; raise it" \
    train $tiny partition=quantity beta=0.0001 --out run
fails "min_size beyond the samples" 2 "min_size = 61: expected 1..60, the 360 training samples over 6 clients; move it inside" \
    train $tiny partition=quantity min_size=61 --out run
fails "more shards than samples" 2 "shards_per_client = 61: expected 1..60" \
    train $tiny partition=shards shards_per_client=61 --out run
fails "no shard" 2 "shards_per_client: expected a whole number" \
    train $tiny partition=shards shards_per_client=0 --out run
fails "exclude of generated data" 2 "expected data = cifar10, cifar100, mnist or emnist" \
    train $tiny exclude=list.txt --out run
fails "an unknown way of EMNIST" 2 "emnist_split: expected byclass, bymerge" \
    train $tiny emnist_split=all --out run

totals
