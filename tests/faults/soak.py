#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A long storm, and the table of what it did and found. scripts/soak builds concd and calls this."""
import argparse
import os
import platform
import random
import re
import signal
import subprocess
import sys
import time
import traceback

import harness
from storm import VIOLATIONS, Storm

KILLED = (("worker", "process workers"), ("host", "thread hosts, with all their threads"),
          ("child", "children for single tasks"), ("newborn", "workers and hosts, just forked"),
          ("supervisor", "supervisors"))


def arguments():
    parser = argparse.ArgumentParser(
        prog="soak", description="Kills everything that concd is made of, at random moments, while jobs run; and "
        "checks that every answer is exact and that nothing is lost, leaked or left behind.",
        epilog="Exit code 0: no violation; 1: some, and the log is kept; 130: ended by Ctrl-C, no violation.")
    parser.add_argument("--minutes", type=float, default=20, help="how long (default: %(default)g)")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier storm (default: a random one)")
    parser.add_argument("--rate", type=float, default=150,
                        help="kills per second of the kind of worker that the job runs on (default: %(default)g)")
    parser.add_argument("--supervisors", type=float, default=1.0, metavar="RATE",
                        help="kills of the supervisor per second; 0 spares it (default: %(default)g)")
    parser.add_argument("--scale", type=float, default=1, help="length of the jobs (default: %(default)g)")
    parser.add_argument("--only", metavar="TEXT", help="only the kinds of jobs with this in their names")
    parser.add_argument("--keep", metavar="FOLDER", default=harness.TREE + "/build",
                        help="where a folder with the log is left after a violation (default: build/)")
    parser.add_argument("--markdown", action="store_true", help="print the tables as docs/RELIABILITY.md has them")
    given = parser.parse_args()
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(10**6)
    return given


# ── the machine ──

def output_of(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def source():
    """The commit, with a + when the tree differs from it."""
    commit = output_of("git", "-C", harness.TREE, "rev-parse", "--short=12", "HEAD")
    return commit and commit + ("+" if output_of("git", "-C", harness.TREE, "status", "--porcelain") else "")


def cpu_info(key):
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        found = re.findall(r"^%s\s*: (.*)$" % key, f.read(), re.M)
    return found[0] if found else "unknown"


def facts(given, storm, was_interrupted):
    environment = storm.tally.environment
    length = "%.1f min" % (storm.elapsed_s / 60)
    yield "length", length + (" of %g, then interrupted" % given.minutes if was_interrupted else "")
    yield "seed", str(given.seed)
    yield "concd", " ".join(filter(None, (environment.get("concd"), source() and "commit " + source())))
    yield "built by", ", ".join(filter(None, (environment.get("compiler"), environment.get("libc"),
                                              environment.get("sanitizer"))))
    yield "kernel", platform.system() + " " + platform.release()
    yield "CPUs", "%d × %s, %s MHz" % (os.cpu_count(), cpu_info("model name"), cpu_info("cpu MHz"))
    yield "load at the end", " ".join("%.2f" % n for n in os.getloadavg())


# ── tables: title, header, rows of text ──

def number(n):
    return f"{n:,}".replace(",", " ")


def milliseconds(values):
    """min, median, p99, max of some seconds."""
    values = sorted(values)
    picked = values[0], values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)], values[-1]
    return ["%.1f ms" % (1000 * v) for v in picked]


