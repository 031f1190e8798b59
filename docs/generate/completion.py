#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""completion.py bash|zsh|fish concctl|concd TABLES-CTL.json TABLES-DAEMON.json CONCD-HELP.txt: completion for a shell.

All words stand in the script: completing asks no daemon, so it starts none. The one exception are the ids of jobs:
`concctl jobs` asks a daemon that runs and never starts one.
"""
import json
import re
import sys

# What the daemon accepts and no table of it names.
LIBC = ["threaded", "native"]
KINDS = ["workload", "mode", "spawn", "scenario", "guard", "barrier"]


def names(rows):
    return [row["name"] for row in rows]


def pairs(entry):
    """KEY= for each parameter, KEY=CHOICE where there are choices."""
    return [word for p in entry["params"]
            for word in (["%s=%s" % (p["name"], c) for c in p["choices"]] or [p["name"] + "="])]


class Value:
    """How the value of an option, or an operand, is completed. kind: none, words, list (words, with commas between
    them), files, jobs, params (of the workload or the scenario that `words` says), vary (words, and the
    parameters of the workload)."""

    def __init__(self, kind="none", words=()):
        self.kind, self.words = kind, list(words)


class Tables:
    def __init__(self, ctl, daemon, concd_help):
        self.commands, self.daemon = ctl["commands"], daemon
        rows = re.findall(r"(?m)^  (--[a-z-]+)(?:=(\S+))? +(.+)$", concd_help)
        self.concd = [{"name": name[2:], "value": value or None, "help": text} for name, value, text in rows
                      if name != "--help"]
        self.keys = ["%s.%s" % (k["section"], k["name"]) for k in daemon["keys"]]
        self.everything = [n for k in KINDS for n in names(daemon[k + "s"])]

    def named_by(self, command, name):
        """The words that an option or a field of this name takes; None: not a word of a list."""
        known = {
            "mode": names(m for m in self.daemon["modes"] if command != "race" or m["races"]),
            "workload": names(self.daemon["workloads"]),
            "spawn": names(self.daemon["spawns"]),
            "scenario": names(self.daemon["scenarios"]),
            "guard": names(self.daemon["guards"]),
            "barrier": names(self.daemon["barriers"]),
            "hold": names(self.daemon["holds"]),
            "libc": LIBC,
            "kind": [k + "s" for k in KINDS],
        }
        return known.get(name)

    def vary_keys(self, option):
        """The options that --vary takes are those that its help puts in brackets."""
        return re.search(r"\(([a-z, ]+)\)", option["help"])[1].split(", ")

    def of_option(self, command, o):
        words = self.named_by(command, o["name"])
        if not o["value"]:
            return None
        if words:
            return Value("words", words)
        if o["name"] == "modes":
            return Value("list", self.named_by(command, "mode"))
        if o["name"] == "vary":
            return Value("vary", self.vary_keys(o))
        if o["name"] == "param":
            return Value("params", ["scenario" if command == "race" else "workload"])
        if o["name"] == "id":
            return Value("jobs")
        return Value("files" if re.match("FILE|PATH", o["value"]) else "none")

    def of_operand(self, command, p):
        if p["name"] == "COMMAND":
            return Value("words", names(self.commands))
        if p["name"] == "ID":
            return Value("jobs")
        if command == "describe":
            return Value("words", self.everything)
        return Value("words", self.named_by(command, p["field"]) or [])

    def of_concd(self, o):
        if not o["value"]:
            return None
        if o["name"] == "set":
            return Value("words", [k + "=" for k in self.keys])
        return Value("files" if o["value"] in ("FILE", "PATH") else "none")

    def params(self):
        """name of a workload or scenario -> its words for --param."""
        return {e["name"]: pairs(e) for e in self.daemon["workloads"] + self.daemon["scenarios"] if e["params"]}


# ── bash ──

BASH = r'''
# Bash cuts words at "=": here they are put together again, up to the cursor, in `line`; `cut` is how much of the last
# one bash does not count as the word to complete.
__@ME@_line() {
    local i word
    line=() cut=0
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && [[ $word == = || ${COMP_WORDS[i - 1]} == = ]]; then
            line[${#line[@]} - 1]+=$word
        else
            line+=("$word")
        fi
    done
    word=${COMP_WORDS[COMP_CWORD]}
    last=${line[${#line[@]} - 1]}
    [[ $word != = ]] || word=
    cut=$((${#last} - ${#word}))
}

# What begins with $2, of the words $1; $3 is put before each.
__@ME@_offer() {
    local word
    for word in $1; do
        [[ $word != "$2"* ]] || COMPREPLY+=("${3-}$word")
    done
}

# After all was offered: what bash has already is cut off, and after "=" there is no blank.
__@ME@_finish() {
    local i
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]:cut}
    done
    [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

# Files that begin with $1; $2 is put before each.
__@ME@_files() {
    local file
    compopt -o filenames 2>/dev/null
    while IFS= read -r file; do
        COMPREPLY+=("$2$file")
    done < <(compgen -f -- "$1")
}
'''

BASH_CTL = r'''
# The value of the last option $2 in the line (--option=value or --option value), or $1.
__concctl_given() {
    local i value=$1
    for ((i = 2; i < ${#line[@]}; i++)); do
        case ${line[i]} in
        "$2"=*) value=${line[i]#*=} ;;
        "$2") value=${line[i + 1]-} ;;
        esac
    done
    printf '%s' "$value"
}

# The first word after the command that is a scenario.
__concctl_scenario() {
    local i
    for ((i = 2; i < ${#line[@]} - 1; i++)); do
        [[ " @SCENARIOS@ " != *" ${line[i]} "* || ${line[i - 1]} == --* && ${line[i - 1]} != *=* ]] || break
    done
    ((i < ${#line[@]} - 1)) && printf '%s' "${line[i]}" || __concctl_given '@SCENARIO@' --scenario
}

__concctl_params() {
    case $1 in
@PARAMS@
    esac
}

# Asks a daemon that runs; starts none.
__concctl_jobs() {
    local socket
    socket=$(__concctl_given '' --socket)
    concctl jobs ${socket:+--socket="$socket"} 2>/dev/null | sed -n 's/^\([0-9a-f]\{12,\}\) .*/\1/p'
}

# Completes the value $3 of the option $2 of the command $1; $4 is put before it.
__concctl_value() {
    local before=${4-} value=$3 words=
    case $1$2 in
@VALUES@
    *) return 1 ;;
    esac
    case $kind in
    words) __concctl_offer "$words" "$value" "$before" ;;
    list) __concctl_list "$words" "$value" "$before" ;;
    files) __concctl_files "$value" "$before" ;;
    jobs) __concctl_offer "$(__concctl_jobs)" "$value" "$before" ;;
    workload) __concctl_offer "$(__concctl_params "$(__concctl_given '@WORKLOAD@' --workload)")" "$value" "$before" ;;
    scenario) __concctl_offer "$(__concctl_params "$(__concctl_scenario)")" "$value" "$before" ;;
    vary) __concctl_vary "$words" "$value" "$before" ;;
    esac
}

# Words with commas between them, each once.
__concctl_list() {
    local done= left= word
    [[ $2 != *,* ]] || done=${2%,*},
    for word in $1; do
        [[ ,$done == *",$word,"* ]] || left+=" $word"
    done
    __concctl_offer "$left" "${2##*,}" "${3-}$done"
}

__concctl_vary() {
    local words= kind= word
    if [[ $2 != *=* ]]; then
        for word in $1 $(__concctl_params "$(__concctl_given '@WORKLOAD@' --workload)"); do
            [[ " $words " == *" ${word%%=*}= "* ]] || words+=" ${word%%=*}="
        done
        __concctl_offer "$words" "$2" "$3"
        return
    fi
    case ${2%%=*} in
@VARIES@
    esac
    __concctl_list "$words" "${2#*=}" "$3${2%%=*}="
}

_concctl() {
    local last cut words= kind= options= operand=none command=${COMP_WORDS[1]-}
    local -a line
    COMPREPLY=()
    __concctl_line
    if ((COMP_CWORD == 1)); then
        __concctl_offer '@COMMANDS@ --help --version' "$last"
        return
    fi
    case $command in
@OPTIONS@
    esac
    if [[ $last == --*=* ]]; then
        __concctl_value "$command" "${last%%=*}" "${last#*=}" "${last%%=*}="
    elif __concctl_value "$command" "${line[${#line[@]} - 2]}" "$last"; then
        :
    elif [[ $last == -* ]]; then
        __concctl_offer "$options" "$last"
    else
        case $operand in
        words) __concctl_offer "$words" "$last" ;;
        jobs) __concctl_offer "$(__concctl_jobs)" "$last" ;;
        esac
    fi
    __concctl_finish
}
complete -F _concctl concctl
'''

BASH_CONCD = r'''
_concd() {
    local last cut option before=
    local -a line
    COMPREPLY=()
    __concd_line
    option=${line[${#line[@]} - 2]}
    if [[ $last == --*=* ]]; then
        option=${last%%=*} before=${last%%=*}=
    fi
    case $option in
@VALUES@
    *) __concd_offer '@OPTIONS@' "$last" ;;
    esac
    __concd_finish
}
complete -F _concd concd
'''


def joined(words):
    return " ".join(words)


def option_words(options):
    """The options as they begin a word: those that take a value with their "="."""
    return joined("--%s%s" % (o["name"], "=" if o["value"] else "") for o in options) + " --help"


def bash_value(value):
    if value.kind == "params":
        return "kind=" + value.words[0]
    return "kind=%s" % value.kind + (" words='%s'" % joined(value.words) if value.words else "")


def bash_concctl(t):
    values, options, varies = [], [], []
    for c in t.commands:
        for o in c["options"]:
            value = t.of_option(c["name"], o)
            if value:
                values.append("    %s--%s) %s ;;" % (c["name"], o["name"], bash_value(value)))
            if o["name"] == "vary":
                varies += ["    %s) words='%s' ;;" % (k, joined(t.named_by(c["name"], k))) for k in t.vary_keys(o)
                           if t.named_by(c["name"], k)]
        line = "options='%s'" % option_words(c["options"])
        for p in c["operands"][:1]:
            value = t.of_operand(c["name"], p)
            line += " operand=%s words='%s'" % (value.kind, joined(value.words))
        options.append("    %s) %s ;;" % (c["name"], line))
    params = ["    %s) printf '%%s' '%s' ;;" % (name, joined(words)) for name, words in t.params().items()]
    text = BASH.replace("@ME@", "concctl") + BASH_CTL
    for name, by in (("PARAMS", "\n".join(params)), ("VALUES", "\n".join(values)), ("OPTIONS", "\n".join(options)),
                     ("VARIES", "\n".join(varies)), ("COMMANDS", joined(names(t.commands))),
                     ("SCENARIOS", joined(names(t.daemon["scenarios"]))),
                     ("WORKLOAD", t.daemon["workloads"][0]["name"]), ("SCENARIO", t.daemon["scenarios"][0]["name"])):
        text = text.replace("@%s@" % name, by)
    return text


def bash_concd(t):
    values = []
    for o in t.concd:
        value = t.of_concd(o)
        if value:
            do = {"words": "__concd_offer '%s' \"${last#\"$before\"}\" \"$before\"" % joined(value.words),
                  "files": "__concd_files \"${last#\"$before\"}\" \"$before\"", "none": ":"}[value.kind]
            values.append("    --%s) %s ;;" % (o["name"], do))
    return (BASH.replace("@ME@", "concd") + BASH_CONCD.replace("@VALUES@", "\n".join(values))
            .replace("@OPTIONS@", option_words(t.concd)))


# ── zsh ──

ZSH_CTL = r'''
# The value of the last option $1 in the line, or $2.
_concctl_given() {
    local i value=$2
    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
        $1=*) value=${words[i]#*=} ;;
        $1) value=$words[i+1] ;;
        esac
    done
    print -r -- $value
}

# The words for --param of the workload or scenario $1, in `reply`.
_concctl_pairs() {
    local -A known=(
@PARAMS@
    )
    reply=(${=known[$1]})
}

_concctl_params() {
    local of word
    local -a reply
    if [[ $1 == workload ]]; then
        of=$(_concctl_given --workload @WORKLOAD@)
    else
        of=$(_concctl_given --scenario @SCENARIO@)
        for word in $words[2,CURRENT-1]; do
            [[ $word == (@SCENARIOS@) ]] && of=$word && break
        done
    fi
    _concctl_pairs $of
    compadd -S '' -- $reply
}

# Asks a daemon that runs; starts none.
_concctl_jobs() {
    local socket=$(_concctl_given --socket '')
    local -a ids=(${(f)"$(concctl jobs ${socket:+--socket=$socket} 2>/dev/null |
        sed -n 's/^\([0-9a-f]\{12,\}\) .*/\1/p')"})
    compadd -- $ids
}

# Words with commas between them, each once.
_concctl_list() {
    local word
    local -a left
    compset -P '*,'
    for word in $@; do
        [[ ,${IPREFIX##*=} == *,$word,* ]] || left+=$word
    done
    compadd -S '' -- $left
}

_concctl_vary() {
    local -a reply
    if ! compset -P '*='; then
        _concctl_pairs "$(_concctl_given --workload @WORKLOAD@)"
        compadd -S '=' -- @KEYS@ ${(u)${reply%%=*}}
        return
    fi
    case $IPREFIX in
@VARIES@
    esac
}

_concctl() {
    local curcontext=$curcontext state line
    local -a commands=(
@COMMANDS@
    )
    if ((CURRENT == 2)); then
        _describe -t commands 'command of concctl' commands
        compadd -- --help --version
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    case $command in
@OPTIONS@
    esac
}

if [[ $funcstack[1] == _concctl ]]; then
    _concctl "$@"
else
    compdef _concctl concctl
fi
'''


def zsh_quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def zsh_help(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def zsh_action(value):
    return {"none": " ", "words": "(%s)" % joined(value.words), "files": "_files", "jobs": " _concctl_jobs",
            "params": " _concctl_params %s" % joined(value.words), "list": " _concctl_list %s" % joined(value.words),
            "vary": " _concctl_vary"}[value.kind]


def zsh_option(o, value, excluded):
    spec = "*" if o.get("repeatable") else "(%s)" % joined("--" + n for n in [o["name"], *excluded])
    spec += "--%s%s[%s]" % (o["name"], "=" if value else "", zsh_help(o["help"]))
    if value:
        spec += ":%s:%s" % (zsh_help(o["value"]), zsh_action(value))
    return zsh_quote(spec)


def zsh_concctl(t):
    commands = ["        " + zsh_quote("%s:%s" % (c["name"], c["summary"])) for c in t.commands]
    options, varies, keys = [], [], []
    for c in t.commands:
        specs = []
        for o in c["options"]:
            excluded = [x["name"] for x in c["options"]
                        if x["name"] == o["excludes"] or x["excludes"] == o["name"]]
            specs.append(zsh_option(o, t.of_option(c["name"], o), excluded))
            if o["name"] == "vary":
                keys = t.vary_keys(o)
                varies += ["    *%s=) _concctl_list %s ;;" % (k, joined(t.named_by(c["name"], k))) for k in keys
                           if t.named_by(c["name"], k)]
        specs.append(zsh_quote("--help[this text]"))
        for i, p in enumerate(c["operands"], 1):
            specs.append(zsh_quote("%d:%s:%s" % (i, p["name"], zsh_action(t.of_operand(c["name"], p)))))
        options.append("    %s)\n        _arguments \\\n            %s\n        ;;" % (
            c["name"], " \\\n            ".join(specs)))
    params = ["        %s %s" % (name, zsh_quote(joined(words))) for name, words in t.params().items()]
    text = "#compdef concctl\n" + ZSH_CTL
    for name, by in (("PARAMS", "\n".join(params)), ("OPTIONS", "\n".join(options)), ("VARIES", "\n".join(varies)),
                     ("COMMANDS", "\n".join(commands)), ("KEYS", joined(keys)),
                     ("SCENARIOS", "|".join(names(t.daemon["scenarios"]))),
                     ("WORKLOAD", t.daemon["workloads"][0]["name"]), ("SCENARIO", t.daemon["scenarios"][0]["name"])):
        text = text.replace("@%s@" % name, by)
    return text


def zsh_concd(t):
    specs = []
    for o in t.concd:
        value = t.of_concd(o)
        spec = "*" if o["name"] == "set" else ""
        spec += "--%s%s[%s]" % (o["name"], "=" if value else "", zsh_help(o["help"]))
        if value and value.kind == "words":
            spec += ":%s: compadd -S '' -- %s" % (zsh_help(o["value"]), joined(value.words))
        elif value:
            spec += ":%s:%s" % (zsh_help(o["value"]), zsh_action(value))
        specs.append(zsh_quote(spec))
    return "#compdef concd\n\n_arguments \\\n    %s\n" % " \\\n    ".join(specs + [zsh_quote("--help[this text]")])


# ── fish ──

FISH_CTL = r'''
function __concctl_command
    set -l words (commandline -opc)
    set -q words[2]; and echo $words[2]
end

function __concctl_is
    test "$(__concctl_command)" = $argv[1]
end

function __concctl_has_none
    set -l words (commandline -opc)
    not set -q words[2]
end

# The value of the last option $argv[1] in the line, or $argv[2].
function __concctl_given
    set -l words (commandline -opc)
    set -l value $argv[2]
    for i in (seq (count $words))
        if string match -q -- "$argv[1]=*" $words[$i]
            set value (string replace -- "$argv[1]=" '' $words[$i])
        else if test "$words[$i]" = $argv[1]; and set -q words[(math $i + 1)]
            set value $words[(math $i + 1)]
        end
    end
    echo $value
end

function __concctl_params
    set -l of
    if test $argv[1] = workload
        set of (__concctl_given --workload @WORKLOAD@)
    else
        set of (__concctl_given --scenario @SCENARIO@)
        for word in (commandline -opc)[3..]
            if contains -- $word @SCENARIOS@
                set of $word
                break
            end
        end
    end
    switch $of
@PARAMS@
    end
end

# Asks a daemon that runs; starts none.
function __concctl_jobs
    set -l socket (__concctl_given --socket '')
    if test -n "$socket"
        set socket --socket=$socket
    end
    concctl jobs $socket 2>/dev/null | string replace -rf '^([0-9a-f]{12,}) .*' '$1'
end

# What of the value in the word at the cursor stands there already.
function __concctl_begun
    commandline -ct | string replace -r '^--[a-z-]+=' ''
end

# Words with commas between them, each once.
function __concctl_list
    set -l begun (__concctl_begun | string match -r '^.*[,=]')
    set -l done (string replace -r '^.*=' '' -- "$begun" | string split ,)
    for word in $argv
        contains -- $word $done; or echo "$begun$word"
    end
end

function __concctl_vary
    switch (__concctl_begun)
@VARIES@
    case '*'
        printf '%s=\n' @KEYS@
        __concctl_params workload | string replace -r '=.*' '=' | sort -u
    end
end

complete -c concctl -f
complete -c concctl -n __concctl_has_none -l help -d 'Tell about the commands'
complete -c concctl -n __concctl_has_none -l version -d 'Print the version of concctl'
'''


def fish_quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_words(value):
    return {"words": joined(value.words), "list": "(__concctl_list %s)" % joined(value.words),
            "jobs": "(__concctl_jobs)", "params": "(__concctl_params %s)" % joined(value.words),
            "vary": "(__concctl_vary)"}[value.kind]


def fish_option(head, o, value):
    line = "%s -l %s -d %s" % (head, o["name"], fish_quote(o["help"]))
    if not value:
        return line
    if value.kind == "files":
        return line + " -rF"
    return line + " -x" + ("" if value.kind == "none" else " -a " + fish_quote(fish_words(value)))


def fish_concctl(t):
    lines, varies, keys = [], [], []
    for c in t.commands:
        lines.append("complete -c concctl -n __concctl_has_none -a %s -d %s" % (c["name"], fish_quote(c["summary"])))
        head = "complete -c concctl -n '__concctl_is %s'" % c["name"]
        for o in c["options"]:
            lines.append(fish_option(head, o, t.of_option(c["name"], o)))
            if o["name"] == "vary":
                keys = t.vary_keys(o)
                varies += ["    case '%s=*'\n        __concctl_list %s" % (k, joined(t.named_by(c["name"], k)))
                           for k in keys if t.named_by(c["name"], k)]
        lines.append(head + " -l help -d 'this text'")
        for p in c["operands"][:1]:
            lines.append(head + " -a " + fish_quote(fish_words(t.of_operand(c["name"], p))))
    params = ["        case %s\n            printf '%%s\\n' %s" % (n, joined(w)) for n, w in t.params().items()]
    text = FISH_CTL
    for name, by in (("PARAMS", "\n".join(params)), ("VARIES", "\n".join(varies)), ("KEYS", joined(keys)),
                     ("SCENARIOS", joined(names(t.daemon["scenarios"]))),
                     ("WORKLOAD", t.daemon["workloads"][0]["name"]), ("SCENARIO", t.daemon["scenarios"][0]["name"])):
        text = text.replace("@%s@" % name, by)
    return text + "\n".join(lines) + "\n"


def fish_concd(t):
    return "\n".join(["complete -c concd -f"] + [fish_option("complete -c concd", o, t.of_concd(o)) for o in t.concd]
                     + ["complete -c concd -l help -d 'print this'"]) + "\n"


MAKERS = {("bash", "concctl"): bash_concctl, ("bash", "concd"): bash_concd, ("zsh", "concctl"): zsh_concctl,
          ("zsh", "concd"): zsh_concd, ("fish", "concctl"): fish_concctl, ("fish", "concd"): fish_concd}


def main():
    shell, program = sys.argv[1:3]
    with open(sys.argv[3], encoding="utf-8") as ctl, open(sys.argv[4], encoding="utf-8") as daemon:
        tables = json.load(ctl), json.load(daemon)
    with open(sys.argv[5], encoding="utf-8") as f:
        t = Tables(*tables, f.read())
    text = MAKERS[shell, program](t)
    first = "" if not text.startswith("#compdef") else text[: text.index("\n") + 1]
    print("%s# Completion of %s for %s, made from its tables when it was built." % (first, program, shell))
    print(text.removeprefix(first).lstrip("\n"), end="")


main()
