#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run: every mode, option and limit of it, and every way in which tasks and jobs can end."""
import errno
import os
import signal
import subprocess
import time
import unittest

import harness
from harness import CALC_SUM, Client, Daemon, Failed, hex64

MODES = ("sequential", "process", "thread", "gil")
KINDS = {"sequential": "process", "process": "process", "thread": "thread", "gil": "thread"}
MS = 1_000_000
UNKNOWN_ID = "0123456789abcdef" * 2


class Shared(harness.Case):
    """One daemon for all tests of a class, with nothing running between them."""

    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("pool.max_workers=8", "pool.max_at_once=300", *cls.settings)
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None)

    def tearDown(self):
        for job in self.daemon.call("Jobs")["jobs"]:
            if job["state"] in ("queued", "running"):
                self.daemon.call("Cancel", id=job["id"])

    def run_job(self, **parameters):
        return self.daemon.run(**parameters)

    def jobs(self):
        return {j["id"]: j for j in self.daemon.call("Jobs")["jobs"]}

    def whole(self, result):
        """What must be true of every run by count in which nothing went wrong."""
        self.assertEqual(("done", None, 0, 0, 0, 0), tuple(
            result[k] for k in ("state", "reason", "failed", "wrong", "restarts", "resumed")))
        self.assertEqual((result["count"],) * 2, (result["done"], result["verified"]))
        self.assertEqual(result["count"], sum(w["tasks"] for w in result["workers_detail"]))
        self.assertEqual([], result["failures"])
        self.assertTrue(result["timing_valid"])
        return result


