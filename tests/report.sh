#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests of the table of several runs, of failure signatures, of the presets: tests/report.sh PROGRAM
# SCRATCH_DIR. SPEC 14.6 to 14.9, 18.3.6 to 18.3.10.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin report "$@"

# ---- presets: they parse, and the small ones pass `plan` ----

cd "$root" || exit 1
for preset in tools/presets/*.toml; do
    name=$(basename "$preset" .toml)
    "$program" config "$preset" > "$work/out" 2> "$work/err"
    status=$?
    verdict "preset $name" "$([ "$status" -eq 0 ] || echo "status $status: $(cat "$work/err")")"
    case $name in paper_* | cifar10) continue ;; esac
    why=
    for seed in 1 2 3; do # those of --seeds 1,2,3
        "$program" partition describe "$preset" --seed $seed > /dev/null 2> "$work/err" ||
            why="$why; seed $seed: $(cat "$work/err")"
    done
    verdict "three seeds of preset $name" "$why"
    "$program" plan "$preset" > "$work/out" 2> "$work/err"
    status=$?
    why=
    [ "$status" -eq 0 ] && grep -q '^run bytes down: [1-9]' "$work/out" || why="status $status: $(cat "$work/err")"
    verdict "plan of preset $name" "$why"
done
# the rows of a table, as tools/presets/README.md words them: the same clients in each (SPEC 12.6.1)
awk '/^Rows of a table/{on=1} /^Controls that/{on=0} on' tools/presets/README.md |
    sed -n 's/^| [^|]* | `\(.*\)` |$/\1/p' > "$work/rows"
verdict "rows of a table" "$(grep -c '^algo=' "$work/rows" | grep -qx 9 || cat "$work/rows")"
for preset in tools/presets/small_*.toml; do
    why=
    "$program" partition write "$preset" > "$work/clients.csv" 2> "$work/err" || why=$(cat "$work/err")
    while read -r words; do
        "$program" partition write "$preset" $words > "$work/same.csv" 2> "$work/err" &&
            cmp "$work/clients.csv" "$work/same.csv" 2>> "$work/err" || why="$why; $words: $(cat "$work/err")"
    done < "$work/rows"
    verdict "clients of every row with preset $(basename "$preset" .toml)" "$why"
done
for preset in tools/presets/paper_*.toml; do
    small=tools/presets/small_${preset#tools/presets/paper_}
    verdict "a small sibling of $(basename "$preset")" "$([ -f "$small" ] || echo "no $small")"
    grep -q '^#   run bytes down: [1-9]' "$preset" || bad "$(basename "$preset")" "no figures of plan"
done

# Each row of the tables of tools/presets/README.md as it is typed: words that a preset of a table takes,
# with the partition of its other rows (D1).
anchors_of() {
    "$program" config "$@" 2> "$work/err" | sed -n 's/^anchor_clients = //p'
}
sed -n '/^Rows of a table/,$s/^| .* | \(`.*`\) |$/\1/p' tools/presets/README.md | tr '`' '\n' | grep '=' |
    sed 's/=R$/=5/' > "$work/words"
for preset in tools/presets/paper_*.toml tools/presets/small_*.toml; do
    why=
    own=$(anchors_of "$preset")
    while read -r words; do
        # shellcheck disable=SC2086 # words are split
        found=$(anchors_of "$preset" $words)
        [ -n "$found" ] && [ "$found" = "$own" ] || why="$why; $words: $found of $own anchors $(cat "$work/err")"
    done < "$work/words"
    [ "$(wc -l < "$work/words")" -ge 20 ] || why="$why; not all rows were found"
    verdict "rows of the table of $(basename "$preset" .toml)" "$why"
done
cd "$work" || exit 1

need_folders

# ---- runs to compare ----

for run in "base" "fedavg --algo fedavg" "common --algo common" "whole eval_scope=global"; do
    name=${run%% *}
    [ "$name" = "$run" ] && words= || words=${run#* }
    call train $tiny $words --out "$name" --quiet
    verdict "a run to compare: $run" "$([ "$status" -eq 0 ] || echo "status $status: $(cat err)")"
    [ ! -s err ] || bad "--quiet tells no signature" "$(cat err)"
done
call train $tiny --seeds 1,2,10 --out seeds --quiet
cp out seeds.out
verdict "three seeds to compare" "$([ "$status" -eq 0 ] || echo "status $status: $(cat err)")"

# cell FILE LINE NAME: of a CSV; no field before the last two holds a comma in these runs.
cell() {
    column=$(head -n 1 "$1" | tr ',' '\n' | grep -n "^$3\$" | cut -d : -f 1)
    sed -n "$2p" "$1" | cut -d , -f "$column"
}

# member RUN NAME: of its manifest.
member() {
    sed -n "s/^  \"$2\": \"*\([^\",]*\)\"*,*\$/\1/p" "$1/manifest.json"
}

# is NAME GOT WANT
is() {
    verdict "$1" "$([ "$2" = "$3" ] || echo "found $2, expected $3")"
}

call report base whole --text
verdict "sets of merged runs are told by their clients" \
    "$(grep -q '^base: chosen experts (clients) in the last evaluation: unseen .*; global 0 1 (1)$' out || cat out)"
call report base --text
verdict "those of one run are of its clients" "$(! grep 'last evaluation: [a-z]' out)"

# One run that looks at all kinds of clients has the lines of runs that look at one each (SPEC 13.8).
call train $tiny eval_also=holdout,global,seen --threads 2 --out several --quiet
verdict "a run on several kinds of clients" "$([ "$status" -eq 0 ] || echo "status $status: $(cat err)")"
call train $tiny eval_scope=seen --out seen --quiet
call report base whole seen --csv
sed 's/,[^,]*,[^,]*$//' out > merged.csv # signatures and path are their own
call report several --csv
sed 's/,[^,]*,[^,]*$//' out | grep -v ',holdout,' > one.csv
verdict "is the merged line of runs on one kind each" "$(cmp one.csv merged.csv 2>&1)"
is "and has one more" "$(grep -c ',holdout,' out)" 1
why=
for file in partition.csv clients.csv experts.csv comm.csv rounds.jsonl manifest.json final/expert_0.safetensors; do
    cmp base/$file several/$file > err 2>&1 || why="$why; $(cat err)"
done
verdict "and moves nothing else" "$why"
is "report names the clients of eval_scope" "$("$program" report several | sed -n '2s/ *[0-9].*//p' | tr -s ' ')" \
    "ddome unseen"
