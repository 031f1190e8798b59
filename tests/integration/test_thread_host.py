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

    def test_the_host_dies(self):
        r = self.daemon.run(mode="thread", workload="fail", params={"kind": "exit", "at": "50"}, count=200, workers=3)
        self.assertEqual((200, 199, 1), (r["done"], r["verified"], r["failed"]))
        host = next(w for w in self.daemon.call("Status")["workers"] if w["kind"] == "thread-host")
        os.kill(host["pid"], signal.SIGKILL)
        self.assertEqual(500, self.daemon.run(mode="thread", workload="nop", count=500, workers=3)["verified"])


if __name__ == "__main__":
    harness.main()
