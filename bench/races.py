# SPDX-License-Identifier: MIT
"""What races promise: that the bug is seen without a guard and not with one, how often and how fast a weak outcome is
seen, and what measuring costs. Figures with a bound on time hold for a machine with two CPUs of its own."""
import statistics
import subprocess
import time

import measure
from measure import harness

MODES = ("process", "thread")
FIXED = ({"guard": "semaphore", "permits": 1}, {"guard": "mutex"}, {"guard": "spin"}, {"guard": "ticket"})
STRONG = ("mp", "lb", "s", "2+2w")  # on x86
MATRIX_S = 30


def race(daemon, scenario, **parameters):
    return daemon.call("Race", scenario=scenario, **parameters)["race"]


def share(r):
    return r["observation"]["positive"] / r["done"]


def outcomes(daemon, table):
    for mode in MODES:
        r = race(daemon, "counter", guard="none", mode=mode)
        table.add("counter, no guard, %s: the bug is seen" % mode, "≥ 50 %", "%.1f %%" % (100 * share(r)),
                  share(r) >= 0.5)
        seen = [race(daemon, "counter", mode=mode, trials=10**4, **g)["observation"]["positive"] for g in FIXED]
        table.add("counter × 10⁴, semaphore 1, mutex, spin, ticket, %s" % mode, "0", str(sum(seen)), sum(seen) == 0)
    entries = daemon.call("Describe", kind="scenario", name="lost-update")["entries"][0]["outcomes"]
    fixing = next(o for o in entries if o["witness"])["forbidden_by"]
    for guard in fixing:
        mode = "thread" if guard == "gil" else "process"
        r = race(daemon, "lost-update", guard=guard, mode=mode, trials=10**6, widen_ns=0)
        table.add("lost-update × 10⁶ under %s" % guard, "0", "%d" % r["observation"]["positive"],
                  r["observation"]["positive"] == 0)


def litmus(daemon, table):
    runs = [race(daemon, "sb", trials=10**6) for _ in range(5)]
    rate, weak = (statistics.median(v) for v in ([r["trials_per_s"] for r in runs], [share(r) for r in runs]))
    table.add("sb: trials a second", "≥ 1 M", "%.2f M" % (rate / 1e6), rate >= 1e6)
    table.add("sb: witness", "≥ 20 %", "%.1f %%" % (100 * weak), weak >= 0.2)
    for shape in ("sb-fence",) + STRONG:
        r = race(daemon, shape, trials=10**7)
        table.add("%s × 10⁷: weak outcome" % shape, "0", str(r["observation"]["positive"]),
                  r["observation"]["positive"] == 0)


def cost(daemon, table):
    def step(guard, **parameters):
        return race(daemon, "lost-update", guard=guard, hold="step", params={"steps": "1000"}, trials=200,
                    **parameters)["ns_per_step"]

    def compare(figure, bound, a, b):
        rounds = [(step(**a), step(**b)) for _ in range(11)]
        ratio, low, high = measure.ratio_of_medians([x for x, _ in rounds], [y for _, y in rounds])
        table.add(figure, "≤ %g" % bound, "%.3f (%.3f … %.3f)" % (ratio, low, high), ratio <= bound)

    compare("a step under a mutex: measured ÷ not", 1.15, {"guard": "mutex"}, {"guard": "mutex", "measure": False})
    # A loop of nothing but the guard: what measuring costs at most.
    rounds = [(step("mutex", widen_ns=0), step("mutex", widen_ns=0, measure=False)) for _ in range(11)]
    table.add("the same, with nothing in it", "", "%.3f (%.3f … %.3f)" % measure.ratio_of_medians(
        [x for x, _ in rounds], [y for _, y in rounds]), None)
    bare = {"measure": False, "widen_ns": 0}
    compare("kill-proof semaphore ÷ the raw one", 2.2, {"guard": "semaphore", **bare}, {"guard": "raw-semaphore", **bare})


def matrix(daemon, table):
    began = time.monotonic()
    subprocess.run([harness.CONCCTL, "race", "--matrix", "--socket", daemon.path], check=True, capture_output=True)
    took = time.monotonic() - began
    table.add("counter: all guards, both modes", "≤ %d s" % MATRIX_S, "%.1f s" % took, took <= MATRIX_S)


def main():
    table = measure.Table("races")
    with harness.Daemon(defaults=False) as daemon:
        environment = measure.skip_unless_optimised(daemon)
        if len(environment["cpus"]) < 2:
            measure.skip("nothing races on one CPU")
        outcomes(daemon, table)
        litmus(daemon, table)
        cost(daemon, table)
        matrix(daemon, table)
    table.finish()


if __name__ == "__main__":
    main()
