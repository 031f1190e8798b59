#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Short jobs on the thread workers, in every way they can run and end: what the thread sanitizer is to watch."""
import os
import signal
import time

import harness


class Threads(harness.Case):
    def setUp(self):
        self.daemon = self.start("pool.processes=1", "pool.threads=3", defaults=False)

    def test_thread_and_gil_jobs_are_exact(self):
        for mode in ("thread", "gil"):
            for workload, params, count in (("nop", {}, 100_000), ("calc", {}, 60), ("spin", {"ns": "5000"}, 3000),
                                            ("sleep", {"us": "200"}, 500)):
                with self.subTest(mode=mode, workload=workload):
                    r = self.daemon.run(mode=mode, workload=workload, params=params, count=count, workers=3)
                    self.assertEqual(("done", count, count), (r["state"], r["done"], r["verified"]))

    def test_fresh_threads(self):
        for workers in (3, 0):
            r = self.daemon.run(mode="thread", spawn="per-task", workers=workers, count=40, workload="spin",
                                params={"ns": "20000"})
            self.assertEqual(40, r["verified"])

    def test_by_duration(self):
        for mode in ("thread", "gil"):
            r = self.daemon.run(mode=mode, workload="spin", params={"ns": "10000"}, duration_ns=300_000_000, workers=3)
            self.assertEqual(r["done"], r["verified"])
            self.assertGreater(r["done"], 0)

    def test_cancelled(self):
        for mode in ("thread", "gil"):
            client = self.daemon.connect()
            client.send("Run", more=True, mode=mode, workload="spin", params={"ns": "10000"}, count=10**8, workers=3)
            job = client.receive()[0]["id"]
            time.sleep(0.3)
            self.assertEqual("cancelled", self.daemon.call("Cancel", id=job)["state"])

    def test_threads_come_and_go(self):
        for workers in (1, 6, 2, 5, 3):
            self.assertEqual(2000, self.daemon.run(mode="thread", workload="nop", count=2000, workers=workers)["verified"])

    def test_a_thread_has_the_pid_of_its_host_before_it_has_begun(self):
        client = self.daemon.connect()
        for _ in range(5):
            self.daemon.run(mode="thread", workload="nop", count=100, workers=3)
            pids = [w["pid"] for w in client.call("Status")["workers"] if w["kind"] == "thread-host"]
            os.kill(pids[0], signal.SIGKILL)
            for _ in range(50):
                workers = client.call("Status")["workers"]
                hosts = {w["pid"] for w in workers if w["kind"] == "thread-host"}
                self.assertEqual(hosts, {w["pid"] for w in workers if w["kind"] == "thread"} or hosts)
                self.assertNotIn(0, hosts)

    def test_the_host_dies(self):
        r = self.daemon.run(mode="thread", workload="fail", params={"kind": "exit", "at": "50"}, count=200, workers=3)
        self.assertEqual((200, 199, 1), (r["done"], r["verified"], r["failed"]))
        # By _exit(), which no handler sees: whoever is alone on a seat, or goes on dying in vain, did it.
        for every, failed in ((0, 1), (50, 4)):
            r = self.daemon.run(mode="thread", workload="fail", params={"kind": "quit", "at": "10", "every": str(every)},
                                count=200, workers=3)
            self.assertEqual((200, 200 - failed, failed), (r["done"], r["verified"], r["failed"]))
            self.assertEqual({("exit", 3)}, {(f["reason"], f["value"]) for f in r["failures"]})
            self.assertEqual([10 + i * every for i in range(failed)], sorted(f["index"] for f in r["failures"]))
        r = self.daemon.run(mode="thread", spawn="per-task", workload="fail", params={"kind": "quit", "at": "10"},
                            count=50, workers=0)
        self.assertEqual(("failed", "a task ends the thread host, and which one cannot be told"), (r["state"], r["reason"]))
        # It died in vain some times and is forked again after a pause.
        while not (hosts := [w for w in self.daemon.call("Status")["workers"] if w["kind"] == "thread-host" and w["pid"]]):
            time.sleep(0.01)
        host = hosts[0]
        os.kill(host["pid"], signal.SIGKILL)
        self.assertEqual(500, self.daemon.run(mode="thread", workload="nop", count=500, workers=3)["verified"])


if __name__ == "__main__":
    harness.main()
