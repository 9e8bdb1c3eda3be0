"""What QEMU itself is told about a virtual host."""

import itertools
import json
import socket

from te.rdma.lab.failure import LabFailure

# Seconds, with a machine that is busy with other things.
PATIENCE = 60


class Monitor:
    """The end of a socket of which QEMU has the other one, where it speaks QMP, the
    QEMU Machine Protocol (docs/interop/qmp-spec.txt of its sources). For one thread
    at a time."""

    def __init__(self, port):
        port.settimeout(PATIENCE)
        self.port = port
        self.lines = port.makefile("rb")
        self.numbers = itertools.count(1)
        self.negotiated = False

    def execute(self, command, **arguments):
        """What the command returns."""
        if not self.negotiated:
            self.ask("qmp_capabilities", {})
            self.negotiated = True
        return self.ask(command, arguments)

    def ask(self, command, arguments):
        number = next(self.numbers)
        request = {"execute": command, "arguments": arguments, "id": number}
        try:
            self.port.sendall(json.dumps(request).encode() + b"\n")
            answer = self.read_answer(number)
        except OSError as error:
            raise LabFailure(f"QEMU does not answer to {command}: {error}") from error
        if "error" in answer:
            raise LabFailure(f"QEMU refuses {request}: {answer['error']['desc']}")
        return answer["return"]

    def read_answer(self, number):
        """Before it may come a greeting and events."""
        while (line := self.lines.readline()).endswith(b"\n"):
            answer = json.loads(line)
            if answer.get("id") == number:
                return answer
        raise ConnectionError("it has ended")

    def close(self):
        self.lines.close()
        self.port.close()


def monitor_options(fd):
    return [
        "-chardev", f"socket,id=monitor,fd={fd}",
        "-mon", "chardev=monitor,mode=control",
    ]
