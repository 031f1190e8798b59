#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The configuration file, --set, --check-config, SIGHUP; and the other words of concd's command line."""
import os
import signal
import time

import harness
from harness import TREE, concd

EXIT_USAGE, EXIT_CONFIG = 64, 78

# (text of the file, line, words that the message must hold)
BAD_FILES = [
    ("[daemon]\nlog_level = loud\n", 2, ["log_level", "loud", "debug"]),
    ("[pool]\nprocesses = -1\n", 2, ["processes", "-1", "256"]),
    ("[pool]\nprocesses = 257\n", 2, ["processes", "257", "256"]),
    ("[pool]\nprocesses = 1.5\n", 2, ["processes", "1.5"]),
    ("[pool]\nprocesses =\n", 2, ["processes"]),
    ("[pool]\nprocesses = 1e3x\n", 2, ["processes", "1e3x"]),
    ("[pool]\nprocesses = 18446744073709551617\n", 2, ["processes", "18446744073709551617"]),
    ("[pool]\n\n# a comment\nthreads = NaN\n", 4, ["threads", "NaN"]),
    ("[pool]\nparked_thread = maybe\n", 2, ["parked_thread", "maybe", "yes"]),
    ("[daemon]\nsocket_mode = 0888\n", 2, ["socket_mode", "0888"]),
    ("[daemon]\nsocket_mode = 1777\n", 2, ["socket_mode", "1777"]),
    ("[daemon]\ninstance = a/b\n", 2, ["instance", "a/b"]),
    ("[daemon]\ninstance = " + "x" * 33 + "\n", 2, ["instance", "32"]),
    ("[daemon]\nsocket = /" + "x" * 107 + "\n", 2, ["socket", "107"]),
    ("[daemon]\nidle_exit = 5\n", 2, ["idle_exit", "5"]),
    ("[daemon]\nidle_exit = -5s\n", 2, ["idle_exit", "-5s"]),
    ("[clients]\nrequest_timeout = 1ms\n", 2, ["request_timeout", "1ms"]),
    ("[jobs]\nqueue = 0\n", 2, ["queue", "0"]),
    ("[jobs]\nledger_chunks = 63\n", 2, ["ledger_chunks", "63", "64"]),
    ("[jobs]\nledger_chunks = 1048577\n", 2, ["ledger_chunks", "1048577", "1048576"]),
    ("[access]\nadmin_users = root,\n", 2, ["admin_users", "root,", "64"]),
    ("[access]\nsubmit_groups = 4294967295\n", 2, ["submit_groups", "4294967295"]),
    ("[jobs]\nqueu = 5\n", 2, ["queu"]),
    ("[job]\nqueue = 5\n", 1, ["job"]),
    ("queue = 5\n", 1, ["queue"]),
    ("[jobs]\nqueue\n", 2, []),
    ("[jobs\nqueue = 5\n", 1, []),
]


class Check(harness.Case):
    def write(self, text):
        path = self.folder() + "/concd.conf"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_the_file_in_etc_is_what_print_config_prints(self):
        with open(TREE + "/etc/concd.conf", encoding="utf-8") as f:
            text = f.read()
        printed = concd("--print-config")
        self.assertEqual((0, text), (printed.code, printed.stdout))

    def test_the_file_in_etc_is_accepted(self):
        checked = concd("--check-config", "--config", TREE + "/etc/concd.conf")
        self.assertEqual(0, checked.code, checked)

    def test_the_file_in_etc_is_accepted_without_its_comment_signs(self):
        """The printed defaults are themselves allowed values."""
        with open(TREE + "/etc/concd.conf", encoding="utf-8") as f:
            lines = [line.lstrip("#; ") if " =" in line else line for line in f]
        sections = [line for line in lines if line.startswith("[")]
        self.assertEqual(["[daemon]\n", "[pool]\n", "[jobs]\n", "[clients]\n", "[metrics]\n", "[access]\n"], sections)
        kept = [line for line in lines if line.startswith("[") or (" =" in line and line.split(" =")[0].isidentifier())]
        self.assertGreater(len(kept), 20)
        checked = concd("--check-config", "--config", self.write("".join(kept)))
        self.assertEqual(0, checked.code, checked)

    def test_bad_files_are_refused_with_file_line_and_reason(self):
        for text, line, words in BAD_FILES:
            with self.subTest(text):
                path = self.write(text)
                checked = concd("--check-config", "--config", path)
                self.assertEqual(EXIT_CONFIG, checked.code, checked)
                self.assertIn("%s:%d" % (path, line), checked.stderr)
                for word in words:
                    self.assertIn(word, checked.stderr)

    def test_files_that_cannot_be_read(self):
        folder = self.folder()
        for path in (folder + "/none", folder):
            with self.subTest(path):
                checked = concd("--check-config", "--config", path)
                self.assertEqual(EXIT_CONFIG, checked.code, checked)
                self.assertIn(path, checked.stderr)

    def test_bad_settings_are_refused(self):
        for setting in ("pool.processes=-1", "pool.processes=", "pool.process=1", "pools.processes=1", "processes=1",
                        "pool.processes", "=1", "", "pool.=1"):
            with self.subTest(setting):
                checked = concd("--check-config", "--set", setting)
                self.assertIn(checked.code, (EXIT_CONFIG, EXIT_USAGE), checked)
                self.assertTrue(checked.stderr)

    def test_a_daemon_with_a_bad_configuration_does_not_start(self):
        before = set(os.listdir("/dev/shm"))
        folder = self.folder()
        started = concd("--socket", folder + "/socket", "--instance", "bad-config", "--set", "pool.processes=many")
        self.assertEqual(EXIT_CONFIG, started.code, started)
        self.assertEqual([], os.listdir(folder))
        self.assertFalse([n for n in set(os.listdir("/dev/shm")) - before if "bad-config" in n])

    def test_unknown_options_are_usage_errors(self):
        for arguments in (["--nonsense"], ["word"], ["--config"], ["--set"]):
            with self.subTest(arguments):
                said = concd(*arguments)
                self.assertEqual(EXIT_USAGE, said.code, said)
                self.assertTrue(said.stderr)

    def test_help_and_version(self):
        said = concd("--help")
        self.assertEqual(0, said.code)
        for option in ("--config", "--set", "--instance", "--socket", "--private", "--check-config", "--print-config",
                       "--clean-up"):
            self.assertIn(option, said.stdout)
        said = concd("--version")
        self.assertEqual(0, said.code)
        self.assertRegex(said.stdout, r"^concd \d+\.\d+\.\d+")


