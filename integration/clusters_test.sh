#!/usr/bin/env bash
# Whatever a cluster looks like, its branch starts, is reached without naming a role, and can be inspected; what had to be
# overridden for that is told in exact words. Or one message says why not, and what to type.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_cluster "$VELAFS_SANDBOX/plain" 0
echo secret >"$VELAFS_SANDBOX/password"
make_cluster "$VELAFS_SANDBOX/odd" 0 --username app --auth scram-sha-256 --pwfile "$VELAFS_SANDBOX/password"
chown -R 64999:64999 "$VELAFS_SANDBOX/odd" # as out of a container: nobody's name here
velafs -q init
velafs -q mount
for source in plain odd; do velafs -q import "$source" --from-dir "$VELAFS_SANDBOX/$source"; done

# What is overridden on each branch, with values that are another branch's or port's left out.
overridden() { # overridden FILE
  jq -r --arg own "^(data_directory|config_file|hba_file|ident_file|port|external_pid_file|cluster_name|log_directory|unix_socket_directories)$" \
    '.neutralised[] | select(.setting | test($own) | not) | "\(.setting)=\(.value)"' "$1" | sort
}

start_to_json() { # start_to_json BRANCH [OPTION...]
  local branch=$1
  shift
  velapg --json start "$branch" "$@" >"$VELAFS_SANDBOX/$branch.json" 2>"$VELAFS_SANDBOX/$branch.err" || {
    cat "$VELAFS_SANDBOX/$branch.json" "$VELAFS_SANDBOX/$branch.err"
    return 1
  }
}

ends() { # ends BRANCH...
  local branch
  for branch; do
    velapg -q stop "$branch" || true
    velafs -q delete --purge "$branch"
  done
}

start_to_json plain
overridden "$VELAFS_SANDBOX/plain.json" >"$VELAFS_SANDBOX/usual"
velapg -q stop plain

# The branch "one", with what its start overrides beyond the usual; its own files stay as they are.
works() { # works EXPECTED [OPTION...]
  local expected=$1 before
  shift
  before=$(find "$mount_dir/one" -maxdepth 1 -name '*.conf' -type f -exec md5sum {} + | sort)
  start_to_json one "$@"
  equal "$(comm -13 "$VELAFS_SANDBOX/usual" <(overridden "$VELAFS_SANDBOX/one.json") | paste -sd ' ')" "$expected" "what is overridden"
  equal "$(velapg psql one -wXAtc 'select current_user')" "$(field one labels.role)"
  equal "$(find "$mount_dir/one" -maxdepth 1 -name '*.conf' -type f -exec md5sum {} + | sort)" "$before" "the branch's configuration"
  ends one
}

begin_one() { # begin_one [SOURCE]
  if velafs show one >/dev/null 2>&1; then ends one; fi # of a case that has failed
  velafs -q clone "${1:-plain}" one
  if [[ ${1:-plain} == odd ]]; then velafs -q label one role=app; else velafs -q label one role=postgres; fi
}

# Lines for postgresql.conf, and what is overridden because of them.
configured() { # configured EXPECTED LINE...
  begin_one
  printf '%s\n' "${@:2}" >>"$mount_dir/one/postgresql.conf"
  works "$1"
}

told() { # told PATTERN...: one line each, in the warnings
  local pattern
  for pattern; do
    equal "$(jq -r '.warnings[]' "$VELAFS_SANDBOX/one.json" | grep -cE -- "$pattern")" 1 "lines in warnings that match $pattern"
    equal "$(grep -cE -- "$pattern" "$VELAFS_SANDBOX/one.err")" 1 "lines on stderr that match $pattern"
  done
}

any_role() {
  begin_one odd
  works ''
}
check "a superuser of another name, a password on the socket, and files of a nameless user" any_role

access() { # access HBA-LINE
  begin_one odd
  echo "$1" >"$mount_dir/one/pg_hba.conf"
  echo '"an ident line' >"$mount_dir/one/pg_ident.conf"
  works ''
}
for line in 'hostssl all all all cert' 'local all all peer map=none' 'local all all reject' 'no rule at all'; do
  check "access is velapg's, whatever pg_hba.conf says: $line" access "$line"
done

no_access_files() {
  begin_one
  rm "$mount_dir/one/pg_hba.conf" "$mount_dir/one/pg_ident.conf"
  mkfifo "$mount_dir/one/pg_hba.conf"
  mkdir "$mount_dir/one/pg_ident.conf"
  works ''
}
check "a FIFO and a directory in the place of pg_hba.conf and pg_ident.conf" no_access_files

