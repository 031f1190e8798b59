#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Metrics: the text by a strict reader, the counters against what was done, HTTP against those who do it wrong."""
import math
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys

import harness
from harness import TREE, Client, Daemon, until

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
CONNECTIONS_MAX = 16

# Endings of the samples of each type, and of the family in the older format.
SUFFIXES = {"counter": ["_total"], "gauge": [""], "info": ["_info"], "histogram": ["_bucket", "_count", "_sum"]}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r'(%s)(?:\{((?:%s="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)' % (NAME, NAME))
LABEL = re.compile(r'(%s)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?!$)|$)' % NAME)
NUMBER = re.compile(r"\d+(\.\d+)?$")


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help, self.samples = name, None, None, None, {}

    def labels(self):
        """Names of its labels, without a bucket's bound."""
        return sorted({name for (_, labels) in self.samples for name, _ in labels} - {"le"})


def read_labels(text):
    labels, at = [], 0
    while at < len(text):
        found = LABEL.match(text, at)
        assert found, "labels: %r" % text
        labels.append((found[1], found[2]))
        at = found.end()
    names = [name for name, _ in labels]
    assert len(set(names)) == len(names), "a label twice: %r" % text
    return tuple(labels)


def read(text, strict=True):
    """A strict reader of OpenMetrics 1.0, or of the older format: families by name, without their types' endings."""
    assert text.endswith("# EOF\n" if strict else "\n") and "\r" not in text and "\n\n" not in text
    lines = text.split("\n")[: -2 if strict else -1]
    families, now = {}, None
    for line in lines:
        if line.startswith("#"):
            mark, kind, name, rest = line.split(" ", 3)
            assert mark == "#" and kind in ("HELP", "TYPE", "UNIT"), line
            if now is None or name != now.name:
                assert name not in families, "family in two places: " + line
                now = families[name] = Family(name)
            assert not now.samples, "behind the samples: " + line
            assert getattr(now, kind.lower()) is None, "twice: " + line
            assert rest and "\\" not in rest and '"' not in rest, line
            setattr(now, kind.lower(), rest)
            continue
        found = SAMPLE.fullmatch(line)
        assert found, "no sample: %r" % line
        name, labels, value = found[1], read_labels(found[2] or ""), found[3]
        assert NUMBER.match(value), line
        base = now.name.removesuffix("_total") if not strict and now.type == "counter" else now.name
        suffixes = [""] if not strict and now.name.endswith("_info") else SUFFIXES[now.type]
        assert name in [base + s for s in suffixes], "%s in family %s" % (line, now.name)
        key = (name[len(base):], labels)
        assert key not in now.samples, "twice: " + line
        now.samples[key] = float(value)
    for family in families.values():
        check_family(family, strict)
    if not strict:
        families = {re.sub("_total$|_info$", "", name): family for name, family in families.items()}
    return families


def check_family(family, strict):
    assert family.type and family.help, family.name
    assert family.type in ("counter", "gauge", "info", "histogram"), family.type
    if family.unit:
        assert strict and family.name.endswith("_" + family.unit), family.name
    if strict and family.name.endswith(("_seconds", "_bytes")):
        assert family.unit, family.name
    if strict:
        assert not family.name.endswith(("_total", "_info", "_count", "_bucket", "_sum")), family.name
    if family.type == "histogram":
        check_histogram(family)


