"""transfer_bench whose processes find each other through metadata_server."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from te.bench.processes import PATIENCE, SHORT, SMALL, Target, check_transfer, run
from te.testing.stores import SERVER, MetadataServer, Redis

CERTIFICATES = os.path.abspath("te/grpc/testdata")


def file(name):
    return os.path.join(CERTIFICATES, name)


TLS = [f"--tls_cert={file('server.pem')}", f"--tls_key={file('server.key')}"]


class TransferBenchMetadataServerTest(unittest.TestCase):
    def test_two_processes(self):
        with MetadataServer("--access_log=all") as server:
            self.assertIn("backend memory, no TLS", server.ready)
            check_transfer(self, f"--metadata_server=grpc://{server.address}")
            status, out, err = server.end(signal.SIGTERM)
        self.assertEqual((status, out), (0, ""), err)
        self.assertIn("Received signal 15", err)
        lines = re.findall(r"access (\{.*\})$", err, re.MULTILINE)
        methods = {json.loads(line)["method"] for line in lines}
        self.assertLessEqual({"Put", "Get", "Remove"}, methods)

    def test_a_redis_behind_the_server(self):
        redis = Redis()
        self.addCleanup(redis.close)
        with MetadataServer(f"--backend={redis.uri()}") as server:
            self.assertIn(f"backend {redis.uri()}", server.ready)
            # Also when there is something in it already.
            for _ in range(2):
                check_transfer(self, f"--metadata_server={server.uri()}")

    def test_two_processes_with_certificates(self):
        with MetadataServer(*TLS, f"--tls_client_ca={file('ca.pem')}") as server:
            self.assertIn("TLS with certificates of clients", server.ready)
            uri = f"grpcs://{server.address}?ca={file('ca.pem')}&name=metadata.test"
            own = f"&cert={file('client.pem')}&key={file('client.key')}"
            check_transfer(self, f"--metadata_server={uri}{own}")
            result = run(f"--metadata_server={uri}", "--segment_id=a", *SMALL, *SHORT)
            self.assertEqual(result.returncode, 1)
            self.assertIn("transfer_bench: --metadata_server: ", result.stderr)

    def test_a_snapshot_outlives_the_server(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "snapshot")
            with MetadataServer(f"--snapshot_file={path}") as server:
                flag = f"--metadata_server=grpc://{server.address}"
                with Target("127.0.0.1", flag) as target:
                    self.await_contents(path, target.name)
                    server.process.kill()
                    server.process.wait(PATIENCE)
                    # The target cannot have told this one of itself.
                    with MetadataServer(f"--snapshot_file={path}") as another:
                        result = run(
                            f"--metadata_server=grpc://{another.address}",
                            f"--segment_id={target.name}",
                            *SMALL,
                            *SHORT,
                        )
            self.assertEqual(result.returncode, 0, result.stderr)

    def await_contents(self, path, text):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with open(path, "rb") as file:
                if text.encode() in file.read():
                    return
            time.sleep(0.01)
        self.fail(f"{text} is not in the snapshot")

    def test_a_second_signal_stops_at_once(self):
        with MetadataServer("--drain=3600") as server:
            host, port = server.address.split(":")
            # It never says anything, so it is waited for.
            with socket.create_connection((host, int(port))):
                server.process.send_signal(signal.SIGTERM)
                for line in server.process.stderr:
                    if "a second signal stops at once" in line:
                        break
                status = None
                while status is None:
                    # The first of them may still come too early.
                    server.process.send_signal(signal.SIGTERM)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        status = server.process.wait(0.1)
        self.assertIn(status, [0, -signal.SIGTERM])

    def test_a_bad_address(self):
        for uri in ["grpc://host", "grpcs://host:1", "grpc://a:1?x=y"]:
            result = run(f"--metadata_server={uri}", "--segment_id=a", *SMALL, *SHORT)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("--metadata_server", result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)

    def test_bad_flags(self):
        for flags, what in [
            (["--listen=nowhere"], "--listen"),
            (["--backend=etcd://a"], "--backend"),
            (["--tls_cert=a"], "--tls_key"),
            (["--max_value=1T"], "--max_value"),
            (["--nonesuch"], "--nonesuch"),
            (["positional"], "positional"),
        ]:
            result = self.run_server(*flags)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertRegex(result.stderr, f"^metadata_server: .*{what}.*\n$")
            self.assertEqual(result.stdout, "")

    def test_what_fails_at_the_start(self):
        with MetadataServer() as server:
            result = self.run_server(f"--listen={server.address}")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^metadata_server: .*EADDRINUSE.*\n$")
        result = self.run_server("--backend=redis://:secret@127.0.0.1:1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("redis://127.0.0.1:1", result.stderr)
        self.assertNotIn("secret", result.stderr)

    def run_server(self, *flags):
        return subprocess.run(
            [SERVER, "--listen=127.0.0.1:0", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


if __name__ == "__main__":
    unittest.main()
