#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The supervisor is killed and the next one takes over: what goes on, what ends, what is said, and what is refused."""
import json
import os
import random
import signal
import struct
import subprocess
import threading
import time

from harness import CONCCTL, PATIENCE, Case, Client, Failed, concctl_environment, main, mentioning, until

NOP = 100_000_000
ID = "%032x"


class Restart(Case):
    def begin(self, d, number, **parameters):
        """A detached job that has begun to do something."""
        d.call("Run", id=ID % number, detach=True, **parameters)
        until(lambda: self.done(d, number) != 0, "the job has begun")

    def done(self, d, number):
        """Tasks done; None once the job has ended."""
        job = next(j for j in d.call("Jobs")["jobs"] if j["id"] == ID % number)
        return job["progress"] and job["progress"]["done"]

    def again(self, d):
        """SIGKILL, and the next daemon."""
        d.kill()
        d.start()

    def wait(self, d, number=1):
        return d.call("Wait", id=ID % number)

    def lines(self, d, text):
        return [line for line in d.log().splitlines() if text in line]


class GoesOn(Restart):
    def resumes(self, kills=3, **parameters):
        d = self.start()
        reference = d.run(**parameters)
        self.begin(d, 1, **parameters)
        for _ in range(kills):
            if self.done(d, 1) is None:
                break
            self.again(d)
            time.sleep(0.05)
        reply = self.wait(d)
        result = reply["result"]
        self.assertEqual("done", reply["state"], reply)
        for key in ("done", "verified", "failed", "checksum", "count", "workers", "chunks", "params"):
            self.assertEqual(reference[key], result[key], key)
        self.assertEqual(reference["done"], sum(w["tasks"] for w in result["workers_detail"]))
        taken = len(self.lines(d, "goes on"))
        self.assertGreater(taken, 0)
        self.assertEqual(taken, result["resumed"])
        self.assertFalse(result["timing_valid"])
        self.assertGreaterEqual(result["restarts"], taken)
        self.assertEqual(1, len(self.lines(d, "started: ")) - 1)  # the reference is the other one
        # The next one is as good as new.
        after = d.run(**parameters)
        self.assertEqual((reference["checksum"], 0, True), (after["checksum"], after["resumed"], after["timing_valid"]))

    def test_processes(self):
        self.resumes(workload="nop", count=4 * NOP)

    def test_sequential(self):
        self.resumes(workload="nop", mode="sequential", count=2 * NOP)

    def test_threads(self):
        self.resumes(workload="nop", mode="thread", count=4 * NOP)

    def test_the_interpreter_lock(self):
        self.resumes(workload="nop", mode="gil", count=2 * NOP)

    def test_processes_one_per_task(self):
        self.resumes(workload="sleep", spawn="per-task", count=200, params={"us": "5000"})

    def test_threads_one_per_task(self):
        self.resumes(workload="sleep", spawn="per-task", mode="thread", count=200, params={"us": "5000"})

    def test_processes_all_at_once(self):
        self.resumes(workload="sleep", spawn="per-task", workers=0, count=300, params={"us": "300000"}, kills=1)

    def test_more_workers_than_are_kept(self):
        self.resumes(workload="sleep", workers=8, count=2000, params={"us": "2000"})

    def test_a_warm_up(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=1000, warmup=4 * NOP)
        self.again(d)
        result = self.wait(d)["result"]
        self.assertEqual((1000, 1, 4 * NOP), (result["done"], result["resumed"], result["warmup"]))
        self.assertTrue(result["timing_valid"])  # the run that was measured was not touched

    def test_failures_are_kept(self):
        parameters = dict(workload="fail", params={"kind": "error", "every": "1000"}, count=30_000_000)
        d = self.start()
        reference = d.call("Run", **parameters)["result"]
        self.assertGreater(reference["failed"], 0)
        self.begin(d, 1, **parameters)
        self.again(d)
        result = self.wait(d)["result"]
        self.assertEqual([reference[k] for k in ("failed", "verified", "checksum")],
                         [result[k] for k in ("failed", "verified", "checksum")])
        self.assertEqual(("failed", 1), (result["state"], result["resumed"]))

    def test_at_a_random_instant(self):
        """Also while it is only queued, just begun, about to end."""
        d = self.start()
        rng = random.Random(1)
        for number in range(1, 13):
            d.call("Run", id=ID % number, detach=True, workload="nop", count=10_000_000)
            time.sleep(rng.random() * 0.08)
            self.again(d)
            reply = self.wait(d, number)
            self.assertEqual("done", reply["state"], reply)
            self.assertEqual(10_000_000, reply["result"]["done"])

    def test_a_supervisor_that_is_killed_while_it_takes_over(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=4 * NOP)
        rng = random.Random(2)
        for _ in range(25):
            d.kill()
            d.launch()
            time.sleep(rng.random() * 0.012)
        d.kill()
        d.start()
        reply = self.wait(d)
        self.assertEqual(("done", 4 * NOP), (reply["state"], reply["result"]["done"]))
        self.assertEqual("0x%016x" % int(d.run(workload="nop", count=4 * NOP)["checksum"], 16),
                         reply["result"]["checksum"])


