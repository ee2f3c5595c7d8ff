#!/usr/bin/env bash
# What a store with many branches costs: making, listing and deleting some of them, mounting it, and the daemon's memory
# after a walk through some. Prints a Markdown table: medians, and in brackets the most.
#
#   sudo ./integration/breadth.sh
#
#   VELAFS_BRANCHES (10000)   VELAFS_WALKED (1000): of so many every file is looked at, by du
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
branches=${VELAFS_BRANCHES:-10000}
walked=${VELAFS_WALKED:-1000}
begin "$@"

progress() {
  echo "$(date +%T) $*" >&2
}
# times COUNT COMMAND...: runs the command so often, with the number of the run as its last argument.
times() {
  local count=$1 i start
  shift
  for ((i = 1; i <= count; ++i)); do
    start=$(now_ms)
    "$@" "$i" >/dev/null
    echo $(($(now_ms) - start))
  done | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] " (" v[NR] ")" }'
}
row() { # row WHAT BOUND COMMAND...
  local what=$1 bound=$2
  shift 2
  progress "$what"
  echo "| $what | $("$@") | $bound |"
}
memory_mb() { # memory_mb FIELD
  awk -v field="$1:" '$1 == field { printf "%.0f\n", $2 / 1024 }' "/proc/$(daemon_pid)/status"
}

clones() { # clones PREFIX FIRST LAST
  local i
  for ((i = $2; i <= $3; ++i)); do velafs -q clone main "$1$i"; done
}
clone_one() { velafs -q clone main "one$1"; }
clone_16() {
  local i pids=()
  for i in {1..16}; do
    velafs -q clone main "at-once-$1-$i" &
    pids+=($!)
  done
  wait "${pids[@]}"
}
list_text() { velafs list; }
list_json() { velafs --json list; }
list_names() { ls -U "$mount_dir"; }
mount_again() { velafs -q mount; }
deleted() { # deleted PREFIX OPTION...
  local prefix=$1
  shift
  clones "$prefix" 1 500
  times 1 delete_those "$prefix" "$@"
}
delete_those() { # delete_those PREFIX OPTION... RUN
  local names=("$1"{1..500})
  velafs -q delete "${@:2:$#-2}" "${names[@]}"
}
walk() {
  local i
  for ((i = 1; i <= walked; ++i)); do echo "b$i"; done | (cd "$mount_dir" && xargs du -s >/dev/null)
  memory_mb VmHWM
}
files_walked() { find "$mount_dir/main" | wc -l; }

make_store 0
progress "make $branches branches"
clones b 1 "$branches"
echo "| with $branches branches | | at most |"
echo "| --- | ---: | ---: |"
row "clone, ms" 12 times 20 clone_one
row "16 clones at once, ms" 100 times 10 clone_16
row "list, ms" 100 times 5 list_text
row "list --json, ms" 100 times 5 list_json
row "list the mount, ms" "" times 5 list_names
row "delete 500, ms" 3000 deleted trashed
row "delete 500 for good, ms" 3000 deleted purged --purge
row "the daemon's memory so far, MB" "" memory_mb VmRSS
row "and at most, while $((walked * $(files_walked))) files were looked at, MB" 200 walk
velafs umount >/dev/null
row "list without a daemon, ms" "" times 3 list_text
row "mount, ms" 1000 times 1 mount_again
