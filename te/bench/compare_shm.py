"""Measures te's shared-memory transport against what the machine and UCX can do.

Two kinds of memory: of the user, which the kernel copies for te (bare: a loop of
process_vm_readv or process_vm_writev), and of the engine, which both processes
map (memcpy, movsb: a loop of these). Each is measured while the same block is
copied again and again, and through buffers larger than the last-level cache,
there by one thread and by two. process_copy, transfer_bench and, where it is
installed, ucx_perftest run in turn, round after round, so that whatever else the
machine does hits all alike. Prints medians with their spread, and the ratios of
medians against the targets.

  bazel run -c opt //te/bench:compare_shm
  bazel run -c opt //te/bench:compare_shm -- --rounds=9 --seconds=2 --json
"""

import argparse
import collections
import datetime
import json
import os
import sys

from te.bench import ucx
from te.bench.comparison import (
    Failure,
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
THREADS = [1, 2]
BATCH = 128
# What te's way to the memory is compared with.
BASES = {"user": ["cma"], "engine": ["memcpy", "movsb"]}
UCX_MEMORY = {"user": "user", "engine": "mapped"}

LEAST_RATE = 0.95
# In microseconds: above the bare call, and for a request to mapped memory.
MOST_OVERHEAD = 0.3
MOST_LATENCY = 0.5
# Millions of requests of 4 KiB to mapped memory a second, on one thread.
LEAST_REQUESTS = 5

LARGE_BUFFER = 1 << 30
LEAST_LARGE_BUFFER = 64 << 20
UNITS = {"K": 1 << 10, "M": 1 << 20}


def bytes_of(size):
    return int(size[:-1]) * UNITS[size[-1]]


class Case(collections.namedtuple("Case", "operation block buffer threads batch")):
    """What is copied: blocks in order through the buffer, so many at once. Large
    buffers are gone through by nobody but those threads."""

    @property
    def is_large(self):
        return self.buffer > self.threads * self.batch * bytes_of(self.block)


def hot(operation, block, batch=1):
    """The same memory again and again."""
    return Case(operation, block, bytes_of(block) * batch, 1, batch)


def large_buffer(available):
    """What fits twice into three quarters of so much memory."""
    size = LARGE_BUFFER
    while size > LEAST_LARGE_BUFFER and 2 * size > available * 3 // 4:
        size //= 2
    return size


def available_memory():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    raise Failure("/proc/meminfo does not tell how much memory is available")


def last_level_cache():
    """Its bytes; 0 if the kernel does not tell."""
    size = "0K"
    for index in range(10):
        path = f"/sys/devices/system/cpu/cpu0/cache/index{index}/size"
        if not os.path.exists(path):
            break
        with open(path, encoding="ascii") as file:
            size = file.read().strip()
    return bytes_of(size)


class Programs:
    """The programs, each measured once by a call."""

    def __init__(self, options):
        self.options = options
        self.patience = options.seconds + 60

    def path(self, name):
        return os.path.join(self.options.bin_dir, name)

    def bare(self, way, case):
        text = run(
            [
                self.path("process_copy"),
                f"--way={way}",
                f"--operation={case.operation}",
                f"--block_size={case.block}",
                f"--buffer_size={case.buffer}",
                f"--threads={case.threads}",
                f"--duration={self.options.seconds}",
            ],
            self.patience,
        )
        return json.loads(text)

    def bench(self, memory, case):
        batch = case.batch
        flags = []
        if case.is_large:
            # A thread has the same places in every batch, so one batch must go
            # through all. Nobody helps the threads that are counted.
            batch = case.buffer // (case.threads * bytes_of(case.block))
            flags.append("--shm_workers=0")
        # The default; a transfer_bench without engine memory has no such flag.
        if memory != "user":
            flags.append(f"--memory={memory}")
        text = run(
            [
                self.path("transfer_bench"),
                "--mode=loopback",
                "--minloglevel=1",
                "--noverify",
                "--format=json",
                "--protocol=shm",
                f"--threads={case.threads}",
                f"--batch_size={batch}",
                f"--buffer_size={case.buffer}",
                f"--operation={case.operation}",
                f"--block_size={case.block}",
                f"--duration={self.options.seconds}",
                *flags,
                *self.options.bench_flag,
            ],
            self.patience,
        )
        return json.loads(text)

    def ucx(self, memory, case):
        return ucx.measure(
            UCX_MEMORY[memory],
            case.operation,
            bytes_of(case.block),
            self.options.seconds,
            self.patience,
        )


def series_of(who, memory, case):
    name = f"{who} {memory} {case.operation} {case.block}"
    if case.is_large:
        return f"{name} large x{case.threads}"
    return name if case.batch == 1 else f"{name} batch {case.batch}"


class Comparison:
    """Which memory is compared, how, and the results."""

    def __init__(self, programs, memories, buffer, with_ucx):
        self.programs = programs
        self.memories = memories
        self.buffer = buffer
        self.with_ucx = with_ucx
        self.results = Results()

    def large(self, operation, block, threads):
        return Case(operation, block, self.buffer, threads, 1)

    def large_cases(self):
        return [
            self.large(operation, block, threads)
            for operation in OPERATIONS
            for block in LARGE_BLOCKS
            for threads in THREADS
        ]

    def hot_cases(self):
        return [hot(operation, block) for operation in OPERATIONS for block in BLOCKS]

    def measure_round(self):
        for case in self.hot_cases() + self.large_cases():
            for memory in self.memories:
                self.measure(memory, case)
        for operation in OPERATIONS:
            for memory in self.memories:
                self.measure_batch(memory, hot(operation, SMALL_BLOCK, BATCH))

    def measure(self, memory, case):
        for way in BASES[memory]:
            self.add(way, memory, case, self.programs.bare(way, case))
        self.add("te", memory, case, self.programs.bench(memory, case))
        if self.with_ucx and not case.is_large:
            rate = self.programs.ucx(memory, case)
            self.results.add(series_of("ucx", memory, case), rate)

    def add(self, who, memory, case, row):
        series = series_of(who, memory, case)
        self.results.add(series, row["gb_per_s"])
        if case.block == SMALL_BLOCK:
            self.results.add(f"{series} p50", row["latency_us"]["p50"])

    def measure_batch(self, memory, case):
        row = self.programs.bench(memory, case)
        series = series_of("te", memory, case)
        self.results.add(series, row["gb_per_s"])
        self.results.add(f"{series} requests", row["requests_per_s"] / 1e6)

    def base_of(self, memory, case):
        """The better one."""
        names = [series_of(way, memory, case) for way in BASES[memory]]
        return max(names, key=self.results.median)

    def at_least(self, series, base, least):
        ratio = self.results.median(series) / self.results.median(base)
        return verdict(series, base, ratio, f">= {least}", ratio >= least)

    def judge(self):
        """One dictionary for each target."""
        verdicts = []
        for memory in self.memories:
            for case in self.hot_cases() + self.large_cases():
                if case.block in LARGE_BLOCKS:
                    series = series_of("te", memory, case)
                    base = self.base_of(memory, case)
                    verdicts.append(self.at_least(series, base, LEAST_RATE))
            for operation in OPERATIONS:
                verdicts += self.judge_small(memory, operation)
            if self.with_ucx:
                verdicts += self.judge_ucx(memory)
        return verdicts

    def judge_small(self, memory, operation):
        series = series_of("te", memory, hot(operation, SMALL_BLOCK)) + " p50"
        time = self.results.median(series)
        if memory == "user":
            base = series_of("cma", memory, hot(operation, SMALL_BLOCK)) + " p50"
            bare = self.results.median(base)
            most = (bare + MOST_OVERHEAD) / bare
            return [verdict(series, base, time / bare, f"<= {most:.2f}",
                            time / bare <= most)]
        batch = series_of("te", memory, hot(operation, SMALL_BLOCK, BATCH))
        requests = self.results.median(f"{batch} requests")
        return [
            verdict(series, f"{MOST_LATENCY} us", time / MOST_LATENCY, "< 1",
                    time < MOST_LATENCY),
            verdict(batch, f"{LEAST_REQUESTS} M requests/s",
                    requests / LEAST_REQUESTS, ">= 1", requests >= LEAST_REQUESTS),
        ]

    def judge_ucx(self, memory):
        """Its requests follow each other without waiting: small ones are compared
        with those of a batch."""
        verdicts = []
        for case in self.hot_cases():
            ours = case
            if case.block == SMALL_BLOCK:
                ours = hot(case.operation, SMALL_BLOCK, BATCH)
            series, base = series_of("te", memory, ours), series_of("ucx", memory, case)
            verdicts.append(self.at_least(series, base, 1))
        return verdicts


def verdict(series, base, ratio, bound, met):
    return {
        "series": series,
        "compared_with": base,
        "ratio": ratio,
        "bound": bound,
        "met": met,
    }


def unit_of(series):
    if series.endswith("requests"):
        return "M/s"
    return "us" if series.endswith("p50") else "GB/s"


def print_text(compared):
    print(f"{compared['date']}  {compared['machine']}")
    print(f"{compared['rounds']} rounds, {compared['seconds']} s each")
    print(compared["large"])
    print_series(compared["series"], 40)
    print_verdicts(compared["targets"], 40)


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
    parser.add_argument("--memory", action="append", choices=list(BASES),
                        help="this kind alone; default: both")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object in place of the tables")
    parser.add_argument("--bin_dir", default=here,
                        help="where transfer_bench and process_copy are")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def describe_large(buffer, cache):
    text = (
        f"large: through {buffer >> 20} MiB at both ends; the last-level cache "
        f"has {cache >> 20} MiB"
    )
    if buffer < LARGE_BUFFER:
        text += f"; for {LARGE_BUFFER >> 20} MiB there is too little memory"
    if buffer <= cache:
        text += ", so it is not larger than the cache"
    return text


def compare(options):
    with_ucx = ucx.is_installed()
    if not with_ucx:
        print(f"{ucx.PROGRAM} is not installed (Debian: ucx-utils): goes on without",
              file=sys.stderr)
    buffer = large_buffer(available_memory())
    start = machine()
    comparison = Comparison(
        Programs(options), options.memory or list(BASES), buffer, with_ucx
    )
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        comparison.measure_round()
    return {
        "date": datetime.date.today().isoformat(),
        "machine": start,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "large": describe_large(buffer, last_level_cache()),
        "series": comparison.results.summary(unit_of),
        "targets": comparison.judge(),
    }


def main():
    options = parse_options()
    return report("compare_shm", lambda: compare(options), print_text, options.json)


if __name__ == "__main__":
    sys.exit(main())