class Ends(Restart):
    def test_a_run_by_duration_is_interrupted(self):
        d = self.start()
        self.begin(d, 1, workload="nop", duration_ns=3600 * 10**9)
        self.again(d)
        reply = self.wait(d)
        result = reply["result"]
        self.assertEqual("interrupted", reply["state"])
        self.assertIn("killed", reply["reason"])
        self.assertGreater(result["done"], 0)
        self.assertEqual(result["done"], sum(w["tasks"] for w in result["workers_detail"]))
        self.assertEqual((1, False), (result["resumed"], result["timing_valid"]))
        self.assertEqual(1000, d.run(workload="nop", count=1000)["done"])

    def test_queued_jobs_are_lost_and_ended_ones_known(self):
        d = self.start()
        before = d.call("Run", id=ID % 7, workload="nop", count=77)
        self.begin(d, 1, workload="nop", count=4 * NOP)
        for number in (2, 3):
            d.call("Run", id=ID % number, detach=True, workload="nop", count=5)
        self.again(d)
        for _ in range(2):  # and the one after it knows as much
            self.assertEqual(before, self.wait(d, 7))
            for number in (2, 3):
                reply = self.wait(d, number)
                self.assertEqual(("lost", None), (reply["state"], reply["result"]))
                self.assertIn("queue", reply["reason"])
                # Nothing is started twice: the same request attaches to what became of it.
                self.assertEqual("lost", d.call("Run", id=ID % number, workload="nop", count=5)["state"])
            self.assertEqual("done", self.wait(d, 1)["state"])
            self.again(d)
        self.assertEqual(2, len(self.lines(d, "is lost: ")))

    def test_what_was_being_cancelled_ends_cancelled(self):
        d = self.start()
        self.begin(d, 1, workload="sleep", count=1000, params={"us": "700000"}, workers=2)
        with Client(d.path) as client:
            client.send("Cancel", id=ID % 1)
            until(lambda: d.call("Jobs")["jobs"][0]["state"] in ("running", "cancelled"), "the daemon has read it")
            self.again(d)
        reply = self.wait(d)
        self.assertEqual("cancelled", reply["state"])

    def test_the_deadline_counts_on(self):
        d = self.start()
        self.begin(d, 1, workload="sleep", count=100000, params={"us": "10000"}, deadline_ns=1500 * 10**6)
        self.again(d)
        reply = self.wait(d)
        self.assertEqual("failed", reply["state"])
        self.assertIn("deadline", reply["reason"])

    def test_nobody_asks_for_it(self):
        d = self.start("jobs.reattach=200ms")
        client = d.connect()
        client.send("Run", id=ID % 1, workload="nop", count=10**12)
        until(lambda: self.done(d, 1), "the job has begun")
        self.again(d)
        until(lambda: d.call("Jobs")["jobs"][0]["state"] == "cancelled", "the job was cancelled")
        self.assertIn("vanished", self.wait(d)["reason"])

    def test_somebody_asks_for_it(self):
        d = self.start("jobs.reattach=300ms")
        client = d.connect()
        client.send("Run", id=ID % 1, workload="nop", count=10**12)
        until(lambda: self.done(d, 1), "the job has begun")
        self.again(d)
        # As long as anybody waits it lives, whoever that is.
        with Client(d.path) as waiting:
            waiting.send("Wait", id=ID % 1)
            time.sleep(1)
            self.assertEqual("running", d.call("Jobs")["jobs"][0]["state"])
            # Who calls Run again is its caller, as before.
            with Client(d.path) as caller:
                caller.send("Run", id=ID % 1)
                until(lambda: d.call("Status")["daemon"]["clients"] == 3, "it was read")
        until(lambda: d.call("Jobs")["jobs"][0]["state"] == "cancelled", "cancelled with its last caller")

    def test_many_results_are_kept_as_far_as_there_is_room(self):
        d = self.start("jobs.keep_results=1000")
        with Client(d.path) as client:
            for number in range(1, 701):
                client.call("Run", id=ID % number, workload="nop", count=number)
        self.again(d)
        known = {j["id"] for j in d.call("Jobs")["jobs"]}
        self.assertIn(ID % 700, known)
        self.assertGreater(len(known), 100)
        self.assertEqual(700, self.wait(d, 700)["result"]["done"])


