"""Rules about our sources that no other tool checks.

As a program, checks the repository that it stands in and prints each breach as
PATH:LINE: RULE: MESSAGE; any breach makes it exit with 1. A file may break a rule
only if exceptions.txt says so.
"""

import ast
import os
import re
import sys

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70

CPP = (".cc", ".h")
SOURCES = CPP + (".bzl", ".proto", ".py", ".sh")

# Where the sources of programs are.
PROGRAMS = (
    "examples/",
    "te/bench/",
    "te/metadata/server/",
    "te/program/",
    "te/sim/te_sim.cc",
    "te/testing/chaos_main.cc",
    "te/tools/",
    "tools/",
)


class Breach:
    """One place that breaks one rule."""

    def __init__(self, path, line, rule, message):
        self.path = path
        self.line = line
        self.rule = rule
        self.message = message

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def blank_comments_and_strings(text):
    """C++ code with the same lines, where comments and literals are blanks."""
    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/"
        r'|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"'
        r'|"(?:\\.|[^"\\\n])*"'
        # Not the separators of 20'000.
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'",
        re.DOTALL,
    )
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def is_program(path):
    """Whether flags, the environment and stdout are this file's business."""
    return path.startswith(PROGRAMS)


def is_test(path):
    return bool(re.search(r"(_test|_conformance\w*|_fuzz)\.(cc|h)$", path))


# Rule, pattern in C++ code without comments and literals, message, and where it
# holds.
BANNED = [
    (
        "environment",
        r"\b(getenv|secure_getenv|setenv)\b|\bgflags\b|\bDEFINE_(string|bool|u?int\d+|double)\b|\bFLAGS_\w+",
        "only programs read flags and the environment: pass an option",
        lambda path: not is_program(path),
    ),
    (
        "sleep-in-test",
        r"\b(sleep_for|sleep_until|usleep|nanosleep|SleepFor|sleep)\s*\(",
        "a test waits for an event or moves a fake clock",
        is_test,
    ),
    (
        "volatile",
        r"\bvolatile\b",
        "volatile does not order memory: std::atomic does",
        lambda path: True,
    ),
    (
        "new-delete",
        r"\bnew\b|(?<!= )\bdelete\b",
        "own memory by a smart pointer, a container or the slab",
        lambda path: path != "te/base/slab.h",
    ),
    (
        "absl-mutex",
        r"\babsl::(Mutex|MutexLock|CondVar|Notification|BlockingCounter)\b",
        "ThreadSanitizer does not see into the system's Abseil: te/base/mutex.h",
        lambda path: True,
    ),
    (
        "ifdef-use",
        r"#\s*(el)?if(n?def)?\b.*\b(USE|HAVE|WITH)_",
        "an optional part is a target of its own",
        lambda path: True,
    ),
    (
        "stdout",
        r"\bstd::(cout|cerr)\b|(?<![\w.>])(std::)?(printf|puts)\s*\(",
        "libraries return a Status or log with glog",
        lambda path: not is_program(path) and not is_test(path),
    ),
]


# A private constructor is out of reach of std::make_unique; what is owned in the
# same expression is not lost.
OWNED_NEW = re.compile(
    r"(\b(?:unique_ptr|shared_ptr)<[^;{}()]*>\s*\w*\(\s*|\bWrapUnique\(\s*)new\b"
)


def check_banned(path, code):
    code = OWNED_NEW.sub(r"\1", code)
    for rule, pattern, message, holds_in in BANNED:
        if not holds_in(path):
            continue
        for number, line in enumerate(code.split("\n"), 1):
            if re.search(pattern, line):
                yield Breach(path, number, rule, message)


