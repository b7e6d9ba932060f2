#!/bin/sh
# SPDX-License-Identifier: MIT
# What a compiler does not see: direction of includes, lengths, heads, floats in printf, citations of SPEC.md, formatting.
# Prints one line a finding; exit 1 when there is one.
set -u

findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
sources=$(find nn data fl tools tests ddome.c ddome.h -name '*.c' -o -name '*.h' -o -name '*.cc' | LC_ALL=C sort)

say() {
    echo "$*" >>"$findings"
}

# Includes look left only: nn < data < fl < ddome.c < tools, tests. data/ uses a few rooms of nn/.
forbid() { # FOLDER PATTERN WHY
    grep -nE "^#include \"(\.\./)?($2)" "$1"/*.c "$1"/*.h 2>/dev/null | while read -r line; do
        say "$line: $3"
    done
}
forbid nn 'data/|fl/|tools/|tests/' 'nn/ knows neither data nor clients'
forbid data 'fl/|tools/|tests/' 'data/ does not know clients'
forbid data 'nn/(kernels|chain|gemm|sum|linear|conv|norm|act|pool|loss|graph|param|init|optim|resnet|mlp)' \
    'data/ does not compute'
forbid fl 'tools/|tests/' 'fl/ does not look up'
grep -nE '^#include "(tools|tests)/' ddome.c && say "ddome.c looks up"

for file in $sources; do
    head -n 1 "$file" | grep -q 'SPDX-License-Identifier: MIT' || say "$file:1: no SPDX line"
    lines=$(wc -l <"$file")
    [ "$lines" -le 700 ] || say "$file: $lines lines, at most 700"
    awk -v f="$file" 'length > 100 { print f ":" NR ": over 100 columns" }' "$file" >>"$findings"
done

# Only arena.c and the public handles of fl/entry.c ask the C library for memory; only tools/ prints or exits.
grep -nE '\b(malloc|calloc|realloc)\(' nn/*.c data/*.c fl/*.c ddome.c | grep -vE '^(nn/arena|fl/entry)\.c' >>"$findings"
grep -nE '\b(printf|fprintf|puts|exit|abort)\(' nn/*.c data/*.c fl/*.c ddome.c | grep -v '^nn/os_' >>"$findings"
# Hashed text never comes from printf of a float.
grep -nE '%[0-9.]*[feg]' fl/*.c data/*.c >>"$findings"

# Every clause that is cited exists.
grep -ohE 'SPEC [0-9]+(\.[0-9]+)*((,| to| and) [0-9]+(\.[0-9]+)+)*' $sources | grep -oE '[0-9]+(\.[0-9]+)*' | sort -u |
    while read -r clause; do
    grep -qE "^(#+ )?(\*\*)?${clause}[a-z]?([ .*]|$)" SPEC.md || say "SPEC.md has no clause $clause"
done

# The deviations of SPEC 19.5 are those of the table, in its order.
code=$(tr '\n' ' ' <nn/variant.c | grep -oE 'CHOICE\([A-Z0-9_]+, *"[^"]+"' | sed 's/.*"\(.*\)"/\1/')
text=$(sed -n '/^### 19\.5 /,/^### 19\.6 /s/^| `\([a-z0-9-]*\)` .*/\1/p' SPEC.md)
if [ -z "$code" ] || [ "$code" != "$text" ]; then
    say "SPEC.md 19.5 and nn_deviation_table name other deviations"
fi

# An operator at the start of a line would become a bullet and vanish from a formula.
awk '/^$/ { fresh = 1; next } /^[-+*] / && !fresh && !list { print "SPEC.md:" NR ": an operator reads as a bullet" }
    { list = /^[-+*] / || (list && /^  /); fresh = 0 }' SPEC.md >>"$findings"

# docs/clauses.md is made from the citations.
if command -v python3 >/dev/null 2>&1; then
    python3 tools/clauses.py --check >>"$findings"
else
    echo "skipped docs/clauses.md: python3 is missing"
fi

if command -v clang-format >/dev/null 2>&1; then
    for file in $sources; do
        clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || say "$file: not formatted (clang-format -i)"
    done
else
    echo "skipped formatting: clang-format is missing"
fi

if [ -s "$findings" ]; then
    cat "$findings"
    exit 1
fi
echo "ok lint"
