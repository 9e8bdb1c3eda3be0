"""te_segment as its users run it, beside an engine and with both kinds of stores."""

import json
import os
import signal
import subprocess
import threading
import unittest

from te.testing.stores import PATIENCE, MetadataServer, Redis

TOOL = os.path.abspath("te/tools/te_segment")
TARGET = os.path.abspath("te/testing/target")
BYTES = 1 << 20


def run(*arguments):
    """The finished process, with its output as text."""
    return subprocess.run(
        [TOOL, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Engine:
    """An engine with one buffer, whose lease is a second."""

    def __init__(self, uri, name):
        self.process = subprocess.Popen(
            [TARGET, "127.0.0.1", str(BYTES), "read_write", uri, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready = self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.end()


class Watch:
    """A `te_segment watch` whose events are read one by one."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [TOOL, "watch", "--format=json", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.patience = threading.Timer(PATIENCE, self.process.kill)
        self.patience.start()

    def await_event(self, event, name):
        """The next one; `event` may be several."""
        for line in self.process.stdout:
            found = json.loads(line)
            if found["event"] in event and found["name"] == name:
                return found
        raise AssertionError(f"no {event} of {name}: {self.process.stderr.read()}")

    def end(self):
        self.patience.cancel()
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


class StoreTests:
    """What holds for every store; a subclass has one in `store`."""

    def run_here(self, *arguments):
        return run(f"--metadata_server={self.store.uri()}", *arguments)

    def read_json(self, *arguments):
        result = self.run_here("--format=json", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def start(self, name):
        engine = Engine(self.store.uri(), name)
        self.addCleanup(engine.kill)
        return engine

    def test_list_and_show(self):
        self.start("decode-0")
        self.start("prefill-0")
        listed = self.read_json("list")
        self.assertEqual([s["name"] for s in listed], ["decode-0", "prefill-0"])
        self.assertEqual(len(self.read_json("list", "pre")), 1)
        text = self.run_here("list").stdout
        self.assertEqual(len(text.splitlines()), 3, text)
        shown = self.read_json("show", "decode-0")
        self.assertEqual(shown["incarnation"], listed[0]["incarnation"])
        self.assertEqual([b["length"] for b in shown["buffers"]], [BYTES])
        text = self.run_here("show", "decode-0").stdout
        self.assertIn(shown["incarnation"], text)
        self.assertIn("1 MiB", text)
        # By the address of the process, without the store.
        address = shown["control_addresses"][0]
        alone = run("--metadata_server=p2p", "--format=json", "show", address)
        self.assertEqual(json.loads(alone.stdout)["buffers"], shown["buffers"])

    def test_watch(self):
        watch = Watch(f"--metadata_server={self.store.uri()}", "--poll=0.2")
        engine = self.start("decode-1")
        seen = watch.await_event(["new"], "decode-1")
        self.assertEqual(seen["segment"]["host"]["pid"], engine.process.pid)
        engine.end()
        watch.await_event(["gone"], "decode-1")
        # Nobody takes this one's entry away but the end of its lease.
        engine = self.start("decode-2")
        watch.await_event(["new"], "decode-2")
        engine.kill()
        watch.await_event(["gone"], "decode-2")
        self.assertEqual(watch.end(), 0)

    def test_delete(self):
        engine = self.start("decode-3")
        result = self.run_here("delete", "decode-3")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^te_segment: .*--force\n$")
        self.assertIn(f"process {engine.process.pid}", result.stderr)
        self.read_json("show", "decode-3")
        watch = Watch(f"--metadata_server={self.store.uri()}")
        watch.await_event(["new"], "decode-3")
        result = self.run_here("delete", "decode-3", "--force")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Deleted segment 'decode-3'", result.stdout)
        # It is alive, and says so again, maybe before it is missed.
        watch.await_event(["new", "changed"], "decode-3")
        self.assertEqual(watch.end(), 0)

    def test_what_is_not_there(self):
        for command in [["show"], ["delete", "--force"]]:
            result = self.run_here(*command, "nobody")
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, "^te_segment: .*'nobody'.*\n$")
        self.assertEqual(self.run_here("list", "nobody").stdout, "no segments\n")


class RedisTest(StoreTests, unittest.TestCase):
    def setUp(self):
        self.store = Redis()
        self.addCleanup(self.store.close)


class MetadataServerTest(StoreTests, unittest.TestCase):
    def setUp(self):
        self.store = MetadataServer()
        self.addCleanup(self.store.close)


class CommandLineTest(unittest.TestCase):
    def test_help(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for word in ["list", "show", "watch", "delete", "--metadata_server", "--poll"]:
            self.assertIn(word, result.stdout)

    def test_what_is_wrong(self):
        for arguments, what in [
            ([], "no command"),
            (["lists"], "lists"),
            (["list"], "--metadata_server"),
            (["list", "--metadata_server=etcd://a"], "etcd"),
            (["list", "--metadata_server=p2p"], "show HOST:PORT"),
            (["show", "--metadata_server=redis://a"], "NAME"),
            (["list", "--nonesuch"], "--nonesuch"),
        ]:
            result = run(*arguments)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertRegex(result.stderr, f"^te_segment: .*{what}.*\n$")
            self.assertEqual(result.stdout, "")

    def test_a_store_that_is_not_there(self):
        result = run(
            "list", "--metadata_server=redis://:secret@127.0.0.1:1", "--timeout=0.2"
        )
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^te_segment: .*redis://127.0.0.1:1.*\n$")
        self.assertNotIn("secret", result.stderr)


if __name__ == "__main__":
    unittest.main()
