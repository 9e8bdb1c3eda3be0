"""What the tests that boot a lab have in common."""

import unittest

from te.rdma.lab.lab import Lab


class LabCase(unittest.TestCase):
    """Its tests share `lab`, which has two rails, with its hosts `a` and `b`: each
    leaves them as it found them."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(rails=2)
        cls.addClassCleanup(cls.lab.close)
        cls.a, cls.b = cls.lab.hosts
