#!/usr/bin/env python3
"""Draws what the JSON of the benchmark has, as SVG that is read on a light and on a dark page.

  plot.py DIR JSON...

throughput.svg and waits.svg: the pool alone, against threads; statements.svg, bulk.svg, instructions.svg: a bar each.
"""
import json
import math
import pathlib
import sys
from html import escape

# Of each colour the one on a light page, and the one on a dark one.
COLOURS = (("#2563c9", "#6ea8ff"), ("#7aa7e8", "#3f6fb5"), ("#1e3a8a", "#b9d2ff"), ("#15803d", "#4ade80"), ("#c2410c", "#fb923c"),
           ("#7e22ce", "#c084fc"), ("#be185d", "#f472b6"), ("#0f766e", "#2dd4bf"), ("#a16207", "#facc15"), ("#6b7280", "#9ca3af"))  # fmt: skip
STYLE = ("text{fill:#333}.g{stroke:#ddd}.s{fill:none;stroke-width:1.6}.own{stroke-width:3}.floor{stroke-dasharray:5 4}.again{stroke-dasharray:2 2}"
         + "".join(f".c{i}{{stroke:{light}}}.b{i}{{fill:{light}}}" for i, (light, _) in enumerate(COLOURS))
         + "@media(prefers-color-scheme:dark){text{fill:#ccc}.g{stroke:#444}"
         + "".join(f".c{i}{{stroke:{dark}}}.b{i}{{fill:{dark}}}" for i, (_, dark) in enumerate(COLOURS)) + "}")  # fmt: skip
ROW = 15  # the least distance of two lines of text


