# What bench.sh prints and writes of its samples. Sourced by it.
# shellcheck shell=bash

# The middle of some numbers, and the best of them.
median() {
  tr ' ' '\n' <<<"$*" | sed '/^$/d' | sort -g | awk '{ v[NR] = $1 }
    END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
best() { # best MORE|LESS NUMBER...: is more better, or less?
  local way=$1
  shift
  tr ' ' '\n' <<<"$*" | sed '/^$/d' | sort -g | if [[ $way == more ]]; then tail -n 1; else head -n 1; fi
}

# measure_of "MEASURE|UNIT|MORE-OR-LESS" splits into these.
split_measure() {
  IFS='|' read -r name unit way <<<"$1"
}

table() {
  local measure contender value reference cells
  echo "| what | unit | $(printf '%s | ' "${contenders[@]}")"
  echo "| --- | --- | $(printf -- '---: | %.0s' "${contenders[@]}")"
  for measure in "${measures[@]}"; do
    split_measure "$measure"
    reference=${samples[$name ext4]:+$(median "${samples[$name ext4]}")}
    [[ $unit != bytes ]] || reference=
    cells=
    for contender in "${contenders[@]}"; do
      if [[ ! ${samples[$name $contender]:-} ]]; then
        cells+=" | "
        continue
      fi
      value=$(median "${samples[$name $contender]}")
      [[ $unit != bytes ]] || value=$(awk -v bytes="$value" 'BEGIN { print bytes / 1e6 }')
      cells+="$(awk -v value="$value" -v reference="${reference:-0}" -v is_reference="$([[ $contender == ext4 ]] && echo 1 || echo 0)" 'BEGIN {
        digits = value < 10 ? 2 : value < 100 ? 1 : 0
        printf "%." digits "f", value
        if (!is_reference && reference > 0) printf " (%.2f)", value / reference }') | "
    done
    echo "| $name | ${unit/bytes/MB} | $cells"
  done
}

json() {
  local measure contender
  for measure in "${measures[@]}"; do
    split_measure "$measure"
    for contender in "${contenders[@]}"; do
      [[ ${samples[$name $contender]:-} ]] || continue
      printf '%s\n%s\n%s\n%s\n%s\n' "$name" "$unit" "$way" "$contender" "${samples[$name $contender]}"
    done
  done | jq -Rn --argjson about "$1" '
    [inputs] | [range(0; length; 5) as $i | .[$i:$i + 5]
      | {measure: .[0], unit: .[1], better: .[2], contender: .[3],
         samples: (.[4] | split(" ") | map(select(. != "") | tonumber))}]
    | {about: $about, results: .}'
}

# Speed against the plain directory, so that longer is better for all: a bar for each contender.
chart() { # chart TITLE FILE
  local rows=$VELAFS_SANDBOX/chart.dat measure contender reference value line
  echo "measure ${contenders[*]}" >"$rows"
  for measure in "${measures[@]}"; do
    split_measure "$measure"
    [[ $unit != bytes && ${samples[$name ext4]:-} ]] || continue
    reference=$(median "${samples[$name ext4]}")
    line="\"$name\""
    for contender in "${contenders[@]}"; do
      value=${samples[$name $contender]:+$(median "${samples[$name $contender]}")}
      line+=" $(awk -v value="${value:-0}" -v reference="$reference" -v way="$way" 'BEGIN {
        ratio = value == 0 ? 0 : way == "more" ? value / reference : reference / value
        printf "%.3f", (ratio > 2) ? 2 : ratio }')"
    done
    echo "$line" >>"$rows"
  done
  gnuplot <<END
set terminal svg size 1100,640 font "sans,13" background "white"
set output "$2"
set title "$1" noenhanced
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set yrange [0:2.05]
set ytics 0.25
set grid ytics lc rgb "#dddddd"
set arrow from graph 0, first 1 to graph 1, first 1 nohead lc rgb "#444444" dt 2
set ylabel "speed, against a plain directory of ext4 (2 and more: 2)"
set xtics rotate by -40 noenhanced
set key outside top center horizontal
set bmargin 10
set rmargin 12
plot for [i = 2:$((${#contenders[@]} + 1))] "$rows" using i:xtic(1) title columnheader(i)
END
}