call eval several eval_scope=holdout --quiet
verdict "eval looks at eval_scope alone" "$(grep -q ',holdout,' out || cat err)"
call verify several --rounds all --quiet
verdict "and is done again alike" "$([ "$status" -eq 0 ] || cat err)"

# ---- the table ----

call report base fedavg common seeds whole --csv
verdict "report --csv of runs of three algorithms" "$([ "$status" -eq 0 ] || echo "status $status: $(cat err)")"
cp out table.csv
is "a line a method and kind of clients" "$(cut -d , -f 1-4 table.csv | tr '\n' ' ')" \
    "method,algo,clients,seeds ddome,ddome,unseen,1 ddome,ddome,global,1 fedavg,fedavg,unseen,1 \
common,common,unseen,1 ddome,ddome,unseen,3 "
is "accuracy is the manifest's" "$(cell table.csv 2 accuracy)" "$(member base accuracy_mean)"
is "mean of ten is the manifest's" "$(cell table.csv 4 last10)" "$(member fedavg accuracy_mean_last10)"
is "maximum is the manifest's" "$(cell table.csv 4 maximum_optimistic)" \
    "$(member fedavg accuracy_mean_maximum_optimistic)"
is "worst tenth is that of metrics.csv" "$(cell table.csv 2 worst10)" "$(tail -n 1 base/metrics.csv | cut -d , -f 15)"
is "the merged scope has its own accuracy" "$(cell table.csv 3 accuracy)" "$(member whole accuracy_mean)"
is "all bytes" "$(($(cell table.csv 2 bytes_once) + $(cell table.csv 2 bytes_moved)))" \
    "$(($(member base bytes_down) + $(member base bytes_up)))"

