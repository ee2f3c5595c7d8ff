#!/usr/bin/env bash
# A clone's server runs nothing of production's: no job, no command, no subscription, no slot.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

publisher=$VELAFS_SANDBOX/publisher # production, which runs all the time
archive=$VELAFS_SANDBOX/archive
err=$VELAFS_SANDBOX/err
out=$VELAFS_SANDBOX/out
has_cron=$(find "$(pg_config --pkglibdir)" -name pg_cron.so)

prod() { # prod QUERY...: on production
  local query
  for query; do PGHOST=$publisher.run as_postgres psql -qXAt -d postgres -v ON_ERROR_STOP=1 -c "$query"; done
}
conf() { # conf DATA LINE...
  printf '%s\n' "${@:2}" | as_postgres tee -a "$1/postgresql.conf" >/dev/null
}
backup() { # backup DATA OPTION...: of production
  install -d -o postgres -m 700 "$1"
  PGHOST=$publisher.run as_postgres pg_basebackup --checkpoint fast --no-sync --pgdata "$@" 2>/dev/null
}
take() { velafs -q import "$1" --from-dir "$VELAFS_SANDBOX/$1"; } # a directory of the sandbox's
start() { velapg --json start "$@" >"$out" 2>"$err" || { cat "$out" "$err" && return 1; }; }
neutralised() { # neutralised SETTING: its value in what the last start said
  jq -r --arg setting "$1" '.neutralised[] | select(.setting == $setting).value' "$out"
}
is_neutralised() { jq -e --arg setting "$1" 'any(.neutralised[]; .setting == $setting)' "$out" >/dev/null; }
switch_wal() {
  local file
  file=$(prod "select pg_walfile_name(pg_switch_wal())")
  wait_until 20 test -e "$archive/$file" || fail "production does not archive $file"
}
production_state() {
  prod "select slot_name, slot_type from pg_replication_slots order by 1" \
    "select md5(string_agg(t::text, ',' order by i)) from t t" "select count(*) from pg_stat_replication"
  find "$archive" -type f -exec sha256sum {} + | sort
}

# ---- Production --------------------------------------------------------------------------------------

make_cluster "$publisher" 0
install -d -o postgres "$archive"
conf "$publisher" wal_level=logical archive_mode=on "archive_command='cp %p $archive/%f'" max_prepared_transactions=5
host_start "$publisher"
prod "create table t as select generate_series(1, 100) i" "create table u(i int)" \
  "create publication pt for table t" "create publication pu for table u"
connection="host=$publisher.run dbname=postgres"

make_cluster "$VELAFS_SANDBOX/subscriber" 0
conf "$VELAFS_SANDBOX/subscriber" max_sync_workers_per_subscription=0 wal_level=logical
host_start "$VELAFS_SANDBOX/subscriber"
sub() { PGHOST=$VELAFS_SANDBOX/subscriber.run as_postgres psql -qXAt -d postgres -v ON_ERROR_STOP=1 -c "$1"; }
sub "create table t(i int)"
sub "create table u(i int)"
sub "create subscription ready connection '$connection' publication pt with (copy_data = false)"
sub "create subscription unready connection '$connection' publication pu" # no table ever becomes ready
equal "$(prod "select count(*) from pg_replication_slots")" 2 "slots of production"
host_stop "$VELAFS_SANDBOX/subscriber"

backup "$VELAFS_SANDBOX/bare" --wal-method none
tar -C "$VELAFS_SANDBOX/bare" -cf "$VELAFS_SANDBOX/base.tar" .
backup "$VELAFS_SANDBOX/standby" --wal-method stream --write-recovery-conf
host_start "$VELAFS_SANDBOX/standby"
prod "insert into t values (101)"
switch_wal
prod "insert into t select generate_series(102, 200)" "create table filler as select repeat('x', 1000) from generate_series(1, 20000)"
switch_wal
prod "insert into t values (201)"
lsn=$(prod "select pg_current_wal_flush_lsn()")
replayed() {
  [[ $(PGHOST=$VELAFS_SANDBOX/standby.run as_postgres psql -qXAt -d postgres -c "select pg_last_wal_replay_lsn() >= '$lsn'") == t ]]
}
wait_until 20 replayed
host_stop "$VELAFS_SANDBOX/standby"
production_state >"$VELAFS_SANDBOX/production.before"

