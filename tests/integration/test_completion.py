#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Completion in bash, zsh and fish: each asked as the shell itself asks, in a shell that has read nothing else."""
import glob
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import unittest

import harness
from harness import CONCCTL, CONCD, PATIENCE, TREE, concctl_environment, until

BUILD = os.path.dirname(os.path.dirname(CONCCTL))
SCRIPTS = BUILD + "/docs/completion"

# A line up to the cursor -> what may come instead of its last word. Of a word with "=", what comes behind it.
LINES = {
    "concctl ru": {"run"},
    "concctl run --mo": {"--mode"},
    "concctl run --mode=pr": {"process"},
    "concctl run --mode pr": {"process"},
    "concctl run --quiet --mode=": {"sequential", "process", "thread", "gil"},
    "concctl race --mode=": {"process", "thread"},
    "concctl run --libc=": {"threaded", "native"},
    "concctl run --spawn ": {"pool", "per-task"},
    "concctl race --hold=": {"loop", "step"},
    "concctl race --guard=s": {"semaphore", "spin"},
    "concctl race --barrier=t": {"timebase"},
    "concctl race b": {"bank-transfer", "barrier-reuse"},
    "concctl race --scenario=ab": {"aba"},
    "concctl run --workload=fail --param k": {
        "kind=" + c for c in ("error", "wrong", "segv", "abort", "exit", "quit", "kill", "hang")},
    "concctl run --workload fail --param a": {"at="},
    "concctl run --workload=spin --param ": {"ns="},
    "concctl race peterson --param ": {"fence=", "entries="},
    "concctl race --guard=none --param t": {"target="},
    "concctl compare --modes=process,t": {"process,thread"},
    "concctl compare --modes process,thread,p": set(),
    "concctl compare --vary w": {"workers=", "workload="},
    "concctl compare --workload=alloc --vary by": {"bytes="},
    "concctl compare --workload fail --vary k": {"kind="},
    "concctl compare --workload=stdio --param ": {"bytes="},
    "concctl compare --vary mode=gil,": {"mode=gil," + m for m in ("sequential", "process", "thread")},
    "concctl list g": {"guards"},
    "concctl describe ca": {"calc"},
    "concctl help ra": {"race"},
    "concctl jobs --js": {"--json"},
    "concctl frobnicate ": set(),
    "concctl run --count=": set(),
    "concd --ch": {"--check-config"},
    "concd --set jobs.queue": {"jobs.queue=", "jobs.queue_per_user="},
    "concd --set=pool.th": {"pool.threads="},
}


def tables(which):
    with open("%s/docs/tables-%s.json" % (BUILD, which), encoding="utf-8") as f:
        return json.load(f)


def word_of(line):
    """What the completions of a line begin with, of which LINES tells nothing."""
    last = line.rpartition(" ")[2]
    return last[: last.index("=") + 1] if re.match("--[a-z-]+=", last) else ""


class Bash:
    def __init__(self, environment):
        self.environment = environment

    def __call__(self, lines):
        text = "source %s/concctl; source %s/concd\n" % (SCRIPTS, SCRIPTS)
        for line in lines:
            # As bash cuts it, since "=" is one of $COMP_WORDBREAKS.
            words = [w for word in line.split(" ") for w in re.findall(r"=|[^=]+", word) or [""]]
            text += "COMP_WORDS=(%s) COMP_CWORD=%d COMPREPLY=(); _%s; echo \"${COMPREPLY[*]}\"\n" % (
                " ".join(map(shlex.quote, words)), len(words) - 1, words[0])
        done = subprocess.run(["bash", "--norc", "--noprofile", "-uc", text], capture_output=True, encoding="utf-8",
                              env=self.environment, timeout=PATIENCE)
        assert not done.stderr, done.stderr
        # What bash replaces is the part behind the last "=".
        answers = {}
        for line, answer in zip(lines, done.stdout.splitlines(), strict=True):
            last = line.rpartition(" ")[2]
            behind = last[len(word_of(line)):]
            kept = behind[: behind.rindex("=") + 1] if "=" in behind else ""
            answers[line] = {kept + w for w in answer.split()}
        return answers


