#!/usr/bin/env bash
# Measures velafs clones against other ways to get a copy of a PGDATA: a copy in a plain directory of ext4, an XFS reflink
# copy, a btrfs snapshot, an overlayfs. Store, plain copy and overlayfs are on one ext4 in an image file; XFS and btrfs have
# image files of their own on the same disk. All servers have the same settings.
#
# Each round measures each group of rows with one contender after the other, and on a new copy each time. A row's result is
# the median over rounds of its ratio to ext4 in the same round, with a 90 % interval of that median. Groups whose intervals
# are all narrow are left out of further rounds. Prints Markdown tables; writes bench.json (all samples, after each round)
# and bench.svg.
#
#   sudo ./integration/bench.sh [OPTION...]
#
#   --rows PATTERN      only rows whose line in --list matches this extended regular expression
#   --contenders LIST   of those in --list, separated by commas (velafs,through,ephemeral,ext4,xfs,btrfs,overlayfs);
#                       ext4 is always among them
#   --scale N           pgbench scale of the cluster, 15 MB each (50)
#   --seconds N         time of each pgbench run (5)
#   --within PERCENT    an interval is narrow if it is at most so wide, of its median (10)
#   --rounds N          stop after so many rounds (50); an interval takes at least 5
#   --limit MINUTES     stop after the group during which the time runs out (120)
#   --pg VERSION        PostgreSQL's major version (the newest that is installed)
#   --output DIR        where the files go (build/bench)
#   --list              list rows and contenders; measure nothing
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
bench_dir=$root_dir/integration/bench
source "$bench_dir/contenders.sh"
source "$bench_dir/server.sh"
source "$bench_dir/rows.sh"
source "$bench_dir/stories.sh"
source "$bench_dir/extras.sh"

pattern=
wanted=velafs,through,ephemeral,ext4,xfs,btrfs,overlayfs
scale=50
seconds=5
within=10
rounds=50
limit=120
output=$root_dir/build/bench

list() {
  printf '%s\n' "${rows[@]}" "${extras[@]}" | awk -F '|' '{ print $1 ": " $2 }'
  echo "contenders: ${all_contenders[*]}"
}
# is_wanted ROW: by --rows.
is_wanted() {
  local group name
  IFS='|' read -r group name _ <<<"$1"
  [[ "$group: $name" =~ $pattern ]]
}
has_wanted_row() { # has_wanted_row GROUP
  local row
  for row in "${rows[@]}"; do
    [[ $row != "$1|"* ]] || ! is_wanted "$row" || return 0
  done
  return 1
}
read_options() {
  while (($# > 0)); do
    case $1 in
      --list) list && exit ;;
      --help) exec sed -n '2,/^source/ { /^source/! s/^# \{0,1\}//p }' "$0" ;;
      --rows) pattern=${2:?"$1 takes a value"} ;;
      --contenders) wanted=${2:?"$1 takes a value"} ;;
      --output) output=$(realpath -m "${2:?"$1 takes a value"}") ;;
      --pg) export VELAFS_PG=${2:?"$1 takes a value"} ;;
      --scale | --seconds | --within | --rounds | --limit)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 takes a number"
        declare -g "${1#--}=$2"
        ;;
      *) die "unknown option \"$1\" (see --help)" ;;
    esac
    shift 2
  done
}
# Sets `wanted` to names, with ext4 among them, and `groups` to those with wanted rows.
check_options() {
  local group name
  IFS=, read -ra wanted <<<"$wanted"
  [[ " ${wanted[*]} " == *" ext4 "* ]] || wanted+=(ext4)
  for name in "${wanted[@]}"; do
    [[ " ${all_contenders[*]} " == *" $name "* ]] || die "there is no contender \"$name\" (see --list)"
  done
  groups=()
  for group in "${all_groups[@]}"; do ! has_wanted_row "$group" || groups+=("$group"); done
  list | grep -v '^contenders: ' | grep -E -- "$pattern" >/dev/null || die "no row matches \"$pattern\" (see --list)"
}

read_options "$@"
check_options
if [[ -z ${VELAFS_SANDBOX:-} ]]; then
  need_root
  command -v /usr/bin/python3 >/dev/null || apt_install python3 >/dev/null
  mkdir -p "$output"
