#!/bin/sh
# SPDX-License-Identifier: MIT
# Does this build make tests/vectors, byte for byte? tests/vectors.sh MAKER SCRATCH_DIR. One line a file, then the totals.
set -u

maker=$1
scratch=$2
kept=$(dirname "$0")/vectors
log=$scratch.log

rm -rf "$scratch"
: >"$log"
if ! "$maker" "$scratch" >"$scratch.out" 2>"$scratch.err"; then
    echo "FAIL vectors: $(tail -n 1 "$scratch.err")" >>"$log"
fi
for file in "$kept"/[0-9]*.json "$kept"/[0-9]*.safetensors "$kept"/manifest.json; do
    name=$(basename "$file")
    if cmp -s "$file" "$scratch/$name"; then
        echo "ok vectors: $name" >>"$log"
    else
        echo "FAIL vectors: $name is not what this build makes; make vectors shows the change to git diff" >>"$log"
    fi
done
for file in "$scratch"/*; do
    [ -f "$kept/$(basename "$file")" ] || echo "FAIL vectors: $(basename "$file") is made and not kept" >>"$log"
done
root=$(sed -n 's/^"root": "\(.*\)"$/\1/p' "$kept/manifest.json")
if [ "$(cat "$scratch.out")" = "$root  root hash of the vectors" ]; then
    echo "ok vectors: root hash $root" >>"$log"
else
    echo "FAIL vectors: expected the root hash $root, found $(cat "$scratch.out")" >>"$log"
fi

cat "$log"
passed=$(grep -c '^ok ' "$log")
failed=$(grep -c '^FAIL ' "$log")
rm -rf "$scratch" "$scratch.out" "$scratch.err" "$log"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
