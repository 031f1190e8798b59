#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The k-th call of a function fails, once or from then on: for every k of start and of a session, until nothing fails.

The daemon may refuse to start, with a line that says why; a client may get an error or a closed connection, a job may
end failed. It must not crash, hang, leave anything behind, count wrongly, or be worse afterwards. Without
CONCD_FAULTS_ALL=1 only the first calls and some of the others are tried.
"""
import errno
import mmap
import os
import re
import signal
import struct
import tempfile
import time
import unittest

from harness import PATIENCE, Case, Client, Daemon, Failed, main, until

ALL = os.environ.get("CONCD_FAULTS_ALL") == "1"
SANITIZED = os.environ.get("CONCD_SANITIZED") == "1"
FIRST, STRIDE = 12, 61

# As in fail_call.c.
OWNER, DESCENDANTS = 1, 2
FUNCTIONS = ["malloc", "fork", "mmap", "shm_open", "sem_open", "write", "fcntl", "epoll_ctl", "epoll_wait", "eventfd",
             "pidfd_open", "fallocate", "socket", "accept", "open", "read", "thread"]
ERRORS = {"malloc": errno.ENOMEM, "fork": errno.EAGAIN, "mmap": errno.ENOMEM, "shm_open": errno.EMFILE,
          "sem_open": errno.ENOSPC, "write": errno.ENOSPC, "fcntl": errno.ENOLCK, "epoll_ctl": errno.ENOSPC,
          "epoll_wait": errno.EINTR, "eventfd": errno.EMFILE, "pidfd_open": errno.EMFILE, "fallocate": errno.ENOSPC,
          "socket": errno.EMFILE, "accept": errno.EMFILE, "open": errno.EMFILE, "read": errno.EIO,
          "thread": errno.EAGAIN}


class Control:
    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="concd-test-")
        self.file.truncate(64)
        self.map = mmap.mmap(self.file.fileno(), 64)
        self.environment = {"LD_PRELOAD": os.environ["FAIL_CALL"], "FAIL_CALL_CONTROL": self.file.name}

    def close(self):
        self.map.close()
        self.file.close()

    def arm(self, function, k, persistent=False, who=OWNER, forget_owner=False):
        owner = 0 if forget_owner else struct.unpack_from("<i", self.map, 40)[0]
        struct.pack_into("<I", self.map, 0, 0)
        struct.pack_into("<IIiQQQi", self.map, 4, FUNCTIONS.index(function), persistent, ERRORS[function], k, 0, 0,
                         owner)
        struct.pack_into("<I", self.map, 0, who)

    def disarm(self):
        """Returns how many calls were counted and how many of them failed."""
        struct.pack_into("<I", self.map, 0, 0)
        return struct.unpack_from("<QQ", self.map, 24)


def every_k(total_known, most=None):
    """1, 2, 3 … as far as total_known() says that there are so many; a part of them, unless all are wanted."""
    k = 1
    while True:
        yield k
        if k > total_known() or (k == most and not ALL):
            return
        k += 1 if ALL or k < FIRST else STRIDE


@unittest.skipIf(SANITIZED, "sanitizers bring an allocator of their own")
class FailingCalls(Case):
    def setUp(self):
        self.control = Control()
        self.addCleanup(self.control.close)

    # ── at the start ──

    def try_start(self, function, k, persistent):
        """One start; how many calls there were and how many failed."""
        d = Daemon("pool.processes=2", "pool.threads=2", defaults=False, environment=self.control.environment)
        self.control.arm(function, k, persistent, forget_owner=True)
        try:
            d.launch()
            give_up = time.monotonic() + PATIENCE
            serves = False
            while d.process.poll() is None and not serves:
                self.assertLess(time.monotonic(), give_up, "it hangs\n" + d.log())
                try:
                    Client(d.path).close()
                    serves = True
                except OSError:
                    time.sleep(0.002)
            counted = self.control.disarm()
            if serves:
                # It can have been told to start before all was as wanted; then the rest follows.
                # The failure may have hit the first connection.
                until(lambda: d.process.poll() is not None or self.ask(d.path, "Status"), "it serves")
                serves = d.process.poll() is None
            if serves:
                result = d.run(workload="nop", mode="process", count=500)
                self.assertEqual((500, 0), (result["verified"], result["failed"]))
                d.process.terminate()
                self.assertEqual(0, d.wait(), d.log())
            else:
                code = d.wait()
                self.assertGreater(code, 0, "ended by signal %d\n%s" % (-code, d.log()))
                if function != "write":  # which is how it would say so
                    self.assertRegex(d.log(), "ERROR")
            d.assert_gone()
            d.assert_log_clean()
            return counted
        finally:
            self.control.disarm()
            d.discard()

    def starts(self, function):
        for persistent in (False, True):
            seen = [0]
            for k in every_k(lambda: seen[0]):
                try:
                    counted, failed = self.try_start(function, k, persistent)
                except Exception as e:
                    raise AssertionError("%s %d%s" % (function, k, " and all after it" if persistent else "")) from e
                seen[0] = counted if not failed else max(seen[0], k + STRIDE)
                if not failed:
                    break
            print("# start: %s %s: up to k = %d" % (function, "from then on" if persistent else "once", k), flush=True)

    # ── while it takes over what a killed one left ──

    def takeover(self, function, k, persistent):
        """However the first successor fares, the job is not lost: it ends exactly, or says what was missing. How many
        calls there were and how many failed."""
        d = self.start(environment=self.control.environment)
        job = d.call("Run", workload="nop", count=30_000_000, detach=True)["id"]
        d.kill()
        self.control.arm(function, k, persistent, forget_owner=True)
        try:
            d.launch()
            until(lambda: d.process.poll() is not None or self.listens(d), "it serves, or says why not\n" + d.log())
        finally:
            counted = self.control.disarm()
        reply = until(lambda: self.end_of(d, job), "its end is told")
        if reply["state"] == "failed":  # of what was missing while it ran
            self.assertRegex(reply["reason"], "memory|not enough workers", d.log())
        else:
            self.assertEqual("done", reply["state"], (reply["reason"], d.log()))
            self.assertEqual(30_000_000, reply["result"]["verified"])
        d.stop()
        return counted

    def end_of(self, d, job):
        """The reply; None when there is none yet. It can have listened before it saw that it cannot start."""
        if d.process.poll() is not None:
            self.assertGreater(d.wait(), 0, d.log())
            d.start()
        return self.ask(d.path, "Wait", id=job)

    def listens(self, d):
        try:
            Client(d.path).close()
            return True
        except OSError:
            return False

    def takeovers(self, function):
        # Who has no memory at all may end a job and be unable to write that down for the next one.
        for persistent in (False, True)[:1 if function == "malloc" else 2]:
            k, failed = 1, True
            while failed:
                try:
                    _, failed = self.takeover(function, k, persistent)
                except Exception as e:
                    raise AssertionError("%s %d%s" % (function, k, " and all after it" if persistent else "")) from e
                k += 1 if ALL else max(1, k // 2)
            print("# takeover: %s %s: up to k = %d" % (function, "from then on" if persistent else "once", k), flush=True)

    # ── in a session ──

    def ask(self, path, method, **parameters):
        """A reply, an error, or None for a closed connection; a hang is a failure."""
        try:
            with Client(path) as client:
                return client.call(method, **parameters)
        except Failed as e:
            self.assertIn(e.error, ("Internal", "Busy", "NoSuchJob", "ShuttingDown"), e)
            return None
        except (ConnectionError, FileNotFoundError, BrokenPipeError):
            return None

    def session(self, d, number):
        """A little of everything. What is answered must be right."""
        self.ask(d.path, "Describe")
        self.ask(d.path, "Status")
        self.ask(d.path, "org.varlink.service.GetInfo")
        for i, (mode, spawn, workers) in enumerate((("process", "pool", 2), ("thread", "pool", 2), ("gil", "pool", 2),
                                                    ("process", "per-task", 1), ("thread", "per-task", 0),
                                                    ("process", "pool", 4))):
            # A child for a task is asked for again for a second.
            count = 24 if spawn == "pool" else 2
            reply = self.ask(d.path, "Run", id="%032x" % (number * 10 + i), workload="nop", mode=mode, spawn=spawn,
                             workers=workers, count=count)
            if reply and reply["state"] == "done":
                result = reply["result"]
                if result:
                    self.assertEqual((count, 0), (result["verified"], result["failed"]), result)
            elif reply:
                self.assertIn(reply["state"], ("failed", "cancelled"), reply)
                self.assertTrue(reply["reason"], reply)
        try:
            with Client(d.path) as client:
                client.send("Run", more=True, workload="sleep", count=40, params={"us": "1000"})
                client.receive()
        except (Failed, ConnectionError):
            pass
        self.ask(d.path, "Jobs")
        d.process.send_signal(signal.SIGHUP)

    def healthy(self, d, why):
        self.assertIsNone(d.process.poll(), "%s: it died with %s\n%s" % (why, d.process.returncode, d.log()[-3000:]))
        for mode in ("process", "thread"):
            until(lambda: self.fit(d, mode), "%s: it serves as before\n%s" % (why, d.log()[-2000:]))

    def fit(self, d, mode):
        reply = d.call("Run", workload="nop", mode=mode, count=200)
        return reply["state"] == "done" and reply["result"]["verified"] == 200

    def sessions(self, function, who=OWNER):
        d = self.start(environment=self.control.environment)
        self.control.arm(function, 1 << 60)  # the owner is known from the start
        number = 0
        # When nothing is ever accepted, or epoll_wait(2) is always interrupted, nobody can be answered.
        for persistent in (False, True)[:1 if function in ("accept", "epoll_wait") else 2]:
            seen = [0]
            for k in every_k(lambda: seen[0], 3 if who == DESCENDANTS else None):
                number += 1
                why = "%s %d%s" % (function, k, " and all after it" if persistent else "")
                self.control.arm(function, k, persistent, who)
                try:
                    self.session(d, number)
                except Exception as e:
                    raise AssertionError(why) from e
                counted, failed = self.control.disarm()
                self.healthy(d, why)
                seen[0] = counted if not failed else max(seen[0], k + STRIDE)
                if not failed:
                    break
            print("# session: %s %s: up to k = %d" % (function, "from then on" if persistent else "once", k), flush=True)

    def test_a_signal_that_cannot_be_read(self):
        d = self.start(environment=self.control.environment)
        self.control.arm("read", 1, True)
        d.process.send_signal(signal.SIGHUP)
        until(lambda: struct.unpack_from("<Q", self.control.map, 32)[0] > 0 or d.process.poll() is not None, "it is read")
        self.control.disarm()
        until(lambda: "reloaded" in d.log() or d.process.poll() is not None, "it is read in the end")
        self.healthy(d, "read")

    def test_a_reload_without_memory(self):
        """Each is told to be taken over or refused, and one that is refused changes nothing and is an error."""
        path = self.folder() + "/concd.conf"

        def rewrite(limit):
            with open(path + ".new", "w", encoding="utf-8") as f:
                f.write("[jobs]\nqueue = %d\n[access]\nsubmit_users = root, 1\n" % limit)
            os.rename(path + ".new", path)

        def told():
            log = d.log()
            return log.count(path + " reloaded"), len(re.findall(r" ERROR concd: the configuration stays as it was", log))

        rewrite(100)
        d = self.start(arguments=["--config", path], environment=self.control.environment)
        limit, before, ks = 100, (0, 0), []
        for k in range(1, 10000):
            rewrite(100 + k)
            self.control.arm("malloc", k, False)
            d.process.send_signal(signal.SIGHUP)
            until(lambda: sum(told()) > sum(before), "the reload with call %d failing is told of" % k)
            _, failed = self.control.disarm()
            now = told()
            if now[0] > before[0]:
                limit = 100 + k
            else:
                ks.append(k)
            self.assertEqual(sum(before) + 1, sum(now), d.log())
            self.assertEqual(limit, d.call("Status")["daemon"]["queue_limit"])
            before = now
            if not failed:
                break
        self.assertEqual(100 + k, limit, "without a failure it is taken over")
        self.assertGreater(len(ks), 20)
        self.healthy(d, "malloc")


def add_tests():
    for function in FUNCTIONS:
        if function not in ("epoll_wait", "accept", "thread"):
            setattr(FailingCalls, "test_start_" + function, lambda self, f=function: self.starts(f))
        if function not in ("shm_open", "fallocate", "eventfd", "thread"):
            setattr(FailingCalls, "test_session_" + function, lambda self, f=function: self.sessions(f))
    for function in ("malloc", "mmap", "fork", "open", "fcntl", "eventfd", "epoll_ctl", "pidfd_open"):
        setattr(FailingCalls, "test_takeover_" + function, lambda self, f=function: self.takeovers(f))
    for function in ("malloc", "fork", "mmap", "thread", "write", "open"):
        setattr(FailingCalls, "test_workers_" + function, lambda self, f=function: self.sessions(f, DESCENDANTS))


add_tests()

if __name__ == "__main__":
    main()
