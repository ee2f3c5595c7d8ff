#!/usr/bin/env bash
# Branches that are clusters of Debian's postgresql-common.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

if [[ ! -x /usr/bin/pg_ctlcluster ]]; then
  skip "clusters" "postgresql-common is not installed"
  exit "$skip_status"
fi

# postgresql-common's places, for this script alone.
mkdir -p /etc/systemd/system
for directory in /etc/postgresql /var/lib/postgresql /etc/systemd/system /run/postgresql; do
  mkdir -p "$directory"
  mount -t tmpfs -o mode=755 tmpfs "$directory"
  chown postgres: "$directory"
done
make_store 0
out=$VELAFS_SANDBOX/out
version=$(cat "$VELAFS_SANDBOX/cluster/PG_VERSION")
install -d -o postgres "$VELAFS_SANDBOX/archive"
archived=$VELAFS_SANDBOX/archive/segment
etc=/etc/postgresql/$version
link=/var/lib/postgresql/$version

# A copy of production: it archives, says so where no file of ours is stronger, and has a slot.
velafs -q clone main prod
velapg -q start prod
sql prod "alter system set archive_mode = on"
sql prod "alter system set archive_command = 'touch $archived'"
sql prod "alter system set wal_level = logical"
velapg -q stop prod
velapg -q start prod --as-is
sql prod "select pg_create_physical_replication_slot('production')" >/dev/null
velapg -q stop prod
[[ -e $archived ]] || die "production does not archive"
rm "$archived"

column() { # column CLUSTER NUMBER: of pg_lsclusters
  pg_lsclusters -h | awk -v name="$1" -v number="$2" '$2 == name { print $number }'
}

registered() {
  velafs -q clone prod pr-1
  velapg register pr-1 --cluster review 2>&1 | has_line 'without systemd pg_ctlcluster cannot start it: user "postgres" may not use'
  velafs -q policy set --of-store user_group=postgres
  velafs -q chown pr-1 postgres
  velapg --json register pr-1 --cluster review >"$out" 2>"$out.err"
  ! has_line 'may not use' "$out.err" || fail "it warns of nothing"
  jq -e --arg version "$version" '.branch == "pr-1" and .version == $version and .cluster == "review" and .port > 0' "$out"
  equal "$(column review 1)" "$version"
  equal "$(column review 3)" "$(field pr-1 port)"
  equal "$(column review 4)" down
  equal "$(column review 5)" postgres
  equal "$(column review 6)" "$link/review"
  equal "$(column review 7)" "$(velapg --json logs pr-1 | jq -r .path)"
  equal "$(readlink "$link/review")" "$mount_dir/pr-1"
}
check "register makes a branch a cluster, which pg_lsclusters shows" registered

# What every server of a branch has, however it was started.
is_apart() {
  equal "$(sql pr-1 'show archive_mode')" off
  equal "$(sql pr-1 'show archive_command')" '(disabled)'
  equal "$(sql pr-1 'show listen_addresses')" ''
  equal "$(sql pr-1 'select count(*) from pg_replication_slots')" 0
  equal "$(sql pr-1 'show cluster_name')" pr-1
  sql pr-1 'select pg_switch_wal(); checkpoint' >/dev/null
  [[ ! -e $archived ]] || fail "the archive command was run"
}

controlled() {
  local who
  for who in env as_postgres; do
    "$who" pg_ctlcluster "$version" review start >"$out" 2>&1 || fail "start says: $(cat "$out")"
    equal "$(column review 4)" online
    is_apart
    "$who" pg_ctlcluster "$version" review status | has_line 'server is running'
    ! "$who" pg_ctlcluster "$version" review start || fail "a second server was started"
    "$who" pg_ctlcluster "$version" review restart >"$out" 2>&1 || fail "restart says: $(cat "$out")"
    is_apart
    "$who" pg_ctlcluster "$version" review reload
    equal "$(as_postgres /usr/bin/psql --cluster "$version/review" -qXAtc 'show data_directory')" "$mount_dir/pr-1"
    "$who" pg_ctlcluster "$version" review stop
    equal "$(column review 4)" down
  done
}
check "pg_ctlcluster starts, restarts and stops it, as root and as postgres, and it is kept apart" controlled

by_velapg() {
  velapg -q start pr-1
  equal "$(column review 4)" online
  pg_ctlcluster "$version" review stop
  [[ $(velapg --json status pr-1 | jq -r .state) == stopped ]]
}
check "what velapg starts, pg_ctlcluster stops" by_velapg

new_life() {
  velafs -q reset pr-1 # the slot is back
  pg_ctlcluster "$version" review start
  is_apart
  pg_ctlcluster "$version" review stop
}
check "a new life of the branch is prepared anew" new_life

no_way_round() {
  local status=0
  # Without velapg a server refuses the cluster's configuration.
  as_postgres timeout 20 pg_ctlcluster --foreground "$version" review start >"$out" 2>&1 || status=$?
  ((status != 0)) || fail "it ran"
  has_line 'unrecognized configuration parameter "start_it_with_pg_ctlcluster_or_velapg"' "$out"
  [[ ! -e $archived ]] || fail "the archive command was run"
  ! as_postgres pg_ctlcluster "$version" review start -o '-c archive_mode=on' >"$out" 2>&1 || fail "it ran"
  has_line 'option "archive_mode" is not for the server of a branch' "$out"
  [[ $(velapg --json status pr-1 | jq -r .state) == stopped ]] || fail "a server runs"
}
check "there is no way to start it without what keeps it apart" no_way_round

