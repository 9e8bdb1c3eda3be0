#include "te/bench/bench_options.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/bench/transport_flags.h"
#include "te/metadata/open_metadata_store.h"
#include "te/program/flag_checks.h"
#include "te/program/size_text.h"

namespace te::bench {
namespace {

using program::BadFlag;
using program::IntFlag;
using program::SecondsFlag;
using program::SizeFlag;
using program::WithFlag;

constexpr int kMaxThreads = 1024;  // EngineOptions::max_batches
constexpr int kMaxBatch = 65536;

// In loopback mode, where no flag says otherwise.
constexpr char kLoopbackBlockSizes[] = "4K,16K,64K,256K,1M,4M,16M";
constexpr uint64_t kLoopbackBatchBytes = 16 << 20;
constexpr int64_t kLoopbackMaxBatch = 128;
constexpr int64_t kLoopbackMinBatch = 4;
constexpr int64_t kLoopbackThreads = 1;
constexpr double kLoopbackSeconds = 1;
constexpr uint64_t kLoopbackBufferSize = 64 << 20;

absl::StatusOr<Mode> ChooseMode(const FlagValues& flags) {
  if (flags.mode == "target") return Mode::kTarget;
  if (flags.mode == "initiator") return Mode::kInitiator;
  if (flags.mode == "loopback") return Mode::kLoopback;
  if (flags.mode.empty()) {
    return flags.segment_id.empty() ? Mode::kLoopback : Mode::kInitiator;
  }
  return BadFlag("mode", absl::StrCat("\"", flags.mode,
                                      "\" is no mode; there are "
                                      "target|initiator|loopback"));
}

bool IsP2p(const FlagValues& flags) {
  return flags.metadata_server == "p2p" ||
         flags.metadata_server == "P2PHANDSHAKE";
}

absl::Status CheckSegment(const FlagValues& flags, Mode mode) {
  if (mode == Mode::kLoopback && !flags.segment_id.empty()) {
    return BadFlag("segment_id",
                   "names the target of an initiator; loopback has its own");
  }
  if (mode == Mode::kTarget && !flags.segment_id.empty()) {
    return BadFlag("segment_id", "is for initiators; a target has its own");
  }
  if (mode != Mode::kInitiator) return absl::OkStatus();
  if (flags.segment_id.empty()) {
    return BadFlag("segment_id",
                   "an initiator needs it; a target prints it when it starts");
  }
  // In a store, any name will do.
  if (!IsP2p(flags)) return absl::OkStatus();
  const absl::StatusOr<HostPort> address = HostPort::Parse(flags.segment_id);
  TE_RETURN_IF_ERROR(WithFlag("segment_id", address.status()));
  if (!address->port.has_value()) {
    return BadFlag("segment_id",
                   absl::StrCat("\"", flags.segment_id,
                                "\" lacks the port; a target prints "
                                "host:port when it starts"));
  }
  if (*address->port == 0) {
    return BadFlag("segment_id",
                   absl::StrCat("\"", flags.segment_id,
                                "\": no target has port 0; a target "
                                "prints its port when it starts"));
  }
  return absl::OkStatus();
}

absl::Status CheckListenName(const FlagValues& flags, Mode mode) {
  constexpr char kFlag[] = "local_server_name";
  if (flags.local_server_name.empty()) return absl::OkStatus();
  const absl::StatusOr<HostPortRange> name =
      HostPortRange::Parse(flags.local_server_name);
  TE_RETURN_IF_ERROR(WithFlag(kFlag, name.status()));
  if (mode == Mode::kLoopback && name->ports.has_value()) {
    return BadFlag(kFlag,
                   absl::StrCat("\"", flags.local_server_name,
                                "\" has a port, but in loopback mode both "
                                "sides take a free one; name the host"));
  }
  return absl::OkStatus();
}

absl::Status CheckProtocol(const std::string& protocol) {
  for (const absl::string_view known : {"auto", "rdma", "shm", "tcp"}) {
    if (protocol == known) return absl::OkStatus();
  }
  return BadFlag("protocol", absl::StrCat("\"", protocol,
                                          "\" is no protocol of this program; "
                                          "there are auto, rdma, shm, tcp"));
}

absl::StatusOr<std::vector<Traffic>> ChooseTraffic(const FlagValues& flags,
                                                   Mode mode) {
  if (mode == Mode::kLoopback && !flags.Given("operation")) {
    return std::vector<Traffic>{Traffic::kRead, Traffic::kWrite};
  }
  for (Traffic traffic : {Traffic::kRead, Traffic::kWrite, Traffic::kMix}) {
    if (flags.operation == TrafficName(traffic)) {
      return std::vector<Traffic>{traffic};
    }
  }
  return BadFlag("operation",
                 absl::StrCat("\"", flags.operation,
                              "\" is no operation; there are read|write|mix"));
}

absl::Status NotBoth(const FlagValues& flags, const char* one,
                     const char* many) {
  if (!flags.Given(one) || !flags.Given(many)) return absl::OkStatus();
  return BadFlag(one, absl::StrCat("has no meaning together with --", many));
}

absl::StatusOr<std::vector<uint64_t>> BlockSizes(const FlagValues& flags,
                                                 Mode mode) {
  TE_RETURN_IF_ERROR(NotBoth(flags, "block_size", "block_sizes"));
  // Times the most threads and requests, still 64 bits.
  constexpr uint64_t kMaxBlock = uint64_t{1} << 37;
  absl::string_view flag = "block_size";
  std::string list = flags.block_size;
  if (flags.Given("block_sizes")) {
    flag = "block_sizes";
    list = flags.block_sizes;
  } else if (mode == Mode::kLoopback && !flags.Given("block_size")) {
    list = kLoopbackBlockSizes;
  }
  std::vector<uint64_t> sizes;
  for (absl::string_view text : absl::StrSplit(list, ',')) {
    TE_ASSIGN_OR_RETURN(sizes.emplace_back(),
                        SizeFlag(flag, text, 1, kMaxBlock));
  }
  return sizes;
}

// The numbers of --`many` if it is given, else that of --`one`.
absl::StatusOr<std::vector<int>> Counts(const FlagValues& flags,
                                        const char* one, int64_t value,
                                        const char* many,
                                        const std::string& list, int high) {
  TE_RETURN_IF_ERROR(NotBoth(flags, one, many));
  std::vector<int> counts;
  if (!flags.Given(many)) {
    TE_ASSIGN_OR_RETURN(counts.emplace_back(), IntFlag(one, value, 1, high));
    return counts;
  }
  for (absl::string_view text : absl::StrSplit(list, ',')) {
    int64_t count = 0;
    if (!absl::SimpleAtoi(text, &count)) {
      return BadFlag(many, absl::StrCat("\"", text, "\" is no whole number"));
    }
    TE_ASSIGN_OR_RETURN(counts.emplace_back(), IntFlag(many, count, 1, high));
  }
  return counts;
}

int DefaultLoopbackBatch(uint64_t block_size) {
  return static_cast<int>(std::clamp<int64_t>(
      kLoopbackBatchBytes / block_size, kLoopbackMinBatch, kLoopbackMaxBatch));
}

// All combinations, by operation and then by size.
absl::StatusOr<std::vector<Workload>> MakeWorkloads(const FlagValues& flags,
                                                    Mode mode) {
  const bool loopback = mode == Mode::kLoopback;
  TE_ASSIGN_OR_RETURN(const std::vector<Traffic> traffics,
                      ChooseTraffic(flags, mode));
  TE_ASSIGN_OR_RETURN(const std::vector<uint64_t> blocks,
                      BlockSizes(flags, mode));
  TE_ASSIGN_OR_RETURN(const std::vector<int> batches,
                      Counts(flags, "batch_size", flags.batch_size,
                             "batch_sizes", flags.batch_sizes, kMaxBatch));
  TE_ASSIGN_OR_RETURN(
      const std::vector<int> threads,
      Counts(flags, "threads",
             loopback && !flags.Given("threads") ? kLoopbackThreads
                                                 : flags.threads,
             "thread_counts", flags.thread_counts, kMaxThreads));
  const bool choose_batch =
      loopback && !flags.Given("batch_size") && !flags.Given("batch_sizes");
  std::vector<Workload> workloads;
  for (Traffic traffic : traffics) {
    for (int thread_count : threads) {
      for (int batch : batches) {
        for (uint64_t block : blocks) {
          workloads.push_back(
              {.traffic = traffic,
               .block_size = block,
               .batch_size = choose_batch ? DefaultLoopbackBatch(block) : batch,
               .threads = thread_count});
        }
      }
    }
  }
  return workloads;
}

// What the largest workload needs must fit into the buffer.
absl::StatusOr<uint64_t> ChooseBufferSize(const FlagValues& flags, Mode mode,
                                          absl::Span<const Workload> loads) {
  constexpr uint64_t kMaxBuffer = uint64_t{1} << 46;
  TE_ASSIGN_OR_RETURN(
      uint64_t size, SizeFlag("buffer_size", flags.buffer_size, 1, kMaxBuffer));
  const bool small = mode == Mode::kLoopback && !flags.Given("buffer_size");
  uint64_t needed = kLoopbackBufferSize;
  for (const Workload& load : loads) {
    if (load.block_size > size) {
      return BadFlag(
          "block_size",
          absl::StrCat(program::FormatSize(load.block_size),
                       " is more than the buffer has, ",
                       program::FormatSize(size), "; see --buffer_size"));
    }
    if (load.Footprint() > size) {
      return BadFlag(
          "buffer_size",
          absl::StrCat(program::FormatSize(size), " is too small for ",
                       load.threads, " threads x ", load.batch_size,
                       " requests x ", program::FormatSize(load.block_size),
                       ", which need ", program::FormatSize(load.Footprint())));
    }
    needed = std::max(needed, load.Footprint());
  }
  return small ? needed : size;
}

absl::StatusOr<MemorySource> ChooseMemory(const FlagValues& flags) {
  for (MemorySource source : {MemorySource::kUser, MemorySource::kEngine}) {
    if (flags.memory == MemorySourceName(source)) return source;
  }
  return BadFlag("memory", absl::StrCat("\"", flags.memory,
                                        "\" is no source of memory; there are "
                                        "user|engine"));
}

absl::Status SetEngineOptions(const FlagValues& flags, Options& options) {
  if (IsP2p(flags)) {
    options.metadata_server = "p2p";
  } else {
    const auto address = DescribeMetadataStore(flags.metadata_server);
    if (!address.ok()) {
      return BadFlag("metadata_server", address.status().message());
    }
    options.metadata_server = flags.metadata_server;
  }
  options.local_server_name = flags.local_server_name;
  options.protocol = flags.protocol;

  EngineOptions& engine = options.engine;
  // Nobody takes any here, so peers could fill the memory with them.
  engine.max_notifications = 1;
  TE_ASSIGN_OR_RETURN(const uint64_t slice,
                      SizeFlag("slice_size", flags.slice_size, 4096, 32 << 20));
  engine.slice_bytes = static_cast<uint32_t>(slice);
  TE_ASSIGN_OR_RETURN(engine.max_slice_attempts,
                      IntFlag("max_attempts", flags.max_attempts, 1, 1000));
  TE_ASSIGN_OR_RETURN(engine.default_timeout,
                      SecondsFlag("request_timeout", flags.request_timeout));
  TE_ASSIGN_OR_RETURN(engine.connect_timeout,
                      SecondsFlag("connect_timeout", flags.connect_timeout));
  TE_ASSIGN_OR_RETURN(engine.spin,
                      program::MicrosecondsFlag("spin_us", flags.spin_us));
  TE_ASSIGN_OR_RETURN(engine.max_spin, program::MicrosecondsFlag(
                                           "max_spin_us", flags.max_spin_us));
  return SetTransportOptions(flags, options);
}

absl::Status SetReporting(const FlagValues& flags, BenchOptions& options) {
  if (flags.format != "text" && flags.format != "json") {
    return BadFlag("format",
                   absl::StrCat("\"", flags.format,
                                "\" is no format; there are text|json"));
  }
  options.json = flags.format == "json";
  absl::StatusOr<RateUnit> unit = RateUnit::Parse(flags.report_unit);
  if (!unit.ok()) return WithFlag("report_unit", unit.status());
  options.unit = *std::move(unit);
  TE_ASSIGN_OR_RETURN(options.precision, IntFlag("report_precision",
                                                 flags.report_precision, 0, 9));
  return absl::OkStatus();
}

absl::StatusOr<int> Fd(const char* flag, int64_t value) {
  return IntFlag(flag, value, -1, std::numeric_limits<int>::max());
}

Verify ChooseVerify(const FlagValues& flags, Mode mode) {
  if (flags.verify) return Verify::kEveryBatch;
  return mode == Mode::kLoopback && !flags.Given("verify") ? Verify::kSpot
                                                           : Verify::kOff;
}

}  // namespace

absl::StatusOr<BenchOptions> MakeBenchOptions(const FlagValues& flags) {
  BenchOptions options;
  TE_ASSIGN_OR_RETURN(options.mode, ChooseMode(flags));
  TE_RETURN_IF_ERROR(CheckSegment(flags, options.mode));
  options.segment = flags.segment_id;
  TE_RETURN_IF_ERROR(CheckListenName(flags, options.mode));
  TE_RETURN_IF_ERROR(CheckProtocol(flags.protocol));
  TE_RETURN_IF_ERROR(SetEngineOptions(flags, options.engine));
  TE_RETURN_IF_ERROR(SetReporting(flags, options));
  if (options.mode != Mode::kTarget) {
    TE_ASSIGN_OR_RETURN(options.workloads, MakeWorkloads(flags, options.mode));
  }
  TE_ASSIGN_OR_RETURN(options.buffer_size,
                      ChooseBufferSize(flags, options.mode, options.workloads));
  TE_ASSIGN_OR_RETURN(options.memory, ChooseMemory(flags));
  TE_ASSIGN_OR_RETURN(options.duration,
                      SecondsFlag("duration", options.mode == Mode::kLoopback &&
                                                      !flags.Given("duration")
                                                  ? kLoopbackSeconds
                                                  : flags.duration));
  options.verify = ChooseVerify(flags, options.mode);
  TE_ASSIGN_OR_RETURN(options.ready_fd, Fd("ready_fd", flags.ready_fd));
  TE_ASSIGN_OR_RETURN(options.lifeline_fd,
                      Fd("lifeline_fd", flags.lifeline_fd));
  return options;
}

}  // namespace te::bench
