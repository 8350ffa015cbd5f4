#!/usr/bin/env bash
# The speed of whole commands, as ratios in one run: `benches/macro.sh [windtunnel]`.
#
# Prints CPU seconds (user + system; the least of three runs), peak memory and what they mean per request. Compare lines of one
# output only: seconds of two machines, or of a busy one, say nothing. Needs bash, GNU time, wc.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ $# -gt 0 ]]; then windtunnel=$1; else
  cargo build --locked --release --quiet
  windtunnel=target/release/windtunnel
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bench=scenarios/bench

# cpu NAME COMMAND…: sets `cpu` (least CPU seconds of three runs), `wall` (of the same run) and `kb` (peak memory).
cpu() {
  local name=$1 run user system elapsed peak
  shift
  cpu=999999
  for run in 1 2 3; do
    /usr/bin/time -f '%U %S %e %M' -o "$scratch/time" "$@" >/dev/null
    read -r user system elapsed peak <"$scratch/time"
    if (($(echo "$user + $system < $cpu" | bc))); then
      cpu=$(echo "$user + $system" | bc) wall=$elapsed kb=$peak
    fi
  done
  printf '%-46s %7.2f CPU-s %7.2f s %6d MB' "$name" "$cpu" "$wall" $((kb / 1000))
}
per() { echo "scale=6; ($1) / ($2)" | bc; }
run() { local name=$1; shift; cpu "$name" "$windtunnel" run "$@" --quiet --no-page --out "$scratch/results"; }

csv=$scratch/twin.csv
"$windtunnel" trace generate burstgpt --duration "61 d" --format burstgpt --quiet --out "$csv"
rows=$(($(wc -l <"$csv") - 1))
bytes=$(stat -c %s "$csv")
echo "twin: $rows requests, $bytes bytes"
cpu "wc -l" wc -l "$csv"; echo
cpu "trace stats" "$windtunnel" trace stats "$csv"
stats=$cpu
printf '  %.0f MB/s\n' "$(per "$bytes" "$stats * 1000000")"

# The scenario with the file in place of the recipe.
from_file=(--set workload.recipe= --set workload.duration= --set "workload.trace=$csv" --jobs 1)
line() { printf '  %.2f x trace stats, %.0f requests per CPU-s\n' "$(per "$cpu" "$stats")" "$(per "$rows" "$cpu")"; }
twin=("$bench/twin-61-days.toml" "${from_file[@]}")
run "61 days on 1 A100" "${twin[@]}"; line
run "61 days on 4 A100" "${twin[@]}" --set deployment.replicas=4; line
run "the same in 3 days (20 x the rate)" "${twin[@]}" --set deployment.replicas=4 --set workload.time-scale=20; line

run "100,000 Poisson requests" "$bench/poisson-100k.toml" --jobs 1; printf '  %.0f requests per CPU-s\n' "$(per 100000 "$cpu")"
run "saturated, 512 sequences, preempting" "$bench/saturated.toml" --jobs 1; printf '  %.0f requests per CPU-s\n' "$(per 100000 "$cpu")"
for n in 8 32 128 512 2048; do
  run "saturated, $n sequences, memory for all" "$bench/saturated.toml" --jobs 1 --set deployment.kv-blocks=400000 \
    --set systems.full.scheduler.unified.max-sequences=$n
  printf '  %.2f us per request\n' "$(per "$cpu * 10" 1)"
done

run "64-point sweep, 1 thread" "$bench/sweep-64.toml" --jobs 1; one=$wall; echo
run "64-point sweep, 2 threads" "$bench/sweep-64.toml" --jobs 2; printf '  %.2f x as fast\n' "$(per "$one" "$wall")"

many=("$bench/poisson-100k.toml" --jobs 1 --set deployment.replicas=64 --set 'workload.arrivals.poisson.rate="640 req/s"')
run "64 replicas, round-robin" "${many[@]}" --set 'deployment.router={ round-robin = {} }'; blind=$cpu; echo
run "64 replicas, least-tokens (reads all loads)" "${many[@]}" --set 'deployment.router={ least-tokens = {} }'
printf '  %.2f us per arrival\n' "$(per "($cpu - $blind) * 10" 1)"
