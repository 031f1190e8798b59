# SPDX-License-Identifier: MIT
"""A storm: jobs run, and SIGKILL hits process workers, the thread host, the children for single tasks and the
supervisor itself at random moments. A supervisor that was killed is followed at once by the next, as a service manager
would do.

After every job its answer must be exact, after a few the whole daemon as new: permits, gates, processes,
descriptors, memory, /dev/shm. What is not is a violation; a storm collects them and never stops at one, but for a
job that does not end and a daemon that does not start.

Who is killed: only children of the daemon that this program started and has not reaped, and their children. A victim
is opened by its pid first (pidfd), then its parent and start time are compared, and then the signal goes to what was
opened, so no pid that was used again is ever hit.
"""
import collections
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import harness
from harness import CONCCTL, PATIENCE, SANITIZER, Client, Daemon, Failed, concctl_environment, mentioning, processes
from storm_kinds import KINDS

# A worker that dies again and again is not what is tested here, and a deadline would be an end that nobody expects.
SETTINGS = ("jobs.max_restarts=1000000000", "jobs.max_kills_in_vain=1000000000", "jobs.deadline=0",
            "jobs.ledger_chunks=4096")

RESTLESS_S = 3.0  # at most so long until all is looked at again
RESPAWN_S = 0.03  # more than it takes to replace a worker at once
ANON_GROWTH = 16 << 20  # bytes that a daemon's own memory may grow over that of the first
EXIT_OF_STATE = {"done": 0, "failed": 1, "interrupted": 130, "lost": 70}

# What can be wrong, by the word that a violation begins with.
VIOLATIONS = {
    "accounting": "tasks lost, doubled or repeated too often; a wrong sum",
    "start": "jobs started twice, or never",
    "resumption": "jobs lost, or not resumed once for each takeover",
    "permits": "permits lost or too many",
    "pool": "workers or wake-ups missing in peace",
    "orphan": "processes that survived their supervisor",
    "processes": "processes too many or too few in peace",
    "descriptors": "descriptors leaked or missing",
    "shared memory": "names in /dev/shm too many or too few",
    "memory": "daemons that grew",
    "takeover": "supervisors that did not take over",
    "hang": "jobs that stood still",
    "client": "clients that were told something wrong",
    "log": "warnings and errors that nobody expects",
    "end": "what was left at the end",
    "soak": "mistakes of the storm itself",
}


class Stuck(Exception):
    """A storm cannot go on."""


def children_of(pid):
    """The children of a process that its first thread forked; none when it is gone."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def look_at(pid):
    """(parent, name, start time) of a process that lives, or None."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            text = f.read()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return int(fields[1]), text[text.index("(") + 1 : text.rindex(")")], int(fields[19])


def descriptors_of(pid):
    """What a process holds open, without numbers: how often each."""
    found = collections.Counter()
    for n in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            found[re.sub(r"\d+", "N", os.readlink("/proc/%d/fd/%s" % (pid, n)))] += 1
    return found


def anonymous_bytes(pid):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as f:
        return 1024 * next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


class Tally:
    """What a storm did and found."""

    def __init__(self, say):
        self.say = say
        self.jobs = collections.defaultdict(collections.Counter)  # by the kind's name
        self.kills = collections.Counter()
        self.counts = collections.Counter()
        self.times = collections.defaultdict(list)  # seconds
        self.violations = []  # one of VIOLATIONS, text
        self.environment = {}  # as the last result tells it
        self.memory = []  # bytes of its own that the daemon held

    def violation(self, kind, text):
        assert kind in VIOLATIONS, kind
        self.violations.append((kind, text))
        self.say("VIOLATION (%s) %s" % (kind, text))

    def total(self, what):
        return sum(counter[what] for counter in self.jobs.values())


