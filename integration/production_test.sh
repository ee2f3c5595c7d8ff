#!/usr/bin/env bash
# A production server under load, with everything by which a copy could reach it: tablespaces, an archive, a
# subscription, pg_cron, foreign servers, slots. Clones of its base backup do their worst beside it, and it is what it was.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

prod=$VELAFS_SANDBOX/prod       # the production server: subscribes to upstream, archives, has jobs
upstream=$VELAFS_SANDBOX/upstream # a publisher that production follows
archive=$VELAFS_SANDBOX/archive
tablespace=$VELAFS_SANDBOX/tablespace
prod_port=5501
upstream_port=5502
install -d -o postgres "$archive" "$tablespace" "$VELAFS_SANDBOX/elsewhere" "$VELAFS_SANDBOX/backups"

has_cron=
[[ ! -e $(pg_config --pkglibdir)/pg_cron.so ]] || has_cron=1

ask() { # ask PORT QUERY: on one of the two plain servers
  psql -qXAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$1" -U postgres -d postgres -c "$2"
}
begin_server() { # begin_server DATA PORT
  host_start "$1" -c listen_addresses=127.0.0.1 -c port="$2"
}

make_cluster "$upstream" 0
echo 'wal_level = logical' >>"$upstream/postgresql.conf"
make_cluster "$prod" 1
cat >>"$prod/postgresql.conf" <<CONF
wal_level = logical
archive_mode = on
archive_command = 'test ! -e $archive/%f && cp %p $archive/%f'
archive_cleanup_command = 'rm -f $archive/*'
recovery_end_command = 'rm -f $archive/*'
max_wal_size = 64MB
CONF
[[ ! $has_cron ]] || printf '%s\n' "shared_preload_libraries = 'pg_cron'" "cron.database_name = 'postgres'" >>"$prod/postgresql.conf"
begin_server "$upstream" "$upstream_port"
begin_server "$prod" "$prod_port"

ask $upstream_port 'create table news (i int)'
ask $upstream_port 'create publication news_out for table news'
ask $upstream_port 'create table ledger as select 1 i'
ask $prod_port 'create table news (i int)'
ask $prod_port "create subscription news_in connection 'host=127.0.0.1 port=$upstream_port user=postgres dbname=postgres'
  publication news_out"
ask $prod_port "create tablespace fast location '$tablespace'"
ask $prod_port 'create table ledger tablespace fast as select generate_series(1, 1000) i'
ask $prod_port 'vacuum (freeze) ledger' # from now on nobody's look at a row changes a byte of it
ask $prod_port "select pg_create_physical_replication_slot('standby', true)" >/dev/null
ask $prod_port 'create extension dblink'
ask $prod_port 'create extension postgres_fdw'
ask $prod_port "create server up foreign data wrapper postgres_fdw options (host '127.0.0.1', port '$upstream_port', dbname 'postgres')"
ask $prod_port "create user mapping for postgres server up options (user 'postgres', password_required 'false')"
ask $prod_port "create foreign table up_ledger (i int) server up options (table_name 'ledger')"
if [[ $has_cron ]]; then
  ask $prod_port 'create extension pg_cron'
  ask $prod_port 'create table job_runs (at timestamptz default now(), port int default inet_server_port())'
  ask $prod_port "select cron.schedule('* * * * *', 'insert into job_runs default values')" >/dev/null
fi

PGHOST=$prod.run PGPORT=$prod_port as_postgres pgbench --no-vacuum --client 2 --time 100000 --rate 100 --username postgres postgres \
  >"$VELAFS_SANDBOX/load.log" 2>&1 &
load=$!
at_end=end_load
end_load() { kill "$load" 2>/dev/null; wait "$load" 2>/dev/null; }

as_postgres pg_basebackup -h 127.0.0.1 -p $prod_port -U postgres -Ft -X stream -c fast -D "$VELAFS_SANDBOX/backups/one"
velafs -q init
velafs -q mount
velafs import prod --from-tar "$VELAFS_SANDBOX/backups/one" >"$VELAFS_SANDBOX/import.out" 2>&1

# What of production no clone may change. The load changes the rest, production's own jobs and archive grow.
archived_so_far() { (cd "$archive" && find . -type f | sort); }
archive_before=$(archived_so_far)
archive_sums=$(cd "$archive" && md5sum -- *)
state_of_production() {
  ask $prod_port 'checkpoint'
  echo "ledger $(ask $prod_port 'select count(*), sum(i) from ledger')"
  echo "tablespaces $(ask $prod_port 'select oid, spcname, pg_tablespace_location(oid) from pg_tablespace order by 1')"
  echo "files $(cd "$tablespace" && find . -printf '%p %m %u\n' | sort)"
  echo "content $(cd "$tablespace" && find . -type f -name '[0-9]*' -exec md5sum {} + | sort)"
  echo "subscription $(ask $prod_port 'select subname, subenabled, subslotname from pg_subscription')"
  echo "slots $(ask $prod_port 'select slot_name, slot_type from pg_replication_slots order by 1')"
  echo "upstream slots $(ask $upstream_port 'select slot_name, active from pg_replication_slots order by 1')"
  echo "upstream ledger $(ask $upstream_port 'select count(*), sum(i) from ledger')"
  echo "timeline $(ask $prod_port 'select timeline_id from pg_control_checkpoint()')"
}
follows() { # what upstream publishes arrives, once
  ask $upstream_port "insert into news values ($1)"
  arrived() { [[ $(ask $prod_port "select count(*) from news where i = $1") == 1 ]]; }
  wait_until 20 arrived "$1" || fail "production does not follow upstream"
}
follows 1
state_before=$(state_of_production)
echo "$state_before" >"$VELAFS_SANDBOX/state.before"

