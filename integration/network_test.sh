#!/usr/bin/env bash
# What a branch's server reaches: a production server on the same host, over TCP and Unix sockets, and
# the servers of other branches. As root, and as an ordinary user.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

# The sandbox's own: what is in the host's /run and /tmp stays as it is.
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
install -d -o postgres /run/postgresql "$VELAFS_SANDBOX/elsewhere"
# shellcheck disable=SC2034  # lib.sh has it called
at_end=unmount_own
unmount_own() {
  umount --lazy /run /tmp
}

readonly port=5432
production=$VELAFS_SANDBOX/production
make_cluster "$production" 0
host_start "$production" -c listen_addresses=localhost -c port=$port \
  -c unix_socket_directories="$production.run,/run/postgresql,/tmp,$VELAFS_SANDBOX/elsewhere,/dev/shm"
in_production() {
  PGHOST=$production.run PGPORT=$port as_postgres psql -qXAt -v ON_ERROR_STOP=1 -U postgres -d postgres -c "$1"
}
in_production "create table arrived (what text)"

# The ways that lead there. In /dev/shm, which programs need, no more than the socket is hidden.
hosts=(localhost 127.0.0.1 ::1 "$production.run" /run/postgresql /var/run/postgresql /tmp "$VELAFS_SANDBOX/elsewhere" /dev/shm)

prepare_extensions() { # prepare_extensions BRANCH
  sql "$1" "create extension if not exists dblink; create extension if not exists postgres_fdw"
}

by_dblink() { # by_dblink BRANCH HOST [PORT]
  sql "$1" "select dblink_exec('host=$2 port=${3:-$port} dbname=postgres user=postgres connect_timeout=3',
    \$\$insert into arrived values ('dblink $2')\$\$)"
}

by_fdw() { # by_fdw BRANCH HOST
  sql "$1" "drop server if exists away cascade;
    create server away foreign data wrapper postgres_fdw options (host '$2', port '$port', dbname 'postgres', connect_timeout '3');
    create user mapping for current_user server away options (user 'postgres');
    create foreign table away_arrived (what text) server away options (table_name 'arrived');
    insert into away_arrived values ('fdw $2')"
}

by_program() { # by_program BRANCH HOST
  sql "$1" "copy (select 1) to program 'cat >/dev/null; PGCONNECT_TIMEOUT=3 psql -qX -h $2 -p $port -U postgres -d postgres -c \"insert into arrived values (''\$\$program $2\$\$'')\" 2>&1' "
}

by_bash() { # by_bash BRANCH: a bare TCP connection
  sql "$1" "copy (select 1) to program 'bash -c \"echo >/dev/tcp/127.0.0.1/$port\" 2>&1'"
}

# Through another process of the same user, which sees the host's directories.
by_proc() { # by_proc BRANCH
  sql "$1" "copy (select 1) to program 'cat >/dev/null; for root in /proc/[0-9]*/root; do
    psql -qX -h \$root/run/postgresql -p $port -U postgres -d postgres -c \"insert into arrived values (''proc'')\" 2>&1; done; true'"
}

# With all rights in namespaces of its own, which see what the server's see.
by_namespaces() { # by_namespaces BRANCH
  sql "$1" "copy (select 1) to program 'cat >/dev/null; unshare --map-root-user --mount sh -c \"umount /run; umount -l /tmp;
    umount /dev/shm/.s.PGSQL.$port; for dir in /run/postgresql /tmp /dev/shm; do
    psql -qX -h \\\$dir -p $port -U postgres -d postgres -c \\\"insert into arrived values (''namespaces'')\\\"; done\" 2>&1; true'"
}

nothing_arrives_from() { # nothing_arrives_from BRANCH
  local branch=$1 host
  prepare_extensions "$branch"
  for host in "${hosts[@]}"; do
    ! by_dblink "$branch" "$host" || fail "dblink reaches $host"
    ! by_fdw "$branch" "$host" || fail "postgres_fdw reaches $host"
    ! by_program "$branch" "$host" || fail "psql reaches $host"
  done
  ! by_bash "$branch" || fail "bash reaches port $port"
  by_proc "$branch"
  by_namespaces "$branch"
  equal "$(in_production "table arrived")" "" "what has arrived in production"
}

