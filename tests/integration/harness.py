# SPDX-License-Identifier: MIT
"""What the tests of the real programs stand on: a daemon in a folder of its own, a Varlink client that holds every
reply to the interface definition, concctl, and a runner that speaks TAP.

Meson passes where things are: CONCD_BIN, CONCCTL_BIN, CONCD_TREE.
"""
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

import idl

TREE = os.environ.get("CONCD_TREE") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
CONCD = os.environ.get("CONCD_BIN") or TREE + "/build/daemon/concd"
CONCCTL = os.environ.get("CONCCTL_BIN") or TREE + "/build/ctl/concctl"

# One figure bounds every wait: it is what a machine that is busy, or a sanitizer, may need, not what is expected.
PATIENCE = 30.0

with open(TREE + "/shared/org.concd.varlink", encoding="utf-8") as f:
    INTERFACE = idl.Interface(f.read())

# The sum of one task of calc, sum(i**i for i in 1..999), modulo 2**64.
CALC_SUM = 0xA5E5D2CC8D5390EC
# builtin_mark() of task 0; that of task i is i + 1 times as much.
MARK = 0x9E3779B97F4A7C15

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|LeakSanitizer")
_numbers = itertools.count(1)


def marks(count, each=0):
    """The checksum of one round of nop (each 0), sleep (each: microseconds) or spin (each: nanoseconds)."""
    return count * (count + 1) // 2 * MARK + count * each


def modes(*names):
    """Variants of a comparison."""
    return [{"mode": name} for name in names]


def hex64(value):
    return "0x%016x" % (value % 2**64)


def until(condition, what, patience=PATIENCE):
    """Waits until condition() is true and returns what it returned; fails the test when that takes too long."""
    give_up = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError("after %g s still not: %s" % (patience, what))
        time.sleep(0.005)


def descriptors():
    """This process's own open descriptors, but for the one that reads the list."""
    return {(int(n), os.readlink("/proc/self/fd/" + n)) for n in os.listdir("/proc/self/fd")
            if os.path.islink("/proc/self/fd/" + n)}


def processes():
    """All processes that are not zombies: pid -> (parent, name, start time)."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as stat:
                text = stat.read()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2 :].split()
        if fields[0] not in "ZX":
            found[int(name)] = (int(fields[1]), text[text.index("(") + 1 : text.rindex(")")], int(fields[19]))
    return found


def descendants(pid):
    """The processes below this one."""
    children = {}
    for each, (parent, _, _) in processes().items():
        children.setdefault(parent, []).append(each)
    found, todo = set(), [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def mentioning(text):
    """Processes with the text in their command line or environment."""
    found = set()
    for pid in processes():
        if pid == os.getpid():
            continue
        for part in ("cmdline", "environ"):
            try:
                with open("/proc/%d/%s" % (pid, part), "rb") as f:
                    if text.encode() in f.read():
                        found.add(pid)
            except OSError:
                pass
    return found


# ── the protocol ──

class Failed(Exception):
    """An error reply."""

    def __init__(self, error, parameters):
        super().__init__("%s %s" % (error, json.dumps(parameters)))
        self.error = error.removeprefix(INTERFACE.name + ".")
        self.parameters = parameters


class Client:
    """One connection. Every reply is held to the interface definition."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(path)
        except BaseException:
            self.socket.close()
            raise
        self.unread = b""
        self.methods = []

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, method, more=False, oneway=False, **parameters):
        if "." not in method:
            method = INTERFACE.name + "." + method
        message = {"method": method, "parameters": parameters}
        if more:
            message["more"] = True
        if oneway:
            message["oneway"] = True
        else:
            self.methods.append((method, more))
        self.send_raw(json.dumps(message).encode() + b"\0")

    def receive_raw(self):
        """One message without its NUL; None at the end of the connection."""
        while b"\0" not in self.unread:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self.unread, "the connection ends within a message: %r" % self.unread
                return None
            self.unread += data
        message, _, self.unread = self.unread.partition(b"\0")
        return message

    def receive(self):
        """The next reply to the oldest call that still awaits one: (parameters, continues)."""
        method, more = self.methods[0]
        raw = self.receive_raw()
        if raw is None:
            raise ConnectionError("closed instead of a reply to %s" % method)
        reply = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
        assert isinstance(reply, dict) and set(reply) <= {"parameters", "continues", "error"}, reply
        parameters = reply.get("parameters", {})
        continues = reply.get("continues", False)
        assert isinstance(continues, bool) and (more or not continues), reply
        if not continues:
            self.methods.pop(0)
        if "error" in reply:
            assert not continues, reply
            interface, _, name = reply["error"].rpartition(".")
            if interface == INTERFACE.name:
                assert name in INTERFACE.errors, reply
                _hold(INTERFACE.errors[name], parameters, "error " + name)
            raise Failed(reply["error"], parameters)
        interface, _, name = method.rpartition(".")
        if interface == INTERFACE.name:
            _hold(INTERFACE.methods[name][1], parameters, "reply of " + name)
        return parameters, continues

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive()[0]

    def more(self, method, **parameters):
        """All replies, the last one last."""
        self.send(method, more=True, **parameters)
        continues = True
        while continues:
            reply, continues = self.receive()
            yield reply


