#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""concctl as a person and as a script use it."""
import errno
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import time

import harness
from harness import CALC_SUM, CONCCTL, INTERFACE, Daemon, concctl, concctl_environment, hex64

DONE, JOB_FAILED, USAGE, NO_DAEMON, INTERNAL, BUSY, NOT_PERMITTED, CONFIG, INTERRUPTED = 0, 1, 64, 69, 70, 75, 77, 78, 130
ESCAPE = "\x1b"

# Words of the command line that must be refused: (arguments, what the message must hold).
BAD_RUN = [
    (["--count=0"], ["--count", '"0"', "1"]),
    (["--count=-1"], ["--count", '"-1"']),
    (["--count=1000000000000001"], ["--count", "1000000000000001", "10^15"]),
    (["--count=18446744073709551616"], ["--count", "18446744073709551616"]),
    (["--count=1e3x"], ["--count", "1e3x"]),
    (["--count=1.5"], ["--count", "1.5"]),
    (["--count=NaN"], ["--count", "NaN"]),
    (["--count=inf"], ["--count", "inf"]),
    (["--count="], ["--count"]),
    (["--count", ""], ["--count"]),
    (["--count= 5"], ["--count"]),
    (["--count=0x10"], ["--count", "0x10"]),
    (["--count=1e16"], ["--count", "1e16"]),
    (["--count"], ["--count"]),
    (["--duration=5"], ["--duration", "5", "unit"]),
    (["--duration=5parsecs"], ["--duration", "5parsecs"]),
    (["--duration=-5s"], ["--duration", "-5s"]),
    (["--duration=0s"], ["--duration", "0s"]),
    (["--duration="], ["--duration"]),
    (["--count=5", "--duration=5s"], ["--count", "--duration"]),
    (["--mode=fibre"], ["mode", "fibre", "thread"]),
    (["--mode="], ["--mode"]),
    (["--spawn=fork"], ["spawn", "fork", "per-task"]),
    (["--workload=clac"], ["workload", "clac", "calc"]),
    (["--param=ns"], ["--param", "ns"]),
    (["--param==5"], ["--param"]),
    (["--param=ns=5"], ["ns", "calc"]),
    (["--workload=spin", "--param=ns=-1"], ["ns", "-1"]),
    (["--workload=spin", "--param=ns=1e30"], ["ns", "1e30"]),
    (["--workload=spin", "--param=ns=5", "--param=ns=6"], ["ns"]),
    (["--workload=fail", "--param=kind=explode"], ["kind", "explode", "segv"]),
    (["--workers=0"], ["--workers", "per-task"]),
    (["--workers=-1"], ["--workers", "-1"]),
    (["--workers=9"], ["workers", "9", "8"]),
    (["--mode=sequential", "--workers=2"], ["workers", "2"]),
    (["--mode=gil", "--spawn=per-task"], ["spawn", "gil"]),
    (["--chunk=0"], ["--chunk", "0"]),
    (["--count=1e6", "--chunk=1"], ["chunk", "1000000", "16384"]),
    (["--warmup=-1"], ["--warmup"]),
    (["--timeout=5"], ["--timeout", "5"]),
    (["--deadline=soon"], ["--deadline", "soon"]),
    (["--spawn=per-task", "--workers=0", "--timeout", "1s"], ["--timeout", '"1s"']),
    (["--cpus="], ["--cpus"]),
    (["--cpus=a"], ["--cpus", "a"]),
    (["--cpus=3-1"], ["--cpus", "3-1"]),
    (["--cpus=1000"], ["cpus", "1000"]),
    (["--cuont=5"], ["--cuont", "--count"]),
    (["--json=yes"], ["--json"]),
    (["surplus"], ["surplus"]),
    (["--count=5", "--count=6"], ["--count"]),
    (["-c5"], ["-c5"]),
]