no_configuration() {
  begin_one odd
  rm "$mount_dir"/one/*.conf
  works ''
}
check "no configuration at all, as of Debian's clusters" no_configuration

locales() {
  configured 'lc_messages=C lc_monetary=C lc_numeric=C lc_time=C' "lc_messages = 'xx_YY.UTF-8'" "lc_monetary = 'xx_YY.UTF-8'" \
    "lc_numeric = 'xx_YY.UTF-8'" "lc_time = 'xx_YY.UTF-8'"
  told '^(velapg: warning: )?lc_time: C \(.*/one/postgresql.conf line [0-9]+: invalid value for parameter "lc_time": "xx_YY.UTF-8"\)$'
}
check "locales of messages, money, numbers and times that are not here" locales

check "time zones that are not here" configured 'log_timezone=its default timezone=its default' \
  "timezone = 'Nowhere/Town'" "log_timezone = 'Nowhere/Town'"
check "settings of another version, values that this build has not, numbers out of range" configured \
  'max_connections=its default no_such_setting=its default wal_sync_method=its default work_mem=its default' \
  'no_such_setting = 1' 'wal_sync_method = fsync_writethrough' 'max_connections = 999999999' "work_mem = 'lots'"
check "settings of extensions that are not here" configured '' "no_such_extension.mode = 'on'"
check "a broken line, and files and directories to include that are not there" configured \
  'a line of the configuration=left out a line of the configuration=left out a line of the configuration=left out' \
  'this is not a setting' "include 'missing.conf'" "include_dir 'missing.d'" "include_if_exists 'none.conf'"
check "directories, files and libraries that are not here" configured 'huge_pages=try local_preload_libraries= session_preload_libraries= ssl=off' \
  "dynamic_library_path = '/nonexistent:\$libdir'" "jit_provider = 'none'" "temp_tablespaces = 'none'" "default_tablespace = 'none'" \
  "unix_socket_group = 'none'" 'unix_socket_permissions = 0000' "external_pid_file = '/nonexistent/pid'" "log_directory = '/nonexistent'" \
  'logging_collector = on' "krb_server_keyfile = '/nonexistent/key'" "event_source = 'x'" 'data_sync_retry = on' 'huge_pages = on' \
  'ssl = on' "ssl_ca_file = 'none'" "local_preload_libraries = 'none'" "session_preload_libraries = 'none'" \
  "default_text_search_config = 'pg_catalog.none'" "restore_command = 'none'" "hba_file = '/nonexistent'" "ident_file = '/nonexistent'"
namespaces=off
(($(cat "$VELAFS_SANDBOX/plain/PG_VERSION") < 17)) || namespaces='its default' # where no server knows it
check "roles that belong to databases" configured "db_user_namespace=$namespaces" 'db_user_namespace = on'
check "more memory than this machine has" configured 'maintenance_work_mem=64MB shared_buffers=128MB' 'shared_buffers = 900GB' \
  'maintenance_work_mem = 90GB'

# As velapg asks each version for another thing, and psql asks for nothing.
impatient() {
  begin_one
  printf '%s\n' "timezone = 'Nowhere/Town'" 'statement_timeout = 1' 'lock_timeout = 1' >>"$mount_dir/one/postgresql.conf"
  start_to_json one
  ! grep 'has no postgresql.conf' "$VELAFS_SANDBOX/one.err" || fail "one line was left out, the branch has the file"
  PGOPTIONS='-c statement_timeout=0' velapg psql one -qX -c 'create role low' -c 'create table here (i int)' \
    -c "alter role postgres set role = 'low'" -c "alter role postgres set default_transaction_read_only = on"
  velapg -q stop one
  PGOPTIONS='-c no_such_setting=1' velapg --json inspect one --relations --schema >"$VELAFS_SANDBOX/inspect.json"
  jq -r .schema "$VELAFS_SANDBOX/inspect.json" | has_line 'CREATE TABLE public.here'
  equal "$(jq -r '[.relations[] | select(.name == "here")] | length' "$VELAFS_SANDBOX/inspect.json")" 1
  velapg -q start one --tcp
  velapg url one --tcp >/dev/null
  equal "$(PGOPTIONS='-c statement_timeout=0 -c work_mem=7MB' velapg psql one -XAtc 'show work_mem')" 7MB "a setting of the caller's session"
  ends one
}
check "time limits and roles that the cluster sets are not for velapg's own questions" impatient

check "what this build does not support, and says without quotes" configured 'bonjour=its default' 'bonjour = on'

