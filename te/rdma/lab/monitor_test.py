"""What is said to QEMU's monitor, and what it may answer."""

import json
import socket
import unittest

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.monitor import Monitor

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'
EVENT = b'{"event": "RESUME", "data": {}}\r\n'


def answer(number, value):
    return json.dumps({"return": value, "id": number}).encode() + b"\r\n"


class MonitorTest(unittest.TestCase):
    """Requests have the numbers 1, 2..., of which the first negotiates."""

    def setUp(self):
        port, self.qemu = socket.socketpair()
        self.monitor = Monitor(port)
        self.addCleanup(self.monitor.close)
        self.addCleanup(self.qemu.close)

    def test_an_answer_is_that_to_the_request(self):
        self.qemu.sendall(GREETING + answer(1, {}) + EVENT + answer(77, "no"))
        self.qemu.sendall(answer(2, {"up": True}) + answer(3, 3))
        self.assertEqual(self.monitor.execute("set_link", name="wire0"), {"up": True})
        self.assertEqual(self.monitor.execute("query"), 3)
        said = [json.loads(line) for line in self.qemu.recv(65536).splitlines()]
        self.assertEqual(
            [(request["execute"], request["arguments"]) for request in said],
            [("qmp_capabilities", {}), ("set_link", {"name": "wire0"}), ("query", {})],
        )

    def test_a_refusal_says_of_what(self):
        refusal = {"error": {"class": "DeviceNotFound", "desc": "not there"}, "id": 2}
        self.qemu.sendall(answer(1, {}) + json.dumps(refusal).encode() + b"\n")
        with self.assertRaisesRegex(LabFailure, "refuses .*set_link.*wire9.*: not there"):
            self.monitor.execute("set_link", name="wire9")

    def test_an_end_is_told(self):
        self.qemu.sendall(GREETING + answer(1, {}) + b'{"return": ')
        self.qemu.shutdown(socket.SHUT_WR)
        with self.assertRaisesRegex(LabFailure, "not answer to stop: it has ended"):
            self.monitor.execute("stop")

    def test_what_comes_too_late_is_no_answer_to_the_next(self):
        self.qemu.sendall(GREETING + answer(1, {}) + answer(2, "in time"))
        self.assertEqual(self.monitor.execute("query"), "in time")
        self.qemu.sendall(b'{"return": "late",')
        self.monitor.patience = 0.01
        with self.assertRaisesRegex(LabFailure, "not answer to stop: "):
            self.monitor.execute("stop")
        self.monitor.patience = 60
        self.qemu.sendall(b' "id": 3}\r\n' + answer(4, "in time"))
        self.assertEqual(self.monitor.execute("cont"), "in time")

    def test_it_negotiates_once_also_when_that_takes_too_long(self):
        self.monitor.patience = 0.01
        with self.assertRaisesRegex(LabFailure, "not answer to qmp_capabilities: "):
            self.monitor.execute("stop")
        self.monitor.patience = 60
        self.qemu.sendall(GREETING + answer(1, {}) + answer(2, "in time"))
        self.assertEqual(self.monitor.execute("cont"), "in time")


if __name__ == "__main__":
    unittest.main()