class Ctl(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("pool.max_workers=8")
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None)

    def ctl(self, *arguments, **options):
        return self.daemon.ctl(*arguments, **options)

    def test_the_main_job(self):
        said = self.ctl("run", "--mode=process", "--count", "1000")
        self.assertEqual((DONE, ""), (said.code, said.stderr))
        self.assertTrue(said.stdout.startswith("calc × 1000 · process pool · "), said)
        for part in (r"wall ", r"tasks/s", r"cores busy", r"per task +p50 ", r"results +1000 of 1000 verified", r"workers +#0 ",
                     r"0 restarts"):
            self.assertRegex(said.stdout, part)
        self.assertNotIn(ESCAPE, said.stdout)

    def test_run_json_is_the_result(self):
        for arguments in ([], ["--mode=gil", "--count=50"], ["--duration=100ms", "--workload=nop"],
                          ["--workload=fail", "--count=40"]):
            with self.subTest(arguments):
                said = self.ctl("run", "--json", *arguments)
                self.assertEqual(1, said.stdout.count("\n"))
                self.assertEqual([], INTERFACE.problems(("named", "RunResult"), said.json()))
        self.assertEqual(hex64(1000 * CALC_SUM), self.ctl("run", "--json").json()["checksum"])

    def test_other_json_is_the_reply(self):
        job = self.ctl("run", "--json", "--workload=nop", "--count=5").json()["id"]
        for arguments, method in ((["status"], "Status"), (["jobs"], "Jobs"), (["list"], "Describe"),
                                  (["describe", "calc"], "Describe"), (["cancel", job], "Cancel")):
            with self.subTest(arguments):
                said = self.ctl(*arguments, "--json")
                self.assertEqual(DONE, said.code, said)
                self.assertEqual([], INTERFACE.problems(INTERFACE.methods[method][1], said.json()))
        self.assertEqual(job, self.ctl("wait", "--json", job).json()["id"])

    def test_counts_and_durations_as_people_write_them(self):
        for text, count in (("5", 5), ("1e3", 1000), ("2k", 2000), ("1.5k", 1500), ("1.5e3", 1500), ("1M", 10**6)):
            with self.subTest(text):
                self.assertEqual(count, self.ctl("run", "--json", "--workload=nop", "--count", text).json()["count"])
        for text, seconds in (("20ms", 0.02), ("0.1s", 0.1), ("30000us", 0.03)):
            with self.subTest(text):
                said = self.ctl("run", "--json", "--workload=nop", "--duration", text).json()
                self.assertAlmostEqual(seconds, said["duration_s"])

    def test_options_reach_the_daemon(self):
        cpu = min(os.sched_getaffinity(0))
        r = self.ctl("run", "--json", "--mode=thread", "--workload=spin", "--param", "ns=300", "--count=300", "--workers=3",
                     "--chunk=10", "--warmup=20", "--cpus=%d" % cpu, "--timeout=2s", "--deadline=20s").json()
        self.assertEqual(("thread", "spin", {"ns": "300"}, 300, 3, 10, 20, [cpu], 2 * 10**9),
                         tuple(r[k] for k in ("mode", "workload", "params", "count", "workers", "chunk", "warmup")) +
                         (r["environment"]["cpus"], r["timeout_ns"]))
        r = self.ctl("run", "--json", "--spawn=per-task", "--count=10", "--workers=0").json()
        self.assertEqual(("per-task", 0), (r["spawn"], r["workers"]))

    def test_the_callers_affinity_goes_along(self):
        cpu = min(os.sched_getaffinity(0))
        done = subprocess.run(["taskset", "-c", str(cpu), CONCCTL, "run", "--json", "--count=20"], capture_output=True,
                              stdin=subprocess.DEVNULL, env=concctl_environment({"CONCD_SOCKET": self.daemon.path}))
        self.assertEqual([cpu], json.loads(done.stdout)["environment"]["cpus"])

    def test_bad_input_is_refused_with_option_value_and_range(self):
        for arguments, words in BAD_RUN:
            with self.subTest(arguments):
                said = self.ctl("run", *arguments)
                self.assertEqual((USAGE, ""), (said.code, said.stdout), said)
                for word in words:
                    self.assertIn(word, said.stderr)
                self.assertNotIn("org.", said.stderr)

    def test_refused_requests_leave_no_job(self):
        before = self.ctl("jobs", "--json").json()
        self.ctl("run", "--mode=fibre")
        self.assertEqual(before, self.ctl("jobs", "--json").json())

    def test_misspelt_words_get_a_suggestion(self):
        for arguments, word in ((["rnu"], "run"), (["statsu"], "status"), (["run", "--mdoe=gil"], "--mode"),
                                (["run", "--mode=procces"], "process"), (["run", "--workload=slep"], "sleep")):
            with self.subTest(arguments):
                said = self.ctl(*arguments)
                self.assertEqual(USAGE, said.code, said)
                self.assertIn(word, said.stderr)

    def test_usage(self):
        for arguments in ([], ["frobnicate"], ["--nothing"], ["describe"], ["describe", "a", "b"], ["wait"], ["cancel"],
                          ["status", "x"]):
            with self.subTest(arguments):
                said = self.ctl(*arguments)
                self.assertEqual((USAGE, ""), (said.code, said.stdout), said)
                self.assertTrue(said.stderr)

    def test_help(self):
        overview = self.ctl("help")
        self.assertEqual((DONE, ""), (overview.code, overview.stderr))
        commands = re.findall(r"^  ([a-z]+)  ", overview.stdout, re.M)
        self.assertLessEqual({"run", "list", "describe", "status", "jobs", "wait", "cancel", "stop"}, set(commands))
        for code in (DONE, JOB_FAILED, USAGE, NO_DAEMON, INTERNAL, BUSY, NOT_PERMITTED, INTERRUPTED):
            self.assertRegex(overview.stdout, r"\b%d\b" % code)
        for command in commands:
            with self.subTest(command):
                by_word, by_option = self.ctl("help", command), self.ctl(command, "--help")
                self.assertEqual((DONE, by_word.stdout), (by_option.code, by_option.stdout))
        said = self.ctl("help", "run").stdout
        for option in ("mode", "count", "duration", "workload", "param", "workers", "chunk", "spawn", "warmup", "cpus",
                       "timeout", "deadline", "detach", "json", "quiet", "socket"):
            self.assertIn("--" + option, said)

    def test_version(self):
        said = self.ctl("--version")
        self.assertEqual(DONE, said.code)
        self.assertIn(self.daemon.call("Status")["daemon"]["version"], said.stdout)

    def test_list_and_describe(self):
        said = self.ctl("list")
        for word in ("calc", "nop", "spin", "sleep", "fail", "sequential", "process", "thread", "gil", "per-task"):
            self.assertIn(word, said.stdout)
        for entry in self.daemon.call("Describe")["entries"]:
            with self.subTest(entry["name"]):
                said = self.ctl("describe", entry["name"])
                self.assertEqual(DONE, said.code, said)
                self.assertIn(entry["summary"], said.stdout)
                for param in entry["params"]:
                    self.assertIn(param["name"], said.stdout)
        said = self.ctl("list", "frobs")
        self.assertEqual(USAGE, said.code, said)
        self.assertIn('KIND: given "frobs"', said.stderr)
        said = self.ctl("describe", "clac")
        self.assertNotEqual(DONE, said.code)
        self.assertIn("calc", said.stderr)

    def test_status_shows_what_stands(self):
        said = self.ctl("status").stdout
        status = self.daemon.call("Status")
        for word in [str(status["daemon"]["pid"]), status["daemon"]["instance"], status["segment"]["path"]] + \
                [s["path"] for s in status["semaphores"]] + [str(w["pid"]) for w in status["workers"]]:
            self.assertIn(word, said)

    def test_a_job_that_fails_is_exit_code_1(self):
        for arguments, words in ((["--param=kind=error", "--param=at=3"], ["99 of 100 verified", "3"]),
                                 (["--param=kind=segv", "--param=at=4"], ["99 of 100 verified", "4"]),
                                 (["--param=kind=hang", "--timeout=200ms"], ["99 of 100 verified"])):
            with self.subTest(arguments):
                said = self.ctl("run", "--workload=fail", "--count=100", *arguments)
                self.assertEqual(JOB_FAILED, said.code, said)
                for word in words:
                    self.assertIn(word, said.stdout)

    def test_deadline(self):
        said = self.ctl("run", "--workload=sleep", "--param=us=1000", "--count=1M", "--deadline=200ms")
        self.assertEqual(JOB_FAILED, said.code, said)
        self.assertIn("deadline", said.stdout + said.stderr)

    def test_detach_wait_cancel(self):
        said = self.ctl("run", "--workload=sleep", "--param=us=1000", "--count=200", "--detach")
        self.assertEqual(DONE, said.code, said)
        job = said.stdout.strip()
        self.assertRegex(job, r"^[0-9a-f]{32}$")
        self.assertIn(job[:8], self.ctl("jobs").stdout)
        said = self.ctl("wait", job[:12])
        self.assertEqual(DONE, said.code, said)
        self.assertIn("200 of 200 verified", said.stdout)
        job = self.ctl("run", "--workload=sleep", "--param=us=1000", "--count=1M", "--detach").stdout.strip()
        self.assertEqual(DONE, self.ctl("cancel", job).code)
        self.assertEqual(INTERRUPTED, self.ctl("wait", job).code)
        said = self.ctl("wait", "0" * 32)
        self.assertNotEqual(DONE, said.code)
        self.assertIn("0" * 32, said.stderr)

    def test_quiet(self):
        said = self.ctl("run", "--quiet", "--count=20")
        self.assertEqual((DONE, ""), (said.code, said.stderr))
        self.assertEqual(1, said.stdout.count("\n"), said)

    def test_output_that_cannot_be_written(self):
        for arguments in (["run", "--count=10"], ["status"], ["list"], ["help"], ["run", "--json", "--count=10"]):
            with self.subTest(arguments), open("/dev/full", "w") as full:
                said = self.ctl(*arguments, stdout=full)
                self.assertEqual(INTERNAL, said.code, said)
                self.assertIn(os.strerror(errno.ENOSPC), said.stderr)

    def test_a_reader_that_goes_is_no_crash(self):
        process = subprocess.Popen([CONCCTL, "list"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=concctl_environment({"CONCD_SOCKET": self.daemon.path}))
        process.stdout.close()
        process.stderr.read()
        process.stderr.close()
        self.assertGreaterEqual(process.wait(harness.PATIENCE), 0)

    def test_closed_standard_descriptors(self):
        done = subprocess.run(["bash", "-c", '"$0" run --count=10 <&- >&- 2>&-; echo $?', CONCCTL], capture_output=True, text=True,
                              env=concctl_environment({"CONCD_SOCKET": self.daemon.path}))
        self.assertIn(int(done.stdout), (DONE, INTERNAL))
        self.assertEqual("running", self.daemon.call("Status")["daemon"]["state"])


class Terminal(harness.Case):
    """On a terminal of its own."""

    def spawn(self, *arguments, **environment):
        try:
            self.master, slave = pty.openpty()
        except OSError as e:
            self.skipTest("no terminal can be had here (is /dev/pts mounted?): %s" % e)
        self.addCleanup(os.close, self.master)
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        process = subprocess.Popen(
            ["setsid", "--ctty", CONCCTL, *arguments], stdin=slave, stdout=subprocess.PIPE, stderr=slave,
            env=concctl_environment({"CONCD_SOCKET": self.daemon.path, "TERM": "xterm", **environment}))
        os.close(slave)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.screen = b""
        return process

    def watch(self, patience=harness.PATIENCE, until=lambda screen: False):
        """Reads the terminal until the condition, or its end."""
        give_up = time.monotonic() + patience
        while not until(self.screen) and time.monotonic() < give_up:
            ready, _, _ = select.select([self.master], [], [], 0.1)
            if not ready:
                continue
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if not data:
                return
            self.screen += data

    def setUp(self):
        self.daemon = self.start()

    SLEEP = ("run", "--workload=sleep", "--param=us=1000")

    def test_control_c_cancels_and_prints_what_was_done(self):
        process = self.spawn(*self.SLEEP, "--count=1M")
        self.watch(until=lambda s: b"%" in s)
        os.write(self.master, b"\x03")
        self.watch()
        out = process.stdout.read().decode()
        self.assertEqual(INTERRUPTED, process.wait(harness.PATIENCE), out)
        self.assertRegex(out, r"cancelled: .* tasks were done")
        self.assertEqual(["cancelled"], [j["state"] for j in self.daemon.call("Jobs")["jobs"]])

    def test_a_second_control_c_leaves_at_once(self):
        process = self.spawn("run", "--workload=fail", "--param=kind=hang", "--count=10")
        harness.until(lambda: [j for j in self.daemon.call("Jobs")["jobs"] if j["state"] == "running"], "the job runs")
        # A daemon that does not answer: only the second one can be what ends concctl.
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.daemon.process.send_signal, signal.SIGCONT)
        os.write(self.master, b"\x03")
        self.watch(until=lambda s: b"ancel" in s)
        self.assertIn(b"ancel", self.screen)
        os.write(self.master, b"\x03")
        self.watch()
        self.assertIn(process.wait(harness.PATIENCE), (INTERRUPTED, -signal.SIGINT))

    def test_the_bar_has_rate_and_time_left_and_goes_away(self):
        process = self.spawn(*self.SLEEP, "--count=1500")
        self.watch()
        self.assertEqual(DONE, process.wait(harness.PATIENCE))
        screen = self.screen.decode()
        self.assertRegex(screen, r"\d+ ?%")
        self.assertRegex(screen, r"tasks/s|/s")
        self.assertIn("\r", screen)
        self.assertNotIn("\n", screen)

    def test_no_bar_when_quiet(self):
        process = self.spawn(*self.SLEEP, "--count=600", "--quiet")
        self.watch()
        self.assertEqual((DONE, b""), (process.wait(harness.PATIENCE), self.screen))

    def test_no_colour_when_not_wanted(self):
        process = self.spawn(*self.SLEEP, "--count=800", NO_COLOR="1")
        self.watch()
        self.assertEqual(DONE, process.wait(harness.PATIENCE))
        self.assertNotRegex(self.screen.decode(), ESCAPE + r"\[[0-9;]*m")

    def test_a_hangup_of_the_terminal_cancels_the_job(self):
        process = self.spawn(*self.SLEEP, "--count=1M")
        self.watch(until=lambda s: b"%" in s)
        process.send_signal(signal.SIGHUP)
        process.wait(harness.PATIENCE)
        harness.until(lambda: [j["state"] for j in self.daemon.call("Jobs")["jobs"]] == ["cancelled"], "the job is cancelled")


