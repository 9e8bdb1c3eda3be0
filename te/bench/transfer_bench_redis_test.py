"""transfer_bench whose processes find each other through a Redis server."""

import unittest

from te.bench.processes import SHORT, SMALL, check_transfer, run
from te.testing.stores import Redis

PASSWORD = "open:sesame"
ENCODED = "open%3Asesame"


class TransferBenchRedisTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = Redis(PASSWORD)
        cls.addClassCleanup(cls.redis.close)

    def flag(self, login):
        return f"--metadata_server={self.redis.uri(login)}"

    def test_two_processes(self):
        output = check_transfer(self, self.flag(f":{ENCODED}@"))
        self.assertNotIn("sesame", output)

    def test_a_wrong_password(self):
        for login in ["", ":secret@", "nobody:secret@"]:
            result = run(self.flag(login), "--segment_id=a", *SMALL, *SHORT)
            self.assertEqual(result.returncode, 1)
            self.assertIn("transfer_bench: --metadata_server: ", result.stderr)
            self.assertIn("password", result.stderr)
            self.assertNotIn("secret", result.stderr)


if __name__ == "__main__":
    unittest.main()
