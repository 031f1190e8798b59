#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Race: every scenario under every guard that serves it, in both modes: what breaks, what holds, and what is said."""
import contextlib
import os
import signal
import time
import unittest

import harness
from harness import PATIENCE, Client, Daemon, Failed, until

MODES = ("process", "thread")
KINDS = {"process": "process", "thread": "thread"}
MS = 1_000_000
SANITIZED = os.environ.get("CONCD_SANITIZED") == "1"
CPUS = len(os.sched_getaffinity(0))
# On one CPU nothing runs at the same time as anything else.
needs_two_cpus = unittest.skipIf(CPUS < 2, "this machine has one CPU")


def assert_exact(case, trials, r):
    """Of a race of counter: on a busy machine one actor alone may not come to its target in time, which is no defect."""
    counts = {o["name"]: o["count"] for o in r["outcomes"]}
    case.assertEqual(trials, counts["exact"] + counts["out of time"], counts)


class Races(harness.Case):
    """One daemon for all tests of a class."""

    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("pool.max_workers=16", *cls.settings)
        cls.daemon.__enter__()
        entries = cls.daemon.call("Describe")["entries"]
        cls.scenarios = {e["name"]: e for e in entries if e["kind"] == "scenario"}
        cls.guards = {e["name"]: e for e in entries if e["kind"] == "guard"}

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None)

    def race(self, scenario, state="done", **parameters):
        r = self.daemon.call("Race", scenario=scenario, **parameters)["race"]
        self.assertEqual(state, r["state"], (parameters, r["reason"], self.counts(r)))
        self.assertEqual(r["done"], sum(o["count"] for o in r["outcomes"]) + r["unknown"])
        self.assertEqual(0, r["unknown"], r)
        if "duration_ns" not in parameters and state != "cancelled":
            self.assertEqual(r["trials"], r["done"])
        self.assertEqual(r["actors"], len(r["actors_detail"]))
        return r

    def counts(self, r):
        return {o["name"]: o["count"] for o in r["outcomes"]}

    def witnesses(self, scenario):
        return {o["name"] for o in self.scenarios[scenario]["outcomes"] if o["witness"]}

    def seen(self, scenario, most, **parameters):
        """Races until a witness was seen, at most so many trials."""
        done = 0
        while done < most:
            r = self.race(scenario, trials=min(most, 100), **parameters)
            done += r["done"]
            if r["observation"]["positive"]:
                return r
        raise AssertionError("no witness of %s in %d trials: %s" % (scenario, done, self.counts(r)))


class Matrix(Races):
    """Every cell of scenarios × guards × modes."""

    def cell(self, scenario, guard, mode):
        entry = self.scenarios[scenario]
        try:
            r = self.race(scenario, guard=guard, mode=mode, trials=60, trial_timeout_ns=20 * MS)
        except Failed as e:
            # Only what cannot be is refused, and it is said why.
            self.assertEqual("BadValue", e.error, e)
            self.assertIn(e.parameters["field"], ("guard", "mode"), e)
            self.assertTrue(guard not in entry["guards"] or guard == "gil" or "process" in e.parameters["allowed"], e)
            return None
        by_name = {o["name"]: o for o in entry["outcomes"]}
        for o in r["outcomes"]:
            forbidden = guard in by_name[o["name"]]["forbidden_by"]
            if forbidden:
                self.assertEqual(("forbidden", 0), (o["expected"], o["count"]), (scenario, guard, mode, o))
        return r


def add_cells():
    """One test a scenario, so that a failure names it; what there is is asked of a daemon when it runs."""
    names = ("counter lost-update check-then-act bank-transfer torn-read producer-consumer readers-writers "
             "dining-philosophers peterson dekker aba publication barrier-reuse lock-convoy thundering-herd "
             "permit-leak sb sb-fence mp mp-fence lb lb-fence r r-fence s s-fence 2+2w 2+2w-fence iriw iriw-fence").split()

    def test_all_are_here(self):
        self.assertEqual(set(names), set(self.scenarios))

    def make(name):
        def test(self):
            served = [(g, m) for g in self.guards for m in MODES if self.cell(name, g, m)]
            self.assertTrue(served)
        return test

    Matrix.test_all_are_here = test_all_are_here
    for name in names:
        setattr(Matrix, "test_" + name.replace("-", "_").replace("+", "_and_"), make(name))


add_cells()