included() {
  begin_one
  mkdir "$mount_dir/one/conf.d"
  echo "include_dir 'conf.d'" >>"$mount_dir/one/postgresql.conf"
  printf '%s\n' 'work_mem = 5MB' "timezone = 'Nowhere/Town'" "log_line_prefix = 'it''s '" >"$mount_dir/one/conf.d/1.conf"
  start_to_json one
  told "^(velapg: warning: )?timezone: its default \\(.*/one/conf.d/1.conf line 2: invalid value"
  equal "$(velapg psql one -XAtc 'show work_mem' -c 'show log_line_prefix')" $'5MB\nit\'s '
  ends one
}
check "what an included file says holds, but for what is refused" included

strict() {
  begin_one
  echo "lc_time = 'xx_YY.UTF-8'" >>"$mount_dir/one/postgresql.conf"
  refuses 4 'one/postgresql.conf line [0-9]+: invalid value for parameter "lc_time"' velapg start one --strict
  { velapg start one --as-is 2>&1 || true; } | has_line 'without --as-is, lines that the server does not accept are left out' ||
    fail "--as-is is not explained"
  velafs -q delete --purge one
}
check "--strict refuses that, and names it" strict

altered() {
  begin_one
  printf '%s\n' 'work_mem = 5MB' "lc_time = 'xx_YY.UTF-8'" >>"$mount_dir/one/postgresql.auto.conf"
  local line
  line=$(grep -n lc_time "$mount_dir/one/postgresql.auto.conf" | cut -d: -f1)
  refuses 1 'cannot start branch "one": its configuration cannot be read' velapg start one
  { velapg start one 2>&1 || true; } | has_line -F "or remove that line, as with sed -i ${line}d $mount_dir/one/postgresql.auto.conf" ||
    fail "the line is not named"
  sed -i "${line}d" "$mount_dir/one/postgresql.auto.conf"
  works ''
}
check "what ALTER SYSTEM has set cannot be left out: the line to remove is named" altered

modes() {
  begin_one
  chmod 777 "$mount_dir/one"
  works 'mode of the data directory=0750'
  told 'mode of the data directory is now 0750: it was 0777, and PostgreSQL wants 0700 or 0750$'
  begin_one
  chown root "$mount_dir/one"
  refuses 4 'does not belong to user "postgres", whose data is in it' velapg start one
  velafs -q delete --purge one
}
check "a data directory that is open to others, and one of another user's" modes

origins() {
  begin_one
  start_to_json one --profile small
  local i
  for i in {1..9}; do
    velapg psql one -qXAtc "select pg_replication_origin_create('o$i')" -c "select pg_replication_origin_advance('o$i', '0/1000')" >/dev/null
  done
  velapg -q stop one
  echo 'max_replication_slots = 5' >>"$mount_dir/one/postgresql.conf"
  works 'max_replication_slots=19'
}
check "more replication origins than max_replication_slots has room for" origins

tls() {
  begin_one odd
  printf '%s\n' 'ssl = on' >>"$mount_dir/one/postgresql.conf"
  for file in server.crt server.key; do echo none >"$mount_dir/one/$file"; done
  chown 64999:64999 "$mount_dir/one/"server.*
  chmod 644 "$mount_dir/one/server.key"
  start_to_json one --tcp
  equal "$(jq -r '.neutralised[] | select(.setting == "ssl") | "\(.value): \(.why)"' "$VELAFS_SANDBOX/one.json")" \
    'off: its key file is open to others'
  ends one
}
check "a key that others may read turns SSL off" tls

# ---- Databases --------------------------------------------------------------------------------------

databases() {
  begin_one
  start_to_json one
  velapg psql one -qX -c 'create database shop' -c 'create database closed' -c 'create role web login' \
    -c "alter database closed set session_preload_libraries = 'auto_explain'" -c 'create table here (i int)' \
    -c checkpoint
  velafs -q bookmark create one@before
  velapg psql one -qX -c "update pg_database set datcollate = 'xx_YY.UTF-8', datctype = 'xx_YY.UTF-8' where datname = 'shop'"
  velapg -q stop one
  start_to_json one
  told 'database "shop" cannot be opened: its locale "xx_YY.UTF-8" is not on this machine; to install it: apt install locales-all$'
  equal "$(velapg psql one -wXAtc 'select current_database()')" postgres
}
check "a database whose locale is not here is named" databases

