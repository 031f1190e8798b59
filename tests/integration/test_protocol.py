#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The control protocol as a peer sees it that nobody of this project wrote: good, bad and hostile."""
import json
import os
import socket
import time
import unittest

import harness
import idl
from harness import INTERFACE, Client, Daemon, Failed

GET_INFO = b'{"method":"org.varlink.service.GetInfo"}\0'
SERVICE = "org.varlink.service."

# Each closes the connection without a word.
MALFORMED = {
    "nothing": b"",
    "blanks": b"  \n",
    "not JSON": b"hello",
    "truncated": b'{"method":"org.concd.Jobs"',
    "truncated string": b'{"method":"org.concd.Jo',
    "an array": b'["org.concd.Jobs"]',
    "a string": b'"org.concd.Jobs"',
    "a number": b"1",
    "null": b"null",
    "two objects": GET_INFO[:-1] * 2,
    "text behind": GET_INFO[:-1] + b" x",
    "no method": b'{"parameters":{}}',
    "method is a number": b'{"method":1}',
    "method is null": b'{"method":null}',
    "parameters are an array": b'{"method":"org.concd.Jobs","parameters":[]}',
    "parameters are a string": b'{"method":"org.concd.Jobs","parameters":"x"}',
    "more is a string": b'{"method":"org.concd.Jobs","more":"yes"}',
    "more and oneway": b'{"method":"org.concd.Jobs","more":true,"oneway":true}',
    "more and upgrade": b'{"method":"org.concd.Jobs","more":true,"upgrade":true}',
    "a key twice": b'{"method":"org.concd.Jobs","method":"org.concd.Stop"}',
    "a parameter twice": b'{"method":"org.concd.Run","parameters":{"count":1,"count":2}}',
    "a key twice, deep": b'{"method":"org.concd.Run","parameters":{"params":{"ns":"1","ns":"2"}}}',
    "not UTF-8": b'{"method":"org.concd.Jobs\xff"}',
    "half a character": b'{"method":"org.concd.Jobs","parameters":{"x":"\xc3"}}',
    "overlong UTF-8": b'{"method":"org.concd.Jobs","parameters":{"x":"\xc0\xaf"}}',
    "a lone surrogate": b'{"method":"org.concd.Jobs","parameters":{"x":"\\ud800"}}',
    "an escaped NUL in a key": b'{"method":"org.concd.Jobs","parameters":{"x\\u0000y":1}}',
    "a number without end": b'{"method":"org.concd.Run","parameters":{"count":' + b"9" * 400 + b"}}",
    "a number out of range": b'{"method":"org.concd.Run","parameters":{"count":1e999}}',
    "a method that is no name": b'{"method":"org.concd.run"}',
    "a method without interface": b'{"method":"Run"}',
    "no method's name": b'{"method":""}',
    "NaN": b'{"method":"org.concd.Run","parameters":{"count":NaN}}',
    "deep arrays": b'{"method":"org.concd.Run","parameters":{"cpus":' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "deep objects": b'{"method":"org.concd.Run","parameters":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
}

# Parameters of a wrong type: (method, parameters, the field that the error names).
WRONG_TYPE = [
    ("Run", {"count": "1000"}, "count"),
    ("Run", {"count": 1.5}, "count"),
    ("Run", {"count": True}, "count"),
    ("Run", {"count": {}}, "count"),
    ("Run", {"mode": 1}, "mode"),
    ("Run", {"cpus": 0}, "cpus"),
    ("Run", {"cpus": [0, "1"]}, "cpus[1]"),
    ("Run", {"params": []}, "params"),
    ("Run", {"params": {"ns": 5}}, "params.ns"),
    ("Run", {"detach": "yes"}, "detach"),
    ("Wait", {"id": None}, "id"),
    ("Wait", {"id": 5}, "id"),
    ("Describe", {"kind": 1}, "kind"),
]

# Fields that the method does not have, or cannot do without.
INVALID = [
    ("Run", {"colour": "red"}, "colour"),
    ("Jobs", {"x": 1}, "x"),
    ("Wait", {}, "id"),
    ("Cancel", {}, "id"),
]


