#!/usr/bin/env bash
# Power cuts: the store lies on a filesystem on a disk that loses what was not flushed to it, and after
# each cut everything acknowledged must be there, and nothing half. VELAFS_CUTS says how many cuts each
# of the filesystems gets, VELAFS_SEED from what numbers their moments and losses come.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
source "$root_dir/integration/disk.sh"
cp "$build_dir/integration/programs/volatile_disk" bin/

cuts=${VELAFS_CUTS:-6}
seed=${VELAFS_SEED:-$((EPOCHSECONDS % 100000))}
cuts_per_disk=40 # then a new one: what deleted imports leave in the packs would fill it
export VELAFS_STORE=$host_dir/store
mount_dir=$VELAFS_STORE/mnt

# ---- The disk itself -------------------------------------------------------------------------------

# Two thousand blocks, half of which are synced.
disk_loses() {
  local loop image=$VELAFS_SANDBOX/before block
  make_disk ext4 32M
  openssl rand $((2000 * 4096)) >"$image"
  plug_in 4096 "$1"
  loop=$(loop_device)
  dd if="$image" of="$loop" bs=4096 count=1000 oflag=direct conv=fsync status=none
  dd if="$image" of="$loop" bs=4096 count=1000 skip=1000 seek=1000 oflag=direct status=none
  cmp -n $((2000 * 4096)) "$loop" "$image" || fail "the disk does not read what was written"
  cut_power
  losetup --detach "$loop"
  wait_until 10 umount "$disk_dir"

  cmp -n $((1000 * 4096)) "$disk_image" "$image" || fail "a synced block is lost"
  local kept=0
  for ((block = 1000; block < 2000; ++block)); do
    ! cmp -s -n 4096 -i $((block * 4096)) "$disk_image" "$image" || kept=$((kept + 1))
  done
  echo "$kept of 1000 blocks that were not synced were kept"
  at_least "$kept" 1 "number of blocks kept"
  at_most "$kept" 999 "number of blocks kept"
}

# ---- What is done while the power is on ------------------------------------------------------------

log_dir=$VELAFS_SANDBOX/acknowledged
verb_log=$log_dir/verbs

# Inserts numbers, each of which is in `$log_dir/CLIENT` once its commit has been acknowledged.
commit_numbers() { # commit_numbers CUT CLIENT
  seq 1 10000000 | sed "s/.*/insert into commits values ($1, '$2', &) returning i;/" |
    stdbuf --output=L psql -qXAtv ON_ERROR_STOP=1 >"$log_dir/$2" 2>/dev/null || true
}

# Makes tables, and drops those made three before.
make_tables() {
  local i
  for ((i = 1; ; ++i)); do
    echo "create table churn_$i as select generate_series(1, 2000) x;"
    ((i < 4)) || echo "drop table churn_$((i - 3));"
    printf '%s\n' "\\echo $i"
  done | stdbuf --output=L psql -qXAtv ON_ERROR_STOP=1 >"$log_dir/tables" 2>/dev/null || true
}

drop_tables() {
  sql one "do \$\$ declare name text; begin
    for name in select relname from pg_class where relname like 'churn%' loop
      execute 'drop table ' || name;
    end loop; end \$\$"
}

checkpoint_now_and_then() {
  while psql -qXc checkpoint >/dev/null 2>&1; do sleep 0.3; done
}

# do_verb EFFECT NAME COMMAND...: notes in the verb log that the command begins, and then that it succeeded;
# each time with the number of commits that were acknowledged before.
do_verb() {
  local effect=$1 name=$2 commits
  commits=$(acknowledged a)
  shift 2
  echo "begin $effect $name $commits" >>"$verb_log"
  "$@" >/dev/null 2>&1 || return 1
  echo "end $effect $name $commits" >>"$verb_log"
}

change_branches() {
  local i
  for ((i = 1; ; ++i)); do
    do_verb there "clone-$i" velafs clone one "clone-$i" || return 0
    do_verb there "one@mark-$i" velafs bookmark create "one@mark-$i" || return 0
    ((i > 2)) || continue
    do_verb gone "clone-$((i - 2))" velafs delete "clone-$((i - 2))" || return 0
    do_verb gone "one@mark-$((i - 2))" velafs bookmark delete "one@mark-$((i - 2))" || return 0
  done
}

import_extra() {
  do_verb there extra velafs import extra --from-dir "$VELAFS_SANDBOX/extra" || true
}