class Fish:
    def __init__(self, environment):
        self.environment = environment

    def __call__(self, lines):
        text = "source %s/concctl.fish; source %s/concd.fish\n" % (SCRIPTS, SCRIPTS)
        for line in lines:
            text += "complete -C %s; echo ----\n" % shlex.quote(line)
        done = subprocess.run(["fish", "--no-config", "-c", text], capture_output=True, encoding="utf-8",
                              env=self.environment, timeout=4 * PATIENCE)
        assert not done.stderr, done.stderr
        answers = {}
        for line, answer in zip(lines, done.stdout.split("----\n")[:-1], strict=True):
            answers[line] = {w.split("\t")[0].removeprefix(word_of(line)) for w in answer.splitlines()}
        return answers


# Each line is typed, completed by TAB, and what was offered written to a file; then the line is deleted. What is typed
# while the terminal is not the editor's can be lost: so the first file comes from the editor once it has begun, and
# the others appear without another program.
ZSH = r"""
PS1='> '
unsetopt list_beep auto_menu
fpath=(%(scripts)s $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local -a found=()
    if (( ${@[(I)-(O|A|D)]} == 0 )); then
        builtin compadd -O found "$@"
        print -rl -- $IPREFIX$^found >> %(folder)s/offered
    fi
    builtin compadd "$@"
}
zmodload -F zsh/files b:zf_mv
tell() {
    BUFFER=
    : >> %(folder)s/offered
    zf_mv %(folder)s/offered %(folder)s/answer
}
zle-line-init() {
    zle -D zle-line-init
    tell
}
zle -N zle-line-init
zle -N tell
bindkey '^X^T' tell
bindkey '^I' complete-word
"""


