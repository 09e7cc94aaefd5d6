#!/usr/bin/env python3
"""Plays all scenarios with all contenders, in rounds, and tells how they compare.

  pools.py PROGRAM [--quick] [--peers WORD] [--samples FILE]

A machine is never quiet. Each round has every contender once, beginning with another one each time, and what is compared
are the medians of the ratios within a round. PROGRAM has the contenders in C++ (main.cpp). See peers/README.md for the
others, and how they are asked.
"""
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import build_peers
import report
import server

HERE = pathlib.Path(__file__).resolve().parent
QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 5
BRIEF, LONG, SECOND = (0.03, 0.08, 0.25) if QUICK else (0.12, 0.4, 1.0)
SCENARIOS = (  # threads, slots, of them held, us of computing, us of sleep, seconds of a round
    (1, 10, 0, 0, 0, BRIEF), (2, 10, 0, 0, 0, BRIEF), (8, 10, 0, 0, 0, BRIEF), (32, 10, 0, 0, 0, LONG / 2),
    (1, 2, 0, 0, 0, BRIEF), (2, 2, 0, 0, 0, BRIEF), (8, 2, 0, 0, 0, LONG / 2), (32, 2, 0, 0, 0, SECOND),
    (4, 8, 7, 0, 0, LONG / 2), (8, 1_000, 0, 0, 0, BRIEF), (8, 10_000, 0, 0, 0, BRIEF),
    (32, 8, 0, 50, 0, LONG), (32, 8, 0, 0, 50, LONG), (32, 8, 0, 0, 1_000, LONG),
)  # fmt: skip
FLOOR, OWN = "floor", "lido"


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv[:-1] else None


def title(scenario):
    threads, slots, held, work, sleep, _ = scenario
    does = f"{work} us of work" if work else ("1 ms of sleep" if sleep == 1000 else f"{sleep} us of sleep") if sleep else "no hold"
    return f"{threads} thread{'s' * (threads > 1)}, {slots:,} slots{', 1 of them free' * (held > 0)}, {does}"


