#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests of runs that are stopped, killed, gone on with and verified, by the command line:
# tests/cli_resume.sh PROGRAM SCRATCH_DIR. SPEC 17.3.3, 17.6, 17.7, 18.1, 18.3.11, 18.3.12.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_resume "$@"
need_folders

long="$tiny rounds=150 eval_every=10"

# root RUN: its root hash as the last call printed it.
root() {
    sed -n 's/^root hash  //p' out
}

# started RUN ROUND ARGS...: the program in the background, once it has done that round; its id in pid.
started() {
    run=$1
    round=$2
    shift 2
    "$program" "$@" --out "$run" > "$run.out" 2> "$run.err" &
    pid=$!
    while kill -0 $pid 2> /dev/null && ! grep -q "^round $round/" "$run.err" 2> /dev/null; do
        sleep 0.02
    done
}

# lines RUN: no round twice, none left out, none but the last one's beyond what was done.
lines() {
    tail -n +3 "$1/comm.csv" | cut -d , -f 1 | awk '$1 != NR { bad = 1 } END { exit bad }'
}

call train $long --out whole --quiet
whole=$(root)
why=
[ "$status" -eq 0 ] && [ -n "$whole" ] || why="status $status: $(cat err)"
verdict "a run to compare with" "$why"

# ---- signals: SPEC 17.6.6 ----

started term 5 train $long checkpoint_every=0
kill -TERM $pid
wait $pid
status=$?
why=
[ "$status" -eq 143 ] || why="status $status"
[ ! -s term.out ] || why="$why; something on standard output"
grep -q '^ddome: stopped after round [0-9]* of 150; go on with: ddome resume term$' term.err ||
    why="$why; said $(tail -n 1 term.err)"
[ ! -e term/lock ] || why="$why; the lock is still there"
[ "$(grep -c . term/ckpt/DONE)" -eq 1 ] || why="$why; not one checkpoint"
verdict "a request to end saves the run and ends with 143" "$why"

call resume term
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="status $status, root $(root): $(tail -n 1 err)"
lines term || why="$why; rounds doubled or missing"
grep -q '^round 1/' err && why="$why; it began anew"
verdict "resume ends with the root hash of the run that was not stopped" "$why"

call resume term --quiet
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="status $status: $(cat err)"
verdict "resume of a finished run finishes it once more" "$why"

if python3 -c 'import json' > /dev/null 2>&1; then
    cat > interrupt.py <<'P'
import signal, subprocess, sys, time
run = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
for line in run.stderr:
    if "round 3/" in line:
        break
run.send_signal(signal.SIGINT)
out, err = run.communicate()
print(run.returncode, out.strip())
P
    python3 interrupt.py "$program" train $long checkpoint_every=0 --json --out int > int.out
    why=
    grep -q '^130 {"success": false, "status": 130, "error": "stopped after round ' int.out || why="$(cat int.out)"
    verdict "an interrupt ends with 130, and so it says with --json" "$why"
    python3 interrupt.py "$program" train $long --seeds 1,2 --json --out int-seeds > int.out
    why=
    grep -q '"error": "seed 1: stopped after round .*; with all seeds: this call again with --resume"}$' int.out || why="$(cat int.out)"
    call train $long --seeds 1,2 --resume --quiet --out int-seeds
    grep -q '^2 seeds    mean' out || why="$why; status $status: $(cat err)"
    verdict "an interrupt of several seeds names the seed and how all go on" "$why"
    # A round of 60,000 epochs, so that nothing but the second signal can end it.
    cat > twice.py <<'P'
import os, shutil, signal, subprocess, sys, time
for second, codes in ((signal.SIGINT, (-signal.SIGINT,)), (signal.SIGTERM, (143,))):
    run = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    done = os.path.join("twice", "ckpt", "DONE")
    while not os.path.exists(done) or os.path.getsize(done) == 0:
        time.sleep(0.02)
    time.sleep(0.5)  # its first checkpoint is behind it
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    if run.poll() is not None:
        print("wrong: the first one ended it")
    for _ in range(150):  # one that comes before the first is heard is none
        if run.poll() is not None:
            break
        run.send_signal(second)
        time.sleep(0.2)
    if run.poll() is None:
        run.kill()
    print("right" if run.wait() in codes else "wrong", run.returncode)
    shutil.rmtree("twice")
P
    python3 twice.py "$program" train $long epochs=60000 --out twice --force > twice.out
    why=
    [ "$(grep -c '^right' twice.out)" -eq 2 ] || why=$(tr '\n' ' ' < twice.out)
    verdict "a second signal ends it at once, of either kind" "$why"
else
    skip "an interrupt ends with 130, and so it says with --json" "no python3"
    skip "an interrupt of several seeds names the seed and how all go on" "no python3"
    skip "a second signal ends it at once, of either kind" "no python3"
fi

# ---- killed: SPEC 17.6.5 ----

