# SPDX-License-Identifier: MIT
"""Reads a Varlink interface definition, and tells whether a value fits a type of it.

Written from the specification and apart from the daemon's own reader, so that a mistake in either shows. Stricter than
the wire needs: a reply may hold no field that the definition does not name, and lack none that is not nullable.
"""
import re

TOKEN = re.compile(r"\s+|#[^\n]*|\[string\]|\[\]|->|[A-Za-z][A-Za-z0-9_.-]*|[():,?]")
BASIC = {"bool", "int", "float", "string", "object"}


class Malformed(Exception):
    pass


class Interface:
    """name, text, and what it declares: types, methods (input, output), errors, each by name."""

    def __init__(self, text):
        self.text = text
        self.types, self.methods, self.errors = {}, {}, {}
        self._tokens = self._split(text)
        self._expect("interface")
        self.name = self._next()
        while self._tokens:
            word, name = self._next(), self._next()
            if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
                raise Malformed("bad name %s" % name)
            if name in self.types or name in self.methods or name in self.errors:
                raise Malformed("%s is declared twice" % name)
            if word == "type":
                self.types[name] = self._type()
            elif word == "error":
                self.errors[name] = self._type()
            elif word == "method":
                takes = self._type()
                self._expect("->")
                self.methods[name] = (takes, self._type())
            else:
                raise Malformed("unexpected %s" % word)
        for kind in list(self.types.values()) + list(self.errors.values()) + [t for m in self.methods.values() for t in m]:
            self._resolve(kind)

    def _split(self, text):
        tokens, at = [], 0
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise Malformed("bad character %r" % text[at])
            if not found[0][0].isspace() and found[0][0] != "#":
                tokens.append(found[0])
            at = found.end()
        return tokens

    def _next(self):
        if not self._tokens:
            raise Malformed("ends too early")
        return self._tokens.pop(0)

    def _expect(self, token):
        found = self._next()
        if found != token:
            raise Malformed("%s instead of %s" % (found, token))

    def _type(self):
        token = self._next()
        if token == "?":
            return ("nullable", self._type())
        if token == "[]":
            return ("array", self._type())
        if token == "[string]":
            return ("map", self._type())
        if token != "(":
            return ("basic", token) if token in BASIC else ("named", token)
        fields, names = {}, []
        while self._tokens and self._tokens[0] != ")":
            name = self._next()
            if not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name):
                raise Malformed("bad field %s" % name)
            if name in fields or name in names:
                raise Malformed("field %s is declared twice" % name)
            if self._tokens[0] == ":":
                self._next()
                fields[name] = self._type()
            else:
                names.append(name)
            if self._tokens[0] != ")":
                self._expect(",")
        self._expect(")")
        if fields and names:
            raise Malformed("a struct that is an enum")
        return ("enum", names) if names else ("struct", fields)

    def _resolve(self, kind):
        if kind[0] == "named" and kind[1] not in self.types:
            raise Malformed("%s is not declared" % kind[1])
        if kind[0] in ("nullable", "array", "map"):
            self._resolve(kind[1])
        if kind[0] == "struct":
            for inner in kind[1].values():
                self._resolve(inner)

    def problems(self, kind, value, path=""):
        """One sentence for each thing in which the value does not fit the type."""
        form, of = kind
        here = path or "the whole"
        if form == "nullable":
            return [] if value is None else self.problems(of, value, path)
        if form == "named":
            return self.problems(self.types[of], value, path)
        if form == "basic":
            fits = {
                "bool": isinstance(value, bool),
                "int": isinstance(value, int) and not isinstance(value, bool) and -2**63 <= value < 2**63,
                "float": isinstance(value, (int, float)) and not isinstance(value, bool),
                "string": isinstance(value, str),
                "object": isinstance(value, dict),
            }[of]
            return [] if fits else ["%s is %r and not %s" % (here, value, of)]
        if form == "enum":
            return [] if value in of else ["%s is %r and not one of %s" % (here, value, ", ".join(of))]
        if form == "array":
            if not isinstance(value, list):
                return ["%s is no array" % here]
            return [p for i, v in enumerate(value) for p in self.problems(of, v, "%s[%d]" % (path, i))]
        if not isinstance(value, dict):
            return ["%s is no object" % here]
        if form == "map":
            return [p for k, v in value.items() for p in self.problems(of, v, "%s.%s" % (path, k))]
        found = ["%s has a field %s that is not declared" % (here, name) for name in value if name not in of]
        for name, inner in of.items():
            where = "%s.%s" % (path, name) if path else name
            if name in value:
                found += self.problems(inner, value[name], where)
            elif inner[0] != "nullable":
                found.append("%s is missing" % where)
        return found

    def signature(self):
        """All that is declared, without comments, order of declarations and layout: to compare two texts."""
        return (self.name, self.types, self.methods, self.errors)