def svg(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n")  # fmt: skip


def text(x, y, words, anchor="start", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def short(value):
    for unit, word in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{word}"
    return f"{value:.3g}"


def apart(wanted, least, most):
    """Where labels go that want to be at those heights, none nearer than a row to another."""
    places = dict(sorted(wanted.items(), key=lambda each: each[1]))
    below = least - ROW
    for name, y in places.items():
        below = places[name] = max(y, below + ROW)
    above = most + ROW
    for name in reversed(places):
        above = places[name] = min(places[name], above - ROW)
    return places


def look(name, colours):
    return f"s c{colours[name] % 10}" + (" own" if name == "lido" else " floor" if name == "floor" else " again" if colours[name] > 9 else "")


def lines(title, under, labels, series, colours, top=0, logarithmic=True, left=60, right=520, height=250):
    """A line for each of `series`: its name, and a value or None for each of `labels`."""
    values = [value for one in series.values() for value in one if value]
    low, high = (min(values), max(values)) if logarithmic else (0, max(values))
    up, down = top + 34, top + height - 40
    scale = math.log10 if logarithmic else float
    bottom, span = scale(low), (scale(high) - scale(low)) or 1
    x = lambda i: left + 12 + (right - left - 24) * i / max(len(labels) - 1, 1)
    y = lambda value: down - 6 - (down - up - 12) * (scale(value) - bottom) / span
    parts = [text(left, top + 18, title, more=' font-weight="bold"')]
    if logarithmic:
        decades = range(math.floor(bottom), math.ceil(scale(high)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in ((1,) if span > 1.5 else (1, 2, 5))]
    else:
        step = 10 ** math.floor(math.log10(high))
        step = next(step * part for part in (0.2, 0.5, 1) if high / (step * part) <= 7)
        ticks = [step * i for i in range(int(high / step) + 1)]
    for tick in ticks:
        if low * 0.999 <= tick <= high * 1.001:
            parts.append(f'<path class="g" d="M{left} {y(tick):.1f}H{right}"/>' + text(left - 6, y(tick) + 4, short(tick), "end"))
    for i, label in enumerate(labels):
        parts.append(text(x(i), down + 16, str(label), "middle" if i < len(labels) - 1 else "end"))
    parts.append(text((left + right) / 2, down + 33, under, "middle"))
    ends = {}
    for name, one in series.items():
        points = [(x(i), y(value)) for i, value in enumerate(one) if value]
        if points:
            ends[name] = points[-1]
            kind = look(name, colours)
            parts.append(f'<polyline class="{kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
    for name, at in apart({name: b for name, (_, b) in ends.items()}, up, down + 24).items():
        kind = look(name, colours)
        thin = kind.replace(" own", "")
        if series[name][-1]:
            parts.append(f'<path class="{thin}" stroke-opacity="0.4" d="M{ends[name][0]:.1f} {ends[name][1]:.1f}L{right + 12} {at:.1f}"/>')
        parts.append(f'<path class="{kind}" d="M{right + 12} {at:.1f}h14"/>')
        parts.append(text(right + 31, at + 4, name, more=' font-weight="bold"' if name == "lido" else ""))
    return parts


def bars(groups, colours, unit, width=740, left=210):
    """A block for each group, and a bar in it for each name."""
    parts, y = [], 8
    for group, by in groups.items():
        y += 22
        parts.append(text(8, y, f"{group}, {unit(group)}", more=' font-weight="bold"'))
        y += 8
        most = max(by.values())
        for name, value in by.items():
            long = (width - left - 80) * value / most
            parts.append(text(left - 8, y + 12, name, "end", ' font-weight="bold"' if name == "lido" else "") + f'<rect class="b{colours[name] if name.startswith("lido") else len(COLOURS) - 1}" x="{left}" y="{y + 1}" width="{max(long, 1):.1f}" height="14" rx="2"/>'
                         + text(left + long + 6, y + 12, short(value)))  # fmt: skip
            y += 18
    return svg(width, y + 12, parts)


def colours_of(names):
    """lido has the first; the others what is left, in turns. From ten on a line is dashed."""
    own = [name for name in names if name.startswith("lido")]
    others = [name for name in names if not name.startswith("lido") and name != "floor"]
    chosen = {name: min(i, 2) for i, name in enumerate(sorted(own))} | {name: 3 + i % 6 + i // 6 * 10 for i, name in enumerate(sorted(others))}
    return chosen | {"floor": len(COLOURS) - 1}


def against_threads(cases, figure, slots):
    by = {}
    for i, threads in enumerate((1, 2, 8, 32)):
        case = cases.get(f"{threads} thread{'s' * (threads > 1)}, {slots} slots, no hold: {figure}")
        for who, each in (case["figures"] if case else {}).items():
            by.setdefault(who, [None] * 4)[i] = each["median"]
    return by


def draw(cases):
    """The pictures of those cases, by their names."""
    pictures = {}
    names = list(dict.fromkeys(who for case in cases.values() for who in case["figures"]))
    colours = colours_of(names)
    wide, high = 740, 60 + ROW * max(len(against_threads(cases, "time a cycle", 2)), 13)

    def panels(each):
        parts = []
        for i, (title, under, labels, series) in enumerate(each):
            parts += lines(title, under, labels, series, colours, top=i * high, height=high)
        return svg(wide, len(each) * high + 6, parts)

    throughput = {slots: {who: [value and 1e9 / value for value in values] for who, values in against_threads(cases, "time a cycle", slots).items()} for slots in (10, 2)}
    if throughput[10]:
        pictures["throughput.svg"] = panels([(f"acquires and releases a second, {slots} slots, no hold", "threads", (1, 2, 8, 32), by) for slots, by in throughput.items()])
    waits, where = {who: each for who, each in against_threads(cases, "p99 wait", 2).items() if each[-1]}, "32 threads, 8 slots, 50 us of work"
    marks = [f"{where}: {figure}" for figure in ("p50 wait", "p99 wait", "p99.9 wait", "longest wait")]
    if waits and all(mark in cases for mark in marks):
        by = {who: [max(cases[mark]["figures"][who]["median"], 0.02) for mark in marks] for who in cases[marks[0]]["figures"]}
        pictures["waits.svg"] = panels([("p99 of the waits in us, 2 slots, no hold", "threads", (1, 2, 8, 32), waits),
                                        (f"waits in us: {where}", "", ("p50", "p99", "p99.9", "the longest"), by)])  # fmt: skip
    for name, figure, better in (("statements.svg", "statements", "more is better"), ("bulk.svg", "rows", "more is better"), ("instructions.svg", "instructions", "fewer are better")):
        some = {case["scenario"]: case for case in cases.values() if case["figure"] == figure}
        if some:
            groups = {scenario: {who: each["median"] for who, each in sorted(case["figures"].items(), key=lambda each: each[1]["median"], reverse=better[0] == "m")}
                      for scenario, case in some.items()}  # fmt: skip
            what = {"statements": "statements a second", "rows": "rows a second", "instructions": "instructions"}[figure]
            pictures[name] = bars(groups, colours, lambda group: (what if "acquire" in group or figure != "instructions" else "instructions a row") + f" ({better})")
    return pictures


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__.strip())
    into = pathlib.Path(sys.argv[1])
    into.mkdir(parents=True, exist_ok=True)
    found = {}
    for path in sys.argv[2:]:
        found |= {case["name"]: case for case in json.loads(pathlib.Path(path).read_text())["cases"]}
    for name, picture in draw(found).items():
        (into / name).write_text(picture)
        print(f"drawn: {into / name}")
