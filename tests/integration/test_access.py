#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Who may do what, with users that the kernel vouches for; quotas; the lines of the audit; what workers have given up."""
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import unittest

import harness
from harness import CONCCTL, Client, Failed, PATIENCE, concd, concctl_environment, until

# Nobody has these numbers, so no entry of a database can stand in the way.
ALICE, BOB, CAROL = 4001, 4002, 4003
FRIENDS, STAFF = 5001, 5002
ID = "%032x"
EXIT_NOT_PERMITTED = 77

AS_ROOT = unittest.skipUnless(os.geteuid() == 0, "only root can be several users")


def connect_as(path, uid, gid, groups):
    """A connection that somebody else made: the kernel keeps who it was at the time of the connect(2)."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups(groups)
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
                s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                s.connect(path)
                socket.send_fds(theirs, [b"+"], [s.fileno()])
            except OSError as e:
                theirs.send(str(e).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        message, fds, _, _ = socket.recv_fds(ours, 1000, 1)
    assert message == b"+", message
    return socket.socket(fileno=fds[0])


class User(Client):
    """A client of somebody else."""

    def __init__(self, path, uid, gid=None, groups=()):
        self.socket = connect_as(path, uid, uid if gid is None else gid, groups)
        self.socket.settimeout(PATIENCE)
        self.unread = b""
        self.methods = []


def long(**more):
    """A job that ends only when it is told to."""
    return dict({"workload": "sleep", "params": {"us": "1000"}, "count": 10**6, "workers": 1, "detach": True}, **more)


class Access(harness.Case):
    def open_to_all(self, *settings, **options):
        d = self.start("daemon.socket_mode=0666", *settings, **options)
        os.chmod(d.folder, 0o711)
        return d

    def user(self, d, *who, **options):
        # Root gets in a moment before the socket has its mode.
        until(lambda: os.stat(d.path).st_mode & 0o777, "the socket has its mode")
        user = User(d.path, *who, **options)
        d.clients.append(user)
        return user

    def denied(self, error, client, method, **parameters):
        with self.assertRaises(Failed) as caught:
            client.call(method, **parameters)
        self.assertEqual(error, caught.exception.error, caught.exception)
        return caught.exception.parameters

    def not_permitted(self, client, method, **parameters):
        return self.denied("NotPermitted", client, method, **parameters)["what"]

    def states(self, d):
        return {j["id"]: j["state"] for j in d.call("Jobs")["jobs"]}

    def end(self, d, *jobs):
        for job in jobs:
            self.assertEqual("cancelled", d.call("Cancel", id=job)["state"])


@AS_ROOT
class Submitting(Access):
    def test_without_lists_everybody_may_who_can_connect(self):
        d = self.open_to_all()
        for who in (0, ALICE, 65534):
            self.assertEqual("done", self.user(d, who).call("Run", workload="nop")["state"])

    def test_the_socket_is_the_first_gate(self):
        d = self.open_to_all("daemon.socket_mode=0660")
        with self.assertRaises(AssertionError) as caught:
            self.user(d, ALICE)
        self.assertIn("Permission denied", str(caught.exception))
        os.chown(d.path, 0, FRIENDS)
        self.assertEqual("done", self.user(d, ALICE, groups=[FRIENDS]).call("Run", workload="nop")["state"])

    def test_who_is_not_listed_may_not(self):
        d = self.open_to_all("access.submit_users=%d, 0" % ALICE)
        bob = self.user(d, BOB, groups=[ALICE])
        for method in ("Run", "Race", "Compare"):
            self.assertEqual("submitting jobs", self.not_permitted(bob, method))
            self.assertRegex(d.log(), r"WARNING concd: denied: %s to %d \(uid %d, pid \d+\): submitting jobs\n"
                             % (method, BOB, BOB))
        self.assertEqual({}, self.states(d))
        # What is no job stays open.
        self.assertEqual([], bob.call("Jobs")["jobs"])
        self.assertEqual(0, bob.call("Status")["daemon"]["queue"])
        self.assertTrue(bob.call("Describe")["entries"])
        alice = self.user(d, ALICE)
        self.assertEqual("done", alice.call("Run", workload="nop")["state"])
        self.assertEqual("done", alice.call("Race", scenario="counter", trials=3)["state"])
        self.assertEqual("done", d.call("Run", workload="nop")["state"])
        self.assertNotIn("uid %d" % ALICE, d.log())

    def test_a_name_is_as_good_as_its_number(self):
        try:
            nobody = pwd.getpwnam("nobody").pw_uid
        except KeyError:
            self.skipTest("there is no user nobody")
        d = self.open_to_all("access.submit_users=nobody")
        self.assertEqual("done", self.user(d, nobody).call("Run", workload="nop")["state"])
        self.not_permitted(self.user(d, ALICE), "Run", workload="nop")
        self.not_permitted(self.user(d, ALICE, groups=[nobody]), "Run", workload="nop")

    def test_members_of_a_listed_group_may(self):
        d = self.open_to_all("access.submit_groups=%d" % FRIENDS)
        for client in (
            self.user(d, ALICE, FRIENDS),
            self.user(d, ALICE, groups=[FRIENDS]),
            self.user(d, ALICE, groups=[1, 2, STAFF, FRIENDS]),
            # More than any buffer of a fixed size would take.
            self.user(d, ALICE, groups=list(range(10000, 14000)) + [FRIENDS]),
        ):
            self.assertEqual("done", client.call("Run", workload="nop")["state"])
        for client in (
            self.user(d, ALICE),
            self.user(d, FRIENDS, ALICE),  # a user of that number
            self.user(d, ALICE, groups=list(range(10000, 14000))),
        ):
            self.not_permitted(client, "Run", workload="nop")

    def test_concctl_says_it_and_exits_so(self):
        d = self.open_to_all("access.submit_groups=%d" % FRIENDS)
        program = d.folder + "/concctl"
        shutil.copy(CONCCTL, program)

        def run(groups):
            return subprocess.run([program, "run", "--workload=nop", "--count=10"], user=ALICE, group=ALICE,
                                  extra_groups=groups, env=concctl_environment({"CONCD_SOCKET": d.path}), cwd="/",
                                  stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=PATIENCE)

        refused = run([])
        self.assertEqual(EXIT_NOT_PERMITTED, refused.returncode, refused)
        self.assertIn("not permitted: submitting jobs", refused.stderr)
        self.assertEqual(0, run([FRIENDS]).returncode)


@AS_ROOT
class OthersJobs(Access):
    def test_a_job_is_its_owners(self):
        d = self.open_to_all()
        alice, bob = self.user(d, ALICE), self.user(d, BOB, groups=[ALICE])
        job = alice.call("Run", **long())["id"]
        mine = "a job of another user"
        for method, parameters in (("Wait", {"id": job}), ("Cancel", {"id": job}), ("Run", {"id": job}),
                                   ("Run", {"id": job, "detach": True}), ("Race", {"id": job})):
            with self.subTest(method):
                self.assertEqual(mine, self.not_permitted(bob, method, **parameters))
                self.assertRegex(d.log(), r"denied: %s %s to %d \(uid %d, pid \d+\): %s\n" % (method, job, BOB, BOB, mine))
        self.assertEqual({job: "running"}, self.states(d))
        self.assertEqual("cancelled", alice.call("Cancel", id=job)["state"])
        # Its result, too.
        self.not_permitted(bob, "Wait", id=job)
        self.assertEqual("cancelled", alice.call("Wait", id=job)["state"])

    def test_who_administers_may_have_it(self):
        d = self.open_to_all("access.admin_users=%d" % CAROL, "access.admin_groups=%d" % STAFF)
        for client in (self.user(d, CAROL), self.user(d, BOB, STAFF), self.user(d, BOB, groups=[1, STAFF]), self.user(d, 0)):
            alice = self.user(d, ALICE)
            job = alice.call("Run", **long())["id"]
            client.send("Wait", more=True, id=job)
            self.assertIn(client.receive()[0]["state"], ("running", "queued"))
            client.close()
        self.assertEqual(4, len(self.states(d)))
        for job in reversed(list(self.states(d))):
            self.assertEqual("cancelled", self.user(d, BOB, groups=[STAFF]).call("Cancel", id=job)["state"])
        self.not_permitted(self.user(d, BOB), "Wait", id=job)

    def test_a_denied_caller_does_not_keep_a_job_alive(self):
        d = self.open_to_all()
        alice, bob = self.user(d, ALICE), self.user(d, BOB)
        alice.send("Run", more=True, id=ID % 1, **long(detach=False))
        alice.receive()
        self.not_permitted(bob, "Run", id=ID % 1, detach=True)
        alice.close()
        until(lambda: self.states(d) == {ID % 1: "cancelled"}, "the job ends with its caller")

    def test_stopping_is_for_who_administers(self):
        d = self.open_to_all("access.admin_groups=%d" % STAFF, "access.submit_users=%d" % ALICE)
        for client in (self.user(d, ALICE), self.user(d, BOB, groups=[STAFF + 1]), self.user(d, STAFF, BOB)):
            self.assertIn("stopping", self.not_permitted(client, "Stop"))
        self.assertIn("denied: Stop to %d (uid %d" % (ALICE, ALICE), d.log())
        staff = self.user(d, BOB, groups=[STAFF])
        # Who administers may submit, without being listed there.
        self.assertEqual("done", staff.call("Run", workload="nop")["state"])
        self.assertEqual(d.process.pid, staff.call("Stop")["pid"])
        self.assertEqual(0, d.wait())

    def test_the_daemons_own_user_administers_it(self):
        """Started by root as somebody else, as a service is."""
        d = harness.Daemon("daemon.socket_mode=0666", "access.submit_users=%d" % ALICE)
        self.addCleanup(lambda: [os.unlink("/dev/shm/" + n) for n in os.listdir("/dev/shm") if d.instance in n])
        self.addCleanup(d.discard)
        os.chown(d.folder, BOB, BOB)
        os.chmod(d.folder, 0o711)
        program = d.folder + "/concd"
        shutil.copy(harness.CONCD, program)
        command = [program] + d.command()[1:]
        with open(d.log_path, "ab") as log:
            d.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=d.environment,
                                         user=BOB, group=BOB, extra_groups=[], cwd="/")
        until(d._answers, "the daemon answers")
        job = self.user(d, ALICE).call("Run", **long())["id"]
        self.not_permitted(self.user(d, CAROL), "Run", workload="nop")
        self.assertEqual("cancelled", self.user(d, BOB).call("Cancel", id=job)["state"])
        self.assertEqual("done", self.user(d, BOB).call("Run", workload="nop")["state"])
        self.not_permitted(self.user(d, ALICE), "Stop")
        self.user(d, BOB).call("Stop")
        self.assertEqual(0, d.wait())
        d.assert_log_clean()
        self.assertEqual([], [n for n in os.listdir("/dev/shm") if d.instance in n])


@AS_ROOT
class Quotas(Access):
    def busy(self, client, method, **parameters):
        return self.denied("Busy", client, method, **parameters)

    def test_connections(self):
        d = self.open_to_all("clients.connections_per_user=3")
        alices = [self.user(d, ALICE) for _ in range(3)]
        for client in alices:
            client.call("Status")
        refused = self.user(d, ALICE, groups=[FRIENDS])
        refused.methods = [("org.concd.Status", False)]
        with self.assertRaises(Failed) as caught:
            refused.receive()
        self.assertEqual(("Busy", {"what": "connections of one user", "limit": 3}),
                         (caught.exception.error, caught.exception.parameters))
        self.assertIsNone(refused.receive_raw())
        self.user(d, BOB).call("Status")
        alices[0].close()
        until(lambda: d.call("Status")["daemon"]["clients"] == 4, "its place is free")
        self.user(d, ALICE).call("Status")

    def test_those_who_administer_have_places_left(self):
        """However many idle connections others hold, root and the admins get in."""
        d = self.open_to_all("clients.connections=12", "clients.connections_per_user=3", "clients.reserved=4",
                             "access.admin_users=%d" % CAROL, "access.admin_groups=%d" % STAFF)
        held = [self.user(d, uid) for uid in range(6001, 6004) for _ in range(3)]
        self.assertEqual(8, sum(self.is_served(client) for client in held))
        late = self.user(d, ALICE)
        with self.assertRaises(Failed) as caught:
            late.methods = [("org.concd.Status", False)]
            late.receive()
        self.assertEqual(("Busy", {"what": "connections", "limit": 8}), (caught.exception.error, caught.exception.parameters))
        for who in (self.user(d, 0), self.user(d, CAROL), self.user(d, BOB, STAFF), self.user(d, BOB, groups=[1, STAFF])):
            self.assertEqual("running", who.call("Status")["daemon"]["state"])
        with self.assertRaises(Failed):
            refused = self.user(d, 0)
            refused.methods = [("org.concd.Status", False)]
            refused.receive()

    def is_served(self, client):
        try:
            return client.call("Status")["daemon"]["state"] == "running"
        except (Failed, OSError):
            return False

    def test_a_flood_of_jobs_leaves_the_results_of_others(self):
        d = self.open_to_all("jobs.keep_results=10")
        alice, bob = self.user(d, ALICE), self.user(d, BOB)
        mine = [alice.call("Run", workload="nop", count=10)["id"] for _ in range(3)]
        for _ in range(60):
            last = bob.call("Run", workload="nop", count=1)["id"]
        jobs = d.call("Jobs")["jobs"]
        self.assertEqual(10, len(jobs))
        self.assertEqual(7, sum(j["uid"] == BOB for j in jobs))
        for job in mine:
            self.assertEqual(10, alice.call("Wait", id=job)["result"]["done"])
        self.assertEqual("done", bob.call("Wait", id=last)["state"])

    def test_no_deadline_beyond_the_configured_one(self):
        d = self.open_to_all("jobs.deadline=20s", "access.admin_users=%d" % CAROL)
        alice = self.user(d, ALICE)
        most = 20 * 10**9
        for method, parameters in (("Run", {"workload": "nop"}), ("Race", {"scenario": "counter", "trials": 3}),
                                   ("Compare", {"aa": True, "rounds": 10, "workload": "nop", "count": 10})):
            with self.subTest(method):
                error = self.denied("BadValue", alice, method, deadline_ns=most + 1, **parameters)
                self.assertEqual(("deadline_ns", str(most + 1)), (error["field"], error["given"]))
                self.assertIn("at most %d, which is jobs.deadline" % most, error["allowed"])
                self.assertRegex(d.log(), r"denied: %s to %d \(uid %d, pid \d+\): a deadline beyond jobs.deadline\n"
                                 % (method, ALICE, ALICE))
                self.assertEqual("done", alice.call(method, deadline_ns=most, **parameters)["state"])
                for admin in (self.user(d, CAROL), self.user(d, 0)):
                    self.assertEqual("done", admin.call(method, deadline_ns=100 * most, **parameters)["state"])
        self.assertEqual(9, len(self.states(d)))

    def test_without_a_configured_deadline_there_is_no_maximum(self):
        d = self.open_to_all("jobs.deadline=0")
        self.assertEqual("done", self.user(d, ALICE).call("Run", workload="nop", deadline_ns=3600 * 10**12)["state"])

    def test_a_long_deadline_survives_its_daemon(self):
        """What was accepted of who administers is not refused when a killed daemon's job is taken over."""
        d = self.open_to_all("jobs.deadline=20s")
        job = self.user(d, 0).call("Run", **long(deadline_ns=3600 * 10**9))["id"]
        until(lambda: self.states(d) == {job: "running"}, "it runs")
        d.kill()
        d.start()
        self.assertEqual({job: "running"}, self.states(d))
        self.end(d, job)

    def test_waiting_jobs(self):
        d = self.open_to_all("jobs.queue_per_user=2")
        alice, bob = self.user(d, ALICE), self.user(d, BOB)
        jobs = [alice.call("Run", **long())["id"] for _ in range(3)]
        self.assertEqual({"what": "your part of the queue", "limit": 2}, self.busy(alice, "Run", **long()))
        self.assertIn("denied: Run to %d (uid %d" % (ALICE, ALICE), d.log())
        jobs.append(bob.call("Run", **long())["id"])
        self.end(d, *reversed(jobs))
        self.assertEqual("done", alice.call("Run", workload="nop")["state"])

    def test_tasks(self):
        d = self.open_to_all("jobs.tasks_per_user=1000000")
        alice, bob = self.user(d, ALICE), self.user(d, BOB)
        running = alice.call("Run", **long(count=600000))["id"]
        waiting = alice.call("Run", **long(count=399990, warmup=10))["id"]
        self.assertEqual({"what": "the tasks of your jobs", "limit": 1000000},
                         self.busy(alice, "Run", workload="nop", count=1))
        self.busy(alice, "Race", trials=1)
        self.assertIn("(uid %d, pid " % ALICE, d.log())
        # A run by duration has no number of tasks, but its warm-up has.
        self.busy(alice, "Run", workload="nop", duration_ns=10**6, warmup=1)
        # Others have a quota of their own.
        bobs = bob.call("Run", **long())["id"]
        self.busy(bob, "Run", workload="nop", count=1)
        self.end(d, waiting)
        last = alice.call("Run", workload="nop", count=400000, detach=True)["id"]
        self.end(d, bobs, running)
        self.assertEqual("done", alice.call("Wait", id=last)["state"])
        self.assertEqual("done", alice.call("Run", workload="nop", count=1000000)["state"])

    def test_a_job_that_is_too_much_by_itself_is_a_bad_value(self):
        d = self.open_to_all("jobs.tasks_per_user=1000", "jobs.duration_per_user=1s")
        alice = self.user(d, ALICE)
        for method, field, given, parameters in (
            ("Run", "count", "1001 tasks in all", dict(workload="nop", count=1001)),
            ("Run", "count", "1001 tasks in all", dict(workload="nop", count=1000, warmup=1)),
            ("Run", "warmup", "1001 tasks in all", dict(workload="nop", duration_ns=10**6, warmup=1001)),
            ("Race", "trials", "1001 tasks in all", dict(scenario="counter", trials=1001)),
            # Ten rounds and the one before, of both variants.
            ("Compare", "count", "1100 tasks in all", dict(aa=True, rounds=10, workload="nop", count=50)),
            ("Run", "duration_ns", "1000000001 ns in all", dict(workload="nop", duration_ns=10**9 + 1)),
            ("Compare", "duration_ns", "1100000000 ns in all", dict(aa=True, rounds=10, duration_ns=50 * 10**6)),
        ):
            with self.subTest(method, field=field):
                error = self.denied("BadValue", alice, method, **parameters)
                self.assertEqual((field, given), (error["field"], error["given"]))
                self.assertRegex(error["allowed"], "1000+ (tasks .*tasks_per_user|ns .*duration_per_user)")
        # The log has five lines for him; they say as much.
        self.assertRegex(d.log(), r"denied: Run to %d \(uid %d, pid \d+\): given 1001 tasks in all, allowed at most "
                                  r"1000 tasks in all, .* \(jobs\.tasks_per_user\)\n" % (ALICE, ALICE))
        self.assertEqual({}, self.states(d))
        self.assertEqual("done", alice.call("Run", workload="nop", count=999, warmup=1)["state"])

    def test_durations(self):
        d = self.open_to_all("jobs.duration_per_user=1h")
        alice = self.user(d, ALICE)
        sleep = dict(workload="sleep", params={"us": "1000"}, workers=1, detach=True)
        running = alice.call("Run", duration_ns=3599 * 10**9, **sleep)["id"]
        self.assertEqual({"what": "the durations of your jobs in ns", "limit": 3600 * 10**9},
                         self.busy(alice, "Run", duration_ns=2 * 10**9, **sleep))
        waiting = alice.call("Run", duration_ns=10**9, **sleep)["id"]
        counted = alice.call("Run", **long())["id"]
        self.end(d, counted, waiting, running)

    def test_they_hold_for_who_administers(self):
        d = self.open_to_all("jobs.tasks_per_user=10")
        self.denied("BadValue", self.user(d, 0), "Run", workload="nop", count=11)


