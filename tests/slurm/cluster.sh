# A Slurm of two nodes on this machine: a controller, two slurmd under names and ports of their own, munge with a key of its own, all in $scratch.
# Sourced after tests/stages/lib.sh. cluster_start fails where that can't be; cluster_stop ends what was started, by number.
# shellcheck shell=bash disable=SC2154 # lib.sh sets scratch
cluster=$scratch/cluster
declare -A daemon=()

# node N: starts its slurmd.
node() {
  slurmd -D -N "$1" -f "$SLURM_CONF" >"$cluster/$1.out" 2>&1 &
  daemon[$1]=$!
}

cluster_start() {
  local base=$((20000 + $$ % 20000)) host tries=0
  host=$(hostname -s)
  export SLURM_CONF=$cluster/slurm.conf
  mkdir -p "$cluster"/{state,n1,n2} && chmod 755 "$scratch" "$cluster" || return 1
  head -c 1024 /dev/urandom >"$cluster/munge.key" && chmod 600 "$cluster/munge.key"
  munged --foreground --force --key-file="$cluster/munge.key" --socket="$cluster/munge.socket" --pid-file="$cluster/munge.pid" \
    --log-file="$cluster/munge.log" --seed-file="$cluster/munge.seed" >"$cluster/munge.out" 2>&1 &
  daemon[munge]=$!
  cat >"$SLURM_CONF" <<END
ClusterName=dvg
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$cluster/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$cluster/state
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdPidFile=$cluster/%n/slurmd.pid
SlurmdSpoolDir=$cluster/%n
SlurmdLogFile=$cluster/%n/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
InactiveLimit=0
KillWait=5
MinJobAge=300
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 1)) CPUs=4 RealMemory=16000
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 2)) CPUs=4 RealMemory=16000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
END
  slurmctld -D -f "$SLURM_CONF" >"$cluster/slurmctld.out" 2>&1 &
  daemon[slurmctld]=$!
  node n1
  node n2
  until [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" = 2 ]; do
    tries=$((tries + 1))
    [ $tries -lt 40 ] || return 1
    sleep 0.5
  done
}

cluster_stop() {
  local name
  scancel -f -u "$(id -un)" 2>/dev/null
  for name in n1 n2 slurmctld munge; do
    [ -z "${daemon[$name]:-}" ] || kill "${daemon[$name]}" 2>/dev/null
  done
  for name in "${!daemon[@]}"; do wait "${daemon[$name]}" 2>/dev/null; done
}

# wait_for NAME SECONDS COMMAND...: passes when the command succeeds in time.
wait_for() {
  local name=$1 until=$((SECONDS + $2))
  shift 2
  until "$@" >"$output" 2>"$output.err"; do
    if [ $SECONDS -ge "$until" ]; then
      squeue -a >>"$output" 2>&1
      report bad "$name" "not within the time"
      return 1
    fi
    sleep 0.5
  done
  report good
}

requeued() { [ "$(restarts_of "$1")" -gt 0 ] 2>/dev/null; }

# kill_node N JOB: as if its machine were lost: slurmd, then those that watch the job there, who would report its end, then the job.
kill_node() {
  local pids watchers=() pid i
  mapfile -t pids < <(scontrol listpids "$2" "$1" | awk '$1 ~ /^[0-9]+$/ && $1 > 1 { print $1 }')
  for ((i = 0; i < ${#pids[@]}; i++)); do # and what these have started
    pid=$(ps -o ppid= -p "${pids[i]}" | tr -d ' ')
    [ "$(ps -o comm= -p "${pid:-1}" | cut -c 1-10)" != slurmstepd ] || watchers+=("$pid")
    mapfile -t -O "${#pids[@]}" pids < <(pgrep -P "${pids[i]}")
  done
  for pid in "${daemon[$1]}" "${watchers[@]}" "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
  wait "${daemon[$1]}" 2>/dev/null
}
no_jobs() { [ -z "$(squeue -h 2>&1)" ]; }
state_of() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | sort -u | tr '\n' ' '; }
restarts_of() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p' | head -n 1; }
