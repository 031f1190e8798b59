#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The daemon's own life and death, and that of its workers: nothing is counted twice, lost, or left behind."""
import os
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
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


def end(process):
    """Whatever happened to the test: the process and its pipes are gone."""
    process.kill()
    process.communicate()


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


    def test_a_warmup_is_no_result(self):
        d = self.start()
        job = "ab" * 16
        run = [harness.CONCCTL, "run", "--workload=sleep", "--count=100", "--warmup=1e6", "--id=" + job]
        caller = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, env=harness.concctl_environment({"CONCD_SOCKET": d.path}))
        self.addCleanup(end, caller)
        harness.until(lambda: [j for j in d.call("Jobs")["jobs"] if (j["progress"] or {}).get("done")], "it warms up")
        waiter = d.connect()
        waiter.send("Wait", more=True, id=job)
        self.assertTrue(waiter.receive()[0]["progress"]["warming_up"])
        d.process.terminate()
        continues = True
        while continues:
            reply, continues = waiter.receive()
        self.assertEqual(("cancelled", "shutting down", None), tuple(reply[k] for k in ("state", "reason", "result")))
        out, err = caller.communicate(timeout=harness.PATIENCE)
        self.assertEqual((130, "", "concctl: job %s: cancelled: shutting down\n" % job), (caller.returncode, out, err))
        self.assertEqual(0, d.wait())

    def test_a_client_that_does_not_read_does_not_hold_it_up(self):
        d = self.start()
        client = d.connect()
        call = b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.concd"}}\0'
        # More than a socket takes, less than max_unread, after which the client would be dropped.
        for _ in range(150):
            client.send_raw(call)
        d.run(workload="nop", count=10)
        began = time.monotonic()
        d.process.terminate()
        self.assertEqual(0, d.wait())
        self.assertLess(time.monotonic() - began, 8)


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
        # Only what is mounted here must be private: in a chroot, / is no mount whose propagation could be changed.
        small = ["unshare", "--mount", "--propagation=unchanged", "sh", "-c",
                 'mount --make-private /dev/shm && mount -t tmpfs -o size=1M tmpfs /dev/shm && exec "$@"', "sh"]
        tried = subprocess.run(small + ["true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if tried.returncode:
            self.skipTest("no /dev/shm of its own can be mounted here: " + tried.stderr.strip())
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
        _, result, _ = self.storm("sequential", 3)
        self.assertLessEqual(result["reexecuted"], result["restarts"])

    def test_whoever_starts_it_may_ignore_its_children(self):
        """SIGCHLD ignored is inherited, and then the kernel reaps in our place."""
        d = Daemon("pool.processes=2", "pool.threads=2", defaults=False)
        bare = d.command
        d.command = lambda: ["/bin/sh", "-c", "trap '' CHLD; exec \"$@\"", "sh", *bare()]
        with d:
            before = {w["pid"] for w in workers(d, "process")}
            os.kill(min(before), signal.SIGKILL)
            harness.until(lambda: len({w["pid"] for w in workers(d, "process")} - before) == 1, "it is replaced")
            self.assertEqual(500, d.run(workload="nop", count=500)["verified"])

    def test_status_knows_its_children_at_once(self):
        d = self.start("pool.processes=8", defaults=False)
        self.assertTrue(all(w["pid"] > 1 for w in workers(d, "process") + workers(d, "thread-host")), d.call("Status"))

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


class Deaths(harness.Case):
    """What the figures say, and what the pool does, after workers were killed."""

    def victim(self, d, state="running"):
        """The pid of some process worker in that state."""
        return harness.until(lambda: [w["pid"] for w in workers(d, "process") if w["state"] == state], state)[0]

    def successor(self, d, pid, state):
        """Kills the only process worker; how long it took until another one is in that state."""
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        harness.until(lambda: [w for w in workers(d, "process") if w["pid"] not in (0, pid) and w["state"] == state],
                      "the worker is replaced")
        return time.monotonic() - began

    def done(self, d):
        """Of the one job there is."""
        return (d.call("Jobs")["jobs"][0]["progress"] or {}).get("done", 0)

    def end_of(self, client):
        """The result of the run whose progress the client gets."""
        continues = True
        while continues:
            reply, continues = client.receive()
        return reply["result"]

    def test_the_cpu_time_of_a_killed_worker_is_that_of_its_run(self):
        d = self.start()
        # A worker's account holds that of the children that it had for an earlier job.
        earlier = d.run(spawn="per-task", workload="spin", params={"ns": "2000000"}, count=1000, workers=2)
        self.assertTrue(earlier["cpu_complete"])
        self.assertGreater(earlier["user_s"], 0.3)
        job = Job(d, count=60_000, workers=2).wait_until_running()
        os.kill(self.victim(d), signal.SIGKILL)
        r = job.finish()
        self.assertEqual(("done", 1, True), (r["state"], r["restarts"], r["cpu_complete"]))
        self.assertLessEqual(r["cores_busy"], min(2, len(os.sched_getaffinity(0))) * 1.1)

    def test_the_cpu_time_of_a_killed_workers_child_is_lost(self):
        d = self.start()
        job = Job(d, spawn="per-task", workload="sleep", params={"us": "5000"}, count=300, workers=2)
        job.wait_until_running()
        os.kill(self.victim(d), signal.SIGKILL)
        r = job.finish()
        self.assertEqual(("done", 300, False), (r["state"], r["verified"], r["cpu_complete"]))

    def test_a_run_that_never_began_took_no_time(self):
        d = self.start()
        stopped, killed = sorted(w["pid"] for w in workers(d, "process"))
        os.kill(stopped, signal.SIGSTOP)
        client = d.connect()
        client.send("Run", more=True, workload="nop", count=100, workers=2)
        job = client.receive()[0]["id"]
        self.assertEqual(killed, self.victim(d), "it sits and waits for the other one")
        os.kill(killed, signal.SIGKILL)
        harness.until(lambda: self.victim(d) != killed, "its successor waits")
        self.assertEqual("cancelled", d.call("Cancel", id=job)["state"])
        r = self.end_of(client)
        os.kill(stopped, signal.SIGCONT)
        self.assertEqual((0, 0, 0, 0, 1), tuple(
            r[k] for k in ("done", "wall_s", "tasks_per_s", "cores_busy", "restarts")))
        self.assertIsNone(r["latency_ns"])

    def test_who_worked_before_is_replaced_at_once(self):
        """The pause before the next worker is for those that die without having done anything."""
        d = self.start("pool.processes=1", "pool.threads=1", defaults=False)
        took = []
        for _ in range(14):
            self.assertEqual(100, d.run(workload="nop", count=100)["verified"])
            took.append(self.successor(d, self.victim(d, "idle"), "idle"))
        self.assertLess(min(took[-3:]), 0.5, took)

    def test_who_worked_on_a_line_of_one_task_is_replaced_at_once(self):
        d = self.start("pool.processes=1", "pool.threads=1", defaults=False)
        job = Job(d, workload="sleep", params={"us": "10000"}, count=10_000, workers=1).wait_until_running()
        took = []
        for _ in range(14):
            done = self.done(d)
            harness.until(lambda: self.done(d) > done + 2, "it works")
            took.append(self.successor(d, self.victim(d), "running"))
        d.call("Cancel", id=job.last["id"])
        self.assertEqual((14, 10_000), (lambda r: (r["restarts"], r["chunks"]))(job.finish()))
        self.assertLess(min(took[-3:]), 0.5, took)

    def test_all_that_was_under_way_is_executed_again(self):
        d = self.start()
        client = d.connect()
        client.send("Run", more=True, spawn="per-task", workers=0, count=100, workload="sleep",
                    params={"us": "2000000"})
        client.receive()
        # One worker has a child for each task.
        harness.until(lambda: len(d.descendants()) == 100 + 3, "all tasks are under way")
        os.kill(self.victim(d), signal.SIGKILL)
        r = self.end_of(client)
        self.assertEqual(("done", 100, 1), (r["state"], r["verified"], r["restarts"]))
        self.assertLessEqual(90, r["reexecuted"])
        self.assertLessEqual(r["reexecuted"], 100)

    def test_nothing_is_executed_again_when_the_run_was_stopped(self):
        d = self.start()
        for parameters in (dict(), dict(mode="thread"), dict(spawn="per-task", workers=2),
                           dict(spawn="per-task", workers=0)):
            with self.subTest(parameters):
                client = d.connect()
                client.send("Run", more=True, workload="fail", params={"kind": "hang", "every": "1"}, count=10,
                            **parameters)
                job = client.receive()[0]["id"]
                kind = parameters.get("mode", "process")
                harness.until(lambda: [w for w in workers(d, kind) if w["state"] == "running"], "a task hangs")
                self.assertEqual("cancelled", d.call("Cancel", id=job)["state"])
                r = self.end_of(client)
                self.assertEqual((0, 0), (r["reexecuted"], r["restarts"]))

    def test_latencies_survive_a_kill(self):
        d = self.start()
        job = Job(d, workload="sleep", params={"us": "5000"}, count=200, mode="sequential").wait_until_running()
        os.kill(self.victim(d), signal.SIGKILL)
        r = job.finish()
        self.assertEqual((200, 1, "each"), (r["verified"], r["restarts"], r["latency_ns"]["method"]))
        self.assertAlmostEqual(200, r["latency_ns"]["samples"], delta=1)

    def test_sampled_latencies_survive_a_kill(self):
        d = self.start()
        job = d.call("Run", workload="spin", params={"ns": "1500"}, count=10**6, mode="sequential", detach=True)["id"]
        harness.until(lambda: self.done(d) > 600_000, "most is done")
        os.kill(self.victim(d), signal.SIGKILL)
        r = d.call("Wait", id=job)["result"]
        self.assertEqual((10**6, 1, "sampled"), (r["verified"], r["restarts"], r["latency_ns"]["method"]))
        # The successor alone could have at most 40 % of them.
        self.assertGreater(r["latency_ns"]["samples"] * r["latency_ns"]["every"], 0.5 * 10**6)


class Confined(Daemon):
    """One for which sched_setaffinity(2) fails as it does for who was moved to a cpuset without the CPUs asked for."""

    number = {"x86_64": 203, "aarch64": 122}.get(os.uname().machine)

    # prctl(PR_SET_NO_NEW_PRIVS), prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER), and what follows it on the command line.
    LAUNCHER = """
import ctypes, errno, os, struct, sys
step = lambda code, jt, jf, k: struct.pack("HBBI", code, jt, jf, k)
steps = (step(0x20, 0, 0, 0) + step(0x15, 0, 1, int(sys.argv[1])) +
         step(0x06, 0, 0, 0x50000 | errno.EINVAL) + step(0x06, 0, 0, 0x7fff0000))
kept = ctypes.create_string_buffer(steps)
program = struct.pack("HP", len(steps) // 8, ctypes.addressof(kept))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
"""

    def command(self):
        return [sys.executable, "-c", self.LAUNCHER, str(self.number)] + super().command()


class Obstacles(harness.Case):
    """The system refuses the workers what they need."""

    def test_threads_that_cannot_be_created(self):
        d = self.start("pool.max_workers=16")
        host = harness.until(lambda: [w["pid"] for w in workers(d, "thread-host")], "the thread host")[0]
        r = d.run(workload="nop", count=100, mode="thread", workers=2)
        if r["environment"]["sanitizer"]:
            self.skipTest("a sanitizer ends a process that gets no memory")
        with open("/proc/%d/statm" % host, encoding="utf-8") as f:
            used = int(f.read().split()[0]) * resource.getpagesize()
        # No room for another stack.
        unlimited = resource.prlimit(host, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
        for _ in range(2):
            reply = d.call("Run", workload="nop", count=100, mode="thread", workers=16)
            self.assertEqual(("failed", "there are not enough workers: see the daemon's log"),
                             (reply["state"], reply["reason"]))
            harness.until(lambda: "dead" not in {w["state"] for w in d.call("Status")["workers"]}, "nobody is dead")
            self.assertEqual(100, d.run(workload="nop", count=100, mode="thread", workers=2)["verified"])
        self.assertRegex(d.log(), "thread.*Resource temporarily unavailable")
        resource.prlimit(host, resource.RLIMIT_AS, unlimited)
        self.assertEqual(16, len(d.run(workload="nop", count=100, mode="thread", workers=16)["workers_detail"]))

    def test_cpus_that_cannot_be_had(self):
        d = Confined()
        try:
            if not d.number:
                self.skipTest("the number of a system call is not known for this machine")
            d.before = harness.descriptors()
            d.start()
            for mode in ("process", "thread"):
                reply = d.call("Run", workload="nop", count=100, mode=mode)
                self.assertEqual(("failed", "a worker could not prepare: Invalid argument"),
                                 (reply["state"], reply["reason"]))
                self.assertEqual(0, reply["result"]["done"])
            self.assertIn("cannot move to its CPUs", d.log())
            d.stop()
        finally:
            d.discard()


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

        def few():
            there = d.call("Status")["workers"]
            return there if len(there) == 2 + 2 + 1 else None
        for w in harness.until(few, "those that the job needed have left"):
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
        # A clock tick is charged to whoever it finds at work, so a busy machine can make one of almost nothing. What
        # is done again and again, in the daemon or in a worker, shows in each of the attempts.
        ticks = []
        while len(ticks) < 5 and min(ticks, default=2) > 1:
            time.sleep(0.3)
            before = cpu()
            time.sleep(2)
            ticks.append(cpu() - before)
        self.assertLessEqual(min(ticks), 1, "clock ticks in two seconds of idleness: %s" % ticks)


if __name__ == "__main__":
    harness.main()
