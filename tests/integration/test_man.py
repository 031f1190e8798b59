#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The manual and docs/PROTOCOL.md: complete, well formed, and true. What can be run of them is run."""
import glob
import json
import os
import re
import shutil
import subprocess
import unittest

import harness
from harness import CONCCTL, CONCD, INTERFACE, PATIENCE, TREE, concctl_environment

BUILD = os.path.dirname(os.path.dirname(CONCCTL))
PAGES = {os.path.basename(p): p for p in glob.glob(BUILD + "/docs/man/*.[1-8]")}
# Pages of others that ours refer to.
FOREIGN = {"systemctl(1)", "systemd(1)", "shm_overview(7)", "sem_overview(7)", "futex(7)", "pthread_mutex_lock(3)",
           "flock(2)"}
with open(TREE + "/docs/PROTOCOL.md", encoding="utf-8") as f:
    PROTOCOL = f.read()

NEEDS_PAGES = unittest.skipUnless(PAGES, "the manual was not built: scdoc is missing")


def needs(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    return unittest.skipIf(missing, "not installed: " + ", ".join(missing))


def tables(which, *arguments):
    """The tables of a program, from the helper that made the manual."""
    done = subprocess.run([BUILD + "/docs/tables-" + which, *arguments], capture_output=True, check=True)
    return json.loads(done.stdout)


def source(name):
    with open("%s/docs/man/%s.scd" % (TREE, name), encoding="utf-8") as text:
        return text.read()


def plain(path):
    """The text of a page as one reads it, without breaks and hyphenation of lines."""
    done = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-P-cbou", "-rHY=0", "-rLL=1000n", path],
                          capture_output=True, check=True, encoding="utf-8")
    return done.stdout.replace("‐", "-").replace("−", "-")


def blocks(text, kind=""):
    """What stands between ```kind and ```."""
    return re.findall(r"(?ms)^```%s\n(.*?)^```$" % kind, text)


