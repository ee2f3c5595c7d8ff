# Shared by the scripts of integration/ and by tests/run.sh, which source it.
# shellcheck shell=bash
set -Eeuo pipefail

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${VELAFS_BUILD_DIR:-$root_dir/build/release}
readonly skip_status=77

# ---- What the machine must have --------------------------------------------------------------------

packages=(
  g++ cmake ninja-build pkg-config libfuse3-dev fuse3 libsqlite3-dev libssl-dev
  libboost-filesystem-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libarchive-dev
  libzstd-dev libseccomp-dev libtomlplusplus-dev doctest-dev postgresql jq e2fsprogs xfsprogs btrfs-progs iproute2 procps
)
# What tests of packages and of the source need besides; tests/run.sh installs these.
test_packages=(build-essential debhelper lintian rpm rpmlint mmdebstrap mandoc clang clang-format clang-tidy shellcheck python3)
# The extension is a package for the major version that the release has. systemd.pc says where units go.
case $(sed -n 's/^VERSION_ID="\(.*\)"$/\1/p' /etc/os-release 2>/dev/null) in
  12) packages+=(postgresql-15-cron) test_packages+=(systemd) ;;
  13) packages+=(postgresql-17-cron) test_packages+=(systemd-dev) ;;
esac

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

need_root() {
  ((EUID == 0)) || die "must run as root: sudo $0"
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      echo "$package"
  done
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# Installs the packages that are missing, and says which.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "not a Debian system: please see to these yourself: ${packages[*]}"
    return
  fi
  local missing log
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)); then
    echo "packages: all ${#packages[@]} are installed"
    return
  fi
  echo "packages: installing ${missing[*]}"
  # The server's package would make and start a server of its own; nobody asked for that one.
  local directory=/etc/postgresql-common/createcluster.d status=0
  mkdir -p "$directory"
  echo 'create_main_cluster = false' >"$directory/velafs.conf"
  log=$(apt_install "${missing[@]}" 2>&1) ||
    log=$({ apt-get update -q && apt_install "${missing[@]}"; } 2>&1) || status=$?
  rm "$directory/velafs.conf"
  rmdir --ignore-fail-on-non-empty "$directory"
  ((status == 0)) || die "cannot install ${missing[*]}"$'\n'"$log"
}

build() { # build PRESET DIRECTORY; what the build printed is in DIRECTORY/build.log
  local preset=$1 directory=$2
  if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  mkdir -p "$directory"
  if ! { cd "$root_dir" && setpriv --pdeathsig TERM cmake --preset "$preset" -B "$directory" &&
    setpriv --pdeathsig TERM ninja -C "$directory"; } >"$directory/build.log" 2>&1; then
    tail -n 60 "$directory/build.log" >&2
    die "the build failed"
  fi
}

# Everything a script needs before it enters its sandbox, unless whoever started it has seen to it.
prepare() {
  need_root
  [[ -z ${VELAFS_PREPARED:-} ]] || return 0
  install_packages
  build release "$build_dir"
}

# ---- Time ------------------------------------------------------------------------------------------

