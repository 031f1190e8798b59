#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The control protocol, spoken by two clients that nobody of this project wrote: systemd's varlinkctl and the library
python3-varlink. Each runs in a root of a distribution that has them (CONCD_PEERS, made by scripts/conformance), in
namespaces of its own, and sees nothing of the daemon but its socket.

Every test runs once with each client.
"""
import json
import os
import re
import subprocess
import sys
import unittest

import harness
import idl
from harness import INTERFACE, PATIENCE, TREE

sys.path.insert(0, TREE + "/tests/faults")

ROOT = os.environ["CONCD_PEERS"]
SERVICE = "org.varlink.service."
STRANGER = 4001  # nobody has this number
LONG = {"workload": "sleep", "params": {"us": "1000"}, "count": 10**6, "workers": 1, "detach": True}
NOWHERE = "0123456789abcdef" * 2

# Arguments: the other root, the folder with the socket, the user, and the command.
INSIDE = ('mount --bind "$2" "$1/run/concd-test" && mount -t proc proc "$1/proc" && root=$1 user=$3 && shift 3 && '
          'exec chroot --userspec="$user" "$root" "$@"')


class Ended(Exception):
    """The client could make nothing of what it was told."""


class Peer:
    """A client program. All methods but spawn() wait for its end."""

    def __init__(self, daemon):
        self.folder = daemon.folder
        self.address = "unix:/run/concd-test/" + os.path.basename(daemon.path)

    def spawn(self, *command, user=0, text=None):
        line = ["unshare", "--mount", "--pid", "--ipc", "--net", "--fork", "--kill-child",
                "sh", "-c", INSIDE, "sh", ROOT, self.folder, "%d:%d" % (user, user), *command]
        child = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 encoding="utf-8", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})
        child.stdin.write(text or "")
        child.stdin.close()
        child.stdin = None
        return child

    def end(self, child):
        stdout, stderr = child.communicate(timeout=2 * PATIENCE)
        return child.returncode, stdout, stderr

    def call(self, method, parameters, **options):
        """(replies, error, parameters of the error); the error is None, or the replies are those before it."""
        return self.outcome(self.start(method, parameters, **options))


class Varlinkctl(Peer):
    def ask(self, *arguments):
        code, stdout, stderr = self.end(self.spawn("varlinkctl", "--no-pager", *arguments))
        if code:
            raise Ended(stderr)
        return stdout

    def info(self):
        return json.loads(self.ask("--json=short", "info", self.address))

    def introspect(self, name):
        """The client reads the definition and writes it anew, in its own layout."""
        text = self.ask("introspect", self.address, name)
        self.validate(text)
        return text

    def validate(self, text):
        code, _, stderr = self.end(self.spawn("varlinkctl", "validate-idl", "/dev/stdin", text=text))
        if code:
            raise Ended(stderr)

    def start(self, method, parameters, more=False, user=0, raw=False):
        stream = ["--more"] if more else []
        return self.spawn("varlinkctl", "--json=short", "--timeout=60", "call", *stream, self.address, method,
                          json.dumps(parameters), user=user)

    def outcome(self, child):
        code, stdout, stderr = self.end(child)
        # A stream has a record separator before each reply (RFC 7464).
        replies = [json.loads(line) for line in stdout.replace("\x1e", "").split("\n") if line]
        failed = re.fullmatch(r"Method call \S+\(\) failed: (\S+)", stderr.strip())
        if failed:
            return replies[:-1], failed[1], replies[-1]
        if code:
            raise Ended(stderr)
        return replies, None, None


class PythonVarlink(Peer):
    with open(os.path.dirname(os.path.realpath(__file__)) + "/varlink_client.py", encoding="utf-8") as f:
        PROGRAM = f.read()

    def run(self, *arguments, user=0):
        return self.spawn("python3", "-", self.address, *arguments, user=user, text=self.PROGRAM)

    def lines(self, child):
        code, stdout, stderr = self.end(child)
        if code:
            raise Ended(stderr)
        return [json.loads(line) for line in stdout.splitlines()]

    def info(self):
        return self.lines(self.run("info"))[0]

    def introspect(self, name):
        found, = self.lines(self.run("introspect", name))
        declared = idl.Interface(found["text"])
        for kind in ("types", "methods", "errors"):
            if sorted(found[kind]) != sorted(getattr(declared, kind)):
                raise Ended("%s: the client found %s" % (kind, found[kind]))
        return found["text"]

    def start(self, method, parameters, more=False, user=0, raw=False):
        return self.run("send" if raw else "more" if more else "call", method, json.dumps(parameters), user=user)

    def outcome(self, child):
        said = self.lines(child)
        replies = [one["reply"] for one in said if "reply" in one]
        if said and "error" in said[-1]:
            return replies, said[-1]["error"], said[-1]["parameters"]
        return replies, None, None


class Conformance:
    """What each client must be able to do."""

    peer_type = None

    def peer(self, *settings, **options):
        """A daemon of our own, and a client of it, of any user."""
        self.daemon = self.start("daemon.socket_mode=0666", *settings, **options)
        os.chmod(self.daemon.folder, 0o711)
        return self.peer_type(self.daemon)

    def fits(self, method, replies):
        self.assertTrue(replies)
        for reply in replies:
            # A field that is null may be left out, and python3-varlink leaves it out.
            self.assertEqual([], INTERFACE.problems(INTERFACE.methods[method][1], reply))

    def fails(self, peer, method, parameters, error, **options):
        """Returns the parameters of the error; they fit its declaration."""
        _, said, values = peer.call(method, parameters, **options)
        self.assertEqual(error, said, values)
        interface, _, name = error.rpartition(".")
        if interface == INTERFACE.name:
            self.assertEqual([], INTERFACE.problems(INTERFACE.errors[name], values))
        return values

    def test_info(self):
        info = self.peer().info()
        self.assertEqual(("concd", {"org.concd", "org.varlink.service"}), (info["product"], set(info["interfaces"])))

    def test_introspection(self):
        peer = self.peer()
        self.assertEqual(INTERFACE.signature(), idl.Interface(peer.introspect("org.concd")).signature())
        standard = idl.Interface(peer.introspect("org.varlink.service"))
        self.assertEqual({"GetInfo", "GetInterfaceDescription"}, set(standard.methods))

    def test_calls(self):
        peer = self.peer()
        for method, parameters in (("Describe", {"kind": "workload"}), ("Jobs", {}), ("Status", {}),
                                   ("Run", {"workload": "nop", "count": 100}),
                                   ("Race", {"scenario": "counter", "trials": 3})):
            with self.subTest(method):
                replies, error, said = peer.call("org.concd." + method, parameters)
                self.assertIsNone(error, said)
                self.assertEqual(1, len(replies))
                self.fits(method, replies)
                if method == "Run":
                    self.assertEqual(("done", 100), (replies[0]["state"], replies[0]["result"]["verified"]))

    def test_a_comparison(self):
        variants = [{"mode": "sequential"}, {"mode": "thread", "params": {}}]
        replies, error, said = self.peer().call("org.concd.Compare", {
            "variants": variants, "workload": "nop", "count": 1000, "rounds": 10, "warmup": 1})
        self.assertIsNone(error, said)
        self.fits("Compare", replies)
        self.assertEqual("done", replies[0]["state"])
        self.assertEqual(["sequential", "thread"], [v["mode"] for v in replies[0]["compare"]["variants"]])

    def test_a_stream(self):
        replies, error, said = self.peer().call("org.concd.Run", {"workload": "sleep", "params": {"us": "1000"},
                                                                  "count": 1000, "workers": 1}, more=True)
        self.assertIsNone(error, said)
        self.fits("Run", replies)
        self.assertGreater(len(replies), 2)
        for before in replies[:-1]:
            self.assertIn(before["state"], ("queued", "running"))
            self.assertTrue(before["progress"])
        self.assertEqual(("done", 1000), (replies[-1]["state"], replies[-1]["result"]["verified"]))

    # Each error of the interface.

    def test_error_bad_value(self):
        peer = self.peer()
        values = self.fails(peer, "org.concd.Run", {"count": 0}, "org.concd.BadValue")
        self.assertEqual(("count", "0"), (values["field"], values["given"]))
        values = self.fails(peer, "org.concd.Run", {"count": "many"}, "org.concd.BadValue", raw=True)
        self.assertEqual("count", values["field"])

    def test_error_busy(self):
        peer = self.peer("jobs.queue=1")
        for _ in range(2):
            self.daemon.call("Run", **LONG)
        self.assertEqual(1, self.fails(peer, "org.concd.Run", LONG, "org.concd.Busy")["limit"])
        for job in self.daemon.call("Jobs")["jobs"]:
            self.daemon.call("Cancel", id=job["id"])

    def test_error_no_such_job(self):
        values = self.fails(self.peer(), "org.concd.Wait", {"id": NOWHERE}, "org.concd.NoSuchJob")
        self.assertEqual({"id": NOWHERE}, values)

    def test_error_not_permitted(self):
        self.assertTrue(self.fails(self.peer(), "org.concd.Stop", {}, "org.concd.NotPermitted", user=STRANGER)["what"])

    def test_error_shutting_down(self):
        peer = self.peer()
        self.daemon.call("Run", **LONG)
        waiting = peer.start("org.concd.Run", {"workload": "nop", "count": 1})
        harness.until(lambda: len(self.daemon.call("Jobs")["jobs"]) == 2, "the client's job waits")
        self.daemon.call("Stop")
        replies, error, _ = peer.outcome(waiting)
        self.assertEqual(([], "org.concd.ShuttingDown"), (replies, error))

    def test_error_internal(self):
        if not os.path.exists(os.environ.get("FAIL_CALL", "")):
            self.skipTest("this build has no library that lets calls fail")
        from test_failing_calls import Control
        control = Control()
        self.addCleanup(control.close)
        peer = self.peer(environment=control.environment)
        # Some call of malloc() is one that this reply needs.
        for k in range(1, 100):
            control.arm("malloc", k)
            try:
                _, error, said = peer.call("org.concd.Status", {})
            except Ended:
                error = None  # the connection was closed
            finally:
                control.disarm()
            if error:
                break
        self.assertEqual("org.concd.Internal", error)
        self.assertEqual({"what": "out of memory"}, said)
        self.fits("Status", peer.call("org.concd.Status", {})[0])

    # The standard's own errors.

    def test_standard_errors(self):
        peer = self.peer()
        for method, parameters, error, said in (
            ("org.nobody.Run", {}, "InterfaceNotFound", {"interface": "org.nobody"}),
            (SERVICE + "GetInterfaceDescription", {"interface": "org.nobody"}, "InterfaceNotFound",
             {"interface": "org.nobody"}),
            ("org.concd.Walk", {}, "MethodNotFound", {"method": "org.concd.Walk"}),
            ("org.concd.Run", {"colour": "red"}, "InvalidParameter", {"parameter": "colour"}),
            ("org.concd.Wait", {}, "InvalidParameter", {"parameter": "id"}),
        ):
            with self.subTest(method=method, parameters=parameters):
                self.assertEqual(said, self.fails(peer, method, parameters, SERVICE + error, raw=True))

    def test_every_declared_method_is_served(self):
        """None says MethodNotFound, nor MethodNotImplemented, which is for methods that are declared and not there."""
        peer = self.peer()
        for method in INTERFACE.methods:
            with self.subTest(method):
                self.assertEqual({"parameter": "nothing"}, self.fails(peer, "org.concd." + method, {"nothing": 1},
                                                                      SERVICE + "InvalidParameter", raw=True))


class WithVarlinkctl(Conformance, harness.Case):
    peer_type = Varlinkctl

    def test_the_definition_is_valid(self):
        self.peer_type(self.start()).validate(INTERFACE.text)


class WithPythonVarlink(Conformance, harness.Case):
    peer_type = PythonVarlink


if __name__ == "__main__":
    harness.main()