@AS_ROOT
class Results(Access):
    def test_what_others_fetched_is_still_the_owners_to_fetch(self):
        d = self.open_to_all("jobs.keep_results=2")
        alice = self.user(d, ALICE)
        jobs = []
        for _ in range(3):
            jobs.append(alice.call("Run", workload="nop", count=10, detach=True)["id"])
            until(lambda: self.states(d).get(jobs[-1]) == "done", "it has ended")
            if len(jobs) == 2:
                # The younger one, by root: no reason to forget it before the older one.
                self.assertEqual("done", self.user(d, 0).call("Wait", id=jobs[1])["state"])
        self.assertEqual(set(jobs[1:]), set(self.states(d)))
        self.assertEqual("done", alice.call("Wait", id=jobs[2])["state"])
        jobs.append(alice.call("Run", workload="nop", count=10, detach=True)["id"])
        until(lambda: self.states(d).get(jobs[3]) == "done", "it has ended")
        # What its owner has is the first to go.
        self.assertEqual({jobs[1], jobs[3]}, set(self.states(d)))


@AS_ROOT
class Audit(Access):
    LINES = 5

    def lines(self, d, uid):
        return [line for line in d.log().splitlines() if "denied: " in line and "uid %d" % uid in line]

    def test_nobody_fills_the_log(self):
        d = self.open_to_all("access.submit_users=%d" % ALICE)
        bob = self.user(d, BOB)
        for _ in range(200):
            self.not_permitted(bob, "Run", workload="nop")
        # Another connection is the same user; another user is not.
        self.not_permitted(self.user(d, BOB), "Stop")
        self.not_permitted(self.user(d, CAROL), "Stop")
        d.stop()
        bobs = self.lines(d, BOB)
        self.assertEqual(1, len(self.lines(d, CAROL)))
        # On a machine so slow that a minute passed, there are more; never one for each.
        last = [line for line in bobs if "more requests" in line]
        self.assertEqual(len(bobs) - len(last), self.LINES * len(last), bobs)
        counted = sum(int(re.search(r"denied: (\d+) more requests", line).group(1)) for line in last)
        self.assertEqual(201, counted + len(bobs) - len(last))

    def count(self, d, uid):
        """Lines of the user, and of how many refusals they tell."""
        last = [line for line in self.lines(d, uid) if "more requests" in line]
        counted = sum(int(re.search(r"denied: (\d+) more requests", line).group(1)) for line in last)
        lines = [line for line in self.lines(d, uid) if line not in last]
        self.assertLessEqual(len(lines), self.LINES * max(1, len(last) + 1))
        return lines, counted + len(lines)

    def test_nor_by_connecting_again_and_again(self):
        d = self.open_to_all("clients.connections_per_user=2")
        held = [self.user(d, BOB) for _ in range(2)]
        for client in held:
            client.call("Status")
        for _ in range(100):
            self.user(d, BOB).close()
        until(lambda: d.call("Status")["daemon"]["clients"] == 3, "they are gone")
        d.stop()
        lines, told = self.count(d, BOB)
        self.assertEqual(100, told)
        self.assertRegex(lines[0], r"WARNING concd: denied: connection to %d \(uid %d, pid \d+\): connections of one user "
                                   r"have their limit, 2$" % (BOB, BOB))
        self.assertEqual(len(lines), sum("uid %d" % BOB in line and "more" not in line for line in d.log().splitlines()))

    def test_nonsense_hides_no_denial(self):
        d = self.open_to_all()
        bob = self.user(d, BOB)
        for _ in range(20):
            with self.user(d, BOB) as other:
                other.send_raw(b"nonsense\0")
                self.assertIsNone(other.receive_raw())
        self.not_permitted(bob, "Stop")
        self.assertRegex(d.log(), r"denied: Stop to %d \(uid %d, pid \d+\): stopping the daemon" % (BOB, BOB))

    def test_nor_by_messages_that_are_none(self):
        d = self.open_to_all()
        for _ in range(100):
            with self.user(d, BOB) as bob:
                bob.send_raw(b"nonsense\0")
                self.assertIsNone(bob.receive_raw())
        d.stop()
        lines, told = self.count(d, BOB)
        self.assertEqual(100, told)
        self.assertRegex(lines[0], r"denied: request to %d \(uid %d, pid \d+\): not JSON$" % (BOB, BOB))
        self.assertEqual(len(lines), sum("uid %d" % BOB in line and "more" not in line for line in d.log().splitlines()))


