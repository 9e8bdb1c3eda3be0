"""Runs in a virtual host, and runs commands there for the lab.

Takes requests from a virtio-serial port and reports what happens on the same port.
Both are JSON objects, one a line:

  {"do": "start", "id": 1, "command": "ping -c1 10.0.0.2", "folder": "/"}
  {"do": "signal", "id": 1, "number": 9}

  {"id": 0, "event": "ready"}
  {"id": 1, "event": "out", "text": "..."}       or "err"
  {"id": 1, "event": "exit", "status": 0}        negative: that signal

A command is bash's, has a process group of its own, to which signals go, and has
ended when nothing holds its output open. The agent ends when nobody holds the other
end of the port.
"""

import codecs
import json
import os
import signal
import subprocess
import sys
import threading

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


def open_port(name):
    """The port that QEMU knows by this name, for reading and for writing."""
    ports = "/sys/class/virtio-ports"
    for port in os.listdir(ports):
        with open(f"{ports}/{port}/name", encoding="utf-8") as file:
            if file.read().strip() == name:
                fd = os.open(f"/dev/{port}", os.O_RDWR)
                return os.fdopen(fd, "rb"), os.fdopen(os.dup(fd), "wb")
    raise FileNotFoundError(f"no virtio-serial port is called {name}")


class Agent:
    def __init__(self, port):
        self.requests, self.reports = open_port(port)
        self.lock = threading.Lock()
        self.processes = {}

    def report(self, number, event, **details):
        line = json.dumps({"id": number, "event": event, **details}) + "\n"
        with self.lock:
            self.reports.write(line.encode())
            self.reports.flush()

    def copy(self, number, event, pipe):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        chunk = True
        while chunk:
            chunk = pipe.read1(65536)
            text = decoder.decode(chunk, final=not chunk)
            if text:
                self.report(number, event, text=text)

    def follow(self, number, process):
        """Reports what the process prints, and its end."""
        copiers = [
            threading.Thread(target=self.copy, args=(number, event, pipe))
            for event, pipe in [("out", process.stdout), ("err", process.stderr)]
        ]
        for copier in copiers:
            copier.start()
        for copier in copiers:
            copier.join()
        self.report(number, "exit", status=process.wait())

    def start(self, request):
        try:
            process = subprocess.Popen(
                ["/bin/bash", "-c", request["command"]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                cwd=request["folder"],
                start_new_session=True,
            )
        except OSError as error:
            self.report(request["id"], "err", text=f"{error}\n")
            self.report(request["id"], "exit", status=127)
            return
        self.processes[request["id"]] = process
        arguments = (request["id"], process)
        threading.Thread(target=self.follow, args=arguments, daemon=True).start()

    def signal(self, request):
        """To the whole group, as long as its first process has not been waited for:
        afterwards the number may be another group's."""
        process = self.processes.get(request["id"])
        if process is not None and process.returncode is None:
            os.killpg(process.pid, request["number"])

    def serve(self):
        self.report(0, "ready")
        for line in self.requests:
            request = json.loads(line)
            {"start": self.start, "signal": self.signal}[request["do"]](request)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Agent(sys.argv[1]).serve()
