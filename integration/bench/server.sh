# The server on the copy of $contender at $data, and how its work is measured. Sourced by bench.sh.
# shellcheck shell=bash

start_server() { # start_server [OPTION...]: the options are for servers that velapg does not start
  if is_velafs; then
    velapg -q start work
  else
    host_start "$data" "${settings[@]}" "$@"
  fi
}
stop_server() {
  if is_velafs; then
    velapg -q stop work
  else
    host_stop "$data"
    host_servers=()
  fi
}
at_server() { # at_server COMMAND...
  if is_velafs; then
    on work "$@"
  else
    PGHOST=$data.run PGDATABASE=postgres as_postgres "$@"
  fi
}
query() { # query SQL
  at_server psql -qXAt -v ON_ERROR_STOP=1 -c "$1"
}

# The settings that velapg gives the server of a clone, those of places apart. The other servers get the same.
common_settings() {
  velafs -q clone main work
  velapg -q start work
  sql work "select '-c', name || '=' || setting from pg_settings where source = 'command line'
    and setting ~ '^[a-z0-9._]+\$' and name not in ('port', 'cluster_name', 'listen_addresses')" | tr '|' '\n'
  velapg -q stop work
  velafs -q delete --purge work
}

# A copy that is still being written to the disk would slow its own server. All of it has been read afterwards, as a plain
# copy has been by being made.
settle_copy() {
  query checkpoint
  sync
  find "$data/base" -type f -exec cat {} + >/dev/null
}
drop_caches() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

# ---- Samples ---------------------------------------------------------------------------------------

note() { # note NAME VALUE [CPU-US]: a sample of a row, if it is wanted
  local row
  for row in "${rows[@]}"; do
    [[ $row == "$group|$1|"* ]] || continue
    ! is_wanted "$row" || printf '%s\t%s\t%s\t%s\t%s\n' "$round" "$contender" "$1" "$2" "${3:-}" >>"$samples"
    return 0
  done
  die "group $group has no row \"$1\""
}

# Sets `busy`: the microseconds that all processors of the machine have worked.
read_busy() {
  local user nice system idle iowait irq softirq steal
  read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
  busy=$(((user + nice + system + irq + softirq + steal) * 1000000 / clock_ticks))
}
clock_ticks=$(getconf CLK_TCK)

start_clock() {
  read_busy
  clock_busy=$busy
  clock_us=${EPOCHREALTIME/[.,]/}
}
# Sets `elapsed_us` and `busy_us`, both since start_clock.
stop_clock() {
  elapsed_us=$((${EPOCHREALTIME/[.,]/} - clock_us))
  read_busy
  busy_us=$((busy - clock_busy))
}
note_elapsed() { # note_elapsed NAME: the milliseconds and the CPU of one operation
  note "$1" "$(awk -v us="$elapsed_us" 'BEGIN { printf "%.2f", us / 1000 }')" "$busy_us"
}
timed() { # timed NAME COMMAND...
  local name=$1
  shift
  start_clock
  "$@" >/dev/null
  stop_clock
  note_elapsed "$name"
}
