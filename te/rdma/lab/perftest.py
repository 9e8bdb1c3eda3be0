"""Measures the lab's rails with perftest: the yardstick for te on the same rails.

Boots a lab, runs ib_write_bw, ib_read_bw, ib_write_lat and ib_read_lat between the
hosts in turn, round after round, and prints medians with their spread.

  bazel run //te/rdma/lab:perftest
  bazel run //te/rdma/lab:perftest -- --rounds=3 --sizes=64K --json
  bazel run //te/rdma/lab:perftest -- --rails=2 --rate=40mbit --megabytes=10

With several rails, bandwidth is also that of all of them at the same time. It is more
than that of one only where the links are the limit, not the CPU: see --rate.

Mind that ib_write_lat gives half of a round trip of two WRITEs, which has no waiting
for completions, and ib_read_lat the time of a READ.
"""

import argparse
import re
import statistics
import sys
import time

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.lab import Lab
from te.rdma.lab.report import print_report

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}

# perftest's own; each run at the same time needs another.
PORT = 18515

# 4 us * 2^18, a second. Wires lose nothing, but a busy machine or a shaped link keeps
# packets longer than the usual 67 ms, and rxe's repetitions cost more than they help.
QP_TIMEOUT = 18

BANDWIDTH_PROGRAMS = ["ib_write_bw", "ib_read_bw"]
LATENCY_PROGRAMS = ["ib_write_lat", "ib_read_lat"]


class PerftestRun:
    """A perftest program that runs on both hosts: the server on `a`, the client on
    `b`. They find each other over the management network, and move bytes over the
    rail's devices, by the GIDs of its IPv4 or IPv6 addresses.

    `depth` is the number of requests in flight, of programs that measure bandwidth.
    """

    def __init__(self, lab, program, size, iterations, depth=None, rail=0,
                 family="ipv4", port=PORT):
        flags = [f"--size={size}", f"--iters={iterations}", f"--port={port}"]
        # The second: no complaint that the CPU's frequency changes.
        flags += [f"--qp-timeout={QP_TIMEOUT}", "--CPU-freq"]
        self.bandwidth = program.endswith("_bw")
        if depth is not None:
            flags.append(f"--tx-depth={depth}")
        self.size = size
        self.server = self.start(lab.a, program, rail, family, flags)
        self.server.wait_for_listener(port)
        self.client = self.start(lab.b, program, rail, family, [*flags, lab.a.address])

    @staticmethod
    def start(host, program, rail, family, flags):
        end = host.rails[rail]
        index = host.gid_index(end, getattr(end, family))
        place = [f"--ib-dev={end.device}", f"--gid-index={index}"]
        return host.start(" ".join([program, *place, *flags]))

    def finish(self, patience=120):
        """The figures, as a dictionary: `gb_per_s` in 10^9 bytes, or microseconds."""
        try:
            for process in [self.client, self.server]:
                process.wait(patience)
                process.check()
        except LabFailure as failure:
            self.server.kill()
            self.client.kill()
            raise LabFailure(f"{failure}\nThe server's: {self.server}") from failure
        parse = parse_bandwidth if self.bandwidth else parse_latency
        return parse(self.client.out, self.size)


def run_perftest(lab, program, size, iterations, **options):
    return PerftestRun(lab, program, size, iterations, **options).finish()


def run_on_all_rails(lab, program, size, iterations, **options):
    """One perftest for each rail, at the same time; GB/s of all together."""
    runs = [
        PerftestRun(lab, program, size, iterations, rail=rail, port=PORT + rail, **options)
        for rail in range(len(lab.a.rails))
    ]
    return sum(run.finish()["gb_per_s"] for run in runs)


def find_row(text, size):
    """The numbers of the one row of figures, which begins with the size. The standard
    deviation may be -nan: perftest takes the root of a rounding error, or worse."""
    rows = re.findall(rf"(?m)^ *{size} +([-na\d. \t]+)$", text)
    if len(rows) != 1:
        raise LabFailure(f"not one row of perftest for {size} bytes: {text}")
    return [float(field) for field in rows[0].split()]