@NEEDS_PAGES
class Pages(harness.Case):
    def test_every_command_has_its_page_and_no_page_is_of_none(self):
        commands = {"concctl-%s.1" % c["name"] for c in tables("ctl")["commands"]}
        self.assertEqual(commands, {p for p in PAGES if p.startswith("concctl-")})
        self.assertLessEqual({"concctl.1", "concd.8", "concd.conf.5", "concd-workload.3", "concd-guards.7"}, set(PAGES))

    @needs("groff")
    def test_every_option_and_argument_is_told(self):
        for command in tables("ctl")["commands"]:
            text = plain(PAGES["concctl-%s.1" % command["name"]])
            for o in command["options"]:
                with self.subTest(command=command["name"], option=o["name"]):
                    head = "--" + o["name"] + ("=" + o["value"] if o["value"] else "")
                    self.assertRegex(text, r"(?m)^ +%s$" % re.escape(head))
            for p in command["operands"]:
                self.assertRegex(text, r"(?m)^ +%s$" % re.escape(p["name"]))

    @needs("groff")
    def test_options_that_contradict_each_other_say_so_on_both_sides(self):
        text = plain(PAGES["concctl-run.1"])
        self.assertRegex(text, r"--count=N\n.*Not together with --duration\.")
        self.assertRegex(text, r"--duration=TIME\n.*Not together with --count\.")

    @needs("groff")
    def test_every_exit_code_is_told(self):
        text = plain(PAGES["concctl.1"])
        for row in tables("ctl")["exit_codes"]:
            self.assertRegex(text, r"(?m)^ +%d\n +\S" % row["code"])

    @needs("groff")
    def test_every_key_of_the_configuration_is_told(self):
        text = plain(PAGES["concd.conf.5"])
        for key in tables("daemon")["keys"]:
            with self.subTest(key=key["name"]):
                self.assertIn("SECTION [%s]" % key["section"], text)
                self.assertRegex(text, r"(?m)^ +%s =$" % key["name"])
        printed = re.findall(r"(?m)^(\w+) =", harness.concd("--print-config").stdout)
        self.assertEqual(printed, re.findall(r"(?m)^ {5,8}(\w+) =$", text))

    @needs("groff")
    def test_every_option_of_the_daemon_is_told(self):
        options = re.findall(r"(?m)^  (--[a-z-]+)", harness.concd("--help").stdout)
        text = plain(PAGES["concd.8"])
        self.assertTrue(options)
        for option in options:
            self.assertRegex(text, r"(?m)^ +%s(=|$)" % option)

    @needs("groff")
    def test_every_guard_is_told_with_the_death_of_its_holder(self):
        text = plain(PAGES["concd-guards.7"])
        for guard in tables("daemon")["guards"]:
            self.assertRegex(text, r"(?m)^ +%s$" % re.escape(guard["name"]))
            self.assertIn("When its holder is killed: " + guard["death"], text)

    @needs("groff")
    def test_every_workload_and_scenario_is_told(self):
        for page, kind in ("concctl-run.1", "workloads"), ("concctl-run.1", "modes"), ("concctl-race.1", "scenarios"):
            text = plain(PAGES[page])
            for entry in tables("daemon")[kind]:
                self.assertRegex(text, r"(?m)^ +%s$" % re.escape(entry["name"]))

    @needs("groff")
    def test_every_member_of_the_workload_header_is_told(self):
        with open(TREE + "/include/concd/workload.h", encoding="utf-8") as header:
            code = re.sub(r"(?s)/\*.*?\*/", "", header.read())
        text = plain(PAGES["concd-workload.3"])
        structures = re.findall(r"(?ms)^struct (\w+) \{(.*?)^\};", code)
        self.assertEqual({"concd_param", "concd_ops", "concd_ctx", "concd_workload"}, {name for name, _ in structures})
        for name, body in structures:
            members = re.findall(r"\(\*(\w+)\)|(\w+)(?:, \w+)*;", body)
            self.assertGreaterEqual(len(members), 4)
            for member in (a or b for a, b in members):
                self.assertRegex(text, r"\b%s\b" % member, "struct " + name)
        for name in re.findall(r"(?m)^(?:#define (CONCD_[A-Z_]+) |(concd_\w+)\()", code):
            self.assertIn(name[0] or name[1], text)

    @needs("groff")
    def test_no_name_of_an_option_is_broken(self):
        for name, path in PAGES.items():
            done = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=78n", path],
                                  capture_output=True, check=True, encoding="utf-8")
            self.assertNotRegex(done.stdout, r"(?m)[‐-]$", name)
            self.assertNotRegex(done.stdout, r"(?m)[?:…]\.( |$)", name)

    @needs("groff")
    def test_groff_has_no_complaint(self):
        for name, path in PAGES.items():
            done = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z", path], capture_output=True,
                                  encoding="utf-8")
            self.assertEqual((0, ""), (done.returncode, done.stderr), name)

    @needs("mandoc")
    def test_mandoc_has_no_complaint(self):
        """But one: scdoc puts a paragraph where none is needed."""
        for name, path in PAGES.items():
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True,
                                  encoding="utf-8")
            said = [line for line in done.stdout.splitlines() if "skipping paragraph macro" not in line]
            self.assertEqual([], said, name)

    @needs("man")
    def test_man_shows_them(self):
        for path in PAGES.values():
            done = subprocess.run(["man", "-l", path], capture_output=True, encoding="utf-8",
                                  env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
            self.assertIn("NAME", done.stdout, done.stderr)
            self.assertEqual(0, done.returncode)

    def test_references_lead_to_pages(self):
        ours = {re.sub(r"(.*)\.(\d)$", r"\1(\2)", name) for name in PAGES}
        for name in PAGES:
            text = source(name)
            found = {a + b for a, b in re.findall(r"\*([a-z_.-]+)\*(\(\d\))", text)}
            self.assertTrue("# SEE ALSO" in text and found, name)
            self.assertLessEqual(found, ours | FOREIGN, name)
            for document in re.findall(r"_([A-Za-z/]+\.md)_", text):
                self.assertTrue(os.path.exists(TREE + "/" + document), document)

    def test_the_documents_they_refer_to_are_installed(self):
        with open(BUILD + "/meson-info/intro-installed.json", encoding="utf-8") as plan:
            places = {os.path.realpath(source): place for source, place in json.load(plan).items()}
        documents = glob.glob(TREE + "/docs/*.md")
        self.assertTrue(documents)
        for document in documents:
            place = places.get(os.path.realpath(document), "")
            self.assertTrue(place.endswith("/doc/concd/" + os.path.basename(document)), document)

    def test_every_page_has_its_parts(self):
        for name in PAGES:
            text = source(name)
            for part in ["# EXAMPLES", "# SEE ALSO"] + (["@EXIT_STATUS@"] if name.startswith("concctl") else []):
                self.assertIn(part, text, name)


class Examples(harness.Case):
    """The examples of the pages, as they stand there."""

    def run_block(self, text, d, folder, **environment):
        bin_folder = os.path.dirname(CONCCTL) + ":" + os.path.dirname(CONCD)
        done = subprocess.run(["bash", "-euc", text], cwd=folder, capture_output=True, encoding="utf-8",
                              timeout=4 * PATIENCE, stdin=subprocess.DEVNULL,
                              env=concctl_environment({"PATH": bin_folder + ":" + os.environ["PATH"],
                                                       "CONCD_SOCKET": d.path, "SOCKET": d.path, **environment}))
        self.assertFalse(harness.SANITIZER.search(done.stderr), done.stderr)
        return done

    def test_those_of_concctl(self):
        d = self.start()
        folder = self.folder()
        for name in sorted(os.path.basename(p)[:-4] for p in glob.glob(TREE + "/docs/man/*.scd")):
            if not name.endswith((".1", ".7")):
                continue
            for block in blocks(source(name)):
                # Long ones are made short: what is to be seen is that they are accepted.
                block = re.sub(r"--count 10{2,}k?\b", "--count 10", block).replace("1e6", "1e4")
                block = re.sub(r"(?m)^(concctl race(?!.*--trials).*)$", r"\1 --trials 5", block)
                with self.subTest(page=name, example=block):
                    if "concctl stop" in block:
                        continue
                    done = self.run_block(block, d, folder)
                    # The crash that is shown is a failure, as the page says.
                    self.assertEqual("kind=segv" in block, done.returncode, done.stderr)
        self.assertEqual({"compare.html", "two.svg"}, set(os.listdir(folder)))

    def test_stopping(self):
        d = self.start()
        block, = blocks(source("concctl-stop.1"))
        self.assertEqual(0, self.run_block(block, d, self.folder()).returncode)
        self.assertEqual(0, d.wait())

    def test_the_configuration_of_the_page_is_right(self):
        block, = blocks(source("concd.conf.5"))
        folder = self.folder()
        # Not every machine has these groups.
        block = block.replace("concd", "root").replace("sudo", "root")
        with open(folder + "/my.conf", "w", encoding="utf-8") as f:
            f.write(block)
        check, own = blocks(source("concd.8"))
        done = subprocess.run(["bash", "-c", check.replace("concd ", CONCD + " ", 1)], cwd=folder, capture_output=True)
        self.assertEqual((0, b"my.conf: correct\n"), (done.returncode, done.stdout), done.stderr)
        self.assertEqual(0, harness.concd("--check-config", *own.replace("$PWD", folder).split()[1:]).code)

    def test_the_workload_of_the_page_compiles(self):
        cc = shutil.which("cc")
        if not cc:
            self.skipTest("not installed: cc")
        code, = blocks(source("concd-workload.3"))
        for standard in "gnu11", "c11":
            done = subprocess.run([cc, "-x", "c", "-std=" + standard, "-Wall", "-Wextra", "-Wno-unused-parameter",
                                   "-Werror", "-I" + TREE + "/include", "-c", "-o", self.folder() + "/x.o", "-"],
                                  input=code, capture_output=True, encoding="utf-8")
            self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_the_workload_of_the_page_does_what_it_says(self):
        """Run by a small worker, which asks it to give up once."""
        cc = shutil.which("cc")
        if not cc:
            self.skipTest("not installed: cc")
        code, = blocks(source("concd-workload.3"))
        code += r'''
#include <stdio.h>

static int give_up(struct concd_ctx *ctx, uint32_t bits) { return CONCD_CANCELLED; }

int
main(void)
{
	static const struct concd_ops ops = {sizeof(ops), give_up, NULL, NULL};
	const int64_t values[] = {3};
	uint32_t attention = 0;
	uint64_t result = 0;
	struct concd_ctx ctx = {sizeof(ctx), 0, values, NULL, &attention, &ops};
	const struct concd_workload *w = &workload_bits;

	if (w->prepare(&ctx) != 0 || w->run(&ctx, 7, &result) != 0 || w->verify(&ctx, 7, result) != 0)
		return 1;
	attention = 1;
	printf("%d %d %d\n", (int)result, w->verify(&ctx, 7, 8), w->run(&ctx, 7, &result));
	w->cleanup(&ctx);
	return 0;
}
'''
        program = self.folder() + "/program"
        subprocess.run([cc, "-x", "c", "-I" + TREE + "/include", "-o", program, "-"], input=code, check=True,
                       encoding="utf-8")
        done = subprocess.run([program], capture_output=True, encoding="utf-8")
        self.assertEqual((0, "9 -1 -125\n"), (done.returncode, done.stdout))

    @needs("socat")
    def test_the_session_in_the_shell(self):
        d = self.start()
        block, = blocks(PROTOCOL, "sh")
        done = self.run_block(block, d, self.folder())
        reply = json.loads(done.stdout)
        self.assertEqual(("done", 1000), (reply["parameters"]["state"], reply["parameters"]["result"]["verified"]))

    def test_the_session_in_python(self):
        d = self.start()
        block, = blocks(PROTOCOL, "python")
        self.assertLessEqual(len(block.splitlines()), 25)
        done = self.run_block("exec python3 -c \"$PROGRAM\"", d, self.folder(), PROGRAM=block, PYTHONWARNINGS="ignore")
        self.assertEqual("done 5000", done.stdout.splitlines()[-1], done.stderr)
        self.assertRegex(done.stdout.splitlines()[0], r"^\d+ done$")


class Protocol(harness.Case):
    def rows(self, section, whole=False):
        """The table in a section: what its first cells name -> the cells of the row. whole: the cells as they stand."""
        text = re.search(r"(?ms)^## \d\. %s$(.*?)^## " % section, PROTOCOL)[1]
        found = {}
        for line in text.splitlines():
            cells = [c.strip() for c in line.strip("|").split("|")]
            if line.startswith("| `"):
                found[cells[0] if whole else cells[0].strip("`")] = cells
        return found

    def test_every_method_is_told_and_no_other(self):
        self.assertEqual(set(INTERFACE.methods), set(self.rows("Methods")))

    def test_what_compare_has_of_its_own_is_told(self):
        own = set(INTERFACE.methods["Compare"][0][1]) - set(INTERFACE.methods["Run"][0][1])
        self.assertIn("variants", own)
        text = re.search(r"(?ms)^## 3\. Methods$(.*?)^## ", PROTOCOL)[1]
        self.assertLessEqual(own | {"warmup"}, set(re.findall(r"`(\w+)`", text)))

    def test_the_calls_that_are_shown_are_answered(self):
        d = self.start()
        calls = [json.JSONDecoder().raw_decode(PROTOCOL[found.start():])[0]
                 for found in re.finditer(r'(?<!= )\{"method": "org', PROTOCOL)]
        self.assertEqual(["Run", "Run", "Compare"], [c["method"].rpartition(".")[2] for c in calls])
        for call in calls:
            call["parameters"] = {**call.get("parameters", {}), "count": 10}
            client = d.connect()
            client.methods.append((call["method"], call.get("more", False)))
            client.send_raw(json.dumps(call).encode() + b"\0")
            more = True
            while more:
                reply, more = client.receive()
            self.assertEqual("done", reply["state"], call)

    def test_every_error_is_told_with_its_parameters_and_exit_code(self):
        with open(TREE + "/daemon/protocol/org.varlink.service.varlink", encoding="utf-8") as f:
            standard = harness.idl.Interface(f.read())
        rows = self.rows("Errors")
        errors = {"%s.%s" % (i.name, name): fields[1] for i in (INTERFACE, standard)
                  for name, fields in i.errors.items()}
        self.assertEqual(set(errors), set(rows))
        codes = tables("ctl", *errors)["errors"] if os.path.exists(BUILD + "/docs/tables-ctl") else {}
        for name, fields in errors.items():
            self.assertEqual(list(fields), re.findall(r"`(\w+)`", rows[name][1]), name)
            if codes:
                self.assertEqual(str(codes[name]), rows[name][3], name)

    def test_every_state_is_told(self):
        comment = re.search(r"(?s)list it\. state: (.*?)\.?\ntype Job ", INTERFACE.text)[1].replace("\n#", "")
        states = re.sub(r" \([^()]*\)", "", comment).split(", ")
        self.assertIn("interrupted", states)
        told = self.rows("Jobs", whole=True)
        self.assertEqual(states, re.findall(r"`(\w+)`", " ".join(told)))

    def test_the_limits_have_their_true_defaults(self):
        config = harness.concd("--print-config").stdout
        values, section = {}, None
        for line in config.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                values["%s.%s" % (section, key.strip())] = value.strip()
        text = re.search(r"(?ms)^## 6\. Limits$(.*?)^## ", PROTOCOL)[1]
        checked = 0
        for line in text.splitlines():
            cells = [c.strip() for c in line.strip("|").split("|")]
            keys = re.findall(r"`([a-z]+\.\w+)`", cells[1]) if len(cells) == 4 else []
            for key, told in zip(keys, cells[2].split("; ") * (1 if ";" in cells[2] else len(keys)) if keys else []):
                self.assertEqual(values[key], {"none": "0"}.get(told, told), key)
                checked += 1
        self.assertEqual(12, checked)

    def test_a_known_id_attaches_and_upgrade_is_refused(self):
        """Two promises of the document that no definition of types holds."""
        d = self.start()
        first = d.call("Run", id="a" * 32, workload="nop", count=10)
        again = d.call("Run", id="a" * 32, workload="calc", count=99)
        self.assertEqual(first["result"], again["result"])
        client = d.connect()
        client.methods.append(("org.concd.Jobs", False))
        client.send_raw(b'{"method":"org.concd.Jobs","upgrade":true}\0')
        with self.assertRaises(harness.Failed) as caught:
            client.receive()
        self.assertEqual(("org.varlink.service.InvalidParameter", {"parameter": "upgrade"}),
                         (caught.exception.error, caught.exception.parameters))


if __name__ == "__main__":
    harness.main()
