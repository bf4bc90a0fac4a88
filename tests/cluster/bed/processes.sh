# Processes by pid and start time, so that a stale file never hits another one. Sourced by cluster.sh.
PROGRAMS=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy provisioner)

# The start time; empty when gone. A zombie is gone: the first process may be slow to reap it.
stamp() {
  local fields
  fields=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # shellcheck disable=SC2086
  set -- ${fields##*) }
  [[ $1 == Z ]] || echo "${20}"
}

alive() {
  local pid began
  [[ -s $PID/$1 ]] && read -r pid began <"$PID/$1" && [[ -n $began && $(stamp "$pid") == "$began" ]]
}

pid_of() { cut -d ' ' -f 1 "$PID/$1"; }

# start NAME COMMAND...: in a session of its own, with a log and a pid file
start() {
  local name=$1
  shift
  if alive "$name"; then return 0; fi
  setsid "$@" >>"$LOG/$name.log" 2>&1 </dev/null &
  echo "$! $(stamp $!)" >"$PID/$name"
}

# stop NAME [SECONDS]
stop() {
  local name=$1 i
  if alive "$name"; then
    kill -TERM "$(pid_of "$name")"
    for ((i = 0; i < ${2:-10} * 10; i++)); do
      alive "$name" || break
      sleep 0.1
    done
    if alive "$name"; then kill -KILL "$(pid_of "$name")" && sleep 0.2; fi
  fi
  rm -f "$PID/$name"
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local until=$(($(date +%s) + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    (($(date +%s) < until)) || die "waited in vain for $what; see $LOG"
    sleep 0.2
  done
}