velafs -q init
velafs -q mount
take subscriber

# ---- Subscriptions -----------------------------------------------------------------------------------

detached() {
  velafs -q clone subscriber sub1
  start sub1
  equal "$(sql sub1 "select string_agg(subname || subenabled || coalesce(subslotname, '-'), ' ' order by subname) from pg_subscription")" \
    "readyfalse- unreadyfalse-"
  equal "$(sql sub1 "select count(*) from pg_subscription where subconninfo like '%publisher.run%'")" 0 "connections to production"
  is_neutralised 'subscription "ready" of database "postgres"'
  has_line 'warning: subscription "unready" of database "postgres" was detached' "$err"
  refuses_sql() { ! sql sub1 "$1" || fail "$1 succeeds"; }
  refuses_sql "alter subscription ready enable"
  refuses_sql "alter subscription ready refresh publication"
  sql sub1 "alter subscription ready set (slot_name = ready)"
  sql sub1 "alter subscription ready enable"
  refuses_sql "alter subscription ready refresh publication"
  refuses_sql "drop subscription ready"
  sql sub1 "alter subscription ready disable"
  sql sub1 "alter subscription ready set (slot_name = none)"
  sql sub1 "drop subscription ready"
  sql sub1 "drop subscription unready"
}
check "subscriptions of a clone are detached: no command on them reaches the publisher" detached

kept_by_user() {
  sql sub1 "create subscription own connection 'host=/nowhere' publication p with (connect = false, slot_name = own)"
  velapg -q stop sub1
  start sub1
  equal "$(sql sub1 "select subconninfo || subslotname from pg_subscription")" host=/nowhereown
  velafs -q clone sub1 sub2 # of a running branch
  start sub2
  equal "$(sql sub2 "select count(*) from pg_subscription where subslotname is null and subconninfo <> 'host=/nowhere'")" 1
  velapg -q stop sub1
  velafs -q reset sub1
  start sub1
  is_neutralised 'subscription "ready" of database "postgres"'
  velapg -q stop sub1
  velapg -q stop sub2
}
check "what the user sets up stays, and is detached in clones; a reset branch is prepared anew" kept_by_user

contrary() { # settings that would have the preparation fail or wait
  velafs -q clone subscriber contrary
  conf "$mount_dir/contrary" default_transaction_read_only=on statement_timeout=1 lock_timeout=1 search_path=nowhere \
    client_encoding=latin1 session_preload_libraries=not_there log_min_messages=panic
  start contrary
  equal "$(PGOPTIONS="-c statement_timeout=0" sql contrary "select count(*) from pg_subscription where subenabled")" 0
  velapg -q stop contrary
}
check "a configuration that forbids to write does not keep a branch from being prepared" contrary

quoted_error() {
  velafs -q clone subscriber damaged
  dd if=/dev/urandom of="$mount_dir/damaged/global/6100" bs=20 count=1 conv=notrunc status=none
  ! velapg start damaged 2>"$err" || fail "it starts"
  has_line "hint: its server says: ERROR:  invalid page in block 0 of relation global/6100" "$err"
}
check "a preparation that fails quotes the server's error" quoted_error

