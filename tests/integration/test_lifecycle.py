#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The daemon's own life and death, and that of its workers: nothing is counted twice, lost, or left behind."""
import os
import random
import signal
import socket
import stat
import subprocess
import time

import harness
from harness import Client, Daemon

EXIT_ALREADY_RUNNING = 75


class Job:
    """A long job whose progress is watched on a connection of its own."""

    def __init__(self, daemon, **parameters):
        self.client = daemon.connect()
        self.client.send("Run", more=True, **{"workload": "spin", "params": {"ns": "20000"}, **parameters})
        self.last = None

    def wait_until_running(self):
        while not (self.step()["progress"] or {}).get("done"):
            pass
        return self

    def step(self):
        self.last, self.continues = self.client.receive()
        return self.last

    def finish(self):
        self.continues = True
        while self.continues:
            self.step()
        return self.last["result"]


def workers(daemon, kind):
    return [w for w in daemon.call("Status")["workers"] if w["kind"] == kind and w["state"] != "dead"]


class Stop(harness.Case):
    def test_an_idle_daemon(self):
        d = self.start()
        d.stop()

    def test_interrupt_is_like_terminate(self):
        d = self.start()
        self.assertEqual(0, d.kill(signal.SIGINT))

    def test_by_the_protocol(self):
        d = self.start()
        self.assertEqual({"pid": d.process.pid}, d.call("Stop"))
        self.assertEqual(0, d.wait())

    def test_the_running_job_ends_with_its_partial_result_and_the_queue_is_told(self):
        for mode in ("process", "thread", "gil"):
            with self.subTest(mode):
                d = self.start()
                job = Job(d, count=10**7, mode=mode).wait_until_running()
                waiting = d.connect()
                waiting.send("Run", workload="nop", count=5, id="ab" * 16)
                harness.until(lambda: len(d.call("Jobs")["jobs"]) == 2, "the second job waits")
                d.process.terminate()
                result = job.finish()
                self.assertEqual("cancelled", result["state"])
                self.assertGreater(result["done"], 0)
                self.assertEqual((result["done"], 0), (result["verified"], result["failed"]))
                try:
                    reply = waiting.receive()[0]
                    self.assertEqual("cancelled", reply["state"])
                    self.assertIn("shutting down", reply["reason"])
                except harness.Failed as e:
                    self.assertEqual("ShuttingDown", e.error)
                self.assertEqual(0, d.wait())

    def test_a_worker_that_hangs_does_not_hold_it_up(self):
        d = self.start()
        client = d.connect()
        client.send("Run", more=True, workload="fail", params={"kind": "hang"}, count=10)
        client.receive()
        time.sleep(0.2)
        began = time.monotonic()
        d.stop()
        self.assertLess(time.monotonic() - began, 10)


class Instance(harness.Case):
    def test_a_second_daemon_of_the_instance_is_refused(self):
        d = self.start()
        second = subprocess.run(d.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=harness.PATIENCE, env=d.environment)
        self.assertEqual(EXIT_ALREADY_RUNNING, second.returncode, second)
        self.assertIn(str(d.process.pid), second.stderr)
        self.assertEqual(100, d.run(workload="nop", count=100)["verified"], "the first one is not harmed")

    def test_daemons_of_other_instances_stand_beside_it(self):
        a, b = self.start(), self.start()
        self.assertFalse(a.shm() & b.shm())
        self.assertEqual(100, a.run(workload="nop", count=100)["verified"])
        self.assertEqual(100, b.run(workload="nop", count=100)["verified"])

    def test_a_dead_daemons_socket_is_replaced(self):
        d = Daemon()
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(d.path)
        stale.close()
        try:
            d.start()
            d.call("Status")
            d.stop()
        finally:
            d.discard()

    def test_a_file_in_the_sockets_place_is_left_alone(self):
        d = Daemon()
        try:
            with open(d.path, "w", encoding="utf-8") as f:
                f.write("precious")
            d.launch()
            self.assertNotEqual(0, d.wait())
            with open(d.path, encoding="utf-8") as f:
                self.assertEqual("precious", f.read())
            self.assertIn(d.path, d.log())
            self.assertFalse(d.shm())
        finally:
            d.discard()

    def test_no_room_in_shm_is_a_clear_refusal(self):
        small = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1M tmpfs /dev/shm && exec "$@"', "sh"]
        if subprocess.run(small + ["true"], stdin=subprocess.DEVNULL, capture_output=True).returncode:
            self.skipTest("mount namespaces are not permitted here")
        d = Daemon()
        try:
            started = subprocess.run(small + d.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                     timeout=harness.PATIENCE)
            self.assertGreater(started.returncode, 0, started)
            self.assertIn("No space left on device", started.stderr)
            self.assertFalse(os.path.exists(d.path))
        finally:
            d.discard()


