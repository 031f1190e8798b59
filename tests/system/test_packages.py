#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Debian packages, built from a clean copy of the tree: in a running system, by dpkg, and in a bare one, by apt.

CONCD_PACKAGES names a folder with packages that were built before, by scripts/package; without it they are built here.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
import system

TOOLS = {"dh": "debhelper", "dpkg-buildpackage": "dpkg-dev", "lintian": "lintian", "scdoc": "scdoc"}
CONCCTL = "/usr/bin/concctl"
SOCKET = "/run/concd/concd.sock"
AT_BOOT = ("/etc/systemd/system/multi-user.target.wants/concd.service",
           "/etc/systemd/system/sockets.target.wants/concd.socket")

# Where a package leaves traces that belong to others: the databases of dpkg and of users, logs, caches.
NOT_OURS = re.compile(r"/var/(lib/(dpkg|apt)|log|cache)/|/etc/(g?shadow|passwd|group|sub[ug]id)-?$|/etc/\.pwd\.lock$")

packages = {}  # name -> path
folder = None


def setUpModule():
    global folder
    given = os.environ.get("CONCD_PACKAGES")
    if not given:
        missing = sorted(package for tool, package in TOOLS.items() if not shutil.which(tool))
        if missing:
            raise unittest.SkipTest("packages cannot be built without " + ", ".join(missing))
    folder = tempfile.mkdtemp(prefix="concd-test-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    if not given:
        given = folder + "/packages"
        # The unit tests of this tree have a place of their own in this run.
        done = subprocess.run([harness.TREE + "/scripts/package", "--no-tests", given], stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", timeout=20 * harness.PATIENCE)
        if done.returncode == 69:
            raise unittest.SkipTest(done.stderr.strip().replace("\n", "; "))
        assert done.returncode == 0, done.stderr
    for name in ("concd", "concctl", "concd-dev"):
        packages[name], = glob.glob("%s/%s_*.deb" % (given, name))


def field(package, name):
    return subprocess.run(["dpkg-deb", "--field", packages[package], name], check=True, capture_output=True,
                          encoding="utf-8").stdout.strip()


def lay_packages(layer):
    """For a booted system: the packages, their own test, and no rule of its host's against starting services."""
    os.makedirs(layer + "/srv/packages")
    for path in packages.values():
        shutil.copy(path, layer + "/srv/packages")
    shutil.copy(harness.TREE + "/debian/tests/smoke", layer + "/srv")
    os.makedirs(layer + "/usr/sbin")
    with open(layer + "/usr/sbin/policy-rc.d", "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nexit 0\n")
    os.chmod(layer + "/usr/sbin/policy-rc.d", 0o755)


class Packages(harness.Case):
    def test_lintian_finds_no_error_and_no_warning(self):
        if not shutil.which("lintian"):
            self.skipTest("there is no lintian")
        with tempfile.TemporaryDirectory() as left:  # it does not remove all of its own
            done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *packages.values()],
                                  capture_output=True, encoding="utf-8", timeout=4 * harness.PATIENCE,
                                  env={**os.environ, "TMPDIR": left})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_the_version_is_that_of_the_programs(self):
        self.assertEqual("concd %s\n" % field("concd", "Version"), harness.concd("--version").stdout)
        self.assertEqual("concctl %s\n" % field("concctl", "Version"), harness.concctl("--version").stdout)

    def test_a_program_has_its_manual_and_its_completions(self):
        for package, program, section in (("concd", "concd", 8), ("concctl", "concctl", 1)):
            names = subprocess.run(["dpkg-deb", "--contents", packages[package]], check=True, capture_output=True,
                                   encoding="utf-8").stdout
            for path in ("man/man%d/%s.%d.gz" % (section, program, section), "bash-completion/completions/" + program,
                         "zsh/vendor-completions/_" + program, "fish/vendor_completions.d/%s.fish" % program):
                self.assertIn(" ./usr/share/%s\n" % path, names)


