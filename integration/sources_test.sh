#!/usr/bin/env bash
# Sources as people have them: clusters of Debian's, stale sockets, links to other trees, backups without
# their WAL, and what becomes of an import or export that is interrupted.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
begin "$@"

velafs -q init
velafs -q mount

# Debian's clusters of this machine are none of ours.
mount -t tmpfs -o mode=755 tmpfs /etc/postgresql
chown postgres: /etc/postgresql
version=$(basename "$(dirname "$pg_bin")")
config=/etc/postgresql/$version/shop
data=$VELAFS_SANDBOX/lib/$version/shop
install -d -o postgres "$VELAFS_SANDBOX/lib" "$VELAFS_SANDBOX/lib/$version"

production() { # production QUERY
  as_postgres psql -qXAt -h "$VELAFS_SANDBOX/run" -p 5499 -c "$1" postgres
}
probe="select '01/02/2024'::date, current_setting('timezone'), current_setting('search_path'),
  current_setting('random_page_cost'), current_setting('work_mem')"

make_debian_cluster() {
  install -d -o postgres "$VELAFS_SANDBOX/run"
  pg_createcluster --datadir "$data" --logfile "$VELAFS_SANDBOX/run/log" --port 5499 --socketdir "$VELAFS_SANDBOX/run" \
    "$version" shop -- --auth trust >/dev/null
  printf '%s\n' "timezone = 'America/New_York'" "datestyle = 'ISO, DMY'" "search_path = 'app, public'" \
    'random_page_cost = 1.1' >>"$config/postgresql.conf"
  echo "work_mem = '7MB'" | as_postgres tee "$config/conf.d/memory.conf" >/dev/null
  pg_ctlcluster --skip-systemctl-redirect "$version" shop start
  production "$probe" >"$VELAFS_SANDBOX/answers"
}
check "a cluster of Debian's is made" make_debian_cluster

running() {
  { velafs import shop --from-dir "$data" 2>&1 || true; } | has_line "hint: stop it first: pg_ctlcluster $version shop stop"
  pg_ctlcluster --skip-systemctl-redirect "$version" shop stop
}
check "the hint for one that runs is a command that Debian has" running

same_answers() {
  velafs --json import shop --from-dir "$data" >imported
  equal "$(jq -r .config_dir imported)" "$config"
  jq -e '.warnings | any(contains("conf.d/memory.conf"))' imported
  velafs -q clone shop pr-1
  velapg -q start pr-1
  equal "$(sql pr-1 "$probe")" "$(cat answers)" "what a branch answers"
  velapg -q stop pr-1
}
check "a branch of it answers as production does" same_answers

without_configuration() {
  mv "$config" "$VELAFS_SANDBOX/kept"
  velafs import bare --from-dir "$data" 2>&1 | has_line "warning: it has no postgresql.conf: servers on the branch run with PostgreSQL's default"
  velapg start bare 2>&1 | has_line "warning: the branch has no postgresql.conf: its settings are PostgreSQL's defaults"
  velapg -q stop bare
  velafs --json import named --from-dir "$data" --config-dir "$VELAFS_SANDBOX/kept" |
    jq -e --arg kept "$VELAFS_SANDBOX/kept" '.config_dir == $kept'
  mv "$VELAFS_SANDBOX/kept" "$config"
}
check "without its configuration import and start say so, and --config-dir names it" without_configuration

strangers() {
  install -d -o www-data "/etc/postgresql/$version/theirs"
  printf "data_directory = '%s'\nshared_preload_libraries = 'evil'\n" "$data" >"/etc/postgresql/$version/theirs/postgresql.conf"
  chown www-data "/etc/postgresql/$version/theirs/postgresql.conf"
  mv "$config" "$VELAFS_SANDBOX/kept"
  velafs --json import strange --from-dir "$data" | jq -e '.config_dir == null'
  mv "$VELAFS_SANDBOX/kept" "$config"
  rm -r "/etc/postgresql/$version/theirs"
}
check "a stranger's configuration that names the cluster is left alone" strangers

cluster=$VELAFS_SANDBOX/cluster
make_cluster "$cluster" 0
install -d -o postgres "$VELAFS_SANDBOX/pgs"

