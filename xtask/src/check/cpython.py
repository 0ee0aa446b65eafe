"""Runs tests of CPython's own: which, and in which modules, is put in when it is built."""
import builtins
import doctest
import importlib
import io
import os
import sys
import tempfile
import unittest
from compute import op

if False:
    # What is to be in the op.
    import test.support.os_helper, test.support.import_helper, test.support.script_helper
    import test.support.warnings_helper, test.support.threading_helper, test.datetimetester, test.re_tests
    import MODULES

# What tests read, by its name, and what they have written.
FILES = DATA
OPEN, UNLINK = open, os.unlink


class Kept(io.BytesIO):
    """A file that is kept when it is closed."""

    def __init__(self, name, start=b""):
        super().__init__(start)
        self.file = name

    def close(self):
        if not self.closed:
            FILES[self.file] = self.getvalue()
        super().close()


def open_in_memory(name, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **_):
    """Tests write files of their own: a sandbox has none that are written."""
    short = name.rsplit("/", 1)[-1] if isinstance(name, str) else ""
    if short not in FILES and not short.startswith("@test") or "r" in mode and short not in FILES:
        return OPEN(name, mode, buffering, encoding, errors, newline)
    file = Kept(short, FILES[short] if "r" in mode else b"")
    return file if "b" in mode else io.TextIOWrapper(file, encoding or "utf-8", errors, newline)


def temporary_in_memory(mode="w+b", buffering=-1, encoding=None, newline=None, *_, errors=None, **__):
    return io.BytesIO() if "b" in mode else io.TextIOWrapper(io.BytesIO(), encoding or "utf-8", errors, newline)


def unlink_in_memory(name, **named):
    if FILES.pop(name, None) is None:
        UNLINK(name, **named)


builtins.open = io.open = open_in_memory
os.unlink = os.remove = unlink_in_memory
tempfile.TemporaryFile = temporary_in_memory
# Texts that are tests are read around `open`.
doctest.DocFileSuite = lambda *_, **__: unittest.TestSuite()


def each(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from each(one)
        else:
            yield one


@op(memory="1GiB")
def main(input):
    sys.stdout = sys.stderr
    suite, result = unittest.TestSuite(), unittest.TestResult()
    left = 0
    for name in input["modules"]:
        module = importlib.import_module(name)
        if hasattr(module, "init"):
            # decimal's tests have a context of their own.
            module.init(module.P)
        for one in each(unittest.defaultTestLoader.loadTestsFromName(name)):
            if any(one.id().startswith(left_out) for left_out in input["left_out"]):
                left += 1
            else:
                suite.addTest(one)
    suite.run(result)
    bad = {}
    for one, text in result.failures + result.errors:
        bad.setdefault(one.id().split(" ")[0], text.strip().split("\n")[-1][:160])
    for one in result.unexpectedSuccesses:
        bad[one.id()] = "it succeeds, which is not expected"
    return {"run": result.testsRun, "skipped": len(result.skipped), "left_out": left, "bad": bad}
