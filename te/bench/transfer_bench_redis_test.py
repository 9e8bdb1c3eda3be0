"""transfer_bench whose processes find each other through a Redis server."""

import shutil
import socket
import subprocess
import tempfile
import unittest

from te.bench.processes import SHORT, SMALL, check_transfer, run

PASSWORD = "open:sesame"
ENCODED = "open%3Asesame"


class Redis:
    """A server of this test's own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="te-redis-")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [
                # Debian's redis-tools has the server too, which goes by this name.
                "redis-server",
                "--bind", "127.0.0.1",
                "--port", str(self.port),
                "--requirepass", PASSWORD,
                "--dir", self.folder.name,
                "--save", "",
            ],
            executable=shutil.which("redis-server") or shutil.which("redis-check-rdb"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                break

    def flag(self, login):
        return f"--metadata_server=redis://{login}127.0.0.1:{self.port}"

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


class TransferBenchRedisTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.close)

    def test_two_processes(self):
        output = check_transfer(self, self.redis.flag(f":{ENCODED}@"))
        self.assertNotIn("sesame", output)

    def test_a_wrong_password(self):
        for login in ["", ":secret@", "nobody:secret@"]:
            result = run(self.redis.flag(login), "--segment_id=a", *SMALL, *SHORT)
            self.assertEqual(result.returncode, 1)
            self.assertIn("transfer_bench: --metadata_server: ", result.stderr)
            self.assertIn("password", result.stderr)
            self.assertNotIn("secret", result.stderr)


if __name__ == "__main__":
    unittest.main()
