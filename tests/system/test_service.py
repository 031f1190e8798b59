#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The units under a real systemd: start, use, reload, crash, watchdog, activation, attempts to leave the sandbox."""
import json
import os
import re
import signal
import subprocess
import unittest

import harness
import sandbox
import system

# What a worker tries, by the setting that stops it, and the error that shows it was that setting and not a file's mode.
DENIED = {
    "ProtectSystem": {"write_etc": "EROFS", "write_usr": "EROFS", "write_var": "EROFS"},
    "ProtectHome": {"see_home": "EACCES", "see_root_home": "EACCES"},
    "PrivateTmp": {"see_planted_file": "ENOENT"},
    "ProtectKernelTunables": {"write_proc_sys": "EACCES", "write_sys": "EROFS", "see_kernel_symbols": "EACCES"},
    "ProtectControlGroups": {"write_cgroup": "EACCES"},
    "ProtectProc": {"see_others_process": "ENOENT"},
    "PrivateDevices": {"see_memory_device": "ENOENT", "see_console": "ENOENT", "make_device": "EPERM",
                       "reach_ports": "EPERM"},
    "RestrictSUIDSGID": {"make_setuid_file": "EPERM"},
    "NoExecPaths": {"run_own_file": "EACCES", "map_shared_memory_as_code": "EPERM"},
    "NoNewPrivileges": {"become_root_by_program": "EPERM"},
    "CapabilityBoundingSet": {"become_root": "EPERM", "drop_groups": "EPERM", "signal_init": "EPERM",
                              "be_nicer_to_itself": "EACCES", "gain_capability": "EPERM"},
    "AmbientCapabilities": {"inherit_capability": "EPERM"},
    "UMask": {"leave_readable_file": "EACCES"},
    "LimitNOFILE": {"raise_file_limit": "EPERM"},
    "SystemCallArchitectures": {"call_by_other_table": "SIGSYS"},
    "RestrictRealtime": {"set_realtime": "EPERM"},
    "ProtectClock": {"set_clock": "EPERM"},
    "RestrictNamespaces": {"clone_namespace": "EPERM", "clone3_namespace": "ENOSYS", "new_user_namespace": "EPERM",
                           "new_mount_namespace": "EPERM", "join_namespace": "EPERM"},
    "ProtectKernelModules": {"load_module": "EPERM"},
    "ProtectHostname": {"set_hostname": "EPERM"},
    "ProtectKernelLogs": {"read_kernel_log": "EPERM"},
    "LockPersonality": {"change_personality": "EPERM"},
    "MemoryDenyWriteExecute": {"map_writable_code": "EPERM", "make_data_code": "EPERM"},
    "PrivateNetwork": {"connect_abstract": "ECONNREFUSED"},
    "RestrictAddressFamilies": {"open_inet": "EAFNOSUPPORT", "open_inet6": "EAFNOSUPPORT", "open_raw": "EAFNOSUPPORT",
                                "open_packet": "EAFNOSUPPORT", "open_netlink": "EAFNOSUPPORT",
                                "send_packet": "EAFNOSUPPORT"},
    "PrivateIPC": {"see_planted_memory": "ENOENT"},
    "SystemCallFilter": {"trace_child": "EPERM", "read_childs_memory": "EPERM", "count_cycles": "EPERM",
                         "load_kernel": "EPERM", "reboot_machine": "EPERM", "swap_on": "EPERM",
                         "mount_something": "EPERM", "change_root": "EPERM", "use_keyring": "EPERM", "find_users_key": "EPERM",
                         "lock_memory": "EPERM", "open_io_uring": "EPERM", "catch_faults": "EPERM",
                         "watch_files": "EPERM", "load_bpf": "EPERM"},
}

# What the daemon lives on.
NEEDED = {"choose_cpu", "share_memory", "use_semaphore", "fork_many", "start_threads", "signal_by_pidfd",
          "read_boot_id", "read_schedstat", "read_proc_stat", "read_cpuinfo", "read_own_cgroup", "read_cgroup",
          "read_smaps", "write_state", "write_run", "write_tmp", "open_pair", "open_eventfd", "die_with_parent", "be_nice"}