class Contender:
    def __init__(self, name, kind, command, url=None, **more):
        self.name, self.kind = name, kind
        self.child = subprocess.Popen([str(word) for word in command] + [url] * bool(url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      bufsize=1, env={**os.environ, "BENCHMARK_URL": url or "", **more})  # fmt: skip

    def end(self):
        self.child.stdin.close()
        self.child.wait()

    def takes_part(self, scenario):
        waits = scenario[0] > scenario[1] - scenario[2] or scenario[3] or scenario[4]
        # cppdb has a connection of SQLite in each slot: ten thousand of them take longer than all else.
        return not waits and scenario[1] <= 1_000 if self.kind == "never waits" else not (waits and self.kind == "floor")

    def ask(self, scenario, steps, *more):
        threads, slots, held, work, sleep, seconds = scenario
        print(threads, slots, held, round(work * steps), sleep, seconds, *more, file=self.child.stdin, flush=True)
        said = self.child.stdout.readline()
        if not said:
            raise SystemExit(f"{self.name} failed")
        return json.loads(said)


def percentile(values, part):
    return values[int(part * (len(values) - 1))] / 1000


def fairness(cycles):
    return sum(cycles) ** 2 / (len(cycles) * sum(count**2 for count in cycles))


def figures(said, scenario):
    """What the table shows of a round."""
    cycles, waits = said["cycles"], sorted(said["waits"])
    all_of_them = sum(cycles)
    shown = {"cycle_ns": said["seconds"] * 1e9 / all_of_them, "processor_ns": said["processor"] * 1e9 / all_of_them}
    if scenario[0] > scenario[1] - scenario[2]:
        shown["fairness"] = fairness(cycles)
        shown |= {"mean_us": statistics.fmean(waits) / 1000, "p50_us": percentile(waits, 0.5), "p99_us": percentile(waits, 0.99)}
        if scenario[3] or scenario[4]:  # of all, and not of a few of them
            shown |= {"p999_us": percentile(waits, 0.999), "max_us": waits[-1] / 1000}
    elif waits:
        shown["p99_us"] = percentile(waits, 0.99)
    return shown


def play(scenario, contenders, steps):
    some = sorted((each for each in contenders if each.takes_part(scenario)), key=lambda each: each.name)
    samples = []
    for round in range(ROUNDS):
        for i in range(len(some)):
            each = some[(i + round) % len(some)]
            said = each.ask(scenario, steps)
            if said.get("cycles"):
                samples.append({"case": title(scenario), "who": each.name, "kind": each.kind, "round": round, **figures(said, scenario)})
    for each in some:
        if each.kind == "own" and "fairness" in samples[0]:  # somebody has to wait: rounds that are not timed
            for round in range((ROUNDS + 2) // 3):
                seen = each.ask(scenario, steps, "watched")
                samples.append({"case": title(scenario), "who": each.name, "kind": each.kind, "round": round, **seen})
    return samples


def show(samples, name):
    cases = {case["figure"]: case for case in report.cases_of(samples)}
    cycle = cases["time a cycle"]
    waits = [figure for figure in ("fairness", "mean wait", "p50 wait", "p99 wait", "p99.9 wait", "longest wait") if figure in cases and "mean wait" in cases]
    heads = {"mean wait": "wait us", "longest wait": "longest"}
    print(f"\n{name}\n{'':32}{'ns a cycle':>12}{'(least .. most)':>22}{'cpu ns':>10}{'/ floor':>9}{'/ lido':>9}"
          + "".join(f"{heads.get(figure, figure.removesuffix(' wait')):>10}" for figure in waits))  # fmt: skip
    for who, figure in sorted(cycle["figures"].items(), key=lambda each: each[1]["median"]):
        to_floor = report.ratio(cycle, who, FLOOR) if FLOOR in cycle["figures"] else None
        print(f"{who:32}{figure['median']:12.1f}{figure['least']:11.1f} ..{figure['most']:8.1f}{cases['processor time']['figures'][who]['median']:10.1f}"
              + (f"{to_floor:9.2f}" if to_floor else f"{'-':>9}") + f"{report.ratio(cycle, who, OWN):9.2f}"
              + "".join(f"{cases[each]['figures'][who]['median']:13.{3 if each == 'fairness' else 1}f}" for each in waits))  # fmt: skip
    for who, figure in cases.get("overtaken past the limit", {"figures": {}})["figures"].items():
        newcomers = max(sample["by"] for sample in samples if sample["who"] == who and "by" in sample)
        print(f"{who}: {figure['most']} waiters overtaken past the limit, by {newcomers} newcomers at most")
    sys.stdout.flush()


def compare(program):
    """Ways to talk to PostgreSQL, by the processor time that each takes."""
    said = subprocess.run([program, "--compare", "15" if QUICK else "101"], check=True, text=True, stdout=subprocess.PIPE).stdout
    samples = [json.loads(line) for line in said.splitlines()]
    for case in report.cases_of(samples):
        print(f"\n{case['scenario']}\n{'':48} {'cpu ns':>12} {'/ first':>8}")
        first = next(iter(case["figures"]))
        for who, figure in case["figures"].items():
            print(f"{who:48} {figure['median']:12.0f} {report.ratio(case, who, first):8.3f}")
    return samples


def statements(word, into):
    """`select 1` by clients of all languages on one server, and by a thousand coroutines."""
    samples = []
    scenarios = (("select 1, 1 on 1", "statements", 1, 1), ("select 1, 8 on 8", "statements", 8, 8),
                 ("select 1, 32 on 8", "statements", 32, 8), ("1,000 coroutines on 20", "coroutines", 1_000, 20))  # fmt: skip
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as scratch:
        database = server.Server(scratch)
        try:
            url = lambda name: f"jdbc:postgresql://127.0.0.1:{database.port}/postgres?user=lido" if name == "HikariCP" else f"postgresql://lido@127.0.0.1:{database.port}/postgres"
            for does in ("statements", "coroutines"):
                built = [*build_peers.peers("lido", does, into), *(each for each in build_peers.peers(word, does, into) if each[0] != OWN)]
                if does == "statements" and built[0][0] == OWN:
                    built.insert(1, ("a connection a thread", "none", [built[0][2][0], "a connection a thread"]))
                contenders = [Contender(*each, url(each[0])) for each in built]
                for title, _, threads, slots in (each for each in scenarios if each[1] == does):
                    played = []
                    for round in range(-1, ROUNDS):  # the first is to warm up
                        for i in range(len(contenders)):
                            each = contenders[(i + round) % len(contenders)]
                            said = each.ask((threads, threads if each.kind == "none" else slots, 0, 0, 0, LONG if round < 0 else SECOND), 0)
                            if said.get("cycles") and round >= 0:
                                done, waits = sum(said["cycles"]), sorted(said["waits"])
                                played.append({"case": title, "who": each.name, "kind": each.kind, "round": round, "statements": done / said["seconds"],
                                               "processor_us": said["processor"] * 1e6 / done, "fairness": fairness(said["cycles"]), "p50_us": percentile(waits, 0.5), "p99_us": percentile(waits, 0.99)})  # fmt: skip
                    cases = {case["figure"]: case for case in report.cases_of(played)}
                    print(f"\n{title}\n{'':32}{'a second':>10}{'(least .. most)':>20}{'/ lido':>9}{'cpu us':>9}{'fairness':>10}{'wait p50 us':>13}{'p99':>10}")
                    for who, figure in sorted(cases["statements"]["figures"].items(), key=lambda each: -each[1]["median"]):
                        more = [cases[each]["figures"][who]["median"] for each in ("processor time", "fairness", "p50 wait", "p99 wait")]
                        print(f"{who:32}{figure['median']:10.0f}{figure['least']:10.0f} ..{figure['most']:7.0f}{report.ratio(cases['statements'], who, OWN):9.2f}"
                              f"{more[0]:9.1f}{more[1]:10.3f}{more[2]:13.1f}{more[3]:10.1f}", flush=True)  # fmt: skip
                    samples += played
                for each in contenders:
                    each.end()
                samples += loads([each for each in built if each[1] != "none"], does, url)
        finally:
            database.stop()
    return samples


def loads(built, does, url):
    """100 callers at once, each of whom wants a connection for a statement of 0.1 s, once; on 60 connections."""
    samples = []
    for title, more in (("warm", {}), ("cold", {"BENCHMARK_COLD": "1"})):
        name = f"the load of 100{', coroutines' * (does == 'coroutines')}, {title}"
        contenders = [Contender(*each, url(each[0]), BENCHMARK_STATEMENT="select 1 from pg_sleep(0.1)", **more) for each in built]
        # Where all is open, 60 are answered after 0.1 s and 40 after 0.2.
        played = [{"case": name, "who": "the ideal", "kind": "none", "round": round, "mean_answer_ms": 140, "longest_answer_ms": 200} for round in range(ROUNDS)]
        for round in range(-1, ROUNDS):  # the first is to warm up
            for each in contenders:
                said = each.ask((100, 60, 0, 0, 0, 0.05), 0)
                answers = [after * 1000 for after in said.get("ended", [])] or [after / 1000 for after in said.get("ended_us", [])]
                if round >= 0 and said.get("cycles") == [1] * 100:
                    played.append({"case": name, "who": each.name, "kind": each.kind, "round": round, "mean_answer_ms": statistics.fmean(answers), "longest_answer_ms": max(answers)})  # fmt: skip
        for each in contenders:
            each.end()
        mean, longest = (case for case in report.cases_of(played))
        print(f"\n{name}\n{'':32}{'mean answer, ms':>16}{'(least .. most)':>20}{'/ ideal':>9}{'longest, ms':>13}")
        for who, figure in sorted(mean["figures"].items(), key=lambda each: each[1]["median"]):
            print(f"{who:32}{figure['median']:16.1f}{figure['least']:10.1f} ..{figure['most']:7.1f}{figure['median'] / 140:9.2f}{longest['figures'][who]['median']:13.1f}", flush=True)
        samples += played
    return samples


def main(program):
    # Sleeps of 50 us are to last 50 us, and not 50 more; the contenders inherit it.
    ctypes.CDLL(None).prctl(29, ctypes.c_ulong(1), 0, 0, 0)
    ask = lambda what: subprocess.run([program, what], check=True, text=True, stdout=subprocess.PIPE).stdout
    steps = float(ask("--steps"))  # calibrated once, for all, and before there is a load
    contenders = [Contender(*line.split("\t"), [program, line.split("\t")[0]]) for line in ask("--list").splitlines()]
    if option("--peers"):
        others = build_peers.peers(option("--peers"), "pool", pathlib.Path(program).parent / "peers")
        contenders += [Contender(*each) for each in others]
        for each in contenders:  # what compiles as it runs has done so then
            for scenario in ((1, 10, 0, 0, 0, 0.3), (8, 2, 0, 50, 0, 0.3)):
                if each.takes_part(scenario):
                    each.ask(scenario, steps)
    here = report.machine()
    print(f"{here['cores']} cores, {here['compiler']}, {ROUNDS} interleaved rounds, medians")
    samples = []
    for scenario in SCENARIOS:
        played = play(scenario, contenders, steps)
        show(played, title(scenario))
        samples += played
    samples += compare(program)
    if option("--peers"):
        for each in contenders:
            each.end()
        samples += statements(option("--peers"), pathlib.Path(program).parent / "peers")
    pathlib.Path(option("--samples") or "/dev/null").write_text("".join(json.dumps(each) + "\n" for each in samples))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__.strip())
    main(sys.argv[1])
