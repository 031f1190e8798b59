# SPDX-License-Identifier: MIT
"""calc on all P cores: how near the process pool comes to a P-th of the sequential time."""
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
        rounds = measure.Rounds({mode: lambda mode=mode: daemon.run(mode=mode, count=COUNT)
                                 for mode in ("sequential", "process")})
    table = measure.Table("calc × %d on %d cores" % (COUNT, cores))
    sequential = [r["wall_s"] for r in rounds.samples["sequential"]]
    wall = [r["wall_s"] * cores for r in rounds.samples["process"]]
    share = statistics.median(w / s for w, s in zip(wall, sequential))
    _, low, high = measure.ratio_of_medians(wall, sequential)
    table.add("process: wall ÷ (sequential ÷ %d)" % cores, "≤ %.2f" % BOUND, "%.3f (%.3f … %.3f)" % (share, low, high),
              share <= BOUND)
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