# How many numbers of a client have been acknowledged.
acknowledged() {
  local last
  last=$(tail -n 1 "$log_dir/$1" 2>/dev/null) || true
  echo "${last:-0}"
}

has_acknowledged() { # has_acknowledged COMMITS
  (($(acknowledged a) >= $1))
}

acknowledged_some() {
  (($(acknowledged a) >= 20 && $(acknowledged b) >= 20 && $(acknowledged tables) >= 2))
}

start_load() { # start_load CUT
  rm -rf "$log_dir"
  mkdir "$log_dir"
  : >"$verb_log"
  load=()
  on one pgbench --no-vacuum --client 4 --time 1000 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
  load+=($!)
  on one commit_numbers "$1" a &
  load+=($!)
  on one commit_numbers "$1" b &
  load+=($!)
  on one make_tables &
  load+=($!)
  on one checkpoint_now_and_then &
  load+=($!)
  change_branches &
  load+=($!)
  wait_until 30 acknowledged_some || fail "the load does not begin"
}

# ---- The cut ---------------------------------------------------------------------------------------

server_pids() {
  grep -lxs postgres /proc/[0-9]*/comm | cut -d/ -f3 || true
}
servers_are_gone() {
  [[ -z $(server_pids) ]]
}

# Ends what a real cut would have ended, and waits until the filesystem on the disk is out of use.
bury_the_dead() { # bury_the_dead DAEMON
  local pid
  for pid in "$1" $(server_pids); do kill -KILL "$pid" 2>/dev/null || true; done
  wait_until 20 servers_are_gone || fail "a server does not end"
  wait_until 20 has_ended "$1" || fail "the daemon does not end"
  wait "${load[@]}" || true
  umount --lazy "$mount_dir"
  unplug
}

power_returns() { # power_returns SECTOR_BYTES SEED
  plug_in "$1" "$2"
  mount_host
  velafs -q mount
}

# ---- What must be there afterwards -----------------------------------------------------------------

tree_sum() { # tree_sum DATA: of all files with data in them
  (cd "$1" && find base global pg_xact -type f | sort | xargs sha1sum | sha1sum)
}

names_there() {
  velafs --json list | jq -r '.branches[].name'
  velafs --json bookmark list | jq -r '.bookmarks[].name'
}

# The last word on each name in the verb log, youngest first, as `STATE EFFECT NAME COMMITS`, with the
# number of commits that were acknowledged before it was made.
last_words() {
  awk '{ if ($2 == "there") commits[$3] = $4; print $1, $2, $3, commits[$3] }' "$verb_log" | tac |
    awk '!seen[$3]++'
}

# Branches and bookmarks are as the verbs that succeeded left them; the verb that was cut off may or may
# not have happened.
verbs_are_kept() {
  local there state effect name
  there=$(names_there)
  while read -r state effect name _; do
    [[ $state == end ]] || continue
    if [[ $effect == there ]]; then
      has_line -Fx "$name" <<<"$there" || fail "$name is not there, though its making was acknowledged"
    else
      ! has_line -Fx "$name" <<<"$there" || fail "$name is there, though its deletion was acknowledged"
    fi
  done < <(last_words)
}

commits_are_kept() { # commits_are_kept CUT BRANCH A [B]: at least that many of each client
  local counts
  counts=$(sql "$2" "select count(*) filter (where client = 'a' and i <= $3) || ' ' ||
    count(*) filter (where client = 'b' and i <= ${4:-0}) from commits where cut = $1")
  equal "$counts" "$3 ${4:-0}" "number of acknowledged commits on $2"
}

tables_are_kept() {
  local last=$1 i
  for ((i = last - 1; i <= last; ++i)); do
    equal "$(sql one "select count(*) from churn_$i")" 2000 "number of rows in churn_$i"
  done
}

server_is_sound() { # server_is_sound BRANCH
  invariant_holds "$1"
  on "$1" pg_amcheck --heapallindexed --install-missing --database postgres
}

branch_is_whole() { # branch_is_whole CUT BRANCH ACKNOWLEDGED
  velapg start "$2"
  invariant_holds "$2"
  commits_are_kept "$1" "$2" "$3"
  velapg stop "$2"
}

# The youngest branch and the youngest bookmark that were acknowledged, and those that were not and are
# there all the same.
branches_are_whole() { # branches_are_whole CUT
  local there state effect name rows youngest=''
  there=$(names_there)
  while read -r state effect name rows; do
    [[ $name != extra ]] || continue
    has_line -Fx "$name" <<<"$there" || continue
    [[ $state == begin || $youngest != *${name%-*}* ]] || continue
    youngest+=" ${name%-*}"
    if [[ $name == *@* ]]; then
      velafs -q clone "$name" marked
      branch_is_whole "$1" marked "$rows"
      velafs -q delete --purge marked
    else
      branch_is_whole "$1" "$name" "$rows"
    fi
  done < <(last_words)
}

import_is_whole() {
  has_line -Fx extra <<<"$(names_there)" || return 0
  equal "$(tree_sum "$mount_dir/extra")" "$(tree_sum "$VELAFS_SANDBOX/extra")" "sum of the import"
  velapg start extra
  invariant_holds extra
  velapg stop extra
  velafs -q unprotect extra
  velafs -q delete --purge extra
}

delete_what_was_made() {
  local name
  for name in $(names_there); do
    case $name in
      clone-*) velafs -q delete --purge "$name" ;;
      one@*) velafs -q bookmark delete "$name" ;;
    esac
  done
  velafs -q gc --trash
}

