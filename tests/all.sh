#!/bin/sh
# SPDX-License-Identifier: MIT
# All tests of one build: tests/all.sh BUILD_DIR. Passes the lines of the unit tests (the runner)
# and of the command line tests through, ends with one line of totals; exit 1 on any failure.
set -u

build=${1:-build}
scratch=$build/test-scratch
log=$build/test-log
here=$(dirname "$0")

rm -rf "$scratch"
mkdir -p "$scratch"
: > "$log"

# run NAME COMMAND...: a part that ends without its totals has crashed, and that is a failure, too.
run() {
    name=$1
    shift
    "$@" > "$log.part"
    status=$?
    grep -v -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log.part"
    cat "$log.part" >> "$log"
    if ! tail -n 1 "$log.part" | grep -q -E '^[0-9]+ passed, [0-9]+ failed'; then
        echo "FAIL $name ended early with status $status" | tee -a "$log"
    elif [ "$status" -ne 0 ] && ! grep -q '^FAIL ' "$log.part"; then
        echo "FAIL $name ended with status $status" | tee -a "$log"
    fi
}

DDOME_TEST_DIR=$scratch
export DDOME_TEST_DIR
run "unit tests" "$build/tests/runner"
run "command line tests" sh "$here/cli.sh" ./ddome "$scratch"
run "command line tests of whole runs" sh "$here/cli_runs.sh" ./ddome "$scratch"
run "command line tests of broken-off runs" sh "$here/cli_resume.sh" ./ddome "$scratch"
run "command line tests of data" sh "$here/cli_data.sh" ./ddome "$scratch"
run "command line tests of hostile files" sh "$here/cli_hostile.sh" ./ddome "$scratch"
run "command line tests of what hardly ever happens" sh "$here/cli_edges.sh" ./ddome "$scratch"
run "command line tests without memory" sh "$here/cli_poor.sh" ./ddome "$scratch"
run "command line tests with nothing but C99" sh "$here/cli_plain.sh" ./ddome "$scratch"
run "report tests" sh "$here/report.sh" ./ddome "$scratch"
run "vectors" sh "$here/vectors.sh" "$build/vectors" "$build/vectors-scratch"
run "theorem" sh "$here/theorem.sh" "$build/theorem" "$scratch"
run "compare tests" sh "$here/compare.sh" ./ddome "$build/deviate" "$scratch"

passed=$(grep -c '^ok ' "$log")
failed=$(grep -c '^FAIL ' "$log")
skipped=$(grep -c '^skipped ' "$log")
rm -f "$log.part"
if [ "$skipped" -ne 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -ne 0 ]
