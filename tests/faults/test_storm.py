#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Some seconds of storm, and that its judges see what they are there for. scripts/soak makes it last longer.

CONCD_STORM_SECONDS: how long each storm is. CONCD_STORM_SEED: repeats one (what happens also depends on the machine).
"""
import copy
import os
import random
import signal
import subprocess
import sys
import time

from harness import CONCD, PATIENCE, Case, main, mentioning, until
from storm import SETTINGS, Storm
from storm_kinds import CHILDREN, KINDS

SECONDS = float(os.environ.get("CONCD_STORM_SECONDS", "2"))
SEED = int(os.environ.get("CONCD_STORM_SEED") or random.SystemRandom().randrange(10**6))


class Weather(Case):
    def storm(self, victims, kinds, **options):
        seed = SEED + sum(map(ord, self.id()))
        with Storm(seed, kinds=kinds, **{"scale": 0.1, "rate": 100, **options}) as storm:
            storm.run(SECONDS, victims)
        print("# seed %d: %d jobs, kills %s" % (seed, storm.tally.total("jobs"), dict(storm.tally.kills)), flush=True)
        self.assertEqual([], storm.tally.violations[:10], "the last of the log:\n" + (storm.kept_log or "")[-3000:])
        self.assertGreater(storm.tally.total("jobs"), 0)
        return storm.tally

    def test_process_workers_are_killed(self):
        tally = self.storm(["worker"], [k for k in KINDS if "worker" in k.kills and k.kills is not CHILDREN],
                           supervisor_rate=0)
        self.assertEqual(0, tally.total("takeovers"))

    def test_holders_of_the_guard_are_killed(self):
        self.storm(["worker"], [k for k in KINDS if "32 processes" in k.name], supervisor_rate=0, rate=150)

    def test_the_thread_host_is_killed(self):
        self.storm(["host"], [k for k in KINDS if "host" in k.kills and "mode" in k.request], supervisor_rate=0)

    def test_supervisors_are_killed_with_all_the_others(self):
        tally = self.storm(["worker", "host", "supervisor"], KINDS, supervisor_rate=4)
        self.assertGreater(tally.counts["takeovers"], 0)

    def test_children_for_single_tasks_are_killed(self):
        self.storm(["child"], [k for k in KINDS if "child" in k.kills], scale=0.5, supervisor_rate=1)


class Judges(Case):
    """An answer that is wrong in anything is seen, for every kind of job."""

    def wrong_ones(self, reply):
        """The reply with one thing changed."""
        yield "state", {**reply, "state": "cancelled"}
        yield "result", {**reply, "result": None, "race": None, "compare": None}
        if reply["compare"]:
            yield from self.wrong_comparisons(reply)
        else:
            yield from self.wrong_races(reply) if reply["race"] else self.wrong_runs(reply)

    def wrong_comparisons(self, reply):
        for key in ("rounds", "partial"):
            yield key, {**reply, "compare": {**reply["compare"], key: reply["compare"][key] + 1}}
        for i, v in enumerate(reply["compare"]["variants"]):
            workers = copy.deepcopy(v["workers_detail"])
            workers[-1]["tasks"] -= 1
            flipped = "0x%016x" % (int(v["checksum"], 16) ^ 1)
            order = [v["order"][0] + 1, *v["order"][1:]]
            for changed in ({"done": v["done"] + 1}, {"verified": v["verified"] - 1}, {"failed": 1}, {"wrong": 1},
                            {"checksum": flipped}, {"tasks": v["tasks"][1:]},
                            {"tasks": [*v["tasks"][1:], v["tasks"][0] + 1]},
                            {"times_s": v["times_s"][1:]}, {"order": order}, {"rounds": v["rounds"] - 1},
                            {"workers_detail": workers}, {"repeated": 1},
                            {"evidence_rounds": v["evidence_rounds"] - 1}):
                other = copy.deepcopy(reply)
                other["compare"]["variants"][i].update(changed)
                yield "%s of %s" % (next(iter(changed)), v["name"]), other

    def wrong_races(self, reply):
        race = reply["race"]
        yield "done", {**reply, "race": {**race, "done": race["done"] - 1}}
        yield "unknown", {**reply, "race": {**race, "done": race["done"] + 1, "unknown": 1}}
        for i in range(len(race["outcomes"])):
            outcomes = copy.deepcopy(race["outcomes"])
            outcomes[i]["count"] += 1
            yield "an outcome", {**reply, "race": {**race, "outcomes": outcomes}}
            if outcomes[i]["expected"] == "forbidden":
                # One that came to an outcome that is allowed.
                next(o for o in outcomes if o["expected"] != "forbidden" and o["count"])["count"] -= 1
                yield "a forbidden outcome", {**reply, "race": {**race, "outcomes": outcomes}}

    def wrong_runs(self, reply):
        result = reply["result"]
        for key in ("done", "verified", "failed"):
            yield key, {**reply, "result": {**result, key: result[key] + 1}}
        flipped = "0x%016x" % (int(result["checksum"], 16) ^ 1 << 20)
        yield "checksum", {**reply, "result": {**result, "checksum": flipped}}
        workers = copy.deepcopy(result["workers_detail"])
        workers[0]["tasks"] += 1
        yield "workers", {**reply, "result": {**result, "workers_detail": workers}}
        yield "failures", {**reply, "result": {**result, "failures": [
            {"index": 3, "reason": "signal", "value": 9, "worker": 0}]}}

    def test_they_see_what_is_wrong(self):
        d = self.start(*SETTINGS)
        for kind in KINDS:
            parameters = kind.parameters(0.001)
            if not kind.by_count:
                parameters["duration_ns"] = 10**7
            reply = d.call(kind.method, **parameters)
            self.assertEqual([], kind.problems(reply, parameters), kind.name)
            for what, other in self.wrong_ones(reply):
                self.assertNotEqual([], kind.problems(other, parameters), (kind.name, what))


class Soak(Case):
    """The program around it."""

    def soak(self, *arguments, interrupt_after=None, by=signal.SIGINT, **environment):
        """(exit code, stdout, stderr); in a folder for temporary files that must be empty afterwards."""
        folder, shm = self.folder(), set(os.listdir("/dev/shm"))
        soak = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "soak.py"), *arguments],
                                env={**os.environ, "TMPDIR": folder, **environment}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if interrupt_after is not None:
            time.sleep(interrupt_after)
            soak.send_signal(by)
        out, err = soak.communicate(timeout=4 * PATIENCE)
        until(lambda: not os.listdir(folder), "no temporary file is left")
        left = {n for n in set(os.listdir("/dev/shm")) - shm if ".t%d-" % soak.pid in n}
        self.assertEqual(set(), left)
        self.assertEqual(set(), mentioning("t%d-1" % soak.pid))
        return soak.returncode, out, err

    def test_it_tells_what_it_did(self):
        code, out, err = self.soak("--minutes=0.02", "--scale=0.1", "--seed=77", "--only=nop", "--markdown")
        self.assertEqual(0, code, err)
        for text in ("| seed | 77 |", "| process workers | ", "**Violations**", "| what was left at the end | 0 |"):
            self.assertIn(text, out)

    def test_it_can_be_interrupted(self):
        code, out, err = self.soak("--minutes=9", interrupt_after=1.5)
        self.assertEqual(130, code, err)
        self.assertIn("then interrupted", out)

    def test_nothing_is_left_of_one_that_is_killed(self):
        self.assertEqual(-signal.SIGKILL, self.soak("--minutes=9", interrupt_after=1.5, by=signal.SIGKILL)[0])

    def test_it_fails_when_something_is_wrong(self):
        """With a daemon whose log says what nobody expects."""
        folder = self.folder()
        odd = folder + "/odd"
        with open(odd, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho 2026-01-01T00:00:00Z WARNING concd: something odd >&2\nexec %s \"$@\"\n" % CONCD)
        os.chmod(odd, 0o755)
        code, out, err = self.soak("--minutes=0.01", "--scale=0.1", "--seed=5", "--keep=" + folder, CONCD_BIN=odd)
        self.assertEqual(1, code, err)
        kept, = (n for n in os.listdir(folder) if n.startswith("soak-5-"))
        self.assertIn(folder + "/" + kept, err)
        self.assertEqual({"log", "report", "violations"}, set(os.listdir(folder + "/" + kept)))
        with open(folder + "/" + kept + "/log", encoding="utf-8") as f:
            self.assertIn("something odd", f.read())


if __name__ == "__main__":
    main()
