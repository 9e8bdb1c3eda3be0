"""te_fuzz_test: a fuzz target that is also an ordinary test."""

def _corpus_directories(corpus):
    directories = {}
    for path in corpus:
        folders = [folder for folder in [native.package_name()] + path.split("/")[:-1] if folder]
        directories["/".join(folders)] = None
    return directories.keys()

def te_fuzz_test(name, srcs, corpus = [], deps = [], tags = [], **kwargs):
    """Declares a test of code that reads untrusted bytes.

    The sources define LLVMFuzzerTestOneInput. `bazel test` calls it with every file
    of the corpus, then for a few seconds with random mutations of them; the seed is
    printed, and --test_arg=--seed=N repeats a run. `bazel test --config=fuzz` links
    libFuzzer instead, which searches for 20 seconds; to search for longer and keep
    what it finds:

      bazel run --config=fuzz //te/x:y_fuzz -- -max_total_time=600 \\
          -artifact_prefix=$PWD/te/x/testdata/y/

    Args:
      name: name of the test.
      srcs: the sources.
      corpus: files of this package, each one input.
      deps: as for cc_test.
      tags: as for cc_test.
      **kwargs: as for cc_test.
    """
    directories = _corpus_directories(corpus)
    native.cc_test(
        name = name,
        srcs = srcs,
        args = select({
            "//tools/fuzz:libfuzzer": ["-max_total_time=20"] + directories,
            "//conditions:default": directories,
        }),
        data = corpus,
        deps = deps + select({
            "//tools/fuzz:libfuzzer": ["//tools/fuzz:libfuzzer_main"],
            "//conditions:default": ["//tools/fuzz:replay_main"],
        }),
        # What --config=fuzz runs.
        tags = tags + ["fuzz"],
        **kwargs
    )
