"""Proves that each rule of tidy.py fires, and stays silent where it should."""

import unittest

from tools.tidy import tidy


def rules_broken(path, text):
    return sorted({breach.rule for breach in tidy.check_file(path, text)})


def function_of(lines, head="int F() {"):
    return "\n".join([head] + ["  Call();"] * (lines - 2) + ["}"]) + "\n"


GUARDED = "#ifndef TE_BASE_X_H_\n#define TE_BASE_X_H_\n%s#endif  // TE_BASE_X_H_\n"

# Path, text, and the rules it breaks.
CASES = [
    ("te/base/x.cc", "int x;\n" * 500, []),
    ("te/base/x.cc", "int x;\n" * 501, ["file-length"]),
    ("te/base/x.cc", function_of(70), []),
    ("te/base/x.cc", function_of(71), ["function-length"]),
    ("te/base/x_test.cc", function_of(71, "TEST(A, B) {"), ["function-length"]),
    ("te/base/x.cc", "namespace te {\n" + function_of(60) * 3 + "}\n", []),
    ("te/base/x.cc", "class X {\n public:\n" + function_of(60) * 3 + "};\n", []),
    ("te/base/x.cc", "class X {\n" + function_of(71) + "};\n", ["function-length"]),
    ("te/base/x.cc", function_of(71, "X::X(int y) : y_{y}, z_{1} {"), ["function-length"]),
    ("te/base/x.cc", function_of(71, "template <class T>\nT F(T t) {"), ["function-length"]),
    ("te/base/x.cc", function_of(71, "const int kTable[] = {"), []),
    ("te/base/x.cc", "int F() {\n" + "  if (x) {\n  }\n" * 34 + "}\n", []),
    ("te/base/x.cc", "int F() {\n" + "  if (x) {\n  }\n" * 35 + "}\n", ["function-length"]),
    ("tools/x.py", "def f():\n" + "    pass\n" * 70, ["function-length"]),
    ("tools/x.sh", "f() {\n" + "  true\n" * 69 + "}\n", ["function-length"]),
    ("te/core/x.cc", 'getenv("A");\n', ["environment"]),
    ("te/core/x.cc", "DEFINE_bool(verify, false, doc);\n", ["environment"]),
    ("te/core/x.cc", "#include <gflags/gflags.h>\n", ["environment"]),
    ("te/core/x.cc", "if (FLAGS_verify) Verify();\n", ["environment"]),
    ("te/core/x.cc", "// Never getenv.\n", []),
    ("te/bench/x.cc", 'getenv("A");\n', []),
    ("te/metadata/server/x.cc", "FLAGS_port;\n", []),
    ("te/program/x.cc", "#include <gflags/gflags.h>\n", []),
    ("te/metadata/store.cc", "FLAGS_port;\n", ["environment"]),
    ("te/base/x_test.cc", "std::this_thread::sleep_for(ms);\n", ["sleep-in-test"]),
    ("te/base/x_test.cc", "usleep(1);\n", ["sleep-in-test"]),
    ("te/base/x_test.cc", "absl::SleepFor(absl::Seconds(1));\n", ["sleep-in-test"]),
    ("te/base/x.cc", "clock.SleepFor(delay);\n", []),
    ("te/base/x.cc", "volatile int x;\n", ["volatile"]),
    ("te/base/x.cc", "auto* x = new X;\n", ["new-delete"]),
    ("te/base/x.cc", "std::unique_ptr<X> x(\n    new X(1));\n", []),
    ("te/base/x.cc", "return absl::WrapUnique(new X(1));\n", []),
    ("te/base/x.cc", "std::unique_ptr<X> x(F(new Y));\n", ["new-delete"]),
    ("te/base/x.cc", "delete x;\n", ["new-delete"]),
    ("te/base/x.cc", "X(const X&) = delete;\n", []),
    ("te/base/x.cc", 'Log("new peer");  /* a new one */\n', []),
    ("te/base/x.cc", "absl::Mutex mutex;\n", ["absl-mutex"]),
    ("te/base/x.cc", "#ifdef USE_CUDA\n#endif\n", ["ifdef-use"]),
    ("te/base/x.cc", "#if defined(USE_CUDA)\n#endif\n", ["ifdef-use"]),
    ("te/base/x.cc", "std::cout << 1;\n", ["stdout"]),
    ("te/base/x.cc", "printf(format);\n", ["stdout"]),
    ("te/base/x.cc", "std::snprintf(buffer);\n", []),
    ("te/bench/x.cc", "std::cout << 1;\n", []),
    ("te/base/x.cc", "// TODO: more\n", ["note"]),
    ("tools/x.bzl", "# FIXME\n", ["note"]),
    ("te/base/x.h", GUARDED % "int x;\n", []),
    ("te/base/x.h", "#pragma once\n", ["include-guard"]),
    ("te/base/y.h", GUARDED % "", ["include-guard"]),
    ("te/base/x.cc", "constexpr int kCount = 20'000; int* p = new int; char c = 'x';\n", ["new-delete"]),
]


class RulesTest(unittest.TestCase):
    def test_each_rule(self):
        for path, text, expected in CASES:
            with self.subTest(path=path, text=text[:60]):
                self.assertEqual(rules_broken(path, text), expected)

    def test_each_rule_has_a_case(self):
        proven = {rule for _, _, expected in CASES for rule in expected}
        self.assertLessEqual({rule for rule, _, _, _ in tidy.BANNED}, proven)

    def test_says_where(self):
        breach = tidy.check_file("te/base/x.cc", "\n\nvolatile int x;\n")[0]
        self.assertTrue(str(breach).startswith("te/base/x.cc:3: volatile: "))


class ExceptionsTest(unittest.TestCase):
    FILES = [("te/base/x.cc", "volatile int x;\n")]

    def test_an_exception_silences_its_rule_in_its_file(self):
        exceptions = tidy.parse_exceptions("volatile te/base/x.cc  # hardware\n")
        self.assertEqual(tidy.check_all(self.FILES, exceptions), [])

    def test_an_exception_for_another_rule_does_not(self):
        exceptions = tidy.parse_exceptions("note te/base/x.cc  # hardware\n")
        self.assertEqual(len(tidy.check_all(self.FILES, exceptions)), 2)

    def test_an_unused_exception_is_reported(self):
        exceptions = tidy.parse_exceptions("volatile te/base/y.cc  # gone\n")
        messages = tidy.check_all([("te/base/y.cc", "int x;\n")], exceptions)
        self.assertEqual(messages, ["exceptions.txt: no longer needed: volatile te/base/y.cc"])

    def test_an_exception_needs_a_reason(self):
        with self.assertRaises(ValueError):
            tidy.parse_exceptions("volatile te/base/x.cc\n")


if __name__ == "__main__":
    unittest.main()
