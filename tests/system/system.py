# SPDX-License-Identifier: MIT
"""A system of our own for the tests: this machine's systemd, booted in namespaces by the script `boot`, with what
`meson install` installs and a few things for the tests laid over a copy of this machine's file system.

Meson passes where things are: CONCD_BUILD, CONCD_PREFIX, CONCD_CONF, CONCCTL_INSTALLED, CONCD_PROBE.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import harness

HERE = os.path.dirname(os.path.realpath(__file__))
BUILD = os.environ.get("CONCD_BUILD") or harness.TREE + "/build"
PREFIX = os.environ.get("CONCD_PREFIX") or "/usr/local"
CONF = os.environ.get("CONCD_CONF") or "/usr/local/etc/concd.conf"
CONCCTL = os.environ.get("CONCCTL_INSTALLED") or "/usr/local/bin/concctl"
PROBE_BUILT = os.environ.get("CONCD_PROBE") or BUILD + "/tests/system/probe"
SOCKET = "/run/concd/concd.sock"
PROBE = "/usr/lib/concd-test/probe"

# alice is a member of the group, bob is not.
USERS = 'u alice - "A member" /home/alice\nu bob - "A stranger" /home/bob\nm alice concd\n'


def install(folder):
    """What the package would hold, and what the tests need beside it."""
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", folder], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=harness.PATIENCE)
    for name, text in (("/usr/lib/sysusers.d/concd-test.conf", USERS), ("/home/alice/secret", "secret\n"),
                       ("/root/secret", "secret\n")):
        os.makedirs(folder + os.path.dirname(name), exist_ok=True)
        with open(folder + name, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(folder + name, 0o644)
    os.makedirs(folder + os.path.dirname(PROBE))
    for name, mode in (("", 0o755), ("-setuid", 0o4755)):
        shutil.copyfile(PROBE_BUILT, folder + PROBE + name)
        os.chmod(folder + PROBE + name, mode)


class System:
    """Boots when it is made; raises SkipTest where that is not possible. close() leaves nothing behind."""

    def __init__(self):
        check = subprocess.run([HERE + "/boot", "--check"], stdin=subprocess.DEVNULL, capture_output=True,
                               encoding="utf-8", timeout=harness.PATIENCE)
        if check.returncode == 77:
            raise unittest.SkipTest(check.stderr.strip())
        self.folder = tempfile.mkdtemp(prefix="concd-test-")
        self.boot = None
        try:
            os.makedirs(self.folder + "/system")
            os.makedirs(self.folder + "/layer")
            install(self.folder + "/layer")
            self.boot = subprocess.Popen([HERE + "/boot", self.folder + "/system", self.folder + "/layer"],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         encoding="utf-8", start_new_session=True)
            words = self.boot.stdout.readline().split()
            if words[:1] != ["ready"]:
                said = self.boot.stderr.read().strip()
                if self.boot.wait() == 77:
                    raise unittest.SkipTest(said)
                raise AssertionError("no system: " + said)
            self.one = int(words[1])
        except BaseException:
            self.close()
            raise

    def close(self):
        """Ends it and says what is left of it: nothing, else it is a list of texts."""
        left = []
        if self.boot:
            # Its end of input; it clears up and leaves.
            self.boot.stdin.close()
            code = self.boot.wait(harness.PATIENCE)
            left += ["boot said: " + line for line in self.boot.stderr.read().splitlines()]
            left += ["boot ended with %d" % code] if code else []
            self.boot.stdout.close()
            self.boot.stderr.close()
            left += self.remains()
        shutil.rmtree(self.folder)
        return left

    def remains(self):
        """What the booted system has left on this machine."""
        left = ["process %d" % self.one] if getattr(self, "one", 0) in harness.processes() else []
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            mounts = [line.split() for line in f]
        left += ["mount " + m[4] for m in mounts if self.folder in m[4]]
        name = "concd-test-%d" % self.boot.pid
        groups = {m[4] for m in mounts if "cgroup2" in m}
        left += ["cgroup %s/%s" % (g, name) for g in groups if os.path.exists(g + "/" + name)]
        return left + ["folder " + n for n in os.listdir(self.folder + "/system") if n != "console"]

    def enter(self, *command, user=None):
        """The command line that runs one in the system; as a user, with the groups of that user and no environment."""
        line = ["nsenter", "--target", str(self.one), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net", "--"]
        if user:
            line += ["setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups"]
        return line + ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", *map(str, command)]

    def run(self, *command, user=None, code=0, input=None):
        """Its standard output; any other exit code than `code` fails the test, None is any."""
        done = subprocess.run(self.enter(*command, user=user), stdin=subprocess.DEVNULL if input is None else None,
                              input=input, capture_output=True, encoding="utf-8", timeout=4 * harness.PATIENCE)
        if code is not None and done.returncode != code:
            raise AssertionError("%s: exit code %d, not %d\n%s%s" % (" ".join(map(str, command)), done.returncode, code,
                                                                    done.stdout, done.stderr))
        return done.stdout if code is not None else (done.returncode, done.stdout + done.stderr)

    def ctl(self, *arguments, user="alice", code=0):
        """With the socket named, so that concctl does not start a private daemon where the system's is missing."""
        return self.run("env", "CONCD_SOCKET=" + SOCKET, CONCCTL, *arguments, user=user, code=code)

    def show(self, name, unit="concd.service"):
        return self.run("systemctl", "show", "-P", name, unit).strip()

    def read(self, path):
        return self.run("cat", path)

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, input=text)

    def drop_in(self, text):
        """Settings of the service until reset()."""
        self.write("/run/systemd/system/concd.service.d/test.conf", "[Service]\n" + text)
        self.run("systemctl", "daemon-reload")

    def shm(self):
        return set(self.run("ls", "-A", "/dev/shm").split())

    def journal(self, cursor, **fields):
        """The entries of the service, and of systemd about it, after the cursor and with these fields. They are not
        picked by journalctl, which leaves the first one out when the cursor's own entry is not among them."""
        self.run("journalctl", "--sync")
        text = self.run("journalctl", "--quiet", "--output=json", "--after-cursor=" + cursor)
        entries = [json.loads(line) for line in text.splitlines()]
        return [e for e in entries if "concd.service" in (e.get("_SYSTEMD_UNIT"), e.get("UNIT")) and
                all(e.get(k) == v for k, v in fields.items())]

    def cursor(self):
        self.run("logger", "a test begins")
        self.run("journalctl", "--sync")
        return json.loads(self.run("journalctl", "--quiet", "--output=json", "--lines=1"))["__CURSOR"]
