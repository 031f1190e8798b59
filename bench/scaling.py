# SPDX-License-Identifier: MIT
"""calc on all P cores: how near the process pool comes to a P-th of the sequential time. What the machine itself has to
give is measured beside, with bare processes: two CPUs of a shared machine may be one core, or none at times."""
import statistics

import measure
from measure import harness

COUNT = 1000
BOUND = 1.05


def at_work(result):
    """The wall time without that in which the workers were ready to run and others had the CPU."""
    return result["wall_s"] - statistics.mean(w["run_queue_wait_s"] for w in result["workers_detail"])


def main():
    with harness.Daemon(defaults=False) as daemon:
        measure.skip_unless_optimised(daemon)
        cores = daemon.run(workload="nop", count=1)["workers"]
        variants = {mode: lambda mode=mode: daemon.run(mode=mode, count=COUNT) for mode in ("sequential", "process")}
        variants["bare, 1"] = lambda: measure.bare(1, measure.machine("calc", 1, COUNT))
        variants["bare, all"] = lambda: measure.bare(cores, measure.machine("calc", cores, COUNT))
        rounds = measure.Rounds(variants)
    table = measure.Table("calc × %d on %d cores" % (COUNT, cores))
    sequential = [r["wall_s"] for r in rounds.samples["sequential"]]
    wall = [r["wall_s"] * cores for r in rounds.samples["process"]]
    share = statistics.median(w / s for w, s in zip(wall, sequential))
    _, low, high = measure.ratio_of_medians(wall, sequential)
    limit = statistics.median(a["wall_s"] * cores / o["wall_s"]
                              for a, o in zip(rounds.samples["bare, all"], rounds.samples["bare, 1"]))
    table.add("process: wall ÷ (sequential ÷ %d)" % cores, "", "%.3f (%.3f … %.3f)" % (share, low, high), None)
    table.add("%d bare processes: the same" % cores, "", "%.3f" % limit, None)
    table.add("process ÷ what the machine can do", "≤ %.2f" % BOUND, "%.3f" % (share / max(limit, 1)),
              share / max(limit, 1) <= BOUND)
    table.add("the same, less the wait for a CPU", "", "%.3f" % statistics.median(
        at_work(p) * cores / at_work(s) for p, s in zip(rounds.samples["process"], rounds.samples["sequential"])), None)
    for mode, results in rounds.samples.items():
        table.add("%s: wall" % mode, "", "%.0f ms, %.2f cores busy" % (
            statistics.median(r["wall_s"] for r in results) * 1e3,
            statistics.median(r["cores_busy"] for r in results)), None)
    table.note(rounds.note())
    table.finish()


if __name__ == "__main__":
    main()
