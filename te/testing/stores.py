"""Metadata stores of a test's own, as processes."""

import os
import re
import shutil
import socket
import subprocess
import tempfile

SERVER = os.path.abspath("te/metadata/server/metadata_server")

# Seconds; under sanitizers, and with other tests beside this one.
PATIENCE = 120


class Redis:
    """A Redis server on a free port of 127.0.0.1."""

    def __init__(self, password=None):
        self.folder = tempfile.TemporaryDirectory(prefix="te-redis-")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [
                # Debian's redis-tools has the server too, which goes by this name.
                "redis-server",
                "--bind", "127.0.0.1",
                "--port", str(self.port),
                "--dir", self.folder.name,
                "--save", "",
                *(["--requirepass", password] if password else []),
            ],
            executable=shutil.which("redis-server") or shutil.which("redis-check-rdb"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                break

    def uri(self, login=""):
        return f"redis://{login}127.0.0.1:{self.port}"

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


class MetadataServer:
    """A metadata_server; `address` is host:port."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [SERVER, "--listen=127.0.0.1:0", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self.process.stdout.readline()
        match = re.search(r"grpcs?://([0-9.:]+)", self.ready)
        self.address = match.group(1) if match else None

    def uri(self):
        return f"grpc://{self.address}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.communicate()

    def end(self, number):
        """The exit status, and what it has printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err
