#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""libc=native: process workers without the parked thread, on demand, and back again."""
import ctypes
import os
import random
import re
import signal
import time

import harness
from harness import CALC_SUM, hex64

NUMBER_OF_THREADS = {"threaded": 2, "native": 1}
ID = "%032x"


def workers(daemon, kind="process"):
    return [w for w in daemon.call("Status")["workers"] if w["kind"] == kind]


def threads_of(pid):
    """How many threads it has; 0 when it is gone."""
    try:
        return len(os.listdir("/proc/%d/task" % pid))
    except OSError:
        return 0


def threads_of_pool(daemon):
    """Of each process worker of the daemon, when all of them are there."""
    return sorted(threads_of(w["pid"]) for w in workers(daemon) if w["pid"] > 0)


class Job:
    """A job that is watched from a connection of its own."""

    number = 0

    def __init__(self, daemon, **parameters):
        Job.number += 1
        self.id = ID % Job.number
        self.client = daemon.connect()
        self.daemon = daemon
        self.client.send("Run", more=True, id=self.id, **parameters)
        while not (self.client.receive()[0]["progress"] or {}).get("done"):
            pass

    def running(self):
        """Who is at work for it now, by pid."""
        return {w["pid"] for w in workers(self.daemon) if w["job"] == self.id and w["state"] == "running"}

    def finish(self):
        continues = True
        while continues:
            reply, continues = self.client.receive()
        self.client.close()
        return reply["result"]

    def cancel(self):
        self.daemon.call("Cancel", id=self.id)
        return self.finish()


class Libc(harness.Case):
    def whole(self, result, count, libc):
        self.assertEqual(("done", count, count, 0, libc), tuple(
            result[k] for k in ("state", "done", "verified", "failed", "libc")), result)
        self.assertEqual(count, sum(w["tasks"] for w in result["workers_detail"]))
        return result

    def back_to(self, daemon, threads, number=2):
        harness.until(lambda: threads_of_pool(daemon) == [threads] * number,
                      "%d process workers with %d threads each" % (number, threads))

    def sleeping(self, daemon, libc):
        """Threads of those at work for a job that sleeps, and of what it leaves."""
        job = Job(daemon, workload="sleep", params={"us": "5000"}, count=100_000, mode="process", workers=2,
                  **({"libc": libc} if libc else {}))
        pids = harness.until(lambda: len(job.running()) == 2 and job.running(), "two workers are at work")
        found = {threads_of(pid) for pid in pids}
        result = job.cancel()
        self.assertEqual("cancelled", result["state"])
        return found, result["libc"]

    def test_process_workers_have_one_thread_or_two(self):
        d = self.start()
        self.back_to(d, 2)
        for libc in (None, "native", "threaded", "native", None):
            found, said = self.sleeping(d, libc)
            self.assertEqual((libc or "threaded", {NUMBER_OF_THREADS[said]}), (said, found))
            self.back_to(d, 2)

    def test_the_setting_makes_the_other_one_the_default(self):
        d = self.start("pool.parked_thread=no")
        self.back_to(d, 1)
        for libc in (None, "threaded", "native"):
            found, said = self.sleeping(d, libc)
            self.assertEqual((libc or "native", {NUMBER_OF_THREADS[said]}), (said, found))
            self.back_to(d, 1)

    def test_back_and_forth(self):
        d = self.start()
        for i in range(20):
            libc = ("native", "threaded")[i % 2]
            r = self.whole(d.run(count=40 + i, libc=libc, workers=2), 40 + i, libc)
            self.assertEqual((hex64((40 + i) * CALC_SUM), 0), (r["checksum"], r["restarts"]))
        self.back_to(d, 2)
        self.assertNotIn("was killed", d.log())

    def test_more_workers_than_the_pool(self):
        d = self.start("pool.max_workers=8")
        for libc in ("native", "threaded"):
            r = self.whole(d.run(count=400, workload="nop", libc=libc, workers=6), 400, libc)
            self.assertEqual(6, r["workers"])
        self.back_to(d, 2)

    def test_every_mode_and_spawn_takes_it(self):
        d = self.start()
        for mode in ("sequential", "process", "thread", "gil"):
            self.whole(d.run(count=50, mode=mode, libc="native", workload="nop"), 50, "native")
        for parameters in ({"workers": 2}, {"workers": 0}, {"workers": 0, "mode": "thread"}):
            self.whole(d.run(count=20, spawn="per-task", libc="native", **parameters), 20, "native")
        self.back_to(d, 2)

    def test_threads_do_not_disturb_the_processes(self):
        """A run of threads leaves the process workers alone, whatever it says of libc."""
        d = self.start()
        self.back_to(d, 2)
        before = {w["pid"] for w in workers(d)}
        self.whole(d.run(count=50, mode="thread", libc="native"), 50, "native")
        self.assertEqual(before, {w["pid"] for w in workers(d)})

    def test_under_kills(self):
        d = self.start("jobs.max_restarts=100000")
        chooser = random.Random(3)
        for i in range(20):
            libc = ("native", "threaded")[i % 2]
            client = d.connect()
            client.send("Run", more=True, workload="spin", params={"ns": "20000"}, count=4000, libc=libc, workers=2)
            continues = True
            client.receive()
            for _ in range(3):
                victims = [w["pid"] for w in workers(d) if w["pid"] > 0]
                if victims:
                    try:
                        os.kill(chooser.choice(victims), signal.SIGKILL)
                    except ProcessLookupError:
                        pass  # it left just now
                time.sleep(0.01)
            while continues:
                reply, continues = client.receive()
            client.close()
            r = self.whole(reply["result"], 4000, libc)
            clean = clean if i else d.run(workload="spin", params={"ns": "20000"}, count=4000)["checksum"]
            self.assertEqual(clean, r["checksum"])
        self.back_to(d, 2)

    def test_after_a_crash_of_the_daemon(self):
        """Whoever takes over forks what the job wants, not what is usual."""
        d = self.start()
        job = Job(d, workload="sleep", params={"us": "1000"}, count=3000, libc="native", workers=2)
        d.kill()
        d.start()
        pids = harness.until(lambda: len(job.running()) == 2 and job.running(), "two are at work again")
        self.assertEqual({1}, {threads_of(pid) for pid in pids})
        result = d.call("Wait", id=job.id)["result"]
        self.whole(result, 3000, "native")
        self.assertEqual(1, result["resumed"])
        self.back_to(d, 2)

    def test_an_unknown_one_is_refused(self):
        d = self.start()
        self.assertEqual(("musl", "threaded, native"), self.refused(d, "Run", "libc", libc="musl"))
        said = d.ctl("run", "--libc=musl")
        self.assertEqual(64, said.code, said)
        for part in ("libc", "musl", "threaded, native"):
            self.assertIn(part, said.stderr)

    def test_the_client(self):
        d = self.start()
        said = d.ctl("run", "--libc=native", "--count=20")
        self.assertEqual(0, said.code, said)
        self.assertRegex(said.stdout.splitlines()[0], "native libc$")
        for arguments in (("--libc=threaded",), ("--libc=native", "--mode=thread"), ()):
            said = d.ctl("run", "--count=20", *arguments)
            self.assertEqual(0, said.code, said)
            self.assertNotIn("native", said.stdout)
        self.assertRegex(d.ctl("run", "--help").stdout, r"--libc NAME|--libc=NAME")


