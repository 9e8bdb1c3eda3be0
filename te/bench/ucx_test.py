"""How compare_shm reads what ucx_perftest prints."""

import socket
import unittest

from te.bench import ucx
from te.bench.comparison import Failure

# What ucx_perftest 1.13.1 printed with -f -v for
# -t ucp_put_bw -s 16777216 -n 300 -w 10.
RECORDED = """\
iterations,50.0_percentile_lat,avg_lat,overall_lat,avg_bw,overall_bw,avg_mr,overall_mr
 300,1247.624,2521.877,2521.877,6344.48,6344.40,397,397
"""
RECORDED_FAILURE = """\
[1795725331.538234] [vm:27488:0] select.c:549  UCX  ERROR   no active messages \
transport to <no debug data>: self/memory0 - Destination is unreachable
"""


class UcxTest(unittest.TestCase):
    def test_the_overall_rate_is_of_mebibytes(self):
        self.assertAlmostEqual(ucx.parse(RECORDED), 6344.40 * 1048576 / 1e9)

    def test_warnings_before_it_do_no_harm(self):
        warned = "[1.0] [vm:1:0] perftest.c:783 UCX WARN CPU affinity is not set\n"
        self.assertEqual(ucx.parse(warned + RECORDED), ucx.parse(RECORDED))

    def test_says_what_was_printed_in_place_of_a_rate(self):
        heading = RECORDED.splitlines()[0] + "\n"
        for text in ["", RECORDED_FAILURE, heading, heading + "300,1\n",
                     heading + "a,b,c,d,e,f,g,h\n"]:
            with self.assertRaises(Failure):
                ucx.parse(text)
        with self.assertRaisesRegex(Failure, "no active messages"):
            ucx.parse(RECORDED_FAILURE)

    def test_each_kind_of_memory_has_its_test(self):
        flags, environment = ucx.arguments("mapped", "read", 4096)
        self.assertEqual(flags, ["-t", "ucp_get", "-s", "4096"])
        self.assertEqual(environment, {"UCX_TLS": "posix,self"})
        flags, environment = ucx.arguments("mapped", "write", 4096)
        self.assertIn("ucp_put_bw", flags)
        flags, environment = ucx.arguments("user", "write", 4096)
        self.assertIn("put_bw", flags)
        self.assertIn("cma", flags)
        self.assertEqual(environment, {})

    def test_much_takes_no_fewer_than_a_few(self):
        self.assertEqual(ucx.iterations(1 << 40, 1), 20)
        self.assertEqual(ucx.iterations(4096, 1), int(10e9 / 4096))

    def test_who_listens_is_seen(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            self.assertFalse(ucx.listens(port))
            listener.listen()
            self.assertTrue(ucx.listens(port))


if __name__ == "__main__":
    unittest.main()