sockets() {
  as_postgres pg_ctl --silent --wait --pgdata "$cluster" --log "$VELAFS_SANDBOX/run/log2" \
    --options "-k $cluster -c listen_addresses= -p 5514" start >/dev/null
  kill -KILL "$(head -n 1 "$cluster/postmaster.pid")"
  wait_until 20 [ ! -e "/proc/$(head -n 1 "$cluster/postmaster.pid")" ]
  mkfifo "$cluster/pipe"
  [[ -S $cluster/.s.PGSQL.5514 ]] || fail "the server has left no socket"
  wait_until 20 velafs --json import sockets --from-dir "$cluster" >imported
  jq -e '.warnings | any(contains("\".s.PGSQL.5514\", a socket") and contains("\"pipe\", a FIFO"))' imported
  local branch=$mount_dir/sockets
  [[ ! -e $branch/.s.PGSQL.5514 && ! -e $branch/pipe ]] || fail "the branch has them"
  perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Listen => 1, Local => shift)' "$branch/sock"
  mkfifo "$branch/pipe"
  velafs -q bookmark create sockets@then
  velafs -q clone sockets sockets-clone
  velafs -q diff sockets sockets-clone >/dev/null
  velafs -q scrub
  velafs export sockets --to-dir "$VELAFS_SANDBOX/out" 2>&1 | has_line 'warning: 2 sockets and FIFOs were left out'
  velafs -q export sockets --to-tar "$VELAFS_SANDBOX/out.tar.zst"
  [[ ! -e out/sock && ! -e out/pipe ]] || fail "the export has them"
  velapg -q start sockets-clone
  velapg -q stop sockets-clone
  velafs -q seal --older-than 1s
  velafs -q scrub
  rm "$cluster"/.s.PGSQL.5514* "$cluster/pipe"
}
check "sockets and FIFOs are left out of imports and exports, and are in nobody's way" sockets

links() {
  install -d -o postgres "$VELAFS_SANDBOX/backups"
  head -c 3000000 /dev/urandom >"$VELAFS_SANDBOX/backups/base"
  ln -s "$VELAFS_SANDBOX/backups" "$cluster/backups"
  mv "$cluster/pg_wal" "$VELAFS_SANDBOX/wal"
  ln -s "$VELAFS_SANDBOX/wal" "$cluster/pg_wal"
  refuses 4 '1 link leads out of the directory: "backups" to ".*/backups" \(2.9 MiB in 1 file\)' velafs import links --from-dir "$cluster"
  velafs import skipped --from-dir "$cluster" --links skip 2>&1 | has_line 'warning: "backups" leads out .*: it is left out'
  [[ ! -e $mount_dir/skipped/backups && -d $mount_dir/skipped/pg_wal ]]
  velafs import followed --from-dir "$cluster" --links follow 2>&1 | has_line 'its content is imported here (2.9 MiB in 1 file)'
  cmp "$VELAFS_SANDBOX/backups/base" "$mount_dir/followed/backups/base"
  rm "$cluster/backups" "$cluster/pg_wal"
  mv "$VELAFS_SANDBOX/wal" "$cluster/pg_wal"
}
check "a link to another tree is refused with its size, skipped, or followed; pg_wal is followed" links

backups() {
  # A link that root has made.
  mv "$cluster/pg_wal" "$VELAFS_SANDBOX/pgs/wal"
  ln -s "$VELAFS_SANDBOX/pgs/wal" "$cluster/pg_wal"
  host_start "$cluster" -c max_wal_senders=4
  local bk=$VELAFS_SANDBOX/pgs/bk
  as_postgres pg_basebackup -h "$cluster.run" --format tar --gzip --wal-method stream --checkpoint fast --pgdata "$bk"
  host_stop "$cluster"
  rm "$cluster/pg_wal"
  mv "$VELAFS_SANDBOX/pgs/wal" "$cluster/pg_wal"
  velafs -q import whole --from-tar "$bk"
  equal "$(find "$mount_dir/whole" ! -user postgres)" '' "what is not the owner's"
  velapg -q start whole
  velapg -q stop whole
  refuses 4 "it holds a backup's archives|it has no PG_VERSION" velafs import x --from-dir "$bk"
  mkdir alone
  mv "$bk/base.tar.gz" alone/
  refuses 4 'a backup without its WAL: recovery begins in segment' velafs import x --from-tar "$VELAFS_SANDBOX/alone/base.tar.gz"
  velafs import late --from-tar "$VELAFS_SANDBOX/alone/base.tar.gz" --allow-missing-wal 2>&1 | has_line 'warning: it is a backup without its WAL'
  refuses 1 'needs WAL from segment' velapg start late
}
check "a backup without its WAL is refused, or imported for --recover" backups

