#!/usr/bin/env bash
# Five faults put into the policies on purpose, one after the other, in a copy: `windtunnel check` must notice each of them.
#
# Not part of the test suite, because it builds the program six times (about ten minutes on two cores). Needs git, bash, cargo. Exit code
# 1 if a fault is not noticed, 2 if one cannot be put in any more because the code around it has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git clone --quiet --shared . "$copy/tree"
cd "$copy/tree"
export CARGO_TARGET_DIR=${REGRESSIONS_TARGET:-$here/target/regressions}

check() { # prints what is worse; sets `code`
  cargo build --quiet --locked
  code=0
  "$CARGO_TARGET_DIR/debug/windtunnel" check --quiet >"$copy/found" 2>&1 || code=$?
}

fault() { # NAME FILE FROM TO: replaces a text that must stand there
  git checkout --quiet .
  FROM=$3 TO=$4 perl -0pi -e '$n = s/\Q$ENV{FROM}\E/$ENV{TO}/g; END { exit($n ? 0 : 9) }' "$2" || {
    echo "$1: the text to be changed is not in $2 any more"
    exit 2
  }
  check
  case $code in
    0) echo "NOT NOTICED: $1"; missed=1 ;;
    1) echo "noticed: $1: $(grep -c ' WORSE ' "$copy/found") numbers worse, in $(grep -c '^WORSE' "$copy/found") scenarios" ;;
    3) echo "noticed: $1: $(head -1 "$copy/found")" ;;
    *) echo "$1: exit code $code"; cat "$copy/found"; exit 2 ;;
  esac
}

missed=0
check
if ((code)); then echo "without a fault:"; cat "$copy/found"; exit 2; fi
echo "without a fault: $(grep -c '^ok' "$copy/found") scenarios ok"

fault "half the token budget" src/policy/scheduler/unified.rs \
  'self.token_budget' '(self.token_budget / 2)'
fault "the first running request is the victim, not the last" src/policy/scheduler/unified.rs \
  'left.free += preempt(view, plan, ready[kept]' \
  'ready[(next + 1).min(kept)..=kept].rotate_left(1); left.free += preempt(view, plan, ready[kept]'
fault "one sequence too few is admitted" src/policy/scheduler/unified.rs \
  'running >= self.max_sequences' 'running + 1 >= self.max_sequences'
fault "the router sees loads of ten seconds ago" src/cluster/dispatch.rs \
  'report: config.report().unwrap_or_default(),' \
  'report: crate::policy::router::Report { staleness: SimDuration::from_ps(10_000_000_000_000), ..config.report().unwrap_or_default() },'
fault "every request keeps a block for ever" src/kv/pool.rs \
  'self.held -= blocks;' 'self.held -= blocks.saturating_sub(1);'
exit $missed