class Workers(harness.Case):
    """Workers are killed from outside while they work: every task counts once all the same."""

    COUNT = 60_000

    def exact(self, result, deaths):
        self.assertEqual(("done", self.COUNT, self.COUNT, 0), tuple(
            result[k] for k in ("state", "done", "verified", "failed")))
        self.assertGreaterEqual(result["restarts"], deaths)
        self.assertGreaterEqual(result["reexecuted"], 0)
        return result

    def storm(self, mode, kills):
        d = self.start()
        number = 1 if mode == "sequential" else 2
        clean = d.run(workload="spin", params={"ns": "20000"}, count=self.COUNT, mode=mode, workers=number)
        job = Job(d, count=self.COUNT, mode=mode, workers=number).wait_until_running()
        kind = "process" if mode in ("process", "sequential") else "thread-host"
        chooser = random.Random(20)
        killed = 0
        for _ in range(kills):
            victims = [w["pid"] for w in workers(d, kind) if w["state"] in ("running", "idle")]
            if victims:
                os.kill(chooser.choice(victims), signal.SIGKILL)
                killed += 1
            time.sleep(0.02)
        result = job.finish()
        self.assertEqual(clean["checksum"], result["checksum"])
        return d, self.exact(result, 1), killed

    def test_process_workers_are_killed(self):
        d, result, killed = self.storm("process", 10)
        self.assertLessEqual(result["reexecuted"], result["restarts"])
        harness.until(lambda: len(workers(d, "process")) == 2, "the pool is whole again")
        self.assertLessEqual(result["restarts"], killed)

    def test_the_thread_host_is_killed(self):
        for mode in ("thread", "gil"):
            with self.subTest(mode):
                d, result, killed = self.storm(mode, 4)
                self.assertLessEqual(result["reexecuted"], 2 * killed, "one for each thread of a host")
                harness.until(lambda: len(workers(d, "thread")) == 2, "the threads are there again")

    def test_the_sequential_worker_is_killed(self):
        self.storm("sequential", 3)

    def test_idle_workers_are_replaced(self):
        d = self.start()
        before = {w["pid"] for w in workers(d, "process") + workers(d, "thread-host")}
        for pid in before:
            os.kill(pid, signal.SIGKILL)

        def replaced():
            now = {w["pid"] for w in workers(d, "process") + workers(d, "thread-host")}
            return len(now) == len(before) and not now & before and 0 not in now
        harness.until(replaced, "all are replaced")
        for mode in ("process", "thread"):
            self.assertEqual(500, d.run(workload="nop", count=500, mode=mode)["verified"])

    def test_killed_waiters_do_not_slow_the_gates(self):
        """A waiter that is killed is counted in the semaphore for ever: the set is made anew between jobs."""
        d = self.start()
        generation = d.call("Status")["daemon"]["generation"]
        for w in workers(d, "process"):
            os.kill(w["pid"], signal.SIGKILL)
        harness.until(lambda: len(workers(d, "process")) == 2, "replaced")
        for _ in range(2):
            self.assertEqual(500, d.run(workload="nop", count=500)["verified"])
        harness.until(lambda: d.call("Status")["daemon"]["generation"] > generation, "a new generation")
        self.assertEqual(3, len([n for n in d.shm() if n.startswith("sem.")]), "the old one is gone")
        self.assertEqual(500, d.run(workload="nop", count=500, mode="thread")["verified"])

    def test_a_stopped_worker_is_waited_for(self):
        d = self.start()
        job = Job(d, count=20_000, mode="process", workers=2).wait_until_running()
        victim = workers(d, "process")[0]["pid"]
        os.kill(victim, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(victim, signal.SIGCONT)
        result = job.finish()
        self.assertEqual((20_000, 0), (result["verified"], result["restarts"]))


class Supervisor(harness.Case):
    """kill -9 of the supervisor itself."""

    def test_no_orphans(self):
        for parameters in (dict(), dict(mode="thread"), dict(spawn="per-task", workers=2),
                           dict(workload="fail", params={"kind": "hang"}),
                           dict(workload="sleep", params={"us": "50000000"}, spawn="per-task", workers=0, count=50)):
            with self.subTest(parameters):
                d = Daemon()
                try:
                    d.start()
                    client = d.connect()
                    client.send("Run", more=True, **{"workload": "spin", "params": {"ns": "100000"}, "count": 10**6,
                                                     **parameters})
                    client.receive()
                    time.sleep(0.2)
                    self.assertGreater(len(d.descendants()), 2)
                    d.kill()
                    harness.until(lambda: not harness.mentioning(d.instance), "all its processes have gone")
                    d.assert_log_clean()
                finally:
                    d.discard()

    def test_the_next_one_starts_over_what_was_left(self):
        d = self.start()
        for _ in range(3):
            job = Job(d, count=10**7, workers=2).wait_until_running()
            d.kill()
            self.assertTrue(d.shm(), "a killed daemon leaves its files")
            self.assertTrue(stat.S_ISSOCK(os.stat(d.path).st_mode))
            job.client.close()
            d.start()
            self.assertEqual(1000, d.run(workload="nop", count=1000)["verified"])
            self.assertEqual(4, len(d.shm()), "one segment, three semaphores")

    def test_generations_rise(self):
        d = self.start()
        generation = d.call("Status")["daemon"]["generation"]
        self.assertGreaterEqual(generation, 1)

    def test_a_spoilt_segment_is_made_anew(self):
        for spoil in (b"", b"x", b"\0" * 4096, os.urandom(65536)):
            with self.subTest(len(spoil)):
                d = Daemon()
                try:
                    with open("/dev/shm/concd.%d.%s" % (os.getuid(), d.instance), "wb") as f:
                        f.write(spoil)
                    d.before = harness.descriptors()
                    d.start()
                    self.assertEqual(100, d.run(workload="nop", count=100)["verified"])
                    d.stop()
                finally:
                    d.discard()

    def test_children_hold_no_descriptor_of_the_supervisor(self):
        """Neither the control socket, nor a connection, nor the log of another."""
        d = self.start()
        client = d.connect()
        client.call("Jobs")
        d.run(workload="nop", count=100, workers=4)
        for w in d.call("Status")["workers"]:
            for name in os.listdir("/proc/%d/fd" % w["pid"]):
                try:
                    target = os.readlink("/proc/%d/fd/%s" % (w["pid"], name))
                except FileNotFoundError:
                    continue
                self.assertFalse(target.startswith("socket:"), "worker %d holds %s" % (w["pid"], target))

    def test_idle_costs_nothing(self):
        d = self.start()
        d.run(workload="nop", count=1000)

        def cpu():
            total = 0
            for pid in {d.process.pid} | d.descendants():
                with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
            return total
        time.sleep(0.3)
        before = cpu()
        time.sleep(2)
        self.assertLessEqual(cpu() - before, 1, "clock ticks in two seconds of idleness")


if __name__ == "__main__":
    harness.main()
