#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The page and the trace of a comparison that was really measured: what a browser makes of the page, as a picture and
as a document, without script and network; and that the trace is one that others can open."""
import html.parser
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib

import harness
from harness import Daemon

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
needs_chromium = unittest.skipUnless(CHROMIUM, "no Chromium here: as root, apt-get install chromium")

MODES = ("sequential", "process", "thread", "gil")
SECTIONS = ["verdict", "rounds", "timeline", "latency", "evidence", "environment", "order", "method", "command"]
WIDTH, HEIGHT = 800, 3600
# As the page's style has them.
GROUND = {"light": (255, 255, 255), "dark": (13, 17, 23)}
RUN = {"light": (0, 114, 178), "dark": (86, 180, 233)}
LOCK = {"light": (230, 159, 0), "dark": (240, 180, 41)}


# ── the browser ──

def browse(page, folder, *arguments, theme="light"):
    """What Chromium writes, with no network, and nothing of it left behind."""
    profile = tempfile.mkdtemp(dir=folder)
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
        "--disable-sync", "--force-device-scale-factor=1", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr", "--user-data-dir=" + profile, "--window-size=%d,%d" % (WIDTH, HEIGHT),
        "--blink-settings=preferredColorScheme=%d" % (theme == "light"), *arguments, "file://" + page]
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    done = subprocess.run(command, cwd=folder, env={**environment, "HOME": folder, "XDG_RUNTIME_DIR": folder},
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=4 * harness.PATIENCE)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    messages = re.findall(r".*(?:CONSOLE|Refused to).*", done.stderr.decode(errors="replace"))
    assert not messages, messages
    return done.stdout.decode("utf-8")


def paeth(a, b, c):
    p = a + b - c
    distances = abs(p - a), abs(p - b), abs(p - c)
    return (a, b, c)[distances.index(min(distances))]


def unfilter(kind, line, above, size):
    """One line of a PNG, RFC 2083 section 6."""
    if kind == 2:
        return bytearray((x + y) & 255 for x, y in zip(line, above))
    if kind in (1, 3, 4):
        for i, x in enumerate(line):
            left = line[i - size] if i >= size else 0
            corner = above[i - size] if i >= size else 0
            guess = left if kind == 1 else (left + above[i]) // 2 if kind == 3 else paeth(left, above[i], corner)
            line[i] = (x + guess) & 255
    return line


def read_png(path):
    """(width, height, lines): each line a list of the colours of its pixels."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunk)
        elif kind == b"IDAT":
            packed += chunk
        at += 12 + length
    assert (depth, interlace) == (8, 0) and colour in (2, 6), (depth, colour, interlace)
    size = 3 if colour == 2 else 4
    raw, above, lines = zlib.decompress(packed), bytearray(width * size), []
    for y in range(height):
        begin = y * (width * size + 1)
        above = unfilter(raw[begin], bytearray(raw[begin + 1 : begin + 1 + width * size]), above, size)
        lines.append(list(zip(above[0::size], above[1::size], above[2::size])))
    return width, height, lines