started killed 33 train $long checkpoint_every=7
kill -KILL $pid
wait $pid 2> /dev/null
why=
[ -e killed/lock ] || why="no lock is left: it had ended"
printf 'half a li' >> killed/rounds.jsonl
printf x > killed/ckpt/00000149.safetensors.tmp
call resume killed checkpoint_every=50 --threads 1 --quiet
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="$why; status $status, root $(root): $(cat err)"
lines killed || why="$why; rounds doubled or missing"
[ "$(cd killed/ckpt && printf '%s\n' *)" = "$(printf '00000100.safetensors\n00000150.safetensors\nDONE\nrun.toml')" ] ||
    why="$why; in ckpt: $(cd killed/ckpt && printf '%s ' *)"
verdict "a killed run is gone on with; a stale lock, half a line and half a checkpoint do not matter" "$why"

if command -v sha256sum > /dev/null 2>&1; then
    why=
    (cd killed && sha256sum -c --quiet SHA256SUMS && cd ckpt && sha256sum -c --quiet DONE) > sums 2>&1 ||
        why=$(head -n 3 sums)
    verdict "sha256sum takes SHA256SUMS and ckpt/DONE of it" "$why"
else
    skip "sha256sum takes SHA256SUMS and ckpt/DONE of it" "no sha256sum"
fi

call train $long --out killed --resume --quiet
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="status $status: $(cat err)"
call train $long --out fresh --resume --quiet
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="$why; fresh: status $status: $(cat err)"
verdict "train --resume goes on where it can and starts where it cannot" "$why"

mkdir early
"$program" config $long > early/run.toml
mkdir early/ckpt
mv early/run.toml early/ckpt
call resume early --quiet
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="status $status: $(cat err)"
verdict "a run killed before its first checkpoint starts anew" "$why"

# ---- one process at a time: SPEC 17.3.3 ----

started busy 2 train $long epochs=50
call train $tiny --out busy --force --quiet
why=
[ "$status" -eq 2 ] && grep -q "busy/lock: expected a folder that is free, found it in use by process $pid;" err ||
    why="status $status: $(cat err)"
call resume busy --quiet
[ "$status" -eq 2 ] || why="$why; resume: status $status: $(cat err)"
kill -0 $pid 2> /dev/null || why="$why; the first run has ended"
kill -KILL $pid
wait $pid 2> /dev/null
call train $tiny --out busy --force --quiet
[ "$status" -eq 0 ] || why="$why; after it: status $status: $(cat err)"
verdict "a folder in use is refused, forced or not, until its process has ended" "$why"

# ---- what is refused ----

fails "resume of nothing" 3 "nothing/ckpt/run.toml is missing: expected a run that was broken off in nothing" resume nothing
fails "resume of another configuration" 8 "is of another run: lr: expected 0.01, found 0.5;" resume killed lr=0.5 --quiet
fails "resume of fewer rounds" 8 ": rounds: expected 150, found 20;" resume killed rounds=20 --quiet
fails "resume in another profile" 8 ': arith: expected "ma", found "fma"' resume killed arith=fma --quiet
fails "resume and a file" 2 "resume takes one run and key=value words, found other.toml" resume killed other.toml
fails "train --resume --force" 2 "expected --force, to replace a run, or --resume" train $long --out killed --resume --force
fails "a trace of a part" 2 "a trace begins with the run" train $long --out killed --resume --trace part.jsonl --quiet
fails "a finished run" 2 "whole holds a run already (SHA256SUMS)" train $long --out whole --quiet

# ---- what a refused call leaves as it was: SPEC 17.1.3, 17.3.3, 17.6.5 ----

# kept NAME STATUS PART ARGS...: the call is refused, and no file of the folder `refused` has changed.
kept() {
    name=$1
    want=$2
    part=$3
    shift 3
    (cd refused && find . -type f ! -name lock -exec cksum {} + | sort) > before
    call "$@"
    mv err said
    (cd refused && find . -type f ! -name lock -exec cksum {} + | sort) > after
    why=
    [ "$status" -eq "$want" ] && grep -q -e "$part" said || why="status $status, want $want: $(cat said)"
    cmp -s before after || why="$why; files have changed"
    verdict "$name" "$why"
}

cp -R killed refused
sed 's/^10,/11,/' killed/metrics.csv > refused/metrics.csv
kept "a finished run whose table fits no checkpoint" 8 'metrics.csv is not what the checkpoint knows.*; start again with' \
    resume refused --quiet
cp killed/metrics.csv refused
rm refused/SHA256SUMS refused/manifest.json refused/ckpt/DONE
kept "resume of checkpoints without their list" 8 'DONE is missing: expected it beside ckpt/00000' resume refused --quiet
kept "train over checkpoints without their list" 2 'DONE is missing: .*, or replace the run with --force' \
    train $long --out refused --quiet