class Log:
    """The log of all daemons of a storm, read as it grows."""

    EXPECTED = re.compile(r"goes on: |is lost: the daemon was killed while it waited in the queue|"
                          r"killing process \d+ of a daemon that is gone|"
                          r"is already running, pid")
    JOB = re.compile(r"job ([0-9a-f]{32}) .*?(queued|started|goes on|is lost)(?=: )")

    def __init__(self, path, tally):
        self.path, self.tally, self.offset, self.rest = path, tally, 0, b""
        self.lines = collections.defaultdict(collections.Counter)  # job id -> what -> how often

    def read(self):
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode("utf-8", "replace"))

    def _line(self, line):
        job = self.JOB.search(line)
        if job:
            self.lines[job[1]][job[2]] += 1
        if "killed by signal 9 " in line:
            self.tally.counts["deaths that a supervisor saw"] += 1
        if (re.search(r"\b(WARNING|ERROR|ALERT)\b|\b(warning|error|alert):", line) or SANITIZER.search(line)) and \
                not self.EXPECTED.search(line):
            self.tally.violation("log", line)


class Herd(Daemon):
    """One daemon after another, under the same name. They do not get this terminal's Ctrl-C."""

    def launch(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["nice", "-n", "5", *self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment, process_group=0)
        return self

    def call_once(self, method, **parameters):
        """None when nobody answers."""
        try:
            with Client(self.path) as client:
                client.socket.settimeout(10 * PATIENCE)  # the job before may take its time
                return client.call(method, **parameters)
        except (OSError, AssertionError) as e:
            if isinstance(e, AssertionError) and "ends within a message" not in str(e):
                raise
            return None


# Reads a name and a folder, and waits for a word that all is well. When its parent is killed instead, it clears up.
GUARDIAN = """
import sys
from harness import Daemon
left = Daemon.__new__(Daemon)
left.process, left.clients = None, []
left.instance, left.folder = sys.stdin.readline().split()
if not sys.stdin.readline():
    from harness import mentioning, until
    until(lambda: left.discard() or not mentioning(left.instance), "all of them are gone")
    left.discard()
"""


class Guardian:
    """Nothing may be left even of a storm that was itself killed: daemons have a process group of their own."""

    def __init__(self, herd):
        self.process = subprocess.Popen([sys.executable, "-c", GUARDIAN], stdin=subprocess.PIPE, text=True,
                                        env={**os.environ, "PYTHONPATH": os.path.dirname(harness.__file__)},
                                        process_group=0)
        self.process.stdin.write("%s %s\n" % (herd.instance, herd.folder))
        self.process.stdin.flush()

    def dismiss(self):
        self.process.communicate("all is well\n")


class Killer(threading.Thread):
    """Kills, and starts the next supervisor. Holds `gate` while it does either, so who holds it has peace and a
    supervisor that answers."""

    def __init__(self, herd, tally, seed, rate, supervisor_rate):
        super().__init__(name="killer")
        self.herd, self.tally, self.rng = herd, tally, random.Random(seed)
        self.rate, self.supervisor_rate = rate, supervisor_rate
        self.gate = threading.Lock()
        self.over = threading.Event()
        self.failure = None
        self.rates, self.due = {}, {}
        self.dead = set()  # (pid, start time) of those that were hit in the life of the present supervisor
        self.needed, self.complete = 1, 0.0  # process workers, and when they were last seen
        self.early = 0  # supervisors that were killed before they answered anybody

    # When.

    def aim(self, kills, needed):
        """From now on these are the victims: how often whom, relative to the rate. Every other time no supervisor is
        among them: the next one makes all permits and locks anew, and would heal what a worker's death has left.
        needed: so many process workers must be there at one moment, or a run does not even begin."""
        self.needed = needed
        rates = {who: factor * self.rate for who, factor in kills.items()}
        rates["supervisor"] = 2 * self.supervisor_rate if self.rng.random() < 0.5 else 0
        rates = {who: rate for who, rate in rates.items() if rate > 0}
        now = time.monotonic()
        # In this order: _step() goes through the rates.
        self.due = {who: now + self.rng.expovariate(rate) for who, rate in rates.items()}
        self.rates = rates

    def run(self):
        try:
            while not self.over.is_set():
                with self.gate:
                    self._step()
                pause = min(self.due.values(), default=1) - time.monotonic()
                self.over.wait(min(max(pause, 0.0003), 0.02))
        except BaseException as e:  # pylint: disable=broad-except
            self.failure = e

    def _step(self):
        rates, due = self.rates, self.due
        for who, rate in rates.items():
            if who not in due or time.monotonic() < due[who]:
                continue
            if who == "supervisor":
                self._kill_supervisor()
            else:
                self._kill_below(who)
            due[who] = time.monotonic() + self.rng.expovariate(rate)

    def stop(self):
        self.over.set()
        self.join()

    # Whom.

    def _victims(self, who):
        """(pid, its parent) of all that there are of a kind."""
        supervisor = self.herd.process.pid
        workers = [(pid, at[1]) for pid in children_of(supervisor) if (at := look_at(pid)) and at[0] == supervisor]
        if who == "child":
            return [(pid, worker) for worker, name in workers if name == "concd-process" for pid in children_of(worker)]
        if who == "host":
            return [(pid, supervisor) for pid, name in workers if name == "concd-threads"]
        return [(pid, supervisor) for pid, name in workers if name != "concd-threads"]

    def _kill(self, pid, parent, who):
        if pid <= 1:
            return False
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            at = look_at(pid)
            if not at or at[0] != parent or (pid, at[2]) in self.dead:
                return False
            if parent != self.herd.process.pid:
                above = look_at(parent)
                if not above or above[0] != self.herd.process.pid:
                    return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        self.dead.add((pid, at[2]))
        self.tally.kills["newborn" if at[1] == "concd" else who] += 1
        return True

    def _kill_below(self, who):
        victims = self._victims(who)
        if not victims or (who == "worker" and self._is_starved(len(victims))):
            return
        if who == "worker" and self.rng.random() < 0.02:
            for pid, parent in victims:  # all of them at one moment
                self._kill(pid, parent, who)
            return
        measured = who != "child" and self.rng.random() < 0.02
        before = {pid for pid, _ in victims}
        if self._kill(*self.rng.choice(victims), who) and measured:
            self._await_replacement(who, before)

    def _is_starved(self, workers):
        """A worker that died in vain comes back after a pause of up to 1 s. Who kills the others meanwhile never lets a
        run begin, and all keep on dying in vain."""
        now = time.monotonic()
        if workers >= self.needed:
            self.complete = now
        return now - self.complete > RESPAWN_S

    def _await_replacement(self, who, before):
        """From the kill until another process has taken the place and its name. One that waits because its predecessors
        died in vain does not count."""
        name = {"worker": "concd-process", "host": "concd-threads"}[who]
        began = time.monotonic()
        while time.monotonic() - began < 0.1:
            for pid in children_of(self.herd.process.pid):
                if pid not in before and (at := look_at(pid)) and at[1] == name:
                    self.tally.times[who + ": kill to replacement"].append(time.monotonic() - began)
                    return
        self.tally.counts["replacements not seen within 0.1 s"] += 1

    # The supervisor.

    def _kill_supervisor(self):
        if self.rng.random() < 0.15:  # and everybody else first
            for who in ("worker", "host"):
                for pid, parent in self._victims(who):
                    self._kill(pid, parent, who)
        killed = time.monotonic()
        self.herd.kill()
        self.tally.kills["supervisor"] += 1
        self._next()
        while self.rng.random() < 0.15:  # once more, before it is ready
            time.sleep(self.rng.random() * 0.015)
            self.early += 1
            self.herd.kill()
            self.tally.kills["supervisor"] += 1
            self._next()
            killed = time.monotonic()
        progress = self._await_answer(killed)
        self.tally.counts["takeovers"] += 1
        self._check_herd()
        if progress is not None and self.rng.random() < 0.5:
            self._await_progress(killed, progress)

    def _next(self):
        self.dead.clear()
        self.herd.launch()

    def _running(self):
        """What the running job has done: (id, tasks); None when there is no answer, False when there is no such job."""
        reply = self.herd.call_once("Jobs")
        if reply is None:
            return None
        job = next((j for j in reply["jobs"] if j["state"] == "running"), None)
        return (job["id"], job["progress"]["done"]) if job else False

    def _await_answer(self, killed):
        give_up = killed + PATIENCE
        while (running := self._running()) is None:
            if self.herd.process.poll() is not None:
                raise Stuck("the next supervisor ended with %d" % self.herd.process.returncode)
            if time.monotonic() > give_up:
                raise Stuck("the next supervisor does not answer")
            time.sleep(0.0002)
        self.tally.times["supervisor: kill to answer"].append(time.monotonic() - killed)
        return running or None

    def _await_progress(self, killed, before):
        while time.monotonic() - killed < 1:
            now = self._running()
            if not now or now[0] != before[0]:
                return
            if now[1] > before[1]:
                self.tally.times["supervisor: kill to progress"].append(time.monotonic() - killed)
                return
            time.sleep(0.0005)
        self.tally.counts["takeovers with no progress within 1 s"] += 1

    def _check_herd(self):
        """Nobody of the herd before may have survived. Who is younger may just lose its parent."""
        supervisor = self.herd.process.pid
        all_now = processes()
        start = all_now[supervisor][2] if supervisor in all_now else 0
        for pid in mentioning(self.herd.instance):
            at, up = all_now.get(pid), pid
            while up in all_now and up != supervisor:
                up = all_now[up][0]
            if up == supervisor or at is None or look_at(pid) is None:
                continue
            if at[2] < start or not self._goes(pid, at[2]):
                self.tally.violation("orphan", "process %d (%s) of an earlier herd lives" % (pid, at[1]))

    @staticmethod
    def _goes(pid, start):
        give_up = time.monotonic() + 2
        while (at := look_at(pid)) and at[2] == start:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.001)
        return True


