"""Measures te's TCP transport against what the machine can do.

Runs iperf3, a bare socket pump, a ping-pong and transfer_bench in turn, over
loopback, round after round, so that whatever else the machine does hits all of
them alike. Prints medians with their spread, and the ratios of medians against
the targets.

  bazel run -c opt //te/bench:compare_tcp
  bazel run -c opt //te/bench:compare_tcp -- --rounds=9 --seconds=3 --json
"""

import argparse
import datetime
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys

from te.bench.comparison import (
    Failure,
    Results,
    machine,
    print_series,
    print_verdicts,
    report,
    run,
)

# Of the pump: the best of all pairs is what te is compared with.
WRITE_SIZES = ["64K", "128K", "256K", "1M"]
READ_SIZES = ["64K", "256K", "1M"]
SEARCH_TRIES = 5
STREAMS = [1, 2]
LARGE_BLOCKS = {"1M": 1 << 20, "16M": 16 << 20}
LARGE_BATCH = 16
OPERATIONS = ["read", "write"]
SMALL_BLOCK = 4096
# Of te's frames: a header and one entry (te/transport/tcp/frame.h).
FRAME_START = 64
BUFFER = "256M"


class Programs:
    """The programs, each measured once by a call. Rates are in GB/s."""

    def __init__(self, options):
        self.options = options
        self.seconds = options.seconds
        self.patience = options.seconds + 60

    def path(self, name):
        return os.path.join(self.options.bin_dir, name)

    def iperf3(self, streams, *flags):
        # It cannot choose a port itself.
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        address = ["--bind=127.0.0.1", f"--port={port}"]
        server = subprocess.Popen(
            ["iperf3", "--server", "--one-off", "--forceflush", *address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for line in server.stdout:
                if "listening" in line:
                    break
            text = run(
                [
                    "iperf3",
                    "--client",
                    "127.0.0.1",
                    *address,
                    "--length=1M",
                    f"--parallel={streams}",
                    f"--time={max(1, round(self.seconds))}",
                    *flags,
                    "--json",
                ],
                self.patience,
            )
        finally:
            server.kill()
            server.communicate()
        return json.loads(text)["end"]["sum_received"]["bits_per_second"] / 8e9

    def pump(self, streams, block, sizes, seconds=None):
        """With the memory that `bench` goes through with such blocks."""
        write_size, read_size = sizes
        footprint = LARGE_BLOCKS[block] * LARGE_BATCH // streams
        text = run(
            [
                self.path("tcp_pump"),
                f"--streams={streams}",
                f"--write_size={write_size}",
                f"--read_size={read_size}",
                f"--footprint={footprint}",
                f"--duration={seconds or self.seconds}",
            ],
            self.patience,
        )
        return json.loads(text)["gb_per_s"]

    def ping_pong(self, operation):
        """With the bytes of one READ or WRITE of te, each way."""
        request, reply = FRAME_START, FRAME_START
        if operation == "read":
            reply += SMALL_BLOCK
        else:
            request += SMALL_BLOCK
        text = run(
            [
                self.path("tcp_ping_pong"),
                f"--request_size={request}",
                f"--reply_size={reply}",
                f"--spin_us={self.options.spin_us}",
                f"--duration={self.seconds}",
            ],
            self.patience,
        )
        return json.loads(text)["latency_us"]["p50"]

    def bench(self, streams, operation, blocks, batch):
        """A row for each block size."""
        text = run(
            [
                self.path("transfer_bench"),
                "--mode=loopback",
                "--minloglevel=1",
                "--noverify",
                "--format=json",
                "--protocol=tcp",
                "--threads=1",
                f"--buffer_size={BUFFER}",
                f"--tcp_streams={streams}",
                f"--tcp_io_threads={streams}",
                f"--spin_us={self.options.spin_us}",
                f"--operation={operation}",
                f"--block_sizes={','.join(blocks)}",
                f"--batch_size={batch}",
                f"--duration={self.seconds}",
                *self.options.bench_flag,
            ],
            self.patience + len(blocks) * self.seconds,
        )
        return [json.loads(line) for line in text.splitlines()]


def best_pump_sizes(programs, streams, block):
    """The (write size, read size) of the fastest pump, by the median of several
    tries: a try may be disturbed, or lucky."""
    pairs = list(itertools.product(WRITE_SIZES, READ_SIZES))
    rates = {pair: [] for pair in pairs}
    for pair in pairs * SEARCH_TRIES:
        rates[pair].append(programs.pump(streams, block, pair, 0.2))
    return max(pairs, key=lambda pair: statistics.median(rates[pair]))


def find_pump_sizes(programs):
    """The best sizes of each pump, by the name of its series."""
    return {
        f"pump {block} x{streams}": best_pump_sizes(programs, streams, block)
        for streams in STREAMS
        for block in LARGE_BLOCKS
    }


def measure_round(programs, pump_sizes, results):
    for streams in STREAMS:
        results.add(f"iperf3 x{streams}", programs.iperf3(streams))
        reno = programs.iperf3(streams, "--congestion=reno")
        results.add(f"iperf3 reno x{streams}", reno)
        for block in LARGE_BLOCKS:
            name = f"pump {block} x{streams}"
            results.add(name, programs.pump(streams, block, pump_sizes[name]))
        for operation in OPERATIONS:
            rows = programs.bench(streams, operation, LARGE_BLOCKS, LARGE_BATCH)
            for block, row in zip(LARGE_BLOCKS, rows):
                results.add(f"te {operation} {block} x{streams}", row["gb_per_s"])
    for operation in OPERATIONS:
        results.add(f"ping-pong {operation} 4K", programs.ping_pong(operation))
        row = programs.bench(1, operation, ["4K"], 128)[0]
        results.add(f"te {operation} 4K batch 128", row["gb_per_s"])
        row = programs.bench(1, operation, ["4K"], 1)[0]
        results.add(f"te {operation} 4K batch 1", row["latency_us"]["p50"])


def unit_of(series):
    latency = series.endswith("batch 1") or series.startswith("ping-pong")
    return "us" if latency else "GB/s"


def targets():
    """(series, compared with, least ratio, or most if it is a latency)."""
    for operation in OPERATIONS:
        for streams, over_iperf in [(1, 1.3), (2, 1.0)]:
            for block in LARGE_BLOCKS:
                series = f"te {operation} {block} x{streams}"
                yield series, f"iperf3 x{streams}", over_iperf
                yield series, f"pump {block} x{streams}", 0.95
        yield f"te {operation} 4K batch 128", f"te {operation} 1M x1", 0.5
        yield f"te {operation} 4K batch 1", f"ping-pong {operation} 4K", 1.5


def judge(results):
    """One dictionary for each target."""
    verdicts = []
    for series, base, bound in targets():
        ratio = results.median(series) / results.median(base)
        latency = unit_of(series) == "us"
        verdicts.append(
            {
                "series": series,
                "compared_with": base,
                "ratio": round(ratio, 3),
                "bound": f"{'<=' if latency else '>='} {bound}",
                "met": ratio <= bound if latency else ratio >= bound,
            }
        )
    return verdicts


def print_text(compared):
    print(f"{compared['date']}  {compared['machine']}")
    print(f"{compared['rounds']} rounds, {compared['seconds']} s each")
    for name, (write, read) in compared["pump_sizes"].items():
        print(f"{name} writes {write} and reads {read} at a time")
    print_series(compared["series"], 26)
    print_verdicts(compared["targets"], 26)


def parse_options():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=2,
                        help="of each measurement; iperf3 rounds it; default: 2")
    parser.add_argument("--spin_us", type=float, default=50,
                        help="how long te and the ping-pong look before they sleep; "
                        "default: 50")
    parser.add_argument("--bench_flag", action="append", default=[], metavar="FLAG",
                        help="one more flag for transfer_bench, as "
                        "--bench_flag=--tcp_io_threads=2")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object in place of the tables")
    parser.add_argument("--bin_dir", default=here,
                        help="where transfer_bench, tcp_pump and tcp_ping_pong are")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def compare(options):
    programs = Programs(options)
    start = machine()
    results = Results()
    pump_sizes = find_pump_sizes(programs)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        measure_round(programs, pump_sizes, results)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": start,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "pump_sizes": pump_sizes,
        "series": results.summary(unit_of),
        "targets": judge(results),
    }


def main():
    options = parse_options()
    return report("compare_tcp", lambda: compare(options), print_text, options.json)


if __name__ == "__main__":
    sys.exit(main())