class Protocol(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("clients.max_message=65536", "clients.request_timeout=1s", "clients.connections_per_user=20")
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None)

    def setUp(self):
        self.before = self.daemon_descriptors()

    def tearDown(self):
        """Whatever the peer did: no descriptor is left, and the daemon answers."""
        harness.until(lambda: self.daemon_descriptors() <= self.before, "the daemon closed its descriptors")
        self.assertEqual([], self.running(), "a job is left")

    def daemon_descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.daemon.process.pid))

    def running(self):
        return [j for j in self.daemon.call("Jobs")["jobs"] if j["state"] in ("queued", "running")]

    def test_malformed_messages_close_the_connection(self):
        for name, message in MALFORMED.items():
            with self.subTest(name), Client(self.daemon.path) as client:
                client.send_raw(message + b"\0")
                self.assertIsNone(client.receive_raw())

    def test_one_malformed_message_ends_what_follows_it(self):
        with Client(self.daemon.path) as client:
            client.send_raw(GET_INFO + b"{}\0" + GET_INFO)
            self.assertIn(b"concd", client.receive_raw())
            self.assertIsNone(client.receive_raw())

    def test_a_message_over_the_cap_closes_the_connection(self):
        for ended in (True, False):
            with self.subTest(ended=ended), Client(self.daemon.path) as client:
                text = b'{"method":"org.concd.Jobs","parameters":{"x":"' + b"a" * 70000
                try:
                    client.send_raw(text + (b'"}}\0' if ended else b""))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertIsNone(client.receive_raw())

    def test_a_message_just_under_the_cap_is_read(self):
        head, tail = b'{"method":"org.varlink.service.GetInfo"', b"}\0"
        with Client(self.daemon.path) as client:
            client.send_raw(head + b" " * (65536 - len(head) - len(tail)) + tail)
            self.assertIn(b"org.concd", client.receive_raw())

    def test_one_byte_at_a_time(self):
        with Client(self.daemon.path) as client:
            for i in range(len(GET_INFO)):
                client.send_raw(GET_INFO[i : i + 1])
            self.assertIn(b"org.concd", client.receive_raw())

    def test_a_message_in_two_halves_with_a_pause(self):
        with Client(self.daemon.path) as client:
            client.send_raw(GET_INFO[:20])
            time.sleep(0.1)
            client.send_raw(GET_INFO[20:] + GET_INFO[:7])
            self.assertIn(b"org.concd", client.receive_raw())

    def test_a_request_that_is_never_finished_is_dropped(self):
        with Client(self.daemon.path) as client:
            client.send_raw(GET_INFO[:20])
            began = time.monotonic()
            self.assertIsNone(client.receive_raw())
            self.assertGreater(time.monotonic() - began, 0.5)

    def test_an_idle_connection_stays(self):
        with Client(self.daemon.path) as client:
            client.call(SERVICE + "GetInfo")
            time.sleep(1.5)
            client.call(SERVICE + "GetInfo")

    def test_many_calls_at_once_are_answered_in_order(self):
        names = ["calc", "nop", "spin", "sleep", "fail"] * 20
        with Client(self.daemon.path) as client:
            for name in names:
                client.send("Describe", kind="workload", name=name)
            self.assertEqual(names, [client.receive()[0]["entries"][0]["name"] for _ in names])

    def test_oneway_has_no_reply(self):
        with Client(self.daemon.path) as client:
            client.send("Jobs", oneway=True)
            client.send("Nothing", oneway=True)
            self.assertEqual("concd", client.call(SERVICE + "GetInfo")["product"])

    def test_half_closed_peers_get_their_answer(self):
        with Client(self.daemon.path) as client:
            client.send_raw(GET_INFO)
            client.socket.shutdown(socket.SHUT_WR)
            self.assertIn(b"org.concd", client.receive_raw())
            self.assertIsNone(client.receive_raw())

    def test_connections_of_one_user_are_limited(self):
        clients = []
        try:
            for _ in range(20):
                clients.append(Client(self.daemon.path))
                clients[-1].call(SERVICE + "GetInfo")
            with Client(self.daemon.path) as one_more:
                told = json.loads(one_more.receive_raw())
                self.assertEqual(("org.concd.Busy", 20), (told["error"], told["parameters"]["limit"]))
                self.assertIsNone(one_more.receive_raw())
        finally:
            for client in clients:
                client.close()

    def test_the_service_describes_itself(self):
        info = self.daemon.call(SERVICE + "GetInfo")
        self.assertEqual({"vendor", "product", "version", "url", "interfaces"}, set(info))
        self.assertEqual({"org.varlink.service", "org.concd"}, set(info["interfaces"]))

    def test_the_description_is_the_file(self):
        text = self.daemon.call(SERVICE + "GetInterfaceDescription", interface="org.concd")["description"]
        self.assertEqual(INTERFACE.text, text)
        service = self.daemon.call(SERVICE + "GetInterfaceDescription", interface="org.varlink.service")["description"]
        parsed = idl.Interface(service)
        self.assertEqual({"GetInfo", "GetInterfaceDescription"}, set(parsed.methods))
        self.assertEqual({"InterfaceNotFound", "MethodNotFound", "MethodNotImplemented", "InvalidParameter",
                          "PermissionDenied", "ExpectedMore"} & set(parsed.errors),
                         {"InterfaceNotFound", "MethodNotFound", "MethodNotImplemented", "InvalidParameter"} |
                         ({"PermissionDenied", "ExpectedMore"} & set(parsed.errors)))

    def failure(self, method, **parameters):
        with self.assertRaises(Failed) as caught:
            self.daemon.call(method, **parameters)
        return caught.exception.error, caught.exception.parameters

    def test_unknown_names_have_the_standard_errors(self):
        self.assertEqual((SERVICE + "InterfaceNotFound", {"interface": "org.nobody"}),
                         self.failure(SERVICE + "GetInterfaceDescription", interface="org.nobody"))
        self.assertEqual((SERVICE + "InterfaceNotFound", {"interface": "org.nobody"}), self.failure("org.nobody.Run"))
        self.assertEqual(SERVICE + "MethodNotFound", self.failure("org.concd.Walk")[0])

    def test_wrong_types_are_named(self):
        for method, parameters, field in WRONG_TYPE:
            with self.subTest(method=method, parameters=parameters):
                error, said = self.failure(method, **parameters)
                self.assertEqual(("BadValue", field), (error, said["field"]))
                self.assertTrue(said["given"] and said["allowed"])

    def test_an_integer_over_64_bits_is_no_count(self):
        for number in (2**63, 2**64, -2**63 - 1, 10**30):
            with self.subTest(number):
                self.assertEqual("count", self.refused_raw({"count": number})["field"])

    def refused_raw(self, parameters):
        error, said = self.failure("Run", **parameters)
        self.assertEqual("BadValue", error)
        return said

    def test_unknown_and_missing_parameters_are_named(self):
        for method, parameters, field in INVALID:
            with self.subTest(method=method, parameters=parameters):
                self.assertEqual((SERVICE + "InvalidParameter", {"parameter": field}), self.failure(method, **parameters))

    def test_every_method_is_there(self):
        """A method that is declared but not served would say MethodNotFound instead of what is wrong."""
        for method in INTERFACE.methods:
            with self.subTest(method):
                self.assertEqual(SERVICE + "InvalidParameter", self.failure(method, not_a_field=1)[0])

    def test_integral_floats_are_ints_and_null_is_absent(self):
        result = self.daemon.run(workload="nop", count=100.0, mode=None, params=None, cpus=None)
        self.assertEqual((100, "process"), (result["count"], result["mode"]))

    def test_a_peer_that_does_not_read_is_dropped(self):
        call = b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.concd"}}\0'
        with Client(self.daemon.path) as client:
            client.socket.settimeout(0.2)
            give_up = time.monotonic() + harness.PATIENCE
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                while time.monotonic() < give_up:
                    try:
                        client.send_raw(call * 20)
                    except TimeoutError:
                        pass
        self.daemon.call(SERVICE + "GetInfo")

    def test_many_clients_at_once(self):
        clients = [self.daemon.connect() for _ in range(15)]
        for client in clients:
            client.send("Run", workload="nop", count=1000)
        # Jobs wait their turn and a user may have as many waiting.
        self.assertEqual([1000] * 15, [c.receive()[0]["result"]["done"] for c in clients])
        for client in clients:
            client.close()


if __name__ == "__main__":
    harness.main()