class Running(harness.Case):
    """This machine's systemd, and dpkg alone: what the packages need must be installed."""

    def setUp(self):
        system.install = lay_packages
        self.machine = system.System()
        self.addCleanup(lambda: self.assertEqual([], self.machine.close()))

    def files(self):
        places = [p for p in ("/etc", "/lib", "/usr", "/var", "/opt", "/home", "/root", "/run", "/dev/shm") if
                  not os.path.islink(p)]
        found = self.machine.run("find", *places, "-xdev", "(", "-path", "/run/systemd", "-o", "-path", "/run/udev",
                                 ")", "-prune", "-o", "-print")
        return {name for name in found.splitlines() if not NOT_OURS.search(name)}

    def dpkg(self, *arguments):
        return self.machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *arguments)

    def pid(self):
        return int(self.machine.show("MainPID"))

    def assert_runs(self):
        for unit in ("concd.socket", "concd.service"):
            self.assertEqual("active", self.machine.show("ActiveState", unit), unit)
            self.assertEqual("enabled", self.machine.show("UnitFileState", unit), unit)

    def assert_not_there(self):
        for unit in ("concd.socket", "concd.service"):
            self.assertEqual("not-found", self.machine.show("LoadState", unit))
        self.assertFalse(self.machine.run("pgrep", "-x", "concd", code=None)[1])

    def test_from_the_first_installation_to_the_purge(self):
        missing = [d for d in self.depends() if not self.is_installed(d)]
        if missing:
            self.skipTest("what the packages need is not installed here: " + ", ".join(missing))
        for user in ("alice", "bob"):
            self.machine.run("useradd", "--create-home", user)
        before = self.files()
        self.dpkg("--install", *("/srv/packages/" + os.path.basename(packages[p]) for p in ("concd", "concctl")))
        self.assert_runs()
        first = self.pid()
        self.is_of_use()

        # As an upgrade does.
        self.dpkg("--install", "/srv/packages/" + os.path.basename(packages["concd"]))
        self.assert_runs()
        self.assertNotEqual(first, self.pid())
        self.is_of_use()

        # The packages' own test, with the compiler of this machine.
        self.dpkg("--install", "/srv/packages/" + os.path.basename(packages["concd-dev"]))
        self.machine.run("/srv/smoke")

        self.dpkg("--remove", "concd")
        self.assert_not_there()
        self.assertTrue(self.machine.read("/etc/concd.conf"))
        self.assertEqual(set(), self.machine.shm())
        self.machine.run("test", "!", "-e", "/run/concd")

        # What was removed with its configuration left comes back with it.
        self.machine.run("sed", "-i", "s/^processes = .*/processes = 1/", "/etc/concd.conf")
        self.dpkg("--force-confold", "--install", "/srv/packages/" + os.path.basename(packages["concd"]))
        self.assert_runs()
        self.assertIn("processes = 1\n", self.machine.read("/etc/concd.conf"))
        # A daemon that is killed and not followed by another leaves its segment.
        self.machine.run("sh", "-c", "touch /dev/shm/concd.lost /dev/shm/other && chown concd /dev/shm/concd.lost")

        self.dpkg("--purge", "concd", "concctl", "concd-dev")
        self.assert_not_there()
        self.assertEqual({"other"}, self.machine.shm())
        self.machine.run("rm", "/dev/shm/other")
        self.assertEqual([], sorted(self.files() - before))
        self.assertEqual([], sorted(before - self.files()))

    def ctl(self, user, *arguments, code):
        return self.machine.run("env", "CONCD_SOCKET=" + SOCKET, CONCCTL, *arguments, user=user, code=code)

    def is_of_use(self):
        """For a member of the group, and for nobody else."""
        self.machine.run("usermod", "--append", "--groups", "concd", "alice")
        said = self.ctl("alice", "run", "--mode=process", "--count", "1000", code=0)
        self.assertIn("1000 of 1000 verified", said)
        code, said = self.ctl("bob", "status", code=None)
        self.assertNotEqual(0, code, said)
        self.assertIn("ermission denied", said)

    def depends(self):
        for package in ("concd", "concctl"):
            for one in field(package, "Depends").split(","):
                yield [re.sub(r"\s*\(.*", "", each).strip() for each in one.split("|")]

    def is_installed(self, choices):
        return any(subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", each], capture_output=True,
                                  encoding="utf-8").stdout == "installed" for each in choices)