class Storm:
    """A storm over one instance. `scale` is the length of its jobs, `rate` that of kills in a second.

        with Storm(seed=1) as storm:
            storm.run(seconds=5)
        storm.tally.violations
    """

    KINDS = KINDS

    def __init__(self, seed, kinds=KINDS, rate=150.0, supervisor_rate=1.0, scale=1.0, settings=(), say=None):
        self.rng = random.Random(seed)
        self.kinds, self.scale, self.say = kinds, scale, say or (lambda text: None)
        self.tally = Tally(self.say)
        self.herd = Herd(*SETTINGS, *settings)
        self.log = Log(self.herd.log_path, self.tally)
        self.killer = Killer(self.herd, self.tally, seed ^ 0x5EED, rate, supervisor_rate)
        self.given_up = threading.Event()
        self.bystander = None
        self.clients = []  # processes of concctl that are under way
        self.elapsed_s = 0.0
        self.looked = 0.0
        self.kept_log = None

    # Begin and end.

    def __enter__(self):
        self.guardian = Guardian(self.herd)
        try:
            self.herd.start()
            self.first = None
            with Client(self.herd.path) as client:
                self._await_peace(client)
                self.first = self._state(client)
            self.killer.start()
        except BaseException:
            self.herd.discard()
            self.guardian.dismiss()
            raise
        return self

    def __exit__(self, kind, error, _):
        try:
            self.given_up.set()
            if self.killer.ident:
                self.killer.stop()
            for client in self.clients:
                client.kill()
                client.wait()
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._end(complete=kind is None)
        finally:
            if self.tally.violations or (kind and not issubclass(kind, KeyboardInterrupt)):
                with contextlib.suppress(OSError):
                    self.kept_log = self.herd.log()
            self.herd.discard()
            self.guardian.dismiss()
            if self.bystander:
                self.bystander.join()  # all that it could wait for is gone
        return False

    def _end(self, complete):
        """The last daemon ends as it should, and nothing of any is left."""
        if self.killer.failure:
            self.tally.violation("takeover", str(self.killer.failure))
            return
        try:
            if complete:
                self._look_at_all()
            self.herd.stop()
        except AssertionError as e:
            self.tally.violation("end", str(e))
        self.log.read()

    # The jobs.

    def run(self, seconds, victims=()):
        """Job after job for that long, and on until each of these was killed; each kind once before any comes twice."""
        began, bag = time.monotonic(), []
        try:
            while time.monotonic() - began < seconds or not all(self.tally.kills[who] for who in victims):
                if not bag:
                    bag = [k for k in self.kinds for _ in range(k.weight)]
                    self.rng.shuffle(bag)
                    bag.sort(key=lambda k: self.tally.jobs[k.name]["jobs"] > 0)
                self._job(bag.pop(0))
                self.elapsed_s = time.monotonic() - began
        except Stuck as e:
            self.tally.violation("hang", str(e))
        finally:
            self.elapsed_s = time.monotonic() - began

    def _job(self, kind):
        self.bystander = threading.Thread(target=self._bystander, args=(self.rng.getrandbits(64),))
        self.killer.aim(kind.kills, kind.needed())
        self.bystander.start()
        try:
            for _ in range(kind.repeat):
                self._one(kind)
        except BaseException:
            self.given_up.set()
            raise
        self.bystander.join()
        self._look_at_permits()
        if time.monotonic() - self.looked > RESTLESS_S:
            self._look_at_all()

    def _one(self, kind):
        parameters, name = kind.parameters(self.scale), "%032x" % self.rng.getrandbits(128)
        early, below, began = self.killer.early, self._below(), time.monotonic()
        if kind.repeat == 1 and self.rng.random() < 0.3:
            reply = self._by_concctl(kind, name, parameters)
        else:
            reply = self._by_socket(kind, name, parameters)
        self.tally.jobs[kind.name]["seconds"] += time.monotonic() - began
        if reply is not None:
            self.log.read()
            self._judge(kind, name, parameters, reply, self.killer.early - early, self._below() - below)

    def _below(self):
        kills = self.tally.kills
        return collections.Counter({who: kills[who] for who in ("worker", "newborn", "host", "child", "supervisor")})

    def _by_socket(self, kind, name, parameters):
        """Submits the job and waits for it, over as many daemons as it takes."""
        is_known, done = False, None
        while True:
            try:
                with Client(self.herd.path) as client:
                    if not is_known:
                        client.call(kind.method, id=name, detach=True, **parameters)
                        is_known = True
                    return client.call("Wait", id=name)
            except TimeoutError as e:
                now = self._progress(name)
                if now == done and now is not None:
                    raise Stuck("%s: job %s stands still at %s tasks" % (kind.name, name, done)) from e
                done = now
            except Failed as e:
                self.tally.violation("client", "%s: job %s: %s" % (kind.name, name, e))
                return None
            except (OSError, AssertionError) as e:
                if isinstance(e, AssertionError) and "ends within a message" not in str(e):
                    raise
                self._pause(kind, name)

    def _pause(self, kind, name):
        if self.killer.failure:
            raise Stuck("%s: job %s: %s" % (kind.name, name, self.killer.failure))
        time.sleep(0.002)

    def _progress(self, name):
        reply = self.herd.call_once("Jobs")
        job = next((j for j in reply["jobs"] if j["id"] == name), None) if reply else None
        return job["progress"]["done"] if job and job["progress"] else None

    def _by_concctl(self, kind, name, parameters):
        """The same with concctl, which must not be troubled by the kills, once it found a daemon."""
        arguments = [*kind.arguments(parameters), "--json", "--id=" + name]
        while True:
            code, out, err = self._concctl(kind, name, arguments)
            if code != 69 or "no daemon at" not in err:
                break
            self._pause(kind, name)
        self.tally.counts["jobs by concctl"] += 1
        if code == 70 and "lost" in err and not out:
            return {"state": "lost", "reason": err.strip(), "result": None, "race": None, "compare": None}
        try:
            result = json.loads(out)
        except ValueError:
            self.tally.violation("client", "%s: concctl ended with %d: %s" % (kind.name, code, err))
            return None
        if code != EXIT_OF_STATE.get(result["state"]):
            self.tally.violation("client", "%s: concctl ended with %d and a job that is %s" %
                                 (kind.name, code, result["state"]))
        return {"state": result["state"], "reason": result["reason"],
                **dict.fromkeys(("result", "race", "compare"), result)}

    def _concctl(self, kind, name, arguments):
        client = subprocess.Popen([CONCCTL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  env=concctl_environment({"CONCD_SOCKET": self.herd.path}), stderr=subprocess.PIPE,
                                  text=True, process_group=0)
        self.clients.append(client)
        try:
            out, err = client.communicate(timeout=10 * PATIENCE)
        except subprocess.TimeoutExpired as e:
            raise Stuck("%s: concctl waits for job %s without end" % (kind.name, name)) from e
        finally:
            client.kill()
            client.wait()
            self.clients.remove(client)
            client.stdout.close()
            client.stderr.close()
        return client.returncode, out, err

    def _bystander(self, seed):
        """Another client with jobs of its own, most of which wait in the queue: they are done exactly, or lost with the
        daemon that held the queue."""
        try:
            self._small_jobs(seed)
        except Exception as e:  # pylint: disable=broad-except
            if not self.given_up.is_set():
                self.tally.violation("client", "the bystander: %r" % e)

    def _small_jobs(self, seed):
        rng = random.Random(seed)
        for _ in range(rng.choice((0, 0, 1, 3))):
            time.sleep(rng.random() * 0.1)
            name, count = "%032x" % rng.getrandbits(128), rng.randrange(1, 100_000)
            reply = None
            while reply is None and not self.killer.failure and not self.given_up.is_set():
                # Nothing is started twice, so the same call may be made again and again. One worker: see _is_starved().
                reply = self.herd.call_once("Run", id=name, workload="nop", count=count, workers=1)
                time.sleep(0 if reply else 0.002)
            if reply is None or self.given_up.is_set():
                return
            self.tally.counts["small jobs of a bystander, " + reply["state"]] += 1
            if reply["state"] != "lost" and (reply["state"] != "done" or reply["result"]["verified"] != count):
                self.tally.violation("accounting", "the bystander's job %s of %d ended %s (%s)" %
                                     (name, count, reply["state"], reply["reason"]))

    # The verdicts.

    def _judge(self, kind, name, parameters, reply, early, kills):
        lines = self.log.lines.pop(name, collections.Counter())
        row = self.tally.jobs[kind.name]
        if reply["state"] == "lost":
            row["lost"] += 1
            if lines["goes on"] or not kills["supervisor"]:
                self._blame("resumption", kind, name, "lost, though it had begun: %s" % reply["reason"])
            return
        row["jobs"] += 1
        for problem in kind.problems(reply, parameters):
            self._blame("accounting", kind, name, problem)
        result = kind.figures(reply)
        if result is None:
            return
        self.tally.environment = result["environment"]
        if lines["started"] != 1:
            self._blame("start", kind, name, "started %d times" % lines["started"])
        if result["resumed"] is None:
            result["resumed"] = lines["goes on"]
        if not lines["goes on"] <= result["resumed"] <= lines["goes on"] + early:
            self._blame("resumption", kind, name, "resumed %d times, taken over %d times and %d killed meanwhile" %
                        (result["resumed"], lines["goes on"], early))
        if not kind.failing or kind.reason in ("error", "wrong"):
            self._judge_repeats(kind, name, result, kills)
        row["tasks"] += result["done"]
        for what in ("failed", "restarts", "reexecuted"):
            row[what] += result[what]
        row["takeovers"] += result["resumed"]
        row["resumed"] += result["resumed"] > 0
        row["interrupted"] += reply["state"] == "interrupted"

    def _judge_repeats(self, kind, name, result, kills):
        """At least once is not any number of times: one task for each worker that was hit, unless all are under way at
        once."""
        workers = max(result["workers"], 1)
        deaths = kills["worker"] + kills["newborn"] + kills["child"] + kills["host"]
        deaths += kills["supervisor"] * (workers + 1)
        repeats = kills["worker"] + kills["newborn"] + kills["child"] + (kills["host"] + kills["supervisor"]) * workers
        if result["restarts"] > deaths:
            self._blame("accounting", kind, name, "%d restarts, with %s" % (result["restarts"], dict(kills)))
        if result["workers"] > 0 and kind.request.get("workers") != 0 and result["reexecuted"] > repeats:
            self._blame("accounting", kind, name, "%d tasks executed again, with %s" %
                        (result["reexecuted"], dict(kills)))

    def _blame(self, what, kind, name, text):
        self.tally.violation(what, "%s: job %s: %s" % (kind.name, name, text))

    # Peace, and what must be true then.

    @contextlib.contextmanager
    def _peace(self):
        with self.killer.gate:
            if self.killer.failure:
                raise Stuck(str(self.killer.failure))
            with Client(self.herd.path) as client:
                yield client

    def _permits(self, status, when):
        guard = next(s for s in status["semaphores"] if s["purpose"] == "guard")
        if guard["value"] != 1 or guard["held"] != 0:
            self.tally.violation("permits", "%s the guard's value is %d and %d of its 1 permit are held" %
                                 (when, guard["value"], guard["held"]))

    def _look_at_permits(self):
        """No job is there any more, so nobody has business with the guard."""
        with self._peace() as client:
            self._permits(client.call("Status"), "after a job")
            self.tally.counts["looks at the permits"] += 1

    def _await_peace(self, client):
        give_up = time.monotonic() + PATIENCE
        while True:
            status = client.call("Status")
            pool = collections.Counter((w["kind"], w["state"]) for w in status["workers"])
            gates = [s["value"] for s in status["semaphores"] if s["purpose"] != "guard"]
            # One that was just killed looks idle until the daemon has seen it.
            living = [look_at(pid) for pid in children_of(status["daemon"]["pid"])]
            if pool == {("thread-host", "running"): 1, ("process", "idle"): 2, ("thread", "idle"): 2} and \
                    not any(gates) and len(living) == 3 and all(living):
                return status
            if time.monotonic() > give_up:
                self.tally.violation("pool", "without any job there are %s, gates at %s" % (dict(pool), gates))
                return status
            time.sleep(0.005)

    def _state(self, client):
        """What must be the same whenever nothing goes on."""
        pid = client.call("Status")["daemon"]["pid"]
        held = {"supervisor": descriptors_of(pid)}
        for child in children_of(pid):
            at = look_at(child)
            # One that is gone meanwhile is missing, and looked for again.
            with contextlib.suppress(OSError):
                if at:
                    held.setdefault(at[1], []).append(descriptors_of(child))
        return {"descriptors": held, "memory": anonymous_bytes(pid),
                "shared memory": {re.sub(r"\.\d+\.(?=[a-z]+$)", ".N.", n) for n in self.herd.shm()},
                "processes": self._names()}

    def _names(self):
        """All processes of all herds. A child for a single task dies a moment after the worker whose it was."""
        give_up = time.monotonic() + 2
        while True:
            found = sorted(at[1] for pid in mentioning(self.herd.instance) if (at := look_at(pid)))
            if len(found) <= 4 or time.monotonic() > give_up:
                return found
            time.sleep(0.005)

    def _look_at_all(self):
        with self._peace() as client:
            status = self._await_peace(client)
            self._permits(status, "in peace")
            if status["daemon"]["clients"] != 1:
                self.tally.violation("descriptors", "%d clients are connected" % status["daemon"]["clients"])
            same, give_up = ("descriptors", "shared memory", "processes"), time.monotonic() + 2
            state = self._state(client)
            # What is open for a moment only is no leak.
            while any(state[what] != self.first[what] for what in same) and time.monotonic() < give_up:
                time.sleep(0.01)
                state = self._state(client)
            for what in same:
                if state[what] != self.first[what]:
                    self.tally.violation(what, "%s and not %s" % (state[what], self.first[what]))
            # A sanitizer keeps what was freed.
            if state["memory"] > self.first["memory"] + ANON_GROWTH and not self.tally.environment.get("sanitizer"):
                self.tally.violation("memory", "%d bytes of its own, after %d" %
                                     (state["memory"], self.first["memory"]))
            self.tally.memory.append(state["memory"])
            self.tally.counts["looks at everything"] += 1
        self.log.read()
        self.looked = time.monotonic()
        self.say("%d jobs · %s · %d violations" % (
            self.tally.total("jobs"), ", ".join("%d %s" % (n, who) for who, n in sorted(self.tally.kills.items())),
            len(self.tally.violations)))