class Effect(harness.Case):
    """That it matters: glibc's own word for it, __libc_single_threaded, read from the memory of the workers."""

    def word(self, pid):
        """The byte at __libc_single_threaded in another process, whose libc is this one's at another place."""
        libc = ctypes.CDLL("libc.so.6")
        here = ctypes.addressof(ctypes.c_char.in_dll(libc, "__libc_single_threaded"))
        offset = here - self.base("self", here)
        with open("/proc/%d/mem" % pid, "rb") as memory:
            memory.seek(self.base(pid) + offset)
            return memory.read(1)[0]

    def base(self, pid, inside=None):
        """Where libc.so.6 is mapped in a process."""
        with open("/proc/%s/maps" % pid, encoding="utf-8") as f:
            starts = [int(line.split("-")[0], 16) for line in f if re.search(r"/libc\.so\.6$", line.rstrip())]
        if not starts or (inside is not None and inside < min(starts)):
            self.skipTest("libc.so.6 is not where it is expected")
        return min(starts)

    def test_libc_itself_says_so(self):
        d = self.start()
        for libc, single in (("native", 1), ("threaded", 0)):
            job = Job(d, workload="sleep", params={"us": "5000"}, count=100_000, libc=libc, workers=2)
            try:
                words = [self.word(pid) for pid in job.running()]
            except PermissionError:
                self.skipTest("the memory of another process cannot be read here")
            finally:
                job.cancel()
            self.assertTrue(words)
            self.assertEqual({single}, set(words), libc)


if __name__ == "__main__":
    harness.main()