all_arrives_from() { # all_arrives_from BRANCH
  local branch=$1 host
  prepare_extensions "$branch"
  for host in "${hosts[@]}"; do
    [[ $host != ::1 ]] || continue
    by_dblink "$branch" "$host"
    by_fdw "$branch" "$host"
    by_program "$branch" "$host"
  done
  by_bash "$branch"
  by_proc "$branch"
  by_namespaces "$branch"
  equal "$(in_production "select count(distinct what) from arrived")" 26 "ways by which something has arrived"
  in_production "truncate arrived"
}

network_of() { # network_of BRANCH: the inode of its server's network namespace
  stat -Lc %i "/proc/$(velapg --json status "$1" | jq .pid)/ns/net"
}

# A server whose socket no table of this network tells of, as in a container that shares a directory; by a second
# path; and files.
by_unknown_places() { # by_unknown_places BRANCH
  local hidden=$VELAFS_SANDBOX/hidden server
  [[ -d $hidden ]] || make_cluster "$hidden" 0
  install -d -o postgres "$hidden.run" "$VELAFS_SANDBOX/second"
  unshare --net setpriv --reuid postgres --regid postgres --init-groups "$pg_bin/postgres" -D "$hidden" -k "$hidden.run" \
    -c listen_addresses= >/dev/null 2>&1 &
  server=$!
  wait_until 20 psql -qXAtc 'create table if not exists arrived (what text)' -h "$hidden.run" -U postgres postgres
  mount --bind "$hidden.run" "$VELAFS_SANDBOX/second"
  ! by_dblink "$1" "$hidden.run" || fail "it reaches a server in another network"
  ! by_dblink "$1" "$VELAFS_SANDBOX/second" || fail "it reaches it by a second path"
  equal "$(psql -qXAtc 'table arrived' -h "$hidden.run" -U postgres postgres)" ""
  umount "$VELAFS_SANDBOX/second"
  kill -INT "$server"
  wait "$server" || true
  ! sql "$1" "copy (select 1) to '$production/written'" || fail "it writes into production's directory"
  ! sql "$1" "create tablespace out location '$VELAFS_SANDBOX/elsewhere'" || fail "a tablespace lies outside"
  ! has_line . < <(find "$VELAFS_SANDBOX/elsewhere" -mindepth 1 -type d) || fail "a directory was made outside"
}

# Nobody who owns the server's namespace is root in it.
not_root_by_namespace() { # not_root_by_namespace BRANCH
  local pid
  pid=$(velapg --json status "$1" | jq .pid)
  ! has_line -E '^ +0 ' <"/proc/$pid/uid_map" || fail "root is mapped: $(cat "/proc/$pid/uid_map")"
  ! as_postgres nsenter --user --target "$pid" --setuid 0 --setgid 0 cat /etc/shadow || fail "postgres has become root"
}

isolated() {
  velafs -q clone main one
  velafs -q clone main one-other
  velapg start one-other
  equal "$(velapg --json start one --network isolated | jq -r .network)" isolated
  equal "$(sql one "show listen_addresses")" ""
  nothing_arrives_from one
  by_unknown_places one
  not_root_by_namespace one
  # Nor can it be in another branch, whose socket's directory only that branch sees.
  local other
  other=$(velapg --json status one-other | jq -r .socket_dir)
  ! by_dblink one "$other" "$(velapg --json status one-other | jq .port)" || fail "it reaches another branch"
}

served() {
  equal "$(sql one "select 1")" 1
  velapg psql one -- -qXAtc "select 1" | has_line 1
  velapg logs one | has_line "Is the server running"
  equal "$(velapg --json status one | jq -r .state)" running
  sql one "select pg_sleep(30)" &
  wait_until 10 connected one
  kill $!
  [[ $(network_of one) != $(stat -Lc %i /proc/self/ns/net) ]] || fail "it is in the host's network"
}
connected() {
  (($(velapg --json status "$1" | jq .connections) > 0))
}