standby() {
  host_start "$cluster" -c max_wal_senders=4
  local copy=$VELAFS_SANDBOX/pgs/standby
  as_postgres pg_basebackup -h "$cluster.run" --checkpoint fast --write-recovery-conf --pgdata "$copy"
  host_start "$copy"
  PGHOST=$cluster.run as_postgres psql -qXc 'create table later as select generate_series(1, 200000) i; checkpoint'
  local lsn
  lsn=$(PGHOST=$cluster.run as_postgres psql -qXAtc 'select pg_current_wal_flush_lsn()')
  replayed() { [[ $(PGHOST=$copy.run as_postgres psql -qXAtc "select pg_last_wal_replay_lsn() >= '$lsn'") == t ]]; }
  wait_until 30 replayed
  PGHOST=$copy.run as_postgres psql -qXc checkpoint
  host_stop "$copy"
  host_stop "$cluster"
  velafs -q import standby --from-dir "$copy"
  local end
  end=$(as_postgres pg_controldata "$copy" | sed -n 's/^Minimum recovery ending location: *//p')
  find "$copy/pg_wal" -maxdepth 1 -name '0000*' -delete
  refuses 4 "its WAL ends before $end" velafs import x --from-dir "$copy"
}
check "a standby's copy without the WAL that it needs is refused, as pg_control says" standby

denied() {
  velafs -q umount
  install -d -o www-data "$VELAFS_SANDBOX/his"
  local store=$VELAFS_SANDBOX/his/store status=0
  runuser -u www-data -- velafs --store "$store" -q init
  runuser -u www-data -- velafs --store "$store" import x --from-dir "$cluster" >/dev/null 2>said || status=$?
  equal "$status" 4
  has_line 'cannot be read: Permission denied' <said
  has_line "hint: .*sudo tar -C $cluster -c \. | velafs import NAME --from-tar -" <said
  tar -C "$cluster" -c . | runuser -u www-data -- velafs --store "$store" -q import x --from-tar -
  runuser -u www-data -- velafs --store "$store" --json show x | jq -e '.name == "x"'
  velafs -q mount
}
check "who may not read a directory is told how to import it all the same" denied

export_is_interrupted() {
  mkfifo way
  local signal
  for signal in INT:130 TERM:143; do
    rm -f started
    # The reader takes a little, and then waits.
    { head -c 100000 >started && exec sleep infinity; } <way &
    local reader=$! status=0
    env --default-signal=INT velafs export whole --to-tar way >/dev/null 2>said &
    local exporter=$!
    wait_until 20 test -s started
    kill "-${signal%:*}" "$exporter"
    wait "$exporter" || status=$?
    kill "$reader"
    wait "$reader" 2>/dev/null || true
    equal "$status" "${signal#*:}" "exit status"
    equal "$(wc -l <said)" 1 "lines"
    has_line interrupted <said
  done
}
check "an export that is interrupted says so in one line and with the shell's status" export_is_interrupted

container() {
  velafs -q clone sockets docker --as-user 64999:70
  equal "$(field docker shown_as)" 64999
  local branch=$mount_dir/docker
  rm -f "$branch/sock" "$branch/pipe"
  find "$branch" ! -user 64999 -exec chown 64999 '{}' +
  chown -R 64999:70 "$branch"
  chmod 00700 "$branch"
  equal "$(field docker own_bytes)" 0 "own bytes"
  equal "$(stat -c %u:%g:%a "$branch")" 64999:70:700
  setpriv --reuid 64999 --regid 70 --clear-groups "$pg_bin/postgres" -D "$branch" -k "$VELAFS_SANDBOX" -c listen_addresses= \
    -c unix_socket_directories=/dev/shm -p 5524 >"$VELAFS_SANDBOX/docker.log" 2>&1 &
  local server=$!
  wait_until 20 as_postgres psql -qXAtc 'select 1' -h /dev/shm -p 5524 postgres
  kill -INT "$server"
  wait "$server" || true
}
check "a container's user owns a branch, and its chown and chmod change nothing" container

exit "$((failures > 0))"