# SPEC 18.3.8: 4 participants, 2 rounds, M = 2, 6 clients.
p=$(member base expert_bytes)
g=$(member base gate_bytes)
is "bytes of FedAvg in closed form" "$(cell table.csv 2 bytes_fedavg)" "$((2 * p * 4 * 2))"
is "what FedAvg moved" "$(cell table.csv 4 bytes_moved)" "$((2 * p * 4 * 2))"
is "bytes of sending all experts" "$(cell table.csv 4 bytes_all_experts)" "$((2 * 2 * p * 4 * 2))"
is "what DDOME moved" "$(cell table.csv 2 bytes_moved)" "$((2 * (4 * 2 * (p + g) + 2 * 4)))"
is "the one-time cost apart" "$(cell table.csv 2 bytes_once) $(cell table.csv 4 bytes_once)" "$((6 * p)) 0"
is "ratios of FedAvg" "$(cell table.csv 4 ratio_fedavg) $(cell table.csv 4 ratio_all_experts)" "1.000000 0.500000"
is "no ratio where nothing trains" "$(cell table.csv 5 ratio_fedavg)" ""
is "messages and round trips" "$(cell table.csv 2 messages) $(cell table.csv 2 round_trips)" "$((6 + 2 * 12)) $((2 * 6))"

# SPEC 18.3.9.
call plan $tiny
is "trained samples are those of plan" "$(cell table.csv 2 trained_samples)" \
    "$(sed -n 's/^run training samples: //p' out)"
call train $tiny top_k=2 anchor_clients=2 epochs=2 --out two --quiet
call report two --csv
is "each counted for every expert it trains" "$(cell out 2 trained_expert_samples)" \
    "$(($(cell out 2 trained_samples) * 6 / 4))"

# Lost answers and parts of visits are no trained samples, and FedAvg is the measure of itself.
call train $tiny rounds=6 algo=fedavg dropout=0.5 straggler=0.5 straggler_share=0.3 epochs=3 --out thin --quiet
call report thin --csv
cp out thin.csv
call plan $tiny rounds=6 algo=fedavg dropout=0.5 straggler=0.5 straggler_share=0.3 epochs=3
is "trained samples of those who answered" "$(cell thin.csv 2 trained_samples)" \
    "$(sed -n 's/^run training samples: //p' out)"
is "FedAvg with the same answers lost" "$(cell thin.csv 2 ratio_fedavg) $(cell thin.csv 2 ratio_all_experts)" \
    "1.000000 0.500000"
[ "$(cell thin.csv 2 trained_samples)" -lt "$((3 * 3 * $(cell table.csv 4 trained_samples)))" ] ||
    bad "some answers are lost" "all samples were trained"
call train $tiny order=gate-first order_rounds=1 --out parts --quiet
call report parts --csv
is "held experts are not trained" "$(($(cell out 2 trained_expert_samples) * 2))" "$(cell table.csv 2 trained_expert_samples)"
call train $tiny last_batch=drop batch=50 --out whole-batches --quiet
call report whole-batches --csv
cp out whole.csv
call plan $tiny last_batch=drop batch=50
is "whole batches alone" "$(cell whole.csv 2 trained_samples)" "$(sed -n 's/^run training samples: //p' out)"
call train $tiny algo=head --out head --quiet
call report head --csv
is "a head is measured by FedAvg of whole experts" "$(cell out 2 bytes_fedavg)" "$(cell table.csv 4 bytes_fedavg)"

# ---- seeds ----

is "mean over seeds" "$(cell table.csv 6 accuracy | cut -c 1-6)" \
    "$(sed -n 's/^3 seeds    mean \([0-9.]*\),.*/\1/p' seeds.out | cut -c 1-6)"
is "deviation over seeds" "$(cell table.csv 6 accuracy_std | cut -c 1-6)" \
    "$(sed -n 's/.*standard deviation \([0-9.]*\)$/\1/p' seeds.out | cut -c 1-6)"
