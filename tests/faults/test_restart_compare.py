#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The supervisor is killed within a comparison and the next one goes on with it: what was measured is kept, what was
under way is measured again, and all is counted exactly."""
import random
import time

from harness import CALC_SUM, Client, hex64, main, marks, modes, until
from test_restart import ID, Restart

MODES = ("sequential", "process", "thread", "gil")
MS = 1_000_000


class RestartCompare(Restart):
    SLEEP = {"workload": "sleep", "params": {"us": "2000"}, "count": 40, "workers": 2}
    OF_SLEEP = marks(40, 2000)

    def submit(self, d, **parameters):
        return d.call("Compare", id=ID % 1, detach=True, **parameters)

    def progress(self, d):
        """None once it has ended."""
        job, = (j for j in d.call("Jobs")["jobs"] if j["id"] == ID % 1)
        return job["progress"]

    def come_to(self, d, condition, what):
        """Waits for some progress; the progress."""
        def is_there():
            progress = self.progress(d)
            self.assertIsNotNone(progress, "it has ended before: " + what)
            return condition(progress) and progress
        return until(is_there, what)

    def round_of(self, d, number):
        return self.come_to(d, lambda p: not p["warming_up"] and p["round"] >= number, "round %d" % number)

    def compared(self, d, kills, state="done"):
        reply = self.wait(d)
        c = reply["compare"]
        self.assertEqual(state, reply["state"], reply["reason"])
        self.assertEqual((reply["state"], reply["reason"]), (c["state"], c["reason"]))
        self.assertEqual(kills, c["resumed"])
        self.assertEqual(kills, len(self.lines(d, "goes on")))
        self.assertEqual(1, len(self.lines(d, "started: ")))
        for r in range(c["rounds"]):
            self.assertEqual(list(range(len(c["variants"]))), sorted(v["order"][r] for v in c["variants"]))
        for v in c["variants"]:
            self.assertEqual(v["done"], sum(v["tasks"]))
            self.assertEqual(v["rounds"], len(v["times_s"]))
            self.assertLessEqual(v["repeated"], kills)
            # The evidence is that of the rounds since the last daemon began.
            self.assertLessEqual(v["evidence_rounds"], v["rounds"])
            self.assertEqual(sum(v["tasks"][v["rounds"] - v["evidence_rounds"]:]),
                             sum(w["tasks"] for w in v["workers_detail"]))
            self.assertTrue(v["why"])
        return c

    def exact(self, c, rounds, of_round):
        self.assertEqual((rounds, False), (c["rounds"], c["partial"]))
        for v in c["variants"]:
            self.assertEqual([v["count"]] * rounds, v["tasks"], v["name"])
            self.assertEqual((rounds * v["count"], 0), (v["verified"], v["failed"]), v["name"])
            self.assertEqual(hex64(rounds * of_round), v["checksum"], v["name"])


class GoesOn(RestartCompare):
    def test_between_and_within_the_rounds(self):
        """Killed in ever later rounds: none of those that are complete is measured again."""
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=30, seed=5, **self.SLEEP)
        for at in (2, 5, 9):
            before = self.round_of(d, at)["round"]
            self.again(d)
            progress = self.progress(d)
            # It may have come further before it was killed, but never falls back.
            self.assertGreaterEqual(progress["round"], before)
            self.assertFalse(progress["warming_up"])
        c = self.compared(d, 3)
        self.exact(c, 30, self.OF_SLEEP)
        self.assertTrue(all(v["evidence_rounds"] <= 30 - 8 for v in c["variants"]),
                        [v["evidence_rounds"] for v in c["variants"]])
        # The order is that of the seed, as if nothing had happened.
        fresh = d.call("Compare", variants=modes("process", "thread"), rounds=30, seed=5, workload="nop",
                       count=5)["compare"]
        self.assertEqual([v["order"] for v in fresh["variants"]], [v["order"] for v in c["variants"]])
        self.assertEqual([0, 0], [v["repeated"] for v in fresh["variants"]])

    def test_what_was_measured_is_kept(self):
        """Also when the next daemon is told to end it soon."""
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=1000, **self.SLEEP)
        self.round_of(d, 6)
        self.again(d)
        d.call("Cancel", id=ID % 1)
        c = self.compared(d, 1, "cancelled")
        self.assertGreaterEqual(c["rounds"], 5)
        self.assertTrue(c["partial"])
        for v in c["variants"]:
            self.assertEqual(hex64(v["rounds"] * self.OF_SLEEP), v["checksum"])
            self.assertTrue(all(t >= 0.040 for t in v["times_s"]), v["times_s"])  # 40 × 2 ms, two at once

    def test_the_round_under_way_is_repeated(self):
        """Each round takes so long that the kills come within one of them: one repetition for each, and in all no
        more."""
        d = self.start()
        self.submit(d, variants=modes("process", "thread", "gil"), rounds=10, warmup=0, workload="sleep",
                    params={"us": "10000"}, count=40, workers=2)
        within = 0
        for at in (2, 4, 7):
            self.come_to(d, lambda p, at=at: p["round"] >= at and 0 < p["done"] < 20, "in the middle of a round")
            before = self.progress(d)
            self.again(d)
            after = self.progress(d)
            # The kill came within the step when the successor is still at it.
            within += (before["round"], before["variant"]) == (after["round"], after["variant"])
        c = self.compared(d, 3)
        self.exact(c, 10, marks(40, 10000))
        repeated = sum(v["repeated"] for v in c["variants"])
        self.assertTrue(max(within, 1) <= repeated <= 3, (within, repeated))

    def test_every_mode(self):
        d = self.start()
        self.submit(d, variants=modes(*MODES), rounds=10, count=30)
        for _ in range(4):
            time.sleep(0.1)
            if self.progress(d) is None:
                break
            self.again(d)
        c = self.compared(d, len(self.lines(d, "goes on")))
        self.assertGreater(c["resumed"], 0)
        self.exact(c, 10, 30 * CALC_SUM)

    def test_what_the_variants_say_is_remembered(self):
        """Names, parameters, workers, chunks, spawn and libc are those that were asked for, not those of the base."""
        variants = [{"name": "a", "params": {"us": "1000"}, "workers": 1}, {"chunk": 7, "mode": "thread"},
                    {"spawn": "per-task", "libc": "native"}, {"count": 13}, {"workload": "nop", "count": 50_000},
                    {"name": "all at once", "spawn": "per-task", "workers": 0, "count": 9}]
        d = self.start()
        parameters = dict(self.SLEEP, variants=variants, rounds=10, reference="a", seed=11)
        whole = d.call("Compare", **parameters)["compare"]
        self.submit(d, **parameters)
        self.round_of(d, 3)
        self.again(d)
        reply = self.wait(d)
        c = reply["compare"]
        self.assertEqual(("done", 1, 10), (reply["state"], c["resumed"], c["rounds"]), reply["reason"])
        for key in ("reference", "seed", "rounds_asked", "warmup_rounds", "precision", "aa"):
            self.assertEqual(whole[key], c[key], key)
        for one, other in zip(whole["variants"], c["variants"]):
            for key in ("name", "workload", "params", "mode", "spawn", "libc", "workers", "cpus", "count", "tasks",
            "order", "done", "checksum"):
                self.assertEqual(one[key], other[key], (one["name"], key))

    def test_at_a_random_instant(self):
        """Also while it is only queued, just begun, about to end; and several times."""
        rng = random.Random(4)
        parameters = {"variants": modes("process", "thread", "sequential"), "workload": "spin", "params": {"ns":
        "2000"}, "count": 1000, "rounds": 10}
        d = self.start()
        for number in range(1, 13):
            d.call("Compare", id=ID % number, detach=True, **parameters)
            for _ in range(rng.randrange(1, 4)):
                time.sleep(rng.random() * 0.08)
                self.again(d)
            reply = self.wait(d, number)
            self.assertEqual("done", reply["state"], reply["reason"])
            self.exact(reply["compare"], 10, marks(1000, 2000))
            for v in reply["compare"]["variants"]:
                self.assertLessEqual(v["repeated"], reply["compare"]["resumed"])

    def test_a_supervisor_that_is_killed_while_it_takes_over(self):
        rng = random.Random(5)
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=10, **self.SLEEP)
        self.round_of(d, 2)
        for _ in range(20):
            d.kill()
            d.launch()
            time.sleep(rng.random() * 0.012)
        d.kill()
        d.start()
        reply = self.wait(d)
        self.assertEqual("done", reply["state"], reply["reason"])
        self.exact(reply["compare"], 10, self.OF_SLEEP)

    def test_in_the_rehearsal(self):
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=10, workload="sleep", params={"us": "10000"},
        count=60, workers=2)
        self.come_to(d, lambda p: p["warming_up"] and p["done"], "the rehearsal has begun")
        self.again(d)
        c = self.compared(d, 1)
        self.exact(c, 10, marks(60, 10000))
        self.assertEqual((1, [0, 0]), (c["warmup_rounds"], [v["repeated"] for v in c["variants"]]))
        self.assertEqual([10, 10], [v["evidence_rounds"] for v in c["variants"]])

    def test_in_a_warm_up(self):
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=10, workload="nop", count=1000, warmup=300 * MS)
        self.come_to(d, lambda p: p["warming_up"] and p["done"], "the warm-up has begun")
        self.again(d)
        c = self.compared(d, 1)
        self.exact(c, 10, marks(1000))
        self.assertEqual([0, 0], [v["repeated"] for v in c["variants"]])

    def test_in_the_step_that_is_traced(self):
        """It is traced again: the times are there, and so is the picture of what was traced since then."""
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=10, timeline=True, warmup=0, workload="sleep",
                    params={"us": "20000"}, count=20, workers=2)

        def is_traced():
            """By all that the workers have done: 2 variants × 10 rounds × 20 tasks are measured."""
            measured = sum(w["tasks"] for w in d.call("Status")["workers"]) >= 400
            progress = self.progress(d)
            self.assertIsNotNone(progress, "it has ended before")
            return measured and progress["done"]
        until(is_traced, "a traced step has begun")
        self.again(d)
        c = self.compared(d, 1)
        self.exact(c, 10, marks(20, 20000))
        self.assertEqual([0, 0], [v["repeated"] for v in c["variants"]])
        first, second = (sum(s["tasks"] for s in v["spans"] if s["kind"] == "run") for v in c["variants"])
        self.assertEqual(20, second)
        self.assertIn(first, (0, 20))  # 0: it was in the second one when the daemon was killed

    def test_by_duration(self):
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=20, workload="spin", params={"ns": "10000"},
                    duration_ns=60 * MS)
        for at in (3, 6):
            self.round_of(d, at)
            self.again(d)
        c = self.compared(d, 2)
        self.assertEqual((20, False), (c["rounds"], c["partial"]))
        for v in c["variants"]:
            self.assertTrue(all(n > 0 for n in v["tasks"]), v["tasks"])
            self.assertEqual((v["done"], None), (v["verified"], v["count"]))

    def test_until_it_is_precise(self):
        d = self.start()
        self.submit(d, variants=[{"name": "a"}, {"name": "b"}], precision=0.5, mode="sequential", workload="sleep",
                    params={"us": "2000"}, count=40)
        self.round_of(d, 4)
        self.again(d)
        c = self.compared(d, 1)
        self.assertEqual((True, False), (c["precision_reached"], c["partial"]))
        self.assertGreaterEqual(c["rounds"], 10)

    def test_failures_are_kept(self):
        d = self.start()
        self.submit(d, variants=[{"mode": "process"}, {"mode": "thread"}], workload="fail", rounds=20, warmup=0,
                    params={"kind": "error", "every": "1000"}, count=3_000_000)
        self.round_of(d, 4)
        self.again(d)
        c = self.compared(d, 1, "failed")
        self.assertEqual({(60_000_000 - 60_000, 60_000)}, {(v["verified"], v["failed"]) for v in c["variants"]})


class Ends(RestartCompare):
    def test_a_deadline_counts_from_the_start(self):
        """A daemon that takes over does not begin to count anew."""
        d = self.start()
        self.submit(d, variants=modes("process", "thread"), rounds=1000, deadline_ns=2500 * MS, **self.SLEEP)
        self.round_of(d, 3)
        self.again(d)
        c = self.compared(d, 1, "failed")
        self.assertIn("deadline", c["reason"])
        self.assertTrue(c["partial"])
        for v in c["variants"]:
            self.assertEqual(hex64(v["rounds"] * self.OF_SLEEP), v["checksum"])

    def test_one_that_waited_is_lost(self):
        d = self.start()
        self.begin(d, 2, workload="nop", count=10**12)
        self.submit(d, variants=modes("process", "thread"))
        self.again(d)
        reply = self.wait(d)
        self.assertEqual(("lost", None), (reply["state"], reply["compare"]))
        d.call("Cancel", id=ID % 2)

    def test_a_result_survives(self):
        d = self.start()
        self.submit(d, variants=modes(*MODES), timeline=True, rounds=10, **self.SLEEP)
        before = self.wait(d)
        self.assertEqual("done", before["state"])
        self.again(d)
        self.assertEqual(before, self.wait(d))

    def test_its_caller_may_come_back(self):
        """With the same call and id, to the next daemon."""
        d = self.start()
        parameters = {"variants": modes("process", "thread"), "rounds": 20, **self.SLEEP}
        with Client(d.path) as client:
            client.send("Compare", id=ID % 1, **parameters)
            until(lambda: d.call("Jobs")["jobs"], "it is known")
            self.round_of(d, 2)
            d.kill()
        d.start()
        with Client(d.path) as client:
            reply = client.call("Compare", id=ID % 1, **parameters)
        self.assertEqual(("done", 1), (reply["state"], reply["compare"]["resumed"]))
        self.exact(reply["compare"], 20, self.OF_SLEEP)


if __name__ == "__main__":
    main()