@needs_two_cpus
class Breaks(Races):
    """Without its guard each scenario shows its defect."""

    def breaks(self, scenario, most=3000, modes=MODES, **parameters):
        for mode in modes:
            with self.subTest(mode=mode):
                r = self.seen(scenario, most, mode=mode, **{"guard": "none", **parameters})
                self.assertIn(r["observation"]["verdict"], ("Sometimes", "Always"))

    def test_counter(self):
        self.breaks("counter")

    def test_counter_with_two_permits(self):
        self.breaks("counter", guard="semaphore", permits=2)

    def test_counter_with_two_permits_as_posix_has_them(self):
        self.breaks("counter", guard="raw-semaphore", permits=2)

    def test_lost_update(self):
        self.breaks("lost-update")

    def test_check_then_act(self):
        self.breaks("check-then-act")

    def test_bank_transfer(self):
        self.breaks("bank-transfer")

    def test_torn_read(self):
        self.breaks("torn-read")

    def test_producer_consumer(self):
        self.breaks("producer-consumer")

    def test_readers_writers(self):
        self.breaks("readers-writers")

    def test_dining_philosophers(self):
        self.breaks("dining-philosophers", trial_timeout_ns=5 * MS)

    def test_peterson(self):
        self.breaks("peterson", most=20000)

    def test_dekker(self):
        self.breaks("dekker", most=20000)

    def test_aba(self):
        self.breaks("aba")

    def test_publication(self):
        self.breaks("publication")

    def test_barrier_reuse(self):
        self.breaks("barrier-reuse")

    def test_thundering_herd(self):
        self.breaks("thundering-herd")

    def test_lock_convoy(self):
        self.breaks("lock-convoy")

    @unittest.skipUnless(os.uname().machine == "x86_64", "what is weak depends on the machine")
    def test_store_buffering(self):
        for shape in ("sb", "r"):
            self.breaks(shape, most=10**6)

    def test_permit_leak(self):
        self.breaks("permit-leak", guard="raw-semaphore", modes=("process",), trial_timeout_ns=5 * MS)


class Teaches(Races):
    """The story: one permit, two permits, none."""

    def test_one_permit_makes_it_exact(self):
        for mode in MODES:
            for guard in ({"permits": 1}, {"guard": "mutex"}, {"guard": "spin"}, {"guard": "ticket"}):
                with self.subTest(mode=mode, **guard):
                    r = self.race("counter", mode=mode, trials=300, **guard)
                    assert_exact(self, 300, r)
                    self.assertEqual(("Never", 0, 300), tuple(
                        r["observation"][k] for k in ("verdict", "positive", "negative")))
                    self.assertEqual((0, 1), (r["lost_updates"], r["max_holders"]))

    @needs_two_cpus
    def test_two_permits_make_them_fight(self):
        for mode in MODES:
            r = self.race("counter", mode=mode, permits=2, trials=100)
            self.assertEqual(("semaphore", 2, 2), (r["guard"], r["permits"], r["max_holders"]))
            self.assertGreater(r["observation"]["positive"], 0)
            self.assertGreater(r["lost_updates"], 0)

    def test_permits_leak_by_guard(self):
        expected = {"raw-semaphore": "short for ever", "mutex": "short for ever", "semaphore": "repaired",
                    "robust-mutex": "told", "flock": "released by the kernel"}
        for guard, outcome in expected.items():
            with self.subTest(guard=guard):
                r = self.race("permit-leak", guard=guard, trials=10, trial_timeout_ns=5 * MS)
                self.assertEqual({outcome: 10}, {k: n for k, n in self.counts(r).items() if n})
                self.assertEqual(10, r["kills"])
                self.assertEqual(10 if outcome == "short for ever" else 0, r["permits_leaked"])
                self.assertEqual(10 if outcome == "repaired" else 0, r["permits_recovered"])

    def test_more_actors_than_cpus(self):
        r = self.race("lost-update", actors=CPUS + 3, trials=20, permits=1)
        self.assertEqual(("pthread", "spin"), (r["settings"]["barrier"], r["settings"]["barrier_asked"]))
        self.assertTrue(r["settings"]["notes"])

    def test_every_barrier(self):
        for barrier in (e["name"] for e in self.daemon.call("Describe", kind="barrier")["entries"]):
            for scenario in ("counter", "sb"):
                for mode in MODES:
                    with self.subTest(barrier=barrier, scenario=scenario, mode=mode):
                        r = self.race(scenario, barrier=barrier, mode=mode, trials=300)
                        self.assertEqual(barrier, r["settings"]["barrier_asked"])

    def test_unmeasured(self):
        r = self.race("counter", permits=1, measure=False, trials=50)
        self.assertEqual((None, 0, False), (r["wait_ns"], r["max_holders"], r["settings"]["measured"]))

    def test_figures_agree(self):
        r = self.race("lost-update", guard="mutex", trials=100, params={"steps": "50"}, hold="step")
        self.assertEqual(r["steps"], sum(a["steps"] for a in r["actors_detail"]))
        self.assertEqual(r["wait_ns"]["samples"], sum(a["acquires"] for a in r["actors_detail"]))
        self.assertEqual(r["handoffs"], sum(a["handoffs"] for a in r["actors_detail"]))
        self.assertTrue(0 < r["jain"] <= 1)

    def test_timeline(self):
        for permits in (1, 2):
            r = self.race("counter", permits=permits, trials=5, timeline=True)
            spans = r["spans"]
            self.assertTrue({"trial", "hold"} <= {s["kind"] for s in spans}, spans)
            self.assertTrue(all(0 <= s["from_ns"] <= s["to_ns"] for s in spans))
            holds = sorted((s["from_ns"], s["to_ns"], s["actor"]) for s in spans if s["kind"] == "hold")
            overlaps = [(a, b) for a in holds for b in holds if a[2] < b[2] and a[0] < b[1] and b[0] < a[1]]
            if permits == 1:
                # The guard is let go a moment after the note that it was.
                self.assertFalse([o for o in overlaps if min(o[0][1], o[1][1]) - max(o[0][0], o[1][0]) > 0], overlaps)


