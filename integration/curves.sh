#!/usr/bin/env bash
# What things cost as a store grows: over the depth of a chain of clones, the bookmarks of a branch, the number of
# branches, of files, and of bytes. Flat is what they should be. Prints a Markdown table; writes curves.json and
# curves.svg.
#
#   sudo ./integration/curves.sh
#
#   VELAFS_MOST (5000, no count goes beyond it; sizes are in GB)   VELAFS_OUTPUT (build/bench, where the files go)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
most=${VELAFS_MOST:-5000}
output=${VELAFS_OUTPUT:-$root_dir/build/bench}
if [[ -z ${VELAFS_SANDBOX:-} ]]; then
  need_root
  command -v gnuplot >/dev/null || apt_install gnuplot-nox >/dev/null
  mkdir -p "$output"
fi
begin "$@"
cp "$build_dir/integration/programs/random_reads" bin/

columns=(clone_ms first_read_us read_us write_us list_ms delete_ms mount_ms memory_mb)
rows=$VELAFS_SANDBOX/rows # subject, count, then the columns

micros() { echo "${EPOCHREALTIME/[.,]/}"; }
since() { # since MICROS DIVISOR
  awk -v us="$(($(micros) - $1))" -v by="$2" 'BEGIN { printf "%.2f", us / by }'
}
median() {
  sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
progress() {
  echo "$(date +%T) $*" >&2
}

# A cluster, and in it a file of 64 MiB that is read and written.
make_source() {
  cp -a "$VELAFS_SANDBOX/plain" "$VELAFS_SANDBOX/cluster"
  openssl rand -out "$VELAFS_SANDBOX/cluster/base/data" $((64 << 20))
}
begin_store() {
  velafs -q init
  velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  velafs -q mount
}
end_store() {
  velafs umount >/dev/null
  rm -rf "$VELAFS_STORE"
}
put_page() { # put_page BRANCH PAGE: one of its own
  dd if=/dev/urandom of="$mount_dir/$1/base/data" bs=8192 count=1 seek="$2" conv=notrunc,fsync status=none
}

measure() { # measure SUBJECT COUNT SOURCE: of clones of SOURCE
  local subject=$1 count=$2 source=$3 i start line
  progress "$subject: $count"
  line="$subject $count"
  for i in {1..10}; do
    start=$(micros)
    velafs -q clone "$source" "probe$i"
    since "$start" 1000
    echo
  done >durations
  line+=" $(median <durations)"
  sync
  echo 3 >/proc/sys/vm/drop_caches
  line+=" $(random_reads "$mount_dir/probe1/base/data" 1 1)"
  line+=" $(random_reads "$mount_dir/probe1/base/data" 2000 "$count")"
  # As PostgreSQL writes a log: pages in order, each of them synced.
  start=$(micros)
  dd if=/dev/urandom of="$mount_dir/probe2/base/data" bs=8192 count=200 conv=notrunc oflag=dsync status=none
  line+=" $(since "$start" 200)"
  for i in {1..5}; do
    start=$(micros)
    velafs list >/dev/null
    since "$start" 1000
    echo
  done >durations
  line+=" $(median <durations)"
  for i in {1..10}; do
    start=$(micros)
    velafs -q delete --purge "probe$i"
    since "$start" 1000
    echo
  done >durations
  line+=" $(median <durations)"
  start=$(micros)
  velafs umount >/dev/null
  velafs -q mount
  line+=" $(since "$start" 1000)"
  random_reads "$mount_dir/main/base/data" 100 1 >/dev/null
  line+=" $(awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$(daemon_pid)/status")"
  echo "$line" >>"$rows"
}

# Whether `count` is one to measure at: 1, 10, 100, ... and the last.
is_point() { # is_point COUNT LAST
  [[ $1 == "$2" || $1 =~ ^10*$ ]]
}
least() {
  echo $(($1 < $2 ? $1 : $2))
}