def check_notes(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield Breach(path, number, "note", "do it, or file an issue")


def check_include_guard(path, text):
    guard = re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
    if not guard.startswith("TE_"):
        guard = "TE_" + guard
    lines = text.rstrip("\n").split("\n")
    wanted = [f"#ifndef {guard}", f"#define {guard}", f"#endif  // {guard}"]
    if not all(line in lines for line in wanted) or lines[-1] != wanted[-1]:
        yield Breach(path, 1, "include-guard", f"the include guard is {guard}")


def cpp_functions(code):
    """Yields (first line, last line) of each function with a body.

    A brace opens a function if what stands before it has a parameter list and is
    not the head of a namespace or type. Lambdas and blocks belong to the function
    around them.
    """
    scopes = []  # Of each open brace: the function's first line, or None.
    in_function = False
    head = ""
    line = 1
    head_line = 1
    for at, char in enumerate(code):
        if char == "\n":
            line += 1
        if char == "{":
            starts = not in_function and opens_function(head)
            scopes.append(head_line if starts else None)
            in_function = in_function or starts
            head = head if starts else ""
        elif char == "}" and scopes:
            first = scopes.pop()
            if first is not None:
                in_function = False
                # `: member_{value}, other_{value} {` of a constructor.
                if code[at + 1 :].lstrip()[:1] in (",", "{"):
                    continue
                yield first, line
            if not in_function:
                head = ""
        elif char == ";" and not in_function:
            head = ""
        elif not in_function:
            if not head.strip():
                head_line = line
            head += char


def opens_function(head):
    head = re.sub(r"^\s*#.*$", "", head, flags=re.MULTILINE)
    head = re.sub(r"\b(public|private|protected)\s*:", "", head)
    head = re.sub(r"\btemplate\s*<[^()]*>", "", head).strip()
    if re.match(r"(inline\s+)?(namespace|class|struct|union|enum|extern)\b", head):
        return head.startswith("extern") and "(" in head
    return "(" in head and not re.search(r"=\s*$", head)


def functions(path, text):
    if path.endswith(CPP):
        yield from cpp_functions(blank_comments_and_strings(text))
    elif path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.lineno, node.end_lineno
    elif path.endswith(".sh"):
        for match in re.finditer(r"^\w+\(\) \{\n(?:.*\n)*?\}$", text, re.MULTILINE):
            first = text.count("\n", 0, match.start()) + 1
            yield first, first + match.group().count("\n")


def check_lengths(path, text):
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield Breach(path, lines, "file-length", f"{lines} lines, {MAX_FILE_LINES} at most")
    for first, last in functions(path, text):
        length = last - first + 1
        if length > MAX_FUNCTION_LINES:
            message = f"a function of {length} lines, {MAX_FUNCTION_LINES} at most"
            yield Breach(path, first, "function-length", message)


def check_file(path, text):
    """All breaches in a file, given by its path in the repository and its text."""
    breaches = list(check_lengths(path, text)) + list(check_notes(path, text))
    if path.endswith(CPP):
        breaches += check_banned(path, blank_comments_and_strings(text))
    if path.endswith(".h"):
        breaches += check_include_guard(path, text)
    return breaches


def parse_exceptions(text):
    """{(rule, path): reason} of lines `RULE PATH  # REASON`."""
    exceptions = {}
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        entry, _, reason = line.partition("#")
        if len(entry.split()) != 2 or not reason.strip():
            raise ValueError(f"exceptions.txt: not `RULE PATH  # REASON`: {line}")
        exceptions[tuple(entry.split())] = reason.strip()
    return exceptions


def check_all(files, exceptions):
    """Messages for the breaches that are no exception, and for unused exceptions."""
    unused = set(exceptions)
    messages = []
    for path, text in files:
        for breach in check_file(path, text):
            if (breach.rule, path) in exceptions:
                unused.discard((breach.rule, path))
            else:
                messages.append(str(breach))
    for rule, path in sorted(unused):
        messages.append(f"exceptions.txt: no longer needed: {rule} {path}")
    return messages


def source_files(root):
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith("bazel-") and name not in (".git", "node_modules")
        )
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(SOURCES) and not os.path.islink(path):
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, root), file.read()


def main():
    # Bazel starts a link to this file; the repository is where it leads.
    here = os.path.dirname(os.path.realpath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    with open(os.path.join(here, "exceptions.txt"), encoding="utf-8") as file:
        exceptions = parse_exceptions(file.read())
    files = list(source_files(root))
    messages = check_all(files, exceptions)
    for message in messages:
        print(message)
    print(f"{len(files)} files in {root}, {len(messages)} breaches")
    sys.exit(1 if messages or not files else 0)


if __name__ == "__main__":
    main()