def check_histogram(family):
    series = {tuple(pair for pair in labels if pair[0] != "le") for _, labels in family.samples}
    for labels in series:
        buckets = [(dict(l)["le"], n) for (s, l), n in family.samples.items() if s == "_bucket" and l[:-1] == labels]
        bounds = [float(le) for le, _ in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf and buckets[-1][0] == "+Inf", buckets
        for le, _ in buckets[:-1]:
            assert "." in le or "e" in le, "not in the canonical form: " + le
        counts = [n for _, n in buckets]
        assert counts == sorted(counts), "not cumulative: %r" % buckets
        assert counts[-1] == family.samples["_count", labels]
        assert (family.samples["_sum", labels] > 0) == (counts[-1] > 0), labels


class Reply:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        self.code = int(re.match(r"HTTP/1\.[01] (\d{3}) ", lines[0])[1])
        pairs = [line.split(": ", 1) for line in lines[1:]]
        self.headers = {name.lower(): value for name, value in pairs}
        assert len(pairs) == len(self.headers), lines


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(harness.PATIENCE)
    try:
        s.connect(path)
    except BaseException:
        s.close()
        raise
    return s


def drain(s):
    data = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


def ask_raw(path, data):
    """What the server sends until it closes the connection."""
    with connect(path) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return drain(s)


def ask(path, target="/metrics", method="GET", accept=None, extra=""):
    accept = "Accept: %s\r\n" % accept if accept else ""
    return Reply(ask_raw(path, ("%s %s HTTP/1.1\r\nHost: x\r\n%s%s\r\n" % (method, target, accept, extra)).encode()))


class Metrics(harness.Case):
    """A daemon that serves metrics on a socket in its folder."""

    def serve(self, *settings, **options):
        d = Daemon(*settings, **options)
        d.metrics = d.folder + "/metrics"
        d.settings.append("metrics.socket=" + d.metrics)
        d.__enter__()
        self.addCleanup(self._end, d)
        return d

    def _end(self, d):
        """What harness.Case does, and the socket is gone, too."""
        good = self._outcome.success and not getattr(d, "killed", False)
        try:
            if good:
                d.stop()
                self.assertFalse(os.path.lexists(d.metrics), "the socket of the metrics is still there")
        finally:
            d.__exit__(None if good else AssertionError)

    def scrape(self, d):
        reply = ask(d.metrics, accept="application/openmetrics-text")
        self.assertEqual((200, OPEN), (reply.code, reply.headers["content-type"]))
        return read(reply.body.decode("utf-8"))

    def value(self, d, family, suffix="", **labels):
        family = self.scrape(d)["concd_" + family]
        suffix = suffix or SUFFIXES[family.type][0]
        return family.samples[suffix, tuple(labels.items())]

    def connections(self, d):
        """How many the daemon has open, on both sockets: all of its sockets but the two that listen."""
        folder, n = "/proc/%d/fd/" % d.process.pid, -2
        for name in os.listdir(folder):
            try:
                n += os.readlink(folder + name).startswith("socket:")
            except FileNotFoundError:
                pass
        return n

    def settle(self, d):
        """Connections are closed a moment after their end."""
        until(lambda: self.connections(d) == 0, "no connection is left open")


class Text(Metrics):
    def test_both_forms_say_the_same(self):
        d = self.serve()
        d.run(workload="nop", count=1000)
        plain = ask(d.metrics)
        self.assertEqual((200, PLAIN), (plain.code, plain.headers["content-type"]))
        self.assertEqual(len(plain.body), int(plain.headers["content-length"]))
        plain = read(plain.body.decode("utf-8"), strict=False)
        strict = self.scrape(d)
        self.assertEqual(list(strict), list(plain))
        for name, family in strict.items():
            self.assertEqual((family.help, {"info": "gauge"}.get(family.type, family.type)),
                             (plain[name].help, plain[name].type))
            self.assertEqual(list(family.samples), list(plain[name].samples) if family.type != "info" else [
                ("_info", labels) for _, labels in plain[name].samples])
            if name not in ("concd_daemon_cpu_seconds", "concd_memory_bytes"):
                self.assertEqual(list(family.samples.values()), list(plain[name].samples.values()), name)

    def test_the_version_and_the_start(self):
        d = self.serve()
        families = self.scrape(d)
        version = d.call("Status")["daemon"]["version"]
        self.assertEqual({("_info", (("version", version),)): 1}, families["concd_build"].samples)
        started = families["concd_start_time_seconds"].samples["", ()]
        with open("/proc/stat", encoding="ascii") as f:
            boot = int(re.search(r"(?m)^btime (\d+)", f.read())[1])
        self.assertLess(boot - 2, started)

    def test_the_form_is_the_one_that_is_asked_for(self):
        d = self.serve()
        for accept, form in ((None, PLAIN), ("*/*", PLAIN), ("text/html", PLAIN), ("application/openmetrics-text", OPEN),
                             ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", OPEN),
                             ("application/openmetrics-text;q=0.1,text/plain;q=0.2", PLAIN)):
            with self.subTest(accept=accept):
                reply = ask(d.metrics, accept=accept)
                self.assertEqual(form, reply.headers["content-type"])
                self.assertEqual(form == OPEN, reply.body.endswith(b"\n# EOF\n"))

    def test_the_document_names_them_all(self):
        d = self.serve()
        with open(TREE + "/docs/METRICS.md", encoding="utf-8") as f:
            rows = re.findall(r"(?m)^\| `(concd_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", f.read())
        ending = {"counter": "_total", "info": "_info"}
        self.assertEqual([(family.name + ending.get(family.type, ""), family.type,
                           ", ".join("`%s`" % name for name in family.labels()), family.help)
                          for family in self.scrape(d).values()], [tuple(row) for row in rows])

    def test_promtool(self):
        promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
        if not promtool:
            self.skipTest("there is no promtool: it comes with Debian's package prometheus, or $PROMTOOL names it")
        d = self.serve()
        d.run(workload="nop", count=1000)
        d.call("Race", trials=10)
        checked = subprocess.run([promtool, "check", "metrics"], input=ask(d.metrics).body, capture_output=True,
                                 timeout=harness.PATIENCE)
        self.assertEqual((0, b"", b""), (checked.returncode, checked.stdout, checked.stderr))


class Counts(Metrics):
    def test_a_run(self):
        d = self.serve()
        for mode in ("sequential", "process", "thread", "gil"):
            with self.subTest(mode):
                before = self.scrape(d)
                r = d.run(workload="spin", params={"ns": "20000"}, count=1000, mode=mode)
                after = self.scrape(d)
                grown = {(name, key) for name, family in after.items() if family.type in ("counter", "histogram")
                         for key, value in family.samples.items() if value != before[name].samples[key]}
                tasks = ("_total", (("mode", mode), ("outcome", "verified")))
                self.assertEqual(1000, after["concd_tasks"].samples[tasks] - before["concd_tasks"].samples[tasks])
                latency = after["concd_task_duration_seconds"].samples
                self.assertEqual(r["latency_ns"]["samples"], latency["_count", (("mode", mode),)])
                self.assertGreaterEqual(latency["_sum", (("mode", mode),)], 20e-6 * r["latency_ns"]["samples"])
                self.assertEqual(0, latency["_bucket", (("mode", mode), ("le", "1e-05"))], "no task took less than 20 us")
                self.assertEqual({"concd_tasks", "concd_jobs", "concd_task_duration_seconds", "concd_calls",
                                  "concd_connections_accepted"}, {name for name, _ in grown} - {"concd_daemon_cpu_seconds"})

    def test_a_warmup_is_not_counted(self):
        d = self.serve()
        d.run(workload="nop", count=100, warmup=50)
        self.assertEqual(100, self.value(d, "tasks", mode="process", outcome="verified"))

    def test_the_histogram_is_that_of_the_result(self):
        d = self.serve()
        r = d.run(workload="sleep", params={"us": "3000"}, count=20)
        self.assertEqual(("each", 20), (r["latency_ns"]["method"], r["latency_ns"]["samples"]))
        self.assertEqual(0, self.value(d, "task_duration_seconds", "_bucket", mode="process", le="0.002"))
        self.assertEqual(20, self.value(d, "task_duration_seconds", "_bucket", mode="process", le="+Inf"))

    def test_tasks_that_fail(self):
        d = self.serve()
        for kind, at, outcome in (("error", "3", "failed"), ("wrong", "4", "wrong")):
            r = d.run(workload="fail", params={"kind": kind, "at": at, "every": "10"}, count=100)
            self.assertEqual(("failed", 10), (r["state"], r["failed"]))
            self.assertEqual(10, self.value(d, "tasks", mode="process", outcome=outcome))
        self.assertEqual(180, self.value(d, "tasks", mode="process", outcome="verified"))
        self.assertEqual(10, self.value(d, "tasks", mode="process", outcome="failed"), "wrong ones are not among them")
        self.assertEqual(2, self.value(d, "jobs", method="Run", state="failed"))

    def test_a_race(self):
        d = self.serve()
        result = d.call("Race", scenario="counter", permits=1, trials=300)["race"]
        self.assertEqual("done", result["state"])
        by_class = {"acceptable": 0, "interesting": 0, "forbidden": 0, "unknown": result["unknown"]}
        for outcome in result["outcomes"]:
            by_class[outcome["expected"]] += outcome["count"]
        self.assertEqual(300, sum(by_class.values()))
        for outcome, n in by_class.items():
            self.assertEqual(n, self.value(d, "race_trials", outcome=outcome), outcome)
        self.assertEqual(1, self.value(d, "jobs", method="Race", state="done"))
        self.assertEqual(0, self.value(d, "tasks", mode="process", outcome="verified"))

    def test_permits_recovered(self):
        d = self.serve()
        result = d.call("Race", scenario="permit-leak", guard="semaphore", trials=20)["race"]
        self.assertGreater(result["permits_recovered"], 0)
        self.assertEqual(result["permits_recovered"], self.value(d, "permits_recovered", of="race"))
        self.assertEqual(0, self.value(d, "permits_recovered", of="run"))

    def test_killed_workers(self):
        d = self.serve()
        client = d.connect()
        client.send("Run", more=True, workload="spin", params={"ns": "1000000"}, count=1000)
        killed, continues = 0, True
        while continues:
            reply, continues = client.receive()
            if killed < 3 and continues and reply["progress"]["done"]:
                pids = [w["pid"] for w in d.call("Status")["workers"] if w["kind"] == "process" and w["state"] == "running"]
                if pids:
                    os.kill(pids[0], signal.SIGKILL)
                    killed += 1
        result = reply["result"]
        self.assertEqual(1000, result["verified"])
        self.assertGreater(killed, 0)
        self.assertEqual(killed, self.value(d, "worker_restarts"))
        self.assertEqual(result["reexecuted"], self.value(d, "reexecuted_tasks"))
        self.assertEqual(1000, self.value(d, "tasks", mode="process", outcome="verified"))

    def test_the_queue(self):
        d = self.serve("jobs.queue=7")
        blocker = d.connect()
        blocker.send("Run", more=True, workload="sleep", params={"us": "1000"}, count=10**6)
        until(lambda: self.value(d, "jobs_running") == 1, "it runs")
        waiting = [d.connect() for _ in range(3)]
        for client in waiting:
            client.send("Run", workload="nop", count=1)
        until(lambda: self.value(d, "jobs_queued") == 3, "three jobs wait")
        self.assertEqual(7, self.value(d, "queue_limit"))
        until(lambda: self.value(d, "workers", kind="process", state="running") == 2, "both work")
        self.assertEqual(4, self.value(d, "connections"))
        for client in waiting:
            client.close()
        until(lambda: self.value(d, "jobs_queued") == 0, "nobody waits")
        blocker.close()
        until(lambda: self.value(d, "jobs_running") == 0, "nothing is left to do")
        self.assertEqual(4, self.value(d, "jobs", method="Run", state="cancelled"))
        until(lambda: self.value(d, "connections") == 0, "nobody is connected")
        until(lambda: self.value(d, "workers", kind="process", state="idle") == 2, "both rest")

    def test_calls_and_errors(self):
        d = self.serve()
        before = self.scrape(d)
        with Client(d.path) as client:
            client.call("org.varlink.service.GetInfo")
            client.call("Jobs")
            client.call("Jobs")
            for method, parameters in (("Run", {"workload": "none"}), ("Wait", {"id": "ab" * 16}), ("Fly", {})):
                with self.assertRaises(harness.Failed):
                    client.call(method, **parameters)
        after = self.scrape(d)
        grown = {(name, labels[0][1]): value - before[name].samples[suffix, labels]
                 for name in ("concd_calls", "concd_errors")
                 for (suffix, labels), value in after[name].samples.items() if value != before[name].samples[suffix, labels]}
        self.assertEqual({("concd_calls", "org.varlink.service.GetInfo"): 1, ("concd_calls", "Jobs"): 2,
                          ("concd_calls", "Run"): 1, ("concd_calls", "Wait"): 1, ("concd_errors", "BadValue"): 1,
                          ("concd_errors", "NoSuchJob"): 1,
                          ("concd_errors", "org.varlink.service.MethodNotFound"): 1}, grown)
        names = {dict(labels)["error"] for _, labels in after["concd_errors"].samples}
        self.assertLessEqual(set(harness.INTERFACE.errors), names)
        methods = {dict(labels)["method"] for _, labels in after["concd_calls"].samples}
        self.assertLessEqual(set(harness.INTERFACE.methods), methods)

    def test_connections(self):
        d = self.serve("clients.connections=2")
        until(lambda: self.value(d, "connections") == 0, "the one of the start is gone")
        accepted = self.value(d, "connections_accepted")
        clients = [d.connect() for _ in range(3)]
        self.assertIn(b"Busy", clients[2].receive_raw())
        self.assertEqual(2, self.value(d, "connections"))
        self.assertEqual(accepted + 2, self.value(d, "connections_accepted"))
        self.assertEqual(1, self.value(d, "connections_refused"))

    def test_memory_is_that_of_status(self):
        d = self.serve()
        told = d.call("Status")["memory"]["pss_bytes"]
        real = 0
        for pid in [d.process.pid, *d.descendants()]:
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
                real += int(re.search(r"(?m)^Pss: +(\d+) kB$", f.read())[1]) * 1024
        self.assertGreater(told, real / 4)
        self.assertLess(told, real * 4)
        self.assertEqual(told, self.value(d, "memory_bytes"), "it is not measured at every request")

    def memory(self, d):
        """As Status and the metrics tell it, who must agree; None: not at all."""
        status = d.call("Status")["memory"]["pss_bytes"]
        samples = self.scrape(d)["concd_memory_bytes"].samples
        self.assertEqual(status, samples.get(("", ())))
        return status

    def test_memory_is_not_looked_at_while_a_job_runs(self):
        d = self.serve()
        work = {"workload": "sleep", "params": {"us": "1000"}, "duration_ns": 60 * 10**9, "detach": True}
        first = d.call("Run", **work)["id"]
        until(lambda: self.value(d, "jobs_running") == 1, "it runs")
        self.assertIsNone(self.memory(d), "nobody asked before the job")
        d.call("Cancel", id=first)
        before = self.memory(d)
        self.assertGreater(before, 500_000)
        second = d.call("Run", **work)["id"]
        self.assertEqual(before, self.memory(d), "it is that of before the job")
        d.call("Cancel", id=second)

    def test_memory_that_cannot_be_read_is_not_asked_for_at_once_again(self):
        d = self.serve()
        with d.connect() as client:
            client.call("Jobs")
            limit = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (1, limit[1]))
            self.assertIsNone(client.call("Status")["memory"]["pss_bytes"], "no descriptor is left for it")
            resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, limit)
            self.assertIsNone(client.call("Status")["memory"]["pss_bytes"], "it was tried a moment ago")
        self.assertIsNone(self.memory(d))
        until(lambda: d.call("Status")["memory"]["pss_bytes"], "it is tried again after 10 s",
              patience=harness.PATIENCE + 10)
        self.assertIsNotNone(self.memory(d))

    def test_a_takeover_begins_anew(self):
        d = self.serve()
        d.run(workload="nop", count=1000)
        self.assertEqual(0, self.value(d, "adopted"))
        started = self.value(d, "start_time_seconds")
        client = d.connect()
        client.send("Run", more=True, workload="sleep", params={"us": "1000"}, duration_ns=60 * 10**9)
        until(lambda: self.value(d, "jobs_running") == 1, "it runs")
        other = d.connect()
        other.send("Run", more=True, workload="nop", count=10, id="cd" * 16)
        other.receive()
        d.kill()
        self.assertTrue(stat.S_ISSOCK(os.lstat(d.metrics).st_mode), "a killed daemon leaves its socket")
        d.start()
        self.assertEqual(1, self.value(d, "adopted"))
        self.assertGreater(self.value(d, "start_time_seconds"), started)
        self.assertEqual(1, self.value(d, "jobs", method="Run", state="interrupted"))
        self.assertEqual(1, self.value(d, "jobs", method="Run", state="lost"))
        self.assertEqual(0, self.value(d, "jobs", method="Run", state="done"))