class Clients(Restart):
    """concctl over a restart."""

    def concctl(self, d, *arguments):
        return subprocess.Popen([CONCCTL, *arguments], env=concctl_environment({"CONCD_SOCKET": d.path}),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_run_and_wait_go_on(self):
        d = self.start()
        run = self.concctl(d, "run", "--workload=nop", "--count=400M", "--id", ID % 1, "--json")
        until(lambda: d.call("Jobs")["jobs"] and self.done(d, 1), "the job has begun")
        wait = self.concctl(d, "wait", ID % 1, "--json")
        for _ in range(2):
            time.sleep(0.1)
            self.again(d)
        for client in (run, wait):
            out, err = client.communicate(timeout=PATIENCE)
            self.assertEqual(0, client.returncode, err)
            result = json.loads(out)
            self.assertEqual((400_000_000, ID % 1), (result["done"], result["id"]))
            self.assertGreater(result["resumed"], 0)
            self.assertIn("connecting again", err)
        self.assertEqual(1, len(self.lines(d, "started: ")))

    def test_a_client_outlives_many_daemons(self):
        """Longer in all than it would wait for one."""
        d = self.start()
        run = self.concctl(d, "run", "--workload=sleep", "--count=60000", "--param=us=440", "--id", ID % 1, "--json")
        until(lambda: d.call("Jobs")["jobs"] and self.done(d, 1), "the job has begun")
        for _ in range(11):
            time.sleep(1)
            self.again(d)
        out, err = run.communicate(timeout=PATIENCE)
        self.assertEqual(0, run.returncode, err)
        self.assertEqual((60000, 11), (json.loads(out)["done"], json.loads(out)["resumed"]))
        self.assertEqual(1, err.count("connecting again"))

    def test_a_person_is_told(self):
        d = self.start()
        run = self.concctl(d, "run", "--workload=nop", "--count=400M", "--id", ID % 1)
        until(lambda: d.call("Jobs")["jobs"] and self.done(d, 1), "the job has begun")
        self.again(d)
        out, err = run.communicate(timeout=PATIENCE)
        self.assertEqual(0, run.returncode, err)
        self.assertIn("resumed 1", out)
        self.assertIn("400000000", out.replace(" ", "").replace("\u202f", ""))

    def test_a_lost_job_is_an_error(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=10**11)
        run = self.concctl(d, "run", "--workload=nop", "--count=10", "--id", ID % 2)
        until(lambda: len(d.call("Jobs")["jobs"]) == 2, "it is queued")
        self.again(d)
        out, err = run.communicate(timeout=PATIENCE)
        self.assertEqual((70, ""), (run.returncode, out))
        self.assertIn("lost", err)
        d.call("Cancel", id=ID % 1)

    def test_a_private_daemon_is_started_again(self):
        folder = self.folder()
        os.chmod(folder, 0o700)
        environment = concctl_environment({"XDG_RUNTIME_DIR": folder})
        environment.pop("CONCD_SOCKET", None)

        def ctl(*arguments):
            return subprocess.run([CONCCTL, *arguments], env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=PATIENCE)

        run = subprocess.Popen([CONCCTL, "run", "--workload=nop", "--count=600M", "--id", ID % 1, "--json"],
                               env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        path = folder + "/concd/concd.sock"
        try:
            def pid():
                with Client(path) as client:
                    return client.call("Status")["daemon"]["pid"]

            def begun():
                try:
                    with Client(path) as client:
                        jobs = client.call("Jobs")["jobs"]
                except (FileNotFoundError, ConnectionRefusedError):  # it does not listen yet
                    return False
                return jobs and jobs[0]["progress"] and jobs[0]["progress"]["done"]

            until(begun, "the job has begun")
            first = pid()
            self.assertGreater(first, 1)
            os.kill(first, signal.SIGKILL)
            out, err = run.communicate(timeout=PATIENCE)
            self.assertEqual(0, run.returncode, err)
            self.assertEqual((600_000_000, 1), (json.loads(out)["done"], json.loads(out)["resumed"]))
            self.assertNotEqual(first, pid())
        finally:
            run.kill()
            ctl("stop")
        until(lambda: not os.path.exists(path), "the daemon has left")


class Header:
    """Where things lie in a segment: see struct segment_header."""

    def __init__(self, d):
        self.path = "/dev/shm/concd.%d.%s" % (os.getuid(), d.instance)
        with open(self.path, "rb") as f:
            head = f.read(168)
        self.run, self.record, self.slots, self.seats, self.ledger = struct.unpack_from("<5Q", head, 120)
        self.size, = struct.unpack_from("<Q", head, 24)

    def flip(self, offset, bit=0):
        with open(self.path, "r+b") as f:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ 1 << bit]))

    def find(self, text, begin):
        with open(self.path, "rb") as f:
            f.seek(begin)
            found = f.read(1 << 20).find(text)
        assert found >= 0, text
        return begin + found


