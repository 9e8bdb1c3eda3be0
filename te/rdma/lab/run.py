"""Boots two virtual hosts with Soft-RoCE rails, runs a shell command on each, and
prints what they print, each line behind its host's letter.

  bazel run //te/rdma/lab -- --host_a='rdma link' --host_b='ibv_devinfo'
  bazel run //te/rdma/lab -- --host_a='ib_write_bw -d rxe0 -x 1' \\
      --host_b='ib_write_bw -d rxe0 -x 1 10.0.0.1' --port=18515
  bazel run //te/rdma/lab -- --host_a="$PWD/bazel-bin/te/bench/transfer_bench \\
      --mode=target --metadata_server=p2p --local_server_name=10.0.0.1:9000" \\
      --host_b="$PWD/bazel-bin/te/bench/transfer_bench --segment_id=10.0.0.1:9000" \\
      --port=9000 --end_with=b

Hosts see the files of this machine; what they write is lost at the end. They reach
each other as 10.0.0.1 (a) and 10.0.0.2 (b) over a network for control planes, and
over rail eth0, with device rxe0, as 10.0.1.1 and 10.0.1.2, fd00:1::1 and fd00:1::2;
over eth1, with rxe1, as 10.0.2.1 and so on.

The exit status is 0 if both commands' are, 1 if not, 2 if a flag is wrong.
"""

import argparse
import os
import sys
import threading

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.lab import RAIL_MTU, Lab


class LinePrinter:
    """Prints whole lines of one host, to stdout or stderr as there."""

    lock = threading.Lock()

    def __init__(self, name):
        self.name = name
        self.rest = {"out": "", "err": ""}

    def __call__(self, event, text):
        *lines, self.rest[event] = (self.rest[event] + text).split("\n")
        self.print(event, lines)

    def print(self, event, lines):
        with self.lock:
            for line in lines:
                stream = sys.stdout if event == "out" else sys.stderr
                print(f"{self.name}: {line}", file=stream, flush=True)

    def finish(self):
        for event, text in self.rest.items():
            self.print(event, [text] if text else [])


def run_commands(lab, options):
    """Whether all went well."""
    commands = {"a": options.host_a, "b": options.host_b}
    printers = {name: LinePrinter(name) for name in commands}
    processes = {"a": lab.a.start(commands["a"], printers["a"])}
    if options.port:
        processes["a"].wait_for_listener(options.port, options.patience)
    processes["b"] = lab.b.start(commands["b"], printers["b"])
    awaited = list(commands) if options.end_with == "both" else [options.end_with]
    for name in awaited:
        processes[name].wait(options.patience)
    well = True
    for name, process in processes.items():
        killed = process.status is None
        process.kill()
        printers[name].finish()
        end = "killed" if killed else f"exit status {process.status}"
        print(f"{name}: {end}", file=sys.stderr)
        well = well and (killed or process.status == 0)
    return well


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host_a", default="true", help="command of host a, in bash")
    parser.add_argument("--host_b", default="true", help="command of host b, in bash")
    parser.add_argument("--port", type=int, default=0,
                        help="start b when a listens on this TCP port; default: at once")
    parser.add_argument("--end_with", choices=["both", "a", "b"], default="both",
                        help="whose end ends the run and the other; default: both")
    parser.add_argument("--patience", type=int, default=600,
                        help="seconds that the commands have; default: 600")
    parser.add_argument("--rails", type=int, default=2, help="default: 2")
    parser.add_argument("--cpus", type=int, default=1, help="of each host; default: 1")
    parser.add_argument("--memory_mib", type=int, default=1024,
                        help="of each host; default: 1024")
    parser.add_argument("--mtu", type=int, default=RAIL_MTU,
                        help=f"of the rails; default: {RAIL_MTU}")
    return parser.parse_args(arguments)


def main():
    options = parse_options(sys.argv[1:])
    # Paths are those of who calls.
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        with Lab(options.rails, options.cpus, options.memory_mib, options.mtu) as lab:
            return 0 if run_commands(lab, options) else 1
    except LabFailure as failure:
        print(f"lab: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
