"""A virtual host, and processes on it."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.initramfs import AGENT_PORT
from te.rdma.lab.monitor import Monitor, monitor_options

# Seconds, with a machine that is busy with other things.
BOOT_PATIENCE = 300
PATIENCE = 120


class Process:
    """A shell command that runs on a virtual host. `out` and `err` are what it has
    printed so far, `status` is None until it has ended, and negative if a signal
    ended it. It has ended when nothing holds its output open, so a program that it
    leaves behind counts. Made by VirtualHost.start."""

    def __init__(self, host, number, command, listener=None):
        self.host = host
        self.number = number
        self.command = command
        self.listener = listener
        self.out = ""
        self.err = ""
        self.status = None

    def wait(self, patience=PATIENCE):
        """Until its end; the exit status."""
        self.host.wait_until(self, lambda: self.status is not None, patience)
        return self.status

    def wait_for(self, pattern, patience=PATIENCE):
        """Until it prints, to stdout or stderr, what the regular expression matches
        (^ and $ are those of lines); the match."""
        expression = re.compile(pattern, re.MULTILINE)

        def found():
            return expression.search(self.out) or expression.search(self.err)

        self.host.wait_until(
            self, lambda: found() or self.status is not None, patience, pattern
        )
        match = found()
        if match is None:
            raise LabFailure(f"it ended without printing {pattern!r}: {self}")
        return match

    def wait_for_listener(self, port, patience=PATIENCE):
        """Until its host listens on the TCP port: for programs that do not say when
        they do."""
        watch = self.host.start(
            f"until grep -qsE ': [0-9A-F]+:{port:04X} [0-9A-F]+:0000 0A' "
            "/proc/net/tcp /proc/net/tcp6; do sleep 0.02; done"
        )
        try:
            self.host.wait_until(
                watch,
                lambda: watch.status is not None or self.status is not None,
                patience,
            )
            if watch.status is None:
                raise LabFailure(f"it ended without listening on port {port}: {self}")
        finally:
            watch.send_signal(signal.SIGKILL)

    def send_signal(self, number):
        """To the command and to what it has started. Nothing if it has ended."""
        self.host.send(do="signal", id=self.number, number=number)

    def kill(self):
        """As kill -9; waits for its end."""
        self.send_signal(signal.SIGKILL)
        return self.wait()

    def check(self):
        """Itself, if it has ended well."""
        if self.status != 0:
            raise LabFailure(str(self))
        return self

    def __str__(self):
        state = "is running" if self.status is None else f"exit status {self.status}"
        text = f"host {self.host.name}: `{self.command}`: {state}"
        for name, printed in [("stdout", self.out), ("stderr", self.err)]:
            if printed.strip():
                text += f"\n--- {name}:\n{printed.rstrip()}"
        return text


class VirtualHost:
    """A host that QEMU emulates, from its boot to close(). It has the machine's own
    files, at the same paths; what it writes is its own and lost with it.

    Commands may be started and waited for by any thread. Everything that waits ends
    after its patience, in seconds, or with the host: with a LabFailure that has what
    the command printed or the host's console. An oops of its kernel ends a host.

    It ends with close(), or with the thread that made it or this process, however
    these end: the kernel then kills QEMU. Nothing of it is in the file system.
    """

    def __init__(self, name, command, inherited_fds):
        """`command` starts QEMU with everything but console, agent and monitor; the
        descriptors are for it."""
        self.name = name
        self.console = ""
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.processes = {}
        self.numbers = itertools.count(1)
        self.ready = False
        self.gone = False
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            self.port, agent = socket_pair(undo, theirs)
            monitor_port, monitor = socket_pair(undo, theirs)
            self.monitor = Monitor(monitor_port)
            self.qemu = subprocess.Popen(
                [
                    *end_with_parent(),
                    *command,
                    *console_and_agent(agent.fileno()),
                    *monitor_options(monitor.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[*inherited_fds, agent.fileno(), monitor.fileno()],
                # Ctrl-C is for this process, which ends the host in good order.
                start_new_session=True,
            )
            undo.pop_all()
        self.console_reader = threading.Thread(target=self.read_console, daemon=True)
        self.port_reader = threading.Thread(target=self.read_port, daemon=True)
        self.console_reader.start()
        self.port_reader.start()

    def wait_for_boot(self):
        self.wait_until("boot", lambda: self.ready, BOOT_PATIENCE)

    def start(self, command, listener=None):
        """Starts bash with the command, in the folder of this process. `listener` is
        called with "out" or "err" and each piece of what the command prints, and must
        not wait for the host."""
        with self.changed:
            process = Process(self, next(self.numbers), command, listener)
            self.processes[process.number] = process
        self.send(do="start", id=process.number, command=command, folder=os.getcwd())
        return process

    def run(self, command, patience=PATIENCE, check=True):
        """The finished process; with `check` its exit status must be 0."""
        process = self.start(command)
        try:
            process.wait(patience)
        except LabFailure:
            if not self.gone:
                process.send_signal(signal.SIGKILL)
            raise
        return process.check() if check else process

    def tell_qemu(self, command, **arguments):
        """What a command of QEMU's monitor returns. By one thread at a time."""
        try:
            return self.monitor.execute(command, **arguments)
        except LabFailure as failure:
            raise LabFailure(
                f"host {self.name}: {failure}\n{self.console_text()}"
            ) from failure

    def close(self):
        """Ends the host at once; its commands never end."""
        self.qemu.kill()
        self.qemu.wait()
        self.port_reader.join()
        self.console_reader.join()
        self.port.close()
        self.monitor.close()
        self.qemu.stdout.close()

    def send(self, **request):
        try:
            with self.sending:
                self.port.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LabFailure(self.describe_end(f"{error}")) from error

    def wait_until(self, what, done, patience, pattern=None):
        """Until done(), which is called with the lock held."""
        deadline = time.monotonic() + patience
        with self.changed:
            while not done():
                if self.gone:
                    raise LabFailure(self.describe_end(what))
                left = deadline - time.monotonic()
                if left <= 0:
                    missed = f"not {'printed ' + repr(pattern) if pattern else 'done'}"
                    raise LabFailure(
                        f"{missed} within {patience} s: {what}\n{self.console_text()}"
                    )
                self.changed.wait(left)

    def describe_end(self, what):
        status = self.qemu.poll()
        state = "has ended" if status is None else f"has ended ({status})"
        return f"host {self.name} {state}: {what}\n{self.console_text()}"

    def console_text(self):
        lines = self.console.replace("\r", "").strip()
        return f"--- console of host {self.name}:\n{lines or '(nothing)'}"

    # The threads.

    def read_console(self):
        while chunk := self.qemu.stdout.read1(65536):
            with self.changed:
                self.console += chunk.decode(errors="replace")
                self.changed.notify_all()

    def read_port(self):
        try:
            with self.port.makefile("rb") as reports:
                # The last line is cut off if the host ended in the middle of it.
                while (line := reports.readline()).endswith(b"\n"):
                    with self.changed:
                        self.handle(json.loads(line))
                        self.changed.notify_all()
        except ConnectionResetError:
            pass  # the host was killed before it had read all requests
        finally:
            # For the last words, and so that those who wait see its exit status.
            self.console_reader.join()
            self.qemu.wait()
            with self.changed:
                self.gone = True
                self.changed.notify_all()

    def handle(self, report):
        event = report["event"]
        if event == "ready":
            self.ready = True
            return
        process = self.processes[report["id"]]
        if event == "exit":
            process.status = report["status"]
            del self.processes[report["id"]]
            return
        setattr(process, event, getattr(process, event) + report["text"])
        if process.listener is not None:
            process.listener(event, report["text"])


def end_with_parent():
    """Starts what follows so that the kernel kills it when its parent ends. The shell
    looks whether that was so before the kernel was told."""
    parent = ["sh", "-c", '[ "${PPID}" = "$0" ] && exec "$@"', str(os.getpid())]
    return ["setpriv", "--pdeathsig=KILL", *parent]


def socket_pair(ours, theirs):
    """A pair of which each stack closes one."""
    pair = socket.socketpair()
    for end, stack in zip(pair, [ours, theirs]):
        stack.enter_context(end)
    return pair


def console_and_agent(agent_fd):
    return [
        "-serial", "stdio",
        "-chardev", f"socket,id=agent,fd={agent_fd}",
        "-device", "virtio-serial-pci",
        "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}",
    ]
