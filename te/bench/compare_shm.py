"""Measures te's shared-memory transport against what the kernel can do.

Runs a bare loop of process_vm_readv or process_vm_writev (process_copy) and
transfer_bench in turn, between two processes, with the same blocks through as
much memory of the same kind, round after round, so that whatever else the
machine does hits both alike. One caller, one request at a time: what exceeds
ShmOptions::inline_bytes a thread of te's helps to copy. Prints medians with
their spread, and the ratios of medians against the targets.

  bazel run -c opt //te/bench:compare_shm
  bazel run -c opt //te/bench:compare_shm -- --rounds=9 --seconds=2 --json
"""

import argparse
import datetime
import json
import os
import sys

from te.bench.comparison import (
    Results,
    machine,
    print_series,
    print_verdicts,
    report,
    run,
)

OPERATIONS = ["read", "write"]
BLOCKS = ["4K", "64K", "1M", "16M"]
# From here on it is the rate that counts, and below the time of one request.
LARGE_BLOCKS = ["1M", "16M"]
SMALL_BLOCK = "4K"
LEAST_RATE = 0.95
# In microseconds, above the bare call.
MOST_OVERHEAD = 0.3


class Programs:
    """The programs, each measured once by a call."""

    def __init__(self, options):
        self.options = options
        self.patience = options.seconds + 60

    def path(self, name):
        return os.path.join(self.options.bin_dir, name)

    def bare(self, operation, block):
        text = run(
            [
                self.path("process_copy"),
                f"--operation={operation}",
                f"--block_size={block}",
                # What transfer_bench goes through with one request of one thread.
                f"--buffer_size={block}",
                f"--duration={self.options.seconds}",
            ],
            self.patience,
        )
        return json.loads(text)

    def bench(self, operation, block):
        text = run(
            [
                self.path("transfer_bench"),
                "--mode=loopback",
                "--minloglevel=1",
                "--noverify",
                "--format=json",
                "--protocol=shm",
                "--threads=1",
                "--batch_size=1",
                f"--buffer_size={block}",
                f"--operation={operation}",
                f"--block_size={block}",
                f"--duration={self.options.seconds}",
                *self.options.bench_flag,
            ],
            self.patience,
        )
        return json.loads(text)


def measure_round(programs, results):
    for operation in OPERATIONS:
        for block in BLOCKS:
            for name, measure in [("bare", programs.bare), ("te", programs.bench)]:
                row = measure(operation, block)
                results.add(f"{name} {operation} {block}", row["gb_per_s"])
                if block == SMALL_BLOCK:
                    series = f"{name} {operation} {block} p50"
                    results.add(series, row["latency_us"]["p50"])


def unit_of(series):
    return "us" if series.endswith("p50") else "GB/s"


def judge(results):
    """One dictionary for each target."""
    verdicts = []
    for operation in OPERATIONS:
        for block in LARGE_BLOCKS:
            series, base = f"te {operation} {block}", f"bare {operation} {block}"
            ratio = results.median(series) / results.median(base)
            bound, met = f">= {LEAST_RATE}", ratio >= LEAST_RATE
            verdicts.append((series, base, ratio, bound, met))
        series = f"te {operation} {SMALL_BLOCK} p50"
        base = f"bare {operation} {SMALL_BLOCK} p50"
        bare = results.median(base)
        ratio = results.median(series) / bare
        most = (bare + MOST_OVERHEAD) / bare
        verdicts.append((series, base, ratio, f"<= {most:.2f}", ratio <= most))
    keys = ["series", "compared_with", "ratio", "bound", "met"]
    return [dict(zip(keys, verdict)) for verdict in verdicts]


def print_text(compared):
    print(f"{compared['date']}  {compared['machine']}")
    print(f"{compared['rounds']} rounds, {compared['seconds']} s each")
    print_series(compared["series"], 20)
    print_verdicts(compared["targets"], 20)


def parse_options():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=1,
                        help="of each measurement; default: 1")
    parser.add_argument("--bench_flag", action="append", default=[], metavar="FLAG",
                        help="one more flag for transfer_bench")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object in place of the tables")
    parser.add_argument("--bin_dir", default=here,
                        help="where transfer_bench and process_copy are")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def compare(options):
    programs = Programs(options)
    start = machine()
    results = Results()
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        measure_round(programs, results)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": start,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "series": results.summary(unit_of),
        "targets": judge(results),
    }


def main():
    options = parse_options()
    return report("compare_shm", lambda: compare(options), print_text, options.json)


if __name__ == "__main__":
    sys.exit(main())
