#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Pressure from outside: no descriptors, no room, no processes, crowds, clients that stall or die, clocks that jump. The
daemon stays responsive, says what is wrong, counts right, and is as before when it is over."""
import ctypes
import json
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time

from harness import CONCCTL, PATIENCE, Case, Client, Daemon, Failed, concctl_environment, main, until

ALL = os.environ.get("CONCD_FAULTS_ALL") == "1"
SANITIZED = os.environ.get("CONCD_SANITIZED") == "1"
ID = "%032x"
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors_of(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Pressure(Case):
    def serves(self, d):
        for mode in ("process", "thread"):
            result = d.run(workload="nop", mode=mode, count=1000)
            self.assertEqual((1000, 0), (result["verified"], result["failed"]))

    def ask(self, d, method):
        """None while there is no room for one more."""
        try:
            return d.call(method)
        except (Failed, BlockingIOError, BrokenPipeError) as e:
            # The daemon says so and closes, perhaps before it was asked anything.
            self.assertIn(getattr(e, "error", "Busy"), "Busy")
            return None

    def clients(self, d):
        reply = self.ask(d, "Status")
        return reply and reply["daemon"]["clients"]

    def alone(self, d):
        """All clients but the one who asks are gone, and so are their descriptors."""
        until(lambda: self.clients(d) == 1, "the daemon has noticed that its clients left")

    def all_cancelled(self, d):
        def unfinished():
            reply = self.ask(d, "Jobs")
            return reply and [j for j in reply["jobs"] if j["state"] in ("running", "queued")]
        until(lambda: unfinished() == [], "their jobs were cancelled")

    def limit(self, pid, what, soft):
        hard = resource.prlimit(pid, what)[1]
        resource.prlimit(pid, what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


class Descriptors(Pressure):
    def test_none_left(self):
        d = self.start("clients.connections=100000", "clients.connections_per_user=100000")
        pid = d.process.pid
        before = descriptors_of(pid)
        d.call("Run", id=ID % 1, detach=True, workload="sleep", count=4000, params={"us": "1000"})
        self.limit(pid, resource.RLIMIT_NOFILE, before + 12)
        crowd = []
        for _ in range(100):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.path)
            crowd.append(s)
        until(lambda: "cannot accept connections" in d.log(), "the daemon says that it has no descriptor left")
        # A worker dies while there is no descriptor for its successor.
        victims = sorted(d.descendants())
        self.assertTrue(all(p > 1 for p in victims))
        os.kill(victims[-1], signal.SIGKILL)
        used, began = cpu_seconds(pid), time.monotonic()
        time.sleep(2.5)
        share = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        print("# without descriptors the daemon used %.1f %% of a CPU" % (100 * share))
        if not SANITIZED:
            self.assertLess(share, 0.05)
        for s in crowd:
            s.close()
        self.limit(pid, resource.RLIMIT_NOFILE, 1024)
        result = d.call("Wait", id=ID % 1)["result"]
        self.assertEqual((4000, 0), (result["verified"], result["failed"]))
        self.alone(d)
        until(lambda: descriptors_of(pid) <= before + 1, "its descriptors are as before")
        self.serves(d)

    def test_a_crowd(self):
        """As many as the issue names, at the same time where the limits of this machine allow it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        many = 10000 if hard >= 11000 or os.getuid() == 0 else hard - 100
        if many > soft - 100:
            resource.setrlimit(resource.RLIMIT_NOFILE, (many + 1000, max(hard, many + 1000)))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, max(hard, many + 1000)))
        d = self.start("clients.connections=20000", "clients.connections_per_user=20000")
        pid = d.process.pid
        self.serves(d)
        before, memory = descriptors_of(pid), resident(pid)
        crowd = []
        try:
            for _ in range(many):
                s = socket.socket(socket.AF_UNIX)
                s.connect(d.path)
                crowd.append(s)
            until(lambda: self.clients(d) == many + 1, "all of them are in")
            each = (resident(pid) - memory) / many
            print("# %d connections at once: %.0f bytes of memory each" % (many, each))
            if not SANITIZED:
                self.assertLess(each, 8192)
            self.serves(d)
        finally:
            for s in crowd:
                s.close()
        self.alone(d)
        until(lambda: descriptors_of(pid) <= before + 1, "its descriptors are as before")
        self.serves(d)

    def test_ten_thousand_one_after_another(self):
        d = self.start()
        pid = d.process.pid
        before = descriptors_of(pid)
        for _ in range(10000):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.path)
            s.close()
        self.alone(d)
        until(lambda: descriptors_of(pid) <= before + 1, "its descriptors are as before")
        self.serves(d)

    def test_as_fast_as_they_can(self):
        """A user who connects and leaves without a pause, and one who asks without wanting an answer, do not keep others
        from being answered. That the loop is never in one place for long is counted in test_service.c."""
        d = self.start()
        self.serves(d)
        call = json.dumps({"method": "org.concd.Status", "oneway": True}).encode() + b"\0"
        for flood in (self.connect_for_ever, lambda path: self.send_for_ever(path, call * 400)):
            patient = Client(d.path)
            pids = [self.fork(flood, d.path) for _ in range(4)]
            try:
                waits = []
                for _ in range(30):
                    began = time.monotonic()
                    patient.call("Status")
                    waits.append(time.monotonic() - began)
                    time.sleep(0.02)
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                patient.close()
            print("# of 30 calls meanwhile the longest took %.0f ms" % (1000 * max(waits)))
            self.alone(d)
        self.serves(d)

    def fork(self, flood, path):
        pid = os.fork()
        if pid == 0:
            try:
                flood(path)
            finally:
                os._exit(1)
        return pid

    def connect_for_ever(self, path):
        while True:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)

    def send_for_ever(self, path, data):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            while True:
                s.sendall(data)