now_ms() {
  echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# in_words MS: `640 ms`, `12.3 s`.
in_words() {
  if (($1 < 10000)); then echo "$1 ms"; else printf '%d.%d s\n' $(($1 / 1000)) $(($1 % 1000 / 100)); fi
}

# wait_until SECONDS COMMAND...: polls until the command succeeds.
wait_until() {
  local deadline=$(($(now_ms) + $1 * 1000))
  shift
  until "$@"; do
    (($(now_ms) < deadline)) || return 1
    sleep 0.02
  done
}

# A process that has ended, whether or not it has been reaped.
has_ended() {
  local state
  state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
  [[ -z $state || $state == Z ]]
}

# ---- Test cases ------------------------------------------------------------------------------------

failures=0

report() { # report PASS|FAIL|SKIP NAME [MS]
  if [[ ${3:-} ]]; then printf '  %s  %-78s %10s\n' "$1" "$2" "$(in_words "$3")"; else echo "  $1  $2"; fi
}

# check NAME COMMAND...: one case. The command, often a function, runs in a subshell where any
# failure ends it; what it printed is shown when it failed.
check() {
  local name=$1 start status=0 log
  shift
  start=$(now_ms)
  log=$(mktemp)
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1
  status=$?
  set -e
  if ((status == 0)); then
    report PASS "$name" $(($(now_ms) - start))
  else
    report FAIL "$name" $(($(now_ms) - start))
    ((++failures))
    sed 's/^/        /' "$log"
  fi
  rm -f "$log"
}

skip() { # skip NAME REASON
  report SKIP "$1: $2"
}

# Inside a case.
fail() {
  echo "failed: $*"
  exit 1
}

equal() { # equal GOT EXPECTED [WHAT]
  [[ $1 == "$2" ]] || fail "${3:-value} is \"$1\", not \"$2\""
}

at_most() { # at_most VALUE BOUND WHAT
  awk -v value="$1" -v bound="$2" 'BEGIN { exit !(value <= bound) }' ||
    fail "$3 is $1, more than $2"
}

at_least() { # at_least VALUE BOUND WHAT
  awk -v value="$1" -v bound="$2" 'BEGIN { exit !(value >= bound) }' ||
    fail "$3 is $1, less than $2"
}

# grep that reads all of its input, so that no writer dies of a closed pipe.
has_line() {
  grep "$@" >/dev/null
}

# refuses STATUS PATTERN PROGRAM ARGUMENT...: it fails with that exit status and with one line on stderr
# that matches the pattern, and at most a hint after it; with --json, one JSON document that says the same.
refuses() {
  local status=$1 pattern=$2 program=$3 got=0 out err lines
  shift 3
  out=$(mktemp)
  err=$(mktemp)
  "$program" "$@" >"$out" 2>"$err" </dev/null || got=$?
  sed 's/^/stderr: /' "$err"
  equal "$got" "$status" "exit status"
  [[ ! -s $out ]] || fail "stdout is not empty: $(head -c 200 "$out")"
  mapfile -t lines <"$err"
  [[ ${lines[0]} == "$program: error: "* ]] || fail "no \"$program: error:\" at the beginning of stderr"
  [[ ${lines[0]} =~ $pattern ]] || fail "the message does not match: $pattern"
  ((${#lines[@]} <= 2)) || fail "more than a message and a hint"
  [[ -z ${lines[1]:-} || ${lines[1]} == "$program: hint: "* ]] || fail "the second line is no hint"

  got=0
  "$program" --json "$@" >"$out" 2>"$err" </dev/null || got=$?
  equal "$got" "$status" "exit status with --json"
  jq -es --arg message "${lines[0]#"$program: error: "}" \
    'length == 1 and .[0].error.message == $message and (.[0].error.code | type == "string")' "$out" ||
    fail "with --json, stdout is: $(head -c 400 "$out")"
}

# ---- The sandbox -----------------------------------------------------------------------------------

# begin "$@": first line of every script that mounts. Prepares, and goes on in a sandbox, where the
# programs are on PATH, VELAFS_STORE names a store yet to be made, and the way out is clean.
begin() {
  if [[ ! -e /dev/fuse ]]; then
    skip "${0##*/}" "there is no /dev/fuse"
    exit "$skip_status"
  fi
  if [[ -z ${VELAFS_SANDBOX:-} ]]; then
    prepare
    exec "$root_dir/integration/sandbox.sh" "$0" "$@"
  fi
  cd "$VELAFS_SANDBOX"
  mkdir bin
  cp "$build_dir/velafs/velafs" "$build_dir/pgctl-wrapper/velapg" bin/
  pg_bin=$(find /usr/lib/postgresql -maxdepth 2 -path "*/${VELAFS_PG:-*}/bin" | sort -V | tail -n 1)
  [[ -x $pg_bin/postgres ]] || die "there is no PostgreSQL ${VELAFS_PG:+$VELAFS_PG }server under /usr/lib/postgresql"
  export PATH=$VELAFS_SANDBOX/bin:$pg_bin:$PATH
  export VELAFS_STORE=$VELAFS_SANDBOX/store
  mount_dir=$VELAFS_STORE/mnt
  unset "${!PG@}"
  trap 'failed_at="line $LINENO: $BASH_COMMAND"' ERR
  trap 'end $?' EXIT
}

host_servers=()
at_end=: # a command of the script's own for the way out

# Runs on every way out: stops servers, unmounts, and turns failures into the exit status.
end() {
  local status=$1 data
  set +e
  trap - EXIT
  if ((status != 0 && status != skip_status)); then
    report FAIL "the script ended early, with status $status"
    echo "        ${failed_at:-}"
    ((++failures))
  fi
  if ((failures > 0)); then
    status=1
    show_logs
  fi
  "$at_end"
  for data in "${host_servers[@]}"; do
    [[ ! -e $data/postmaster.pid ]] || host_stop "$data" immediate
  done
  stop_store
  exit "$status"
}

# Stops what runs on the store's branches, and its daemon.
stop_store() {
  [[ -d $VELAFS_STORE ]] || return 0
  local branch
  for branch in $(velafs --json list 2>/dev/null | jq -r '.branches[]? | select(.state == "running").name'); do
    velapg stop "$branch" >/dev/null 2>&1
  done
  ! is_mount "$mount_dir" || velafs umount >/dev/null
}

# The ends of the logs that were written last.
show_logs() {
  local log
  find "$VELAFS_SANDBOX" -xdev -name '*.log' -size +0 -printf '%T@ %p\n' | sort -n | tail -n 3 | cut -d' ' -f2- |
    while read -r log; do
      echo "        --- last lines of $log"
      tail -n 15 "$log" | sed 's/^/        /'
    done
}

# ---- Stores ----------------------------------------------------------------------------------------

# By the kernel's list: also true of a mount whose daemon is dead, or that is another user's.
is_mount() {
  grep -q " $1 fuse" /proc/self/mounts
}

daemon_pid() {
  cat "$VELAFS_STORE/run/lock"
}

field() { # field BRANCH NAME: from `velafs show`
  velafs --json show "$1" | jq -r ".$2"
}

# Bytes on disk of the whole store, what is mounted on it left out.
store_bytes() {
  sync -f "$VELAFS_STORE"
  # A layer that is merged into another may go while it is looked at.
  { du --summarize --one-file-system --block-size=1 "$VELAFS_STORE" 2>/dev/null || true; } | cut -f1
}

# needs_loop_devices FILESYSTEM: succeeds if the machine has loop devices and the filesystem, else prints what is missing.
needs_loop_devices() {
  [[ -e /dev/loop-control ]] || { echo "there is no /dev/loop-control" && return 1; }
  command -v "mkfs.$1" >/dev/null || { echo "there is no mkfs.$1" && return 1; }
  grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null || { echo "the kernel has no $1" && return 1; }
}

# ---- Users -------------------------------------------------------------------------------------------

# make_user NAME GROUP: a user, and the group if there is none, that exist in the sandbox alone: its own
# mount namespace has other files in the place of /etc/passwd and /etc/group. Nothing of them is left when
# that namespace ends, however it does.
make_user() {
  local file name=$1 group=$2 id gid
  for file in passwd group; do
    [[ -e $VELAFS_SANDBOX/$file ]] || {
      cp "/etc/$file" "$VELAFS_SANDBOX/$file"
      chmod 644 "$VELAFS_SANDBOX/$file"
      mount --bind "$VELAFS_SANDBOX/$file" "/etc/$file"
    }
  done
  ! getent passwd "$name" >/dev/null || die "there is a user \"$name\" already"
  for ((id = 61000; id < 61184; ++id)); do
    getent passwd "$id" >/dev/null || getent group "$id" >/dev/null || break
  done
  gid=$({ getent group "$group" || true; } | cut -d: -f3)
  [[ $gid ]] || {
    gid=$id
    echo "$group:x:$gid:" >>/etc/group
  }
  echo "$name:x:$id:$gid::/nonexistent:/bin/sh" >>/etc/passwd
}

# ---- PostgreSQL ------------------------------------------------------------------------------------

as_postgres() {
  runuser -u postgres -- "$@"
}

# host_start DATA [OPTION...]: starts a server on a plain directory; its socket is in DATA.run.
host_start() {
  local data=$1
  shift
  install -d -o postgres -m 755 "$data.run"
  host_servers+=("$data")
  as_postgres pg_ctl start --silent --wait --pgdata "$data" --log "$data.run/server.log" \
    --options "-c listen_addresses= -c unix_socket_directories=$data.run $*" >/dev/null
}

host_stop() { # host_stop DATA [MODE]
  as_postgres pg_ctl stop --silent --wait --pgdata "$1" --mode "${2:-fast}"
}

# make_cluster DATA SCALE [OPTION...]: a stopped cluster with checksums and, at a scale above 0, pgbench's
# tables; the options are initdb's. Autovacuum is off, so that what tests measure is what they caused.
make_cluster() {
  local data=$1 scale=$2
  shift 2
  install -d -o postgres -m 700 "$data"
  as_postgres initdb --pgdata "$data" --data-checksums --auth trust --username postgres --encoding UTF8 \
    --locale C --no-instructions --no-sync "$@" >/dev/null
  echo 'autovacuum = off' >>"$data/postgresql.conf"
  ((scale > 0)) || return 0
  host_start "$data" -c fsync=off -c max_wal_size=8GB
  PGHOST=$data.run as_postgres pgbench --initialize --quiet --scale "$scale" >/dev/null 2>&1
  PGHOST=$data.run as_postgres psql -qXc 'vacuum (freeze, analyze)'
  host_stop "$data"
}

# make_store SCALE: a mounted store whose branch "main" is such a cluster.
make_store() {
  make_cluster "$VELAFS_SANDBOX/cluster" "$1"
  velafs -q init
  velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  velafs -q unprotect main
  velafs -q mount
}

# on BRANCH COMMAND...: with the environment that leads to the branch's server.
on() {
  local branch=$1
  shift
  (
    eval "$(velapg env "$branch")"
    "$@"
  )
}

sql() { # sql BRANCH QUERY: unaligned, values only
  on "$1" psql -qXAt -v ON_ERROR_STOP=1 -c "$2"
}

# What pgbench promises of its tables after any number of whole transactions.
invariant_holds() {
  local sums
  sums=$(sql "$1" "select (select sum(abalance) from pgbench_accounts),
    (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches),
    (select coalesce(sum(delta), 0) from pgbench_history)")
  [[ $sums =~ ^(-?[0-9]+)\|(-?[0-9]+)\|(-?[0-9]+)\|(-?[0-9]+)$ ]] || fail "sums are $sums"
  [[ ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" && ${BASH_REMATCH[2]} == "${BASH_REMATCH[3]}" &&
    ${BASH_REMATCH[3]} == "${BASH_REMATCH[4]}" ]] || fail "sums differ: $sums"
}

# One line that changes when any row of pgbench's tables does. The sums are ordered: a parallel plan may
# have the second before the first.
pgbench_checksum() {
  sql "$1" "select 1, md5(string_agg(t::text, '' order by aid)) from pgbench_accounts t
    union all select 2, md5(string_agg(t::text, '' order by tid)) from pgbench_tellers t
    union all select 3, md5(string_agg(t::text, '' order by bid)) from pgbench_branches t
    union all select 4, md5(string_agg(t::text, '' order by t::text)) from pgbench_history t
    order by 1" | md5sum | cut -d' ' -f1
}

# A stopped branch's pages, all of them, by PostgreSQL's own checksums.
checksums_hold() {
  as_postgres pg_checksums --check --pgdata "$mount_dir/$1"
}
