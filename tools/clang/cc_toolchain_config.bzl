"""What Bazel must know about Debian's clang: see BUILD.bazel."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    "env_entry",
    "env_set",
    "feature",
    "feature_set",
    "flag_group",
    "flag_set",
    "tool_path",
    "with_feature_set",
)
load("@bazel_tools//tools/cpp:unix_cc_toolchain_config.bzl", "layering_check_features")

_CPP_COMPILE = [
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.cpp_module_compile,
]

_COMPILE = _CPP_COMPILE + [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.preprocess_assemble,
]

_LINK = [
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_executable,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

def _flags(actions, flags, mode = None):
    return flag_set(
        actions = actions,
        flag_groups = [flag_group(flags = flags)],
        with_features = [with_feature_set(features = [mode])] if mode else [],
    )

def _features():
    return [
        feature(name = "dbg"),
        feature(name = "fastbuild"),
        feature(name = "opt"),
        feature(name = "supports_dynamic_linker", enabled = True),
        feature(name = "supports_pic", enabled = True),
        feature(
            name = "default_compile_flags",
            enabled = True,
            flag_sets = [
                _flags(_COMPILE, ["-fstack-protector", "-fno-omit-frame-pointer"]),
                _flags(_COMPILE, ["-g", "-O0"], mode = "dbg"),
                _flags(_COMPILE, ["-O2", "-DNDEBUG"], mode = "opt"),
            ],
        ),
        feature(
            name = "default_link_flags",
            enabled = True,
            # In a fraction of ld's time.
            flag_sets = [_flags(_LINK, ["-fuse-ld=lld", "-lstdc++", "-lm"])],
        ),
        feature(
            name = "parse_headers",
            requires = [feature_set(features = ["module_maps"])],
            env_sets = [env_set(
                actions = [ACTION_NAMES.cpp_header_parsing],
                env_entries = [env_entry(key = "PARSED_HEADER", value = "%{output_file}")],
            )],
            flag_sets = [_flags(
                [ACTION_NAMES.cpp_header_parsing],
                ["-xc++", "-fsyntax-only", "-Wno-pragma-once-outside-header"],
            )],
        ),
    ] + layering_check_features("clang")

def _impl(ctx):
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "local",
        abi_version = "local",
        compiler = "clang",
        cxx_builtin_include_directories = [
            "/usr/include",
            "/usr/lib/gcc",
            "/usr/lib/llvm-14/lib/clang",
        ],
        features = _features(),
        host_system_name = "local",
        target_cpu = "k8",
        target_libc = "local",
        target_system_name = "local",
        tool_paths = [
            tool_path(name = "ar", path = "/usr/bin/ar"),
            tool_path(name = "cpp", path = "/usr/bin/clang-cpp"),
            tool_path(name = "dwp", path = "/usr/bin/dwp"),
            tool_path(name = "gcc", path = "clang.sh"),
            tool_path(name = "gcov", path = "/usr/bin/llvm-cov"),
            tool_path(name = "ld", path = "/usr/bin/ld"),
            tool_path(name = "nm", path = "/usr/bin/nm"),
            tool_path(name = "objcopy", path = "/usr/bin/objcopy"),
            tool_path(name = "objdump", path = "/usr/bin/objdump"),
            tool_path(name = "strip", path = "/usr/bin/strip"),
        ],
        toolchain_identifier = "te-clang",
    )

clang_toolchain_config = rule(
    implementation = _impl,
    provides = [CcToolchainConfigInfo],
)