# Where root without a sandbox is stopped, too: the machine, or the test's own system, does not have it.
ABSENT = {"write_proc_sys": {"EROFS"}, "write_sys": {"EROFS"}, "see_memory_device": {"ENOENT"},
          "load_module": {"ENOSYS"}, "load_kernel": {"ENOSYS"}, "reach_ports": {"ENOSYS"}, "count_cycles": {"ENOSYS"},
          "open_io_uring": {"ENOSYS", "EPERM"}, "catch_faults": {"ENOSYS"}, "watch_files": {"ENOSYS"},
          "load_bpf": {"ENOSYS"}, "use_keyring": {"ENOSYS"}, "find_users_key": {"ENOSYS"},
          "open_inet6": {"EAFNOSUPPORT"}, "open_packet": {"EAFNOSUPPORT"},
          "call_by_other_table": {"ENOSYS", "SIGSEGV"}, "inherit_capability": {"EPERM"}}

METRICS_SOCKET = "/run/concd/metrics.sock"

machine = None


def setUpModule():
    global machine
    machine = system.System()


def tearDownModule():
    left = machine.close()
    assert not left, "the test leaves behind: %s" % left


class Case(harness.Case):
    """Each test begins with everything stopped, the files as they were installed and the users' jobs forgotten."""

    def setUp(self):
        machine.run("systemctl", "stop", "concd.socket", "concd.service")
        machine.run("systemctl", "reset-failed")
        machine.run("rm", "-rf", "/run/systemd/system/concd.service.d", "/var/lib/concd/report")
        machine.run("systemctl", "daemon-reload")
        self.config = machine.read(system.CONF)
        self.addCleanup(machine.write, system.CONF, self.config)
        self.cursor = machine.cursor()

    def start(self):
        machine.run("systemctl", "start", "concd.service")

    def configure(self, key, value):
        lines = [("%s = %s" % (key, value)) if line.split(" ")[0] == key else line for line in self.config.splitlines()]
        self.assertNotEqual(self.config, "\n".join(lines) + "\n")
        machine.write(system.CONF, "\n".join(lines) + "\n")

    def configure_metrics(self, path):
        config, n = re.subn(r"(?m)(^\[metrics\]\n(?:.*\n)*?)socket =.*$", r"\1socket = " + path, self.config)
        self.assertEqual(1, n)
        machine.write(system.CONF, config)

    def pid(self):
        return int(machine.show("MainPID"))

    def detach(self, *arguments):
        return json.loads(machine.ctl("run", "--detach", "--json", *arguments))["id"]

    def done(self, job):
        jobs = json.loads(machine.ctl("jobs", "--json"))["jobs"]
        return next(j for j in jobs if j["id"] == job)["progress"]["done"]

    def events(self, **fields):
        """Name of each event since the test began, with its entry."""
        entries = machine.journal(self.cursor, **fields)
        return [(e["CONCD_EVENT"], e) for e in entries if "CONCD_EVENT" in e]

    def restarted(self, before):
        """Waits for another main process; returns its pid."""
        return harness.until(lambda: machine.show("ActiveState") == "active" and self.pid() not in (0, before) and
                             self.pid(), "systemd has started it again")

    def assert_exact(self, job, count):
        result = json.loads(machine.ctl("wait", "--json", job))
        self.assertEqual(("done", count, count, 0), tuple(result[k] for k in ("state", "done", "verified", "failed")))
        return result