class Fairness(Races):
    """What each guard does with two who ask for it again and again, as figures; they add up, whatever they are."""

    def test_figures_of_every_guard(self):
        for guard, entry in self.guards.items():
            for mode in MODES:
                if guard in ("none", "atomic") or (guard == "gil" and mode == "process"):
                    continue
                with self.subTest(guard=guard, mode=mode):
                    r = self.race("lost-update", guard=guard, mode=mode, hold="step", params={"steps": "200"},
                                  trials=20, widen_ns=0, trial_timeout_ns=2000 * MS)
                    acquires = sum(a["acquires"] for a in r["actors_detail"])
                    print("# %-17s %-7s Jain %.3f, %.3f hand-offs for each acquire, wait p50 %d p99 %d max %d ns" % (
                        guard, mode, r["jain"], r["handoffs"] / acquires, r["wait_ns"]["p50"], r["wait_ns"]["p99"],
                        r["wait_ns"]["max"]))
                    self.assertEqual((2 * 200 * 20, 1), (acquires, r["max_holders"]))
                    self.assertTrue(0 < r["handoffs"] <= acquires and 0.5 <= r["jain"] <= 1, r)
                    w = r["wait_ns"]
                    self.assertTrue(w["p50"] <= w["p90"] <= w["p99"] <= w["p99_9"] <= w["max"], w)
                    self.assertEqual(acquires, w["samples"])
                    self.assertTrue(entry["note"])


class Ends(Races):
    def test_by_duration(self):
        began = time.monotonic()
        r = self.race("sb", duration_ns=200 * MS)
        self.assertGreater(r["done"], 0)
        self.assertIsNone(r["trials"])
        self.assertGreaterEqual(time.monotonic() - began, 0.2)

    def test_by_cancel(self):
        with Client(self.daemon.path) as client:
            client.send("Race", more=True, scenario="sb", trials=10**12)
            job = client.receive()[0]["id"]
            until(lambda: self.daemon.call("Jobs")["jobs"][0]["progress"]["done"], "it has begun")
            self.daemon.call("Cancel", id=job)
            continues = True
            while continues:
                reply, continues = client.receive()
        self.assertEqual("cancelled", reply["state"])
        self.assertGreater(reply["race"]["done"], 0)

    def test_a_fight_that_does_not_end_is_no_hang(self):
        # Long enough that both sides run in it, also on a busy machine; alone a side would need 2 s.
        r = self.race("counter", guard="none", trials=3, params={"target": "1000000"}, trial_timeout_ns=200 * MS,
                      widen_ns=2000)
        self.assertEqual(3, self.counts(r)["no progress"])

    def test_a_deadline(self):
        r = self.daemon.call("Race", scenario="sb", trials=10**12, deadline_ns=200 * MS)["race"]
        self.assertEqual("failed", r["state"])
        self.assertIn("deadline", r["reason"])

    def test_a_crowd_is_cancelled_without_a_kill(self):
        """More actors than CPUs sleep in a barrier, and nobody may leave the others there."""
        for mode in MODES:
            before = self.daemon.call("Status")["daemon"]["restarts"]
            for _ in range(6):
                job = self.daemon.call("Race", scenario="lock-convoy", guard="none", mode=mode, actors=CPUS + 2,
                                       trials=10**12, detach=True)["id"]
                until(lambda: self.daemon.call("Jobs")["jobs"][0]["progress"]["done"], "it has begun")
                self.assertEqual("cancelled", self.daemon.call("Cancel", id=job)["state"])
            self.assertEqual(before, self.daemon.call("Status")["daemon"]["restarts"])

    def test_the_pool_is_as_before(self):
        self.race("counter", trials=20)
        for mode in MODES:
            self.assertEqual(1000, self.daemon.run(workload="nop", count=1000, mode=mode)["verified"])


