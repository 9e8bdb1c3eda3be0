"""The arithmetic of compare_rdma. What it runs is measured, not tested."""

import contextlib
import io
import json
import unittest
import unittest.mock

from te.rdma.lab import compare_rdma
from te.rdma.lab.lab import Rail


class FakeProcess:
    def __init__(self, out):
        self.out = out

    def wait_for(self, pattern):
        match = unittest.mock.Mock()
        match.group.return_value = "10.0.0.1:1234"
        return match


class FakeHost:
    """Every figure of te's is 1 there."""

    def __init__(self, number):
        self.address = f"10.0.0.{number}"
        self.rails = [Rail(index, number) for index in range(compare_rdma.RAILS)]
        self.commands = []

    def start(self, command):
        self.commands.append(command)
        return FakeProcess("")

    def run(self, command):
        self.commands.append(command)
        row = {"gb_per_s": 1, "requests_per_s": 1e6, "latency_us": {"p50": 1}}
        return FakeProcess(json.dumps(row))

    def shape(self, rail, rate):
        self.commands.append(f"shape {rail.interface} {rate}")


class FakeLab:
    def __init__(self):
        self.hosts = self.a, self.b = FakeHost(1), FakeHost(2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def fake_perftest(lab, program, size, iterations, **options):
    """Every figure of perftest's is 2."""
    if options.get("depth") == 1:
        return {"gb_per_s": size / 2000}
    return {"gb_per_s": 2, "p50": 2}


def compare(*flags):
    """The report, and the commands of the initiating host."""
    lab = FakeLab()
    with unittest.mock.patch.multiple(
        compare_rdma,
        Lab=lambda **_: lab,
        run_perftest=fake_perftest,
        run_on_all_rails=lambda *_, **__: 4,
    ), contextlib.redirect_stderr(io.StringIO()):
        report = compare_rdma.compare(compare_rdma.parse_options(flags))
    return report, lab.b.commands


def series_with(name, figures):
    """All targets are met in two rounds, but for this."""
    series = {}
    for measured, base, bound in compare_rdma.targets(compare_rdma.parse_options([])):
        unit = "us" if bound == compare_rdma.MOST_LATENCY else "GB/s"
        series.setdefault(base, (unit, [10, 100]))
        series[measured] = (unit, [10 * bound, 100 * bound])
    series[name] = (series[name][0], figures)
    return series


class CompareRdmaTest(unittest.TestCase):
    def missed(self, name, figures):
        verdicts = compare_rdma.judge(
            series_with(name, figures), compare_rdma.parse_options([])
        )
        return [verdict["series"] for verdict in verdicts if not verdict["met"]]

    def test_a_round_measures_what_is_judged(self):
        report, _ = compare("--rounds=2")
        self.assertEqual(len(report["targets"]), 9)
        ratios = {verdict["series"]: verdict["ratio"] for verdict in report["targets"]}
        self.assertEqual(ratios["te write 64K"], 0.5)
        self.assertEqual(ratios["te write 4K mean"], 0.5)
        self.assertEqual(ratios["te read 20mbit x2"], 1)

    def test_both_do_the_same_work(self):
        _, commands = compare("--rounds=1", "--depth=8", "--sizes=64K", "--rate=")
        rows = [command for command in commands if "--operation" in command]
        self.assertEqual(len(rows), 4)
        self.assertIn("--block_size=65536 --batch_size=8", rows[0])
        self.assertIn("--block_size=4096 --batch_size=1", rows[2])
        for row in rows:
            self.assertIn("--ack_timeout=18", row)
            self.assertIn("--device_name=rxe0 ", row)

    def test_rails_are_shaped_while_they_are_compared(self):
        _, commands = compare("--rounds=1")
        shaped = [i for i, command in enumerate(commands) if command[:5] == "shape"]
        freed = [i for i, command in enumerate(commands) if "qdisc del" in command]
        both = [i for i, command in enumerate(commands) if "rxe0,rxe1" in command]
        self.assertEqual((len(shaped), len(freed), len(both)), (2, 2, 2))
        self.assertLess(max(shaped), min(both))
        self.assertLess(max(both), min(freed))

    def test_ratios_of_the_same_round_count(self):
        self.assertEqual(self.missed("te write 64K", [9.5, 95]), [])
        self.assertEqual(self.missed("te write 64K", [9.4, 94]), ["te write 64K"])
        # Twice as much, and then 0.4 of it: 0.55 if medians were compared.
        self.assertEqual(self.missed("te write 64K", [20, 40]), [])

    def test_latencies_have_an_upper_bound(self):
        self.assertEqual(self.missed("te read 4K", [12, 120]), [])
        self.assertEqual(self.missed("te read 4K", [13, 130]), ["te read 4K"])

    def test_the_text_says_what_is_missed(self):
        report, _ = compare("--rounds=1")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            compare_rdma.print_text(report)
        self.assertRegex(out.getvalue(), r"te read 1M +ib_read_bw 1M +0\.50 .*MISSED")
        self.assertRegex(out.getvalue(), r"te read 4K +ib_read_lat 4K .*met")
        self.assertIn("3 targets met, 6 missed", out.getvalue())


if __name__ == "__main__":
    unittest.main()
