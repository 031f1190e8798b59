#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compare: that every variant does its work exactly, in turns and with nobody else's between, and that what is said of
it follows from what was measured."""
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time

import harness
import test_run
from harness import CALC_SUM, Client, hex64, marks, modes

MODES = ("sequential", "process", "thread", "gil")
MS = 1_000_000
_numbers = itertools.count(1)


def new_id():
    return "%032x" % next(_numbers)


def by_name(compare):
    return {v["name"]: v for v in compare["variants"]}


class Compared(test_run.Shared):
    """One daemon for all tests of a class."""

    def compare(self, **parameters):
        reply = self.daemon.call("Compare", **parameters)
        self.assertIsNone(reply["result"])
        self.assertIsNone(reply["race"])
        self.assertIsNotNone(reply["compare"], reply)
        self.assertEqual([reply[k] for k in ("id", "state", "reason")],
                         [reply["compare"][k] for k in ("id", "state", "reason")])
        return reply["compare"]

    def begin(self, begun=lambda progress: progress["done"], **parameters):
        """One that has begun, on a connection of its own: (client, id)."""
        client, name = self.daemon.connect(), new_id()
        client.send("Compare", id=name, **parameters)

        def is_there():
            job = self.jobs().get(name)
            if not job or job["state"] == "queued":
                return False
            self.assertEqual("running", job["state"], job)
            return begun(job["progress"])
        harness.until(is_there, "the comparison is as far as that")
        return client, name

    def is_running(self, name):
        return self.jobs()[name]["state"] == "running"

    def finish(self, client):
        continues = True
        while continues:
            reply, continues = client.receive()
        client.close()
        return reply

    # What must be true of every result, whole or not.

    def sound(self, c, resumed=0):
        self.assertEqual(resumed, c["resumed"])
        self.in_turns(c)
        names = [v["name"] for v in c["variants"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn(c["reference"], names)
        for v in c["variants"]:
            with self.subTest(variant=v["name"]):
                self.figures(c, v)
        return c

    def in_turns(self, c):
        """Each round has every variant once; what is told is of complete rounds."""
        self.assertEqual({c["rounds"]}, {v["rounds"] for v in c["variants"]})
        for r in range(c["rounds"]):
            self.assertEqual(list(range(len(c["variants"]))), sorted(v["order"][r] for v in c["variants"]),
                             "round %d" % r)

    def figures(self, c, v):
        for key in ("times_s", "user_s", "system_s", "tasks", "failed_tasks", "order"):
            self.assertEqual(v["rounds"], len(v[key]), key)
        self.assertEqual(v["done"], sum(v["tasks"]))
        self.assertEqual(v["done"], v["verified"] + v["failed"])
        self.assertEqual(v["failed"], sum(v["failed_tasks"]))
        self.assertLessEqual(v["wrong"], v["failed"])
        self.assertEqual(sum(v["tasks"][-v["evidence_rounds"]:] if v["evidence_rounds"] else []),
                         sum(w["tasks"] for w in v["workers_detail"]))
        self.location(v)
        self.comparison(c, v)
        self.latency(v)

    def location(self, v):
        times = v["times_s"]
        for key, of in (("median_s", statistics.median), ("mean_s", statistics.mean), ("min_s", min), ("max_s", max)):
            if times:
                self.assertAlmostEqual(of(times), v[key], delta=1e-9 * of(times) + 1e-12, msg=key)
            else:
                self.assertIsNone(v[key], key)
        if len(times) < 2:
            self.assertIsNone(v["stddev_s"])
            self.assertIsNone(v["median_interval"])
            return
        self.assertAlmostEqual(statistics.stdev(times), v["stddev_s"], delta=1e-6 * v["mean_s"])
        interval = v["median_interval"]
        self.assertTrue(0 < interval["low"] <= v["median_s"] * (1 + 1e-9), (interval, v["median_s"]))
        self.assertGreaterEqual(interval["high"], v["median_s"] * (1 - 1e-9), interval)
        each = [t / max(k, 1) for t, k in zip(times, v["tasks"])]
        low, _, high = statistics.quantiles(each, n=4, method="inclusive")
        near = 1e-9 * max(each)  # those on a fence may fall on either side of it
        for i, t in enumerate(each):
            room = min(t - low + 1.5 * (high - low), high + 1.5 * (high - low) - t)
            if abs(room) > near:
                self.assertEqual(room < 0, i in v["outliers"], "round %d of %d, %g s" % (i, len(each), t))

    def comparison(self, c, v):
        reference = by_name(c)[c["reference"]]
        per_task = lambda of: [t / k for t, k in zip(of["times_s"], of["tasks"])]
        if v["rounds"] and all(v["tasks"]):
            self.assertAlmostEqual(statistics.median(per_task(v)), v["s_per_task"], delta=1e-6 * v["s_per_task"])
        else:
            self.assertIsNone(v["s_per_task"])
        if c["rounds"] == 0 or not all(v["tasks"]) or not all(reference["tasks"]):
            self.assertIsNone(v["speed_up"])
        else:
            due = statistics.median(per_task(reference)) / statistics.median(per_task(v))
            self.assertAlmostEqual(due, v["speed_up"], delta=1e-6 * due)
        interval = v["speed_up_interval"]
        self.assertEqual(v is reference or c["rounds"] < 2 or v["speed_up"] is None, interval is None)
        if interval:
            self.assertTrue(0 < interval["low"] <= v["speed_up"] * (1 + 1e-9), interval)
            self.assertGreaterEqual(interval["high"], v["speed_up"] * (1 - 1e-9))
        self.assertEqual(self.verdict(c, v, v is reference), v["verdict"])
        self.assertTrue(v["why"] and v["rule"])

    @staticmethod
    def verdict(c, v, is_reference):
        if c["rounds"] < 10 or v["speed_up"] is None:
            return "none"
        seen = v["times_s"][-v["evidence_rounds"]:]
        if v["evidence_rounds"] and sum(seen) < 1e-3 * len(seen):
            return "none"
        if is_reference:
            return "reference"
        if v["speed_up_interval"]["low"] > 1:
            return "faster"
        return "slower" if v["speed_up_interval"]["high"] < 1 else "unclear"

    def latency(self, v):
        bins = v["latency_bins"]
        self.assertEqual(v["latency_ns"]["samples"] if v["latency_ns"] else 0, sum(b["count"] for b in bins))
        for b in bins:
            self.assertTrue(b["from_ns"] < b["to_ns"] and b["count"] > 0, b)
        for one, next_one in zip(bins, bins[1:]):
            self.assertLessEqual(one["to_ns"], next_one["from_ns"])
        if v["latency_ns"] and v["latency_ns"]["method"] == "each" and v["restarts"] == 0:
            self.assertEqual(sum(w["tasks"] for w in v["workers_detail"]), v["latency_ns"]["samples"])

    def whole(self, c, rounds, checksums=None):
        """That of a comparison by count in which nothing went wrong. checksums: of one round, by variant."""
        self.sound(c)
        self.assertEqual(("done", None, False, rounds), tuple(c[k] for k in ("state", "reason", "partial", "rounds")))
        for v in c["variants"]:
            self.assertEqual((rounds, rounds, 0, 0, 0), tuple(
                v[k] for k in ("rounds", "evidence_rounds", "failed", "restarts", "repeated")), v["name"])
            if v["count"] is not None:
                self.assertEqual([v["count"]] * rounds, v["tasks"])
            if checksums:
                self.assertEqual(hex64(rounds * checksums[v["name"]]), v["checksum"], v["name"])
        return c


class Reasons(Compared):
    """What is plain has its reason, whatever else goes on: where the machine is busy, a rule may say so instead."""

    def rules(self, *allowed, **parameters):
        rule = {v["name"]: v["rule"] for v in self.sound(self.compare(workers=2, **parameters))["variants"]}
        for name, expected in allowed:
            self.assertIn(rule[name], (expected, "busy-machine", "steal"), rule)
        return rule

    def test_waiting_for_the_interpreter_lock(self):
        rule = self.rules(variants=modes("process", "gil"), workload="spin", params={"ns": "100000"}, count=400)
        self.assertEqual("interpreter-lock", rule["gil"])

    def test_waiting_for_input_and_output(self):
        self.rules(("sequential", "one-worker"), ("process", "io-bound"), ("thread", "io-bound"),
                   ("gil", "lock-released"), variants=modes(*MODES), workload="sleep", count=20)

    def test_the_cost_of_a_fresh_worker(self):
        self.rules(("per-task", "spawn-cost"), workload="nop", mode="process", count=300,
                   variants=[{"name": "pool"}, {"name": "per-task", "spawn": "per-task"}])

    def test_more_workers_than_cpus(self):
        self.rules(("many", "oversubscribed"), workload="spin", params={"ns": "100000"}, count=1000, mode="process",
                   cpus=[min(os.sched_getaffinity(0))],
                   variants=[{"name": "one", "workers": 1}, {"name": "many", "workers": 4}])

    def test_libc_without_its_locks(self):
        self.rules(("native", "native-libc"), workload="stdio", count=400, mode="process",
                   variants=[{"name": "threaded"}, {"name": "native", "libc": "native"}])

    def test_rounds_without_a_task(self):
        c = self.compare(variants=modes("process", "thread"), workload="sleep", params={"us": "2000000"},
                         duration_ns=30 * MS, rounds=10, warmup=0)
        for v in self.sound(c)["variants"]:
            self.assertEqual(("none", None, None), (v["verdict"], v["s_per_task"], v["speed_up"]))


class Work(Compared):
    def test_calc_in_every_mode(self):
        c = self.compare(variants=modes(*MODES), count=50, rounds=10)
        self.whole(c, 10, {name: 50 * CALC_SUM for name in MODES})
        self.assertEqual((list(MODES), "sequential", 10, 1, None, False, None), (
            [v["name"] for v in c["variants"]], *(
                c[k] for k in ("reference", "rounds_asked", "warmup_rounds", "precision", "aa", "trusted"))))
        cpus = len(os.sched_getaffinity(0))
        self.assertEqual([1, cpus, cpus, cpus], [v["workers"] for v in c["variants"]])
        for v in c["variants"]:
            self.assertEqual(("calc", {}, v["name"], "pool", "threaded", 50, None, []), tuple(
                v[k] for k in ("workload", "params", "mode", "spawn", "libc", "count", "duration_s", "spans")))
            self.assertEqual("process" if v["mode"] in ("sequential", "process") else "thread",
                             v["workers_detail"][0]["kind"])
        self.assertGreater(c["wall_s"], sum(sum(v["times_s"]) for v in c["variants"]))

    def test_the_default_number_of_rounds(self):
        c = self.whole(self.compare(variants=modes("process", "thread"), workload="nop", count=2000), 11,
                       dict.fromkeys(("process", "thread"), marks(2000)))
        self.assertEqual(11, c["rounds_asked"])

    def test_whatever_can_differ(self):
        cpus = sorted(os.sched_getaffinity(0))
        each = {"ns": "300"}
        table = (
            ("workers", [{"workers": n} for n in (1, 2, 3, 8)], [1, 2, 3, 8]),
            ("chunk", [{"chunk": n} for n in (1, 7, 500)], [1, 7, 500]),
            ("params", [{"params": {"ns": n}} for n in ("300", "900")], [each, {"ns": "900"}]),
            ("workload", [{"workload": "spin"}, {"workload": "nop"}], ["spin", "nop"]),
            ("count", [{"count": n} for n in (1, 20, 777)], [1, 20, 777]),
            ("spawn", [{"spawn": s} for s in ("pool", "per-task")], ["pool", "per-task"]),
            ("libc", [{"libc": s} for s in ("threaded", "native")], ["threaded", "native"]),
            ("cpus", [{"cpus": cpus}, {"cpus": cpus[:1]}], [cpus, cpus[:1]]),
        )
        for key, variants, due in table:
            if due[0] == due[-1]:
                continue  # one CPU
            with self.subTest(key):
                base = {"workload": "spin", "params": each, "count": 40}
                base = {k: v for k, v in base.items() if k != "params" or key != "workload"}
                c = self.whole(self.compare(variants=variants, rounds=10, **base), 10)
                self.assertEqual(due, [v[key] for v in c["variants"]])
                for v in c["variants"]:
                    self.assertEqual(hex64(10 * marks(v["count"], int(v["params"].get("ns", 0)))), v["checksum"])

    def test_variants_by_duration_are_compared_by_the_time_per_task(self):
        c = self.sound(self.compare(variants=[{"duration_ns": 20 * MS}, {"count": 500}], workload="spin", rounds=10,
                                    params={"ns": "20000"}))
        timed, counted = c["variants"]
        self.assertEqual(("done", False, None, 0.02, 500, None), (
            c["state"], c["partial"], timed["count"], timed["duration_s"], counted["count"], counted["duration_s"]))
        self.assertEqual([500] * 10, counted["tasks"])
        self.assertTrue(all(n > 0 for n in timed["tasks"]))

    def test_all_at_once(self):
        c = self.compare(variants=modes("process", "thread"), spawn="per-task", workers=0, workload="sleep",
                         params={"us": "1000"}, count=12, rounds=10)
        self.whole(c, 10, dict.fromkeys(("process", "thread"), marks(12, 1000)))
        self.assertEqual([0, 0], [v["workers"] for v in c["variants"]])

    def test_sixty_four_variants(self):
        variants = [{"name": "n%d" % i, "mode": MODES[i % 4]} for i in range(64)]
        c = self.whole(self.compare(variants=variants, workload="nop", count=10, rounds=10, warmup=0), 10,
                       {v["name"]: marks(10) for v in variants})
        self.assertEqual([v["name"] for v in variants], [v["name"] for v in c["variants"]])

    def test_names(self):
        variants = [{"mode": "thread", "workers": 2}, {"workload": "spin", "params": {"ns": "50"}}, {"chunk": 3},
                    {"name": "my own: ÷ 2", "mode": "gil"}, {"spawn": "per-task", "libc": "native", "workers": 1}]
        c = self.whole(self.compare(variants=variants, workload="nop", count=20, rounds=10), 10)
        self.assertEqual(["thread workers=2", "spin ns=50", "chunk=3", "my own: ÷ 2",
                          "spawn=per-task libc=native workers=1"], [v["name"] for v in c["variants"]])

    def test_the_number_of_workers_is_for_modes_that_have_them(self):
        c = self.whole(self.compare(variants=modes("sequential", "thread"), workers=3, workload="nop", count=99,
                                    rounds=10), 10)
        self.assertEqual([1, 3], [v["workers"] for v in c["variants"]])

    def test_one_against_itself(self):
        for variants in ([], [{"mode": "thread"}]):
            c = self.whole(self.compare(aa=True, variants=variants, workload="spin", params={"ns": "1000"}, count=200,
                                        rounds=10), 10, {"A": marks(200, 1000), "B": marks(200, 1000)})
            one, other = c["variants"]
            self.assertTrue(c["aa"])
            interval = other["speed_up_interval"]
            self.assertEqual(interval["low"] <= 1 <= interval["high"], c["trusted"])
            self.assertEqual({"thread" if variants else "process"}, {one["mode"], other["mode"]})
            self.assertEqual([], c["scaling"])

    def test_the_reference(self):
        for name in ("process", "gil"):
            c = self.whole(self.compare(variants=modes(*MODES), reference=name, workload="sleep", count=20, workers=2,
                                        rounds=10), 10)
            self.assertEqual(name, c["reference"])
            self.assertEqual((1, None, "reference"), tuple(
                by_name(c)[name][k] for k in ("speed_up", "speed_up_interval", "verdict")))

    def test_the_number_of_workers_makes_a_scaling_curve(self):
        variants = [{"mode": m, "workers": n} for m in ("process", "thread") for n in (4, 1, 2)] + [{"chunk": 5}]
        c = self.whole(self.compare(variants=variants, workload="spin", params={"ns": "1000"}, count=300, rounds=10),
                       10)
        self.assertEqual(["process", "thread"], [s["name"] for s in c["scaling"]])
        for s in c["scaling"]:
            variants = [by_name(c)["%s workers=%d" % (s["name"], n)] for n in (1, 2, 4)]
            self.assertEqual([1, 2, 4], [p["workers"] for p in s["points"]])
            for v, p in zip(variants, s["points"]):
                self.assertAlmostEqual(1 / v["s_per_task"], p["tasks_per_s"], delta=1e-6 * p["tasks_per_s"])
                self.assertAlmostEqual(variants[0]["s_per_task"] / v["s_per_task"], p["speed_up"], delta=1e-6)
                self.assertEqual(p["workers"] == 1, p["speed_up_interval"] is None)
            self.assertTrue(s["limit"])

    def test_tasks_that_fail(self):
        variants = [{"name": "good", "workload": "nop"},
                    {"name": "bad", "workload": "fail", "params": {"kind": "error", "at": "3"}},
                    {"name": "wrong", "workload": "fail", "params": {"kind": "wrong", "at": "5", "every": "10"}}]
        c = self.sound(self.compare(variants=variants, count=20, rounds=10))
        self.assertEqual(("failed", False, 10), (c["state"], c["partial"], c["rounds"]))
        self.assertIn("30 of 600 tasks failed", c["reason"])
        self.assertEqual([(200, 0, 0), (190, 10, 0), (180, 20, 20)],
                         [tuple(v[k] for k in ("verified", "failed", "wrong")) for v in c["variants"]])
        self.assertEqual(hex64(10 * marks(20)), by_name(c)["good"]["checksum"])

    def test_tasks_that_kill_their_worker(self):
        variants = [{"name": "good", "workload": "nop"},
                    {"name": "bad", "workload": "fail", "params": {"kind": "segv", "at": "3"}}]
        c = self.sound(self.compare(variants=variants, count=20, rounds=10, warmup=0))
        self.assertEqual(("failed", [0, 10], [0, 30]), (
            c["state"], [v["failed"] for v in c["variants"]], [v["restarts"] for v in c["variants"]]))

    def test_workers_that_are_killed(self):
        """Nothing is lost or counted twice, in whatever round it happens."""
        for mode, kind in (("process", "process"), ("thread", "thread-host")):
            with self.subTest(mode):
                client, name = self.begin(variants=[{"workers": 2}, {"workers": 3}], mode=mode, rounds=10,
                                       workload="spin", params={"ns": "20000"}, count=2000, warmup=0)
                kills = 0
                while kills < 8 and self.is_running(name):
                    running = [w["pid"] for w in self.daemon.call("Status")["workers"]
                               if w["kind"] == kind and w["pid"] > 0]
                    if running:
                        os.kill(running[kills % len(running)], signal.SIGKILL)
                        kills += 1
                    time.sleep(0.02)
                c = self.finish(client)["compare"]
                self.assertEqual(("done", 10), (c["state"], c["rounds"]))
                for v in c["variants"]:
                    self.assertEqual(([2000] * 10, hex64(10 * marks(2000, 20000)), 20000), (
                        v["tasks"], v["checksum"], v["verified"]))
                self.in_turns(c)
                restarts = sum(v["restarts"] for v in c["variants"])
                self.assertTrue(0 < restarts <= kills, (restarts, kills))


class Turns(Compared):
    def orders(self, **parameters):
        c = self.whole(self.compare(workload="nop", count=10, rounds=20, warmup=0, variants=modes(*MODES),
                                    **parameters), 20)
        return [v["order"] for v in c["variants"]], c["seed"]

    def test_the_seed_makes_the_order(self):
        first, seed = self.orders(seed=7)
        self.assertEqual((first, 7), (self.orders(seed=7)[0], seed))
        self.assertNotEqual(first, self.orders(seed=8)[0])
        self.assertGreater(len(set(zip(*first))), 5)  # of 24 orders, in 20 rounds
        self.assertEqual({0, 1, 2, 3}, set(first[0]), "nobody is always at the same place")

    def test_without_a_seed_one_is_drawn_and_told(self):
        order, seed = self.orders()
        other, next_seed = self.orders()
        self.assertEqual(order, self.orders(seed=seed)[0])
        self.assertEqual(other, self.orders(seed=next_seed)[0])

    def test_they_really_take_turns(self):
        """Who is at work is seen from outside, and comes in the order that the result tells."""
        client, name = self.begin(variants=modes("process", "thread"), workload="sleep", params={"us": "10000"},
                                  count=20,
                                  workers=2, rounds=10, warmup=0, seed=3)
        seen = []
        while self.is_running(name):
            for w in self.daemon.call("Status")["workers"]:
                if w["state"] == "running" and w["job"] == name and seen[-1:] != [w["kind"]]:
                    seen.append(w["kind"])
        c = self.whole(self.finish(client)["compare"], 10)
        due = [v["name"] for r in range(10) for v in sorted(c["variants"], key=lambda v: v["order"][r])]
        due = iter(due)
        # A look at Status may come too late for one of them, or see both on its way through the list.
        missed = [kind for kind in seen if kind not in due]
        self.assertLessEqual(len(missed), 1, (seen, c["variants"][0]["order"]))
        self.assertGreater(len(seen), 4)

    def test_the_progress_tells_the_rounds(self):
        client = self.daemon.connect()
        client.send("Compare", more=True, variants=modes("process", "thread"), workload="sleep", params={"us": "10000"},
                    count=40, workers=2, rounds=10)
        seen, continues = [], True
        while continues:
            reply, continues = client.receive()
            if reply["progress"]:
                seen.append(reply["progress"])
        self.whole(reply["compare"], 10)
        self.assertEqual({10}, {p["rounds"] for p in seen})
        self.assertEqual({40}, {p["total"] for p in seen})
        measured = [p["round"] for p in seen if not p["warming_up"]]
        self.assertEqual(sorted(measured), measured)
        self.assertTrue(all(1 <= r <= 10 for r in measured))
        self.assertGreater(len(set(measured)), 3)
        # Warming up comes first, and never again.
        warm = [p["warming_up"] for p in seen]
        self.assertEqual(sorted(warm, reverse=True), warm)

    def test_there_is_progress_also_when_every_round_is_short(self):
        client, name = self.daemon.connect(), new_id()
        client.send("Compare", more=True, id=name, variants=modes("process", "thread"), workload="sleep",
                    params={"us": "5000"}, count=10, workers=2, rounds=1000)
        rounds = set()
        while len(rounds) < 3:
            reply, continues = client.receive()
            self.assertTrue(continues, "no progress was told")
            rounds.add((reply["progress"] or {"round": 0})["round"])
        self.daemon.call("Cancel", id=name)
        self.assertEqual("cancelled", self.finish(client)["state"])

    def test_nobody_works_between_the_rounds(self):
        client, name = self.begin(variants=modes("process", "thread"), workload="sleep", params={"us": "5000"},
                                  count=40,
                                  workers=2, rounds=10)
        states, waited = [], []

        def other(number):
            with Client(self.daemon.path) as mine:
                for reply in mine.more("Run", workload="nop", count=1000, mode=MODES[number % 4]):
                    waited.append((reply["progress"] or {}).get("position"))
                states.append(mine.call("Jobs")["jobs"])

        others = [threading.Thread(target=other, args=(n,)) for n in range(2, 6)]
        for thread in others:
            thread.start()
        strangers, most_queued = set(), 0
        while self.is_running(name):
            status = self.daemon.call("Status")
            jobs = {j["id"]: j["state"] for j in status["jobs"]}
            if jobs[name] == "running":
                strangers |= {w["job"] for w in status["workers"]} - {None, name}
                most_queued = max(most_queued, sum(s == "queued" for s in jobs.values()))
        self.whole(self.finish(client)["compare"], 10)
        for thread in others:
            thread.join()
        self.assertEqual(set(), strangers)
        self.assertEqual(4, most_queued)
        self.assertTrue({1, 2, 3, 4} <= set(waited), waited)
        # Whoever came later had its result when the comparison was over, and not before.
        self.assertEqual(4, len(states))
        for jobs in states:
            self.assertEqual("done", next(j["state"] for j in jobs if j["id"] == name))


class Stop(Compared):
    """When it ends: by rounds, by precision, by a deadline, or because nobody wants it any more."""

    def narrow(self, c):
        return all(v["speed_up_interval"] is None or
                   (v["speed_up_interval"]["high"] - v["speed_up"] <= c["precision"] * v["speed_up"] and
                    v["speed_up"] - v["speed_up_interval"]["low"] <= c["precision"] * v["speed_up"])
                   for v in c["variants"])

    def test_a_wide_precision_is_soon_reached_also_when_nothing_differs(self):
        c = self.sound(self.compare(variants=[{"name": "a"}, {"name": "b"}], workload="spin", params={"ns": "10000"},
                                    count=50, mode="sequential", precision=0.5))
        self.assertEqual(("done", False, True, 0.5, None), tuple(
            c[k] for k in ("state", "partial", "precision_reached", "precision", "rounds_asked")))
        self.assertTrue(10 <= c["rounds"] < 1000, c["rounds"])
        self.assertTrue(self.narrow(c))

    def test_what_is_significant_at_once_is_measured_on_until_it_is_precise(self):
        """One is three times as fast: known after ten rounds, but not to a thousandth."""
        c = self.sound(self.compare(variants=[{"params": {"ns": "80000"}}, {"params": {"ns": "240000"}}],
                                    workload="spin", count=20, mode="sequential", precision=0.001))
        self.assertEqual("slower", c["variants"][1]["verdict"])
        self.assertEqual(self.narrow(c), c["precision_reached"])
        self.assertTrue(self.narrow(c) or c["rounds"] == 1000, c["rounds"])
        self.assertFalse(c["partial"])

    def test_a_deadline(self):
        c = self.sound(self.compare(variants=modes("process", "thread", "gil"), workload="sleep",
                                    params={"us": "10000"},
                                    count=10, workers=2, rounds=1000, deadline_ns=1500 * MS, warmup=0))
        self.assertEqual(("failed", True, 1000), (c["state"], c["partial"], c["rounds_asked"]))
        self.assertIn("deadline of 1.5 s", c["reason"])
        for v in c["variants"]:
            self.assertEqual({10}, set(v["tasks"]))  # what was under way is not in it
            self.assertIn(v["rounds"], (c["rounds"], c["rounds"] + 1))
            self.assertEqual(hex64(v["rounds"] * marks(10, 10000)), v["checksum"])

    def test_cancel(self):
        client, name = self.begin(lambda p: p["round"] == 3, variants=modes("process", "thread"), workload="sleep",
                               params={"us": "10000"}, count=20, workers=2, rounds=10, warmup=0)
        self.assertEqual("cancelled", self.daemon.call("Cancel", id=name)["state"])
        reply = self.finish(client)
        c = self.sound(reply["compare"])
        self.assertEqual(("cancelled", True), (c["state"], c["partial"]))
        self.assertTrue(2 <= c["rounds"] < 10, c["rounds"])
        self.assertEqual({"none"}, {v["verdict"] for v in c["variants"]})
        self.assertEqual(reply["compare"], self.daemon.call("Wait", id=name)["compare"])

    def test_a_caller_that_vanishes(self):
        client, name = self.begin(lambda p: p["round"] == 3, variants=modes("process", "thread"), workload="sleep",
                               params={"us": "10000"}, count=20, workers=2, rounds=1000, warmup=0)
        client.close()
        reply = self.daemon.call("Wait", id=name)
        self.assertEqual("cancelled", reply["state"])
        self.assertTrue(self.sound(reply["compare"])["partial"])

    def test_cancelled_before_anything_was_measured(self):
        """In the rehearsal, in a warm-up, in the queue: there is no result."""
        for warmup in ({}, {"warmup": 10**12}):
            client, name = self.begin(variants=modes("process", "thread"), workload="nop", count=10**12, **warmup)
            queued, later = self.daemon.connect(), new_id()
            queued.send("Compare", id=later, variants=modes("process", "thread"))
            harness.until(lambda: later in self.jobs(), "it is queued")
            for each in (later, name):
                self.daemon.call("Cancel", id=each)
            for each in (client, queued):
                reply = self.finish(each)
                self.assertEqual(("cancelled", None, None, None), tuple(
                    reply[k] for k in ("state", "result", "race", "compare")))

    def test_workers_that_are_killed_without_end(self):
        d = self.start("jobs.max_restarts=2")
        client = d.connect()
        client.send("Compare", id=new_id(), variants=modes("process", "sequential"), workload="sleep", rounds=10,
                    params={"us": "2000"}, count=200, warmup=0)
        harness.until(lambda: d.call("Jobs")["jobs"], "it is known")

        def ended():
            for w in d.call("Status")["workers"]:
                if w["kind"] == "process" and w["state"] == "running" and w["pid"] > 0:
                    try:
                        os.kill(w["pid"], signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            return d.call("Jobs")["jobs"][0]["state"] != "running"

        harness.until(ended, "the comparison is given up")
        reply = self.finish(client)
        self.assertEqual("failed", reply["state"])
        self.assertIn("max_restarts", reply["reason"])


class WarmUp(harness.Case):
    def tasks_of_all(self, d):
        return sum(w["tasks"] for w in d.call("Status")["workers"])

    def test_it_is_done_and_not_counted(self):
        """All tasks that the workers have ever done, against those that the result tells."""
        d = self.start()
        for parameters, before in (({}, 100), ({"warmup": 0}, 0), ({"warmup": 7}, 7), ({"timeline": True}, 200),
                                   ({"timeline": True, "warmup": 3}, 103)):
            with self.subTest(**parameters):
                had = self.tasks_of_all(d)
                c = d.call("Compare", variants=modes("process", "sequential", "thread"), workload="nop", count=100,
                           rounds=10,
                           **parameters)["compare"]
                self.assertEqual([1000] * 3, [v["done"] for v in c["variants"]])
                self.assertEqual(0 if "warmup" in parameters else 1, c["warmup_rounds"])
                self.assertEqual(3 * (1000 + before), self.tasks_of_all(d) - had)


class Timeline(Compared):
    def traced(self, **parameters):
        c = self.whole(self.compare(timeline=True, rounds=10, **parameters), 10)
        for v in c["variants"]:
            self.assertEqual(0, v["spans_dropped"], v["name"])
            for s in v["spans"]:
                self.assertTrue(0 <= s["worker"] < v["workers"], s)
                self.assertTrue(0 <= s["from_ns"] <= s["to_ns"] <= c["wall_s"] * 1e9, s)
                self.assertTrue(s["task"] < v["count"] and s["tasks"] > 0, s)
            self.assertEqual(v["count"], sum(s["tasks"] for s in v["spans"] if s["kind"] == "run"), v["name"])
        return by_name(c)

    @staticmethod
    def kinds(v):
        return {s["kind"] for s in v["spans"]}

    @staticmethod
    def at_work(v, worker):
        """When it executed tasks and did not wait: disjoint intervals, in order."""
        mine = [s for s in v["spans"] if s["worker"] == worker]
        edges = sorted([(s["from_ns"], s["kind"] == "run", +1) for s in mine] +
                       [(s["to_ns"], s["kind"] == "run", -1) for s in mine])
        runs = waits = 0
        begin, found = 0, []
        for at, is_run, step in edges:
            if runs > 0 and waits == 0 and at > begin:
                found.append((begin, at))
            begin = at
            runs, waits = runs + step * is_run, waits + step * (not is_run)
        return found

    def overlap(self, v):
        """Nanoseconds in which both of two workers were at work."""
        one, other = self.at_work(v, 0), self.at_work(v, 1)
        return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in other)

    def test_the_interpreter_lock_is_seen_as_alternation(self):
        found = self.traced(variants=modes("sequential", "process", "thread", "gil"), workload="spin", workers=2,
                            count=60,
                            params={"ns": "1000000"})
        for name in ("sequential", "process", "thread"):
            self.assertEqual({"run"}, self.kinds(found[name]), name)
        gil = found["gil"]
        self.assertEqual({"run", "lock"}, self.kinds(gil))
        for worker in (0, 1):
            self.assertTrue(self.at_work(gil, worker), "worker %d never had the lock" % worker)
        self.assertEqual(0, self.overlap(gil))
        for name in ("process", "thread"):
            self.assertGreater(self.overlap(found[name]), 0, name)

    def test_waiting_is_seen_as_such(self):
        found = self.traced(variants=modes("sequential", "process", "thread", "gil"), workload="sleep", workers=2,
                            count=40,
                            params={"us": "3000"})
        for name, v in found.items():
            self.assertIn("blocked", self.kinds(v))
            blocked = sum(s["to_ns"] - s["from_ns"] for s in v["spans"] if s["kind"] == "blocked")
            self.assertGreaterEqual(blocked, 40 * 3 * MS, name)  # a sleep is never shorter
            self.assertEqual(40, sum(s["tasks"] for s in v["spans"] if s["kind"] == "blocked"), name)

    def test_one_per_task(self):
        self.traced(variants=modes("process", "thread"), spawn="per-task", workload="sleep", workers=2, count=20,
                    params={"us": "1000"})

    def test_without_one_there_are_no_spans(self):
        c = self.whole(self.compare(variants=modes("process", "gil"), workload="nop", count=50, rounds=10), 10)
        self.assertEqual([[], []], [v["spans"] for v in c["variants"]])

    def test_many_spans_are_a_result_of_bounded_size(self):
        client = self.daemon.connect()
        client.send("Compare", variants=modes(*MODES), timeline=True, rounds=10, warmup=0, workers=8, count=4000,
                    workload="sleep", params={"us": "20"})
        raw = client.receive_raw()
        self.assertLess(len(raw), 2 << 20)
        c = json.loads(raw)["parameters"]["compare"]
        self.sound(c)
        for v in c["variants"]:
            self.assertTrue(0 < len(v["spans"]) <= 4096, len(v["spans"]))
        client.close()


class Jobs(Compared):
    PARAMETERS = {"variants": modes("process", "thread"), "workload": "nop", "count": 3000, "rounds": 10}

    def test_detached_and_fetched_later(self):
        name = new_id()
        reply = self.daemon.call("Compare", id=name, detach=True, **self.PARAMETERS)
        self.assertIn(reply["state"], ("queued", "running", "done"))
        first = self.daemon.call("Wait", id=name)
        self.whole(first["compare"], 10, dict.fromkeys(("process", "thread"), marks(3000)))
        self.daemon.run(workload="nop", count=10)  # what comes after does not touch it
        self.assertEqual(first, self.daemon.call("Wait", id=name))
        # A known id attaches, whatever else the call says, and to whatever method.
        self.assertEqual(first["compare"], self.daemon.call("Compare", id=name, rounds=100)["compare"])
        self.assertEqual(first["compare"], self.daemon.call("Run", id=name)["compare"])

    def test_the_list_of_jobs(self):
        cases = (({"variants": modes("process", "thread")}, "calc compared: process, thread · 11 rounds"),
                 ({"variants": modes("process", "thread"), "rounds": 20}, "calc compared: process, thread · 20 rounds"),
                 ({"variants": modes("process", "thread"), "precision": 0.01},
                  "calc compared: process, thread · at most 1000 rounds"),
                 ({"aa": True, "workload": "nop"}, "nop compared: A, B · 11 rounds"))
        self.daemon.call("Run", detach=True, workload="nop", count=10**14)
        for parameters, summary in cases:
            name = self.daemon.call("Compare", detach=True, **parameters)["id"]
            job = self.jobs()[name]
            self.assertEqual(("Compare", summary, "queued", True), tuple(
                job[k] for k in ("method", "summary", "state", "detached")))
        variants = [{"name": "a long name %d" % i} for i in range(64)]
        name = self.daemon.call("Compare", detach=True, variants=variants)["id"]
        job = self.jobs()[name]
        self.assertLess(len(job["summary"]), 200)
        self.assertIn(", … · 11 rounds", job["summary"])

    def held(self):
        pid = self.daemon.process.pid
        return (len(os.listdir("/proc/%d/fd" % pid)), sorted(self.daemon.shm()),
                sorted(w["kind"] for w in self.daemon.call("Status")["workers"]), len(self.daemon.descendants()))

    def test_nothing_is_held_beyond_its_end(self):
        self.whole(self.compare(**self.PARAMETERS), 10)
        before = harness.until(lambda: len(self.held()[2]) == 5 and self.held()[3] == 3 and self.held(),
                               "all are there")
        for _ in range(5):
            self.whole(self.compare(timeline=True, **self.PARAMETERS), 10)
            client, name = self.begin(variants=[{"workers": 2}, {"workers": 6}, {"libc": "native"}], workload="spin",
                                   params={"ns": "10000"}, count=2000, warmup=0, rounds=1000)
            self.daemon.call("Cancel", id=name)
            self.finish(client)
        harness.until(lambda: self.held() == before, "all is as it was: %s" % (before,))


class Refused(Compared):
    TWO = modes("process", "thread")
    BAD = [
        ("variants", {}), ("variants", dict(variants=[])), ("variants", dict(variants=modes("thread"))),
        ("variants", dict(variants=[{"name": str(i)} for i in range(65)])),
        ("variants", dict(variants=modes("thread", "thread"))), ("variants", dict(variants=[{}, {}])),
        ("variants", dict(variants=[{}, {"mode": "thread"}])),
        ("variants", dict(variants=[{"name": "a"}, {"name": "a", "mode": "thread"}])),
        ("variants", dict(variants=[{"name": "a\nb"}, {"name": "c"}])),
        ("variants", dict(variants=[{"name": "x" * 101}, {"name": "c"}])),
        ("variants", dict(aa=True, variants=TWO)),
        ("rounds", dict(variants=TWO, rounds=0)), ("rounds", dict(variants=TWO, rounds=9)),
        ("rounds", dict(variants=TWO, rounds=1001)), ("rounds", dict(variants=TWO, rounds=-1)),
        ("rounds", dict(variants=[{"name": str(i)} for i in range(64)], rounds=129)),
        ("precision", dict(variants=TWO, precision=0)), ("precision", dict(variants=TWO, precision=0.0009)),
        ("precision", dict(variants=TWO, precision=0.51)), ("precision", dict(variants=TWO, precision=-1)),
        ("precision", dict(variants=TWO, precision=1e300)), ("precision", dict(variants=TWO, precision=0.1, rounds=10)),
        ("reference", dict(variants=TWO, reference="gil")), ("reference", dict(variants=TWO, reference="")),
        ("reference", dict(aa=True, reference="process")),
        ("seed", dict(variants=TWO, seed=-1)), ("seed", dict(variants=TWO, seed=2**32)),
        ("warmup", dict(variants=TWO, warmup=-1)), ("warmup", dict(variants=TWO, warmup=10**15 + 1)),
        ("deadline_ns", dict(variants=TWO, deadline_ns=0)),
        ("id", dict(variants=TWO, id="xyz")),
        ("workload", dict(variants=TWO, workload="calculus")), ("params", dict(variants=TWO, params={"ns": "5"})),
        ("count", dict(variants=TWO, count=0)), ("duration_ns", dict(variants=TWO, count=5, duration_ns=MS)),
        ("duration_ns", dict(variants=TWO, duration_ns=0)), ("workers", dict(variants=TWO, workers=9)),
        ("chunk", dict(variants=TWO, chunk=0)), ("timeout_ns", dict(variants=TWO, timeout_ns=0)),
        ("cpus", dict(variants=TWO, cpus=[])), ("spawn", dict(variants=TWO, spawn="fork")),
        ("libc", dict(variants=TWO, libc="musl")),
    ]
    # Of one variant, which must then be named.
    BAD_VARIANTS = [
        ("mode", {"mode": "fibre"}), ("workload", {"workload": ""}), ("spawn", {"spawn": "fork"}),
        ("libc", {"libc": "musl"}), ("workers", {"workers": 9}), ("workers", {"mode": "sequential", "workers": 2}),
        ("count", {"count": 0}), ("duration_ns", {"count": 5, "duration_ns": MS}), ("duration_ns", {"duration_ns": -1}),
        ("chunk", {"chunk": -1}), ("timeout_ns", {"timeout_ns": 0}), ("cpus", {"cpus": [4000]}),
        ("params", {"params": {"no": "5"}}), ("params.ns", {"params": {"ns": "-1"}}),
        ("spawn", {"mode": "gil", "spawn": "per-task"}),
    ]

    def test_bad_values_are_named(self):
        for field, parameters in self.BAD:
            with self.subTest(field=field, parameters=str(parameters)[:60]):
                self.refused(self.daemon, "Compare", field, **parameters)
        self.assertEqual({}, self.jobs(), "a refused job is known")

    def test_bad_values_of_a_variant_name_it(self):
        for field, own in self.BAD_VARIANTS:
            for at in (0, 1):
                with self.subTest(field=field, own=own, at=at):
                    variants = [{"name": "the good one", "mode": "thread"}]
                    variants.insert(at, {"name": "the bad one", **own})
                    _, allowed = self.refused(self.daemon, "Compare", field, variants=variants, workload="spin")
                    self.assertIn('"the bad one"', allowed)
                    self.assertNotIn("good", allowed)
        self.assertEqual({}, self.jobs(), "a refused job is known")

    def test_what_is_said_helps(self):
        for parameters, words in ((dict(variants=modes("thread")), ("2 to 64",)),
                                  (dict(variants=self.TWO, rounds=9), ("10", "1000")),
                                  (dict(variants=self.TWO, precision=0.9), ("0.001", "0.5")),
                                  (dict(variants=self.TWO, reference="gil"), ("process", "thread")),
                                  (dict(variants=[{"name": str(i)} for i in range(64)], rounds=129), ("128",)),
                                  (dict(variants=modes("thread", "thread")), ("different names",))):
            with self.assertRaises(harness.Failed) as caught:
                self.daemon.call("Compare", **parameters)
            for word in words:
                self.assertIn(word, caught.exception.parameters["allowed"])

    def test_values_of_a_wrong_type(self):
        for field, parameters in (("variants", dict(variants="all")),
                                  ("variants[1].mode", dict(variants=[{}, {"mode": 5}])),
                                  ("variants[0]", dict(variants=[5, 6])), ("aa", dict(aa="yes")),
                                  ("precision", dict(precision="1%")), ("rounds", dict(rounds=1.5))):
            with self.subTest(field):
                self.refused(self.daemon, "Compare", field, **parameters)

    def test_what_the_interface_does_not_know(self):
        for field, parameters in (("colour", dict(colour="red")),
                                  ("variants[1].colour", dict(variants=[{}, {"colour": "red"}])),
                                  ("variants[0].rounds", dict(variants=[{"rounds": 10}]))):
            with self.subTest(field), self.assertRaises(harness.Failed) as caught:
                self.daemon.call("Compare", **parameters)
            self.assertEqual(("org.varlink.service.InvalidParameter", {"parameter": field}),
                             (caught.exception.error, caught.exception.parameters))


class Ctl(Compared):
    """What concctl makes of it. How its options are read and its tables look is in the unit tests."""

    def files(self):
        folder = self.folder()
        return {name: "%s/%s" % (folder, name) for name in ("json", "csv", "markdown", "report", "trace")}

    @staticmethod
    def options(files):
        return ["--%s%s=%s" % ("" if name in ("report", "trace") else "export-", name, path)
                for name, path in files.items()]

    def test_the_default_comparison(self):
        said = self.daemon.ctl("compare", "--count=20", "--json")
        self.assertEqual((0, ""), (said.code, said.stderr))
        c = self.whole(said.json(), 11, {name: 20 * CALC_SUM for name in MODES})
        self.assertEqual(list(MODES), [v["name"] for v in c["variants"]])
        self.assertEqual([], harness.INTERFACE.problems(harness.INTERFACE.types["CompareResult"], c))

    def test_options_become_variants(self):
        said = self.daemon.ctl("compare", "--vary=mode=process,thread", "--workers=1,2", "--vary=ns=200,400",
                               "--workload=spin", "--count=30", "--rounds=10", "--seed=9", "--json")
        self.assertEqual(0, said.code, said)
        c = self.whole(said.json(), 10)
        self.assertEqual(9, c["seed"])
        self.assertEqual({(m, w, n) for m in ("process", "thread") for w in (1, 2) for n in ("200", "400")},
                         {(v["mode"], v["workers"], v["params"]["ns"]) for v in c["variants"]})

    def test_the_table_and_the_files(self):
        files = self.files()
        said = self.daemon.ctl("compare", "--modes=process,gil", "--workload=spin", "--count=50", "--rounds=10",
                               *self.options(files))
        self.assertEqual((0, ""), (said.code, said.stderr), said)
        for word in ("process", "gil", "10 rounds", "MEDIAN"):
            self.assertIn(word, said.stdout)
        self.exported(files, ["process", "gil"], 10)
        with open(files["report"], encoding="utf-8") as f:
            self.assertNotIn("Partial", f.read())

    def exported(self, files, names, rounds):
        with open(files["json"], encoding="utf-8") as f:
            results = json.load(f)["results"]
        self.assertEqual(names, [r["command"] for r in results])
        for r in results:
            self.assertEqual(rounds, len(r["times"]))
            self.assertEqual([0] * rounds, r["exit_codes"])
            self.assertAlmostEqual(statistics.median(r["times"]), r["median"], delta=1e-6 * r["median"])
        with open(files["trace"], encoding="utf-8") as f:
            json.load(f)
        for name in ("csv", "markdown", "report"):
            with open(files[name], encoding="utf-8") as f:
                text = f.read()
            for variant in names:
                self.assertIn(variant, text, name)

    def test_an_interrupt_prints_and_exports_what_there_is(self):
        files = self.files()
        before = set(self.jobs())
        client = subprocess.Popen([harness.CONCCTL, "compare", "--modes=process,thread", "--workload=sleep",
                                   "--param=us=10000",
                                   "--count=10", "--workers=2", "--rounds=1000", "--warmup=0", *self.options(files)],
                                  env=harness.concctl_environment({"CONCD_SOCKET": self.daemon.path}), text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def is_in_the_middle():
            new = set(self.jobs()) - before
            return new and (self.jobs()[min(new)]["progress"] or {"round": 0})["round"] > 12
        harness.until(is_in_the_middle, "a dozen rounds are measured")
        client.send_signal(signal.SIGINT)
        out, err = client.communicate(timeout=harness.PATIENCE)
        self.assertEqual(130, client.returncode, err)
        self.assertIn("partial", err)
        self.assertRegex(out, r"cancelled: \d+ of 1000 rounds were measured")
        rounds = int(re.search(r"(\d+) of 1000", out).group(1))
        self.assertTrue(12 <= rounds < 1000)
        with open(files["json"], encoding="utf-8") as f:
            self.assertTrue(all(len(r["times"]) in (rounds,) for r in json.load(f)["results"]))
        with open(files["report"], encoding="utf-8") as f:
            self.assertIn("Partial", f.read())

    def test_mistakes_are_found_out_before_anything_is_measured(self):
        folder, before = self.folder(), self.jobs()
        table = (["--modes=process"], ["--rounds=0"], ["--rounds=9"], ["--modes=process,fibre"], ["--precision=90%"],
                 ["--precision=0"], ["--precision=1%", "--rounds=10"], ["--reference=fibre"],
                 ["--vary=colour=red,blue"],
                 ["--vary=mode"], ["--aa", "--modes=process,thread"], ["--report=%s/none/file" % folder],
                 ["--export-json=%s/none/file" % folder], ["--export-csv=" + folder],
                 ["--export-markdown=%s/none/file" % folder],
                 ["--trace=%s/none/file" % folder], ["--workers=1,0x"], ["--seed=-1"])
        for options in table:
            with self.subTest(" ".join(options)):
                said = self.daemon.ctl("compare", "--workload=nop", "--count=10", *options)
                self.assertEqual((64, ""), (said.code, said.stdout), said.stderr)
                self.assertEqual(1, said.stderr.count("\n"), said.stderr)
        self.assertEqual(set(before), set(self.jobs()))
        self.assertEqual([], os.listdir(folder))

    def test_a_failed_comparison_is_exit_code_1(self):
        said = self.daemon.ctl("compare", "--workload=fail", "--param=at=3", "--count=20", "--modes=process,thread")
        self.assertEqual(1, said.code, said)
        self.assertIn("22 of 440 tasks failed", said.stdout)

    def test_detached(self):
        said = self.daemon.ctl("compare", "--modes=process,thread", "--workload=nop", "--count=10", "--detach")
        self.assertEqual(0, said.code, said)
        waited = self.daemon.ctl("wait", said.stdout.strip()[:12], "--json")
        self.whole(waited.json(), 11, dict.fromkeys(("process", "thread"), marks(10)))
        self.assertIn("nop compared: process, thread", self.daemon.ctl("jobs").stdout)


if __name__ == "__main__":
    harness.main()