class Reload(harness.Case):
    def queue_limit(self, d):
        return d.call("Status")["daemon"]["queue_limit"]

    def start_with(self, text):
        self.path = self.folder() + "/concd.conf"
        self.rewrite(text)
        return self.start(arguments=["--config", self.path])

    def rewrite(self, text):
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(self.path + ".new", self.path)

    def test_the_file_is_used(self):
        d = self.start_with("[jobs]\nqueue = 25\n")
        self.assertEqual(25, self.queue_limit(d))
        self.assertEqual(self.path, d.call("Status")["daemon"]["config"])

    def test_hangup_takes_live_keys_over(self):
        d = self.start_with("[jobs]\nqueue = 25\n")
        self.rewrite("[jobs]\nqueue = 27\n")
        d.process.send_signal(signal.SIGHUP)
        harness.until(lambda: self.queue_limit(d) == 27, "the new limit")
        self.rewrite("")
        d.process.send_signal(signal.SIGHUP)
        harness.until(lambda: self.queue_limit(d) == 64, "the default again")

    def test_hangup_with_a_bad_file_changes_nothing(self):
        d = self.start_with("[jobs]\nqueue = 25\n")
        self.rewrite("[jobs]\nqueue = 29\nqueue_per_user = none\n")
        d.process.send_signal(signal.SIGHUP)
        harness.until(lambda: self.path + ":3" in d.log(), "the log names file and line")
        self.assertEqual(25, self.queue_limit(d))

    def test_hangup_leaves_keys_that_need_a_restart(self):
        d = self.start_with("[pool]\nmax_workers = 8\n")
        workers = {w["pid"] for w in d.call("Status")["workers"]}
        self.assertNotIn(0, workers)
        self.rewrite("[pool]\nmax_workers = 3\n")
        d.process.send_signal(signal.SIGHUP)
        harness.until(lambda: "pool.max_workers" in d.log(), "the log names the key")
        self.refused(d, "Run", "workers", workload="nop", workers=9)
        self.assertEqual(8, d.run(workload="nop", workers=8)["workers"])
        self.assertLessEqual(workers, {w["pid"] for w in d.call("Status")["workers"]})

    def test_hangup_keeps_what_the_command_line_said(self):
        self.path = self.folder() + "/concd.conf"
        self.rewrite("[jobs]\nqueue = 25\nqueue_per_user = 3\n")
        d = self.start("jobs.queue=26", arguments=["--config", self.path])
        self.assertEqual(26, self.queue_limit(d))
        self.rewrite("[jobs]\nqueue = 27\nqueue_per_user = 1\n")
        d.process.send_signal(signal.SIGHUP)
        harness.until(lambda: self.path + " reloaded" in d.log(), "the file is read again")
        self.assertEqual(26, self.queue_limit(d))
        # The other key of the file did change.
        long = dict(workload="sleep", params={"us": "1000"}, count=10**6, detach=True)
        jobs = [d.call("Run", **long)["id"] for _ in range(2)]
        with self.assertRaises(harness.Failed):
            d.call("Run", workload="nop", count=1, detach=True)
        for job in reversed(jobs):
            d.call("Cancel", id=job)

    def test_hangup_keeps_what_a_private_daemon_has_for_defaults(self):
        d = self.start(arguments=["--private"])
        d.process.send_signal(signal.SIGHUP)
        harness.until(lambda: "no file, so the defaults reloaded" in d.log(), "read again")
        # A default of the system's service would be another mode and another instance.
        self.assertNotIn("change only at the next start", d.log())
        self.assertEqual(0o600, os.stat(d.path).st_mode & 0o777)
        self.assertTrue(d.call("Status")["daemon"]["private"])

    def test_hangup_does_not_touch_the_running_job(self):
        d = self.start_with("[jobs]\nqueue = 25\n")
        client = d.connect()
        client.send("Run", more=True, workload="sleep", params={"us": "1000"}, count=600, workers=2)
        while not (client.receive()[0]["progress"] or {}).get("done"):
            pass
        for limit in range(30, 40):
            self.rewrite("[jobs]\nqueue = %d\n" % limit)
            d.process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        continues = True
        while continues:
            reply, continues = client.receive()
        self.assertEqual(("done", 600, 600, 0), tuple(reply["result"][k] for k in ("state", "done", "verified", "restarts")))


if __name__ == "__main__":
    harness.main()