unmount_refused() {
  refuses 4 'a server runs on' velafs umount
  is_mount "$mount_dir" || fail "it is not mounted any more"
  sql one "select 1"
}

unprivileged_server() {
  local status
  status=$(cat "/proc/$(velapg --json status one | jq .pid)/status")
  has_line -P 'CapEff:\t0+$' <<<"$status"
  has_line -P 'CapPrm:\t0+$' <<<"$status"
  has_line -P 'NoNewPrivs:\t1$' <<<"$status"
}

stopped_when_idle() {
  velapg restart one --network isolated --idle-stop 1s
  sql one "select pg_sleep(2)"
  equal "$(velapg --json status one | jq -r .state)" running "after a query longer than the time"
  wait_until 20 has_stopped one
  velapg start one --network isolated
}
has_stopped() {
  [[ $(velapg --json status "$1" || true) == *stopped* ]]
}

loopback() {
  equal "$(velapg --json restart one --network loopback --tcp | jq -r .network)" loopback
  nothing_arrives_from one
  by_unknown_places one
  not_root_by_namespace one
  local own
  own=$(velapg --json status one | jq .port)
  sql one "alter role postgres password 'secret'"
  equal "$(sql one "copy (select 1) to program 'cat >/dev/null; PGPASSWORD=secret psql -qXAt -h localhost -p $own -U postgres -d postgres -c \"create table by_tcp()\"'; select count(*) from by_tcp")" 0
}

host() {
  equal "$(velapg --json restart one --network host | jq -r .network)" host
  equal "$(network_of one)" "$(stat -Lc %i /proc/self/ns/net)"
  all_arrives_from one
  velapg stop one
}

told() { # told BRANCH: the network that its running server is said to have
  velapg --json status "$1" | jq -r .network
}

restarted() {
  local network tcp
  for network in isolated loopback; do
    tcp=()
    [[ $network == isolated ]] || tcp=(--tcp) # without, a loopback is of no use, and not told from isolation
    velapg -q start one --network $network "${tcp[@]}"
    equal "$(told one)" $network
    velapg status one | has_line "network $network"
    velapg status | has_line "$network"
    equal "$(velapg --json restart one | jq -r .network)" $network "the network after a restart"
    velapg -q stop one
  done
  velapg -q start one --network host
  equal "$(told one)" host
  equal "$(velapg --json restart one | jq -r .network)" host
  velafs policy set one network=isolated
  equal "$(velapg --json restart one | jq -r .network)" isolated "the network after the policy has changed"
  velafs policy unset one network
  velapg -q stop one
}

left_over() { # of run and of a pool, whose server nobody has said anything of
  velapg run --keep --name kept main -- true
  velapg run --keep --name kept-host --network host main -- true
  equal "$(velapg --json start kept | jq -r .network)" isolated "of what run has left"
  equal "$(velapg --json start kept-host | jq -r .network)" host "of what run has left with --network host"
  velapg -q stop kept
  velapg -q stop kept-host
  velapg -q pool main --size 1
  local taken
  taken=$(velapg --json take main | jq -r .branch)
  velapg -q stop "$taken"
  equal "$(velapg --json start "$taken" | jq -r .network)" isolated "of a pool's"
  equal "$(velapg --json restart "$taken" | jq -r .network)" isolated
  velapg -q pool stop main --all
}

thrown_away() {
  equal "$(in_run "select 1")" 1
  equal "$(in_run "show listen_addresses")" ""
  equal "$(in_run "show listen_addresses" --network host)" ""
  equal "$(in_run "show listen_addresses" --network host --tcp)" 127.0.0.1
  velapg -q pool main --size 1
  local taken
  taken=$(velapg --json take main | jq -r .branch)
  [[ $(network_of "$taken") != $(stat -Lc %i /proc/self/ns/net) ]] || fail "a pool's clone is in the host's network"
  velapg -q pool stop main --all
  velapg inspect main --schema | jq -e .schema >/dev/null
}
in_run() { # in_run QUERY [OPTION...]
  local query=$1
  shift
  velapg run "$@" main -- psql -qXAtc "$query"
}