isolated() {
  velafs -q policy set pr-1 network=isolated
  as_postgres pg_ctlcluster "$version" review start
  equal "$(velapg --json status pr-1 | jq -r .network)" isolated
  is_apart
  as_postgres pg_ctlcluster "$version" review stop
  velafs -q policy unset pr-1 network
}
check "a cluster's server is isolated where the policy says so" isolated

refusals() {
  refuses 7 'is cluster' velapg register pr-1 --cluster other
  velapg -q register pr-1 --cluster review # once more: brings it up to date
  refuses 3 . velapg register nosuch
  refuses 3 'is no cluster' velapg unregister prod
  for name in '../x' 'a b' "a'b" '-x' ''; do
    refuses 2 . velapg register prod "--cluster=$name"
  done
  mkdir -p "$etc/taken" "$link/full"
  refuses 7 'there is a cluster' velapg register prod --cluster taken
  refuses 7 'exists and does not belong to this branch' velapg register prod --cluster full
  rmdir "$etc/taken" "$link/full"
  ln -s "$VELAFS_SANDBOX" "$link/linked"
  refuses 7 'exists and does not belong to this branch' velapg register prod --cluster linked
  rm "$link/linked"
  equal "$(ls "$etc")" review
}
check "taken names, hostile names, other branches and a second name are refused" refusals

beside() {
  pg_createcluster "$version" plain --port 5999 -- --no-sync >"$out" 2>&1 || fail "it says: $(cat "$out")"
  pg_ctlcluster "$version" plain start
  pg_ctlcluster "$version" review start
  equal "$(column plain 4) $(column review 4)" 'online online'
  pg_ctlcluster "$version" review stop
  pg_dropcluster --stop "$version" plain
  equal "$(column review 2)" review
}
check "a cluster of pg_createcluster runs beside it" beside

renamed() {
  pg_renamecluster "$version" review second >"$out" 2>&1 || fail "it says: $(cat "$out")"
  as_postgres pg_ctlcluster "$version" second start
  is_apart
  as_postgres pg_ctlcluster "$version" second stop
  pg_renamecluster "$version" second review >"$out" 2>&1
}
check "pg_renamecluster renames it, and the branch stays as it is" renamed

dropped() {
  pg_ctlcluster "$version" review start
  pg_dropcluster --stop "$version" review
  [[ -s $mount_dir/pr-1/PG_VERSION ]] || fail "the branch is gone"
  velapg -q start pr-1
  is_apart
  velapg -q stop pr-1
  velapg -q unregister pr-1 # the service's drop-in
  nothing_left
}
nothing_left() {
  local left
  left=$(find /etc/postgresql /var/lib/postgresql /etc/systemd/system -mindepth 1)
  equal "$left" '' "what is left"
}
check "pg_dropcluster leaves the branch, and unregister what is left of the cluster" dropped

unregistered() {
  velapg -q register pr-1
  equal "$(column pr-1 1)" "$version"
  velapg -q unregister pr-1
  nothing_left
  [[ -s $mount_dir/pr-1/PG_VERSION ]]
  refuses 3 'is no cluster' velapg unregister pr-1
}
check "unregister leaves nothing but the branch" unregistered

deleted() {
  velapg -q register pr-1
  velafs -q delete --purge pr-1
  ! pg_ctlcluster "$version" pr-1 start >"$out" 2>&1 || fail "it was started"
  velapg -q unregister pr-1
  nothing_left
}
check "the cluster of a deleted branch does not start, and can be unregistered" deleted

unmounted() {
  velapg -q register prod
  velafs -q umount
  ! as_postgres pg_ctlcluster "$version" prod start >"$out" 2>&1 || fail "it was started"
  velapg -q unregister prod
  velafs -q mount
  nothing_left
}
check "without the mount it does not start, and can be unregistered" unmounted

# postgres's directories lead root nowhere else.
led_astray() {
  local elsewhere=$VELAFS_SANDBOX/elsewhere
  velapg -q register prod
  mkdir "$elsewhere"
  ln -s /nowhere "$elsewhere/prod"
  mv "$link" "$link.away"
  ln -s "$elsewhere" "$link"
  refuses 1 "cannot open \"$link\"" velapg unregister prod
  [[ -L $elsewhere/prod ]] || fail "a link was removed elsewhere"
  rm "$link"
  mv "$link.away" "$link"
  velapg -q unregister prod
  nothing_left
}
check "unregister removes nothing that a link leads to" led_astray

others() {
  refuses_as_postgres register prod
  refuses_as_postgres unregister prod
}
refuses_as_postgres() {
  local status=0
  as_postgres velapg --store "$VELAFS_STORE" "$@" >"$out" 2>&1 || status=$?
  equal "$status" 4
  has_line 'only root can register clusters' "$out"
}
check "only root registers" others
