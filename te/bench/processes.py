"""transfer_bench as its users run it: as processes, with flags.

Ports are the system's choice, and every wait is for an event, with a deadline.
"""

import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import unittest

BENCH = os.path.abspath("te/bench/transfer_bench")

# Seconds; under sanitizers, and with other tests beside this one.
PATIENCE = 120

SMALL = ["--buffer_size=4M", "--block_size=64K", "--batch_size=4", "--threads=2"]
SHORT = ["--duration=0.1"]


def environment(extra=None):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MC_")}
    return {**kept, **(extra or {})}


def run(*flags, env=None):
    """The finished process, with its output as text."""
    return subprocess.run(
        [BENCH, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(env),
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def run_in_shell(command, *flags):
    """As run, but by a shell, which knows transfer_bench and its flags as "$@"."""
    return subprocess.run(
        ["sh", "-c", command, "sh", BENCH, *flags],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Target:
    """A target process; `name` is that of its segment."""

    def __init__(self, host, *flags):
        ready, theirs = os.pipe()
        self.process = subprocess.Popen(
            [
                BENCH,
                "--mode=target",
                "--metadata_server=p2p",
                f"--local_server_name={host}",
                "--buffer_size=4M",
                f"--ready_fd={theirs}",
                *flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            pass_fds=[theirs],
            text=True,
        )
        os.close(theirs)
        with os.fdopen(ready) as pipe:
            self.name = pipe.readline().strip()

    def end(self, number):
        """Sends the signal; exit status, stdout and stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def check_transfer(test, metadata_flag):
    """A target and an initiator that find each other as the flag says, and lose
    each other when the target has ended. The target's output."""
    with Target("127.0.0.1", metadata_flag) as target:
        result = run(
            metadata_flag,
            f"--segment_id={target.name}",
            "--operation=mix",
            "--verify",
            "--format=json",
            *SMALL,
            *SHORT,
        )
        status, out, err = target.end(signal.SIGINT)
    test.assertEqual(status, 0, err)
    test.assertEqual(result.returncode, 0, result.stderr)
    row = json.loads(result.stdout)
    test.assertEqual(row["errors"], 0)
    test.assertGreater(row["verified_bytes"], 0)
    # The target has taken its entry back.
    result = run(metadata_flag, f"--segment_id={target.name}", *SMALL, *SHORT)
    test.assertEqual(result.returncode, 1)
    test.assertIn(f"segment '{target.name}' is not published", result.stderr)
    return out + err


class Terminal:
    """A terminal for a process to write to."""

    def __init__(self):
        self.fd, self.theirs = pty.openpty()
        self.text = ""

    def read(self):
        """Appends what comes next to `text`; False at the end."""
        if not select.select([self.fd], [], [], PATIENCE)[0]:
            raise TimeoutError(f"nothing came after: {self.text}")
        try:
            self.text += os.read(self.fd, 65536).decode()
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end open
                raise
            return False
        return True

    def close(self):
        os.close(self.fd)


class RunningInitiator:
    """An initiator of which the progress line says that bytes move."""

    def __init__(self, target, *flags):
        self.terminal = Terminal()
        self.process = subprocess.Popen(
            [BENCH, f"--segment_id={target.name}", *SMALL, "--duration=600", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.terminal.theirs,
            env=environment(),
            text=True,
        )
        os.close(self.terminal.theirs)
        moving = r"threads: [\d.]+ of 600\.0 s, (?!0\.00)"
        while not re.search(moving, self.terminal.text) and self.terminal.read():
            pass

    def finish(self):
        """Waits for its end; exit status, stdout and stderr."""
        while self.terminal.read():
            pass
        out = self.process.stdout.read()
        return self.process.wait(PATIENCE), out, self.terminal.text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.terminal.close()


class BenchTestCase(unittest.TestCase):
    def check_completed(self, text):
        self.assertRegex(
            text,
            r"(?m)^Test completed: duration \d+\.\d\d, batch count [1-9]\d*, "
            r"throughput \d+\.\d\d GB/s$",
        )

    def check_fails_with_one_line(self, *flags, env=None, why):
        result = run(*flags, env=env)
        self.assertEqual(result.returncode, 2, flags)
        self.assertEqual(result.stdout, "", flags)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertRegex(result.stderr, "^transfer_bench: ", flags)
        self.assertIn(why, result.stderr)