class Http(Metrics):
    def test_head(self):
        d = self.serve()
        reply = ask(d.metrics, method="HEAD", accept="application/openmetrics-text")
        self.assertEqual((200, OPEN, b""), (reply.code, reply.headers["content-type"], reply.body))
        self.assertGreater(int(reply.headers["content-length"]), 1000)

    def test_what_is_not_there(self):
        d = self.serve()
        for target in ("/", "/metric", "/metrics/", "/metrics/../x", "//metrics", "/%00", "*"):
            with self.subTest(target):
                self.assertIn(ask(d.metrics, target).code, (400, 404))
        self.assertEqual(200, ask(d.metrics, "/metrics?name[]=x").code)

    def test_other_methods(self):
        d = self.serve()
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            with self.subTest(method):
                reply = ask(d.metrics, method=method, extra="Content-Length: 0\r\n")
                self.assertEqual((405, "GET, HEAD"), (reply.code, reply.headers["allow"]))
        self.assertIn(ask(d.metrics, method="CONNECT").code, (400, 501))
        self.assertIn(ask(d.metrics, method="BREW").code, (400, 501))

    def test_garbage(self):
        d = self.serve()
        for data in (b"garbage\r\n\r\n", b"\0" * 100 + b"\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
                     b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
                     b"GET /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"\xff\xfe\r\n\r\n",
                     b"GET http://[ HTTP/1.1\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 9" + b"9" * 30 + b"\r\n\r\n",
                     b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"):
            with self.subTest(data[:50]):
                answer = ask_raw(d.metrics, data)
                self.assertTrue(answer == b"" or 400 <= Reply(answer).code < 600, answer)
        self.assertEqual(200, ask(d.metrics).code)
        self.settle(d)

    def test_too_much(self):
        d = self.serve()
        for data in (b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
                     b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100000 + b"\r\n\r\n",
                     b"GET /metrics HTTP/1.1\r\n" + b"X: x\r\n" * 20000 + b"\r\n",
                     b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1000000,
                     b"POST /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000):
            with self.subTest(data[:30]):
                answer = ask_raw(d.metrics, data)
                self.assertTrue(answer == b"" or 400 <= Reply(answer).code < 500, answer[:200])
        self.assertEqual(200, ask(d.metrics).code)
        self.settle(d)

    def test_one_request_a_connection(self):
        d = self.serve()
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = ask_raw(d.metrics, request * 3)
        self.assertEqual(1, answer.count(b"HTTP/1.1 200"))
        self.assertEqual("close", Reply(answer).headers["connection"])

    def test_a_request_in_pieces(self):
        d = self.serve()
        with connect(d.metrics) as s:
            for byte in b"GET /metrics HTTP/1.0\r\n\r\n":
                s.sendall(bytes([byte]))
            self.assertEqual(200, Reply(drain(s)).code)

    def test_who_goes_away_in_the_middle(self):
        d = self.serve()
        for data in (b"", b"GET", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n", b"POST /metrics HTTP/1.1\r\n"
                     b"Content-Length: 100\r\n\r\nx"):
            for how in (None, socket.SHUT_WR, socket.SHUT_RDWR):
                with connect(d.metrics) as s:
                    s.sendall(data)
                    if how is not None:
                        s.shutdown(how)
        self.assertEqual(200, ask(d.metrics).code)
        self.settle(d)

    def test_many_who_say_nothing_are_dropped(self):
        """The places are bounded and so is the time that one is held: whoever asks in earnest gets his turn."""
        d = self.serve()
        idle = [connect(d.metrics) for _ in range(CONNECTIONS_MAX + 8)]
        try:
            for i, s in enumerate(idle):
                s.sendall(b"GET /metrics HTTP/1.1\r\nX: "[: i])
            until(lambda: self.connections(d) == CONNECTIONS_MAX, "all places are taken")
            self.assertEqual(1000, d.run(workload="nop", count=1000)["verified"], "the daemon's own work goes on")
            until(lambda: self.connections(d) == CONNECTIONS_MAX, "no more than these are open")
            self.assertEqual(200, ask(d.metrics).code)
            for s in idle[:CONNECTIONS_MAX]:
                self.assertEqual(b"", drain(s))
        finally:
            for s in idle:
                s.close()
        self.settle(d)

    def test_who_does_not_read_is_dropped(self):
        d = self.serve()
        with connect(d.metrics) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            self.settle(d)
        self.assertEqual(200, ask(d.metrics).code)

    def test_no_descriptor_left(self):
        d = self.serve()
        self.settle(d)
        before = os.listdir("/proc/%d/fd" % d.process.pid)
        usual = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (max(map(int, before)) + 1, usual[1]))
        with connect(d.metrics) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            until(lambda: "metrics.socket" in d.log(), "it says that it cannot accept")
            self.assertEqual(0, self.connections(d))
            resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, usual)
            self.assertEqual(200, Reply(drain(s)).code)
        self.assertEqual(1, d.log().count("metrics.socket"), "said once")

    def test_it_stops_with_connections_open(self):
        d = self.serve()
        with connect(d.metrics) as s, connect(d.metrics) as t:
            t.sendall(b"GET /met")
            self.assertEqual(200, ask(d.metrics).code)
            d.stop()
            self.assertEqual((b"", b""), (drain(s), drain(t)))


