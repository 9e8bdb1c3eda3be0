"""The arithmetic of compare_tcp. What it runs is measured, not tested."""

import argparse
import contextlib
import io
import unittest
import unittest.mock

from te.bench import compare_tcp


def results_with(values):
    results = compare_tcp.Results()
    for streams in compare_tcp.STREAMS:
        results.add(f"iperf3 x{streams}", 4)
        results.add(f"iperf3 reno x{streams}", 4)
        for block in compare_tcp.LARGE_BLOCKS:
            results.add(f"pump {block} x{streams}", 6)
        for operation in ["read", "write"]:
            for block in compare_tcp.LARGE_BLOCKS:
                results.add(f"te {operation} {block} x{streams}", 6)
    for operation in ["read", "write"]:
        results.add(f"ping-pong {operation} 4K", 10)
        results.add(f"te {operation} 4K batch 128", 4)
        results.add(f"te {operation} 4K batch 1", 12)
    for name, series in values.items():
        results.series[name] = series
    return results


class FakePrograms:
    """Every figure is 1."""

    def iperf3(self, streams, *flags):
        return 1

    def pump(self, streams, block, sizes, seconds=None):
        return 1

    def ping_pong(self, operation):
        return 1

    def bench(self, streams, operation, blocks, batch):
        return [{"gb_per_s": 1, "latency_us": {"p50": 1}} for _ in blocks]


class ProgramsTest(unittest.TestCase):
    """What is compared does the same work."""

    def setUp(self):
        options = argparse.Namespace(seconds=1, bin_dir="", spin_us=50, bench_flag=[])
        self.programs = compare_tcp.Programs(options)

    def command_of(self, measure, output):
        with unittest.mock.patch.object(compare_tcp, "run") as run:
            run.return_value = output
            measure()
        return run.call_args[0][0]

    def pump_footprint(self, streams, block):
        command = self.command_of(
            lambda: self.programs.pump(streams, block, ("1M", "64K")),
            '{"gb_per_s": 1}',
        )
        flag = next(f for f in command if f.startswith("--footprint="))
        return streams * int(flag.split("=")[1])

    def test_the_pump_goes_through_the_memory_of_a_batch(self):
        for streams in compare_tcp.STREAMS:
            self.assertEqual(self.pump_footprint(streams, "1M"), 16 << 20)
            self.assertEqual(self.pump_footprint(streams, "16M"), 256 << 20)

    def test_each_stream_has_an_io_thread(self):
        for streams in compare_tcp.STREAMS:
            command = self.command_of(
                lambda: self.programs.bench(streams, "read", ["1M"], 16), ""
            )
            self.assertIn(f"--tcp_streams={streams}", command)
            self.assertIn(f"--tcp_io_threads={streams}", command)

    def test_the_ping_pong_sends_what_te_sends(self):
        for operation, request, reply in [("read", 64, 4160), ("write", 4160, 64)]:
            command = self.command_of(
                lambda: self.programs.ping_pong(operation), '{"latency_us": {"p50": 1}}'
            )
            self.assertIn(f"--request_size={request}", command)
            self.assertIn(f"--reply_size={reply}", command)


class CompareTcpTest(unittest.TestCase):
    def missed(self, values):
        return [
            (verdict["series"], verdict["compared_with"])
            for verdict in compare_tcp.judge(results_with(values))
            if not verdict["met"]
        ]

    def test_a_round_measures_what_is_judged(self):
        programs = FakePrograms()
        results = compare_tcp.Results()
        sizes = compare_tcp.find_pump_sizes(programs)
        compare_tcp.measure_round(programs, sizes, results)
        self.assertEqual(set(results.series), set(results_with({}).series))
        self.assertEqual(len(compare_tcp.judge(results)), 20)

    def test_all_met(self):
        self.assertEqual(self.missed({}), [])

    def test_rates_have_a_lower_bound(self):
        self.assertEqual(
            self.missed({"te read 1M x1": [5.3], "te write 4K batch 128": [2.9]}),
            [
                ("te read 1M x1", "pump 1M x1"),
                ("te write 4K batch 128", "te write 1M x1"),
            ],
        )
        self.assertEqual(
            self.missed({"te write 16M x2": [3.9]}),
            [("te write 16M x2", "iperf3 x2"), ("te write 16M x2", "pump 16M x2")],
        )

    def test_latencies_have_an_upper_bound(self):
        self.assertEqual(
            self.missed({"te read 4K batch 1": [15.1]}),
            [("te read 4K batch 1", "ping-pong read 4K")],
        )

    def test_medians_are_compared(self):
        self.assertEqual(self.missed({"te read 1M x1": [1, 6, 6, 7, 2]}), [])

    def test_the_text_says_what_is_missed(self):
        results = results_with({"te read 4K batch 1": [16]})
        compared = {
            "date": "2020-01-01",
            "machine": "two CPUs",
            "rounds": 1,
            "seconds": 2,
            "pump_sizes": {"pump 1M x1": ("64K", "1M"), "pump 1M x2": ("128K", "256K")},
            "series": {
                name: {"median": 1, "min": 1, "max": 1, "unit": "GB/s"}
                for name in results.series
            },
            "targets": compare_tcp.judge(results),
        }
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            compare_tcp.print_text(compared)
        text = out.getvalue()
        self.assertIn("pump 1M x2 writes 128K and reads 256K at a time", text)
        self.assertRegex(text, r"te read 4K batch 1 .* 1\.60 .*MISSED")
        self.assertIn("19 targets met, 1 missed", text)


if __name__ == "__main__":
    unittest.main()