class Modes(Shared):
    def test_the_main_job(self):
        r = self.whole(self.run_job())
        self.assertEqual(("calc", "process", "pool", 1000), (r["workload"], r["mode"], r["spawn"], r["count"]))
        self.assertEqual(hex64(1000 * CALC_SUM), r["checksum"])

    def test_every_mode_does_the_same_work(self):
        for mode in MODES:
            with self.subTest(mode):
                r = self.whole(self.run_job(mode=mode, count=200))
                self.assertEqual(hex64(200 * CALC_SUM), r["checksum"])
                self.assertEqual(1 if mode == "sequential" else len(os.sched_getaffinity(0)), r["workers"])
                self.assertEqual({KINDS[mode]}, {w["kind"] for w in r["workers_detail"]})

    def test_every_mode_with_three_workers(self):
        for mode in MODES[1:]:
            with self.subTest(mode):
                r = self.whole(self.run_job(mode=mode, count=3000, workload="spin", params={"ns": "2000"}, workers=3))
                self.assertEqual((3, [0, 1, 2]), (r["workers"], [w["worker"] for w in r["workers_detail"]]))
                self.assertEqual(3, len({w["tid"] for w in r["workers_detail"]}))
                self.assertEqual(1 if KINDS[mode] == "thread" else 3, len({w["pid"] for w in r["workers_detail"]}))

    def test_more_workers_than_the_pool_come_and_leave(self):
        self.whole(self.run_job(mode="process", workload="nop", count=1000, workers=8))
        self.whole(self.run_job(mode="thread", workload="nop", count=1000, workers=8))

        def few():
            kinds = [w["kind"] for w in self.daemon.call("Status")["workers"] if w["state"] == "idle"]
            return (kinds.count("process"), kinds.count("thread")) == (2, 2)
        harness.until(few, "only the pre-forked workers are left")

    def test_results_do_not_depend_on_the_mode(self):
        for workload, params in (("nop", {}), ("spin", {"ns": "100"}), ("sleep", {"us": "10"})):
            sums = {self.whole(self.run_job(mode=mode, workload=workload, params=params, count=777))["checksum"]
                    for mode in MODES}
            self.assertEqual(1, len(sums), (workload, sums))

    def test_a_huge_count_is_accepted_and_cancelled(self):
        client = self.daemon.connect()
        client.send("Run", more=True, id=UNKNOWN_ID, workload="nop", count=10**15)
        while not (client.receive()[0]["progress"] or {}).get("done"):
            pass
        self.daemon.call("Cancel", id=UNKNOWN_ID)
        continues = True
        while continues:
            reply, continues = client.receive()
        self.assertEqual(("cancelled", 10**15), (reply["state"], reply["result"]["count"]))
        self.assertEqual(reply["result"]["done"], reply["result"]["verified"])
        client.close()

    def test_calc_gains_from_processes_and_threads_but_not_under_the_interpreter_lock(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        runs = {mode: self.run_job(mode=mode, count=1000) for mode in MODES}
        for mode in ("sequential", "gil"):
            self.assertLess(runs[mode]["cores_busy"], 1.2, mode)
        # A busy machine makes both slower; who waits for a CPU is not at work.
        for mode in ("process", "thread"):
            r = runs[mode]
            wanted = r["user_s"] + r["system_s"] + sum(w["run_queue_wait_s"] for w in r["workers_detail"])
            self.assertGreater(wanted / r["wall_s"], 1.5, mode)

    def test_the_interpreter_lock_costs_waiting(self):
        r = self.whole(self.run_job(mode="gil", count=40, workload="spin", params={"ns": "10000000"}, workers=2))
        total = lambda name: sum(w[name] for w in r["workers_detail"])
        self.assertGreater(total("lock_wait_s"), 0)
        self.assertGreater(total("lock_switches"), 0)
        # Two threads for the whole run: who does not work, and does not wait for a CPU, waits for the lock.
        accounted = r["user_s"] + r["system_s"] + total("run_queue_wait_s") + total("lock_wait_s")
        self.assertGreater(accounted / r["wall_s"], 1.3)
        r = self.whole(self.run_job(mode="thread", count=20, workload="spin", params={"ns": "1000000"}, workers=2))
        self.assertEqual(0, sum(w["lock_wait_s"] for w in r["workers_detail"]))

    def test_sleeping_tasks_overlap_even_under_the_interpreter_lock(self):
        r = self.whole(self.run_job(mode="gil", workload="sleep", params={"us": "20000"}, count=40, workers=4))
        blocked = sum(w["blocked_s"] for w in r["workers_detail"])
        self.assertGreater(blocked, 0.7)
        self.assertLess(r["wall_s"], blocked / 1.5)  # no less than all of it, one after another


class Spawn(Shared):
    def test_a_fresh_child_for_each_task(self):
        for mode in ("process", "thread"):
            with self.subTest(mode):
                r = self.whole(self.run_job(mode=mode, spawn="per-task", count=60, workers=2))
                self.assertEqual(("per-task", 2, hex64(60 * CALC_SUM)), (r["spawn"], r["workers"], r["checksum"]))

    def test_all_tasks_at_once(self):
        for mode in ("process", "thread"):
            with self.subTest(mode):
                r = self.whole(self.run_job(mode=mode, spawn="per-task", workers=0, count=100, workload="sleep",
                                            params={"us": "200000"}))
                self.assertEqual(("per-task", 0), (r["spawn"], r["workers"]))
                self.assertLess(r["wall_s"], 10)  # 20 s one after another

    def test_all_at_once_is_limited(self):
        given, allowed = self.refused(self.daemon, "Run", "count", spawn="per-task", workers=0, count=301)
        self.assertEqual("301", given)
        self.assertIn("300", allowed)

    def test_tasks_that_fail_in_a_fresh_child(self):
        for mode in ("process", "thread"):
            for kind, reason, value in (("error", "error", errno.EIO), ("wrong", "wrong", None)):
                with self.subTest(mode=mode, kind=kind):
                    r = self.run_job(mode=mode, spawn="per-task", workload="fail", params={"kind": kind, "at": "7"}, count=20,
                                     workers=2)
                    self.assertEqual((20, 19, 1), (r["done"], r["verified"], r["failed"]))
                    self.assertEqual([(7, reason)], [(f["index"], f["reason"]) for f in r["failures"]])

    def test_only_process_and_thread_have_it(self):
        for mode in ("sequential", "gil"):
            self.refused(self.daemon, "Run", "spawn", mode=mode, spawn="per-task")


class Options(Shared):
    settings = ("jobs.ledger_chunks=900",)

    def test_counts(self):
        for count in (1, 2, 3, 63, 64, 65, 999, 100_003):
            with self.subTest(count):
                self.whole(self.run_job(workload="nop", count=count))

    def test_a_count_below_the_number_of_workers(self):
        self.whole(self.run_job(workload="nop", count=2, workers=8))

    def test_a_count_that_the_ledger_cannot_hold_is_refused(self):
        """A line counts to 2**40 - 1; nine hundred of them do not reach 10**15."""
        given, allowed = self.refused(self.daemon, "Run", "count", workload="nop", count=10**15)
        self.assertEqual(str(10**15), given)
        self.assertIn("900 lines", allowed)

    def test_durations(self):
        for mode in MODES:
            with self.subTest(mode):
                r = self.run_job(mode=mode, workload="spin", params={"ns": "10000"}, duration_ns=150 * MS)
                self.assertEqual(("done", None, 0.15), (r["state"], r["count"], r["duration_s"]))
                self.assertGreater(r["done"], 100)
                self.assertEqual((r["done"], 0), (r["verified"], r["failed"]))
                self.assertEqual(r["done"], sum(w["tasks"] for w in r["workers_detail"]))
                # The wall time ends with the last task; under the lock that may be one switch before the end.
                self.assertGreaterEqual(r["wall_s"], 0.135)

    def test_warmup_is_not_counted(self):
        r = self.whole(self.run_job(workload="spin", params={"ns": "1000"}, count=500, warmup=700))
        self.assertEqual(700, r["warmup"])
        self.assertEqual(500, r["done"])

    def test_chunks(self):
        for chunk in (1, 7, 100, 5000):
            with self.subTest(chunk):
                r = self.whole(self.run_job(workload="nop", count=700, chunk=chunk))
                self.assertEqual(chunk, r["chunk"])
                self.assertGreaterEqual(r["chunks"] * r["chunk"], 700)

    def test_a_chunk_that_needs_too_many_lines_is_refused_with_the_figure(self):
        given, allowed = self.refused(self.daemon, "Run", "chunk", workload="nop", count=10**6, chunk=10)
        self.assertEqual("10", given)
        self.assertIn("900", allowed)

    def test_cpus(self):
        cpus = sorted(os.sched_getaffinity(0))
        r = self.whole(self.run_job(count=100, cpus=cpus[:1], workers=2))
        self.assertEqual(cpus[:1], r["environment"]["cpus"])
        self.assertLess(r["cores_busy"], 1.15)
        r = self.whole(self.run_job(count=100, cpus=cpus))
        self.assertEqual(cpus, r["environment"]["cpus"])

    def test_params(self):
        r = self.whole(self.run_job(workload="spin", params={"ns": "2e3"}, count=10))
        self.assertEqual({"ns": "2000"}, r["params"])
        # The task is the same length for who asks for more of it.
        self.assertGreater(self.run_job(workload="spin", params={"ns": "5000000"}, count=4, mode="sequential")["wall_s"], 0.005)

    def test_a_given_id_is_kept(self):
        self.assertEqual("ab" * 16, self.run_job(id="ab" * 16, workload="nop", count=5)["id"])

    def test_latency_of_long_tasks_is_of_each(self):
        latency = self.run_job(workload="spin", params={"ns": "1000000"}, count=50)["latency_ns"]
        self.assertEqual(("each", 1, 50, None), tuple(latency[k] for k in ("method", "every", "samples", "max_sampled")))
        # How long a spin takes depends on the clock of the CPU; that it is not a few ns does not.
        self.assertGreaterEqual(latency["p50"], 300_000)
        ordered = [latency[k] for k in ("p50", "p90", "p99", "p99_9", "max")]
        self.assertEqual(sorted(ordered), ordered)

    def test_latency_of_short_tasks_is_sampled(self):
        latency = self.run_job(workload="nop", count=1_000_000)["latency_ns"]
        self.assertEqual(("sampled", None), (latency["method"], latency["max"]))
        self.assertGreater(latency["every"], 1)
        self.assertLess(latency["samples"], 1_000_000)
        self.assertIsNotNone(latency["max_sampled"])

    def test_figures_agree_with_each_other(self):
        r = self.whole(self.run_job(count=400))
        self.assertTrue(r["cpu_complete"])
        self.assertAlmostEqual(r["done"] / r["wall_s"], r["tasks_per_s"], delta=r["tasks_per_s"] * 0.01)
        self.assertAlmostEqual((r["user_s"] + r["system_s"]) / r["wall_s"], r["cores_busy"], delta=0.02)
        self.assertAlmostEqual(r["user_s"], sum(w["user_s"] for w in r["workers_detail"]), delta=0.05)
        e = r["environment"]
        self.assertEqual((os.uname().release, os.uname().machine), (e["kernel"], e["machine"]))
        self.assertTrue(e["libc"] and e["compiler"] and e["clock"])


class Refused(Shared):
    BAD = [
        ("count", dict(count=0)), ("count", dict(count=-1)), ("count", dict(count=10**15 + 1)), ("count", dict(count=2**63 - 1)),
        ("duration_ns", dict(duration_ns=0)), ("duration_ns", dict(duration_ns=-5)),
        ("duration_ns", dict(count=5, duration_ns=10**9)),
        ("mode", dict(mode="")), ("mode", dict(mode="fibre")), ("spawn", dict(spawn="fork")),
        ("workload", dict(workload="")), ("workload", dict(workload="Calc")), ("workload", dict(workload="x" * 10000)),
        ("params", dict(params={"ns": "5"})), ("params", dict(workload="spin", params={"": "5"})),
        ("params.ns", dict(workload="spin", params={"ns": "-1"})), ("params.ns", dict(workload="spin", params={"ns": ""})),
        ("params.ns", dict(workload="spin", params={"ns": "1e3x"})), ("params.ns", dict(workload="spin", params={"ns": "NaN"})),
        ("params.ns", dict(workload="spin", params={"ns": "1.5"})), ("params.ns", dict(workload="spin", params={"ns": "9" * 30})),
        ("params.kind", dict(workload="fail", params={"kind": "explode"})),
        ("workers", dict(workers=0)), ("workers", dict(workers=-1)), ("workers", dict(workers=9)),
        ("workers", dict(mode="sequential", workers=2)), ("workers", dict(spawn="per-task", workers=9)),
        ("chunk", dict(chunk=0)), ("chunk", dict(chunk=-1)), ("chunk", dict(chunk=10, duration_ns=10**9)),
        ("warmup", dict(warmup=-1)), ("warmup", dict(warmup=10**15 + 1)),
        ("timeout_ns", dict(timeout_ns=0)), ("timeout_ns", dict(timeout_ns=-1)),
        ("timeout_ns", dict(spawn="per-task", workers=0, count=10, timeout_ns=10**9)),
        ("deadline_ns", dict(deadline_ns=0)), ("deadline_ns", dict(deadline_ns=-1)),
        ("cpus", dict(cpus=[])), ("cpus", dict(cpus=[-1])), ("cpus", dict(cpus=[100000])), ("cpus", dict(cpus=[2**62])),
        ("id", dict(id="")), ("id", dict(id="xyz")), ("id", dict(id="A" * 32)), ("id", dict(id="0" * 33)),
    ]

    def test_bad_values_are_named(self):
        for field, parameters in self.BAD:
            with self.subTest(field=field, parameters=str(parameters)[:60]):
                self.refused(self.daemon, "Run", field, **parameters)
        self.assertEqual({}, self.jobs(), "a refused job is known")

    def test_a_time_limit_for_tasks_that_all_run_at_once_is_refused_by_concctl_too(self):
        said = self.daemon.ctl("run", "--spawn=per-task", "--workers=0", "--count=10", "--timeout=1s")
        self.assertEqual((64, ""), (said.code, said.stdout))
        self.assertIn("--timeout", said.stderr)
        self.assertIn("deadline", said.stderr)

    def test_unknown_jobs(self):
        for method in ("Wait", "Cancel"):
            with self.assertRaises(Failed) as caught:
                self.daemon.call(method, id=UNKNOWN_ID)
            self.assertEqual(("NoSuchJob", {"id": UNKNOWN_ID}), (caught.exception.error, caught.exception.parameters))


class Failures(Shared):
    """Tasks that go wrong, in each mode: the others are done, the failed ones named."""

    settings = ("jobs.max_restarts=20",)

    def failing(self, kind, mode, **parameters):
        params = {"kind": kind, "at": "30", **parameters.pop("params", {})}
        return self.run_job(workload="fail", params=params, mode=mode, count=parameters.pop("count", 100), **parameters)

    def one_failed(self, result, reason, value):
        self.assertEqual(("failed", 100, 99, 1), tuple(result[k] for k in ("state", "done", "verified", "failed")), result)
        self.assertIn("1 of 100", result["reason"])
        self.assertEqual([(30, reason)], [(f["index"], f["reason"]) for f in result["failures"]])
        if value is not None:
            self.assertEqual(value, result["failures"][0]["value"])

    def test_error(self):
        for mode in MODES:
            with self.subTest(mode):
                r = self.failing("error", mode)
                self.one_failed(r, "error", errno.EIO)
                self.assertEqual((0, 0), (r["restarts"], r["wrong"]))

    def test_a_task_that_is_always_killed_ends_the_job(self):
        for mode in ("process", "thread"):
            for settings, reason in ((("jobs.max_kills_in_vain=4",), "workers were killed 5 times in a row with no task done"),
                                     (("jobs.max_restarts=3",), "4 workers were killed from outside in one run")):
                with self.subTest(mode=mode, reason=reason):
                    r = self.start(*settings).run(workload="fail", params={"kind": "kill", "at": "2"}, count=10, mode=mode)
                    self.assertEqual("failed", r["state"])
                    self.assertLess(r["done"], 10)
                    self.assertIn(reason, r["reason"])

    def test_a_run_that_is_cut_short_has_possible_rates(self):
        # CPU time that tasks used in vain belongs to the wall, too.
        for mode in ("process", "thread", "gil"):
            r = self.run_job(workload="spin", params={"ns": "30000000000"}, mode=mode, count=4, deadline_ns=300_000_000)
            self.assertEqual(("failed", 0, None), (r["state"], r["done"], r["latency_ns"]))
            self.assertGreater(r["wall_s"], 0.2)
            self.assertLess(r["cores_busy"], os.cpu_count() * 1.1)

    def test_wrong_result(self):
        for mode in MODES:
            with self.subTest(mode):
                r = self.failing("wrong", mode)
                self.one_failed(r, "wrong", None)
                self.assertEqual((0, 1), (r["restarts"], r["wrong"]))

    def test_death_by_its_own_signal_is_tried_three_times(self):
        for kind, sig in (("segv", signal.SIGSEGV), ("abort", signal.SIGABRT)):
            for mode in MODES:
                with self.subTest(kind=kind, mode=mode):
                    r = self.failing(kind, mode)
                    self.one_failed(r, "signal", sig)
                    self.assertEqual(3, r["restarts"])

    def test_exit_is_tried_three_times(self):
        for mode in MODES:
            with self.subTest(mode):
                r = self.failing("exit", mode)
                self.one_failed(r, "exit", 3)
                self.assertEqual(3, r["restarts"])

    def test_a_task_that_hangs_is_given_up_after_its_time(self):
        for mode in MODES:
            with self.subTest(mode):
                r = self.failing("hang", mode, timeout_ns=200 * MS)
                self.one_failed(r, "timeout", None)
                self.assertEqual(1, r["restarts"])
                self.assertEqual(200 * MS, r["timeout_ns"])

    def test_a_timeout_does_not_hit_tasks_that_are_quick(self):
        r = self.run_job(workload="sleep", params={"us": "1000"}, count=400, timeout_ns=300 * MS, mode="thread")
        self.assertEqual((400, 0), (r["verified"], r["restarts"]))

    def test_death_by_a_foreign_kill_is_free_up_to_a_limit(self):
        for mode in ("process", "thread"):
            with self.subTest(mode):
                r = self.failing("kill", mode)
                self.assertEqual("failed", r["state"])
                self.assertIn("max_restarts", r["reason"])
                self.assertGreater(r["restarts"], 20)
                self.assertEqual(r["done"], r["verified"])

    def test_deaths_by_own_fault_do_not_count_as_kills(self):
        """Each task dies three times and its worker is replaced as often: far more than max_restarts allows."""
        r = self.failing("segv", "process", params={"every": "1", "at": "0"}, count=400)
        self.assertEqual(("failed", "400 of 400 tasks failed", 400, 400, 0), tuple(
            r[k] for k in ("state", "reason", "done", "failed", "verified")))
        self.assertEqual(1200, r["restarts"])

    def test_many_failures(self):
        r = self.failing("error", "process", params={"every": "10", "at": "0"}, count=1000)
        self.assertEqual((1000, 900, 100), (r["done"], r["verified"], r["failed"]))
        self.assertTrue(all(f["index"] % 10 == 0 for f in r["failures"]))
        self.assertEqual(len(r["failures"]), len({f["index"] for f in r["failures"]}))

    def test_the_pool_is_whole_again_after_failures(self):
        self.failing("segv", "process")
        self.failing("segv", "thread")
        for mode in ("process", "thread"):
            self.whole(self.run_job(mode=mode, workload="nop", count=1000))


class Ends(Shared):
    """Jobs that do not run to their end, and callers that do not stay to theirs."""

    def long(self, **parameters):
        return {"workload": "sleep", "params": {"us": "1000"}, "count": 10**6, **parameters}

    def begin(self, client, **parameters):
        client.send("Run", more=True, **self.long(**parameters))
        while True:
            reply = client.receive()[0]
            if (reply["progress"] or {}).get("done"):
                return reply["id"]

    def finish(self, client):
        continues = True
        while continues:
            reply, continues = client.receive()
        return reply

    def partial(self, result):
        self.assertGreater(result["done"], 0)
        self.assertLess(result["done"], 10**6)
        self.assertEqual((result["done"], 0), (result["verified"], result["failed"]))
        self.assertEqual(result["done"], sum(w["tasks"] for w in result["workers_detail"]))

    def test_cancel_gives_the_partial_result(self):
        for mode in MODES:
            with self.subTest(mode), Client(self.daemon.path) as client:
                job = self.begin(client, mode=mode)
                began = time.monotonic()
                self.assertEqual({"id": job, "state": "cancelled"}, self.daemon.call("Cancel", id=job))
                self.assertLess(time.monotonic() - began, 5)
                reply = self.finish(client)
                self.assertEqual("cancelled", reply["state"])
                self.partial(reply["result"])

    def test_cancel_kills_who_does_not_listen(self):
        for mode in ("process", "thread"):
            with self.subTest(mode), Client(self.daemon.path) as client:
                client.send("Run", more=True, workload="fail", params={"kind": "hang", "at": "5"}, count=100, mode=mode)
                job = client.receive()[0]["id"]
                time.sleep(0.3)
                self.assertEqual("cancelled", self.daemon.call("Cancel", id=job)["state"])
                self.assertEqual("cancelled", self.finish(client)["state"])

    def test_cancel_of_a_job_that_has_ended_leaves_it(self):
        job = self.run_job(workload="nop", count=5)["id"]
        self.assertEqual({"id": job, "state": "done"}, self.daemon.call("Cancel", id=job))

    def test_cancel_of_a_queued_job(self):
        with Client(self.daemon.path) as first, Client(self.daemon.path) as second:
            self.begin(first)
            second.send("Run", **self.long(id="12" * 16))
            harness.until(lambda: "12" * 16 in self.jobs(), "the second job is known")
            self.assertEqual("queued", self.jobs()["12" * 16]["state"])
            self.assertEqual("cancelled", self.daemon.call("Cancel", id="12" * 16)["state"])
            self.assertEqual("cancelled", self.finish(second)["state"])

    def begin_warmup(self, client, **parameters):
        client.send("Run", more=True, **self.long(count=100, warmup=10**6, **parameters))
        while True:
            reply = client.receive()[0]
            if (reply["progress"] or {}).get("done"):
                self.assertTrue(reply["progress"]["warming_up"])
                return reply["id"]

    def test_a_warmup_that_is_cancelled_has_no_result(self):
        with Client(self.daemon.path) as client:
            job = self.begin_warmup(client)
            self.assertEqual("cancelled", self.daemon.call("Cancel", id=job)["state"])
            reply = self.finish(client)
            self.assertEqual(("cancelled", None), (reply["state"], reply["result"]))
            self.assertEqual(reply["reason"], self.daemon.call("Wait", id=job)["reason"])

    def test_a_warmup_that_meets_its_deadline_has_no_result(self):
        with Client(self.daemon.path) as client:
            reply = client.call("Run", **self.long(count=100, warmup=10**6, deadline_ns=200 * MS))
        self.assertEqual(("failed", None), (reply["state"], reply["result"]))
        self.assertIn("deadline", reply["reason"])

    def test_concctl_says_how_a_job_without_result_ended(self):
        warmup = ("run", "--workload=sleep", "--param=us=1000", "--count=100", "--warmup=1e6")
        for options in ((), ("--quiet",)):
            said = self.daemon.ctl(*warmup, "--deadline=200ms", *options)
            self.assertEqual((1, ""), (said.code, said.stdout))
            self.assertRegex(said.stderr, r"^concctl: job [0-9a-f]{32}: failed: its deadline of 0.2 s has passed\n$")
        said = self.daemon.ctl(*warmup, "--deadline=200ms", "--json")
        self.assertEqual((1, "failed", None), (said.code, said.json()["state"], said.json()["result"]))
        job = "9a" * 16
        caller = subprocess.Popen([harness.CONCCTL, *warmup, "--id=" + job], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=harness.concctl_environment({"CONCD_SOCKET": self.daemon.path}))
        self.addCleanup(lambda: (caller.kill(), caller.communicate()))
        harness.until(lambda: (self.jobs().get(job, {}).get("progress") or {}).get("done"), "the warm-up has begun")
        caller.send_signal(signal.SIGINT)
        out, err = caller.communicate(timeout=harness.PATIENCE)
        self.assertEqual((130, ""), (caller.returncode, out))
        self.assertIn("concctl: job %s: cancelled" % job, err)

    def test_a_deadline_ends_the_job_with_what_was_done(self):
        with Client(self.daemon.path) as client:
            began = time.monotonic()
            reply = client.call("Run", **self.long(deadline_ns=300 * MS))
            self.assertGreater(time.monotonic() - began, 0.29)
            self.assertEqual("failed", reply["state"])
            self.assertIn("deadline", reply["reason"])
            self.partial(reply["result"])

    def test_a_caller_that_goes_takes_its_job_along(self):
        client = Client(self.daemon.path)
        job = self.begin(client)
        client.close()
        harness.until(lambda: self.jobs()[job]["state"] == "cancelled", "the job is cancelled")

    def test_a_caller_that_goes_while_its_job_waits(self):
        with Client(self.daemon.path) as first:
            self.begin(first)
            second = Client(self.daemon.path)
            second.send("Run", **self.long(id="34" * 16))
            harness.until(lambda: "34" * 16 in self.jobs(), "the second job is known")
            second.close()
            harness.until(lambda: self.jobs()["34" * 16]["state"] == "cancelled", "the waiting job is cancelled")

    def test_a_detached_job_outlives_its_caller(self):
        with Client(self.daemon.path) as client:
            reply = client.call("Run", workload="sleep", params={"us": "1000"}, count=300, detach=True)
            self.assertIn(reply["state"], ("queued", "running"))
            self.assertIsNone(reply["result"])
        self.assertTrue(self.jobs()[reply["id"]]["detached"])
        result = self.daemon.call("Wait", id=reply["id"])["result"]
        self.assertEqual((300, "done"), (result["verified"], result["state"]))
        self.assertEqual(result, self.daemon.call("Wait", id=reply["id"])["result"], "a result is kept")

    def test_a_known_id_attaches(self):
        with Client(self.daemon.path) as first, Client(self.daemon.path) as second:
            parameters = dict(workload="sleep", params={"us": "1000"}, count=800, id="56" * 16)
            first.send("Run", **parameters)
            harness.until(lambda: "56" * 16 in self.jobs(), "the job is known")
            second.send("Run", **parameters)
            a, b = first.receive()[0], second.receive()[0]
            self.assertEqual(a["result"], b["result"])
            self.assertEqual(800, a["result"]["done"])
            self.assertEqual(a["result"], self.daemon.run(**parameters), "also after its end")

    def test_a_known_id_that_is_detached_outlives_its_first_caller(self):
        first = Client(self.daemon.path)
        job = self.begin(first, count=600, id="9c" * 16)
        with Client(self.daemon.path) as second:
            reply = second.call("Run", **self.long(count=600, id=job, detach=True))
            self.assertEqual(("running", None), (reply["state"], reply["result"]))
        self.assertTrue(self.jobs()[job]["detached"])
        first.close()
        reply = self.daemon.call("Wait", id=job)
        self.assertEqual(("done", 600), (reply["state"], reply["result"]["verified"]))

    def test_a_job_stays_while_one_of_its_callers_does(self):
        with Client(self.daemon.path) as stays:
            leaves = Client(self.daemon.path)
            job = self.begin(leaves, count=700, id="78" * 16)
            stays.send("Run", more=True, **self.long(count=700, id=job))
            stays.receive()
            leaves.close()
            self.assertEqual(("done", 700), (lambda r: (r["state"], r["result"]["done"]))(self.finish(stays)))

    def test_waiting_is_no_ownership(self):
        owner, waiter = Client(self.daemon.path), Client(self.daemon.path)
        job = self.begin(owner)
        waiter.send("Wait", id=job)
        time.sleep(0.05)
        owner.close()
        self.assertEqual("cancelled", waiter.receive()[0]["state"])
        waiter.close()

    def test_progress_is_streamed(self):
        with Client(self.daemon.path) as client:
            replies = list(client.more("Run", workload="sleep", params={"us": "5000"}, count=200, workers=2))
        running = [r["progress"] for r in replies if r["state"] == "running" and r["progress"]]
        self.assertGreaterEqual(len(running), 2)
        done = [p["done"] for p in running]
        self.assertEqual(sorted(done), done)
        self.assertTrue(all(p["total"] == 200 and p["rounds"] == 1 for p in running))
        self.assertEqual(200, replies[-1]["result"]["done"])
        self.assertTrue(all(r["result"] is None for r in replies[:-1]))

    def test_a_caller_without_more_gets_one_reply(self):
        with Client(self.daemon.path) as client:
            client.send("Run", workload="nop", count=10)
            self.assertEqual(False, client.receive()[1])


class Queue(harness.Case):
    def long(self, **parameters):
        return {"workload": "sleep", "params": {"us": "1000"}, "count": 10**6, "detach": True, **parameters}

    def cancel_all(self, d):
        for job in reversed(d.call("Jobs")["jobs"]):
            if job["state"] in ("queued", "running"):
                d.call("Cancel", id=job["id"])

    def test_jobs_wait_in_order(self):
        d = self.start()
        ids = [d.call("Run", **self.long(count=30))["id"] for _ in range(5)]
        positions = {j["id"]: (j["progress"] or {}).get("position") for j in d.call("Jobs")["jobs"] if j["state"] == "queued"}
        self.assertEqual(sorted(positions.values()), [positions[i] for i in ids if i in positions])
        for i in ids:
            self.assertEqual("done", d.call("Wait", id=i)["state"])

    def test_one_runs_at_a_time(self):
        d = self.start()
        for _ in range(4):
            d.call("Run", **self.long())
        harness.until(lambda: [j for j in d.call("Jobs")["jobs"] if j["state"] == "running"], "one runs")
        states = [j["state"] for j in d.call("Jobs")["jobs"]]
        self.assertEqual((1, 3), (states.count("running"), states.count("queued")))
        self.cancel_all(d)

    def busy(self, d):
        with self.assertRaises(Failed) as caught:
            d.call("Run", **self.long())
        self.assertEqual("Busy", caught.exception.error, caught.exception)
        self.assertTrue(caught.exception.parameters["what"])
        return caught.exception.parameters["limit"]

    def test_the_queue_is_bounded(self):
        d = self.start("jobs.queue_per_user=2", "jobs.queue=2")
        for _ in range(3):
            d.call("Run", **self.long())
        self.assertEqual(2, self.busy(d))
        self.cancel_all(d)

    def test_the_queue_of_one_user_is_bounded(self):
        d = self.start("jobs.queue_per_user=1")
        for _ in range(2):
            d.call("Run", **self.long())
        self.assertEqual(1, self.busy(d))
        self.cancel_all(d)

    def test_a_default_deadline_bounds_every_job(self):
        d = self.start("jobs.deadline=300ms")
        reply = d.call("Run", **self.long(detach=False))
        self.assertEqual("failed", reply["state"])
        self.assertIn("deadline", reply["reason"])

    def test_old_results_are_forgotten(self):
        d = self.start("jobs.keep_results=3")
        ids = [d.run(workload="nop", count=5)["id"] for _ in range(6)]
        self.assertEqual(set(ids[3:]), {j["id"] for j in d.call("Jobs")["jobs"]})

    def test_jobs_that_are_cancelled_while_they_wait_are_forgotten_too(self):
        d = self.start("jobs.keep_results=3")
        running = d.call("Run", **self.long())["id"]
        waiting = [d.call("Run", **self.long())["id"] for _ in range(8)]
        for n, job in enumerate(waiting, 1):
            self.assertEqual("cancelled", d.call("Cancel", id=job)["state"])
            ended = [j["id"] for j in d.call("Jobs")["jobs"] if j["state"] == "cancelled"]
            self.assertLessEqual(len(ended), 3, n)
            self.assertEqual(job, ended[0], "the last one is known")
        d.call("Cancel", id=running)

    # Other users. Whom the kernel names is whose effective id it was at the time of connect(2).

    def as_user(self, d, uid):
        if os.getuid() != 0:
            self.skipTest("only root can be several users")
        os.chmod(d.folder, 0o755)
        os.seteuid(uid)
        try:
            return Client(d.path)
        finally:
            os.seteuid(0)

    def test_users_take_turns(self):
        d = self.start("daemon.socket_mode=0666")
        running = d.call("Run", **self.long())["id"]
        mine = [d.call("Run", **self.long(count=10))["id"] for _ in range(3)]
        with self.as_user(d, 4242) as other:
            theirs = other.call("Run", **self.long(count=10))["id"]
            positions = {j["id"]: (j["progress"] or {}).get("position") for j in d.call("Jobs")["jobs"]}
            self.assertEqual(1, positions[theirs])
            self.assertEqual([2, 3, 4], [positions[i] for i in mine])
            d.call("Cancel", id=running)
            self.assertEqual("done", other.call("Wait", id=theirs)["state"])
        for i in mine:
            self.assertEqual("done", d.call("Wait", id=i)["state"])

    def test_a_long_queue_is_told_quickly_and_in_the_order_in_which_it_then_runs(self):
        d = self.start("daemon.socket_mode=0666", "jobs.queue=300", "jobs.queue_per_user=300", "jobs.keep_results=400")
        running = d.call("Run", **self.long())["id"]
        with self.as_user(d, 4242) if os.getuid() == 0 else d.connect() as other, d.connect() as mine:
            # A block of the one, a block of the other, then both mixed.
            for client in [mine] * 100 + [other] * 50 + [mine, other] * 75:
                client.call("Run", workload="nop", count=1, detach=True)
        began = time.monotonic()
        for _ in range(50):
            jobs = d.call("Status")["jobs"]
        self.assertLess(time.monotonic() - began, 20)  # thousandths of it are expected
        told = [j["id"] for j in jobs if j["state"] == "queued"]
        self.assertEqual(list(range(1, 301)), [j["progress"]["position"] for j in jobs if j["state"] == "queued"])
        d.call("Cancel", id=running)
        for job in told:
            self.assertEqual("done", d.call("Wait", id=job)["state"])
        # Ended ones are listed with the last one first.
        ran = [j["id"] for j in d.call("Jobs")["jobs"] if j["state"] == "done"][::-1]
        self.assertEqual(told, ran)

    def test_users_cannot_end_what_is_not_theirs(self):
        d = self.start("daemon.socket_mode=0666")
        job = d.call("Run", **self.long())["id"]
        for method, parameters in (("Cancel", {"id": job}), ("Stop", {}), ("Run", self.long(id=job))):
            with self.subTest(method), self.as_user(d, 4242) as other:
                with self.assertRaises(Failed) as caught:
                    other.call(method, **parameters)
                self.assertEqual("NotPermitted", caught.exception.error)
        self.assertEqual("running", d.call("Jobs")["jobs"][0]["state"])
        d.call("Cancel", id=job)

    def test_root_may_cancel_a_users_job(self):
        d = self.start("daemon.socket_mode=0666")
        with self.as_user(d, 4242) as other:
            job = other.call("Run", **self.long())["id"]
        self.assertEqual("cancelled", d.call("Cancel", id=job)["state"])


if __name__ == "__main__":
    harness.main()