class Sockets(harness.Case):
    def test_a_socket_that_is_not_there(self):
        path = self.folder() + "/none"
        for arguments, environment in ((["status", "--socket", path], {}), (["run", "--socket=" + path], {}),
                                       (["run"], {"CONCD_SOCKET": path})):
            with self.subTest(arguments):
                said = concctl(*arguments, environment=environment)
                self.assertEqual((NO_DAEMON, ""), (said.code, said.stdout), said)
                self.assertIn(path, said.stderr)

    def test_a_socket_that_is_a_file(self):
        path = self.folder() + "/file"
        with open(path, "w", encoding="utf-8"):
            pass
        said = concctl("status", "--socket", path)
        self.assertEqual(NO_DAEMON, said.code, said)
        self.assertIn(path, said.stderr)
        self.assertIn("not a socket", said.stderr)

    def test_a_socket_of_somebody_else(self):
        if os.getuid() != 0:
            self.skipTest("only root can give a socket away")
        path = self.folder() + "/socket"
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            os.chown(path, 4242, 4242)
            said = concctl("status", "--socket", path)
        self.assertEqual(NOT_PERMITTED, said.code, said)
        self.assertIn("somebody else", said.stderr)

    def test_a_path_that_is_too_long(self):
        path = "/" + "x" * 107
        for arguments, environment, origin in ((["status", "--socket", path], {}, "--socket: "),
                                               (["status"], {"CONCD_SOCKET": path}, "$CONCD_SOCKET: ")):
            with self.subTest(origin):
                said = concctl(*arguments, environment=environment)
                self.assertEqual((USAGE, ""), (said.code, said.stdout), said)
                self.assertIn(origin, said.stderr)
                self.assertIn("108 bytes, allowed at most 107", said.stderr)
        self.assertEqual(NO_DAEMON, concctl("status", "--socket", path[:-1]).code)

    def test_a_server_that_talks_nonsense(self):
        folder = self.folder()
        for number, answer in enumerate((b"hello\0", b"", b"{}", b'{"parameters":[]}\0', b"\0", b"[" * 100000 + b"\0",
                                         b'{"parameters":{"jobs":"x"}}\0', b'{"error":"a","error":"b"}\0')):
            with self.subTest(answer[:40]), socket.socket(socket.AF_UNIX) as server:
                path = "%s/%d" % (folder, number)
                server.bind(path)
                server.listen()
                process = subprocess.Popen([CONCCTL, "jobs", "--socket", path], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=concctl_environment())
                peer, _ = server.accept()
                with peer:
                    peer.recv(65536)
                    try:
                        peer.sendall(answer)
                    except BrokenPipeError:
                        pass
                out, err = process.communicate(timeout=harness.PATIENCE)
                self.assertGreaterEqual(process.returncode, 0)
                if number != 6:
                    self.assertIn(process.returncode, (NO_DAEMON, INTERNAL), (out, err))
                    self.assertTrue(err)