class Killed(harness.Case):
    def begin(self, d, **parameters):
        job = d.call("Race", detach=True, **parameters)["id"]
        until(lambda: self.done(d), "it has begun")
        return job

    def done(self, d):
        return (d.call("Jobs")["jobs"][0]["progress"] or {"done": -1})["done"]

    def restarts(self, d):
        """Of the race so far; None once it has ended."""
        progress = d.call("Jobs")["jobs"][0]["progress"]
        return progress and progress["restarts"]

    def victims(self, d, kind):
        """Pids of workers on a seat; [None] once the race has ended."""
        pids = [w["pid"] for w in d.call("Status")["workers"] if w["kind"] == kind and w["state"] == "running"]
        return [None] if self.restarts(d) is None else pids

    def test_actors_are_killed_from_outside(self):
        for mode, kind in (("process", "process"), ("thread", "thread-host")):
            for guard in ("semaphore", "raw-semaphore", "mutex", "ticket"):
                with self.subTest(mode=mode, guard=guard):
                    d = self.start()
                    job = self.begin(d, scenario="counter", mode=mode, guard=guard, trials=1000)
                    for kill in range(3):
                        victims = until(lambda: self.victims(d, kind), "it goes on, or has ended")
                        if victims == [None]:
                            break
                        with contextlib.suppress(ProcessLookupError):  # it has gone with its gang
                            os.kill(victims[-1], signal.SIGKILL)
                        until(lambda k=kill: (n := self.restarts(d)) is None or n > k, "the death was seen")
                    # Each trial needs both actors on a CPU at once: 30 ms and more on a busy machine.
                    until(lambda: self.done(d) == -1, "it has ended", 8 * PATIENCE)
                    r = d.call("Wait", id=job)["race"]
                    self.assertEqual(("done", 1000, 0), (r["state"], r["done"], r["unknown"]), r["reason"])
                    assert_exact(self, 1000, r)
                    self.assertGreater(r["restarts"], 0)
                    self.assertGreater(r["dropped"], 0)

    def test_the_supervisor_is_killed(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                d = self.start()
                job = self.begin(d, scenario="sb", mode=mode, trials=10**12)
                d.kill()
                d.start()
                reply = d.call("Wait", id=job)
                self.assertEqual("interrupted", reply["state"])
                r = reply["race"]
                self.assertGreater(r["done"], 0)
                self.assertEqual(r["done"], sum(o["count"] for o in r["outcomes"]))
                again = d.call("Race", scenario="counter", permits=1, trials=20, mode=mode)["race"]
                self.assertEqual(20, again["done"])


class Refused(Races):
    def refused(self, field, allowed, **parameters):
        with self.assertRaises(Failed) as caught:
            self.daemon.call("Race", **parameters)
        self.assertEqual(("BadValue", field), (caught.exception.error, caught.exception.parameters["field"]),
                         caught.exception)
        self.assertRegex(caught.exception.parameters["allowed"], allowed)

    def test_values(self):
        self.refused("permits", "1 to 64", permits=0)
        self.refused("permits", "1 to 64", permits=65)
        self.refused("permits", "1", permits=2, guard="mutex")
        self.refused("permits", "nothing with guard none", permits=1, guard="none")
        self.refused("actors", "2 to 16", actors=17)
        self.refused("actors", "^2$", scenario="sb", actors=3)
        self.refused("actors", "2 to 16", actors=1)
        self.refused("trials", "1 to", trials=0)
        self.refused("scenario", "counter", scenario="countre")
        self.refused("guard", "mutex", guard="mutx")
        self.refused("barrier", "spin", barrier="spun")
        self.refused("hold", "loop", hold="lop")
        self.refused("mode", "process, thread", mode="sequential")
        self.refused("guard", "thread|serves|process", guard="gil", mode="process")
        self.refused("mode", "process", scenario="permit-leak", mode="thread")
        self.refused("duration_ns", "nothing", trials=5, duration_ns=5 * MS)
        self.refused("params.target", "1 to", params={"target": "0"})
        self.refused("params", "target", params={"targte": "5"})


if __name__ == "__main__":
    harness.main()