class Clients(Pressure):
    def test_many_that_do_not_read(self):
        d = self.start("clients.request_timeout=1s", "clients.max_unread=65536", "jobs.queue=100",
                       "jobs.queue_per_user=100")
        self.serves(d)
        memory = resident(d.process.pid)
        d.call("Run", id=ID % 1, detach=True, workload="nop", count=10**12)
        ask = json.dumps({"method": "org.concd.Describe"}).encode() + b"\0"
        wait = json.dumps({"method": "org.concd.Wait", "parameters": {"id": ID % 1}, "more": True}).encode() + b"\0"
        crowd = []
        for i in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(d.path)
            s.setblocking(False)
            try:
                s.send(wait if i % 2 else ask * 500)
            except BlockingIOError:
                pass
            crowd.append(s)
        until(lambda: self.clients(d) <= 21, "those who do not read replies are dropped")
        grown = resident(d.process.pid) - memory
        print("# 40 clients that do not read: %.1f MiB more" % (grown / 2**20))
        if not SANITIZED:
            self.assertLess(grown, 40 * 65536 * 4)
        for s in crowd:
            s.close()
        d.call("Cancel", id=ID % 1)
        self.alone(d)
        self.serves(d)

    def test_cut_off_at_every_byte(self):
        d = self.start()
        message = json.dumps({"method": "org.concd.Run", "more": True, "parameters": {
            "workload": "sleep", "params": {"us": "1000"}, "count": 100000}}).encode() + b"\0"
        rng = random.Random(4)
        offsets = range(len(message) + 1) if ALL else sorted({0, 1, len(message) - 1, len(message)}
                                                             | {rng.randrange(len(message)) for _ in range(25)})
        for offset in offsets:
            for how in ("close", "reset", "half"):
                with self.subTest(offset=offset, how=how):
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(d.path)
                    s.sendall(message[:offset])
                    if how == "half":
                        s.shutdown(socket.SHUT_WR)
                    elif how == "reset":
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.close()
        self.all_cancelled(d)
        for _ in range(5):
            with Client(d.path) as client:
                client.send_raw(message)
                self.assertIn(b'"continues":true', client.receive_raw())
        self.all_cancelled(d)
        self.assertLessEqual(5, len([j for j in d.call("Jobs")["jobs"] if j["state"] == "cancelled"]))
        self.alone(d)
        self.serves(d)

    def test_concctl_killed_at_any_time(self):
        d = self.start()
        rng = random.Random(5)
        for _ in range(60 if ALL else 20):
            p = subprocess.Popen([CONCCTL, "run", "--workload=sleep", "--param=us=1000", "--count=100000"],
                                 env=concctl_environment({"CONCD_SOCKET": d.path}), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.03)
            p.kill()
            p.wait()
        self.all_cancelled(d)
        self.alone(d)
        self.serves(d)

    def test_nonsense_on_many_connections(self):
        d = self.start()
        rng = random.Random(6)
        pieces = [b"\0" * 1000, b"{" * 5000 + b"\0", b"[" * 3000 + b"]" * 3000 + b"\0", b'{"method":1e999}\0',
                  b'{"method":"org.concd.Run","parameters":' + b'{"a":' * 1000 + b"1" + b"}" * 1001 + b"\0",
                  b'{"method":"org.concd.Run","parameters":{"count":' + b"9" * 5000 + b"}}\0", b"\xff\xfe\0", b'""\0',
                  b'{"method":"org.concd.Status"}\0']
        for _ in range(300):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.path)
            s.settimeout(PATIENCE)
            try:
                for _ in range(rng.randrange(1, 5)):
                    s.sendall(rng.choice(pieces) if rng.random() < 0.7 else rng.randbytes(rng.randrange(2000)))
            except (BrokenPipeError, ConnectionResetError):
                pass
            s.close()
        self.alone(d)
        self.serves(d)