cp -R killed longer
rm longer/ckpt/DONE longer/SHA256SUMS longer/manifest.json longer/ckpt/00000100.safetensors
call resume longer checkpoint_every=0 --quiet
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="status $status, root $(root): $(tail -n 1 err)"
verdict "one checkpoint, and none before it, without a list: as if it had not been" "$why"
rm -r longer
cp -R killed longer
echo more >> longer/rounds.jsonl
call resume longer --quiet
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] || why="status $status, root $(root): $(tail -n 1 err)"
cmp -s longer/rounds.jsonl killed/rounds.jsonl || why="$why; rounds.jsonl is longer"
verdict "what stands behind the last round of a finished run is cut" "$why"
call train $tiny algo=common --out alone --quiet
rm alone/SHA256SUMS
call resume alone --quiet
why=
[ "$status" -eq 0 ] && [ -f alone/SHA256SUMS ] || why="status $status: $(cat err)"
verdict "a run without rounds, killed before its last file, is done again" "$why"

# ---- verify: SPEC 17.7 ----

call verify killed
why=
[ "$status" -eq 0 ] && [ "$(root)" = "$whole" ] && grep -q 'not done again' out || why="status $status: $(cat out err)"
verdict "verify hashes the files" "$why"
call verify killed --rounds 12 --quiet
why=
[ "$status" -eq 0 ] && grep -q '1 to 12 done again: the same bytes' out || why="status $status: $(cat out err)"
call verify killed --round 150 --quiet
[ "$status" -eq 0 ] && grep -q '150 to 150 done again' out || why="$why; status $status: $(cat out err)"
call verify killed --rounds all --threads 1
[ "$status" -eq 0 ] && grep -q '1 to 150 done again' out || why="$why; status $status: $(cat out err)"
verdict "verify does rounds again: the first, one from a checkpoint, all" "$why"
cp -R killed bare
rm -r bare/ckpt
call verify bare --rounds 2 --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
verdict "verify of the hashed files alone" "$why"
cp -R killed other
sed 's/^rounds = 150$/rounds = 149/' killed/ckpt/run.toml > other/ckpt/run.toml
call verify other --quiet
why=
[ "$status" -eq 0 ] || why="status $status: $(cat err)"
! cmp -s other/ckpt/run.toml killed/ckpt/run.toml || why="$why; nothing was changed"
verdict "run.toml is none of the files that are hashed" "$why"
fails "rounds by another run.toml" 4 "ddome: config.toml is of another run: rounds: expected 150, found 149" \
    verify other --rounds 1 --quiet
fails "a round that the other run.toml does not have" 4 "rounds: expected 150, found 149" verify other --round 150 --quiet
call train $long seed=2 --out strange --quiet
cp -R killed mixed
cp strange/ckpt/DONE strange/ckpt/*.safetensors mixed/ckpt/
fails "a round from another run's checkpoint" 8 "is of another run: seed: expected 2, found 1" verify mixed --round 150 --quiet
rm mixed/ckpt/DONE
mkdir mixed/ckpt/DONE
fails "a round when the list of checkpoints cannot be read" 5 "mixed/ckpt/DONE" verify mixed --round 150 --quiet
cp -R killed forged
sed 's/^40,\([0-9]*\),/41,\1,/' killed/comm.csv > forged/comm.csv
fails "a changed table" 4 "forged/comm.csv was changed: expected SHA-256" verify forged
rm forged/final/gate.safetensors
cp killed/comm.csv forged/comm.csv
fails "a missing model" 4 "forged/final/gate.safetensors" verify forged
cp killed/final/gate.safetensors forged/final/
# relisted NAME PART COMMAND...: SHA256SUMS as the command makes it of the run's own is refused.
relisted() {
    name=$1
    part=$2
    shift 2
    "$@" killed/SHA256SUMS > forged/SHA256SUMS
    fails "a list of hashes $name" 3 "$part" verify forged
}
order="expected each path once, sorted by its bytes"
relisted "that is cut" "does not list config.toml, which such a run has" head -n 2
relisted "without a table" "does not list comm.csv, which such a run has" sed '/comm\.csv/d'
relisted "with a line twice" "line 3: $order, found comm.csv behind comm.csv" sed '/comm\.csv/p'
relisted "in another order" "line 2: $order" sed '1!G;h;$!d'
relisted "with another path of a file" "line 2: expected a hash" sed 's,comm\.csv,./&,'
fails "verify of an unfinished run" 3 "SHA256SUMS is missing: expected a finished run there" verify int
fails "verify without a run" 3 "expected a finished run in nothing" verify nothing
fails "verify --rounds and --round" 2 "expected --rounds or --round, found both" verify killed --rounds 1 --round 2
fails "verify --rounds 0" 2 "--rounds: expected a whole number or all, found 0" verify killed --rounds 0
fails "verify beyond the end" 2 "expected rounds of 1 to 150, found 151 to 151" verify killed --round 151 --quiet

totals
