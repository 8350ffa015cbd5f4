#!/usr/bin/env bash
# A sweep in shards on a real Slurm: one controller and one node on this machine, started and stopped here.
#
# Not part of the test suite: needs root and the Debian packages slurm-wlm and munge. Takes a minute. Usage:
# `tests/scripts/slurm.sh [windtunnel]`; without an argument the debug build is used.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
windtunnel=$(realpath "${1:-$here/target/debug/windtunnel}")
work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/state" "$work/spool" "$work/bin" "$work/study"
ln -s "$windtunnel" "$work/bin/windtunnel"
stop() {
  pkill -F "$work/slurmctld.pid" 2>/dev/null || true
  pkill -F "$work/slurmd.pid" 2>/dev/null || true
  pkill -F "$work/munged.pid" 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

dd if=/dev/urandom bs=1 count=1024 of="$work/munge.key" status=none
chmod 600 "$work/munge.key"
munged --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
  --log-file="$work/munged.log" --seed-file="$work/munged.seed"
host=$(hostname -s)
export SLURM_CONF=$work/slurm.conf
cat >"$SLURM_CONF" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=10 State=UP
CONF
slurmctld
slurmd
for _ in $(seq 30); do
  if [[ $(sinfo --noheader --format=%t 2>/dev/null) == idle ]]; then break; fi
  sleep 1
done
sinfo

cd "$work/study"
export PATH=$work/bin:$PATH
windtunnel sweep emit slurm quickstart --shards 4 --cores 1 --seeds 2 >job.sh
sbatch --wait job.sh
cat windtunnel-quickstart-*.log
windtunnel merge results/quickstart.shard-*-of-4 --quiet >/dev/null
windtunnel run quickstart --seeds 2 --quiet --out whole >/dev/null
diff -r --exclude=timing.json whole/quickstart results/quickstart
echo "4 tasks of a Slurm job array and one run: $(find results/quickstart -type f | wc -l) files, the same bytes"
