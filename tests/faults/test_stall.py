#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Workers that are stopped, or hang while others wait for them: found by the heartbeat, killed, recovered."""
import os
import signal
import subprocess
import threading
import unittest

from harness import Case, main, until

ID = "%032x" % 1


class Stall(Case):
    def begin(self, d, **parameters):
        d.call("Run", id=ID, detach=True, **parameters)
        until(lambda: d.call("Jobs")["jobs"][0]["progress"]["done"], "the job has begun")

    def workers(self, d, kind="process"):
        return [w for w in d.call("Status")["workers"] if w["kind"] == kind and w["pid"] > 1]

    def stop(self, pid):
        """Stopped now, and not only soon."""
        os.kill(pid, signal.SIGSTOP)

        def stopped():
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                return f.read().rpartition(")")[2].split()[0] == "T"
        until(stopped, "it is stopped")

    def told(self, d, text):
        return [line for line in d.log().splitlines() if text in line]


class Stopped(Stall):
    def exact_after_a_stop(self, kind, **parameters):
        d = self.start("jobs.heartbeat=400ms")
        self.begin(d, workload="sleep", count=3000, params={"us": "1000"}, **parameters)
        self.stop(self.workers(d, kind)[0]["pid"])
        result = d.call("Wait", id=ID)["result"]
        self.assertEqual((3000, 0, 1), (result["verified"], result["failed"], result["restarts"]), d.log())
        self.assertEqual(3000, sum(w["tasks"] for w in result["workers_detail"]))
        self.assertEqual(1, len(self.told(d, "is stopped; it is killed")))

    def test_a_process_worker(self):
        self.exact_after_a_stop("process")

    def test_the_thread_host(self):
        self.exact_after_a_stop("thread-host", mode="thread")

    def test_under_the_interpreter_lock(self):
        self.exact_after_a_stop("thread-host", mode="gil")

    def test_the_worker_of_a_child_for_each_task(self):
        self.exact_after_a_stop("process", spawn="per-task")

    def test_a_worker_that_is_idle_when_the_job_comes(self):
        for kind, mode in (("process", "process"), ("thread-host", "thread")):
            with self.subTest(mode=mode):
                d = self.start("jobs.heartbeat=400ms")
                self.stop(self.workers(d, kind)[0]["pid"])
                result = d.run(workload="nop", mode=mode, count=100000)
                self.assertEqual((100000, 0), (result["verified"], result["failed"]))
                self.assertEqual(1, len(self.told(d, "is stopped; it is killed")))

    def test_all_of_them(self):
        d = self.start("jobs.heartbeat=400ms", "pool.processes=4")
        self.begin(d, workload="sleep", count=2000, params={"us": "2000"}, workers=4)
        for worker in self.workers(d):
            self.stop(worker["pid"])
        result = d.call("Wait", id=ID)["result"]
        self.assertEqual((2000, 4), (result["verified"], result["restarts"]))

    def test_only_when_it_is_asked_for(self):
        d = self.start("jobs.heartbeat=0")
        self.begin(d, workload="sleep", count=1000, params={"us": "1000"})
        pid = self.workers(d)[0]["pid"]
        self.stop(pid)
        threading.Event().wait(1)
        self.assertEqual("running", d.call("Jobs")["jobs"][0]["state"])
        os.kill(pid, signal.SIGCONT)
        result = d.call("Wait", id=ID)["result"]
        self.assertEqual((1000, 0), (result["verified"], result["restarts"]))

    def test_a_daemon_that_was_stopped_with_all_its_workers(self):
        """As by Ctrl-Z: nobody has done anything wrong."""
        d = self.start("jobs.heartbeat=400ms")
        self.begin(d, workload="sleep", count=2000, params={"us": "1000"})
        pids = [d.process.pid] + [w["pid"] for w in self.workers(d)]
        for pid in pids:
            self.stop(pid)
        threading.Event().wait(1)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        result = d.call("Wait", id=ID)["result"]
        self.assertEqual((2000, 0), (result["verified"], result["restarts"]))


class Late(Stall):
    @unittest.skipIf(os.environ.get("CONCD_SANITIZED") == "1", "a sanitizer's runtime must be loaded first")
    def test_only_the_task_that_was_late_is_given_up(self):
        """The kill comes when the late task is done, and its worker at another one."""
        d = self.start(environment={"LD_PRELOAD": os.environ["LATE_KILL"]})
        self.begin(d, workload="sleep", count=1500, workers=1, timeout_ns=60_000_000, params={"us": "1000"})
        pid = next(w["pid"] for w in self.workers(d) if w["state"] == "running")
        self.stop(pid)
        until(lambda: self.told(d, "exceeds its time limit"), "it was found")
        os.kill(pid, signal.SIGCONT)
        result = d.call("Wait", id=ID)["result"]
        self.assertEqual((1500, 0, []), (result["verified"], result["failed"], result["failures"]), d.log())
        self.assertEqual(1, result["restarts"])


class Hanging(Stall):
    """Not stopped, only silent, with others waiting for what it holds."""

    def freed(self, state, mode="process", kind="process"):
        d = self.start("jobs.heartbeat=400ms")
        d.call("Run", id=ID, detach=True, workload="fail", mode=mode, workers=2, count=5000, chunk=10,
               params={"kind": "hang", "at": "2000", "every": "0"})
        until(lambda: d.call("Jobs")["jobs"][0]["progress"]["done"] == 4990, "only the chunk of the one that hangs is left")
        until(lambda: len([w for w in self.workers(d, kind) if w["state"] == "running"]) == 1, "the other one is done")
        hanging = [w for w in self.workers(d, kind) if w["state"] == "running"][0]
        subprocess.run([os.environ["HOLD_GUARD"], d.instance, str(hanging["slot"]), state], check=True)
        until(lambda: self.told(d, "holds the guard and shows no sign of life"), "the heartbeat has found it")
        until(lambda: [s["value"] for s in d.call("Status")["semaphores"] if s["purpose"] == "guard"] == [1],
              "its permit is back")
        d.call("Cancel", id=ID)
        result = d.call("Wait", id=ID)["result"]
        self.assertEqual(("cancelled", 4990), (result["state"], result["done"]))
        result = d.run(workload="nop", mode=mode, count=1000)
        self.assertEqual((1000, 0), (result["verified"], result["restarts"]))

    def test_with_the_permit(self):
        self.freed("held")

    def test_with_a_token_and_no_cell(self):
        self.freed("acquiring")

    def test_between_the_cell_and_the_post(self):
        self.freed("releasing")

    def test_a_thread(self):
        self.freed("held", "thread", "thread")

    def test_who_only_takes_its_time_is_left_alone(self):
        d = self.start("jobs.heartbeat=200ms")
        result = d.run(workload="sleep", count=2, params={"us": "1500000"})
        self.assertEqual((2, 0), (result["verified"], result["restarts"]))
        self.assertFalse(self.told(d, "it is killed"))


if __name__ == "__main__":
    main()