production_is_unchanged() {
  local after
  after=$(state_of_production)
  diff <(echo "$state_before") <(echo "$after") || fail "production has changed"
  (cd "$archive" && md5sum --quiet --check <<<"$archive_sums") || fail "the archive has changed"
  diff <(echo "$archive_before") <(archived_so_far) | has_line '^<' && fail "the archive has lost files"
  ! has_line history < <(archived_so_far) || fail "a clone's timeline is in the archive"
  follows $((RANDOM << 15 | RANDOM))
  ! has_ended "$load" || fail "the load on production has ended"
}

# ---- Clones of it ----------------------------------------------------------------------------------

velafs -q clone prod worst
velafs -q clone prod open

starts() { # starts BRANCH [OPTION...]
  local branch=$1
  shift
  velapg --json start "$branch" "$@" >"$VELAFS_SANDBOX/$branch.json"
  jq -r '.neutralised[] | "\(.setting) = \(.value): \(.why)"' "$VELAFS_SANDBOX/$branch.json"
  equal "$(sql "$branch" 'select count(*), sum(i) from ledger')" '1000|500500'
}
check "a clone of the base backup starts, isolated from the network" starts worst
check "and another one, where the user opens the network" starts open --network host
check "production is what it was" production_is_unchanged

tries() { # tries BRANCH QUERY...: whatever comes of it
  local branch=$1 query
  shift
  for query in "$@"; do
    echo "$query"
    on "$branch" timeout 20 psql -qXAt -c "$query" || true
  done
}

spoil_tablespace() { # of a clone, by all means
  tries "$1" 'update ledger set i = 0' 'checkpoint' 'create table more tablespace fast as select 1' \
    "create tablespace again location '$tablespace'" "create tablespace out location '$VELAFS_SANDBOX/elsewhere'" \
    'drop table more' 'vacuum full ledger' 'drop table ledger' 'checkpoint' 'drop tablespace fast' 'checkpoint'
  equal "$(sql "$1" "select count(*) from pg_tablespace where spcname = 'fast'")" 0 "tablespaces left on the clone"
  ! has_line . < <(find "$VELAFS_SANDBOX/elsewhere" -type f) || fail "files were made outside"
}
for branch in worst open; do
  check "tablespaces of a clone are its own ($branch)" spoil_tablespace "$branch"
done

spoil_replication() {
  equal "$(sql "$1" 'select count(*) from pg_replication_slots')" 0 "slots on the clone"
  tries "$1" 'alter subscription news_in refresh publication' 'alter subscription news_in enable' \
    "alter subscription news_in set (slot_name = 'news_in')" 'alter subscription news_in enable' \
    'alter subscription news_in refresh publication' 'drop subscription news_in'
}
for branch in worst open; do
  check "a subscription on a clone reaches no publisher ($branch)" spoil_replication "$branch"
done

spoil_archive() {
  tries "$1" 'select pg_switch_wal()' 'checkpoint' "alter system set archive_mode = 'on'" 'select pg_reload_conf()'
  velapg -q restart "$1" ${2:+--network "$2"}
  tries "$1" 'create table w as select generate_series(1, 1000) i' 'select pg_switch_wal()' 'checkpoint'
}
check "a clone archives nothing" spoil_archive worst
check "nor does one with an open network" spoil_archive open host

jobs_do_not_run() {
  local branch
  for branch in worst open; do
    ! pgrep -P "$(field "$branch" server_pid)" -f 'pg_cron' || fail "pg_cron runs on $branch"
    equal "$(sql "$branch" "select count(*) from pg_stat_activity where backend_type ~ 'cron'")" 0 "schedulers on $branch"
  done
}
if [[ $has_cron ]]; then
  check "production's jobs run on no clone" jobs_do_not_run
else
  skip "production's jobs run on no clone" "pg_cron is not installed"
fi

reaches_nothing() {
  tries worst 'insert into up_ledger values (666)' \
    "select dblink_exec('host=127.0.0.1 port=$upstream_port user=postgres dbname=postgres', 'insert into ledger values (667)')" \
    "select dblink_exec('host=$prod.run port=$prod_port user=postgres dbname=postgres', 'insert into ledger values (668)')" \
    "copy (select 1) to program 'psql -h 127.0.0.1 -p $upstream_port -U postgres -c \"insert into ledger values (669)\" postgres'" \
    "create subscription again connection 'host=127.0.0.1 port=$upstream_port user=postgres dbname=postgres' publication news_out"
  equal "$(sql worst "select count(*) from pg_subscription where subname = 'again'")" 0 "new subscriptions"
}
check "an isolated clone reaches no server, by foreign table, dblink or program" reaches_nothing

stop_by_hand() {
  velafs -q clone worst of-running
  ! as_postgres pg_ctl stop -D "$mount_dir/of-running" -m immediate || fail "pg_ctl stopped a server"
  sql worst 'select 1'
}
check "a clone of a running clone stops nobody's server" stop_by_hand

throw_away() {
  velapg run prod -- psql -qXc 'update ledger set i = 0' -c 'drop table ledger' -c checkpoint
  velafs -q clone prod reset-it
  velafs -q reset reset-it
  velafs -q delete --purge reset-it
}
check "clones come and go" throw_away
check "production is what it was, after all of that" production_is_unchanged

ends_clean() {
  velapg -q stop worst
  velapg -q stop open
  velafs -q delete --purge worst open of-running
  velafs -q scrub
}
check "and once the clones are gone" ends_clean
check "production is what it was, at the end" production_is_unchanged
