"""What programs that compare te with something else have in common."""

import json
import os
import platform
import statistics
import subprocess
import sys


class Failure(Exception):
    """Something that was to be measured did not work."""


class Results:
    """The figures of each series, in the order of the rounds."""

    def __init__(self):
        self.series = {}

    def add(self, name, value):
        self.series.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.series[name])

    def summary(self, unit_of):
        """Each series as a dictionary; `unit_of` gives the unit of a name."""
        return {
            name: {
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
                "unit": unit_of(name),
                "values": values,
            }
            for name, values in self.series.items()
        }


def run(command, timeout):
    """What the command prints. It is killed if it takes too long."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise Failure(
            f"{' '.join(command)}: exit status {done.returncode}: "
            f"{done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def machine():
    model = platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} CPUs, {model}, Linux {platform.release()}, "
        f"load average {load:.1f} at the start"
    )


def print_series(series, width):
    print(f"\n{'':{width}}{'median':>9}{'min':>9}{'max':>9}")
    for name, figures in series.items():
        print(
            f"{name:{width}}{figures['median']:9.2f}{figures['min']:9.2f}"
            f"{figures['max']:9.2f}  {figures['unit']}"
        )


def print_verdicts(verdicts, width):
    base = max(20, *(len(verdict["compared_with"]) + 2 for verdict in verdicts))
    print(f"\n{'':{width}}{'over':{base}}{'ratio':>7}  target")
    for verdict in verdicts:
        print(
            f"{verdict['series']:{width}}{verdict['compared_with']:{base}}"
            f"{verdict['ratio']:7.2f}  {verdict['bound']:8}"
            f"{'met' if verdict['met'] else 'MISSED'}"
        )
    missed = sum(not verdict["met"] for verdict in verdicts)
    print(f"\n{len(verdicts) - missed} targets met, {missed} missed")


def report(program, compare, print_text, as_json):
    """Prints what `compare` returns, by `print_text` or as one JSON object, or why
    it could not be measured. Returns the exit status."""
    try:
        compared = compare()
    except Failure as failure:
        print(f"{program}: {failure}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(compared, indent=2))
    else:
        print_text(compared)
    return 0