# A server that the killed command had started already is prepared as well.
is_running() { [[ $(velapg --json status "$1" | jq -r .state) == running ]]; }
killed() {
  local delay pid status cut_off=0 attached="select count(*) from pg_subscription where subenabled or subslotname is not null"
  for delay in 0.02 0.05 0.08 0.12 0.2; do
    velafs -q clone subscriber "killed$delay"
    velapg -q start "killed$delay" 2>/dev/null &
    pid=$!
    sleep "$delay" # any moment will do
    kill -KILL "$pid" 2>/dev/null || true
    status=0
    wait "$pid" || status=$?
    ((status == 0)) || cut_off=$((cut_off + 1))
    velapg -q start "killed$delay" || wait_until 20 is_running "killed$delay"
    equal "$(sql "killed$delay" "$attached")" 0 "subscriptions that are attached, killed after $delay s"
    velapg -q stop "killed$delay"
  done
  at_least "$cut_off" 2 "number of starts that were killed before their end"
}
check "a start that is killed leaves a branch that the next one prepares" killed

# ---- Slots, prepared transactions, foreign servers, settings of databases ------------------------------

slots() {
  velafs -q clone subscriber slots
  start slots
  sql slots "select pg_create_physical_replication_slot('physical', true), pg_create_logical_replication_slot('logical', 'pgoutput')"
  velapg -q stop slots
  velafs -q clone slots slots2
  start slots2
  equal "$(sql slots2 "select count(*) from pg_replication_slots")" 0 "slots of the clone"
  has_line 'removed logical replication slot "logical"' "$err"
  has_line 'removed physical replication slot "physical"' "$err"
  equal "$(neutralised 'replication slot "physical"')" removed
  sql slots2 "select pg_create_physical_replication_slot('mine')"
  velapg -q restart slots2
  equal "$(sql slots2 "select slot_name from pg_replication_slots")" mine
  start slots
  equal "$(sql slots "select count(*) from pg_replication_slots")" 2 "slots of the branch they were made on"
  velapg -q stop slots
  velapg -q stop slots2
}
check "slots that come along are removed; those made on the branch stay" slots

prepare() { # prepare DATABASE STATEMENT NAME: on the other cluster
  PGHOST=$VELAFS_SANDBOX/other.run PGDATABASE=$1 as_postgres psql -qX -v ON_ERROR_STOP=1 -c begin -c "$2" -c "prepare transaction $3"
}
take_other() {
  make_cluster "$VELAFS_SANDBOX/other" 0
  conf "$VELAFS_SANDBOX/other" max_prepared_transactions=5 "local_preload_libraries='not_there'"
  host_start "$VELAFS_SANDBOX/other" -c local_preload_libraries=
  other() { PGHOST=$VELAFS_SANDBOX/other.run as_postgres psql -qXAt -d "$1" -v ON_ERROR_STOP=1 -c "$2"; }
  other postgres "create database app"
  other postgres "create role web login"
  other postgres "alter role web in database app set session_preload_libraries = auto_explain, not_here"
  other postgres "create extension postgres_fdw"
  other postgres "create server production foreign data wrapper postgres_fdw options (host '$publisher.run')"
  other postgres "create database \"-cport=1\""
  other postgres "create subscription old connection '$connection' publication pt with (connect = false, slot_name = ready)"
  prepare app "create table p(i int)" "'open'"
  prepare -cport=1 "lock pg_class in share mode" "E'it''s \\\\\nodd'"
  prepare postgres "create subscription hidden connection '$connection' publication pt with (connect = false, slot_name = unready)" "'hidden'"
  prepare postgres "alter subscription old disable" "'locks'"
  host_stop "$VELAFS_SANDBOX/other"
  take other
}
check "a cluster with more that came along is imported" take_other

prepared_of() { sql "$1" "select count(*) from pg_prepared_xacts"; }
transactions() {
  velafs -q clone other xacts
  start xacts
  equal "$(prepared_of xacts)" 0 "prepared transactions"
  equal "$(neutralised 'prepared transaction "open" of database "app"')" "rolled back"
  equal "$(neutralised $'prepared transaction "it\'s \\\nodd" of database "-cport=1"')" "rolled back"
  is_neutralised 'prepared transaction "hidden" of database "postgres"'
  has_line 'prepared transaction "locks" of database "postgres" was rolled back' "$err"
  equal "$(sql xacts "select subname || subenabled || coalesce(subslotname, '-') from pg_subscription")" oldfalse-
  ! sql xacts "commit prepared 'hidden'" || fail "it is there to be committed"
}
check "prepared transactions that come along are rolled back, and hide no subscription" transactions