make_cluster "$VELAFS_SANDBOX/plain" 0
make_source

begin_store
last=main
for ((i = 1, end = $(least 1000 "$most"); i <= end; ++i)); do
  velafs -q clone "$last" "clone$i"
  last=clone$i
  put_page "$last" $((i * 7 % 8192))
  ! is_point "$i" "$end" || measure depth "$i" "$last"
done
end_store

begin_store
for ((i = 1, end = $(least 1000 "$most"); i <= end; ++i)); do
  put_page main $((i * 7 % 8192))
  velafs -q bookmark create "main@b$i"
  ! is_point "$i" "$end" || measure bookmarks "$i" main
done
end_store

begin_store
for ((i = 1, end = $(least 5000 "$most"); i <= end; ++i)); do
  velafs -q clone main "clone$i"
  ! is_point "$i" "$end" || measure branches "$i" main
done
end_store

for count in 1000 10000 100000; do
  ((count <= most * 20)) || continue
  mkdir -p "$VELAFS_SANDBOX/cluster/base/many"
  (cd "$VELAFS_SANDBOX/cluster/base/many" && seq "$count" | split --lines 1 --numeric-suffixes --suffix-length 6 - f)
  chown -R postgres "$VELAFS_SANDBOX/cluster/base/many"
  begin_store
  measure files "$count" main
  end_store
  rm -rf "$VELAFS_SANDBOX/cluster/base/many"
done

for size in 1 10 100; do
  truncate --size "${size}G" "$VELAFS_SANDBOX/cluster/base/large"
  begin_store
  measure GB "$size" main
  end_store
done

{
  jq -Rn --arg columns "subject count ${columns[*]}" --arg date "$(date -u +%F)" --arg kernel "$(uname -r)" --argjson cores "$(nproc)" \
    --arg commit "$(git -C "$root_dir" -c safe.directory='*' rev-parse --short HEAD 2>/dev/null || echo unknown)" \
    '($columns | split(" ")) as $names | {$date, $commit, $kernel, $cores, points: [inputs | split(" ") | [$names, .] | transpose
      | map({(.[0]): (.[1] | tonumber? // .)}) | add]}' <"$rows"
} >"$output/curves.json"

gnuplot <<END || progress "no chart was drawn"
set terminal svg size 1100,700 font "sans,12" background "white"
set output "$output/curves.svg"
set multiplot layout 2,3 title "What a clone costs as the store grows (ms, microseconds and MB; both axes logarithmic)"
set logscale xy
set yrange [1:20000]
set grid lc rgb "#dddddd"
set key off
do for [subject in "$(cut -d" " -f1 "$rows" | uniq | xargs)"] {
  set title subject
  plot "< grep '^".subject." ' $rows" using 2:3 with linespoints lw 2 title "clone, ms", \
       "" using 2:5 with linespoints lw 2 title "cold 8 KiB read, us", \
       "" using 2:6 with linespoints lw 2 title "8 KiB write with sync, us", \
       "" using 2:7 with linespoints lw 2 title "list, ms", \
       "" using 2:9 with linespoints lw 2 title "umount and mount, ms", \
       "" using 2:10 with linespoints lw 2 title "daemon, MB"
}
unset title
unset logscale
unset grid
set border 0
unset tics
set yrange [0:1]
set xrange [0:1]
set key center center vertical
plot NaN with linespoints lw 2 title "clone, ms", NaN with linespoints lw 2 title "cold 8 KiB read, us", \
     NaN with linespoints lw 2 title "8 KiB write with sync, us", NaN with linespoints lw 2 title "list, ms", \
     NaN with linespoints lw 2 title "umount and mount, ms", NaN with linespoints lw 2 title "daemon, MB"
END

echo "| over | count | clone, ms | first read, us | cold read, us | write with sync, us | list, ms | delete, ms | umount and mount, ms | daemon, MB |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
sed 's/ / | /g; s/.*/| & |/' "$rows"