def _no_duplicates(pairs):
    names = [k for k, _ in pairs]
    assert len(names) == len(set(names)), "a key twice in %r" % (names,)
    return dict(pairs)


def _hold(kind, value, what):
    problems = INTERFACE.problems(kind, value)
    assert not problems, "%s: %s" % (what, "; ".join(problems))


# ── the programs ──

class Daemon:
    """A real concd with its own folder, instance and socket. Settings are "section.key=value".

        with Daemon("pool.processes=2") as d:
            d.call("Run", count=10)

    Leaving the block stops it and asserts that it ended well and that nothing of it remains.
    """

    def __init__(self, *settings, arguments=(), environment=None, defaults=True):
        self.folder = tempfile.mkdtemp(prefix="concd-test-")
        self.instance = "t%d-%d" % (os.getpid(), next(_numbers))
        self.path = self.folder + "/socket"
        self.log_path = self.folder + "/log"
        self.settings = (["pool.processes=2", "pool.threads=2"] if defaults else []) + list(settings)
        self.arguments = list(arguments)
        self.environment = {**os.environ, "CONCD_TEST_INSTANCE": self.instance, **(environment or {})}
        self.process = None
        self.clients = []

    # Lifetime.

    def command(self):
        command = [CONCD, "--instance", self.instance, "--socket", self.path]
        for setting in self.settings:
            command += ["--set", setting]
        return command + self.arguments

    def launch(self):
        """Starts it without waiting."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment)
        return self

    def start(self):
        self.launch()
        until(self._answers, "the daemon answers; its log: " + self.log_path)
        return self

    def _answers(self):
        assert self.process.poll() is None, "the daemon ended with %d:\n%s" % (self.process.returncode, self.log())
        try:
            Client(self.path).close()
            return True
        except OSError:
            return False

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        return self.process.wait(PATIENCE)

    def wait(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the daemon does not end; its log:\n" + self.log()) from None

    def stop(self, expect=0):
        """SIGTERM, and all that must be true afterwards."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
        code = self.wait()
        assert code == expect, "the daemon ended with %d and not %d:\n%s" % (code, expect, self.log())
        self.assert_gone()
        self.assert_log_clean()

    def discard(self):
        """Leaves nothing behind whatever happened; asserts nothing."""
        for client in self.clients:
            client.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in mentioning(self.instance):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for name in self.shm():
            os.unlink("/dev/shm/" + name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        self.before = descriptors()
        try:
            return self.start()
        except BaseException:
            self.discard()
            raise

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
            else:
                print("# the log of the daemon:\n" + self.log()[-4000:], file=sys.stderr)
        finally:
            self.discard()
        if kind is None:
            after = descriptors()
            assert after <= self.before, "descriptors left open: %s" % sorted(after - self.before)

    # What there is to see from outside.

    def shm(self):
        """The names of this instance in /dev/shm."""
        segment = "concd.%d.%s" % (os.getuid(), self.instance)
        return {n for n in os.listdir("/dev/shm") if n == segment or n.startswith("sem." + segment + ".")}

    def descendants(self):
        return descendants(self.process.pid)

    def assert_gone(self):
        until(lambda: not mentioning(self.instance), "no process of the daemon is left")
        assert not self.shm(), "left in /dev/shm: %s" % sorted(self.shm())
        assert not os.path.exists(self.path), "the socket is still there"

    def assert_log_clean(self):
        for line in self.log().splitlines():
            assert "ALERT" not in line.upper().split() and "alert:" not in line, line
            assert not SANITIZER.search(line), self.log()

    # Talking to it.

    def connect(self):
        client = Client(self.path)
        self.clients.append(client)
        return client

    def call(self, method, **parameters):
        with Client(self.path) as client:
            return client.call(method, **parameters)

    def run(self, **parameters):
        """One job, to its end: the result."""
        reply = self.call("Run", **parameters)
        assert reply["result"] is not None, reply
        return reply["result"]

    def ctl(self, *arguments, **options):
        return concctl(*arguments, environment={**(options.pop("environment", {})), "CONCD_SOCKET": self.path}, **options)


class Output:
    def __init__(self, code, stdout, stderr):
        self.code, self.stdout, self.stderr = code, stdout, stderr

    def json(self):
        return json.loads(self.stdout, object_pairs_hook=_no_duplicates)

    def __repr__(self):
        return "code %d\nstdout: %s\nstderr: %s" % (self.code, self.stdout, self.stderr)


def concctl_environment(environment=None):
    """A clean one: nothing of the caller's may point to a daemon of theirs."""
    clean = {k: v for k, v in os.environ.items() if k not in ("CONCD_SOCKET", "NO_COLOR", "XDG_RUNTIME_DIR")}
    return {**clean, "CONCD_DAEMON": CONCD, **(environment or {})}


def concctl(*arguments, environment=None, input=None, stdout=None, program=CONCCTL):
    done = subprocess.run([program, *map(str, arguments)], env=concctl_environment(environment),
                          input=input, stdin=subprocess.DEVNULL if input is None else None,
                          stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, timeout=4 * PATIENCE,
                          encoding="utf-8")
    assert not SANITIZER.search(done.stderr), done.stderr
    return Output(done.returncode, done.stdout, done.stderr)


def concd(*arguments, environment=None):
    """concd as a command that ends by itself: --check-config and the like."""
    done = subprocess.run([CONCD, *map(str, arguments)], env={**os.environ, **(environment or {})},
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, encoding="utf-8")
    assert not SANITIZER.search(done.stderr), done.stderr
    return Output(done.returncode, done.stdout, done.stderr)


# ── the runner ──

class Case(unittest.TestCase):
    """A test case; `daemon` starts one that lives as long as the test."""

    longMessage = True

    def start(self, *settings, **options):
        d = Daemon(*settings, **options)
        d.__enter__()
        self.addCleanup(self._finish, d)
        return d

    def _finish(self, d):
        d.__exit__(None if self._outcome.success else AssertionError)

    def folder(self):
        path = tempfile.mkdtemp(prefix="concd-test-")
        self.addCleanup(shutil.rmtree, path)
        return path

    def refused(self, d, method, field, **parameters):
        """The call must be refused with BadValue for this field; returns (given, allowed)."""
        with self.assertRaises(Failed) as caught:
            d.call(method, **parameters)
        self.assertEqual("BadValue", caught.exception.error, caught.exception)
        self.assertEqual(field, caught.exception.parameters["field"], caught.exception)
        self.assertTrue(caught.exception.parameters["allowed"])
        return caught.exception.parameters["given"], caught.exception.parameters["allowed"]


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.bad = 0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.trouble = []

    def _say(self, word, test, directive=""):
        self.number += 1
        print("%s %d - %s (%.2f s)%s" % (word, self.number, test.id().removeprefix("__main__."),
                                         time.monotonic() - self.began, directive), flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.began = getattr(self, "began", time.monotonic())
        self._say("ok", test, " # SKIP " + reason.replace("\n", " "))
        self.skipped_now = True

    def addError(self, test, err):
        self.trouble = getattr(self, "trouble", []) + ["".join(traceback.format_exception(*err))]
        if not isinstance(test, unittest.TestCase):  # setUpClass and the like
            self.began = time.monotonic()
            self.stopTest(test)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err:
            self.trouble.append("%s\n%s" % (subtest.id(), "".join(traceback.format_exception(*err))))

    def addUnexpectedSuccess(self, test):
        self.trouble.append("unexpected success")

    def stopTest(self, test):
        if isinstance(test, unittest.TestCase):
            super().stopTest(test)
        if getattr(self, "skipped_now", False):
            self.skipped_now = False
            if not self.trouble:
                return
        if self.trouble:
            self.bad += 1
        self._say("not ok" if self.trouble else "ok", test)
        for line in "".join(self.trouble).splitlines():
            print("# " + line, flush=True)
        self.trouble = []


def main():
    """Runs the tests of the calling script; arguments select them by a part of their name."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    wanted = sys.argv[1:]

    def chosen(tests):
        for test in tests:
            if isinstance(test, unittest.TestSuite):
                yield from chosen(test)
            elif not wanted or any(w in test.id() for w in wanted):
                yield test

    result = TapResult()
    unittest.TestSuite(chosen(suite)).run(result)
    print("1..%d" % result.number, flush=True)
    sys.exit(bool(result.bad))