@AS_ROOT
class Reload(Access):
    def rewrite(self, text):
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(self.path + ".new", self.path)

    def reload(self, d, text, says):
        seen = d.log().count(says)
        self.rewrite(text)
        d.process.send_signal(signal.SIGHUP)
        until(lambda: d.log().count(says) > seen, "the log says: " + says)

    def test_new_lists_hold_from_the_next_request_on(self):
        self.path = self.folder() + "/concd.conf"
        self.rewrite("[access]\nsubmit_users = %d\n" % ALICE)
        d = self.open_to_all(arguments=["--config", self.path])
        alice, bob = self.user(d, ALICE), self.user(d, BOB, groups=[STAFF])
        job = alice.call("Run", id=ID % 1, **long())["id"]
        waiting = alice.call("Run", **long())["id"]
        self.not_permitted(bob, "Run", workload="nop")
        self.not_permitted(bob, "Cancel", id=waiting)

        self.reload(d, "[access]\nsubmit_users = %d\nadmin_groups = %d\n" % (CAROL, STAFF), self.path + " reloaded")
        # On connections that were there before; jobs go on, and stay their owner's.
        self.not_permitted(alice, "Run", workload="nop")
        self.assertEqual({job: "running", waiting: "queued"}, self.states(d))
        self.assertEqual("running", alice.call("Run", id=ID % 1, detach=True)["state"])
        self.assertEqual("cancelled", bob.call("Cancel", id=waiting)["state"])

        # A list that cannot be read leaves all as it was.
        for text, line, value in (
            ("[access]\nsubmit_users = no-such-name-here\n", 2, "no-such-name-here"),
            ("[access]\nsubmit_users =\n\nadmin_groups = 1,,2\n", 4, "1,,2"),
            ("[access]\nsubmit_users =\nadmin_user = 0\n", 3, "access.admin_user"),
        ):
            self.reload(d, text, "%s:%d: " % (self.path, line))
            until(lambda: d.log().endswith("the configuration stays as it was\n"), "it stays")
            self.assertIn(value, d.log().splitlines()[-2])
            self.not_permitted(alice, "Stop")
            self.not_permitted(alice, "Run", workload="nop")
        self.assertEqual("cancelled", bob.call("Cancel", id=job)["state"])

        self.reload(d, "", self.path + " reloaded")
        self.assertEqual("done", alice.call("Run", workload="nop")["state"])
        self.not_permitted(bob, "Stop")


