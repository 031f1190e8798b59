#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What stands in the file system while a daemon runs, read from outside, and what Status says about it."""
import os
import re
import signal
import stat
import struct

import harness


class Files(harness.Case):
    def test_segment_and_semaphores_stand_under_their_names(self):
        d = self.start()
        stem = "concd.%d.%s" % (os.getuid(), d.instance)
        names = d.shm()
        self.assertIn(stem, names)
        found = {re.fullmatch(re.escape("sem." + stem) + r"\.(\d+)\.(\w+)", n).groups() for n in names - {stem}}
        self.assertEqual({"guard", "process", "thread"}, {purpose for _, purpose in found})
        generations = {int(g) for g, _ in found}
        self.assertEqual({d.call("Status")["daemon"]["generation"]}, generations)

    def test_nobody_else_can_open_them(self):
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        d = self.start()
        for name in d.shm():
            info = os.lstat("/dev/shm/" + name)
            self.assertTrue(stat.S_ISREG(info.st_mode))
            self.assertEqual((0o600, os.getuid()), (stat.S_IMODE(info.st_mode), info.st_uid), name)

    def test_the_segment_has_all_its_memory(self):
        """Reserved when it is created, so that a full /dev/shm is an error then and not a SIGBUS later."""
        d = self.start()
        info = os.stat("/dev/shm/concd.%d.%s" % (os.getuid(), d.instance))
        self.assertGreaterEqual(info.st_blocks * 512, info.st_size)

    def test_status_says_what_is_there(self):
        d = self.start()
        status = d.call("Status")
        segment = status["segment"]
        self.assertEqual("/concd.%d.%s" % (os.getuid(), d.instance), segment["name"])
        self.assertEqual("/dev/shm" + segment["name"], segment["path"])
        self.assertEqual(os.stat(segment["path"]).st_size, segment["bytes"])
        self.assertEqual(0o600, int(segment["mode"], 8))
        self.assertEqual({"guard", "process", "thread"}, {s["purpose"] for s in status["semaphores"]})
        self.assertEqual(d.shm() - {os.path.basename(segment["path"])},
                         {os.path.basename(s["path"]) for s in status["semaphores"]})
        for semaphore in status["semaphores"]:
            self.assertEqual("/dev/shm/sem." + semaphore["name"][1:], semaphore["path"])
            self.assertEqual(0o600, int(semaphore["mode"], 8))

    def test_the_value_of_the_guard_is_what_the_file_holds(self):
        """glibc keeps the value in the low 32 bits of the first word."""
        d = self.start()
        d.run(workload="nop", count=1000)
        guard = next(s for s in d.call("Status")["semaphores"] if s["purpose"] == "guard")
        with open(guard["path"], "rb") as f:
            self.assertEqual(guard["value"], struct.unpack("I", f.read(4))[0])
        self.assertEqual(1, guard["value"], "the guard is free when nothing runs")

    def test_workers_in_status_are_the_processes_there_are(self):
        d = self.start("pool.processes=3", "pool.threads=2", defaults=False)
        harness.until(lambda: all(w["state"] == "idle" for w in d.call("Status")["workers"] if w["kind"] != "thread-host"),
                      "all workers are idle")
        workers = d.call("Status")["workers"]
        kinds = [w["kind"] for w in workers]
        self.assertEqual((3, 2, 1), tuple(kinds.count(k) for k in ("process", "thread", "thread-host")))
        self.assertEqual(len(workers), len({w["slot"] for w in workers}))
        host = next(w for w in workers if w["kind"] == "thread-host")
        for worker in workers:
            if worker["kind"] == "thread":
                self.assertEqual(host["pid"], worker["pid"])
                self.assertIn(str(worker["tid"]), os.listdir("/proc/%d/task" % host["pid"]))
        self.assertEqual(d.descendants(), {w["pid"] for w in workers})

    def test_status_counts_the_tasks_of_each_worker(self):
        d = self.start()
        for mode in ("process", "thread"):
            d.run(workload="nop", count=5000, mode=mode)
        workers = d.call("Status")["workers"]
        for kind in ("process", "thread"):
            self.assertEqual(5000, sum(w["tasks"] for w in workers if w["kind"] == kind), kind)

    def test_status_does_not_count_a_workers_tasks_for_its_successor(self):
        d = self.start("pool.processes=1", "pool.threads=1", defaults=False)
        job = d.call("Run", workload="sleep", params={"us": "2000"}, count=10**6, workers=1, detach=True)["id"]

        def running(but, tasks):
            return [w for w in d.call("Status")["workers"]
                    if w["state"] == "running" and w["pid"] != but and w["tasks"] > tasks]
        first = harness.until(lambda: running(0, 100), "it has done some tasks")[0]
        os.kill(first["pid"], signal.SIGKILL)
        second = harness.until(lambda: running(first["pid"], 0), "its successor works")[0]
        done = d.call("Jobs")["jobs"][0]["progress"]["done"]
        self.assertLessEqual(first["tasks"] + second["tasks"], done)
        d.call("Cancel", id=job)

    def test_status_of_the_daemon(self):
        d = self.start()
        status = d.call("Status")
        daemon = status["daemon"]
        self.assertEqual((d.process.pid, os.getuid(), d.instance, d.path, "running", False),
                         tuple(daemon[k] for k in ("pid", "uid", "instance", "socket", "state", "private")))
        self.assertGreaterEqual(daemon["uptime_s"], 0)
        self.assertGreater(status["memory"]["pss_bytes"], 500_000)

    def test_the_socket_has_its_mode(self):
        d = self.start("daemon.socket_mode=0600")
        self.assertEqual(0o600, stat.S_IMODE(os.stat(d.path).st_mode))

    def test_squatters_on_semaphore_names_do_no_harm(self):
        d = harness.Daemon()
        names = ["/dev/shm/sem.concd.%d.%s.1.%s" % (os.getuid(), d.instance, p) for p in ("guard", "process")]
        for name in names:
            with open(name, "wb"):
                pass
            self.addCleanup(lambda n=name: os.path.exists(n) and os.unlink(n))
        try:
            d.before = harness.descriptors()
            d.start()
            self.assertEqual(100, d.run(workload="nop", count=100)["verified"])
            for semaphore in d.call("Status")["semaphores"]:
                self.assertGreater(os.stat(semaphore["path"]).st_size, 0)
            d.process.terminate()
            self.assertEqual(0, d.wait(), d.log())
        finally:
            d.discard()


if __name__ == "__main__":
    harness.main()
