#!/usr/bin/env bash
# The policies cpus and memory: what a branch's server may use, by real control groups.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

# The file that limits a process's memory; empty if its group has none.
limit_file() { # limit_file PID
  local path
  path=$(sed -n 's/^[0-9]*:memory://p' "/proc/$1/cgroup")
  if [[ $path ]]; then
    echo "/sys/fs/cgroup/memory$path/memory.limit_in_bytes"
  else
    echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")/memory.max"
  fi
}

make_store 0
velafs -q clone main pr-1
out=$VELAFS_SANDBOX/out
velafs -q policy set pr-1 cpus=0.5 memory=256M

refused() {
  # A machine without control groups.
  unshare --mount sh -c 'mount -t tmpfs tmpfs /sys/fs/cgroup && velapg start pr-1' >"$out" 2>&1 && fail "it was started"
  has_line 'error: cannot limit the server of branch "pr-1" as the policies cpus and memory say' "$out"
  has_line 'hint: ' "$out"
  [[ $(velapg --json status pr-1 | jq -r .state) == stopped ]]
}
check "a server whose limits nothing can enforce is not started" refused

wrong_values() {
  refuses 2 'is not a number of processors' velafs policy set pr-1 cpus=none
  refuses 2 'is too little for a server' velafs policy set pr-1 memory=1M
}
check "wrong limits are refused" wrong_values

own=$(dirname "$(limit_file $$)")
if ! mkdir "$own/velapg-probe" 2>/dev/null; then
  skip "limits" "no control group can be made in $own"
  exit "$( ((failures == 0)) && echo "$skip_status" || echo 1)"
fi
rmdir "$own/velapg-probe"

limited() {
  local pid child file
  velapg -q start pr-1
  velapg --json status pr-1 >"$out"
  jq -e '.cpus == 0.5 and .memory_bytes == 268435456' "$out"
  velapg status pr-1 | has_line 'at most 0.5 processors, at most 256.0 MiB of memory'
  pid=$(field pr-1 server_pid)
  file=$(limit_file "$pid")
  equal "$(cat "$file")" 268435456
  [[ $file == */velapg-pr-1/* ]] || fail "the group is $file"
  for child in $(pgrep --parent "$pid"); do
    equal "$(limit_file "$child")" "$file" "the group of a server's process"
  done
  [[ $(limit_file $$) != "$file" ]] || fail "the caller is in the group"
  equal "$(sql pr-1 'show shared_buffers')" 64MB
  velapg -q stop pr-1
  [[ ! -e ${file%/*} ]] || fail "the group is left"
}
check "a server runs within its limits, and status shows them" limited

in_namespaces() {
  velafs -q policy set pr-1 network=isolated
  velapg -q start pr-1
  velapg --json status pr-1 | jq -e '.memory_bytes == 268435456 and .network == "isolated"'
  velapg -q stop pr-1
}
check "an isolated server does, too" in_namespaces

of_clones() {
  velafs -q policy set --of-store memory=128M
  velapg run main -- sh -c 'velapg --json status "$VELAFS_BRANCH"' >"$out"
  jq -e '.cpus == null and .memory_bytes == 134217728' "$out"
  velafs -q policy unset --of-store memory
}
check "so do the servers of velapg run" of_clones

unlimited() {
  velapg -q start main
  velapg --json status main | jq -e '.cpus == null and .memory_bytes == null'
  equal "$(limit_file "$(field main server_pid)")" "$(limit_file $$)"
  velapg -q stop main
}
check "a server without limits is in its caller's group" unlimited