class Lists(harness.Case):
    def test_an_unknown_name_ends_the_start(self):
        for key in ("submit_users", "submit_groups", "admin_users", "admin_groups"):
            checked = concd("--check-config", "--set", "access.%s=root,no-such-name-here" % key)
            self.assertEqual(78, checked.code, checked)
            self.assertIn('access.%s: given "root,no-such-name-here", allowed ' % key, checked.stderr)
            self.assertIn('; there is no %s "no-such-name-here"' % ("user" if "user" in key else "group"), checked.stderr)
            self.assertEqual(0, concd("--check-config", "--set", "access.%s=root, 12" % key).code)

    def write(self, text):
        path = self.folder() + "/concd.conf"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_a_database_that_cannot_be_read_is_no_wrong_file(self):
        """The service is started again, which it is not with 78."""
        path = self.write("[access]\nadmin_users = root\n")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # With descriptors for the file, not for what names are looked up in.
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, hard))
        try:
            pid = os.posix_spawn(harness.CONCD, [harness.CONCD, "--check-config", "--config", path], os.environ,
                                 file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(70, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def test_nor_does_it_change_anything_at_a_reload(self):
        path = self.write("[access]\nadmin_users = root\n")
        d = self.start(arguments=["--config", path])
        client = d.connect()  # which stays, so that the number of its descriptors does
        client.call("Status")
        pid = d.process.pid
        used = {int(fd) for fd in os.listdir("/proc/%d/fd" % pid)}
        free = min(set(range(len(used) + 1)) - used)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free + 1, before[1]))
        d.process.send_signal(signal.SIGHUP)
        until(lambda: "the configuration stays as it was\n" in d.log(), "it stays")
        self.assertIn('%s:2: access.admin_users: cannot look up the user "root": Too many open files\n' % path, d.log())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        d.process.send_signal(signal.SIGHUP)
        until(lambda: path + " reloaded" in d.log(), "the file is read again")
        client.close()