fi
begin "$@"
cp "$build_dir/integration/programs/random_reads" bin/
at_end=unmount_images
samples=$VELAFS_SANDBOX/samples # lines "round, contender, row, value, CPU in us of an operation", with tabs between
extra_results=$VELAFS_SANDBOX/extras
contenders=()

progress() {
  echo "$(date +%T) $*" >&2
}
python() { # python PROGRAM ARGUMENT...: one of integration/bench/
  /usr/bin/python3 -B "$bench_dir/$1" "${@:2}"
}
is_over_time() {
  ((SECONDS >= limit * 60))
}

prepare_all() {
  local reason
  image_bytes=$(((scale * 160 << 20) + (6 << 30)))
  reason=$(mount_image ext4 "$image_bytes") || die "$reason"
  export VELAFS_STORE=$VELAFS_SANDBOX/ext4/store
  mount_dir=$VELAFS_STORE/mnt
  make_store "$scale"
  mv "$VELAFS_SANDBOX/cluster" "$VELAFS_SANDBOX/ext4"
  cluster=$VELAFS_SANDBOX/ext4/cluster
  mapfile -t settings < <(common_settings)
  for contender in "${wanted[@]}"; do
    if reason=$("prepare_$contender"); then contenders+=("$contender"); else progress "without $contender: $reason"; fi
  done
  for group in "${groups[@]}"; do
    if [[ $(type -t "prepare_group_$group") == function ]]; then "prepare_group_$group"; fi
  done
}

# One group of rows with one contender, on a copy of its own that is gone afterwards.
measure_with() { # measure_with CONTENDER GROUP
  local group=$2
  contender=$1
  data=$(data_of "$contender")
  ! is_velafs || remount
  if [[ $group == copy ]]; then
    measure_copy
  else
    "make_$contender"
    start_server
    settle_copy
    "measure_$group"
  fi
  stop_server
  "drop_$contender"
  rm -rf "$data.run"
}

# Contenders begin in turn, so that none always comes after the same other one.
measure_round() { # measure_round GROUP...
  local group i count=${#contenders[@]}
  for group in "$@"; do
    progress "round $round: $group"
    for ((i = 0; i < count; ++i)); do
      measure_with "${contenders[(round + i) % count]}" "$group"
    done
    ! is_over_time || return 0
  done
}

write_json() {
  local about
  about=$(jq -n --arg date "$(date -u +%F)" --arg kernel "$(uname -r)" --argjson cores "$(nproc)" \
    --arg commit "$(git -C "$root_dir" -c safe.directory='*' rev-parse --short HEAD 2>/dev/null || echo unknown)" \
    --arg idle_driver "$(cat /sys/devices/system/cpu/cpuidle/current_driver 2>/dev/null || echo none)" \
    --arg libfuse "$(pkg-config --modversion fuse3)" --arg postgres "$("$pg_bin/postgres" -V | grep -o '[0-9][0-9.]*' | head -n 1)" \
    --argjson scale "$scale" --argjson seconds "$seconds" --argjson within "$within" --argjson rounds "$round" \
    --argjson cluster_bytes "$(du --summarize --block-size=1 "$cluster" | cut -f1)" --arg contenders "${contenders[*]}" \
    '$ARGS.named | .contenders |= split(" ")')
  for row in "${rows[@]}"; do if is_wanted "$row"; then echo "$row"; fi; done |
    jq -Rn --argjson about "$about" --rawfile samples "$samples" --rawfile extras "$extra_results" '{
      about: $about,
      rows: [inputs | split("|") | {group: .[0], name: .[1], unit: .[2], better: .[3]}],
      samples: [$samples | split("\n")[] | select(. != "") | split("\t")
        | {round: (.[0] | tonumber), contender: .[1], row: .[2], value: (.[3] | tonumber), cpu_us: (.[4] | tonumber? // null)}],
      extras: [$extras | split("\n")[] | select(. != "")]}' >"$output/bench.json.new"
  mv "$output/bench.json.new" "$output/bench.json"
}

prepare_all
touch "$samples" "$extra_results"
round=0
todo=("${groups[@]}")
while ((round < rounds && ${#todo[@]} > 0)) && ! is_over_time; do
  ((++round))
  measure_round "${todo[@]}"
  write_json
  mapfile -t todo < <(python report.py unsettled "$output/bench.json")
done
measure_extras
write_json
python chart.py "$output/bench.json" "$output/bench.svg"
python report.py tables "$output/bench.json"
