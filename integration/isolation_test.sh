#!/usr/bin/env bash
# What is written in one branch is seen in no other.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
seconds=${VELAFS_SECONDS:-20}

hashes() { # hashes DIRECTORY: of all files, with their names
  (cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2)
}

make_cluster "$VELAFS_SANDBOX/cluster" 10
hashes "$VELAFS_SANDBOX/cluster" >"$VELAFS_SANDBOX/cluster.before"
velafs -q init
velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
velafs -q mount
velafs -q clone main untouched
velafs -q clone main left
velafs -q clone left right
hashes "$mount_dir/untouched" >"$VELAFS_SANDBOX/untouched.before"

writers=(main left right)
written_together() {
  local branch pids=() pid
  for branch in "${writers[@]}"; do velapg start "$branch"; done
  for branch in "${writers[@]}"; do
    on "$branch" pgbench --no-vacuum --client 4 --time "$seconds" --random-seed "$((${#pids[@]} + 1))" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
}
check "a parent and its clones are written at the same time" written_together

each_its_own() {
  local branch sums=()
  for branch in "${writers[@]}"; do
    invariant_holds "$branch"
    sums+=("$(pgbench_checksum "$branch")")
  done
  equal "$(printf '%s\n' "${sums[@]}" | sort -u | wc -l)" "${#writers[@]}" "number of different contents"
}
check "each is whole, and none is like another" each_its_own

clone_of_the_moment() {
  local sum
  sum=$(pgbench_checksum left)
  velafs clone left later
  on left pgbench --no-vacuum --client 4 --transactions 200
  velapg start later
  equal "$(pgbench_checksum later)" "$sum" "the clone's content"
  on later pgbench --no-vacuum --client 4 --transactions 200
  sum=$(pgbench_checksum left)
  sql later 'truncate pgbench_history; update pgbench_accounts set abalance = 7'
  equal "$(pgbench_checksum left)" "$sum" "the parent's content"
  velapg stop later
}
check "a clone of a running branch and its parent go separate ways" clone_of_the_moment

for branch in "${writers[@]}"; do velapg -q stop "$branch"; done

untouched() {
  hashes "$mount_dir/untouched" | diff "$VELAFS_SANDBOX/untouched.before" -
}
check "no file of an untouched clone has changed" untouched

untouched_after_remount() {
  velafs umount
  velafs mount
  hashes "$mount_dir/untouched" | diff "$VELAFS_SANDBOX/untouched.before" -
}
check "nor after a remount" untouched_after_remount

untouched_source() {
  hashes "$VELAFS_SANDBOX/cluster" | diff "$VELAFS_SANDBOX/cluster.before" -
}
check "no file of the imported directory has changed" untouched_source

whole() {
  checksums_hold "$1"
}
for branch in "${writers[@]}" later; do
  check "the pages of \"$branch\" are whole" whole "$branch"
done
