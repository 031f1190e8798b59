# SPDX-License-Identifier: MIT
"""The kinds of jobs that a storm is made of: one row each. A row says what to ask for, who is to be killed meanwhile,
and what the answer must be, to the last bit: all sums are computed here from the definition of the workloads, and
not taken from a run of the daemon. Of a race: every trial has an outcome, none is one that its guard forbids.
"""
import dataclasses

from harness import CALC_SUM, MARK, hex64

LINE_TASKS = 2**40 - 1  # LEDGER_PROGRESS_MAX: where the line of the next seat begins in a run by duration

COUNTED = ("done", "verified", "failed", "wrong", "count", "checksum")


def marks(first, n):
    """The sum of the marks of n tasks."""
    return (n * first + n * (n + 1) // 2) * MARK


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of job. `tasks` is what a storm at full length asks for. `kills` says how often whom, relative to the
    storm's rate: of process workers, of the thread host, of children for single tasks."""

    name: str
    weight: int
    tasks: int
    request: dict
    kills: dict
    each: int = 0  # what a task adds to its mark
    mark: bool = True
    failing: tuple = ()  # at, every: those that fail
    reason: str = ""  # and for what
    smallest: int = 1000
    repeat: int = 1  # so many jobs, one after another
    method: str = "Run"
    by_count: bool = True

    def parameters(self, scale):
        """What to call the method with."""
        parameters = dict(self.request)
        if self.by_count:
            parameters["count"] = max(int(self.tasks * scale), min(self.tasks, self.smallest))
        if self.failing:
            at, every = self.failing
            parameters["params"] = {**parameters["params"], "at": str(at), "every": str(every)}
        return parameters

    def arguments(self, parameters):
        """The same as a command of concctl."""
        found = [self.method.lower()]
        for key, value in parameters.items():
            if key == "params":
                found += ["--param=%s=%s" % pair for pair in value.items()]
            elif key == "scenario":
                found.append(value)
            elif key == "duration_ns":
                found += ["--duration=%dns" % value]
            else:
                found += ["--%s=%s" % (key, value)]
        return found

    def figures(self, reply):
        """What the tables of a storm want to know of the answer; None without a result."""
        return reply["result"]

    def needed(self):
        """How many process workers a run of it begins with."""
        if self.request.get("mode", "process") != "process":
            return 1
        return self.request.get("workers", 2) or 1

    def failures(self, count):
        """The tasks that fail."""
        return range(self.failing[0], count, self.failing[1]) if self.failing else range(0)

    def due(self, count):
        """The figures that a complete run must have."""
        bad = self.failures(count)
        total = marks(0, count) if self.mark else 0
        total += count * self.each
        if bad:
            total -= (sum((bad[0], bad[-1])) * len(bad) // 2 + len(bad)) * MARK
        return {"done": count, "verified": count - len(bad), "failed": len(bad), "count": count,
                "wrong": len(bad) if self.reason == "wrong" else 0, "checksum": hex64(total)}

    def problems(self, reply, parameters):
        """What is wrong with the answer: lines of text."""
        state, result = reply["state"], reply["result"]
        if result is None:
            return ["the job ended %s (%s), without a result" % (state, reply["reason"])]
        found = list(self._state_problems(state, reply["reason"], result))
        if self.by_count:
            due = self.due(parameters["count"])
        else:
            due = {"verified": result["done"], "failed": 0, "count": None, "checksum": hex64(self._endless(result))}
        found += ["%s is %s and not %s" % (key, result[key], due[key])
                  for key in COUNTED if key in due and result[key] != due[key]]
        by_worker = sum(w["tasks"] for w in result["workers_detail"])
        if by_worker != result["done"]:
            found.append("the workers did %d tasks, and the run %d" % (by_worker, result["done"]))
        if result["resumed"] == 0 and not result["timing_valid"]:
            found.append("its timing is not valid, though nobody took it over")
        return found + list(self._list_problems(result))

    def _state_problems(self, state, reason, result):
        if self.failures(result["count"] or 0):
            due = "failed"
        elif not self.by_count and result["resumed"] > 0:
            due = "interrupted"
        else:
            due = "done"
        if state != due or state != result["state"]:
            yield "the job ended %s (%s) and not %s" % (state, reason, due)

    def _list_problems(self, result):
        """The list of failed tasks may name one twice when its worker is killed in between, but no other one."""
        bad = self.failures(result["count"] or 0)
        if bad and not result["failures"]:
            yield "no failed task is named"
        for failure in result["failures"]:
            if failure["index"] not in bad or failure["reason"] != self.reason:
                yield "failed task %d (%s) is none of those that fail" % (failure["index"], failure["reason"])

    @staticmethod
    def _endless(result):
        """Seat i of a run by duration does the tasks of line i, one after another."""
        return sum(marks(w["worker"] * LINE_TASKS, w["tasks"]) for w in result["workers_detail"])


@dataclasses.dataclass(frozen=True)
class Race(Kind):
    """`tasks` are trials. The death of an actor costs its whole gang the trials under way, that of the supervisor ends
    the race."""

    method: str = "Race"

    def parameters(self, scale):
        return {**self.request, "trials": max(int(self.tasks * scale), min(self.tasks, self.smallest))}

    def figures(self, reply):
        race = reply["race"]
        return race and {**race, "failed": 0, "reexecuted": race["dropped"], "workers": 0, "resumed": None}

    def problems(self, reply, parameters):
        state, race = reply["state"], reply["race"]
        if race is None:
            return ["the race ended %s (%s), without a result" % (state, reply["reason"])]
        found = []
        if state not in ("done", "interrupted") or state != race["state"]:
            found.append("the race ended %s (%s)" % (state, reply["reason"]))
        if state == "done" and race["done"] != parameters["trials"]:
            found.append("%d trials are done, and %d were asked for" % (race["done"], parameters["trials"]))
        if race["unknown"] or race["done"] != sum(o["count"] for o in race["outcomes"]):
            found.append("%d trials have no outcome: %s" % (race["unknown"], race["outcomes"]))
        return found + ["%d trials came to %s, which is forbidden" % (o["count"], o["name"])
                        for o in race["outcomes"] if o["expected"] == "forbidden" and o["count"]]


@dataclasses.dataclass(frozen=True)
class Comparison(Kind):
    """`tasks` are those of one variant in one round, `vary` an option and its values. It goes on over the deaths of
    workers and supervisors alike, and each round of each variant is whole."""

    method: str = "Compare"
    vary: tuple = ()

    def parameters(self, scale):
        key, values = self.vary
        return {**super().parameters(scale), "variants": [{key: value} for value in values]}

    def arguments(self, parameters):
        found = super().arguments({k: v for k, v in parameters.items() if k not in ("variants", "timeline")})
        return found + ["--vary=%s=%s" % (self.vary[0], ",".join(map(str, self.vary[1])))]

    def needed(self):
        return 2

    def figures(self, reply):
        """Of all its variants together."""
        c = reply["compare"]
        if c is None:
            return None
        total = lambda key: sum(v[key] for v in c["variants"])
        return {**{key: total(key) for key in ("done", "failed", "restarts", "reexecuted")}, "resumed": c["resumed"],
                "environment": c["environment"], "workers": max(v["workers"] for v in c["variants"])}

    def problems(self, reply, parameters):
        state, c = reply["state"], reply["compare"]
        if c is None:
            return ["the comparison ended %s (%s), without a result" % (state, reply["reason"])]
        found, rounds = [], parameters["rounds"]
        if state != "done" or state != c["state"]:
            found.append("the comparison ended %s (%s)" % (state, reply["reason"]))
        if c["rounds"] != rounds or c["partial"]:
            found.append("%d rounds are done, and %d were asked for" % (c["rounds"], rounds))
        for v in c["variants"]:
            found += ["%s: %s" % (v["name"], text) for text in self._variant_problems(v, c, parameters)]
        for r in range(min(len(v["order"]) for v in c["variants"])):
            if sorted(v["order"][r] for v in c["variants"]) != list(range(len(c["variants"]))):
                found.append("round %d is in no order" % r)
        return found

    def _variant_problems(self, v, c, parameters):
        rounds, count = parameters["rounds"], parameters["count"]
        due = {"rounds": rounds, "tasks": [count] * rounds, "done": count * rounds, "verified": count * rounds,
               "failed": 0,
               "wrong": 0, "checksum": hex64(rounds * int(self.due(count)["checksum"], 16))}
        found = ["%s is %s and not %s" % (key, v[key], due[key]) for key in due if v[key] != due[key]]
        if len(v["times_s"]) != v["rounds"] or min(v["times_s"], default=0) <= 0:
            found.append("%d rounds have these times: %s" % (v["rounds"], v["times_s"]))
        by_worker = sum(w["tasks"] for w in v["workers_detail"])
        if by_worker != count * v["evidence_rounds"]:
            found.append("its workers did %d tasks in %d rounds of %d" % (by_worker, v["evidence_rounds"], count))
        if v["repeated"] > c["resumed"] or (c["resumed"] == 0 and v["evidence_rounds"] != rounds):
            found.append("%d rounds were repeated and %d have evidence, with %d daemons" %
                         (v["repeated"], v["evidence_rounds"], 1 + c["resumed"]))
        return found


def kind(name, weight, tasks, kills, of=Kind, **rest):
    own = {f.name for f in dataclasses.fields(of)}
    request = {k: v for k, v in rest.items() if k not in own}
    return of(name=name, weight=weight, tasks=tasks, kills=kills, request=request,
              **{k: v for k, v in rest.items() if k in own})


PROCESSES = {"worker": 1.0, "host": 0.01}
THREADS = {"host": 0.2, "worker": 0.02}
# All of these must be there at one moment for a run to begin.
MANY_PROCESSES = {"worker": 0.4}
BRIEF_THREADS = {"host": 0.1}
# Each death takes the other actors along.
GANG = {"worker": 0.1, "host": 0.01}
CHILDREN = {"worker": 0.3, "child": 0.5}
# Of many tasks that are under way at once a kill repeats all, so these need time between two of them.
AT_ONCE = {"worker": 0.03, "child": 0.3}
AT_ONCE_THREADS = {"host": 0.03}

M = 1000 * 1000
SPIN = {"workload": "spin", "params": {"ns": "300"}, "each": 300}

KINDS = (
    kind("nop × 10⁹, processes", 3, 1000 * M, PROCESSES, workload="nop"),
    kind("nop × 10⁷, processes", 6, 10 * M, PROCESSES, workload="nop"),
    kind("nop × 10⁹, threads", 1, 1000 * M, THREADS, workload="nop", mode="thread"),
    kind("nop × 10⁷, threads", 3, 10 * M, THREADS, workload="nop", mode="thread"),
    kind("nop × 10⁸, interpreter lock", 2, 100 * M, THREADS, workload="nop", mode="gil"),
    # Hardly more than begin and end.
    kind("nop × 10⁴, processes, 100 times", 3, 10_000, PROCESSES, workload="nop", repeat=100),
    kind("nop × 10⁴, 5 threads, 100 times", 2, 10_000, BRIEF_THREADS, workload="nop", mode="thread", workers=5,
         repeat=100),
    # Mostly the merging under the guard. Everybody does a task or two, else he would have died in vain.
    kind("sleep × 320, 32 processes, 50 times", 3, 320, MANY_PROCESSES, workload="sleep", params={"us": "100"},
         each=100, workers=32, repeat=50, smallest=320),
    kind("nop × 10⁷, sequential", 2, 10 * M, PROCESSES, workload="nop", mode="sequential"),
    kind("spin × 10⁷, processes", 5, 10 * M, PROCESSES, **SPIN),
    kind("spin × 10⁷, 6 processes", 4, 10 * M, PROCESSES, workers=6, **SPIN),
    kind("spin × 10⁷, threads", 2, 10 * M, THREADS, mode="thread", **SPIN),
    kind("calc × 2000, processes", 4, 2000, PROCESSES, workload="calc", each=CALC_SUM, mark=False),
    kind("calc × 1000, threads", 1, 1000, THREADS, workload="calc", mode="thread", each=CALC_SUM, mark=False),
    kind("sleep × 4000, 8 processes", 3, 4000, PROCESSES, workload="sleep", params={"us": "1000"}, each=1000,
         workers=8),
    kind("sleep × 1000, interpreter lock", 1, 1000, THREADS, workload="sleep", params={"us": "1000"}, each=1000,
         mode="gil", workers=4),
    kind("error × 10⁴ of 10⁷, processes", 3, 10 * M, PROCESSES, workload="fail", params={"kind": "error"},
         failing=(7, 1000), reason="error"),
    kind("wrong × 10⁴ of 10⁷, threads", 1, 10 * M, THREADS, workload="fail", params={"kind": "wrong"},
         failing=(11, 1000), reason="wrong", mode="thread"),
    kind("segv × 10 of 10⁷, processes", 2, 10 * M, PROCESSES, workload="fail", params={"kind": "segv"},
         failing=(99_999, M), reason="signal"),
    kind("exit × 10 of 10⁷, processes", 1, 10 * M, PROCESSES, workload="fail", params={"kind": "exit"},
         failing=(5, M), reason="exit"),
    kind("abort × 10 of 10⁷, threads", 1, 10 * M, THREADS, workload="fail", params={"kind": "abort"},
         failing=(50_000, M), reason="signal", mode="thread"),
    kind("a process for each of 2000 tasks", 3, 2000, CHILDREN, workload="spin", params={"ns": "200000"}, each=200000,
         spawn="per-task"),
    kind("a thread for each of 5000 tasks", 1, 5000, THREADS, workload="spin", params={"ns": "100000"}, each=100000,
         spawn="per-task", mode="thread"),
    kind("segv × 4 of 400, a process each", 1, 400, CHILDREN, workload="fail", params={"kind": "segv"},
         failing=(10, 100), reason="signal", spawn="per-task", smallest=400),
    kind("200 processes at once", 1, 200, AT_ONCE, workload="sleep", params={"us": "50000"}, each=50000,
         spawn="per-task", workers=0, smallest=100),
    kind("200 threads at once", 1, 200, AT_ONCE_THREADS, workload="sleep", params={"us": "50000"}, each=50000,
         spawn="per-task", mode="thread", workers=0, smallest=100),
    kind("10⁸ after a warm-up of 10⁸", 2, 100 * M, PROCESSES, workload="nop", warmup=100 * M),
    kind("1 s of nop, processes", 2, 0, PROCESSES, workload="nop", duration_ns=10**9, by_count=False),
    kind("counter × 500, permits that survive", 3, 500, GANG, of=Race, scenario="counter", permits=1),
    kind("counter × 500, POSIX semaphore", 2, 500, GANG, of=Race, scenario="counter", guard="raw-semaphore"),
    kind("lost updates × 10⁵, ticket lock", 2, 100_000, GANG, of=Race, scenario="lost-update", guard="ticket"),
    kind("counter × 500, threads, futex", 1, 500, BRIEF_THREADS, of=Race, scenario="counter", guard="futex",
         mode="thread"),
    kind("mp × 10⁶, processes", 1, M, GANG, of=Race, scenario="mp"),
    kind("compare modes, nop × 10⁷, 10 rounds", 3, 10 * M, {"worker": 0.5, "host": 0.05}, of=Comparison, workload="nop",
         rounds=10, vary=("mode", ("process", "thread", "gil", "sequential"))),
    kind("compare workers, spin × 10⁵, 10 rounds", 2, 100_000, {"worker": 0.5}, of=Comparison, rounds=10, warmup=0,
         timeline=True, vary=("workers", (1, 2, 5)), **SPIN),
    kind("compare libc, nop × 10⁷, 10 rounds", 1, 10 * M, {"worker": 0.5}, of=Comparison, rounds=10, workload="nop",
         vary=("libc", ("threaded", "native"))),
    kind("1 s of nop, threads", 1, 0, THREADS, workload="nop", mode="thread", duration_ns=10**9, by_count=False),
)
