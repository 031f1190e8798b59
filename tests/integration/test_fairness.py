#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""That process and thread workers are compared under the same conditions. Each test says how it would see its property
broken. What is looked at is what the kernel tells of the workers, not what the daemon says of itself; that the libc
mode has an effect is for the bench.
"""
import ctypes
import os
import platform
import re
import struct
import time

import harness

MODES = ("sequential", "process", "thread", "gil")
MS = 1_000_000
_libc = ctypes.CDLL(None, use_errno=True)


def read(path, binary=False):
    with open(path, "rb" if binary else "r", **({} if binary else {"encoding": "utf-8", "errors": "replace"})) as f:
        return f.read()


def workers(d, *kinds):
    """Those that there are, once all have begun to live."""
    def found():
        all_of_them = [w for w in d.call("Status")["workers"] if w["kind"] in kinds]
        return all(w["pid"] > 0 and w["tid"] > 0 for w in all_of_them) and all_of_them
    return harness.until(found, "there are workers")


def job_of(d, name):
    return next(j for j in d.call("Jobs")["jobs"] if j["id"] == name)


def task(w):
    """Of a worker's own thread: its folder in /proc."""
    return "/proc/%d/task/%d" % (w["pid"], w["tid"])


class Job:
    """A detached run that goes on until it is cancelled; `workers` are those at work for it."""

    def __init__(self, d, mode, number=2, **parameters):
        self.d = d
        self.id = d.call("Run", detach=True, mode=mode, count=10**9, workload="sleep", params={"us": "2000"},
                         **({} if mode == "sequential" else {"workers": number}), **parameters)["id"]
        number = 1 if mode == "sequential" else number
        self.workers = harness.until(lambda: self.at_work(number), "%d workers are at work" % number)

    def at_work(self, number):
        found = [w for w in self.d.call("Status")["workers"] if w["job"] == self.id and w["state"] == "running" and
                 w["kind"] != "thread-host"]
        return len(found) == number and self.done() and found

    def done(self):
        job = job_of(self.d, self.id)
        return job["progress"] and job["progress"]["done"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.d.call("Cancel", id=self.id)


class Libc(harness.Case):
    """Broken when a process worker has no second thread: then glibc leaves atomics out of it that threads pay for."""

    @staticmethod
    def is_single_threaded(pid):
        """What glibc itself goes by in that process: __libc_single_threaded, read from its memory."""
        def base(of):
            library = os.path.realpath(next(line.split()[-1] for line in read("/proc/self/maps").splitlines()
                                            if re.search(r"/libc[.-][^/]*so", line)))
            return next(int(line.split("-")[0], 16) for line in read("/proc/%s/maps" % of).splitlines()
                        if os.path.realpath(line.split()[-1]) == library)
        offset = ctypes.addressof(ctypes.c_char.in_dll(_libc, "__libc_single_threaded")) - base("self")
        with open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
            memory.seek(base(pid) + offset)
            return memory.read(1) != b"\0"

    def looks(self, found):
        """(threads of their process, is glibc in the mode for one thread) of each worker; two threads count as many."""
        return {(min(len(os.listdir("/proc/%d/task" % w["pid"])), 2), self.is_single_threaded(w["pid"])) for w in found}

    def test_processes_run_the_libc_paths_of_threads(self):
        d = self.start()
        for mode in MODES:
            with self.subTest(mode), Job(d, mode) as job:
                self.assertEqual({(2, False)}, self.looks(job.workers))

    def test_no_worker_lives_on_the_heap_of_the_supervisor(self):
        """A process inherits it with its first thread, holes and all, and malloc is slower there: a second thread has an
        arena and a stack of its own, as in the thread host. Broken when the first one works."""
        d = self.start()
        for mode in MODES:
            with self.subTest(mode), Job(d, mode) as job:
                self.assertTrue(all(w["tid"] != w["pid"] for w in job.workers), job.workers)

    def test_it_would_be_seen(self):
        """With libc=native it is as if the second thread was forgotten, and the same look sees that."""
        d = self.start()
        for mode in ("sequential", "process"):
            with self.subTest(mode), Job(d, mode, libc="native") as job:
                self.assertEqual({(1, True)}, self.looks(job.workers))
        with Job(d, "thread", libc="native") as job:
            self.assertEqual({(2, False)}, self.looks(job.workers))

    def test_within_a_comparison(self):
        """Each variant has its own, and the next round has it, too."""
        d = self.start()
        name = d.call("Compare", detach=True, mode="process", workers=2, workload="sleep", params={"us": "10000"},
                      count=30,
                      variants=[{"libc": "threaded"}, {"libc": "native"}, {"mode": "thread"}], rounds=10)["id"]
        seen = {}
        while job_of(d, name)["state"] == "running":
            for w in d.call("Status")["workers"]:
                if w["job"] != name or w["state"] != "running" or w["pid"] <= 0:
                    continue
                try:
                    number = len(os.listdir("/proc/%d/task" % w["pid"]))
                except FileNotFoundError:
                    continue  # its flavour was not wanted any more
                seen.setdefault(w["kind"], set()).add(min(number, 2))
        c = d.call("Wait", id=name)["compare"]
        self.assertEqual([("threaded", 300), ("native", 300), ("threaded", 300)],
                         [(v["libc"], v["done"]) for v in c["variants"]])
        self.assertEqual({1, 2}, seen["process"])
        self.assertEqual({2}, seen["thread"])


class Primitives(harness.Case):
    """Broken when one mode waits on primitives that are private to a process, which the kernel serves by a shorter
    way."""

    FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(platform.machine())
    FUTEX_PRIVATE_FLAG = 128

    def futex_of(self, w):
        """The operation of the futex call in which it sleeps; None while it does not."""
        try:
            words = read(task(w) + "/syscall").split()
        except OSError as e:
            self.skipTest("the kernel does not tell in which call a task is: %s" % e)
        if words[0] == "running" or int(words[0]) != self.FUTEX:
            return None
        return int(words[2], 16)

    def setUp(self):
        if self.FUTEX is None:
            self.skipTest("the number of futex(2) is not known for " + platform.machine())

    def test_both_sleep_at_the_same_kind_of_gate(self):
        d = self.start()
        operations = {}
        for w in workers(d, "process", "thread"):
            operation = harness.until(lambda: self.futex_of(w), "the %s sleeps at its gate" % w["kind"])
            operations.setdefault(w["kind"], set()).add(operation)
        self.assertEqual(operations["process"], operations["thread"])
        for operation in operations["process"]:
            self.assertEqual(0, operation & self.FUTEX_PRIVATE_FLAG)

    def test_the_interpreter_lock_is_shared_like_all_others(self):
        """Who waits for it says so to the kernel; its own words say it, too, whatever mode runs."""
        d = self.start()
        name = d.call("Run", detach=True, mode="gil", workload="spin", params={"ns": "1000000"}, count=10**9,
                      workers=2)["id"]
        found = set()

        def waits():
            for w in workers(d, "thread"):
                operation = self.futex_of(w)
                if operation and w["state"] == "running":
                    found.add(operation & self.FUTEX_PRIVATE_FLAG)
            return found
        harness.until(waits, "one of them waits for the interpreter lock")
        self.assertEqual({0}, found)
        d.call("Cancel", id=name)

    def test_the_mutex_of_the_run_in_each_mode(self):
        """glibc's layout: __kind of a mutex, whose bit 7 is PTHREAD_PROCESS_SHARED, and __wrefs of a condition
        variable, whose bit 0 is. The lock lies in the segment, and is made anew for each run."""
        if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
            self.skipTest("knows the layout of glibc on x86-64 only")
        d = self.start()
        for mode in MODES:
            with self.subTest(mode):
                d.run(mode=mode, workload="nop", count=10)
                self.assertEqual((0x80, 1, 1), self.shared_bits(d))

    @staticmethod
    def shared_bits(d):
        """struct gil: mutex 40 bytes, two condition variables of 48, 3 × 4 bytes, 4 to fill, 8, and the switch
        interval."""
        segment = read("/dev/shm/concd.%d.%s" % (os.getuid(), d.instance), binary=True)
        at = [m.start() - 160 for m in re.finditer(re.escape(struct.pack("<Q", 5_000_000)), segment)]
        at = [offset for offset in at if offset > 0 and offset % 64 == 0]
        assert len(at) == 1, at
        kind, = struct.unpack_from("<i", segment, at[0] + 16)
        released, taken = (struct.unpack_from("<I", segment, at[0] + offset + 36)[0] for offset in (40, 88))
        return kind & 0x80, released & 1, taken & 1


class Chunks(harness.Case):
    def test_the_same_work_is_divided_in_the_same_way(self):
        """Broken when a mode claims more at a time than another: it would go to the ledger less often."""
        d = self.start("pool.max_workers=8")
        for count in (1, 10, 1000, 123_457):
            for number in (2, 5):
                runs = [d.run(mode=mode, workload="nop", count=count, workers=number) for mode in MODES[1:]]
                self.assertEqual(1, len({(r["chunk"], r["chunks"]) for r in runs}), (count, number))
            c = d.call("Compare", variants=[{"mode": m} for m in MODES], workload="nop", count=count,
                       rounds=10)["compare"]
            self.assertEqual({runs[0]["chunk"]}, {v["chunk"] for v in c["variants"]}, count)


class Cpus(harness.Case):
    def allowed(self, w):
        return re.search(r"^Cpus_allowed_list:\s*(\S+)", read(task(w) + "/status"), re.M).group(1)

    def test_every_worker_runs_where_the_result_says(self):
        """Broken when one mode is pinned and another is not, or by something else: sched_getaffinity() of each
        worker."""
        cpus = sorted(os.sched_getaffinity(0))
        d = self.start()
        for chosen in (cpus[:1], cpus[-1:], cpus):
            for mode in MODES:
                with self.subTest(mode=mode, cpus=chosen), Job(d, mode, cpus=chosen) as job:
                    for w in job.workers:
                        self.assertEqual(set(chosen), os.sched_getaffinity(w["tid"]), self.allowed(w))
                self.assertEqual(chosen, d.call("Wait", id=job.id)["result"]["environment"]["cpus"])

    def test_in_every_round_of_a_comparison(self):
        """Broken when a worker keeps the CPUs of the round before."""
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("one CPU")
        d = self.start()
        variants = [{"mode": mode, "cpus": c} for mode in ("process", "thread") for c in (cpus[:1], cpus[1:2])]
        name = d.call("Compare", detach=True, variants=variants, workload="sleep", params={"us": "10000"}, count=20,
                      workers=2,
                      rounds=10)["id"]
        seen = {"process": set(), "thread": set()}
        while job_of(d, name)["state"] == "running":
            for w in d.call("Status")["workers"]:
                if w["job"] == name and w["state"] == "running" and w["kind"] in seen and w["tid"] > 0:
                    seen[w["kind"]].add(tuple(sorted(os.sched_getaffinity(w["tid"]))))
        self.assertEqual("done", d.call("Wait", id=name)["state"])
        # A worker that has just sat down may not have moved there from where its first run begins: all CPUs.
        both = {tuple(cpus[:1]), tuple(cpus[1:2])}
        for kind, found in seen.items():
            self.assertEqual(both, found - {tuple(cpus)}, kind)

    def test_the_default_number_of_workers_is_that_of_the_cpus(self):
        """Broken when a mode counts the CPUs of the machine, and not those that it may use. The daemon has its affinity
        from who starts it. What a cgroup allows: tests/unit/test_cpus.c."""
        cpus = os.sched_getaffinity(0)
        for chosen in (set(sorted(cpus)[:1]), cpus):
            os.sched_setaffinity(0, chosen)
            try:
                d = self.start()
            finally:
                os.sched_setaffinity(0, cpus)
            quota = d.run(workload="nop", count=1)["environment"]["quota_cpus"]
            due = max(1, min(len(chosen), int(quota) if quota else len(chosen)))
            c = d.call("Compare", variants=[{"mode": m} for m in MODES], workload="nop", count=9, rounds=10)["compare"]
            self.assertEqual([1, due, due, due], [v["workers"] for v in c["variants"]])
            self.assertEqual(sorted(chosen), c["environment"]["cpus"])
            self.assertEqual([sorted(chosen)] * 4, [v["cpus"] for v in c["variants"]])
            # And of the CPUs that the caller chooses.
            one = sorted(chosen)[:1]
            for mode in MODES:
                self.assertEqual(1, d.run(mode=mode, cpus=one, workload="nop", count=9)["workers"])


class Held:
    """One thread, stopped by ptrace(2): it alone, whatever its process is."""

    ATTACH, DETACH, WALL = 16, 17, 0x40000000

    def __init__(self, tid):
        self.tid = tid

    def __enter__(self):
        if _libc.ptrace(self.ATTACH, self.tid, None, None) < 0:
            raise PermissionError(ctypes.get_errno(), "ptrace")
        os.waitpid(self.tid, self.WALL)
        return self

    def __exit__(self, *_):
        _libc.ptrace(self.DETACH, self.tid, None, None)


class Barrier(harness.Case):
    def test_nobody_begins_before_all_are_there(self):
        """Broken when a mode has no start barrier: then the worker that is free begins, and ends, alone, while the
        other is held before it sat down."""
        d = self.start("jobs.heartbeat=0")
        for mode, kind in (("process", "process"), ("thread", "thread"), ("gil", "thread")):
            with self.subTest(mode):
                idle = harness.until(lambda: self.idle(d, kind), "two workers are idle")
                try:
                    held = Held(idle[0]["tid"])
                    held.__enter__()
                except PermissionError:
                    self.skipTest("no ptrace here")
                try:
                    name = d.call("Run", detach=True, mode=mode, workload="nop", count=1000, workers=2)["id"]
                    harness.until(lambda: self.has_sat_down(d, name, idle[1]), "the other one has sat down")
                    # Time enough for it to do all of it, many times.
                    give_up = time.monotonic() + 0.3
                    while time.monotonic() < give_up:
                        job = job_of(d, name)
                        self.assertEqual(("running", 0), (job["state"], job["progress"]["done"]))
                finally:
                    held.__exit__()
                r = d.call("Wait", id=name)["result"]
                self.assertEqual(("done", 1000, 0), (r["state"], r["done"], r["restarts"]))
                self.assertIn(idle[0]["tid"], [w["tid"] for w in r["workers_detail"]])

    @staticmethod
    def idle(d, kind):
        found = [w for w in d.call("Status")["workers"] if w["kind"] == kind and w["state"] == "idle"]
        return len(found) == 2 and found

    @staticmethod
    def has_sat_down(d, name, which):
        """Or has done so, and more, already."""
        return job_of(d, name)["state"] != "running" or any(
            w["slot"] == which["slot"] and w["job"] == name and w["state"] == "running"
            for w in d.call("Status")["workers"])

    def test_it_is_the_same_for_all_and_the_result_says_which(self):
        d = self.start()
        self.assertEqual({"spin-futex"}, {d.run(mode=m, workload="nop", count=10)["environment"]["start_barrier"]
                                          for m in MODES})


class Surroundings(harness.Case):
    """Broken when one kind of worker has anything else than the others and the supervisor: a session (and with it an
    autogroup, by which the kernel divides the CPUs), a cgroup, a priority, a limit, a mitigation. What all of them give
    up (daemon/worker/limits.c) is all that may differ from the supervisor."""

    STAT = {"session": 3, "terminal": 4, "priority": 15, "nice": 16, "rt_priority": 37,
            "policy": 38}  # fields after the name
    STATUS = ("Uid", "Gid", "Groups", "Umask", "CapEff", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CoreDumping",
              "THP_enabled",
              "Speculation_Store_Bypass", "SpeculationIndirectBranch", "Mems_allowed_list", "Cpus_allowed_list")
    FILES = ("cgroup", "limits", "oom_score_adj", "autogroup", "timerslack_ns", "personality", "loginuid", "environ",
             "coredump_filter")
    GIVEN_UP = ("core file size", "locked memory", "msgqueue size", "nice priority", "realtime priority")
    LINKS = ("exe", "cwd", "root", "ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/user", "ns/uts", "ns/time")

    def facts(self, pid, tid):
        """All that should be the same: name -> value; None where this kernel does not tell."""
        found = {}
        folder = "/proc/%d/task/%d/" % (pid, tid)
        fields = read(folder + "stat").rpartition(")")[2].split()
        found.update({name: fields[i] for name, i in self.STAT.items()})
        status = dict(line.split(":", 1) for line in read(folder + "status").splitlines() if ":" in line)
        found.update({name: (status.get(name) or "").strip() for name in self.STATUS})
        for name in self.FILES:
            found[name] = self.try_to(read, "/proc/%d/%s" % (tid if name == "timerslack_ns" else pid, name))
        for name in self.LINKS:
            found[name] = self.try_to(os.readlink, folder + name)
        found["limits"] = {name: tuple(rest.split()) for name, rest in
                           re.findall(r"(?m)^Max (.+?) {2,}(.+)$", found["limits"] or "")}
        found["I/O class"] = _libc.syscall(252, 1, tid) if platform.machine() == "x86_64" else None
        return found

    @staticmethod
    def try_to(function, path):
        try:
            return function(path)
        except OSError:
            return None

    def same(self, d, found):
        own = self.facts(d.process.pid, d.process.pid)
        # The fields are where they should be.
        self.assertEqual(str(os.getsid(d.process.pid)), own["session"])
        self.assertEqual(str(os.getpriority(os.PRIO_PROCESS, d.process.pid)), own["nice"])
        self.assertEqual(str(os.sched_getscheduler(d.process.pid)), own["policy"])
        self.assertTrue(own["cgroup"] is not None and set(self.GIVEN_UP) < set(own["limits"]), own)
        own["NoNewPrivs"] = "1"
        for name in self.GIVEN_UP:
            own["limits"][name] = ("0", "0", *own["limits"][name][2:])
        for w in found:
            with self.subTest(kind=w["kind"]):
                other = self.facts(w["pid"], w["tid"])
                self.assertEqual({}, {k: (own[k], other[k]) for k in own if own[k] != other[k]})

    def test_idle_ones(self):
        d = self.start()
        found = workers(d, "process", "thread", "thread-host")
        self.assertEqual({"process", "thread", "thread-host"}, {w["kind"] for w in found})
        self.same(d, found)

    def test_while_they_work(self):
        d = self.start("pool.max_workers=8")
        for mode in MODES:
            with self.subTest(mode), Job(d, mode, number=4) as job:
                self.same(d, job.workers)

    def test_those_that_replace_killed_ones(self):
        d = self.start()
        old = workers(d, "process", "thread-host")
        for w in old:
            os.kill(w["pid"], 9)
        killed = {w["pid"] for w in old}
        found = harness.until(lambda: self.new_ones(d, killed), "all are there again")
        self.same(d, found)

    @staticmethod
    def new_ones(d, killed):
        found = d.call("Status")["workers"]
        is_idle = all(w["state"] == "idle" for w in found if w["kind"] != "thread-host")
        return len(found) == 5 and is_idle and not {w["pid"] for w in found} & (killed | {0}) and found


class Environment(harness.Case):
    """Broken when a figure is left out, or does not come from this machine."""

    def cpuinfo(self, key):
        found = re.search(r"^%s[ \t]*:[ ]?(.*)$" % re.escape(key), read("/proc/cpuinfo"), re.M)
        return found.group(1) if found else ""

    @staticmethod
    def try_to_read(path):
        try:
            return read(path).strip()
        except OSError:
            return None

    def quota(self):
        """The least of all limits from the own cgroup up to the root, of both versions."""
        found = []
        for line in read("/proc/self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("",) and "cpu" not in controllers.split(","):
                continue
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/" + controllers,
                         "/sys/fs/cgroup/cpu"):
                folder = path.rstrip("/")
                while True:
                    found += self.quota_of(root + folder)
                    if not folder:
                        break
                    folder = folder.rpartition("/")[0]
        return min(found, default=None)

    def quota_of(self, folder):
        limit = (self.try_to_read(folder + "/cpu.max") or "").split()
        if len(limit) != 2:
            limit = [self.try_to_read(folder + "/cpu.cfs_%s_us" % what) for what in ("quota", "period")]
        if None in limit or limit[0] in ("max", "-1"):
            return []
        return [int(limit[0]) / int(limit[1])]

    def alike(self, due, told, what):
        """The protocol carries 12 digits of a number."""
        if isinstance(due, float):
            self.assertAlmostEqual(due, told, delta=1e-9 * max(due, 1), msg=what)
        else:
            self.assertEqual(due, told, what)

    def check(self, e, load):
        mhz = [float(m) for m in re.findall(r"^cpu MHz\s*:\s*(\S+)", read("/proc/cpuinfo"), re.M)]
        governor = self.try_to_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        scaling = self.try_to_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
        due = {
            "kernel": os.uname().release,
            "machine": os.uname().machine,
            "cpu": self.cpuinfo("model name"),
            "cpus_online": os.sysconf("SC_NPROCESSORS_ONLN"),
            "cpus": sorted(os.sched_getaffinity(0)),
            "quota_cpus": self.quota(),
            "governor": governor,
            "hypervisor": "hypervisor" in self.cpuinfo("flags").split(),
            "libc": os.confstr("CS_GNU_LIBC_VERSION"),
            "clock": "CLOCK_MONOTONIC",
            "load_1min": load,
            "parked_thread": True,
            "concd": harness.concd("--version").stdout.split()[1],
        }
        for key, value in due.items():
            self.alike(value, e[key], key)
        self.assertRegex(e["compiler"], r"^(gcc|clang) \d+\.")
        self.assertGreaterEqual(e["steal_s"], 0)
        if mhz or scaling:
            self.assertTrue(50 < e["mhz"] < 20_000, e["mhz"])
        else:
            self.assertIsNone(e["mhz"])
        for key, value in e.items():
            if key in ("governor", "quota_cpus", "mhz", "sanitizer", "steal_s", "load_1min", "hypervisor",
                       "parked_thread"):
                continue
            if due.get(key, value) != "":  # not every architecture names its CPU
                self.assertTrue(value, key)

    def on_a_steady_load(self, get):
        """The answer, and the load that stood before and after it."""
        give_up = time.monotonic() + harness.PATIENCE
        while True:
            before = os.getloadavg()[0]
            answer = get()
            if os.getloadavg()[0] == before:
                return answer, before
            self.assertLess(time.monotonic(), give_up, "the load never stands still")

    def test_of_a_run(self):
        d = self.start()
        for mode in MODES:
            r, load = self.on_a_steady_load(lambda: d.run(mode=mode, workload="nop", count=100))
            self.check(r["environment"], load)

    def test_of_a_comparison(self):
        d = self.start()
        c, load = self.on_a_steady_load(lambda: d.call("Compare", variants=[{"mode": m} for m in MODES], workload="nop",
                                                       count=10, rounds=10)["compare"])
        self.check(c["environment"], load)
        self.alike(load, c["load_before"], "load_before")
        self.assertEqual(c["mhz_before"] is None, c["environment"]["mhz"] is None)
        if c["mhz_before"] is not None:
            self.assertTrue(50 < c["mhz_before"] < 20_000)

    def test_the_parked_thread_is_told_of(self):
        d = self.start()
        for libc in ("threaded", "native"):
            self.assertEqual(libc == "threaded",
                             d.run(workload="nop", count=5, libc=libc)["environment"]["parked_thread"])


if __name__ == "__main__":
    harness.main()