partly() {
  velapg --json inspect one --relations --schema >"$VELAFS_SANDBOX/inspect.json" 2>"$VELAFS_SANDBOX/inspect.err"
  equal "$(jq -r '.not_inspected[].database' "$VELAFS_SANDBOX/inspect.json")" shop
  jq -r '.not_inspected[].why' "$VELAFS_SANDBOX/inspect.json" | has_line 'incompatible with operating system'
  equal "$(jq -r '[.relations[] | select(.name == "here")] | length' "$VELAFS_SANDBOX/inspect.json")" 1
  jq -r .schema "$VELAFS_SANDBOX/inspect.json" | has_line 'CREATE TABLE public.here'
  has_line 'warning: database "shop" was not inspected: ' <"$VELAFS_SANDBOX/inspect.err"
  velapg psql one -qXc 'create table there as select generate_series(1, 1000) i' -c checkpoint
  velafs --json diff plain one --tables --schema >"$VELAFS_SANDBOX/diff.json" 2>"$VELAFS_SANDBOX/diff.err"
  equal "$(jq -r '.not_inspected[] | "\(.source) \(.database)"' "$VELAFS_SANDBOX/diff.json")" 'one shop'
  equal "$(jq -r '[.tables[] | select(.table == "there")] | length' "$VELAFS_SANDBOX/diff.json")" 1
  jq -r .schema.diff "$VELAFS_SANDBOX/diff.json" | has_line 'CREATE TABLE public.there'
  velafs --json diff one@before one --schema 2>/dev/null | jq -r .schema.diff >"$VELAFS_SANDBOX/diff.txt"
  has_line 'CREATE TABLE public.there' <"$VELAFS_SANDBOX/diff.txt"
  ! has_line shop <"$VELAFS_SANDBOX/diff.txt" || fail "a database that only one side could open counts as a difference"
  has_line 'database "shop" of "one" was not inspected: ' <"$VELAFS_SANDBOX/diff.err"
}
check "inspect and diff show the others, and name it" partly

encodings() {
  velapg psql one -qX -c "create database latin encoding latin1 locale 'C' template template0" -c checkpoint
  velapg psql one --dbname latin -qX -c "comment on schema public is U&'caf\00e9'" -c checkpoint
  velapg inspect one --schema 2>/dev/null | jq -r .schema | has_line "IS 'café'" || fail "text of LATIN1 is not told in UTF-8"
  velapg psql one -qX -c "create database bytes encoding sql_ascii locale 'C' template template0" -c checkpoint
  velapg psql one --dbname bytes -qX -c "comment on schema public is E'th\\351'" -c checkpoint
  velapg inspect one --schema 2>/dev/null | jq -r .schema | has_line "IS 'th�'" || fail "bytes that are not UTF-8 are not replaced"
  velapg psql one -qX -c 'drop database latin' -c 'drop database bytes' -c checkpoint
}
check "text in any encoding is shown" encodings