class Place(Metrics):
    """The socket file."""

    def fails(self, path, *words, settings=()):
        d = Daemon("metrics.socket=" + path, *settings)
        try:
            d.launch()
            self.assertNotEqual(0, d.wait())
            for word in words:
                self.assertIn(word, d.log())
            self.assertEqual(1, d.log().count("ERROR"), "said once\n" + d.log())
            d.assert_gone()
            d.assert_log_clean()
        finally:
            d.discard()

    def test_off_unless_it_is_asked_for(self):
        d = self.start()
        self.assertEqual([], [n for n in os.listdir(d.folder) if stat.S_ISSOCK(os.lstat(d.folder + "/" + n).st_mode)
                              and n != "socket"])

    def test_the_mode(self):
        for settings, mode in (((), 0o660), (("metrics.socket_mode=0600",), 0o600), (("metrics.socket_mode=0666",), 0o666)):
            d = self.serve(*settings)
            self.assertEqual(mode, stat.S_IMODE(os.lstat(d.metrics).st_mode))

    def test_a_dead_daemons_socket_is_replaced(self):
        folder = self.folder()
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(folder + "/m")
        stale.close()
        self.start("metrics.socket=" + folder + "/m")
        self.assertEqual(200, ask(folder + "/m").code)

    def test_a_living_one_is_not(self):
        first = self.serve()
        self.fails(first.metrics, first.metrics, "another process listens")
        self.assertEqual(200, ask(first.metrics).code, "the first one is not harmed")

    def test_the_control_socket_is_taken(self):
        d = Daemon()
        d.settings.append("metrics.socket=" + d.path)
        try:
            d.launch()
            self.assertNotEqual(0, d.wait())
            self.assertIn("metrics.socket: given \"%s\"" % d.path, d.log())
            d.assert_gone()
        finally:
            d.discard()

    def test_what_is_not_a_socket_is_left_alone(self):
        path = self.folder() + "/m"
        with open(path, "w", encoding="ascii") as f:
            f.write("precious")
        self.fails(path, path, "is not a socket")
        with open(path, encoding="ascii") as f:
            self.assertEqual("precious", f.read())

    def test_a_symlink_is_not_followed(self):
        folder = self.folder()
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(folder + "/aim")
        stale.close()
        for aim in ("aim", "nowhere"):
            os.symlink(folder + "/" + aim, folder + "/m")
            self.fails(folder + "/m", folder + "/m", "is not a socket")
            self.assertTrue(os.path.islink(folder + "/m"))
            os.unlink(folder + "/m")
        self.assertEqual(["aim"], os.listdir(folder))

    def test_no_such_folder(self):
        self.fails(path := self.folder() + "/none/m", path, "No such file or directory")

    def test_what_came_into_its_place_stays(self):
        d = self.start("metrics.socket=" + (path := self.folder() + "/m"))
        os.unlink(path)
        with open(path, "w", encoding="ascii"):
            pass
        d.stop()
        self.assertTrue(os.path.exists(path))

    def test_values_that_are_not_allowed(self):
        for value in ("metrics", "./m", "/" + "x" * 107):
            checked = harness.concd("--check-config", "--set", "metrics.socket=" + value)
            self.assertNotEqual(0, checked.code, checked)
            self.assertIn("metrics.socket", checked.stderr)
            self.assertIn("absolute path", checked.stderr)


if __name__ == "__main__":
    harness.main()
