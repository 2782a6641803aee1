"""Runs the tests that are named: python3 -I -B protocol/python/tests NAME…

A name is a module of this directory (test_module), a class of one or a test. What needs a groatd takes it from the
environment; packaging/e2e has one.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
unittest.main(module=None)