class Room(Pressure):
    """In a mount namespace of its own, where /dev/shm, or the disk of the log, is small."""

    def in_namespace(self, mount):
        if os.getuid() != 0:
            self.skipTest("only root can mount")
        libc = ctypes.CDLL(None, use_errno=True)
        pid = os.fork()
        if pid == 0:
            if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
                os._exit(77)
            code = 1
            try:
                mount(libc)
                code = 0
            except BaseException:  # the parent must hear of it, whatever it is
                import traceback
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 77:
            self.skipTest("no mount namespace is to be had here")
        self.assertEqual(0, code)

    def tmpfs(self, libc, where, size):
        if libc.mount(b"tmpfs", where.encode(), b"tmpfs", 0, ("size=%d" % size).encode()) != 0:
            os._exit(77)

    def fill(self, folder):
        with open(folder + "/filler", "wb", buffering=0) as f:
            try:
                while f.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def test_shared_memory_full_at_the_start(self):
        def inside(libc):
            self.tmpfs(libc, "/dev/shm", 1 << 20)
            d = Daemon()
            try:
                d.launch()
                self.assertEqual(70, d.wait())
                errors = [line for line in d.log().splitlines() if "ERROR" in line]
                self.assertEqual(1, len(errors), d.log())
                self.assertRegex(errors[0], r"cannot reserve \d+ bytes in /dev/shm")
                self.assertEqual([], os.listdir("/dev/shm"))
            finally:
                d.discard()
        self.in_namespace(inside)

    def test_shared_memory_full_later(self):
        def inside(libc):
            self.tmpfs(libc, "/dev/shm", 16 << 20)
            with Daemon() as d:
                self.fill("/dev/shm")
                self.serves(d)
                # A sleeper is killed: the semaphores want to be replaced and cannot be.
                for worker in d.call("Status")["workers"]:
                    if worker["kind"] == "process" and worker["pid"] > 1:
                        os.kill(worker["pid"], signal.SIGKILL)
                until(lambda: len([w for w in d.call("Status")["workers"] if w["state"] == "idle"]) == 4,
                      "the workers are back")
                self.serves(d)
                self.assertIn("cannot create semaphore", d.log())
                os.unlink("/dev/shm/filler")
                self.serves(d)
                until(lambda: d.call("Status")["daemon"]["generation"] == 2 or self.serves(d), "they are replaced now")
        self.in_namespace(inside)

    def test_the_disk_of_the_log_is_full(self):
        def inside(libc):
            folder = tempfile.mkdtemp(prefix="concd-test-")
            self.tmpfs(libc, folder, 1 << 16)
            with Daemon() as d:
                d.stop()
            d = Daemon()
            d.log_path = folder + "/log"
            self.fill(folder)
            with open(os.devnull, "w", encoding="utf-8"):
                d.start()
                try:
                    self.serves(d)
                    d.process.send_signal(signal.SIGHUP)
                    self.serves(d)
                    d.process.terminate()
                    self.assertEqual(0, d.wait())
                    d.assert_gone()
                finally:
                    d.discard()
            libc.umount2(folder.encode(), 2)
            os.rmdir(folder)
        self.in_namespace(inside)

    def test_nobody_reads_the_log(self):
        d = Daemon()
        try:
            ours, theirs = os.pipe()
            d.process = subprocess.Popen(d.command(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                                         env=d.environment)
            os.close(ours)
            os.close(theirs)
            open(d.log_path, "w", encoding="utf-8").close()
            until(d._answers, "it answers")
            self.serves(d)
            d.process.terminate()
            self.assertEqual(0, d.wait())
            d.assert_gone()
        finally:
            d.discard()


class Processes(Pressure):
    def test_no_more_of_them(self):
        """RLIMIT_NPROC, which root does not heed: as another user."""
        if os.getuid() != 0:
            self.skipTest("only root can become another user")
        uid = 60000 + os.getpid() % 5000
        folder = tempfile.mkdtemp(prefix="concd-test-")
        os.chown(folder, uid, uid)
        for path in (os.path.dirname(os.path.abspath(CONCCTL)), folder):
            if subprocess.run(["setpriv", "--reuid", str(uid), "--clear-groups", "test", "-x", path]).returncode:
                os.rmdir(folder)
                self.skipTest("%s is closed to other users" % path)
        d = Daemon("pool.max_workers=32")
        os.rmdir(d.folder)
        d.folder, d.path, d.log_path = folder, folder + "/socket", folder + "/log"
        command, name = d.command(), "concd.%d.%s" % (uid, d.instance)
        become = ["setpriv", "--reuid", str(uid), "--clear-groups"]
        d.command = lambda: become + command

        def limit(soft):
            subprocess.run(become + ["prlimit", "--pid", str(d.process.pid), "--nproc=%d:" % soft], check=True)

        try:
            d.start()
            self.serves(d)
            # The supervisor, its 2 workers with their parked threads, the host and its 2 threads are there.
            limit(10)
            reply = d.call("Run", workload="nop", workers=20, count=1000)
            self.assertEqual("failed", reply["state"], reply)
            self.assertIn("not enough workers", reply["reason"])
            self.assertIn("cannot fork a worker", d.log())
            d.call("Status")
            limit(1000)
            until(lambda: d.call("Run", workload="nop", workers=20, count=1000)["state"] == "done", "there is room again")
            self.serves(d)
            d.process.terminate()
            self.assertEqual(0, d.wait())
            self.assertFalse([n for n in os.listdir("/dev/shm") if name in n])
        finally:
            d.discard()
            for left in os.listdir("/dev/shm"):
                if name in left:
                    os.unlink("/dev/shm/" + left)

    def test_a_workload_that_kills_every_worker(self):
        d = self.start("jobs.deadline=0")
        for kind in ("segv", "exit", "abort"):
            d.call("Run", id=ID % 1 if kind == "segv" else ID % len(kind), detach=True, workload="fail", count=60,
                   params={"kind": kind, "at": "0", "every": "1"})
        until(lambda: all(j["state"] == "failed" for j in d.call("Jobs")["jobs"]), "all have ended", 4 * PATIENCE)
        for job in d.call("Jobs")["jobs"]:
            result = d.call("Wait", id=job["id"])["result"]
            self.assertEqual(60, result["done"])
            self.assertGreaterEqual(result["failed"], 59)
        self.serves(d)
        used = cpu_seconds(d.process.pid)
        time.sleep(1)
        self.assertLess(cpu_seconds(d.process.pid) - used, 0.05)


class Clocks(Pressure):
    def setUp(self):
        if SANITIZED:
            self.skipTest("sanitizers must be loaded first")
        self.ahead = tempfile.NamedTemporaryFile(prefix="concd-test-")
        self.addCleanup(self.ahead.close)
        self.set_ahead(0)
        self.environment = {"LD_PRELOAD": os.environ["JUMP_CLOCK_LIBRARY"], "JUMP_CLOCK": self.ahead.name}

    def set_ahead(self, seconds):
        self.ahead.seek(0)
        self.ahead.write(struct.pack("<q", seconds))
        self.ahead.flush()

    def test_the_wall_clock_means_nothing(self):
        d = self.start(environment=self.environment)
        self.serves(d)
        began = time.monotonic()
        result = d.run(workload="sleep", duration_ns=700 * 10**6, params={"us": "1000"})
        self.assertGreater(time.monotonic() - began, 0.69)
        self.assertGreater(result["done"], 0)
        reply = d.call("Run", workload="sleep", count=100000, params={"us": "1000"}, deadline_ns=700 * 10**6)
        self.assertIn("deadline", reply["reason"])
        result = d.run(workload="sleep", count=300, params={"us": "1000"}, timeout_ns=10**9)
        self.assertEqual((300, 0), (result["verified"], result["failed"]))
        d.kill()
        d.start()
        self.serves(d)

    def test_an_hour_passes_at_once(self):
        """As when a machine slept and its monotonic clock went on: what is due is done, and nothing is lost."""
        d = self.start("jobs.deadline=0", environment=self.environment)
        # Not sleep, which would sleep until an hour has passed for the kernel, too.
        d.call("Run", id=ID % 1, detach=True, workload="nop", count=300_000_000)
        until(lambda: d.call("Jobs")["jobs"][0]["progress"]["done"], "the job has begun")
        self.set_ahead(3600)
        result = d.call("Wait", id=ID % 1)["result"]
        self.assertEqual((300_000_000, 0, 0), (result["verified"], result["failed"], result["restarts"]))
        self.assertGreater(result["wall_s"], 3600)
        d.call("Run", id=ID % 2, detach=True, workload="nop", duration_ns=1800 * 10**9)
        until(lambda: d.call("Jobs")["jobs"][0]["progress"]["done"], "the job has begun")
        self.set_ahead(7200)
        self.assertEqual("done", d.call("Wait", id=ID % 2)["state"])
        self.serves(d)


if __name__ == "__main__":
    main()