class Document(html.parser.HTMLParser):
    """What is looked at in a document."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.attributes, self.labels = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.attributes += attrs
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "svg" and "aria-label" in attributes:
            self.labels.append(attributes["aria-label"])

    handle_startendtag = handle_starttag


# ── the tests ──

class Report(harness.Case):
    """One comparison for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="concd-report-")
        cls.page, cls.trace = cls.folder + "/page.html", cls.folder + "/trace.json"
        with Daemon() as daemon:
            cls.output = daemon.ctl("compare", "--count", 200, "--seed", 7341,
                                    "--report", cls.page, "--trace", cls.trace)
        assert cls.output.code == 0, cls.output
        with open(cls.page, encoding="utf-8", errors="strict") as f:
            cls.text = f.read()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def test_page_needs_nothing_else(self):
        self.assertLessEqual(os.path.getsize(self.page), 500 * 1024)
        self.assertNotIn("://", self.text)
        self.assertNotIn("<script", self.text)
        self.assertIn("default-src 'none'", self.text)
        document = Document(self.text)
        self.assertFalse({"src", "href", "srcset", "data", "action"} & {name for name, _ in document.attributes})
        self.assertFalse([name for name, _ in document.attributes if name.startswith("on")])
        self.assertFalse({"script", "link", "iframe", "object", "embed", "img", "form"} & set(document.tags))

    def test_without_a_round_it_is_said_that_there_is_no_file(self):
        with Daemon() as daemon:
            said = daemon.ctl("compare", "--modes=process,thread", "--workload=sleep", "--count=1000",
                              "--deadline=100ms", "--report", self.folder + "/none.html")
        self.assertEqual(1, said.code, said)
        self.assertIn("no round was completed: no file is written", said.stderr)
        self.assertIn("deadline", said.stderr)
        self.assertFalse(os.path.exists(self.folder + "/none.html"))

    def test_trace_is_nested(self):
        with open(self.trace, encoding="utf-8") as f:
            trace = json.load(f)
        names = {e["pid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
        self.assertEqual(list(MODES), [names[pid] for pid in sorted(names)])
        tracks = {}
        for event in trace["traceEvents"]:
            if event["ph"] == "X":
                tracks.setdefault((event["pid"], event["tid"]), []).append(
                    (round(event["ts"] * 1000), round((event["ts"] + event["dur"]) * 1000)))
        self.assertEqual(set(names), {pid for pid, _ in tracks})
        for track, events in tracks.items():
            around = []
            for begin, end in events:
                while around and around[-1] <= begin:
                    around.pop()
                self.assertTrue(begin < end and (not around or end <= around[-1]), (track, begin, end, around))
                around.append(end)
        self.assertIn("lock", {e.get("cat") for e in trace["traceEvents"]}, "the gil is waited for")

    @needs_chromium
    def test_document(self):
        document = Document(browse(self.page, self.folder, "--dump-dom"))
        self.assertEqual(SECTIONS, [i for i in document.ids if i in SECTIONS])
        self.assertEqual(1, document.tags.count("h1"))
        for mode in MODES:
            self.assertIn("%s: what each worker did over time" % mode, document.labels)
            self.assertIn("%s: how long single tasks took" % mode, document.labels)
        boxes = [label for label in document.labels if label.startswith(("Time of each round", "The same rounds"))]
        self.assertEqual(2, len(boxes))
        self.assertGreaterEqual(document.tags.count("circle"), 2 * 4 * 10, "a dot for each round")
        self.assertEqual(document.tags.count("svg"), len(document.labels) + 4, "all but the legend's have a label")

    def look(self, theme):
        shot = self.folder + "/%s.png" % theme
        browse(self.page, self.folder, "--screenshot=" + shot, theme=theme)
        width, height, lines = read_png(shot)
        self.assertEqual((WIDTH, HEIGHT), (width, height))
        seen = {}
        for line in lines:
            for colour in line:
                seen[colour] = seen.get(colour, 0) + 1
        self.assertEqual(GROUND[theme], max(seen, key=seen.get), "most of it is ground")
        self.assertLess(seen[GROUND[theme]], 0.98 * width * height, "the page is blank")
        self.assertGreater(len(seen), 50, "it has text, whose edges are smooth")
        self.assertGreater(seen.get(RUN[theme], 0), 2000, "workers run")
        self.assertGreater(seen.get(LOCK[theme], 0), 200, "the gil's workers wait")
        return lines

    @needs_chromium
    def test_light_picture(self):
        lines = self.look("light")
        # The convoy: there is a line in which running and waiting for the lock take turns.
        turns = 0
        for line in lines:
            kinds = [c for c in line if c in (RUN["light"], LOCK["light"])]
            turns = max(turns, sum(a != b for a, b in zip(kinds, kinds[1:])))
        self.assertGreaterEqual(turns, 8)

    @needs_chromium
    def test_dark_picture(self):
        self.look("dark")


if __name__ == "__main__":
    harness.main()
