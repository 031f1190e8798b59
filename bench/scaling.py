# SPDX-License-Identifier: MIT
"""calc on all P cores: how near the process pool comes to a P-th of the sequential time."""
import statistics

import measure
from measure import harness

COUNT = 1000
BOUND = 1.05


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
    for mode, results in rounds.samples.items():
        table.add("%s: wall" % mode, "", "%.0f ms, %.2f cores busy" % (
            statistics.median(r["wall_s"] for r in results) * 1e3,
            statistics.median(r["cores_busy"] for r in results)), None)
    table.note(rounds.note())
    table.finish()


if __name__ == "__main__":
    main()