def parse_bandwidth(text, size):
    # What perftest calls MB is 2^20 bytes; as Gb it prints too few digits.
    _, peak, average = (number * 2**20 / 1e9 for number in find_row(text, size)[:3])
    return {"gb_per_s": average, "peak_gb_per_s": peak}


def parse_latency(text, size):
    _, least, most, typical, average, _, p99 = find_row(text, size)[:7]
    return {"p50": typical, "min": least, "max": most, "average": average, "p99": p99}


def parse_size(text):
    match = re.fullmatch(r"(\d+)([KM]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"not a size: {text}")
    return int(match.group(1)) * UNITS[match.group(2)]


def parse_sizes(text):
    return [parse_size(size) for size in text.split(",")]


def measure_round(lab, options, add):
    """Calls add(name, unit, figure) for each measurement of a round. What is to be
    compared with perftest belongs here, in the same round."""
    family = options.family
    for program in BANDWIDTH_PROGRAMS:
        for size in options.sizes:
            iterations = max(2 * options.depth, options.megabytes * 10**6 // size)
            arguments = [lab, program, size, iterations]
            more = {"depth": options.depth, "family": family}
            figure = run_perftest(*arguments, **more)["gb_per_s"]
            add(f"{program} {size}", "GB/s", figure)
            if options.rails > 1:
                figure = run_on_all_rails(*arguments, **more)
                add(f"{program} {size} x{options.rails}", "GB/s", figure)
    for program in LATENCY_PROGRAMS:
        size = options.latency_size
        figures = run_perftest(
            lab, program, size, options.latency_iterations, family=family
        )
        add(f"{program} {size}", "us", figures["p50"])


def summarize(series):
    """Of {name: (unit, figures)}."""
    return {
        name: {
            "unit": unit,
            "median": statistics.median(figures),
            "min": min(figures),
            "max": max(figures),
        }
        for name, (unit, figures) in series.items()
    }


def measure_rounds(options):
    begin = time.monotonic()
    with Lab(rails=options.rails, cpus=options.cpus) as lab:
        print(f"booted in {time.monotonic() - begin:.1f} s", file=sys.stderr)
        if options.rate:
            for host in lab.hosts:
                for rail in host.rails:
                    host.shape(rail, options.rate)
        series = {}

        def add(name, unit, figure):
            series.setdefault(name, (unit, []))[1].append(figure)

        for _ in range(options.rounds):
            measure_round(lab, options, add)
    return summarize(series)


def print_table(summary):
    print(f"{'':24} {'median':>10} {'min':>10} {'max':>10}")
    for name, row in summary.items():
        figures = " ".join(f"{row[key]:10.4g}" for key in ["median", "min", "max"])
        print(f"{name:24} {figures} {row['unit']}")


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--sizes", type=parse_sizes, default="64K,1M",
                        help="of requests, for bandwidth; default: 64K,1M")
    parser.add_argument("--depth", type=int, default=16,
                        help="requests in flight, for bandwidth; default: 16")
    parser.add_argument("--megabytes", type=int, default=100,
                        help="to move for each bandwidth; default: 100")
    parser.add_argument("--latency_size", type=parse_size, default="4K",
                        help="default: 4K")
    parser.add_argument("--latency_iterations", type=int, default=1000,
                        help="default: 1000")
    parser.add_argument("--family", choices=["ipv4", "ipv6"], default="ipv4",
                        help="of the GIDs; default: ipv4")
    parser.add_argument("--cpus", type=int, default=1,
                        help="of each host; default: 1")
    parser.add_argument("--rails", type=int, default=1, help="default: 1")
    parser.add_argument("--rate",
                        help="of each rail, as for tc, such as 40mbit; default: no limit")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    if min(options.rounds, options.rails, options.depth, options.megabytes) < 1:
        parser.error("numbers must be positive")
    return options


def main():
    options = parse_options()
    return print_report(
        "perftest", lambda: measure_rounds(options), print_table, options.json
    )


if __name__ == "__main__":
    sys.exit(main())