logins() {
  velafs -q policy set one default_user=web default_database=template1
  equal "$(velapg psql one -XAtc 'select current_user, current_database()')" 'web|template1'
  equal "$(velapg psql one --superuser -XAtc 'select current_user, current_database()')" 'postgres|postgres'
  equal "$(velapg psql one --dbname postgres -XAtc 'select current_user, current_database()')" 'web|postgres'
  [[ $(velapg url one) == postgresql://web@/template1* ]] || fail "url is $(velapg url one)"
  equal "$(velapg run one -- sh -c 'echo $PGUSER $PGDATABASE')" 'web template1'
  velafs -q clone one two --checkpoint
  velafs -q delete --purge two
  refuses 3 'branch "one" has no role "nobody"' velapg psql one --user nobody
  { velapg psql one --user nobody 2>&1 || true; } | has_line 'hint: its roles: "postgres", "web"; --user names another'
  { velapg psql one --dbname none 2>&1 || true; } | has_line 'hint: its databases: .*"shop".*; --dbname names another'
  velafs -q policy unset one default_user default_database
}
check "policies say as whom and where to, options come before them, and what is missing is named" logins

closed() {
  velapg psql one -qXc 'create role dba superuser login' -c 'alter role postgres nologin' -c checkpoint
  equal "$(velapg psql one -XAtc 'select current_user')" dba
  velapg psql one -qXc 'alter role postgres login' -c 'alter role postgres rename to boss' -c checkpoint
  equal "$(velapg psql one -XAtc 'select current_user')" boss
  ends one
}
check "where initdb's superuser may not log in another one does, and its new name is known" closed

no_postgres() {
  begin_one
  start_to_json one
  velapg psql one --dbname template1 -qX -c 'create database shop' -c 'drop database postgres' -c "create database \"line
break\"" -c 'create database spoilt' -c "update pg_database set datcollate = 'xx_YY.UTF-8' where datname = 'spoilt'"
  equal "$(velapg psql one -XAtc 'select current_database()')" template1
  [[ $(velapg url one) == postgresql://postgres@/template1* ]] || fail "url is $(velapg url one)"
  velapg -q stop one
  start_to_json one
  [[ $(jq -r .url "$VELAFS_SANDBOX/one.json") == postgresql://postgres@/template1* ]] || fail "start names another URL"
  equal "$(velapg run one -- psql -XAtc 'select current_database()')" template1
  velapg --json inspect one --schema >"$VELAFS_SANDBOX/inspect.json" 2>"$VELAFS_SANDBOX/inspect.err"
  jq -r .schema "$VELAFS_SANDBOX/inspect.json" | has_line 'CREATE DATABASE shop'
  equal "$(jq -r '.not_inspected[] | .database' "$VELAFS_SANDBOX/inspect.json" | paste -sd ' ')" 'line break spoilt'
  has_line -F 'database "line\nbreak" was not inspected: ' <"$VELAFS_SANDBOX/inspect.err"
  { velapg psql one --dbname none 2>&1 || true; } | has_line -F '"line\nbreak"'
}
check "without database postgres another is used, and one with a line break in its name is left out of a schema" no_postgres

unknown_login() {
  { velapg url one --user nobody 2>&1 >/dev/null || true; } | has_line 'error: branch "one" has no role "nobody"'
  velapg -q stop one
  start_to_json one --user nobody --dbname none
  told 'branch "one" has no role "nobody"'
  velapg -q stop one
  start_to_json one --dbname none
  told 'branch "one" has no database "none"'
  ends one
}
check "start warns of a role and a database that are not there, url fails" unknown_login

# ---- Servers and stores of others ----------------------------------------------------------------------

stranger() {
  begin_one
  install -d -o postgres "$VELAFS_SANDBOX/hand"
  as_postgres pg_ctl start -s -w -D "$mount_dir/one" -l "$VELAFS_SANDBOX/hand/log" -o "-p 5507 -k $VELAFS_SANDBOX/hand -c listen_addresses="
  local place="lines 4 and 5 of $mount_dir/one/postmaster.pid"
  { velapg start one 2>&1 || true; } | has_line -F "$place" || fail "start does not say how to reach it"
  { velapg url one 2>&1 >/dev/null || true; } | has_line -F "$place" || fail "url does not say how to reach it"
  as_postgres pg_ctl stop -s -w -m fast -D "$mount_dir/one"
  ends one
}
check "of a server that velapg did not start it says so, and where its port is" stranger

thrown_away() {
  begin_one
  as_postgres touch "$mount_dir/one/recovery.signal"
  { velapg run one --standby -- true 2>&1 || true; } | has_line 'hint: velapg start one --recover' || fail "the clone is named"
  ends one
}
check "a hint names the branch, not the clone that is thrown away" thrown_away

closed_way() {
  local top=$VELAFS_SANDBOX/closed
  mkdir -m 700 "$top"
  velafs --store "$top/store" -q init
  velafs --store "$top/store" -q mount
  velafs --store "$top/store" -q import plain --from-dir "$VELAFS_SANDBOX/plain"
  { velapg --store "$top/store" start plain 2>&1 || true; } >"$VELAFS_SANDBOX/out"
  has_line -F "directory \"$top\" is closed to user \"postgres\"" <"$VELAFS_SANDBOX/out" || fail "it says $(cat "$VELAFS_SANDBOX/out")"
  chmod o+x "$top"
  velapg --store "$top/store" -q start plain
  velapg --store "$top/store" -q stop plain
  velafs --store "$top/store" -q umount
}
check "a directory above the store that is closed to the data's owner is named" closed_way

# ---- Namespaces and environments -----------------------------------------------------------------------

in_namespace() {
  local before status=0
  before=$(velafs --json list | jq -r '.branches[].name' | sort)
  unshare --user --map-root-user velapg run plain -- true >"$VELAFS_SANDBOX/out" 2>&1 || status=$?
  equal "$status" 4 "exit status"
  has_line 'user namespace' <"$VELAFS_SANDBOX/out" || fail "it says $(cat "$VELAFS_SANDBOX/out")"
  equal "$(velafs --json list | jq -r '.branches[].name' | sort)" "$before" "branches"
}
check "in a user namespace without the owner's id a message says so, and no clone stays" in_namespace

bare() {
  velafs -q clone odd one
  equal "$(env -i PATH="$PATH" velapg --store "$VELAFS_STORE" run one -- psql -XAtc 'select current_user')" app
  env -i PATH="$PATH" velapg --store "$VELAFS_STORE" -q start one
  equal "$(env -i PATH="$PATH" velapg --store "$VELAFS_STORE" psql one -XAtc 'select current_user')" app
  ends one
}
check "without HOME and USER, on data of a nameless user's" bare