class Service(Case):
    def test_exposure_is_low(self):
        self.assertIn("SAFE", machine.run("systemd-analyze", "security", "--threshold=15", "concd.service"))

    def test_units_are_understood_by_systemd(self):
        code, said = machine.run("systemd-analyze", "verify", "--man=no", "concd.service", "concd.socket", code=None)
        self.assertEqual((0, []), (code, [line for line in said.splitlines() if "concd" in line]))

    def test_units_are_below_the_prefix(self):
        for unit in ("concd.service", "concd.socket"):
            path = os.path.realpath(machine.show("FragmentPath", unit))
            self.assertEqual("%s/lib/systemd/system/%s" % (system.PREFIX, unit), path)

    def test_users_and_folders_are_there(self):
        self.start()
        self.assertIn("concd", machine.run("id", "--name", "--groups", "alice").split())
        for path, expected in (("/run/concd", "755 concd concd directory"),
                               ("/var/lib/concd", "700 concd concd directory"),
                               (system.SOCKET, "660 root concd socket")):
            self.assertEqual(expected, machine.run("stat", "--format=%a %U %G %F", path).strip(), path)
        self.assertEqual("concd", machine.run("ps", "-o", "user=", "-p", self.pid()).strip())

    def test_a_member_runs_and_races(self):
        self.start()
        # Without the socket's name: it is the place where concctl looks first.
        result = json.loads(machine.run(system.CONCCTL, "run", "--mode=process", "--count", 1000, "--json",
                                        user="alice"))
        self.assertEqual(("done", 1000, 1000), (result["state"], result["done"], result["verified"]))
        self.assertEqual(harness.hex64(1000 * harness.CALC_SUM), result["checksum"])
        race = json.loads(machine.ctl("race", "--permits", 2, "--trials", 300, "--json"))
        self.assertEqual("done", race["state"])
        self.assertIn("lost updates", [o["name"] for o in race["outcomes"] if o["count"] > 0])
        ended = [e for name, e in self.events() if name == "job-ended"]
        self.assertEqual(["alice", "alice"], [e["CONCD_USER"] for e in ended])

    def test_every_mode_works_in_the_sandbox(self):
        self.start()
        for arguments in (["--mode=thread"], ["--mode=gil"], ["--mode=sequential"],
                          ["--mode=process", "--spawn=per-task"], ["--mode=thread", "--spawn=per-task"]):
            with self.subTest(arguments):
                result = json.loads(machine.ctl("run", "--count", 50, "--json", *arguments))
                self.assertEqual(("done", 50), (result["state"], result["verified"]))

    def test_who_is_not_a_member_is_refused(self):
        self.start()
        code, said = machine.ctl("jobs", user="bob", code=None)
        self.assertNotEqual(0, code)
        self.assertIn("Permission denied", said)

    def test_who_is_not_a_member_is_told_who_may(self):
        """Without the socket's name: concctl goes on to the private daemon, which only some commands start."""
        self.start()
        denied = "concctl: %s: Permission denied (members of its group may); " % system.SOCKET
        code, said = machine.run(system.CONCCTL, "jobs", user="bob", code=None)
        self.assertEqual(69, code, said)
        self.assertEqual([denied + "looking for your private daemon", "concctl: no daemon is running"],
                         said.splitlines())
        code, said = machine.run(system.CONCCTL, "list", user="bob", code=None)
        self.addCleanup(machine.run, system.CONCCTL, "stop", user="bob", code=None)
        self.assertEqual((0, 1), (code, said.count(denied + "going on with your private daemon\n")), said)

    def test_who_reads_metrics_needs_not_be_a_member(self):
        """What docs/METRICS.md advises, with bob for the web server."""
        folder = "/run/concd-metrics"
        with open(harness.TREE + "/docs/METRICS.md", encoding="utf-8") as f:
            said = f.read()
        rule = "d %s 2750 concd www-data" % folder
        drop_in = "ReadWritePaths=%s\n" % folder
        for text in (rule + "\n", drop_in, "socket = %s/metrics.sock\n    socket_mode = 0660\n" % folder):
            self.assertIn("    " + text, said)
        self.addCleanup(machine.run, "rm", "-rf", "/run/tmpfiles.d/concd-test.conf", folder)
        machine.write("/run/tmpfiles.d/concd-test.conf", rule.replace("www-data", "bob") + "\n")
        machine.run("systemd-tmpfiles", "--create", "/run/tmpfiles.d/concd-test.conf")
        machine.drop_in(drop_in)
        self.configure_metrics(folder + "/metrics.sock")
        self.start()
        read = ("import socket; s = socket.socket(socket.AF_UNIX); s.connect('%s/metrics.sock'); "
                "s.sendall(b'GET /metrics HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().read())" % folder)
        self.assertIn("concd_build_info", machine.run("/usr/bin/python3", "-c", read, user="bob"))
        self.assertIn("Permission denied", machine.ctl("jobs", user="bob", code=None)[1])
        self.assertIn("Permission denied", machine.run("/usr/bin/python3", "-c", read, user="alice", code=None)[1])

    def test_status_shows_progress(self):
        self.start()
        self.assertEqual("Idle, 0 jobs so far", machine.show("StatusText"))
        self.detach("--workload=sleep", "--param", "us=20000", "--count", 100000)
        text = harness.until(lambda: " of 100000" in machine.show("StatusText") and machine.show("StatusText"),
                             "progress is told")
        workers = len(os.sched_getaffinity(0))
        self.assertRegex(text, r"^Running sleep × 100000 · process · %d worker%s of alice, \d+ %%, \d+ of 100000$" % (
            workers, "" if workers == 1 else "s"))
        first = int(text.split()[-3])
        harness.until(lambda: int(machine.show("StatusText").split()[-3]) > first, "it gets on")
        self.assertIn("Status: \"Running sleep", machine.run("systemctl", "status", "--no-pager", "concd.service"))

    def test_reload_applies_a_good_file(self):
        self.start()
        pid = self.pid()
        self.configure("keep_results", 1)
        machine.run("systemctl", "reload", "concd.service")
        harness.until(lambda: [n for n, _ in self.events() if n == "reloaded"], "it was read")
        self.assertEqual(pid, self.pid())
        for _ in range(3):
            machine.ctl("run", "--workload=nop", "--count", 10)
        self.assertEqual(1, len(json.loads(machine.ctl("jobs", "--json"))["jobs"]))

    def test_reload_refuses_a_wrong_file(self):
        self.start()
        pid = self.pid()
        self.configure("queue", "seven")
        code, _ = machine.run("systemctl", "reload", "concd.service", code=None)
        self.assertNotEqual(0, code)
        self.assertEqual(("active", pid), (machine.show("ActiveState"), self.pid()))
        self.assertEqual([], [n for n, _ in self.events() if n.startswith("reload")], "it was not even told")
        # Told in spite of it, the daemon keeps what it had.
        os.kill(self.outside(pid), signal.SIGHUP)
        harness.until(lambda: [n for n, _ in self.events() if n == "reload-refused"], "it has refused")
        self.assertIn("the configuration file is wrong", machine.show("StatusText"))
        messages = [e["MESSAGE"] for e in machine.journal(self.cursor)]
        self.assertTrue([m for m in messages if 'jobs.queue: given "seven", allowed 1 to 100000' in m], messages)
        machine.ctl("run", "--workload=nop", "--count", 10)
        machine.write(system.CONF, self.config)
        machine.run("systemctl", "reload", "concd.service")
        harness.until(lambda: "wrong" not in machine.show("StatusText"), "the complaint is gone")

    def test_wrong_file_at_the_start_is_not_tried_again(self):
        self.configure("queue", "seven")
        machine.run("systemctl", "start", "concd.service", code=1)
        self.assertEqual(("failed", "78", "0"),
                         tuple(machine.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")))

    def outside(self, pid):
        """The pid as this process knows it: the one of the booted system whose innermost pid it is."""
        for each in harness.descendants(machine.one):
            try:
                with open("/proc/%d/status" % each, encoding="utf-8") as f:
                    ids = next(line for line in f if line.startswith("NSpid:")).split()
            except (OSError, StopIteration):
                continue
            if int(ids[-1]) == pid:
                return each
        raise AssertionError("there is no process %d" % pid)

    def test_killed_in_mid_job_it_goes_on_exactly(self):
        self.start()
        pid = self.pid()
        job = self.detach("--workload=sleep", "--param", "us=10000", "--count", 300)
        harness.until(lambda: self.done(job) > 20, "it is in the midst of it")
        os.kill(self.outside(pid), signal.SIGKILL)
        self.restarted(pid)
        result = self.assert_exact(job, 300)
        self.assertEqual(1, result["resumed"])
        self.assertEqual("1", machine.show("NRestarts"))
        self.assertEqual(1, [n for n, _ in self.events()].count("job-recovered"))

    def test_who_hangs_is_ended_by_the_watchdog(self):
        machine.drop_in("WatchdogSec=4\n")
        self.start()
        pid = self.pid()
        job = self.detach("--workload=sleep", "--param", "us=10000", "--count", 500)
        harness.until(lambda: self.done(job) > 20, "it is in the midst of it")
        os.kill(self.outside(pid), signal.SIGSTOP)
        harness.until(lambda: [e for e in machine.journal(self.cursor) if "Watchdog timeout" in e["MESSAGE"]],
                      "systemd misses its sign of life", 4 * harness.PATIENCE)
        harness.until(lambda: machine.show("NRestarts") != "0", "it is started again", 4 * harness.PATIENCE)
        self.restarted(pid)
        self.assert_exact(job, 500)

    def test_the_watchdog_is_fed(self):
        machine.drop_in("WatchdogSec=4\n")
        self.start()
        self.detach("--count", 100000)
        fed = machine.show("WatchdogTimestampMonotonic")
        for _ in range(3):
            fed = harness.until(lambda: machine.show("WatchdogTimestampMonotonic") != fed and
                                machine.show("WatchdogTimestampMonotonic"), "it is fed again")
        self.assertEqual("0", machine.show("NRestarts"))

    def test_the_first_client_starts_it(self):
        machine.run("systemctl", "start", "concd.socket")
        self.assertEqual("inactive", machine.show("ActiveState"))
        self.assertEqual(set(), machine.shm())
        result = json.loads(machine.ctl("run", "--count", 10, "--json"))
        self.assertEqual(10, result["verified"])
        self.assertEqual("active", machine.show("ActiveState"))
        # And after it was told to leave.
        machine.ctl("stop", user="root")
        harness.until(lambda: machine.show("ActiveState") == "inactive", "it has left")
        machine.ctl("run", "--count", 10)

    def test_stop_leaves_nothing(self):
        self.start()
        self.detach("--workload=sleep", "--param", "us=10000", "--count", 100000)
        group = "/sys/fs/cgroup" + machine.show("ControlGroup")
        self.assertNotEqual(set(), machine.shm())
        machine.run("systemctl", "stop", "concd.socket", "concd.service")
        self.assertEqual(("inactive", "success"), (machine.show("ActiveState"), machine.show("Result")))
        self.assertEqual(set(), machine.shm())
        machine.run("test", "!", "-e", group)
        machine.run("test", "!", "-e", system.SOCKET)
        self.assertEqual("", machine.run("pgrep", "-u", "concd", code=1))

    def left_by_the_killed(self, settings):
        """Kills the main process in mid-job, which systemd does not start again soon: what is in /dev/shm then."""
        machine.drop_in(settings)
        self.configure_metrics(METRICS_SOCKET)
        self.start()
        self.detach("--workload=sleep", "--param", "us=10000", "--count", 100000)
        pid = self.pid()
        os.kill(self.outside(pid), signal.SIGKILL)
        harness.until(lambda: self.pid() == 0 and machine.show("SubState") in ("auto-restart", "failed"),
                      "systemd knows that it has ended")
        return machine.shm()

    def test_what_the_killed_left_goes_with_the_socket(self):
        for settings, state in (("RestartSec=1h\n", "auto-restart"), ("Restart=no\n", "failed")):
            for units in (("concd.socket", "concd.service"), ("concd.service", "concd.socket"), ("concd.socket",)):
                with self.subTest(state=state, units=units):
                    self.setUp()
                    uid = machine.run("id", "-u", "concd").strip()
                    self.assertLessEqual({"concd.%s.system" % uid, "sem.concd.%s.system.1.guard" % uid},
                                         self.left_by_the_killed(settings))
                    self.assertEqual(state, machine.show("SubState"))
                    machine.run("test", "-S", METRICS_SOCKET)
                    machine.write("/dev/shm/concd.%s.other" % uid, "another instance's")
                    for unit in units:
                        machine.run("systemctl", "stop", unit)
                    self.assertEqual({"concd.%s.other" % uid}, machine.shm())
                    machine.run("rm", "/dev/shm/concd.%s.other" % uid)
                    for path in (system.SOCKET, METRICS_SOCKET):
                        machine.run("test", "!", "-e", path)
                    self.assertEqual(("inactive", "success"), tuple(machine.show(name, "concd.socket") for name in (
                        "ActiveState", "Result")))

    def test_what_the_killed_left_stays_while_the_socket_listens(self):
        before = self.left_by_the_killed("Restart=no\n")
        machine.run("systemctl", "stop", "concd.service")
        self.assertEqual(before, machine.shm())
        machine.run("systemctl", "reset-failed", "concd.service")
        self.assertEqual("running", json.loads(machine.ctl("jobs", "--json"))["jobs"][0]["state"])
        self.assertEqual(1, [n for n, _ in self.events()].count("job-recovered"))

    def test_nothing_of_a_living_daemon_is_cleaned_up(self):
        self.start()
        before = machine.shm()
        concd = machine.show("ExecStart").split("path=")[1].split(" ")[0]
        code, said = machine.run(concd, "--clean-up", "--config", system.CONF, user="concd", code=None)
        self.assertEqual(75, code, said)
        self.assertIn("already running", said)
        self.assertEqual(before, machine.shm())
        machine.ctl("run", "--count", 10)

    def test_memory_of_a_user_without_processes_stays(self):
        """RemoveIPC=no: between the kill and the restart the user has no process."""
        machine.drop_in("RestartSec=1h\n")
        self.start()
        self.detach("--workload=sleep", "--param", "us=10000", "--count", 100000)
        before = machine.shm()
        os.kill(self.outside(self.pid()), signal.SIGKILL)
        harness.until(lambda: machine.show("SubState") == "auto-restart", "it waits for its restart")
        self.assertEqual("", machine.run("pgrep", "-u", "concd", code=1))
        self.assertEqual(before, machine.shm())
        machine.drop_in("")
        machine.run("systemctl", "restart", "concd.service")
        self.assertEqual("running", json.loads(machine.ctl("jobs", "--json"))["jobs"][0]["state"])

    def test_events_have_fields(self):
        self.start()
        job = json.loads(machine.ctl("run", "--workload=nop", "--count", 10, "--json"))["id"]
        uid = machine.run("id", "-u", "alice").strip()
        events = self.events(CONCD_JOB=job)
        self.assertEqual(["job-queued", "job-started", "job-ended"], [name for name, _ in events])
        for (_, entry), state in zip(events, ("queued", "running", "done")):
            self.assertEqual((uid, "alice", "Run", state, "concd", "6", "concd.service"), tuple(entry[k] for k in (
                "CONCD_UID", "CONCD_USER", "CONCD_METHOD", "CONCD_STATE", "SYSLOG_IDENTIFIER", "PRIORITY",
                "_SYSTEMD_UNIT")))
            self.assertRegex(entry["MESSAGE_ID"], "^[0-9a-f]{32}$")
            self.assertIn(job, entry["MESSAGE"])
        self.assertEqual(3, len({e["MESSAGE_ID"] for _, e in events}))

    def test_a_workers_death_is_an_event(self):
        self.start()
        job = self.detach("--workload=sleep", "--param", "us=10000", "--count", 200)
        harness.until(lambda: self.done(job) > 10, "it is in the midst of it")
        workers = machine.run("pgrep", "-x", "concd-process").split()
        os.kill(self.outside(int(workers[0])), signal.SIGKILL)
        self.assert_exact(job, 200)
        events = [e for name, e in self.events() if name == "worker-ended"]
        keys = ("CONCD_JOB", "CONCD_WORKER_PID", "CONCD_SIGNAL")
        self.assertEqual([(job, workers[0], "9")], [tuple(e[k] for k in keys) for e in events])

    def test_a_denial_is_an_event(self):
        self.configure("submit_users", "root")
        self.start()
        self.assertNotEqual(0, machine.ctl("run", "--count", 1, code=None)[0])
        events = [e for name, e in self.events() if name == "denied"]
        self.assertEqual([(machine.run("id", "-u", "alice").strip(), "Run", "4")],
                         [tuple(e[k] for k in ("CONCD_UID", "CONCD_METHOD", "PRIORITY")) for e in events])


class Sandbox(Case):
    """The same attempts, made where a worker is and made by root where there is no sandbox."""

    def report(self, settings=""):
        """What the probe says in the service's sandbox, changed by the settings. ExecStartPre= is in it, too."""
        machine.drop_in("ExecStartPre=sh -c 'exec %s /var/lib/concd >/var/lib/concd/report'\n%s" % (
            system.PROBE, settings))
        machine.run("systemctl", "start", "concd.service", code=None)
        return dict(line.split(" ", 1) for line in machine.read("/var/lib/concd/report").splitlines())

    def attempt(self, name, settings):
        """What one attempt of the probe comes to in the service's place, its sandbox changed by the settings."""
        machine.run("rm", "-f", "/var/lib/concd/report")
        machine.drop_in("\n".join(("Type=oneshot", "Restart=no", "ExecStart=",
                                   "ExecStart=sh -c 'exec %s /var/lib/concd %s >/var/lib/concd/report'" % (
                                       system.PROBE, name), *settings, "")))
        machine.run("systemctl", "start", "concd.service")
        said, = [line.split(" ", 1) for line in machine.read("/var/lib/concd/report").splitlines()]
        self.assertEqual(name, said[0])
        return said[1]

    def effective(self, expected=sandbox.EFFECTIVE, unit="concd.service"):
        text = machine.run("systemctl", "show", "--all", "--property=" + ",".join(expected), unit)
        found = dict(line.split("=", 1) for line in text.splitlines())
        # A set, in any order.
        return {k: " ".join(sorted(v.split())) if k.startswith("IPAddress") else v for k, v in found.items()}

    def filtered(self):
        return set(machine.show("SystemCallFilter").split())

    def calls(self, words):
        """The system calls of a filter's words."""
        found = set()
        for word in words.split():
            if word.startswith("@"):
                text = machine.run("systemd-analyze", "--no-pager", "syscall-filter", word)
                listed = [line.strip() for line in text.splitlines()[1:]]
                found |= self.calls(" ".join(name for name in listed if name and not name.startswith("#")))
            else:
                found.add(word)
        return found

    def wanted_filter(self):
        """What the two lines together let through, told systemd one by one: it leaves out what it does not know. The
        service has this drop-in then."""
        names = self.calls(sandbox.ALLOWED) - self.calls(sandbox.FORBIDDEN.lstrip("~"))
        machine.drop_in("SystemCallFilter=\nSystemCallFilter=%s\n" % " ".join(sorted(names)))
        found = self.filtered()
        self.assertGreater(len(found), 200)
        self.assertLessEqual(found, names)
        return found

    def test_systemd_makes_of_it_what_it_has_to(self):
        self.maxDiff = None
        self.assertEqual(sandbox.EFFECTIVE, self.effective())
        self.assertEqual(sandbox.SOCKET, self.effective(sandbox.SOCKET, "concd.socket"))
        wanted = self.wanted_filter()
        machine.drop_in("")
        self.assertEqual(wanted, self.filtered())

    def test_the_table_has_each_line_of_the_unit(self):
        unit = machine.read(machine.show("FragmentPath"))
        box = re.search(r"(?ms)^# The sandbox\..*?(?=^\[Install\])", unit)[0]
        lines = [line for line in box.splitlines() if line and not line.startswith("#")]
        table = list(dict.fromkeys(line.line for line in sandbox.LINES))
        self.assertEqual(lines, [line for line in table if line in lines])
        self.assertEqual([], [line for line in table if line not in unit.splitlines()])

    def test_each_line_has_an_effect(self):
        """With the line its attempt fails, and gets through when that line alone is not there. Then what systemd makes
        of it is not what it has to be, either."""
        planter = self.plant()
        wanted = self.wanted_filter()
        for line in sandbox.LINES:
            key = line.line.split("=")[0]
            off = ["SystemCallFilter="] if key == "SystemCallFilter" else []
            off.append("%s=%s" % (key, line.off))
            with self.subTest(line=line.line, off=line.off, attempt=line.attempt):
                if line.unseen:
                    machine.drop_in("\n".join(off) + "\n")
                else:
                    # Where this machine does not have the thing, the error tells the one case from the other, too.
                    self.assertIn(self.attempt(line.attempt, [*line.beside, *off]),
                                  {line.without} | ABSENT.get(line.attempt, set()) - {line.stops})
                if key == "SystemCallFilter":
                    self.assertNotEqual(wanted, self.filtered())
                else:
                    self.assertNotEqual(sandbox.EFFECTIVE[key], self.effective()[key])
                if not line.unseen:
                    self.assertEqual(line.stops, self.attempt(line.attempt, line.beside))
        planter.stdin.close()

    def plant(self):
        planter = subprocess.Popen(machine.enter(system.PROBE, "--plant"), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(planter.__exit__, None, None, None)
        self.assertEqual("planted\n", planter.stdout.readline())
        return planter

    def around(self):
        """What an attempt without a sandbox could leave behind."""
        return [machine.run("sh", "-c", text) for text in (
            "cut -d' ' -f5- /proc/self/mountinfo", "hostname", "ls -A /tmp /dev/shm /var/lib /var/lib/concd /etc /usr",
            "ipcs", "cat /proc/swaps")]

    def test_attempts(self):
        planter = self.plant()
        inside = self.report()
        before = self.around()
        outside = dict(line.split(" ", 1) for line in machine.run(system.PROBE, "/var/lib").splitlines())
        self.assertEqual(before, self.around(), "the probe leaves nothing behind")
        planter.stdin.close()
        expected = {name: error for attempts in DENIED.values() for name, error in attempts.items()}
        self.assertEqual(set(inside), set(expected) | NEEDED)
        for setting, attempts in DENIED.items():
            for name, error in attempts.items():
                with self.subTest(setting=setting, attempt=name):
                    self.assertEqual(error, inside[name])
        for name in sorted(NEEDED):
            with self.subTest("what the daemon needs", name=name):
                self.assertEqual("through", inside[name])
        # An attempt that cannot succeed anywhere would prove nothing.
        for name, said in outside.items():
            with self.subTest("without a sandbox", name=name):
                self.assertIn(said, {"through"} | ABSENT.get(name, set()))

    def test_every_setting_is_in_the_unit(self):
        unit = machine.run("systemctl", "cat", "concd.service")
        for setting in DENIED:
            self.assertRegex(unit, r"(?m)^%s=" % setting)
        # And each line that has an attempt is among these.
        keys = {line.line.split("=")[0] for line in sandbox.LINES if not line.unseen}
        without = {"KeyringMode", "DevicePolicy", "IPAddressDeny", "SystemCallErrorNumber"}  # others stop the same
        self.assertEqual(keys - without, set(DENIED))

    def test_what_stays_open_has_its_reason(self):
        """docs/SECURITY.md says what the daemon would lose by the three settings that are not used."""
        said = self.report("ProcSubset=pid\n")
        for name in ("read_boot_id", "read_proc_stat", "read_cpuinfo"):
            self.assertEqual("ENOENT", said[name], name)
        machine.run("systemctl", "stop", "concd.socket", "concd.service")
        self.assertEqual("EPERM", self.report("SystemCallFilter=~@resources\n")["choose_cpu"])
        machine.run("systemctl", "stop", "concd.socket", "concd.service")
        machine.drop_in("PrivateUsers=yes\n")
        self.start()
        machine.ctl("run", "--count", 1)
        self.assertEqual({"65534"}, {e["CONCD_UID"] for name, e in self.events() if name == "job-queued"})

    def test_it_loads_and_executes_nothing(self):
        concd = machine.show("ExecStart").split("path=")[1].split(" ")[0]
        imported = {line.split()[-1].split("@")[0] for line in
                    machine.run("nm", "--dynamic", "--undefined-only", concd).splitlines()}
        self.assertIn("fork", imported)
        loaders = {"dlopen", "dlmopen", "execv", "execve", "execveat", "execvp", "execvpe", "execl", "execle", "execlp",
                   "fexecve", "posix_spawn", "posix_spawnp", "system", "popen"}
        self.assertEqual(set(), imported & loaders)

    def test_workers_are_in_it(self):
        self.start()
        main = self.pid()
        pids = machine.run("pgrep", "-u", "concd").split()
        self.assertGreater(len(pids), 2)
        for pid in pids:
            with self.subTest(pid=pid, name=machine.read("/proc/%s/comm" % pid).strip()):
                fields = dict(line.split(":\t") for line in machine.read("/proc/%s/status" % pid).splitlines())
                self.assertEqual(("1", "2"), (fields["NoNewPrivs"], fields["Seccomp"]))
                self.assertEqual({"0" * 16}, {fields["Cap" + s] for s in ("Inh", "Prm", "Eff", "Bnd", "Amb")})
                for kind in ("mnt", "net", "ipc", "uts"):
                    own, mains, host = (machine.run("readlink", "/proc/%s/ns/%s" % (p, kind)) for p in (pid, main, 1))
                    self.assertEqual(mains, own)
                    self.assertNotEqual(host, own)


class Boot(unittest.TestCase):
    def end(self, sig):
        other = system.System()
        self.addCleanup(other.close)
        other.boot.send_signal(sig)
        harness.until(lambda: other.boot.poll() is not None, "boot has ended")
        return other

    def test_a_system_that_is_broken_off_leaves_nothing(self):
        self.assertEqual([], self.end(signal.SIGTERM).remains())

    def test_a_killed_boot_takes_its_system_with_it(self):
        killed = self.end(signal.SIGKILL)
        harness.until(lambda: killed.one not in harness.processes(), "its PID 1 has ended")
        # The next one clears up what it could not.
        self.end(signal.SIGTERM)
        self.assertEqual([], [name for name in killed.remains() if "cgroup" in name])


if __name__ == "__main__":
    harness.main()
