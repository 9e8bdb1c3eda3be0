"""What QEMU itself is told about a virtual host."""

import itertools
import json
import time

from te.rdma.lab.failure import LabFailure

# Seconds, with a machine that is busy with other things.
PATIENCE = 60


class Monitor:
    """The end of a socket of which QEMU has the other one, where it speaks QMP, the
    QEMU Machine Protocol (docs/interop/qmp-spec of its sources). For one thread at a
    time."""

    def __init__(self, port, patience=PATIENCE):
        self.port = port
        self.patience = patience
        self.numbers = itertools.count(1)
        self.negotiated = False
        # Of a line that has not come to its end.
        self.received = b""

    def execute(self, command, **arguments):
        """What the command returns."""
        deadline = time.monotonic() + self.patience
        if not self.negotiated:
            # Once, even if its answer comes too late.
            self.negotiated = True
            self.ask("qmp_capabilities", {}, deadline)
        return self.ask(command, arguments, deadline)

    def ask(self, command, arguments, deadline):
        number = next(self.numbers)
        request = {"execute": command, "arguments": arguments, "id": number}
        try:
            self.wait_until(deadline)
            self.port.sendall(json.dumps(request).encode() + b"\n")
            # Before the answer may come a greeting, events, and what was too late.
            while (answer := self.read(deadline)).get("id") != number:
                pass
        except OSError as error:
            raise LabFailure(f"QEMU does not answer to {command}: {error}") from error
        if "error" in answer:
            raise LabFailure(f"QEMU refuses {request}: {answer['error']['desc']}")
        return answer["return"]

    def read(self, deadline):
        while b"\n" not in self.received:
            self.wait_until(deadline)
            chunk = self.port.recv(65536)
            if not chunk:
                raise ConnectionError("it has ended")
            self.received += chunk
        line, self.received = self.received.split(b"\n", 1)
        return json.loads(line)

    def wait_until(self, deadline):
        """Has the next call of the socket wait that long."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self.patience} s have passed")
        self.port.settimeout(left)

    def close(self):
        self.port.close()


def monitor_options(fd):
    return [
        "-chardev", f"socket,id=monitor,fd={fd}",
        "-mon", "chardev=monitor,mode=control",
    ]
