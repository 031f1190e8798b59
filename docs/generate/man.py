#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""man.py SCDOC TABLES-CTL.json TABLES-DAEMON.json CONCD-HELP.txt PAGE.scd: the manual page, with what the tables know.

A line @WORD@ of a page stands for a part that a table makes: PARTS below. Everything else is taken as it is. SCDOC,
which is scdoc(1), makes the manual page of it.
"""
import json
import os
import re
import subprocess
import sys


def escape(text):
    """Text of a table as scdoc wants it: none of its signs is markup."""
    text = re.sub(r"([\\*_`#~^\[\]|<>])", r"\\\1", text)
    return re.sub(r"(?m)^([-.;!|\[\]+'])", r"\\\1", text)


def sentence(text, words=()):
    """The fragments of the tables, as sentences. What begins with one of the words it explains, or of `words`, stays
    small."""
    if not re.match(r"--|\S+( \(default\))?:", text) and re.match(r"[\w-]*", text)[0] not in words:
        text = text[0].upper() + text[1:]
    return escape(text) + ("" if text[-1] in ".?…" else ".")


def either(words):
    """a, b or c."""
    return " or ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def short(text):
    """Long round numbers, as they may be written, too."""
    return re.sub(r"\b10{6,}\b", lambda found: "1e%d" % (len(found[0]) - 1), text)


def inline(text):
    """A fragment within a sentence."""
    return escape(text[0].lower() + text[1:] if text[1:2].islower() else text)


def term(head, *paragraphs):
    """A definition: its head, and paragraphs set in."""
    return "%s\n%s\n" % (head, "\n".join("\t%s\n" % p for p in paragraphs))


class Tables:
    def __init__(self, ctl, daemon, concd_help, page):
        self.ctl, self.daemon, self.concd_help = ctl, daemon, concd_help
        self.name, self.section = re.fullmatch(r"([a-z.-]+)\((\d)\)", page).groups()
        self.commands = {c["name"]: c for c in ctl["commands"]}

    @property
    def command(self):
        return self.commands[self.name.removeprefix("concctl-")]

    # ── concctl ──

    def name_of_command(self):
        return "# NAME\n\n%s - %s\n" % (self.name, inline(self.command["summary"]))

    def synopsis(self):
        words = ["[" + escape(p["name"]).join("__") + "]" if p["optional"] else escape(p["name"]).join("__")
                 for p in self.command["operands"]]
        return "# SYNOPSIS\n\n*concctl %s* [_OPTION_]… %s\n" % (self.command["name"], " ".join(words))

    def arguments(self):
        return "# ARGUMENTS\n\n" + "".join(
            term(escape(p["name"]).join("__"), sentence(p["help"])) for p in self.command["operands"])

    def excluded(self, option):
        """The options that contradict this one; the table says it at one of the two."""
        names = {option["excludes"]} if option["excludes"] else set()
        names |= {o["name"] for o in self.command["options"] if o["excludes"] == option["name"]}
        return [o["name"] for o in self.command["options"] if o["name"] in names]

    def words(self):
        """What options choose from."""
        return {row["name"] for kind in ("modes", "spawns", "barriers", "holds") for row in self.daemon[kind]}

    def options(self):
        text = "# OPTIONS\n\nThe value of an option may also stand in the next word: *--option* _value_.\n\n"
        for o in self.command["options"]:
            head = "*--%s*" % o["name"] + ("=" + escape(o["value"]).join("__") if o["value"] else "")
            notes = [sentence(o["help"], self.words())]
            if self.excluded(o):
                notes.append("Not together with %s." % either(["*--%s*" % n for n in self.excluded(o)]))
            text += term(head, " ".join(notes))
        return text + term("*--help*", "Print a short description.")

    def exit_status(self):
        return "# EXIT STATUS\n\n" + "".join(
            term("*%d*" % row["code"], sentence(row["meaning"])) for row in self.ctl["exit_codes"])

    def overview(self):
        return "# COMMANDS\n\n" + "".join(
            term("*concctl-%s*(1)" % c["name"], sentence(c["summary"])) for c in self.ctl["commands"])

    # ── concd ──

    def concd_options(self):
        rows = re.findall(r"(?m)^  (--[a-z-]+)(?:=(\S+))? +(.+)$", self.concd_help)
        if not rows:
            sys.exit("man.py: concd --help names no options")
        return "# OPTIONS\n\n" + "".join(
            term("*%s*" % name + ("=" + escape(value).join("__") if value else ""), sentence(text))
            for name, value, text in rows)

    def config_keys(self):
        text, section = "", None
        for key in self.daemon["keys"]:
            if key["section"] != section:
                section = key["section"]
                text += "# SECTION [%s]\n\n" % section
            text += term("*%s* =" % escape(key["name"]), sentence(key["help"]),
                         "Allowed: %s. Default: %s. %s" % (
                             short(escape(key["range"])), escape(key["default"]) or "empty",
                             "SIGHUP applies it." if key["live"] else "Needs a restart."))
        return text

    def guards(self):
        """Each guard: what it is, what it keeps out, what the death of its holder does."""
        text = ""
        for g in self.daemon["guards"]:
            keeps = []
            if g["permits_max"] > 1:
                keeps.append("at most as many holders at a time as it has permits, 1 to %d; with one permit it excludes"
                             % g["permits_max"])
            elif g["excludes"]:
                keeps.append("one holder at a time")
            if g["shares"]:
                keeps.append("readers may hold it together")
            if g["atomic"]:
                keeps.append("each single step is indivisible, but not two of them together; nothing is held")
            modes = "between threads only" if g["threads_only"] else "between processes and between threads"
            text += term("*%s*" % escape(g["name"]), sentence(g["summary"]),
                         "Protects: %s; %s." % ("; ".join(keeps) or "nothing", modes),
                         "When its holder is killed: %s." % escape(g["death"]))
        return text

    def entries(self, kind, unit=False):
        text = ""
        for i, e in enumerate(self.daemon[kind]):
            notes = [sentence(e["summary"])]
            if unit:
                notes[0] += " One task is one %s." % escape(e["unit"])
            for p in e.get("params", []):
                allowed = ", ".join(p["choices"]) or "%d to %d%s" % (p["min"], p["max"],
                                                                    " " + p["unit"] if p["unit"] else "")
                notes.append("_%s_: %s (%s; default %s)" % (escape(p["name"]), escape(p["summary"]), escape(allowed),
                                                           escape(p["default"])))
            text += term("*%s*" % escape(e["name"]), *notes)
        return text


PARTS = {
    "NAME": Tables.name_of_command,
    "SYNOPSIS": Tables.synopsis,
    "ARGUMENTS": Tables.arguments,
    "OPTIONS": Tables.options,
    "EXIT_STATUS": Tables.exit_status,
    "COMMANDS": Tables.overview,
    "CONCD_OPTIONS": Tables.concd_options,
    "CONFIG_KEYS": Tables.config_keys,
    "GUARDS": Tables.guards,
    "WORKLOADS": lambda t: t.entries("workloads", unit=True),
    "MODES": lambda t: t.entries("modes"),
    "SPAWNS": lambda t: t.entries("spawns"),
    "BARRIERS": lambda t: t.entries("barriers"),
    "SCENARIOS": lambda t: t.entries("scenarios"),
}


def main():
    scdoc, ctl, daemon, concd_help, page = sys.argv[1:]
    with open(ctl, encoding="utf-8") as f, open(daemon, encoding="utf-8") as g:
        tables = json.load(f), json.load(g)
    with open(concd_help, encoding="utf-8") as f:
        concd_help = f.read()
    with open(page, encoding="utf-8") as f:
        title, _, text = f.read().partition("\n")
    if os.path.basename(page) != re.sub(r"\((\d)\)$", r".\1.scd", title):
        sys.exit("%s: its first line is not its name" % page)
    t = Tables(*tables, concd_help, title)

    def part(found):
        if found[1] not in PARTS:
            sys.exit("%s: no part is called @%s@; there are %s" % (page, found[1], ", ".join(PARTS)))
        return PARTS[found[1]](t).rstrip("\n")

    text = '%s "concd %s" "Manual of concd"\n' % (title, tables[0]["version"]) + re.sub(
        r"(?m)^@([A-Z_]+)@$", part, text)
    done = subprocess.run([scdoc], input=text, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    # Names, which are bold, and options are not broken: neither by hyphenation, which scdoc switches off in front of
    # .TH and .TH on again, nor behind a hyphen of their own; and that is the one that shells take.
    text = re.sub(r"(?m)^\.TH .*$", r"\g<0>\n.nh\n.ad l", done.stdout, count=1)
    print(re.sub(r"\\fB.*?\\fR|(?<!-)--[a-z][a-z-]*", lambda name: name[0].replace("-", r"\-"), text), end="")
    sys.exit(done.returncode)


main()
