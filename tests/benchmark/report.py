#!/usr/bin/env python3
"""Makes of what was measured the JSON that the benchmark promises, and says which targets hold.

  report.py SAMPLES [JSON]

SAMPLES is what compile has printed, or has a line of JSON for each round of each contender: `case`, `who`, `kind` (words: own, floor, peer, barges,
fair, never waits), `round`, and what was measured. JSON gets `machine`, `cases` and `targets`; targets.txt has the targets.
Judges nothing.
"""
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = {  # what a sample calls it: how it is shown, its unit, and which is better
    "cycle_ns": ("time a cycle", "ns", "less"),
    "processor_ns": ("processor time", "ns", "less"),
    "fairness": ("fairness", "Jain's index", "more"),
    "overtaken": ("overtaken past the limit", "waiters", "less"),
    "mean_us": ("mean wait", "us", "less"),
    "p50_us": ("p50 wait", "us", "less"),
    "p99_us": ("p99 wait", "us", "less"),
    "p999_us": ("p99.9 wait", "us", "less"),
    "max_us": ("longest wait", "us", "less"),
    "statements": ("statements", "a second", "more"),
    "mean_answer_ms": ("mean answer", "ms", "less"),
    "longest_answer_ms": ("longest answer", "ms", "less"),
    "rows": ("rows", "a second", "more"),
    "processor_us": ("processor time", "us", "less"),
    "instructions": ("instructions", "each", "less"),
    "bytes": ("memory", "bytes", "less"),
    "times": ("times the same with 10 slots", "times", "less"),
    "longest_lock_us": ("longest lock", "us", "less"),
    "compile_s": ("compiler's time", "s", "less"),
    "once_s": ("compiler's time, compiled once", "s", "less"),
    "code_kb": ("code", "kB", "less"),
    "in_time_a_second": ("answers in time", "a second", "more"),
    "served": ("answers", "a second", "more"),
    "p99": ("p99 of the answers", "s", "less"),
    "query_p99": ("p99 of the queries", "s", "less"),
    "refused": ("refused", "callers", "less"),
    "timed_out": ("timed out", "callers", "less"),
    "recovered_after": ("recovered after", "s", "less"),
    "not_in_time": ("not in time", "callers", "less"),
}
PEERS = {"peer", "barges", "fair", "never"}


def machine():
    def first(path, pattern):
        found = re.search(pattern, pathlib.Path(path).read_text(errors="replace"), re.MULTILINE) if os.path.exists(path) else None
        return found[1].strip() if found else None

    compiler = os.environ.get("CXX", "g++")
    version = subprocess.run([compiler, "-dumpfullversion"], text=True, capture_output=True).stdout.strip()
    kilobytes = first("/proc/meminfo", r"^MemTotal:\s*(\d+)")
    return {"processor": first("/proc/cpuinfo", r"^model name\s*:(.*)$") or platform.machine(), "cores": len(os.sched_getaffinity(0)),
            "memory_gb": round(int(kilobytes) / 1e6, 1) if kilobytes else None, "kernel": platform.release(),
            "system": first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'), "compiler": f"{compiler} {version}",
            "load_of_15_minutes": round(os.getloadavg()[2], 2)}  # fmt: skip


def cases_of(samples):
    """One object for each figure of each case."""
    rounds, kinds = {}, {}
    for sample in samples:
        kinds[sample["who"]] = sample["kind"]
        for key in FIGURES.keys() & sample.keys():
            rounds.setdefault((sample["case"], key), {}).setdefault(sample["who"], {})[sample["round"]] = sample[key]
    cases = []
    for (scenario, key), by in sorted(rounds.items(), key=lambda each: list(FIGURES).index(each[0][1])):
        figure, unit, better = FIGURES[key]
        case = {"name": f"{scenario}: {figure}", "scenario": scenario, "figure": figure, "unit": unit, "better": better, "rounds": by, "figures": {}}
        for who, values in by.items():
            case["figures"][who] = {"kind": kinds[who], "median": statistics.median(values.values()), "least": min(values.values()), "most": max(values.values())}
        own = "lido" if "lido" in by else next((who for who in by if "own" in kinds[who].split()), None)
        floor = next((who for who in by if "floor" in kinds[who].split()), None)
        peer = best(case, "")
        case |= {"own_name": own, "lido": case["figures"][own]["median"] if own else None, "floor": case["figures"][floor]["median"] if floor else None, "floor_name": floor,
                 "best_peer": case["figures"][peer]["median"] if peer else None, "best_peer_name": peer,
                 "ratio": ratio(case, own, peer) if own and peer else None, "target": None, "holds": None}  # fmt: skip
        cases.append(case)
    order = list(dict.fromkeys(sample["case"] for sample in samples))
    return sorted(cases, key=lambda case: order.index(case["scenario"]))


