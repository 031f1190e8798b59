# SPDX-License-Identifier: MIT
"""What a daemon costs that does nothing: memory of supervisor, thread host and 8 process workers, and CPU time."""
import os
import time

import measure
from measure import harness

WORKERS = 8
BOUND_PSS = 12 << 20
IDLE_S = 5.0
MIB = 1 << 20


def cpu(pids):
    """CPU time of all threads in ns, the kernel's ticks of all processes, and how often any of them left the CPU."""
    ran = ticks = switches = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, tid), encoding="ascii") as f:
                ran += int(f.read().split()[0])
            with open("/proc/%d/task/%s/status" % (pid, tid), encoding="ascii") as f:
                switches += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
    return ran, ticks, switches


def main():
    with harness.Daemon("pool.processes=%d" % WORKERS, "pool.threads=%d" % WORKERS, defaults=False) as daemon:
        measure.skip_unless_optimised(daemon)
        daemon.run(workload="nop", count=1000, workers=WORKERS)
        daemon.run(workload="nop", mode="thread", count=1000, workers=WORKERS)
        time.sleep(1)
        pids = [daemon.process.pid, *daemon.descendants()]
        kinds = [w["kind"] for w in daemon.call("Status")["workers"]]
        memory = measure.pss(pids)
        told = daemon.call("Status")["memory"]["pss_bytes"]
        time.sleep(0.5)
        before = cpu(pids)
        time.sleep(IDLE_S)
        after = cpu(pids)
    ran, ticks, switches = (a - b for a, b in zip(after, before))
    table = measure.Table("%d idle process workers, thread host with %d threads, supervisor" % (
        kinds.count("process"), kinds.count("thread")))
    table.add("PSS of %d processes" % len(pids), "≤ %d MiB" % (BOUND_PSS // MIB), "%.2f MiB" % (memory / MIB),
              memory <= BOUND_PSS and len(pids) == WORKERS + 2)
    table.add("PSS as Status tells it", "within 5 %", "%.2f MiB" % (told / MIB), abs(told / memory - 1) <= 0.05)
    table.add("CPU in %g s" % IDLE_S, "0", "%d ticks, %d ns" % (ticks, ran), ticks == 0 and ran == 0)
    table.add("context switches", "0", str(switches), switches == 0)
    table.finish()


if __name__ == "__main__":
    main()