call report seeds --text
why=
grep -q '^ddome .* 3 .* +- ' out || why="no line of three seeds: $(head -n 2 out)"
[ "$(grep -c '^seeds/seed-[0-9]*: chosen' out)" -eq 3 ] || why="$why; not three seeds"
[ "$(grep '^seeds/seed-' out | cut -d : -f 1 | tr '\n' ' ')" = "seeds/seed-1 seeds/seed-2 seeds/seed-10 " ] ||
    why="$why; not in the order of numbers"
verdict "text of a folder of seeds" "$why"
call report seeds
is "the report of before takes the folder as its runs" "$(grep -c '^ddome .*seeds/seed-' out)" 3
mkdir mixed
cp -R seeds/seed-1 mixed/seed-1
cp -R fedavg mixed/seed-2
fails "seeds of different runs" 3 "found another algo" report mixed --text

# ---- forms ----

call train $tiny lr=0.05 cifar10_batches=1,2 --out other --quiet
call report base other --csv
is "a method is told by the keys that differ" "$(sed -n 3p out | cut -d , -f 1-4)" \
    '"ddome cifar10_batches=1,2 lr=0.05",ddome,unseen'
call report base other --markdown
is "Markdown" "$(sed -n 4p out | cut -d '|' -f 1-4)" "| ddome cifar10_batches=1,2 lr=0.05 | unseen | 1 "
call train $tiny hidden=9 lr=0.05 batch=17 gate_lr=0.2 gate_hidden=9 momentum=0 mix=probs --out far --quiet
call report base far --markdown
is "a method that many keys tell apart is told below" "$(sed -n 4p out | cut -d '|' -f 2)$(tail -n 1 out | cut -c 1-20)" \
    " ddome #2 ddome #2: ddome hidd"
grep -q '^Accuracies are means over the clients' out || bad "Markdown has a legend" "$(cat out)"
call train $tiny gate=oracle --out oracle --quiet
call report base fedavg common whole oracle far --markdown
is "a long method is told by what few rows have" "$(sed -n '3,$s/^|\([^|]*\)|.*/\1/p' out | tr '\n' '_')" \
    " ddome #1 _ ddome #1 _ fedavg #2 _ common #3 _ ddome #5 gate=oracle (uses labels) _ ddome #6 _"
for form in csv text; do
    call report oracle --$form
    verdict "an oracle is marked in $form" "$(grep -q '^ddome (uses labels)' out || cat out)"
done
call train $tiny algo=ifca init=common ifca_test=oracle --out ifca --quiet
call report ifca --csv
verdict "IFCA by labels is marked" "$(grep -q '^ifca (uses labels),' out || cat out)"
is "and in the manifests" "$(for run in oracle ifca fedavg base; do member "$run" uses_labels; done)" "true
true"
# A page that a reader of HTML takes, whatever a folder is called; the cells are those of Markdown.
cp -R base 'a<b>&c'
call report --html page.html 'a<b>&c' fedavg
is "--html FILE writes the page" "$status $(cat out)$(head -n 1 page.html)$(tail -n 1 page.html)" "0 <!DOCTYPE html></html>"
verdict "names are no tags" "$(grep -q '^a&lt;b&gt;&amp;c: chosen experts' page.html && ! grep 'a<b' page.html || echo "$?")"
call report 'a<b>&c' fedavg --markdown
sed -n '3,4s/^| \(.*\) |$/\1/p' out | sed 's/ *| */|/g' > cells
sed -n 's/^<tr><td>\(.*\)<\/td><\/tr>$/\1/p' page.html | sed 's/<\/td><td>/|/g' > page.cells
is "the page has the cells of Markdown" "$(cmp cells page.cells 2>&1; wc -l < cells)" "$(printf %s 2)"
fails "a page and a file" 2 "expected no --out, found --out x" report base --html y.html --out x
fails "a page and another form" 2 "expected one form of the table" report base --html y.html --csv
fails "a page without a name" 2 "--html needs a value" report base --html
fails "a page in no folder" 5 "nowhere/y.html" report base --html nowhere/y.html
if [ -n "$(command -v python3)" ]; then
    python3 - page.html > err 2>&1 << 'END'
