"""Draws what bench.sh has measured: speed against a plain directory, a dot for each row and contender, and its interval.

usage: chart.py BENCH.JSON CHART.SVG
"""

import math
import sys
from xml.sax.saxutils import escape

from results import Results

# Ours are circles in strong colours; the others are squares in pale ones.
STYLES = {
    "velafs": ("#0b62c4", "circle"),
    "through": ("#7a3fb8", "circle"),
    "halting": ("#0a8f8f", "circle"),
    "ephemeral": ("#17904a", "circle"),
    "xfs": ("#e0912f", "square"),
    "btrfs": ("#c9605a", "square"),
    "overlayfs": ("#8c8c8c", "square"),
}
LABELS = {
    "through": "velafs, write-through",
    "halting": "velafs, no idle polling",
    "ephemeral": "velafs, ephemeral",
    "xfs": "XFS reflink",
}
LEAST, MOST = 0.2, 5.0  # ends of the axis; beyond them stands an arrow with a number
TICKS = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)

WIDTH = 1000
LEFT, RIGHT = 350, 930  # of the axis
TOP = 138
LINE = 9  # of a contender in its row
GAP = 10  # between rows
GROUP_GAP = 6
INK, PALE_INK, GRID, BAND = "#222222", "#666666", "#dddddd", "#f6f7f9"


def x_of(speed):
    share = (math.log(speed) - math.log(LEAST)) / (math.log(MOST) - math.log(LEAST))
    return LEFT + share * (RIGHT - LEFT)


class Drawing:
    def __init__(self):
        self.parts = []

    def text(self, x, y, words, size=13, anchor="start", colour=INK, weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(words)}</text>'
        )

    def line(self, x1, y1, x2, y2, colour, width=1.0):
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'
        )

    def box(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x}" y="{y:.1f}" width="{width}" height="{height:.1f}" fill="{colour}"/>')

    def dot(self, x, y, name, is_settled):
        colour, shape = STYLES[name]
        paint = f'fill="{colour if is_settled else "white"}" stroke="{colour}" stroke-width="1.5"'
        if shape == "circle":
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {paint}/>')
        else:
            self.parts.append(f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" {paint}/>')

    def arrow(self, x, y, towards, name, is_settled):
        colour = STYLES[name][0]
        paint = f'fill="{colour if is_settled else "white"}" stroke="{colour}" stroke-width="1.5"'
        self.parts.append(f'<path d="M{x:.1f},{y - 4:.1f} v8 l{6 * towards},-4 z" {paint}/>')

    def svg(self, height):
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


def speed_of(row, ratio):
    """(median, low, high) as speeds: 2 is twice as fast as the reference."""
    if row["better"] == "more":
        return ratio.median, ratio.low, ratio.high
    return 1 / ratio.median, 1 / ratio.high, 1 / ratio.low


def draw_estimate(drawing, y, name, speed, is_settled):
    median, low, high = speed
    colour = STYLES[name][0]
    if low < MOST and high > LEAST:
        drawing.line(x_of(max(low, LEAST)), y, x_of(min(high, MOST)), y, colour, 1.5)
    if LEAST <= median <= MOST:
        drawing.dot(x_of(median), y, name, is_settled)
        return
    towards = 1 if median > MOST else -1
    x = x_of(MOST if towards > 0 else LEAST)
    drawing.arrow(x, y, towards, name, is_settled)
    words = f"{median:.0f}×" if median >= 10 else f"{median:.1f}×" if median > 1 else f"{median:.2f}×"
    drawing.text(x + 10 * towards, y + 3.5, words, 9.5, "start" if towards > 0 else "end", colour)


def draw_head(drawing, results, names):
    about = results.about
    drawing.text(20, 28, "Speed of a clone or copy against a plain directory of ext4", 18, weight="bold")
    drawing.text(
        20, 48,
        f"velafs {about['commit']}, {about['date']}: PostgreSQL {about['postgres']}, Linux {about['kernel']}, "
        f"{about['cores']} cores, pgbench scale {about['scale']}, rounds: {about['rounds']}",
        12, colour=PALE_INK,
    )
    x = 26
    for name in names:
        label = LABELS.get(name, name)
        drawing.dot(x, 70, name, True)
        drawing.text(x + 9, 74.5, label, 12.5)
        x += 36 + 7 * len(label)
    drawing.text(
        20, 95, f"A line is the 90 % interval of the median. Hollow: wider than {about['within']} %, or fewer than 5 rounds.",
        12, colour=PALE_INK,
    )
    drawing.text(x_of(1) - 10, 114, "← slower than ext4", 12, "end", PALE_INK)
    drawing.text(x_of(1) + 10, 114, "faster than ext4 →", 12, "start", PALE_INK)


def draw_axis(drawing, top, bottom):
    for tick in TICKS:
        is_reference = tick == 1
        drawing.line(x_of(tick), top, x_of(tick), bottom, INK if is_reference else GRID, 1.5 if is_reference else 1)
        for y in (top - 5, bottom + 14):
            drawing.text(x_of(tick), y, f"{tick}×", 11, "middle", PALE_INK)


def draw(results):
    names = [name for name in STYLES if name in results.contenders]
    rows = [row for row in results.rows if any(results.ratio(row, name) for name in names)]
    height = len(names) * LINE + GAP
    tops = []
    y, group = TOP, None
    for row in rows:
        y += GROUP_GAP if group not in (None, row["group"]) else 0
        group = row["group"]
        tops.append(y)
        y += height
    drawing = Drawing()
    for number, top in enumerate(tops):
        if number % 2 == 0:
            drawing.box(20, top, WIDTH - 40, height, BAND)
    draw_head(drawing, results, names)
    draw_axis(drawing, TOP, y)
    for row, top in zip(rows, tops):
        drawing.text(LEFT - 45, top + height / 2 + 4.5, row["name"], 12.5, "end")
        for number, name in enumerate(names):
            ratio = results.ratio(row, name)
            if ratio and ratio.low > 0:
                line = top + GAP / 2 + (number + 0.5) * LINE
                draw_estimate(drawing, line, name, speed_of(row, ratio), results.is_settled(row, name))
    return drawing.svg(y + 30)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    svg = draw(Results(sys.argv[1]))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(svg)


if __name__ == "__main__":
    main()
