# SPDX-License-Identifier: MIT
"""What concd itself costs a task: nop at the default chunk, in process and thread mode, and 10^9 of them in constant
memory."""
import statistics
import time

import measure
from measure import harness

COUNT = 20_000_000  # short and often: a shared machine's clock moves within a second
MANY = 1_000_000_000
BOUND_NS = 5.0
GHZ = 3.0  # the clock at which that is meant
BOUND_APART = 0.03
BOUND_GROWTH = 256 * 1024
KIB = 1024


def cpu_ns(result):
    return (result["user_s"] + result["system_s"]) * 1e9 / result["done"]


def run_and_clock(daemon, mode):
    """A run, and how many cycles of the clock a task took: the clock is measured before and after."""
    before = measure.machine("adds")
    result = daemon.run(workload="nop", mode=mode, count=COUNT)
    result["cycles"] = cpu_ns(result) / statistics.mean((before, measure.machine("adds")))
    return result


def many_in_constant_memory(daemon, mode):
    """10^9 tasks while another client looks at the memory: (before, greatest during, after, result), in bytes. Of the
    files that are mapped nothing is counted: how much of libc is ours depends on who else uses it."""
    def memory():
        daemon.call("Status")
        return measure.pss([daemon.process.pid, *daemon.descendants()], "Anon", "Shmem")

    daemon.run(workload="nop", mode=mode, count=MANY // 100)  # touches every line of the ledger
    before, during = memory(), []
    client = daemon.connect()
    client.send("Run", more=True, workload="nop", mode=mode, count=MANY)
    job = client.receive()[0]["id"]
    while not ended(daemon, job):
        during.append(memory())
        time.sleep(0.1)
    continues = True
    while continues:
        reply, continues = client.receive()
    return before, max(during), memory(), reply["result"]


def ended(daemon, job):
    return next(j for j in daemon.call("Jobs")["jobs"] if j["id"] == job)["state"] not in ("queued", "running")


def main():
    with harness.Daemon(defaults=False) as daemon:
        measure.skip_unless_optimised(daemon)
        rounds = measure.Rounds({mode: lambda mode=mode: run_and_clock(daemon, mode)
                                 for mode in ("process", "thread")}, wanted=101, limit=202)
        memory = {mode: many_in_constant_memory(daemon, mode) for mode in ("process", "thread")}
    table = measure.Table("nop × %d, default chunk" % COUNT)
    costs = {mode: [r["cycles"] for r in results] for mode, results in rounds.samples.items()}
    for mode, cycles in costs.items():
        median = statistics.median(cycles)
        ns = [cpu_ns(r) for r in rounds.samples[mode]]
        table.add("%s: CPU a task at %g GHz" % (mode, GHZ), "≤ %g ns" % BOUND_NS, "%.2f ns (%.1f cycles)" % (
            median / GHZ, median), median / GHZ <= BOUND_NS)
        table.add("%s: CPU a task as the clock was" % mode, "", "%.2f ns (%.2f … %.2f)" % (
            statistics.median(ns), min(ns), max(ns)), None)
    ratio, low, high = measure.ratio_of_medians(costs["process"], costs["thread"])
    table.add("process ÷ thread", "1 ± %.2f" % BOUND_APART, "%.3f (%.3f … %.3f)" % (ratio, low, high),
              abs(ratio - 1) <= BOUND_APART)
    for mode, (before, during, after, result) in memory.items():
        growth = max(during, after) - before
        table.add("%s: memory of 10^9 tasks" % mode, "+ %d KiB" % (BOUND_GROWTH / KIB),
                  "%d, %d, %d KiB before, during, after" % (before / KIB, during / KIB, after / KIB),
                  growth <= BOUND_GROWTH and result["verified"] == MANY)
    table.note(rounds.note())
    table.finish()


if __name__ == "__main__":
    main()
