#!/usr/bin/env bash
# A sweep of some seconds is killed (kill -9) at twenty random moments, goes on each time, and must end with the files of one that was
# never killed. Also: a full disk and a folder that cannot be written give exit code 4 and leave the results of before.
#
# Not part of the test suite: takes about a minute, and the full disk needs root (a small tmpfs). Usage: tests/scripts/killed.sh
# [windtunnel]; without an argument the release build is used. The moments are drawn from SEED (default 1).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
windtunnel=$(realpath "${1:-$here/target/release/windtunnel}")
work=$(mktemp -d)
stop() {
  umount "$work/small" 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
cd "$work"
RANDOM=${SEED:-1}
sweep=(run "$here/scenarios/bench/sweep-64.toml" --quiet --set workload.requests=120000)

"$windtunnel" "${sweep[@]}" --out whole >table
cp -r whole results # the results of before stay until new ones are complete
for kill in $(seq 20); do
  "$windtunnel" "${sweep[@]}" >/dev/null &
  sleep "$((RANDOM % 4)).$((RANDOM % 10))"
  if ! kill -9 $! 2>/dev/null; then echo "kill $kill: it was done already"; fi
  wait $! 2>/dev/null || true
  diff -r --exclude=timing.json whole/sweep-64 results/sweep-64
done
kept=$(cat results/.sweep-64.runs.jsonl 2>/dev/null | grep -c . || true)
"$windtunnel" "${sweep[@]}" >table-again
diff table table-again
diff -r --exclude=timing.json whole results
echo "20 kills: the same $(find whole -type f | wc -l) files ($kept runs had been kept at the end)"

expect4() { # NAME: the last command must have failed with 4 and one line that says why
  if ((code != 4)); then echo "$1: exit code $code"; cat error; exit 1; fi
  if (($(wc -l <error) != 1)); then echo "$1: not one line:"; cat error; exit 1; fi
  echo "$1: $(cat error)"
}
mkdir small
mount -t tmpfs -o size=6m tmpfs small
small=(run quickstart --quiet --set workload.requests=200 --set robustness=false)
"$windtunnel" "${small[@]}" --no-page --seeds 1 --out small >/dev/null
cp -r small before
code=0
"$windtunnel" "${small[@]}" --seeds 5 --out small >/dev/null 2>error || code=$?
expect4 "disk full"
diff -r before small
mount -o remount,ro small
code=0
"$windtunnel" "${small[@]}" --seeds 1 --out small >/dev/null 2>error || code=$?
expect4 "read-only"
diff -r before small