class Private(harness.Case):
    """The daemon that concctl starts for its user."""

    def setUp(self):
        if os.path.exists("/run/concd/concd.sock"):
            self.skipTest("this machine has a system daemon")
        self.runtime = self.folder()
        self.environment = {"XDG_RUNTIME_DIR": self.runtime}
        self.addCleanup(self.clean)

    def clean(self):
        self.ctl("stop")
        for pid in harness.mentioning(self.runtime):
            os.kill(pid, signal.SIGKILL)

    def ctl(self, *arguments):
        return concctl(*arguments, environment=self.environment)

    def shm(self, instance):
        return {n for n in os.listdir("/dev/shm") if "concd.%d.%s" % (os.getuid(), instance) in n}

    def test_it_is_started_used_and_stopped(self):
        self.assertEqual(NO_DAEMON, self.ctl("status").code)
        self.assertEqual(NO_DAEMON, self.ctl("stop").code)
        self.assertEqual(DONE, self.ctl("run", "--count=20").code)
        status = self.ctl("status", "--json").json()
        self.assertEqual((True, self.runtime + "/concd/concd.sock"), (status["daemon"]["private"], status["daemon"]["socket"]))
        pid, instance = status["daemon"]["pid"], status["daemon"]["instance"]
        self.assertEqual(4, len(self.shm(instance)), "one segment, three semaphores")
        self.assertEqual(DONE, self.ctl("run", "--count=20", "--mode=thread").code)
        self.assertEqual(pid, self.ctl("status", "--json").json()["daemon"]["pid"], "the same one serves the next call")
        # As a daemon should: a session of its own, no folder in use, no descriptor of the caller's.
        self.assertEqual(pid, os.getsid(pid))
        self.assertEqual("/", os.readlink("/proc/%d/cwd" % pid))
        self.assertEqual("/dev/null", os.readlink("/proc/%d/fd/0" % pid))
        said = self.ctl("stop")
        self.assertEqual(DONE, said.code, said)
        self.assertFalse(harness.mentioning(self.runtime))
        self.assertFalse(self.shm(instance))

    def test_its_folder_is_the_users_alone(self):
        self.assertEqual(DONE, self.ctl("run", "--count=5").code)
        self.assertEqual(0o700, os.stat(self.runtime + "/concd").st_mode & 0o777)

    def test_a_folder_that_others_can_enter_is_refused(self):
        os.mkdir(self.runtime + "/concd", 0o755)
        os.chmod(self.runtime + "/concd", 0o755)
        said = self.ctl("run", "--count=5")
        self.assertEqual(NOT_PERMITTED, said.code, said)
        self.assertIn("0700", said.stderr)

    def test_many_starters_at_once_get_one_daemon(self):
        processes = [subprocess.Popen([CONCCTL, "run", "--json", "--workload=nop", "--count=10"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env=concctl_environment(self.environment)) for _ in range(6)]
        for process in processes:
            out, err = process.communicate(timeout=harness.PATIENCE)
            self.assertEqual(DONE, process.returncode, err)
            self.assertEqual(10, json.loads(out)["verified"])
        daemons = [p for p, (_, name, _) in harness.processes().items()
                   if p in harness.mentioning(self.runtime) and os.getsid(p) == p]
        self.assertEqual(1, len(daemons))

    def test_one_that_was_killed_is_started_anew(self):
        self.assertEqual(DONE, self.ctl("run", "--count=5").code)
        pid = self.ctl("status", "--json").json()["daemon"]["pid"]
        os.kill(pid, signal.SIGKILL)
        said = self.ctl("run", "--count=5")
        self.assertEqual(DONE, said.code, said)
        self.assertNotEqual(pid, self.ctl("status", "--json").json()["daemon"]["pid"])

    def test_a_program_that_cannot_start_is_named(self):
        said = concctl("run", "--count=5", environment={**self.environment, "CONCD_DAEMON": "/bin/false"})
        self.assertEqual((NO_DAEMON, ""), (said.code, said.stdout), said)
        self.assertIn(os.path.realpath("/bin/false") + ", ended with exit status 1\n", said.stderr)
        self.assertNotIn("concd.log", said.stderr, "there is no line to show")

    def start_script(self, script):
        """concctl with a daemon that is this shell script."""
        path = self.runtime + "/script"
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o700)
        return concctl("run", "--count=5", environment={**self.environment, "CONCD_DAEMON": path})

    def test_a_start_that_fails_is_told_by_its_first_error(self):
        line = "echo '2026-01-31T12:00:00.123Z %s concd: %s' >&2\n"
        self.start_script(line % ("ERROR", "of an earlier start") + "exit 1\n")
        said = self.start_script(line % ("INFO", "begin") + line % ("ERROR", "the cause") + line % ("ERROR", "a consequence") +
                                 line % ("INFO", "end") + "exit 78\n")
        self.assertEqual((CONFIG, ""), (said.code, said.stdout), said)
        self.assertIn("exit status 78", said.stderr)
        self.assertRegex(said.stderr, "its first error in .*concd.log: .* the cause\n")
        for word in ("earlier", "consequence", "end\n"):
            self.assertNotIn(word, said.stderr)

    def test_a_start_that_fails_without_an_error_is_told_by_its_last_line(self):
        said = self.start_script("echo one\necho two\necho\nkill -SEGV $$\n")
        self.assertEqual((NO_DAEMON, ""), (said.code, said.stdout), said)
        self.assertIn("was ended by signal 11 (SIGSEGV)", said.stderr)
        self.assertRegex(said.stderr, "the last line in .*concd.log: two\n")
        said = self.start_script("exit 3\n")
        self.assertIn("exit status 3", said.stderr)
        self.assertNotIn("concd.log", said.stderr, "what stands there is of an earlier start")


if __name__ == "__main__":
    harness.main()