def tables(given, storm, was_interrupted):
    tally = storm.tally
    yield "The storm", ("", ""), list(facts(given, storm, was_interrupted))
    yield "SIGKILLs", ("who", "kills", "per second"), [
        (name, number(tally.kills[who]), "%.2f" % (tally.kills[who] / max(storm.elapsed_s, 1e-9)))
        for who, name in KILLED]
    columns = ("jobs", "tasks", "failed", "restarts", "reexecuted", "resumed", "takeovers", "interrupted", "lost")
    yield ("Jobs", ("job", "jobs", "tasks", "failed, as they must", "workers replaced", "executed again",
                    "jobs resumed", "takeovers", "interrupted", "lost in the queue"),
           [(k.name, *(number(tally.jobs[k.name][c]) for c in columns)) for k in storm.kinds
            if tally.jobs[k.name]["jobs"]] +
           [("all", *(number(tally.total(c)) for c in columns))])
    yield "Recovery", ("from the kill", "measured", "min", "median", "p99", "max"), [
        (what, number(len(values)), *milliseconds(values)) for what, values in sorted(tally.times.items())]
    yield "Also", ("what", "how often"), [(what, number(n)) for what, n in sorted(tally.counts.items())] + [
        ("own memory of the supervisor, at most", "%.1f MiB" % (max(tally.memory, default=0) / 2**20)),
        ("and at least", "%.1f MiB" % (min(tally.memory, default=0) / 2**20))]
    kinds = [kind for kind, _ in tally.violations]
    yield "Violations", ("of", "found"), [(what, number(kinds.count(kind))) for kind, what in VIOLATIONS.items()]


def as_text(title, header, rows):
    rows = ([header] if any(header) else []) + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [
        cell.ljust(w) if len(row) == 2 and not any(header) else cell.rjust(w) for cell, w in zip(row[1:], widths[1:])])
             for row in rows]
    return "\n".join([title.upper()] + ["  " + line.rstrip() for line in lines]) + "\n"


def as_markdown(title, header, rows):
    lines = ["**%s**" % title, "", "| %s |" % " | ".join(header), "|%s" % (" --- |" + " ---: |" * (len(header) - 1))]
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in rows]) + "\n"


# ── the run ──

class Progress:
    """A line on stderr now and then, and at once what is wrong."""

    def __init__(self, seconds):
        self.began = self.last = time.monotonic()
        self.seconds = seconds

    def __call__(self, text):
        now = time.monotonic()
        if not text.startswith("VIOLATION") and now - self.last < min(10, self.seconds / 10):
            return
        self.last = now
        print("%5.0f s · %s" % (now - self.began, text), file=sys.stderr, flush=True)


def interrupt(*_):
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)  # the end is clean, and not to be disturbed
    raise KeyboardInterrupt


def keep(storm, given, report):
    folder = "%s/soak-%d-%d" % (given.keep, given.seed, os.getpid())
    os.makedirs(folder)
    with open(folder + "/log", "w", encoding="utf-8") as f:
        f.write(storm.kept_log or "")
    with open(folder + "/violations", "w", encoding="utf-8") as f:
        f.writelines("%s: %s\n" % violation for violation in storm.tally.violations)
    with open(folder + "/report", "w", encoding="utf-8") as f:
        f.write(report)
    return folder


def main():
    given = arguments()
    kinds = [k for k in Storm.KINDS if not given.only or given.only in k.name]
    if not kinds:
        sys.exit("soak: no kind of job has %r in its name; there are:\n  %s" %
                 (given.only, "\n  ".join(k.name for k in Storm.KINDS)))
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, interrupt)
    print("soak: seed %d, %g minutes" % (given.seed, given.minutes), file=sys.stderr)
    was_interrupted = False
    storm = Storm(given.seed, kinds, given.rate, given.supervisors, given.scale, say=Progress(60 * given.minutes))
    try:
        with storm:
            storm.run(60 * given.minutes)
    except KeyboardInterrupt:
        was_interrupted = True
    except Exception:  # pylint: disable=broad-except
        storm.tally.violation("soak", traceback.format_exc())
    show = as_markdown if given.markdown else as_text
    report = "\n".join(show(*table) for table in tables(given, storm, was_interrupted))
    print(report, flush=True)
    if storm.tally.violations:
        for violation in storm.tally.violations[:20]:
            print("soak: %s: %s" % violation, file=sys.stderr)
        print("soak: %d violations; see %s" % (len(storm.tally.violations), keep(storm, given, report)),
              file=sys.stderr)
        return 1
    return 130 if was_interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
