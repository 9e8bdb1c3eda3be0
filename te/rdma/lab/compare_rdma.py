"""Measures te's RDMA transport against perftest, on the lab's rails.

Boots a lab and runs perftest and transfer_bench in turn, with the same sizes, depths
and timeouts, round after round, so that whatever else the machine does hits both
alike. Prints medians with their spread, and the medians of each round's ratios
against the targets.

  bazel run -c opt //te/rdma/lab:compare_rdma
  bazel run -c opt //te/rdma/lab:compare_rdma -- --rounds=9 --sizes=64K --json
  bazel run -c opt //te/rdma/lab:compare_rdma -- --bench=/tmp/other/transfer_bench

A transfer_bench batch is as large as perftest's send queue is deep, but is waited for
as a whole, while perftest keeps its queue full.

A WRITE of te's is done when its completion has come. ib_write_lat gives half of a
round trip of two WRITEs, each seen in memory, and so has no completions in it;
ib_write_bw with one request in flight has them, but tells the mean time alone. te is
held against both, by its own median and mean. ib_read_lat waits for completions.

Two rails are compared with one, of which each carries --rate: the CPU must be able to
move more than both.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import sys

from te.rdma.lab.lab import Lab
from te.rdma.lab.perftest import (
    QP_TIMEOUT,
    parse_size,
    parse_sizes,
    run_on_all_rails,
    run_perftest,
    summarize,
)
from te.rdma.lab.report import print_report

OPERATIONS = ["write", "read"]
LATENCY_SIZE = 4096
RAILS = 2

LEAST_BANDWIDTH = 0.95
MOST_LATENCY = 1.25
LEAST_OF_TWO_RAILS = 1.8


class Te:
    """transfer_bench, with a target on `a` for each number of rails, all of which
    wait: that costs next to nothing."""

    def __init__(self, lab, bench, buffer_size, more_flags=()):
        self.lab = lab
        self.bench = bench
        self.flags = [
            "--protocol=rdma",
            "--metadata_server=p2p",
            f"--ack_timeout={QP_TIMEOUT}",
            f"--buffer_size={buffer_size}",
            "--minloglevel=1",
            *more_flags,
        ]
        self.targets = {rails: self.start_target(rails) for rails in range(1, RAILS + 1)}

    def command(self, host, rails, *flags):
        devices = ",".join(rail.device for rail in host.rails[:rails])
        place = [f"--device_name={devices}", f"--local_server_name={host.address}"]
        return " ".join([self.bench, *self.flags, *place, *flags])

    def start_target(self, rails):
        """The name of its segment."""
        host = self.lab.a
        command = self.command(host, rails, "--mode=target", "--ready_fd=3", "3>&1")
        target = host.start(f"exec {command}")
        return target.wait_for(rf"^({re.escape(host.address)}:\d+)$").group(1)

    def run(self, operation, size, depth, seconds, rails=1):
        """A row of its report."""
        done = self.lab.b.run(
            self.command(
                self.lab.b,
                rails,
                f"--segment_id={self.targets[rails]}",
                f"--operation={operation}",
                f"--block_size={size}",
                f"--batch_size={depth}",
                f"--duration={seconds}",
                "--threads=1",
                "--noverify",
                "--format=json",
            )
        )
        return json.loads(done.out)


def name_of(size):
    for unit, bytes_of in [("M", 1 << 20), ("K", 1 << 10)]:
        if size % bytes_of == 0:
            return f"{size // bytes_of}{unit}"
    return str(size)


def measure_bandwidth(lab, te, options, add):
    for operation in OPERATIONS:
        for size in options.sizes:
            iterations = max(2 * options.depth, options.megabytes * 10**6 // size)
            program = f"ib_{operation}_bw"
            figures = run_perftest(lab, program, size, iterations, depth=options.depth)
            add(f"{program} {name_of(size)}", "GB/s", figures["gb_per_s"])
            row = te.run(operation, size, options.depth, options.seconds)
            add(f"te {operation} {name_of(size)}", "GB/s", row["gb_per_s"])


def measure_latency(lab, te, options, add):
    size = name_of(LATENCY_SIZE)
    arguments = [LATENCY_SIZE, options.latency_iterations]
    for operation in OPERATIONS:
        program = f"ib_{operation}_lat"
        add(f"{program} {size}", "us", run_perftest(lab, program, *arguments)["p50"])
        row = te.run(operation, LATENCY_SIZE, 1, options.seconds)
        add(f"te {operation} {size}", "us", row["latency_us"]["p50"])
        if operation == "write":
            figures = run_perftest(lab, "ib_write_bw", *arguments, depth=1)
            mean = LATENCY_SIZE / figures["gb_per_s"] / 1000
            add(f"ib_write_bw {size} depth 1", "us", mean)
            add(f"te write {size} mean", "us", 1e6 / row["requests_per_s"])


def measure_rails(lab, te, options, add):
    """With shaped rails."""
    size = options.rails_size
    iterations = max(2 * options.depth, options.rails_megabytes * 10**6 // size)
    for operation in OPERATIONS:
        program = f"ib_{operation}_bw"
        arguments = [lab, program, size, iterations]
        one = run_perftest(*arguments, depth=options.depth)["gb_per_s"]
        add(f"{program} {options.rate} x1", "GB/s", one)
        both = run_on_all_rails(*arguments, depth=options.depth)
        add(f"{program} {options.rate} x2", "GB/s", both)
        for rails in [1, 2]:
            row = te.run(operation, size, options.depth, options.seconds, rails)
            add(f"te {operation} {options.rate} x{rails}", "GB/s", row["gb_per_s"])


@contextlib.contextmanager
def shaped(lab, rate):
    ends = [(host, rail) for host in lab.hosts for rail in host.rails]
    for host, rail in ends:
        host.shape(rail, rate)
    yield
    for host, rail in ends:
        host.run(f"tc qdisc del dev {rail.interface} root")


def targets(options):
    """(series, compared with, least ratio, or most if it is a latency)."""
    for operation in OPERATIONS:
        for size in map(name_of, options.sizes):
            base = f"ib_{operation}_bw {size}"
            yield f"te {operation} {size}", base, LEAST_BANDWIDTH
    size = name_of(LATENCY_SIZE)
    for operation in OPERATIONS:
        yield f"te {operation} {size}", f"ib_{operation}_lat {size}", MOST_LATENCY
    yield f"te write {size} mean", f"ib_write_bw {size} depth 1", MOST_LATENCY
    for operation in OPERATIONS if options.rate else []:
        series = f"te {operation} {options.rate}"
        yield f"{series} x2", f"{series} x1", LEAST_OF_TWO_RAILS


def judge(series, options):
    """One dictionary for each target. `series`: {name: (unit, figures)}, of which
    those of a round stand at the same place."""
    verdicts = []
    for name, base, bound in targets(options):
        unit, figures = series[name]
        ratios = [a / b for a, b in zip(figures, series[base][1])]
        ratio = statistics.median(ratios)
        latency = unit == "us"
        verdicts.append(
            {
                "series": name,
                "compared_with": base,
                "ratio": round(ratio, 3),
                "min": round(min(ratios), 3),
                "max": round(max(ratios), 3),
                "bound": f"{'<=' if latency else '>='} {bound}",
                "met": ratio <= bound if latency else ratio >= bound,
            }
        )
    return verdicts


def compare(options):
    series = {}

    def add(name, unit, figure):
        series.setdefault(name, (unit, []))[1].append(figure)

    with Lab(rails=RAILS, cpus=options.cpus) as lab:
        te = Te(lab, options.bench, options.buffer_size, options.bench_flag)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            measure_bandwidth(lab, te, options, add)
            measure_latency(lab, te, options, add)
            if options.rate:
                with shaped(lab, options.rate):
                    measure_rails(lab, te, options, add)
    return {
        "rounds": options.rounds,
        "depth": options.depth,
        "cpus": options.cpus,
        "series": summarize(series),
        "targets": judge(series, options),
    }


def print_text(report):
    print(f"{report['rounds']} rounds, depth {report['depth']}, {report['cpus']} CPU each")
    print(f"\n{'':24}{'median':>10}{'min':>10}{'max':>10}")
    for name, row in report["series"].items():
        figures = "".join(f"{row[key]:10.4g}" for key in ["median", "min", "max"])
        print(f"{name:24}{figures} {row['unit']}")
    print(f"\n{'':24}{'over':24}{'ratio':>7}{'min':>7}{'max':>7}  target")
    for verdict in report["targets"]:
        ratios = "".join(f"{verdict[key]:7.2f}" for key in ["ratio", "min", "max"])
        print(
            f"{verdict['series']:24}{verdict['compared_with']:24}{ratios}"
            f"  {verdict['bound']:8}{'met' if verdict['met'] else 'MISSED'}"
        )
    missed = sum(not verdict["met"] for verdict in report["targets"])
    print(f"\n{len(report['targets']) - missed} targets met, {missed} missed")


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--sizes", type=parse_sizes, default="64K,1M",
                        help="of requests, for bandwidth; default: 64K,1M")
    parser.add_argument("--depth", type=int, default=16,
                        help="requests in flight, for bandwidth; default: 16")
    parser.add_argument("--megabytes", type=int, default=100,
                        help="that perftest moves for each bandwidth; default: 100")
    parser.add_argument("--seconds", type=float, default=2,
                        help="that te moves for each figure; default: 2")
    parser.add_argument("--latency_iterations", type=int, default=2000,
                        help="of perftest; default: 2000")
    parser.add_argument("--rate", default="20mbit",
                        help="of each rail when two are compared with one, as for tc; "
                        "empty: they are not; default: 20mbit")
    parser.add_argument("--rails_size", type=parse_size, default="64K",
                        help="of requests then; default: 64K")
    parser.add_argument("--rails_megabytes", type=int, default=5,
                        help="that perftest moves then; default: 5")
    parser.add_argument("--cpus", type=int, default=1, help="of each host; default: 1")
    parser.add_argument("--buffer_size", default="16M", help="of te; default: 16M")
    parser.add_argument("--bench", default="te/bench/transfer_bench",
                        help="which transfer_bench to measure; default: this one")
    parser.add_argument("--bench_flag", action="append", default=[], metavar="FLAG",
                        help="one more flag for it, as --bench_flag=--spin_us=200")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object in place of the tables")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.depth, options.megabytes, options.seconds) <= 0:
        parser.error("numbers must be positive")
    options.bench = os.path.abspath(options.bench)
    return options


def main():
    options = parse_options(sys.argv[1:])
    return print_report(
        "compare_rdma", lambda: compare(options), print_text, options.json
    )


if __name__ == "__main__":
    sys.exit(main())
