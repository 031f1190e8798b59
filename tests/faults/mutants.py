#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mutants.py FOLDER: holds the fault campaign to its teeth. Each defect that mutate builds into the permits must make
just that test fail that is there to find it. FOLDER has the programs. Speaks TAP.
"""
import os
import re
import subprocess
import sys

# Defect, program, group of its tests to run, the test that must fail, and with which words.
MUTANTS = (
    ("no-rec-mark", "steps_permits", "recovery_killed", "recovery_killed", "sleeps for ever beside 1 free"),
    ("no-ambiguous-post", "steps_permits", "killed", "killed_in_a_pair", "0 tokens for 1 free cells"),
    ("no-relseq-check", "steps_permits", "stopped", "stopped_in_a_pair", "sleeps for ever beside 1 free"),
    ("late-clip", "steps_permits", "recovery_stopped", "stopped_in_recovery", "0 tokens for 1 free cells"),
    ("held-flag", "steps_permits", "killed", "killed_in_release_with_a_sleeper", "the sleeper was not woken"),
    ("no-rec-mark", "storm_permits", "one_permit", "storm", "sleep for ever beside|tokens are left"),
    ("no-ambiguous-post", "storm_permits", "one_permit", "storm", "sleep for ever beside|tokens are left"),
    ("held-flag", "storm_permits", "one_permit", "storm", "sleep for ever beside|tokens are left"),
)
STORM_SECONDS = "60"  # at most: it ends as soon as it has found something, and that takes seconds


def main():
    if os.environ.get("CONCD_SANITIZED") == "1":
        print("1..0 # SKIP under a sanitizer only some of the instructions are tried, and a defect may hide in the others")
        return
    folder, = sys.argv[1:]
    for number, (defect, program, group, test, words) in enumerate(MUTANTS, 1):
        done = subprocess.run([os.path.join(folder, "%s-%s" % (program, defect))], text=True, stdout=subprocess.PIPE,
                              env=dict(os.environ, CK_RUN_CASE=group, CONCD_STORM_SECONDS=STORM_SECONDS), timeout=240)
        if "# SKIP" in done.stdout:
            print("ok %d - %s # SKIP the kernel lets nobody trace" % (number, defect))
            continue
        failures = re.findall(r"^not ok .*", done.stdout, re.M)
        found = [line for line in failures if ":%s:%s:" % (group, test) in line and re.search(words, line)]
        print("%s %d - %s is found by %s, %s" % (
            "ok" if found and done.returncode else "not ok", number, defect, program, test))
        for line in found[:1] or [done.stdout]:
            print("# " + line.replace("\n", "\n# "))
    print("1..%d" % len(MUTANTS))


main()
