"""Sends millions of small requests over the same few TCP connections, and shows
that they leave nothing behind.

Starts a target and an initiator, samples the resident memory and the open files
of both while the requests run, and then the CPU time of the target at rest.

  bazel run -c opt //te/bench:soak_tcp
  bazel run -c opt //te/bench:soak_tcp -- --seconds=60 --operation=write
"""

import argparse
import json
import os
import subprocess
import sys
import time

# Seconds that the target needs to start, or the initiator to stop, at most.
PATIENCE = 60


class Failure(Exception):
    """Something that was to be measured did not work."""


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise Failure(f"process {pid} has ended")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        # After the name, which may hold spaces: state is the first.
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_target(options):
    ready, theirs = os.pipe()
    target = subprocess.Popen(
        [
            options.bench,
            "--mode=target",
            "--metadata_server=p2p",
            "--local_server_name=127.0.0.1",
            f"--buffer_size={options.buffer_size}",
            "--minloglevel=1",
            f"--ready_fd={theirs}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs],
    )
    os.close(theirs)
    with os.fdopen(ready, encoding="utf-8") as pipe:
        name = pipe.readline().strip()
    if not name:
        target.wait(PATIENCE)
        raise Failure("the target did not start")
    return target, name


def start_initiator(options, name):
    return subprocess.Popen(
        [
            options.bench,
            "--mode=initiator",
            "--metadata_server=p2p",
            "--local_server_name=127.0.0.1",
            f"--segment_id={name}",
            f"--buffer_size={options.buffer_size}",
            f"--operation={options.operation}",
            "--block_size=4K",
            "--batch_size=128",
            "--threads=2",
            f"--duration={options.seconds}",
            "--noverify",
            "--minloglevel=1",
            "--format=json",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


class Samples:
    """Of one process: once a second, without the first fifth, in which the
    process maps its buffer and fills its pools."""

    def __init__(self, pid):
        self.pid = pid
        self.memory = []
        self.files = []

    def take(self):
        self.memory.append(resident_kib(self.pid))
        self.files.append(open_files(self.pid))

    def summary(self):
        memory = self.memory[len(self.memory) // 5 :]
        files = self.files[len(self.files) // 5 :]
        return {
            "memory_first_kib": memory[0],
            "memory_last_kib": memory[-1],
            "memory_max_kib": max(memory),
            "files_min": min(files),
            "files_max": max(files),
        }


def soak(options):
    target, name = start_target(options)
    running = [target]
    try:
        initiator = start_initiator(options, name)
        running.append(initiator)
        samples = {"target": Samples(target.pid), "initiator": Samples(initiator.pid)}
        end = time.monotonic() + options.seconds
        while time.monotonic() + 1 < end and initiator.poll() is None:
            time.sleep(1)
            for process in samples.values():
                process.take()
        text, _ = initiator.communicate(timeout=options.seconds + PATIENCE)
        if initiator.returncode != 0:
            raise Failure(f"the initiator: exit status {initiator.returncode}")
        row = json.loads(text)
        before = cpu_seconds(target.pid)
        time.sleep(options.rest)
        idle = (cpu_seconds(target.pid) - before) / options.rest
    finally:
        for process in running:
            process.kill()
            process.wait()
    return {
        "operation": options.operation,
        "requests": row["requests"],
        "errors": row["errors"],
        "gb_per_s": row["gb_per_s"],
        "idle_cpu_percent": round(100 * idle, 3),
        **{name: process.summary() for name, process in samples.items()},
    }


def parse_options():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operation", default="mix", choices=["read", "write", "mix"])
    parser.add_argument("--seconds", type=int, default=40, help="default: 40")
    parser.add_argument("--rest", type=int, default=10,
                        help="seconds to watch the idle target; default: 10")
    parser.add_argument("--buffer_size", default="64M", help="default: 64M")
    parser.add_argument("--bench", default=os.path.join(here, "transfer_bench"))
    options = parser.parse_args()
    if options.seconds < 5 or options.rest < 1:
        parser.error("--seconds must be at least 5, --rest at least 1")
    return options


def main():
    try:
        print(json.dumps(soak(parse_options()), indent=2))
    except (Failure, OSError, subprocess.TimeoutExpired) as failure:
        print(f"soak_tcp: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
