"""What UCX moves between two processes of this host, by its ucx_perftest."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

from te.bench.comparison import Failure

PROGRAM = "ucx_perftest"
OPERATIONS = {"write": "put_bw", "read": "get"}
# ucx_perftest counts in these.
MEBIBYTE = 1 << 20


def is_installed():
    return shutil.which(PROGRAM) is not None


def arguments(memory, operation, size):
    """The flags of the client that say what to measure, and the environment.

    Memory that others can map UCX allocates by itself, if it may use posix. In
    other memory its cma does what is asked for, but only below UCP, which would
    send messages instead: cma has no way to move what is not registered.
    """
    test = OPERATIONS[operation]
    if memory == "mapped":
        flags = ["-t", "ucp_get" if operation == "read" else "ucp_put_bw"]
        return [*flags, "-s", str(size)], {"UCX_TLS": "posix,self"}
    flags = ["-d", "memory", "-x", "cma", "-D", "zcopy"]
    return [*flags, "-t", test, "-s", str(size)], {}


def parse(text):
    """GB/s, of all iterations, from what the client prints with -f -v."""
    lines = [line.strip() for line in text.splitlines()]
    for heading, values in zip(lines, lines[1:]):
        names = heading.split(",")
        if "overall_bw" not in names:
            continue
        fields = values.split(",")
        if len(fields) != len(names):
            break
        try:
            rate = float(fields[names.index("overall_bw")])
        except ValueError:
            break
        return rate * MEBIBYTE / 1e9
    raise Failure(f"{PROGRAM} printed no rate: {text.strip()[-300:]}")


def iterations(size, seconds):
    """So many that it takes about that long, at 10 GB/s."""
    return max(20, int(seconds * 10e9 / size))


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def server(port, environment, patience):
    """The other process, which ends with the test or is ended."""
    process = subprocess.Popen(
        [PROGRAM, "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_listener(process, port, patience)
        yield
    finally:
        # By this handle alone: there may be others.
        process.kill()
        process.wait()


def listens(port):
    """Without connecting, which the server would take for its client."""
    wanted = f"{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A" and local.rsplit(":", 1)[1] == wanted:
                return True
    return False


def await_listener(process, port, patience):
    end = time.monotonic() + patience
    while not listens(port):
        if process.poll() is not None:
            raise Failure(f"{PROGRAM} ended with exit status {process.returncode}")
        if time.monotonic() > end:
            raise Failure(f"{PROGRAM} does not listen on port {port}")
        time.sleep(0.01)


def measure(memory, operation, size, seconds, patience):
    """GB/s of one operation after another."""
    flags, settings = arguments(memory, operation, size)
    environment = {**os.environ, **settings}
    port = free_port()
    count = iterations(size, seconds)
    client = [
        PROGRAM, "127.0.0.1", "-p", str(port), *flags,
        "-n", str(count), "-w", "10", "-f", "-v",
    ]
    with server(port, environment, patience):
        try:
            done = subprocess.run(
                client,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{' '.join(client)}: {error}") from error
    if done.returncode != 0:
        raise Failure(f"{' '.join(client)}: exit status {done.returncode}: "
                      f"{done.stdout.strip()[-300:]}")
    return parse(done.stdout)
