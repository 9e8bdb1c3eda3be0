"""te_proto_library: C++ of a .proto file, by the system's protoc."""

def te_proto_library(name, src, grpc = False, visibility = None):
    """Generates <src>.pb.h, and with `grpc` <src>.grpc.pb.h, as a cc_library.

    rules_proto was rejected: it would build protoc and the protobuf runtime from
    sources of their own, next to the system's that gRPC links.

    Args:
      name: name of the library. Users include "<package>/<stem>.pb.h".
      src: the .proto file, of this package.
      grpc: whether to generate its services too.
      visibility: as for cc_library.
    """
    stem = src[:-len(".proto")]

    # Where this repository stands, also as a dependency of another one.
    repository = native.repository_name()[len("@"):]
    root = "external/" + repository if repository else "."
    hdrs = [stem + ".pb.h"]
    srcs = [stem + ".pb.cc"]
    command = "protoc --proto_path=%s --cpp_out=$(GENDIR)/%s" % (root, root)
    deps = ["//third_party/protobuf"]
    if grpc:
        hdrs.append(stem + ".grpc.pb.h")
        srcs.append(stem + ".grpc.pb.cc")
        command += " --grpc_out=$(GENDIR)/" + root
        command += " --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin)"
        deps.append("//third_party/grpc:grpc++")
    native.genrule(
        name = name + "_generate",
        srcs = [src],
        outs = hdrs + srcs,
        cmd = command + " $(location %s)" % src,
        message = "Generating C++ of",
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = ["-w"],  # the generator's warnings are not ours to mend
        visibility = visibility,
        deps = deps,
    )
