# SPDX-License-Identifier: MIT
"""From the start of concd to its first answer, with 8 process workers."""
import json
import os
import socket
import statistics
import time

import measure
from measure import harness

WORKERS = 8
STARTS = 20
BOUND_S = 0.020
REQUEST = json.dumps({"method": "org.varlink.service.GetInfo"}).encode() + b"\0"


def first_answer(path):
    """Waits for the socket and asks. The clock stops when the whole reply is there."""
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            try:
                s.connect(path)
            except (FileNotFoundError, ConnectionRefusedError, PermissionError):
                time.sleep(0.0001)
                continue
            s.settimeout(harness.PATIENCE)
            s.sendall(REQUEST)
            reply = b""
            while not reply.endswith(b"\0"):
                reply += s.recv(65536)
            arrived = time.monotonic()
            assert "error" not in json.loads(reply[:-1]), reply
            return arrived


def start_once():
    """The time from just before the fork, so that it is never less than what it stands for."""
    daemon = harness.Daemon("pool.processes=%d" % WORKERS, "pool.threads=%d" % WORKERS, defaults=False)
    try:
        with open(daemon.log_path, "wb") as log:
            actions = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
            began = time.monotonic()
            pid = os.posix_spawn(harness.CONCD, daemon.command(), daemon.environment, file_actions=actions)
        try:
            took = first_answer(daemon.path) - began
            with harness.Client(daemon.path) as client:
                workers = [w for w in client.call("Status")["workers"] if w["kind"] == "process"]
                assert len(workers) == WORKERS, workers
        finally:
            os.kill(pid, 15)
            assert os.waitpid(pid, 0)[1] == 0, daemon.log()
        return took
    finally:
        daemon.discard()


def main():
    with harness.Daemon() as daemon:
        measure.skip_unless_optimised(daemon)
    took = [start_once() for _ in range(STARTS)]
    table = measure.Table("start of concd with %d process and %d thread workers, %d times" % (WORKERS, WORKERS, STARTS))
    table.add("from exec to the first reply", "≤ %g ms" % (BOUND_S * 1e3), "%.1f ms (%.1f … %.1f)" % (
        statistics.median(took) * 1e3, min(took) * 1e3, max(took) * 1e3), statistics.median(took) <= BOUND_S)
    table.finish()


if __name__ == "__main__":
    main()