def best(case, kind):
    """The best peer of that kind, or of all."""
    some = [who for who, each in case["figures"].items()
            if PEERS & set(each["kind"].split()) and (not kind or kind in each["kind"].split())]  # fmt: skip
    pick = min if case["better"] == "less" else max
    return pick(some, key=lambda who: case["figures"][who]["median"], default=None)


def ratio(case, one, other):
    """The median of how one compared with the other in the same round."""
    of, by = case["rounds"][one], case["rounds"][other]
    both = [of[at] / by[at] for at in of.keys() & by.keys() if by[at]]
    return statistics.median(both) if both else None


def targets_of(cases):
    """A row for each target whose figures are there; and how many are not."""
    by_name = {case["name"]: case for case in cases}
    rows, absent = [], 0
    for line in (HERE / "targets.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        scenario, figure, who, relation, factor, reference = (word.strip() for word in line.split("|"))
        case = by_name.get(f"{scenario}: {figure}")
        if case is None or who not in case["figures"]:
            absent += 1
            continue
        limit = float(eval(factor, {"__builtins__": {}}))
        median = case["figures"][who]["median"]
        other, value = None, None
        if not reference:
            value = median
        elif reference.startswith("best"):
            other = best(case, reference[5:])
            value = ratio(case, who, other) if other else None
        elif f"{reference}: {figure}" in by_name and who in by_name[f"{reference}: {figure}"]["figures"]:
            other, value = reference, median / by_name[f"{reference}: {figure}"]["figures"][who]["median"]
        else:
            other = case["floor_name"] if reference == "floor" else reference
            value = ratio(case, who, other) if other in case["figures"] else None
        holds = None if value is None else {"<=": value <= limit, "<": value < limit, ">=": value >= limit}[relation]
        row = {"case": case["name"], "who": who, "figure": value, "of": other or reference, "limit": f"{relation} {factor}", "target": f"{relation} {factor} {reference}".strip(), "holds": holds}
        rows.append(row)
        case["target"] = "; ".join(filter(None, [case["target"], ("" if who == case["own_name"] else f"{who}: ") + row["target"]]))
        if holds is not None:
            case["holds"] = holds and case["holds"] is not False
    return rows, absent


def print_targets(rows, absent):
    if rows:
        print(f"\n{'targets':<75}{'figure':>9}  {'target':<10} of")
    for row in rows:
        what = row["case"] + ("" if row["who"] == "lido" else f": {row['who']}")
        figure = "-" if row["figure"] is None else f"{row['figure']:.3g}"
        said = {True: "held", False: "NOT held", None: "not measured"}[row["holds"]]
        print(f"{what:<75}{figure:>9}  {row['limit']:<10} {row['of']:<30} {said}")
    if absent:
        print(f"{len(rows)} targets of this table; {absent} of other tables (--only) or of --peers all")


def compiled(table):
    """What `compile` has printed, as samples."""
    samples = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) >= 7 and re.fullmatch(r"[\d.]+", cells[1]):
            sample = {"case": cells[0].replace("`", ""), "who": "lido" if "lido" in cells[0] and "libpqxx" not in cells[0] else cells[0], "round": 0,
                      "kind": "own" if cells[0].startswith("lido") else "peer", "compile_s": float(cells[1]), "code_kb": float(cells[2])}  # fmt: skip
            samples.append(sample | ({"once_s": float(cells[3])} if cells[3] else {}))
    return samples


def report(samples, path=None):
    """Prints the last table, and writes the JSON."""
    cases = cases_of(samples)
    rows, absent = targets_of(cases)
    print_targets(rows, absent)
    if path:
        for case in cases:
            del case["rounds"]
        pathlib.Path(path).write_text(json.dumps({"machine": machine(), "cases": cases, "targets": rows}, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__.strip())
    said = pathlib.Path(sys.argv[1]).read_text()
    report([json.loads(line) for line in said.splitlines()] if said.startswith("{") else compiled(said), *sys.argv[2:])
