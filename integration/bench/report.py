"""Prints what bench.sh has measured.

usage: report.py tables BENCH.JSON      Markdown
       report.py unsettled BENCH.JSON   groups with a row that needs more rounds, one a line
"""

import sys

from results import REFERENCE, Results


def digits(value):
    """Three of them, as a rule."""
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"


def ratio_cell(estimate, is_settled):
    return f"{estimate.median:.2f} ({estimate.low:.2f}–{estimate.high:.2f}){'' if is_settled else ' ?'}"


def value_cell(results, row, contender):
    absolute = results.absolute(row, contender)
    if absolute is None:
        return ""
    ratio = results.ratio(row, contender)
    if contender == REFERENCE or ratio is None:
        return digits(absolute.median / 1e6 if row["unit"] == "bytes" else absolute.median)
    return ratio_cell(ratio, results.is_settled(row, contender))


def cpu_cell(results, row, contender):
    if contender == REFERENCE:
        absolute = results.absolute(row, contender, "cpu_us")
        return digits(absolute.median / 1000 if row["unit"] == "ms" else absolute.median) if absolute else ""
    ratio = results.ratio(row, contender, "cpu_us")
    return ratio_cell(ratio, ratio.is_within(results.about["within"])) if ratio else ""


def table(results, rows, heads, make_cells):
    contenders = sorted(results.contenders, key=lambda name: name != REFERENCE)
    yield "| " + " | ".join(heads + contenders) + " |"
    yield "| " + " | ".join(["---"] * len(heads) + ["---:"] * len(contenders)) + " |"
    for row in rows:
        yield "| " + " | ".join(make_cells(row, contenders)) + " |"


def value_table(results):
    rows = [row for row in results.rows if any(results.absolute(row, name) for name in results.contenders)]

    def cells(row, contenders):
        unit = row["unit"].replace("bytes", "MB")
        return [row["name"], unit, row["better"]] + [value_cell(results, row, name) for name in contenders]

    return table(results, rows, ["row", "unit", "better"], cells)


def cpu_table(results):
    rows = [row for row in results.rows if results.absolute(row, REFERENCE, "cpu_us")]

    def cells(row, contenders):
        unit = {"tps": "us a transaction", "us": "us a read"}.get(row["unit"], row["unit"])
        return [row["name"], unit] + [cpu_cell(results, row, name) for name in contenders]

    return table(results, rows, ["row", "unit"], cells)


def print_tables(results):
    about = results.about
    size_mb = about["cluster_bytes"] / 1e6
    print(
        f"Measured {about['date']} at commit {about['commit']}: Linux {about['kernel']}, {about['cores']} cores "
        f"(cpuidle driver {about['idle_driver']}),\nlibfuse {about['libfuse']}, PostgreSQL {about['postgres']}, each "
        f"filesystem in an image file; pgbench scale {about['scale']} ({size_mb:.0f} MB),\nrounds: {about['rounds']}, "
        f"pgbench runs of {about['seconds']} s.\n"
    )
    print(
        f"The column {REFERENCE} has medians; the others have the median of the ratio to {REFERENCE} in the same round, and "
        f"in brackets its\n90 % interval. A row with `?` needs more rounds: its interval is wider than {about['within']} % of "
        "its median, or there\nwere fewer than 5 rounds, and the brackets have all samples.\n"
    )
    print(*value_table(results), sep="\n", end="\n\n")
    print(f"CPU time of the whole machine: medians in the column {REFERENCE}, ratios in the others.\n")
    print(*cpu_table(results), sep="\n")
    for line in results.extras:
        print(f"\n{line}")


def print_unsettled(results):
    groups = {}
    for row in results.rows:
        if not all(results.is_settled(row, name) for name in results.contenders if name != REFERENCE):
            groups[row["group"]] = True
    for group in groups:
        print(group)


def main():
    commands = {"tables": print_tables, "unsettled": print_unsettled}
    if len(sys.argv) != 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](Results(sys.argv[2]))


if __name__ == "__main__":
    main()
