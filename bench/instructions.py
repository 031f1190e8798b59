# SPDX-License-Identifier: MIT
"""Instructions that a nop task takes in the task loop: a figure that other load on the machine does not move.

It comes from the CPU's counter by perf, or from callgrind where there is none.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import measure

FEW, MANY = 1_000_000, 3_000_000
BOUND = 52
TASK_LOOP = os.environ["CONCD_BENCH_TASK_LOOP"]


def run(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", errors="replace", env={**os.environ, "LC_ALL": "C"}, check=False)


def by_perf(count):
    done = run(["perf", "stat", "-x", ",", "-e", "instructions:u", TASK_LOOP, str(count)])
    found = re.search(r"^(\d+),", done.stderr, re.M)
    return int(found[1]) if found and done.returncode == 0 else None


def by_callgrind(count):
    with tempfile.TemporaryDirectory(prefix="concd-bench-") as folder:
        done = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=%s/out" % folder, TASK_LOOP, str(count)])
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found[1]) if found and done.returncode == 0 else None


def counter():
    """(name, function) of the first counter that works here."""
    for tool, function in (("perf", by_perf), ("valgrind", by_callgrind)):
        if shutil.which(tool) and function(1000):
            return tool, function
    return None, None


def main():
    if os.environ.get("CONCD_BENCH_UNOPTIMISED") == "yes":
        measure.skip("this build is not optimised, or is watched by a sanitizer")
    tool, count = counter()
    if not tool:
        # Not even the tasks come out right?
        if run([TASK_LOOP, "1000"]).returncode != 0:
            sys.exit("the task loop does not do its tasks")
        measure.skip("neither perf nor valgrind counts instructions here")
    a_task = (count(MANY) - count(FEW)) / (MANY - FEW)
    table = measure.Table("task loop, nop, default chunk")
    table.add("instructions a task", "≤ %d" % BOUND, "%.1f (%s)" % (a_task, tool), a_task <= BOUND)
    table.finish()


if __name__ == "__main__":
    main()
