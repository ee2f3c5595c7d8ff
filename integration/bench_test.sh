#!/usr/bin/env bash
# bench.sh by itself: a short run of one group, and the statistics and the chart of samples made up here.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

bench=$root_dir/integration/bench
short_run() {
  env -u VELAFS_SANDBOX VELAFS_PREPARED=1 "$root_dir/integration/bench.sh" --rows copy --contenders velafs --rounds 2 \
    --scale 1 --output "$VELAFS_SANDBOX/short" >short.md
  cat short.md
  jq -e '[.samples[] | select(.row == "make the copy") | "\(.round) \(.contender)"] | sort
    == ["1 ext4", "1 velafs", "2 ext4", "2 velafs"]' short/bench.json
  jq -e '.samples | map(select(.value <= 0)) == []' short/bench.json
  has_line -E '^\| make the copy \| ms \| less \| [0-9.]+ \| [0-9.]+ \([0-9.]+–[0-9.]+\) \? \|$' <short.md
  has_line '<circle' <short/bench.svg
}

# made_up COUNT: as many rounds. "steady" is 0.8 of ext4 up to 2 %, though ext4 itself changes twofold; "shaky" is anything.
made_up() {
  jq -n --argjson count "$1" '
    def sample($row; $contender; $value): {round: ., $row, $contender, value: $value, cpu_us: 1000};
    {about: {date: "", commit: "", kernel: "", cores: 2, idle_driver: "", libfuse: "", postgres: "", scale: 1, seconds: 1,
             within: 10, rounds: $count, cluster_bytes: 1, contenders: ["velafs", "ext4"]},
     rows: [{group: "one", name: "steady", unit: "tps", better: "more"}, {group: "two", name: "shaky", unit: "ms", better: "less"}],
     extras: [],
     samples: [range(1; $count + 1) | (1 + . % 2) as $speed
       | sample("steady"; "ext4"; 100 * $speed), sample("steady"; "velafs"; (79 + . % 3) * $speed),
         sample("shaky"; "ext4"; 100), sample("shaky"; "velafs"; 100 + 10 * .)]}'
}
unsettled_of() {
  made_up "$1" >made_up.json
  /usr/bin/python3 -B "$bench/report.py" unsettled made_up.json | tr '\n' ' '
}
rounds_end() {
  equal "$(unsettled_of 4)" "one two "
  equal "$(unsettled_of 5)" "two "
}
intervals_are_right() {
  made_up 11 >made_up.json
  /usr/bin/python3 -B "$bench/report.py" tables made_up.json >made_up.md
  cat made_up.md
  # Of 11 samples the third and the ninth: the median lies between them with a probability of 93 %.
  has_line -F '| steady | tps | more | 200 | 0.80 (0.79–0.81) |' <made_up.md
  has_line -F '| shaky | ms | less | 100 | 1.60 (1.30–1.90) ? |' <made_up.md
  /usr/bin/python3 -B "$bench/chart.py" made_up.json made_up.svg
  equal "$(grep -c '<circle.*fill="white"' made_up.svg)" 1 "hollow dots"
}

if reason=$(needs_loop_devices ext4); then
  check "bench.sh measures a group for some rounds" short_run
else
  skip "bench.sh measures a group for some rounds" "$reason"
fi
check "bench.sh goes on until the intervals of the medians are narrow" rounds_end
check "bench.sh tells intervals, and marks those that are wide" intervals_are_right
((failures == 0))