import html.parser
import sys
stack = []
class Reader(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            stack.append(tag)
    def handle_endtag(self, tag):
        assert stack.pop() == tag, tag
with open(sys.argv[1], encoding="utf-8") as page:
    Reader().feed(page.read())
assert not stack, stack
END
    verdict "every tag of the page is closed" "$(cat err)"
fi
call report base fedavg
cp out plain
call report base fedavg --text
cp out text
verdict "without a form it is the report of before" "$(grep -q 'root hash of all' plain || echo no hashes)"
call report base fedavg --out file
is "--out FILE alone is the text" "$(cmp file text 2>&1)$(cat out)" ""
fails "two forms" 2 "found --csv and --text" report base --csv --text

# ---- signatures ----

call train $tiny --out loud
why=
cut -d , -f 2,3 loud/signatures.csv | tail -n +2 | sort -u > signs
[ -s signs ] || why="this run shows none"
while IFS=, read -r sign experts; do
    [ "$(grep -c "^failure signature $sign, round" err)" -ge 1 ] || why="$why; $sign was not told"
done < signs
[ "$(grep -c '^failure signature' err)" -eq "$(wc -l < signs)" ] || why="$why; not each told once: $(cat err signs)"
verdict "each signature is told once" "$why"
why=
cmp -s loud/SHA256SUMS base/SHA256SUMS || why="another root hash"
for file in signatures.csv drift.csv gate.csv; do
    grep -q "$file" loud/SHA256SUMS && why="$why; $file is hashed"
    cmp -s "loud/$file" "base/$file" || why="$why; another $file"
done
verdict "signatures are outside the hashes and the same again" "$why"
call train $tiny --threads 3 --out threads --quiet
if [ "$status" -eq 0 ]; then
    is "three threads see the same" "$(for file in drift signatures gate; do cmp threads/$file.csv base/$file.csv; done 2>&1)" ""
else
    skip "three threads see the same" "this build has no threads"
fi
is "a line an evaluation and expert in drift.csv" "$(cut -d , -f 1,2 base/drift.csv | tail -n +2 | tr '\n' ' ')" \
    "1,0 1,1 2,0 2,1 "
is "signatures stand in the table" "$(cell table.csv 2 signatures | tr ' ' '\n' | sort | tr '\n' ' ')" \
    "$(sed 's/,$//; s/,/:/; s/ /+/g' signs | sort | tr '\n' ' ')"
call report base --text
is "and in the text with their first rounds" "$(grep -c '^  [a-z-]*.*evaluations*, the first after round' out)" \
    "$(wc -l < signs | tr -d ' ')"
cp -R base old
rm old/signatures.csv
call report old --text
verdict "a run of an earlier version is not watched" "$(grep -q 'not watched' out || head -n 3 out)"
call report fedavg --text
verdict "a run without signatures has none" "$(grep -q '^fedavg .* none$' out || head -n 3 out)"

call train $tiny algo=fedavg partition=dirichlet alpha=0.01 min_size=8 max_draws=1 --out repaired --quiet
call report fedavg repaired --text
is "a repaired partition is told" "$(grep -B 1 '^  the partition is repaired' out | grep -c '^repaired: chosen')" 1

# ---- damaged runs ----

# damaged NAME PART COMMAND...: a copy of run, changed by the command, is refused.
damaged() {
    name=$1
    part=$2
    shift 2
    rm -rf hurt
    cp -R base hurt
    (cd hurt && "$@")
    fails "$name" 3 "$part" report fedavg hurt --csv
}

damaged "a changed table" "hurt/metrics.csv is not the file of SHA256SUMS" sh -c 'sed s/unseen/seen/ ../base/metrics.csv > metrics.csv'
damaged "a table that is not there" "hurt/comm.csv" rm comm.csv
damaged "changed settings" "hurt/config.toml is not the file" sh -c 'sed "s/batch = 16/batch = 17/" ../base/config.toml > config.toml'
damaged "changed rounds" "hurt/rounds.jsonl is not the file" sh -c 'sed s/:1,/:2,/ ../base/rounds.jsonl > rounds.jsonl'
damaged "no SHA256SUMS" "SHA256SUMS" rm SHA256SUMS
rm -rf broken
mkdir broken
cp -R seeds/seed-1 broken/seed-1
cp -R seeds/seed-2 broken/seed-2
rm broken/seed-2/SHA256SUMS broken/seed-2/manifest.json
for form in --text ""; do
    # shellcheck disable=SC2086 # no form is no word
    fails "a run that is not finished $form" 3 "go on with it by ddome resume broken/seed-2" report base broken/seed-2 $form
    # shellcheck disable=SC2086
    fails "a seed that is not finished $form" 3 "go on with it by ddome resume broken/seed-2" report broken $form
done
damaged "signatures cut" "hurt/signatures.csv, line 2: expected" sh -c 'printf "round,signature,experts,value\n1,drift" > signatures.csv'
damaged "signatures without a round" "expected whole numbers" sh -c 'printf "round,signature,experts,value\nx,drift,1,2\n" > signatures.csv'
damaged "signatures with a NUL" "found a NUL byte" sh -c 'printf "a\000b" > signatures.csv'
fails "a folder without a run" 3 "manifest.json" report mixed/.. --text
fails "no folder" 3 "manifest.json" report nowhere --markdown
call pretrain $tiny --out pre --quiet
fails "a pretraining in the table" 2 "it has no clients to compare" report base pre --csv

# resum RUN FILE: its line in SHA256SUMS anew, as if it had been written so.
if command -v sha256sum > /dev/null 2>&1; then
    resum() {
        (cd hurt && sha256sum metrics.csv clients.csv comm.csv rounds.jsonl config.toml partition.csv manifest.json > SHA256SUMS)
    }
    from=base
    rehashed() { # NAME PART FILE SED: of a run like `from`
        name=$1
        part=$2
        rm -rf hurt
        cp -R "$from" hurt
        (cd hurt && sed "$4" "$3" > new && mv new "$3")
        resum
        fails "$name" 3 "$part" report hurt --csv
    }
    rehashed "an accuracy without places" "metrics.csv, line 2: expected decimals" metrics.csv '2s/0\.[0-9]*/1/2'
    rehashed "a line with fewer fields" "metrics.csv, line 3: expected as many fields" metrics.csv '3s/,[^,]*$//'
    rehashed "no column" "expected a column mean" metrics.csv '1s/mean/mein/'
    rehashed "no evaluation" "expected an evaluation" metrics.csv '2,$d'
    rehashed "a client nobody has" "expected lines with participants" rounds.jsonl 's/"participants":\[[0-9]*/"participants":[999999/'
    rehashed "rounds that are no JSON" "" rounds.jsonl 's/}$//'
    rehashed "no epochs" "config.toml, line 0: expected whole numbers" config.toml '/^epochs/d'
    rehashed "no expert_bytes" "expected a member expert_bytes" manifest.json '/expert_bytes/d'
    from=thin
    for list in 7 '[77]' '["x"]' '[5,1]'; do
        rehashed "rounds with lost $list" "hurt/rounds.jsonl: expected lines with participants" rounds.jsonl \
            "1s/\"lost\":\[[^]]*\]/\"lost\":$list/"
    done
else
    skip "damaged runs with right sums" "no sha256sum here"
fi

# ---- JSON ----

if python3 -c 'import json' > /dev/null 2>&1; then
    json "the table" 0 "[(r['method'], r['clients'], r['seeds']) for r in d['rows']] == \
[('ddome', 'unseen', 1), ('ddome', 'global', 1), ('fedavg', 'unseen', 1)] and \
d['rows'][0]['bytes_fedavg'] == d['rows'][2]['bytes_moved'] and d['rows'][0]['watched'] and \
sum(s['clients'] for s in d['rows'][0]['sets']) == 2 and \
d['rows'][1]['sets'] == [{'run': 1, 'experts': '0 1', 'clients': 1}]" report base whole fedavg --text --json
else
    skip "--json" "no python3 here"
fi

totals
