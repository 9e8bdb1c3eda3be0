"""clang-tidy of each target's sources that are not tests, with .clang-tidy and
compile_flags.txt: bazel build --config=tidy //...

Tests are left out: they would take as long as the rest, and show little."""

def _check(ctx, source, headers):
    checked = ctx.actions.declare_file(source.basename + ".tidy")
    ctx.actions.run(
        executable = ctx.executable._clang_tidy,
        arguments = [checked.path, source.path, ctx.bin_dir.path],
        inputs = depset([source] + ctx.files._configuration, transitive = headers),
        outputs = [checked],
        mnemonic = "ClangTidy",
        use_default_shell_env = True,
    )
    return checked

def _impl(target, ctx):
    sources = getattr(ctx.rule.files, "srcs", [])
    if CcInfo not in target:
        return []
    headers = [target[CcInfo].compilation_context.headers, depset(sources)]
    return [OutputGroupInfo(clang_tidy = depset([
        _check(ctx, source, headers)
        for source in sources
        if source.is_source and source.extension == "cc" and
           not source.basename.endswith("_test.cc")
    ]))]

clang_tidy = aspect(
    implementation = _impl,
    attrs = {
        "_clang_tidy": attr.label(
            default = "//tools/tidy:clang_tidy",
            executable = True,
            cfg = "exec",
        ),
        "_configuration": attr.label_list(
            default = ["//:.clang-tidy", "//:compile_flags.txt"],
            allow_files = True,
        ),
    },
)
