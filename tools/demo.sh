#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo: one common expert, FedAvg with three learning rates, DDOME; the same clients and rounds for all. Two runs at a time.
# Usage: demo.sh [OUT [SEED]]
set -eu

out=${1:-runs/demo}
seed=${2:-1}
preset=tools/presets/demo.toml
common="common=$out/pretrain/common.safetensors"

train() { # NAME key=value...
    name=$1
    shift
    ./ddome train "$preset" "$common" "$@" --seed "$seed" --out "$out/$name" --quiet >"$out/$name.log" 2>&1 || {
        cat "$out/$name.log" >&2
        return 1
    }
}

both() { # waits for two background jobs; fails when one failed
    wait "$1" && wait "$2"
}

rm -rf "$out"
mkdir -p "$out"
echo "common expert ..." >&2
./ddome pretrain "$preset" --seed "$seed" --out "$out/pretrain" --quiet >"$out/pretrain.log"
echo "DDOME, FedAvg with three learning rates, the common expert alone ..." >&2
{ train ddome algo=ddome && train fedavg-0.002 algo=fedavg lr=0.002; } &
first=$!
{ train fedavg-0.01 algo=fedavg lr=0.01 && train fedavg-0.05 algo=fedavg lr=0.05 && train common algo=common; } &
both $first $!

# FedAvg's learning rate: the best mean accuracy on the held-out clients, the lowest rate among equals.
best=
most=-1
for lr in 0.002 0.01 0.05; do
    held=$(./ddome eval "$out/fedavg-$lr" eval_scope=holdout --quiet --json | sed 's/.*"accuracy_mean": *"\{0,1\}\([0-9.]*\).*/\1/')
    if [ "$(printf '%s\n%s\n' "$most" "$held" | sort -n | tail -n 1)" != "$most" ]; then
        most=$held
        best=$lr
    fi
done

echo
./ddome report "$out/common" "$out/fedavg-0.002" "$out/fedavg-0.01" "$out/fedavg-0.05" "$out/ddome"
echo
echo "FedAvg's learning rate by the held-out clients: $best (mean accuracy $most there)"
