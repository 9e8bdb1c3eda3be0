"""What the tests that boot a lab have in common."""

import sys
import unittest

from te.rdma.lab.lab import Lab


class Record(unittest.TestResult):
    """What one test has come to, to be told later."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def addSuccess(self, test):
        super().addSuccess(test)
        self.calls.append(("addSuccess", (test,)))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.calls.append(("addFailure", (test, err)))

    def addError(self, test, err):
        super().addError(test, err)
        self.calls.append(("addError", (test, err)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.calls.append(("addSkip", (test, reason)))

    def tell(self, test, result):
        result.startTest(test)
        for name, arguments in self.calls:
            getattr(result, name)(*arguments)
        result.stopTest(test)


class LabCase(unittest.TestCase):
    """Its tests share `lab`, which has two rails, with its hosts `a` and `b`: each
    leaves them as it found them.

    A wire of a lab has been seen to stop for good, so that not even a ping came
    through any more, and a host to end, for its kernel had an oops. What has failed
    in a lab in which that is so is run once more, in a new one."""

    @classmethod
    def setUpClass(cls):
        cls.boot()
        cls.addClassCleanup(lambda: cls.lab.close())

    @classmethod
    def boot(cls):
        cls.lab = Lab(rails=2)
        cls.a, cls.b = cls.lab.hosts

    def run(self, result=None):
        first = Record()
        super().run(first)
        if first.wasSuccessful() or self.lab.wires_work():
            return first.tell(self, result)
        for _, text in first.failures + first.errors:
            print(text, file=sys.stderr)
        print(f"{self.id()}: the lab is broken; once more in a new one", file=sys.stderr)
        self.lab.close()
        self.boot()
        return super().run(result)