class Damage(Restart):
    """What is wrong is refused with one line, and the daemon serves."""

    def killed(self, **parameters):
        d = self.start()
        self.begin(d, 1, workload="nop", count=10**11, **parameters)
        d.kill()
        return d

    def serves(self, d, text, state=None):
        d.start()
        lines = self.lines(d, "WARNING")
        self.assertEqual(1, len([line for line in lines if text in line]), d.log())
        self.assertEqual(1, len(lines), d.log())
        if state:
            reply = self.wait(d)
            self.assertEqual((state, None), (reply["state"], reply["result"]))
            self.assertIn(text, reply["reason"])
        else:
            with self.assertRaises(Failed) as caught:
                self.wait(d)
            self.assertEqual("NoSuchJob", caught.exception.error)
        result = d.run(workload="nop", count=1234)
        self.assertEqual((1234, 0), (result["done"], result["resumed"]))
        self.assertEqual(4, len(d.shm()))

    def test_a_damaged_header(self):
        d = self.killed()
        Header(d).flip(50)
        self.serves(d, "its header is damaged")

    def test_a_segment_that_was_never_completed(self):
        d = self.killed()
        header = Header(d)
        with open(header.path, "r+b") as f:
            f.write(bytes(4096))
        self.serves(d, "it is no segment of concd")

    def test_a_truncated_segment(self):
        d = self.killed()
        header = Header(d)
        os.truncate(header.path, header.size - 4096)
        self.serves(d, "bytes and not")

    def test_an_empty_one(self):
        d = self.killed()
        os.truncate(Header(d).path, 0)
        self.serves(d, "fewer than its header")

    def test_a_wrong_mode(self):
        d = self.killed()
        os.chmod(Header(d).path, 0o666)
        self.serves(d, "its mode is 0666 and not 0600")

    def test_another_owner(self):
        if os.getuid() != 0:
            self.skipTest("only root can give files away")
        d = self.killed()
        os.chown(Header(d).path, 65534, 65534)
        self.serves(d, "it belongs to user 65534")

    def test_a_symbolic_link(self):
        d = self.killed()
        path = Header(d).path
        os.rename(path, path + ".away")
        os.symlink(path + ".away", path)
        self.serves(d, "cannot be opened")
        os.unlink(path + ".away")

    def test_other_sizes_in_the_configuration(self):
        d = self.killed()
        d.settings.append("jobs.ledger_chunks=100")
        self.serves(d, "the configuration says 64 and 100")

    def test_a_line_of_the_ledger(self):
        d = self.killed()
        header = Header(d)
        header.flip(header.ledger + 64 * 20 + 7, 6)
        self.serves(d, "line 20 of its ledger is damaged", "lost")

    def test_a_seat(self):
        d = self.killed()
        header = Header(d)
        header.flip(header.seats + 2, 7)
        self.serves(d, "seat 0 of its run is damaged", "lost")

    def test_the_record_of_the_job(self):
        d = self.killed(workers=5)
        header = Header(d)
        header.flip(header.find(b'"workers":', header.record) + 10, 1)
        self.serves(d, "its record of the job that was running is damaged", "lost")

    def test_the_journal(self):
        d = self.start()
        d.call("Run", id=ID % 1, workload="nop", count=5)
        d.kill()
        header = Header(d)
        header.flip(header.find(b'"checksum":"', header.record + 262144) + 14, 2)
        self.serves(d, "journal of queued and ended jobs was damaged")

    def test_anything(self):
        """A bit anywhere: whatever the next daemon makes of it, it serves, and leaves nothing."""
        rng = random.Random(3)
        d = self.start()
        for _ in range(25):
            d.call("Run", detach=True, id=ID % rng.getrandbits(64), workload="nop", count=10**11)
            until(lambda: d.call("Jobs")["jobs"][0]["progress"]["done"], "the job has begun")
            d.kill()
            header = Header(d)
            part = rng.choice([(0, 4096), (header.run, header.record), (header.record, header.record + 1024),
                               (header.slots, header.seats), (header.seats, header.seats + 4096),
                               (header.ledger, header.ledger + 64 * 200)])
            header.flip(rng.randrange(*part), rng.randrange(8))
            d.start()
            for job in d.call("Jobs")["jobs"]:
                if job["state"] in ("running", "queued"):
                    d.call("Cancel", id=job["id"])
            self.assertEqual(99, d.run(workload="nop", count=99)["done"])
            self.assertEqual(4, len(d.shm()))

    def test_foreign_semaphores_are_passed_over(self):
        d = self.killed()
        for name in d.shm():
            if name.startswith("sem."):
                path = "/dev/shm/" + name
                os.unlink(path)
                open(path, "w").close()  # empty: to open it would be a SIGBUS later
        d.start()
        self.assertEqual(3, len(self.lines(d, "is no semaphore of ours")), d.log())
        self.assertEqual("running", d.call("Jobs")["jobs"][0]["state"])
        d.call("Cancel", id=ID % 1)
        self.assertEqual("cancelled", self.wait(d)["state"])
        self.assertEqual(4, len(d.shm()))


    def test_semaphores_of_the_wrong_mode(self):
        d = self.killed()
        guard, = (n for n in d.shm() if n.endswith(".guard"))
        os.chmod("/dev/shm/" + guard, 0o666)
        d.start()
        line, = self.lines(d, "is no semaphore of ours")
        self.assertIn(guard, line)
        self.assertIn("mode 666", line)
        d.call("Cancel", id=ID % 1)
        self.assertEqual("cancelled", self.wait(d)["state"])
        self.assertEqual({"600"}, {"%o" % (os.stat("/dev/shm/" + n).st_mode & 0o777) for n in d.shm()})


