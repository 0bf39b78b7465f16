# Two hosts and a switch on this machine: namespaces of network, host name and mounts, with addresses of their own and an sshd in each. Disk and
# processes are the machine's, so the disk stands for a shared file system. Keys and configurations are in $scratch; nothing of the machine's own ssh or network
# is touched, and all is gone with the processes that hold it.
# Sourced after tests/stages/lib.sh. hosts_start fails, with the reason in $why, where that can't be; hosts_stop ends what was started, by number.
# shellcheck shell=bash disable=SC2154 # lib.sh sets scratch
net=$scratch/hosts
declare -A holder=() address=([one]=10.213.0.1 [two]=10.213.0.2)
daemons=() why=''

# on HOST COMMAND...
on() { nsenter -t "${holder[$1]}" -n -u -m "${@:2}"; }

# hold NAME: namespaces of its own, which last as long as this sleep. No fork: $! is it.
hold() {
  unshare --net --uts --mount sleep 100000 </dev/null >"$net/$1.out" 2>&1 &
  holder[$1]=$!
  local tries=0
  until [ "$(readlink "/proc/${holder[$1]}/ns/uts")" != "$(readlink /proc/self/ns/uts)" ] &&
    [ "$(cat "/proc/${holder[$1]}/comm" 2>/dev/null)" = sleep ]; do
    tries=$((tries + 1))
    if [ $tries -ge 100 ] || ! kill -0 "${holder[$1]}" 2>/dev/null; then
      why="no namespaces: $(tail -n 1 "$net/$1.out")"
      return 1
    fi
    sleep 0.05
  done
}

# plug NAME: a cable from its eth0 to the switch.
plug() {
  ip link add eth0 netns "${holder[$1]}" type veth peer name "to-$1" netns "${holder[switch]}" &&
    on "$1" ip address add "${address[$1]}/24" dev eth0 && on "$1" ip link set eth0 up && on "$1" ip link set lo up &&
    on switch ip link set "to-$1" master switch && on switch ip link set "to-$1" up
}

# An sshd that only its own configuration counts for. Its /run is its own: sshd wants a folder there.
serve() {
  cat >"$net/sshd-$1.conf" <<END
ListenAddress ${address[$1]}
HostKey $net/key-$1
AuthorizedKeysFile $net/key-user.pub
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
END
  on "$1" mount -t tmpfs tmpfs /run && on "$1" mkdir -m 755 /run/sshd || return 1
  on "$1" "$sshd" -D -e -f "$net/sshd-$1.conf" </dev/null >"$net/sshd-$1.log" 2>&1 &
  daemons+=($!)
}

# connected: waits until ssh gets from one host to the other; fails, with the reason in $why, where it doesn't.
connected() {
  local tries=0
  until [ "$(on one ssh -F "$net/ssh.conf" "${address[two]}" hostname 2>"$net/ssh.out")" = dvg-two ]; do
    tries=$((tries + 1))
    if [ $tries -ge 50 ]; then
      why="no ssh between them: $(tail -qn 1 "$net/ssh.out" "$net/sshd-two.log" | tr '\n' ' ')"
      return 1
    fi
    sleep 0.1
  done
}

hosts_start() {
  local tool name
  mkdir -p "$net" && chmod 755 "$scratch" "$net" || return 1
  for tool in ip unshare nsenter ssh ssh-keygen; do
    command -v $tool >/dev/null || { why="no $tool (apt-get install iproute2 util-linux openssh-client)" && return 1; }
  done
  sshd=$(command -v sshd || command -v /usr/sbin/sshd) || { why="no sshd (apt-get install openssh-server)" && return 1; }
  for name in one two user; do ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$net/key-$name" || return 1; done
  for name in switch one two; do
    hold $name || return 1
    on $name hostname "dvg-$name" || { why="no host name of its own" && return 1; }
  done
  if ! { on switch ip link add switch type bridge && on switch ip link set switch up && plug one && plug two; } >"$net/ip.out" 2>&1; then
    why="no network of its own: $(tail -n 1 "$net/ip.out")"
    return 1
  fi
  for name in one two; do
    serve $name || { why="no sshd in a namespace" && return 1; }
    echo "${address[$name]} $(cat "$net/key-$name.pub")" >>"$net/known"
    echo "${address[$name]} slots=2" >>"$net/hostfile"
  done
  printf '%s\n' "IdentityFile $net/key-user" "UserKnownHostsFile $net/known" "GlobalKnownHostsFile none" "IdentitiesOnly yes" "BatchMode yes" \
    "ConnectTimeout 5" "User $(id -un)" >"$net/ssh.conf"
  export OMPI_MCA_plm_rsh_agent="ssh -F $net/ssh.conf"
  connected
}

# cable cut|mended: nothing gets through the switch, and neither host is told. A host that asked in vain for the other's address goes on failing
# for a moment after the mending.
cable() {
  if [ "$1" = cut ]; then on switch ip link set switch down
  else on switch ip link set switch up && connected; fi
}

# on_hosts PATTERN: processes on the two whose command line has it.
on_hosts() {
  local pid own name
  for pid in $(pgrep -f -- "$1"); do
    own=$(readlink "/proc/$pid/ns/uts") || continue
    for name in one two; do
      [ "$own" != "$(readlink "/proc/${holder[$name]}/ns/uts")" ] || echo "$pid"
    done
  done
}

# received HOST: bytes that came over its cable.
received() { on "$1" cat /proc/net/dev | sed -n 's/^ *eth0: *\([0-9]*\).*/\1/p'; }

hosts_stop() {
  local pid own name
  for name in one two; do # whatever a failed test left there
    [ -n "${holder[$name]:-}" ] && own=$(readlink "/proc/${holder[$name]}/ns/uts") || continue
    [ "$own" != "$(readlink /proc/self/ns/uts)" ] || continue
    for pid in /proc/[0-9]*; do
      [ "$(readlink "$pid/ns/uts")" != "$own" ] || [ "${pid#/proc/}" = "${holder[$name]}" ] || kill -KILL "${pid#/proc/}" 2>/dev/null
    done
  done
  for pid in ${daemons[@]+"${daemons[@]}"} "${holder[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in ${daemons[@]+"${daemons[@]}"} "${holder[@]}"; do wait "$pid" 2>/dev/null; done
}
