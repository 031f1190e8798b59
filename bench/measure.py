# SPDX-License-Identifier: MIT
"""What the benchmarks share: rounds that are repeated when the machine was disturbed, medians with an interval, and a
table of figures with their bounds. A benchmark ends with 1 when a bound is missed, and with 77 when it cannot measure.

All bounds hold for medians over interleaved rounds within one run. Other load on the machine makes single rounds
worthless, and the kernel tells: workers that waited for a CPU, or a hypervisor that took one away.
"""
import os
import random
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../tests/integration"))
import harness  # noqa: E402

SKIPPED = 77
RESAMPLES = 2000


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def skip_unless_optimised(daemon):
    """Figures of a build that a sanitizer watches say nothing."""
    environment = daemon.run(workload="nop", count=1)["environment"]
    if environment["sanitizer"]:
        skip("this build is watched by the %s sanitizer" % environment["sanitizer"])
    return environment


def pss(pids, *kinds):
    """Proportional set size of the processes in bytes: all of it, or of some kinds (Anon, File, Shmem)."""
    wanted = tuple("Pss_%s:" % kind for kind in kinds) or ("Pss:",)
    total = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
            total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith(wanted))
    return total


def machine(*args):
    """What the machine gives at this moment, see machine.c."""
    return float(subprocess.run([os.environ["CONCD_BENCH_MACHINE"], *map(str, args)], check=True, capture_output=True,
                                text=True).stdout)


def bare(workers, wall_s):
    """A result as Rounds wants it, of something that concd did not run."""
    return {"wall_s": wall_s, "workers": workers, "cores_busy": workers, "workers_detail": [{"run_queue_wait_s": 0}],
            "environment": {"steal_s": 0}}


def disturbed(result):
    """Did others take a part of the CPUs during this run? Returns that part, or 0 when it is small."""
    capacity = result["wall_s"] * max(result["workers"], 1)
    taken = sum(w["run_queue_wait_s"] for w in result["workers_detail"]) + result["environment"]["steal_s"]
    idle = 1 - result["cores_busy"] / max(result["workers"], 1)
    return max(taken / capacity if taken > 0.05 * capacity else 0, idle if idle > 0.1 else 0)


class Rounds:
    """Runs every variant once a round, in alternating order, until `wanted` rounds were quiet, or `limit` were made or
    `patience` seconds went by. Then .samples has a list of results for each variant: those of the quiet rounds, and where
    too few were quiet, of the ones that were disturbed least. What is chosen is never the figure itself."""

    def __init__(self, variants, wanted=11, limit=33, patience=90.0):
        rounds = []
        began = time.monotonic()
        while len(rounds) < limit and sum(not loss for loss, _ in rounds) < wanted and (
                len(rounds) < wanted or time.monotonic() - began < patience):
            order = list(variants)
            if len(rounds) % 2:
                order.reverse()
            results = {name: variants[name]() for name in order}
            rounds.append((max(disturbed(r) for r in results.values()), results))
        self.made = len(rounds)
        rounds.sort(key=lambda r: r[0])
        chosen = rounds[:wanted]
        self.count = len(chosen)
        self.quiet = sum(not loss for loss, _ in chosen)
        self.worst = chosen[-1][0]
        self.samples = {name: [r[name] for _, r in chosen] for name in variants}

    def note(self):
        if self.made == self.count and self.quiet == self.count:
            return "%d rounds, none disturbed" % self.count
        if self.quiet == self.count:
            return "%d rounds; %d more were repeated because others used the CPUs" % (self.count, self.made - self.count)
        return "the %d least disturbed of %d rounds: others took up to %.0f %% of the CPUs in %d of them" % (
            self.count, self.made, self.worst * 100, self.count - self.quiet)


def ratio_of_medians(a, b, seed=1):
    """median(a) / median(b) with its 95 % bootstrap interval: (ratio, low, high)."""
    draw = random.Random(seed)
    ratios = sorted(statistics.median(draw.choices(a, k=len(a))) / statistics.median(draw.choices(b, k=len(b)))
                    for _ in range(RESAMPLES))
    return (statistics.median(a) / statistics.median(b), ratios[int(0.025 * RESAMPLES)], ratios[int(0.975 * RESAMPLES)])


class Table:
    def __init__(self, title):
        self.rows = []
        self.notes = []
        self.missed = False
        self.title = title

    def add(self, figure, bound, measured, holds):
        """holds None: a figure without a bound."""
        self.rows.append((figure, bound, measured, {True: "holds", False: "MISSED", None: ""}[holds]))
        self.missed = self.missed or holds is False

    def note(self, text):
        self.notes.append(text)

    def finish(self):
        rows = [("FIGURE", "BOUND", "MEASURED", "VERDICT")] + self.rows
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        print(self.title)
        for row in rows:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        for note in self.notes:
            print("  " + note)
        sys.exit(1 if self.missed else 0)