class Takeover(Restart):
    def test_one_that_cannot_start_leaves_it_to_the_next(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=4 * NOP)
        d.kill()
        os.unlink(d.path)
        os.mkdir(d.path)  # nothing can listen there
        d.launch()
        self.assertNotEqual(0, d.wait())
        self.assertIn("concd.%d.%s" % (os.getuid(), d.instance), d.shm())
        os.rmdir(d.path)
        d.start()
        reply = self.wait(d)
        self.assertEqual(("done", 4 * NOP), (reply["state"], reply["result"]["done"]))

    def test_one_that_runs_is_left_alone(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=4 * NOP)
        pid = d.process.pid
        second = subprocess.run(d.command(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(75, second.returncode)
        self.assertIn("already running, pid %d" % pid, second.stderr)
        reply = self.wait(d)
        self.assertEqual((4 * NOP, 0), (reply["result"]["done"], reply["result"]["resumed"]))

    def test_stopped_workers_of_a_dead_supervisor_are_gone(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=4 * NOP)
        old = {w["pid"] for w in d.call("Status")["workers"] if w["pid"] > 1}
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        self.again(d)
        self.assertFalse(old & {w["pid"] for w in d.call("Status")["workers"]})
        self.assertEqual(set(), old & mentioning(d.instance))
        self.assertEqual(4 * NOP, self.wait(d)["result"]["done"])

    def test_many_starters_at_once(self):
        d = self.start()
        self.begin(d, 1, workload="nop", count=4 * NOP)
        d.kill()
        with open(d.log_path, "ab") as log:
            starters = [subprocess.Popen(d.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env=d.environment) for _ in range(6)]
        until(d_answers(d), "one of them answers")
        reply = self.wait(d)
        self.assertEqual((4 * NOP, 1), (reply["result"]["done"], reply["result"]["resumed"]))
        pid = d.call("Status")["daemon"]["pid"]
        for p in starters:
            if p.pid != pid:
                self.assertEqual(75, p.wait(PATIENCE))
        d.process = next(p for p in starters if p.pid == pid)


def d_answers(d):
    def answers():
        try:
            Client(d.path).close()
            return True
        except OSError:
            return False
    return answers


if __name__ == "__main__":
    main()
