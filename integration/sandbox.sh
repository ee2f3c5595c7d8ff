#!/usr/bin/env bash
# Runs a command so that nothing of it stays behind.
#
#   integration/sandbox.sh [--timeout SECONDS] COMMAND [ARGUMENT...]
#
# The command gets namespaces of its own for processes, mounts, shared memory and network (nothing but a
# loopback: no two sandboxes take ports from each other), and a directory for its files: VELAFS_SANDBOX,
# also its TMPDIR. When the command ends, when a signal ends this script, and even when this script is
# killed, the kernel ends every process of the sandbox and drops its mounts, and the directory is
# removed. Loop devices are no namespace's: those on files whose name has the directory's in it are
# given back, and a cgroup of that name is removed. A command that succeeds but leaves processes or mounts
# behind has failed. Exit status: the command's, 124 when the time ran out.
#
# A script that has the line `# needs: network` runs in the host's network.
set -euo pipefail

timeout_s=0
if [[ ${1:-} == --timeout ]]; then
  timeout_s=$2
  shift 2
fi

namespaces=(--mount --propagation slave --pid --ipc --net)
if grep -qs '^# needs: network$' "$1"; then unset 'namespaces[-1]'; fi

directory=$(mktemp -d "${TMPDIR:-/var/tmp}/velafs.XXXXXX")
chmod 755 "$directory"

# The janitor reads a pipe whose other end is held by this script and by every process of the
# sandbox: end of file means that none of them is left.
# shellcheck disable=SC2016  # expanded by the shell that runs it
janitor='
  trap "" INT TERM HUP
  cat >/dev/null
  losetup --list --noheadings --output NAME,BACK-FILE |
    while read -r loop file; do [[ $file != *"${1##*/}"* ]] || losetup --detach "$loop"; done
  for _ in {1..100}; do
    rm -rf --one-file-system "$1" && break
    sleep 0.1
  done
  cgroup=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/${1##*/}
  [[ ! -d $cgroup ]] || find "$cgroup" -depth -type d -exec rmdir {} +
  tracing=/sys/kernel/tracing/instances/${1##*/}
  [[ ! -d $tracing ]] || rmdir "$tracing"'
exec {lifeline}> >(exec setsid bash -c "$janitor" janitor "$directory" >/dev/null 2>&1)
janitor_pid=$!

# Process 1 of the sandbox: adopts and reaps what loses its parent, then looks for what was left.
# shellcheck disable=SC2016
init='
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit 77
  ip link set lo up || exit 77
  "$@"
  status=$?
  (( status == 0 )) || exit "$status"
  for _ in {1..100}; do
    left=()
    for entry in /proc/[0-9]*; do
      (( ${entry#/proc/} == $$ )) && continue
      words=$(tr "\0" " " <"$entry/cmdline" 2>/dev/null) && [[ $words ]] &&
        left+=("process ${entry#/proc/}: $words")
    done
    while read -r _ mountpoint _; do
      [[ $mountpoint != "$VELAFS_SANDBOX"* ]] || left+=("mount $mountpoint")
    done </proc/self/mounts
    (( ${#left[@]} )) || exit 0
    sleep 0.1
  done
  printf "left behind: %s\n" "${left[@]}" >&2
  exit 1'

# Every link of this chain dies with the one before it.
die_with_parent=(setpriv --pdeathsig KILL)
VELAFS_SANDBOX=$directory TMPDIR=$directory \
  "${die_with_parent[@]}" timeout --signal KILL "$timeout_s" \
  "${die_with_parent[@]}" unshare "${namespaces[@]}" --fork --kill-child --mount-proc \
  env --default-signal bash -c "$init" init "$@" </dev/null &
sandbox=$!

# shellcheck disable=SC2317  # reached by the trap
leave() {
  kill -KILL "$sandbox" 2>/dev/null || true
  wait "$sandbox" 2>/dev/null || true
  exec {lifeline}>&-
  wait "$janitor_pid" || true
}
trap leave EXIT
for signal in HUP INT TERM; do
  # shellcheck disable=SC2064  # the signal of this turn
  trap "exit $((128 + $(kill -l "$signal")))" "$signal"
done

status=0
{ wait "$sandbox"; } 2>/dev/null || status=$?
if ((timeout_s > 0 && SECONDS >= timeout_s)); then
  echo "${1##*/}: not done after $timeout_s seconds" >&2
  status=124
fi
exit "$status"