backup() {
  local taken=$VELAFS_SANDBOX/backup
  install -d -o postgres -m 700 "$taken"
  PGHOST=$production.run PGPORT=$port as_postgres pg_basebackup -U postgres -D "$taken" -c fast
  velafs --json import "backup-$1" --from-dir "$taken" | jq -e '.warnings | any(contains("isolated from the network"))'
  equal "$(velafs --json policy show "backup-$1" | jq -r '.policies[] | select(.key == "network") | .value + " " + .from')" \
    "isolated source"
  velafs clone "backup-$1" "of-backup-$1"
  equal "$(velapg --json start "of-backup-$1" | jq -r .network)" isolated
  velapg stop "of-backup-$1"
  equal "$(velapg --json start "of-backup-$1" --network host | jq -r .network)" host
  velapg stop "of-backup-$1"
  velafs policy set --source "backup-$1" network=host
  equal "$(velapg --json start "of-backup-$1" | jq -r .network)" host
  velapg stop "of-backup-$1"
  rm -r "$taken"
}

crashed() { # as a snapshot of a running server's disk is
  local taken=$VELAFS_SANDBOX/crashed
  make_cluster "$taken" 0
  host_start "$taken"
  host_stop "$taken" immediate
  velafs --json import crashed --from-dir "$taken" | jq -e '.warnings | any(contains("does not say that it was shut down"))'
  equal "$(velapg --json start crashed | jq -r .network)" isolated
  velapg -q stop crashed
  rm -r "$taken"
}

# In a changed root the kernel makes no user namespaces.
refused() {
  local elsewhere=$VELAFS_SANDBOX/changed_root
  mkdir -p "$elsewhere"
  mount --rbind / "$elsewhere"
  # shellcheck disable=SC2064  # of this turn
  trap "umount --lazy '$elsewhere'" EXIT
  # shellcheck disable=SC2317
  velapg() { chroot "$elsewhere" "${run_as[@]}" "$VELAFS_SANDBOX/bin/velapg" "$@"; }
  refuses 4 'cannot make a user namespace' velapg start one --network isolated
  refuses 4 'cannot make a user namespace' velapg run --name gone main -- true
  equal "$(velapg --json status one | jq -r .state)" stopped
  velapg start one --network host
  velapg stop one
}

each() { # each NAME_OF_USER
  check "$1: nothing leads from an isolated server to production or another branch" isolated
  check "$1: an isolated server is served as any other" served
  check "$1: it has no capabilities" unprivileged_server
  check "$1: its mount is in use" unmount_refused
  check "$1: it is stopped when idle" stopped_when_idle
  check "$1: with a loopback it reaches itself and nothing else" loopback
  check "$1: with the host's network all of that arrives" host
  check "$1: a restart reaches no farther than the server before it, and status tells how far" restarted
  check "$1: run, pool and inspect are isolated" thrown_away
  check "$1: so is later what run has left and what was taken from a pool" left_over
  check "$1: what comes from a backup is isolated" backup "$1"
  check "$1: what was not shut down is isolated" crashed
  check "$1: where it cannot be isolated, the start is refused" refused
  stop_store
}

each_with_store() {
  velafs -q init
  velafs -q import main --from-dir "$cluster"
  velafs -q mount
  each "$1"
}

run_as=()
cluster=$VELAFS_SANDBOX/cluster
make_cluster "$cluster" 0
each_with_store root

if [[ ! -u $(command -v fusermount3 || echo /bin/false) ]]; then
  skip "the same as an ordinary user" "there is no setuid fusermount3"
  exit 0
fi
# Where no udev has opened /dev/fuse to everybody, the sandbox does, for itself.
if ! as_postgres test -w /dev/fuse; then
  mknod --mode 666 /dev/shm/fuse c 10 229
  mount --bind /dev/shm/fuse /dev/fuse
fi
export HOME=$VELAFS_SANDBOX/home VELAFS_STORE=$VELAFS_SANDBOX/home/store
mount_dir=$VELAFS_STORE/mnt
install -d -o postgres "$HOME"
for program in velafs velapg; do
  eval "$program() { as_postgres $program \"\$@\"; }"
done
run_as=(runuser -u postgres --)
each_with_store user