transactions_of_user() {
  sql xacts checkpoint
  sql xacts "begin; create subscription late connection '$connection' publication pt with (connect = false, slot_name = late); prepare transaction 'late'"
  velafs -q clone xacts xacts2 # of a running branch: only the WAL has it
  ! compgen -G "$mount_dir/xacts2/pg_twophase/*" || fail "the transaction is not in the WAL alone"
  velapg -q stop xacts
  start xacts
  equal "$(prepared_of xacts)" 1 "prepared transactions of the user's"
  start xacts2
  equal "$(prepared_of xacts2)" 0 "those of the clone"
  is_neutralised 'prepared transaction "late" of database "postgres"'
  velapg -q stop xacts
  velapg -q stop xacts2
}
check "the user's own stay; in a clone, one that only the WAL has is rolled back" transactions_of_user

transactions_kept() {
  velafs -q clone other xacts3
  as_postgres touch "$mount_dir/xacts3/standby.signal"
  start xacts3 --standby
  has_line 'prepared transactions of a standby cannot be rolled back' "$err"
  velapg -q stop xacts3
  rm "$mount_dir/xacts3/standby.signal"
  start xacts3 --as-is
  equal "$(prepared_of xacts3)" 4 "with --as-is"
  velapg -q stop xacts3
}
check "--as-is keeps them, and --standby tells that it cannot roll them back" transactions_kept

stored_settings() {
  velafs -q clone other other1
  start other1
  equal "$(neutralised 'session_preload_libraries of ROLE "web" IN DATABASE "app"')" auto_explain
  equal "$(neutralised local_preload_libraries)" ""
  has_line 'ALTER ROLE "web" IN DATABASE "app" SET session_preload_libraries = auto_explain, not_here brings it back' "$err"
  equal "$(on other1 psql -qXAt -U web -d app -c 'select 1')" 1 "a query as that role"
  has_line 'foreign servers of the branch reach the hosts' "$err"
  velapg -q stop other1
  start other1
  ! has_line 'foreign servers\|prepared transaction' "$err" || fail "warned twice"
}
check "libraries of databases' and roles' settings that are not here are dropped and told" stored_settings

compressed() { # in pg_db_role_setting, whose file has no name of a setting in plain text
  local names query
  names=$(seq -s, 400 | sed 's/[0-9]*/tenant_schema_number_&/g')
  velafs -q clone subscriber long
  start long
  for query in "drop subscription ready" "drop subscription unready" "create role app login" "alter role app set search_path = $names" \
    "alter role app set session_preload_libraries = not_here" "vacuum full pg_db_role_setting" "vacuum full pg_subscription"; do
    sql long "$query"
  done
  velapg -q stop long
  velafs -q clone long long1
  ! grep -rq 'session_preload_libraries=not' "$mount_dir/long1/global" || fail "it is not compressed"
  start long1
  is_neutralised 'session_preload_libraries of ROLE "app"'
  equal "$(on long1 psql -qXAt -U app -d postgres -c 'select 1')" 1 "a query as that role"
  velapg -q stop long1
}
check "likewise among settings that are stored compressed" compressed

strict() {
  velafs -q clone other other2
  sed -i '/local_preload/d' "$mount_dir/other2/postgresql.conf"
  refuses 4 'not_here, by session_preload_libraries of ROLE "web" IN DATABASE "app"' velapg start other2 --strict
}
check "strict: such a setting is a refusal" strict