class Bare(harness.Case):
    """A minimal system of the distribution that is not running: apt finds all that is needed."""

    def setUp(self):
        self.root = folder + "/root"
        done = subprocess.run([harness.TREE + "/scripts/debian-root", "bookworm", self.root], stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", timeout=20 * harness.PATIENCE)
        if done.returncode == 77:
            self.skipTest(done.stderr.strip().splitlines()[-1])
        self.assertEqual(0, done.returncode, done.stderr)
        self.addCleanup(subprocess.run, ["rm", "-rf", "--one-file-system", self.root], check=True)
        for path in packages.values():
            shutil.copy(path, self.root + "/srv")

    def run_in(self, *command, code=0):
        """In namespaces of its own, which take all with them that the command leaves running or mounted."""
        kept = {k: v for k, v in os.environ.items() if k in ("http_proxy", "https_proxy", "no_proxy")}
        inside = 'mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=1777 shm "$0/dev/shm" && exec chroot "$0" "$@"'
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
                 "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child",
                               "sh", "-c", inside, self.root, *command], env={**kept, **clean}, encoding="utf-8",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=20 * harness.PATIENCE)
        if code is not None:
            self.assertEqual(code, done.returncode, "%s:\n%s" % (" ".join(command), done.stdout))
        return done.stdout

    def apt(self, *arguments):
        return self.run_in("apt-get", "-qq", "--yes", "--no-install-recommends", *arguments)

    def names(self):
        """All that is called after the programs, or lies in such a folder."""
        found = self.run_in("find", "/", "-xdev", "-path", "/srv", "-prune", "-o",
                            "(", "-name", "*concd*", "-o", "-name", "*concctl*", ")", "-print")
        return sorted(name for name in found.splitlines() if not NOT_OURS.search(name))

    def test_one_command_installs_and_one_removes(self):
        self.apt("update")
        self.apt("install", *("/srv/" + os.path.basename(packages[p]) for p in ("concd", "concctl")))
        self.assertEqual("concctl %s\n" % field("concctl", "Version"), self.run_in("concctl", "--version"))
        said = self.run_in("concd", "--check-config", "--config", "/etc/concd.conf")
        self.assertEqual("/etc/concd.conf: correct\n", said)
        user = self.run_in("getent", "passwd", "concd").strip()
        self.assertRegex(user, r"^concd:[^:]*:\d+:\d+:.*:/var/lib/concd:/usr/sbin/nologin$")
        for name in AT_BOOT:
            self.assertTrue(os.path.islink(self.root + name), name)
        self.assertEqual("", self.run_in("dpkg", "--verify", "concd", "concctl"))
        os.mkdir(self.root + "/srv/run", 0o700)
        said = self.run_in("sh", "-c", "export XDG_RUNTIME_DIR=/srv/run; concctl run --count 100 && concctl stop")
        self.assertIn("100 of 100 verified", said)

        # The headers need nothing else.
        self.apt("install", "/srv/" + os.path.basename(packages["concd-dev"]))
        self.assertEqual("", self.run_in("dpkg", "--verify", "concd-dev"))

        self.apt("purge", "concd", "concctl", "concd-dev")
        self.assertEqual([], self.names())
        for path in glob.glob(self.root + "/etc/systemd/system/*.wants/*"):
            self.assertNotIn("concd", os.path.basename(path))


if __name__ == "__main__":
    harness.main()