class Zsh:
    """Completion works in an interactive shell only, so it gets a terminal."""

    def __init__(self, environment, folder):
        self.environment, self.folder = environment, folder

    def answer(self, terminal):
        def arrived():
            if select.select([terminal], [], [], 0)[0]:
                os.read(terminal, 65536)
            return os.path.exists(self.folder + "/answer")

        until(arrived, "zsh has completed the line")
        with open(self.folder + "/answer", encoding="utf-8") as f:
            words = f.read().split()
        os.unlink(self.folder + "/answer")
        return words

    def __call__(self, lines):
        scripts = self.folder + "/scripts"
        os.mkdir(scripts)
        for path in glob.glob(SCRIPTS + "/_*"):
            shutil.copy(path, scripts)
        with open(self.folder + "/.zshrc", "w", encoding="utf-8") as f:
            f.write(ZSH % {"folder": self.folder, "scripts": scripts})
        ours, theirs = pty.openpty()
        shell = subprocess.Popen(["zsh", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                 env={**self.environment, "ZDOTDIR": self.folder, "TERM": "dumb", "LC_ALL": "C.UTF-8"})
        os.close(theirs)
        try:
            self.answer(ours)
            answers = {}
            for line in lines:
                os.write(ours, line.encode() + b"\t\x18\x14")
                answers[line] = {w.removeprefix(word_of(line)) for w in self.answer(ours)}
            return answers
        finally:
            os.killpg(shell.pid, signal.SIGKILL)  # and what it has begun
            shell.wait()
            os.close(ours)


@unittest.skipUnless(os.path.isdir(SCRIPTS), "completions were not built")
class Completion(harness.Case):
    def environment(self, **more):
        # At the end of a program the leak sanitizer stops it by ptrace(2); below an interactive zsh that was seen to hang.
        return concctl_environment({"PATH": os.path.dirname(CONCCTL) + ":" + os.environ["PATH"],
                                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0", **more})

    def shell(self, name, **environment):
        if not shutil.which(name):
            self.skipTest("not installed: " + name)
        folder = self.folder()
        environment = self.environment(HOME=folder, TMPDIR=folder, **environment)
        return Zsh(environment, folder) if name == "zsh" else {"bash": Bash, "fish": Fish}[name](environment)

    def check_lines(self, name):
        answers = self.shell(name)(list(LINES))
        for line, expected in LINES.items():
            with self.subTest(line=line):
                found = answers[line]
                # Shells differ in whether the "=" of an option, and of a key of --vary, is of the word.
                if re.search("--mo$|--vary [a-z]+$", line):
                    found, expected = ({w.rstrip("=") for w in s} for s in (found, expected))
                if "mode=gil," in line or "--modes" in line:
                    found, expected = ({re.split("[,=]", w)[-1] for w in s} for s in (found, expected))
                self.assertEqual(expected, found)

    def test_bash(self):
        self.check_lines("bash")

    def test_zsh(self):
        self.check_lines("zsh")

    def test_fish(self):
        self.check_lines("fish")

    def check_tables(self, name):
        """Every command, and every option of each."""
        commands = tables("ctl")["commands"]
        lines = {"concctl ": {c["name"] for c in commands}}
        for c in commands:
            lines["concctl %s --" % c["name"]] = {"--" + o["name"] for o in c["options"]} | {"--help"}
        answers = self.shell(name)(list(lines))
        for line, expected in lines.items():
            found = {w.rstrip("=") for w in answers[line]}
            if line == "concctl ":
                found -= {"--help", "--version"}
            self.assertEqual(expected, found, line)

    def test_bash_knows_all_options(self):
        self.check_tables("bash")

    def test_zsh_knows_all_options(self):
        self.check_tables("zsh")

    def test_fish_knows_all_options(self):
        self.check_tables("fish")

    def check_files(self, name):
        folder = self.folder()
        for file in "page.html", "other":
            with open(folder + "/" + file, "w", encoding="utf-8"):
                pass
        line = "concctl compare --report=%s/pa" % folder
        found = self.shell(name)([line])[line]
        self.assertTrue(found and all(w.endswith("page.html") for w in found), found)

    def test_bash_knows_files(self):
        self.check_files("bash")

    def test_zsh_knows_files(self):
        self.check_files("zsh")

    def test_fish_knows_files(self):
        self.check_files("fish")

    def check_jobs(self, name):
        """Ids come from a daemon that runs; when there is none, none is started."""
        d = self.start()
        job = d.call("Run", workload="nop", count=1)["id"]
        line = "concctl wait --socket=%s " % d.path
        found = self.shell(name)([line])[line]
        self.assertTrue(len(found) == 1 and job.startswith(found.pop()), found)
        nowhere = self.folder() + "/runtime"
        os.mkdir(nowhere, 0o700)
        line = "concctl wait "
        self.assertEqual(set(), self.shell(name, XDG_RUNTIME_DIR=nowhere)([line])[line])
        self.assertEqual([], os.listdir(nowhere))

    def test_bash_knows_jobs(self):
        self.check_jobs("bash")

    def test_zsh_knows_jobs(self):
        self.check_jobs("zsh")

    def test_fish_knows_jobs(self):
        self.check_jobs("fish")

    def test_values_that_are_offered_are_accepted(self):
        """What no table says is held to the daemon itself."""
        d = self.start()
        bash = self.shell("bash")
        kinds = {e["kind"] + "s" for e in d.call("Describe")["entries"]}
        self.assertEqual(kinds, bash(["concctl list "])["concctl list "])
        for command, options in {"run": ("mode", "spawn", "libc", "workload"),
                                 "race": ("mode", "guard", "barrier", "scenario")}.items():
            for option in options:
                line = "concctl %s --%s=" % (command, option)
                values = bash([line])[line]
                self.assertGreaterEqual(len(values), 2, line)
                for value in values:
                    more = ["--count=1"] if command == "run" else ["--trials=1", "--trial-timeout=1ms"]
                    more += ["--mode=thread"] if value == "gil" and option == "guard" else []
                    done = d.ctl(command, "--%s=%s" % (option, value), *more)
                    self.assertIn(done.code, (0, 1), (line + value, done))


if __name__ == "__main__":
    harness.main()