only_in_wal() {
  sql other1 "alter database app set session_preload_libraries = 'not_anywhere'"
  velafs -q clone other1 other3
  ! grep -q not_anywhere "$mount_dir"/other3/global/* || fail "the setting is not in the WAL alone"
  start other3
  is_neutralised 'session_preload_libraries of DATABASE "app"'
  equal "$(on other3 psql -qXAt -d app -c 'select 1')" 1 "a query on that database"
  velapg -q stop other1
  velapg -q stop other3
}
check "likewise a setting that only the WAL has" only_in_wal

commands_off() {
  start other1
  local setting
  for setting in archive_library archive_cleanup_command recovery_end_command restore_command primary_conninfo; do
    is_neutralised "$setting" || fail "$setting is not overridden"
    equal "$(sql other1 "show $setting")" "" "$setting"
  done
  sql other1 "create tablespace inside location ''"
  velapg -q stop other1
}
check "no command of production's configuration is left, and tablespaces lie inside" commands_off

# ---- Libraries ---------------------------------------------------------------------------------------

preloads() { # preloads VALUE: of branch cron
  sed -i '/shared_preload_libraries/d' "$mount_dir/cron/postgresql.conf"
  conf "$mount_dir/cron" "shared_preload_libraries = '$1'"
}
cron_workers() { sql cron "select count(*) from pg_stat_activity where backend_type like 'pg_cron%'"; }
cron_left_out() {
  local spelling
  velafs -q clone other cron
  for spelling in pg_cron "\$libdir/pg_cron" "$has_cron" pg_cron.so "\"\$libdir/../lib/pg_cron.so\""; do
    preloads "auto_explain, $spelling"
    start cron
    equal "$(neutralised shared_preload_libraries)" auto_explain "preload libraries of $spelling"
    ! is_neutralised cron.launch_active_jobs || fail "a setting that pg_cron may not know is told as neutralised"
    equal "$(cron_workers)" 0 "workers of $spelling"
    velapg -q stop cron
  done
}
cron_by_link() {
  ln -s "$has_cron" "$VELAFS_SANDBOX/harmless.so"
  preloads "$VELAFS_SANDBOX/harmless"
  start cron
  equal "$(cron_workers)" 0 "workers"
  velapg -q stop cron
}
cron_allowed() {
  printf '[pg_cron]\naction = "allow"\n' >"$VELAFS_STORE/extensions.toml"
  chmod 644 "$VELAFS_STORE/extensions.toml"
  preloads pg_cron
  start cron
  wait_until 20 test "$(cron_workers)" = 1
  velapg -q stop cron
  chmod 666 "$VELAFS_STORE/extensions.toml"
  refuses 4 'others can write' velapg start cron
  chmod 644 "$VELAFS_STORE/extensions.toml"
  printf '[pg_cron]\n\naction = "alow"\n' >"$VELAFS_STORE/extensions.toml"
  refuses 2 'line 3: action is "alow"' velapg start cron
  rm "$VELAFS_STORE/extensions.toml"
  ln -s /etc/passwd "$VELAFS_STORE/extensions.toml"
  refuses 4 'is a symbolic link' velapg start cron
  rm "$VELAFS_STORE/extensions.toml"
}
if [[ $has_cron ]]; then
  check "pg_cron is left out, however it is spelled" cron_left_out
  check "and through a link with another name" cron_by_link
  check "the store's extensions.toml allows it, if nobody else can write that" cron_allowed
else
  skip "pg_cron is left out" "postgresql-NN-cron is not installed"
fi

# ---- Recovery ----------------------------------------------------------------------------------------

needs_archive() {
  conf "$VELAFS_SANDBOX/bare" "restore_command='cp $archive/%f %p'"
  as_postgres touch "$VELAFS_SANDBOX/bare/recovery.signal"
  take bare
  velafs -q clone bare bare1
  refuses 1 'a backup that needs WAL from segment [0-9A-F]{24} on' velapg start bare1
  ! has_line backup_label <(velapg start bare1 2>&1 || true) || fail "advises to remove backup_label"
  [[ -e $mount_dir/bare1/recovery.signal ]] || fail "a failed start has removed recovery.signal"
  as_postgres mv "$mount_dir/bare1/recovery.signal" "$mount_dir/bare1/recovery.signal.velapg" # as a kill leaves it
  refuses 1 'a backup that needs WAL' velapg start bare1
  [[ -e $mount_dir/bare1/recovery.signal && ! -e $mount_dir/bare1/recovery.signal.velapg ]] || fail "it is not put back"
  refuses 4 'is not a standby: it has recovery.signal' velapg start bare1 --standby
}
check "a backup that needs its archive says so, and a failed start leaves it as it was" needs_archive

from_archive() {
  start bare1 --recover
  equal "$(sql bare1 "select count(*) from t")" 200 "rows"
  equal "$(sql bare1 "select pg_is_in_recovery()")" f
  equal "$(sql bare1 "show archive_mode")" off
  equal "$(sql bare1 "show restore_command")" ""
  [[ ! -e $mount_dir/bare1/recovery.signal && ! -e $mount_dir/bare1/recovery.signal.velapg ]] || fail "signal files are left"
  velapg -q stop bare1
  start bare1 --recover
  has_line 'needs no recovery' "$err"
  velapg -q stop bare1
}
check "--recover reads the archive, and writes nothing there" from_archive

tar_without_wal() {
  refuses 4 'recovery begins in segment "0000000' velafs import tarred --from-tar "$VELAFS_SANDBOX/base.tar"
  as_postgres touch "$VELAFS_SANDBOX/bare/recovery.signal"
  conf "$VELAFS_SANDBOX/bare" "restore_command='cp $archive/%f %p'"
  velafs -q import bare-set --from-dir "$VELAFS_SANDBOX/bare"
  refuses 1 'a backup that needs WAL from segment' velapg start bare-set
}
check "a backup without its WAL is told by the segment that is missing" tar_without_wal

standby_promoted() {
  cp -a "$VELAFS_SANDBOX/standby" "$VELAFS_SANDBOX/torn"
  conf "$VELAFS_SANDBOX/standby" "archive_cleanup_command='pg_archivecleanup $archive %r'"
  take standby
  velafs -q clone standby standby1
  start standby1
  equal "$(sql standby1 "select count(*) from t")" 201 "rows"
  equal "$(neutralised standby.signal)" removed
  velapg -q stop standby1
}
check "a standby's copy becomes a server of its own" standby_promoted

standby_torn() {
  rm "$VELAFS_SANDBOX/torn/pg_wal/$(find "$VELAFS_SANDBOX/torn/pg_wal" -maxdepth 1 -name '0000000*' -size 16M -printf '%f\n' | sort | sed -n 1,99p | while read -r segment; do
    [[ $segment < $(prod "select pg_walfile_name('$lsn')") ]] || echo "$segment"
  done | head -n 1)"
  refuses 4 'its WAL ends before [0-9A-F/]*, where its data becomes consistent' \
    velafs import torn --from-dir "$VELAFS_SANDBOX/torn"
  velafs -q import torn --from-dir "$VELAFS_SANDBOX/torn" --allow-missing-wal
  refuses 1 'its WAL ends before its data is consistent' velapg start torn
  [[ -e $mount_dir/torn/standby.signal && ! -e $mount_dir/torn/recovery.signal ]] || fail "signal files have changed"
  refuses 1 'its WAL ends before its data is consistent' velapg start torn
}
check "one whose WAL ends too early is refused, again and again" standby_torn

keeps_archive() {
  velafs -q clone standby standby2
  start standby2 --standby
  equal "$(sql standby2 "select pg_is_in_recovery()")" t
  sql standby2 checkpoint
  equal "$(sql standby2 "show archive_cleanup_command")" ""
  velapg -q stop standby2
}
check "a standby on a branch deletes nothing from the archive" keeps_archive

production_unchanged() {
  production_state | diff "$VELAFS_SANDBOX/production.before" -
}
check "production's rows, slots and archive are as they were" production_unchanged