class Workers(harness.Case):
    """What a worker's process has given up: read from /proc while it works."""

    GIVEN_UP = ("Max locked memory", "Max msgqueue size", "Max nice priority", "Max realtime priority")

    def limits(self, pid):
        with open("/proc/%d/limits" % pid, encoding="utf-8") as f:
            rows = [re.split(r"  +", line.rstrip()) for line in f][1:]
        return {row[0]: tuple(row[1:3]) for row in rows}

    def no_new_privileges(self, pid):
        with open("/proc/%d/status" % pid, encoding="utf-8") as f:
            return re.search(r"^NoNewPrivs:\t(\d)$", f.read(), re.M).group(1)

    def start_with_cores(self, *settings):
        """With a daemon that itself may leave a core file, where that is allowed."""
        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
        try:
            return self.start(*settings)
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, before)

    def ready(self, d):
        """The workers, when all have come so far as to wait for work; else nothing."""
        workers = d.call("Status")["workers"]
        kinds = [w["kind"] for w in workers]
        if (kinds.count("process"), kinds.count("thread"), kinds.count("thread-host")) != (2, 2, 1):
            return None
        return workers if all(w["state"] in ("idle", "running") and w["pid"] > 0 for w in workers) else None

    def children(self, d):
        """Pids by kind."""
        kinds = {}
        for worker in until(lambda: self.ready(d), "all workers are ready"):
            kinds.setdefault(worker["kind"], set()).add(worker["pid"])
        return kinds

    def test_no_new_privileges_and_the_same_limits_for_both_kinds(self):
        d = self.start_with_cores()
        kinds = self.children(d)
        of_daemon = self.limits(d.process.pid)
        expected = dict(of_daemon, **{name: ("0", "0") for name in self.GIVEN_UP + ("Max core file size",)})
        for kind in ("process", "thread-host"):
            for pid in kinds[kind]:
                self.assertEqual("1", self.no_new_privileges(pid), kind)
                self.assertEqual(expected, self.limits(pid), kind)
        # It is the workers' business only.
        self.assertNotEqual(of_daemon, expected)

    def test_children_of_tasks_have_what_their_workers_have(self):
        d = self.start_with_cores()
        pool = {pid for pids in self.children(d).values() for pid in pids}
        job = d.call("Run", workload="sleep", params={"us": "20000000"}, spawn="per-task", workers=2, count=2, detach=True)
        until(lambda: len(d.descendants() - pool) >= 2, "the tasks have processes")
        for pid in d.descendants() - pool:
            self.assertEqual("1", self.no_new_privileges(pid))
            for name in self.GIVEN_UP + ("Max core file size",):
                self.assertEqual(("0", "0"), self.limits(pid)[name], name)
        d.call("Cancel", id=job["id"])

    def test_whoever_follows_a_dead_worker_has_them_too(self):
        d = self.start()
        kinds = self.children(d)
        dead = {next(iter(kinds["process"])), next(iter(kinds["thread-host"]))}
        for pid in dead:
            os.kill(pid, signal.SIGKILL)


        def renewed():
            workers = self.ready(d)
            return workers and not dead & {w["pid"] for w in workers}

        until(renewed, "both have successors")
        for pid in d.descendants():
            self.assertEqual("1", self.no_new_privileges(pid))
            self.assertEqual(("0", "0"), self.limits(pid)["Max locked memory"])

    def test_core_files_may_be_allowed(self):
        d = self.start_with_cores("pool.core_files=yes")
        allowed = self.limits(d.process.pid)["Max core file size"]
        if allowed == ("0", "0"):
            self.skipTest("no process here may leave a core file")
        kinds = self.children(d)
        for pid in kinds["process"] | kinds["thread-host"]:
            self.assertEqual(allowed, self.limits(pid)["Max core file size"])
            self.assertEqual(("0", "0"), self.limits(pid)["Max locked memory"])


if __name__ == "__main__":
    harness.main()