# ---- One cut ---------------------------------------------------------------------------------------

power_cut() { # power_cut CUT SECTOR_BYTES
  local cut=$1 before daemon moment last_a last_b last_table
  RANDOM=$((seed + cut))
  velapg -q start one
  drop_tables
  before=$(sql one "select count(*) from commits")
  daemon=$(daemon_pid)
  start_load "$cut"
  if ((cut % 4 == 0)); then
    openssl rand 24000000 >"$VELAFS_SANDBOX/extra/base/1/999999"
    import_extra &
    load+=($!)
  fi
  moment=$(($(acknowledged a) + RANDOM % 200))
  wait_until 60 has_acknowledged "$moment" || fail "the load does not go on"
  cut_power
  last_a=$(acknowledged a) last_b=$(acknowledged b) last_table=$(acknowledged tables)
  echo "acknowledged: $last_a and $last_b commits, $last_table tables, $(wc -l <"$verb_log") lines of verbs"
  bury_the_dead "$daemon"

  power_returns "$2" $((seed + cut))
  velafs -q scrub
  verbs_are_kept
  velapg -q start one
  commits_are_kept "$cut" one "$last_a" "$last_b"
  equal "$(sql one "select count(*) from commits where cut < $cut")" "$before" "number of earlier commits"
  tables_are_kept "$last_table"
  server_is_sound one
  velapg -q stop one
  checksums_hold one
  branches_are_whole "$cut"
  import_is_whole
  equal "$(tree_sum "$mount_dir/main")" "$(tree_sum "$VELAFS_SANDBOX/cluster")" "sum of the untouched branch"
  delete_what_was_made
}

new_store() { # new_store FILESYSTEM SECTOR_BYTES
  make_disk "$1" 3G
  plug_in "$2" "$seed"
  mount_host
  velafs -q init
  velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  velafs -q mount
  velafs -q clone main one
  velapg -q start one
  sql one 'create table commits (cut int, client text, i int, primary key (cut, client, i))'
  velapg -q stop one
}

put_away() {
  velafs -q umount
  unplug
}

cut_power_on() { # cut_power_on FILESYSTEM SECTOR_BYTES
  local why cut
  if ! why=$(needs_loop_devices "$1"); then
    skip "power cuts on $1" "$why"
    return
  fi
  for ((cut = 1; cut <= cuts; ++cut)); do
    if ((cut % cuts_per_disk == 1)); then
      ((cut == 1)) || put_away
      new_store "$1" "$2"
    fi
    check "power cut $cut under load, $1, seed $((seed + cut)): all acknowledged is there" power_cut "$cut" "$2"
    ((failures == 0)) || exit 0 # what the store is like now is anybody's guess
  done
  put_away
}

if ! why=$(needs_loop_devices ext4); then
  skip "power cuts" "$why"
  exit "$skip_status"
fi
check "the disk keeps what was synced, and loses some of the rest" disk_loses 1

# Many small WAL files, for the sake of their names; and the same again to import.
make_cluster "$VELAFS_SANDBOX/cluster" 1 --wal-segsize 1
printf '%s\n' 'min_wal_size = 4MB' 'max_wal_size = 24MB' >>"$VELAFS_SANDBOX/cluster/postgresql.conf"
cp -a "$VELAFS_SANDBOX/cluster" "$VELAFS_SANDBOX/extra"
install -o postgres -m 600 /dev/null "$VELAFS_SANDBOX/extra/base/1/999999"
cut_power_on ext4 4096
cut_power_on xfs 512
