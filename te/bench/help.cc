#include "te/bench/help.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/bench/environment.h"
#include "te/program/flag_help.h"

namespace te::bench {
namespace {

constexpr absl::string_view kIntroduction =
    R"(transfer_bench measures what te can do between two processes.

  transfer_bench
      Loopback: starts a target process of its own, reads from it and writes to
      it with blocks of many sizes, checks the data, and prints a table.

Two hosts, or two terminals:

  transfer_bench --mode=target --local_server_name=10.0.0.1:9000
      Offers memory until Ctrl-C. It prints the command line for the other end.
  transfer_bench --segment_id=10.0.0.1:9000 --operation=write --verify
      Measures against that target. --segment_id makes it an initiator.

More:

  transfer_bench --block_size=4K --batch_size=1     latency of one request
  transfer_bench --block_sizes=4K,1M --thread_counts=1,2,4
  transfer_bench --duration=3 --format=json > rows.json

A batch is submitted at once, and the thread waits until all its requests are
done: iterations and latency are those of batches. Each thread has one batch
under way at a time. Sizes may be written 65536, 64K or 64KiB.

Exit status: 0, all went well; 1, something failed, and stderr says what; 2, a
flag is wrong.
)";

struct Group {
  absl::string_view title;
  std::vector<const char*> flags;
};

const std::vector<Group>& Groups() {
  static const std::vector<Group> groups = {
      {"Who",
       {"mode", "segment_id", "local_server_name", "metadata_server",
        "protocol"}},
      {"NICs",
       {"device_name", "exclude_device_name", "auto_discovery",
        "nic_priority_matrix"}},
      {"What",
       {"operation", "block_size", "block_sizes", "batch_size", "batch_sizes",
        "threads", "thread_counts", "duration", "buffer_size", "memory",
        "verify"}},
      {"Output",
       {"format", "report_unit", "report_precision", "minloglevel", "v",
        "log_dir"}},
      {"Engine",
       {"request_timeout", "connect_timeout", "peer_timeout", "max_attempts",
        "slice_size", "spin_us", "max_spin_us"}},
      {"Shared memory", {"shm_workers"}},
      {"TCP",
       {"tcp_streams", "tcp_io_threads", "tcp_window", "tcp_socket_buffer",
        "checksum"}},
      {"RDMA",
       {"ib_port", "gid_index", "mtu", "traffic_class", "service_level",
        "pkey_index", "num_qp", "max_wr", "max_read_depth", "max_sge",
        "max_inline", "rdma_window", "max_endpoints", "ack_timeout",
        "retry_count", "work_timeout", "relaxed_ordering"}},
      {"Scripts", {"ready_fd", "lifeline_fd"}},
  };
  return groups;
}

}  // namespace

std::string HelpText() {
  std::string text(kIntroduction);
  for (const Group& group : Groups()) {
    absl::StrAppend(&text, "\n", group.title, ":\n");
    for (const char* flag : group.flags) {
      absl::StrAppend(&text, program::DescribeFlag(flag, "te/bench/flags.cc"));
    }
  }
  absl::StrAppend(&text,
                  "\nEnvironment variables that set a flag which is not given; "
                  "others that begin\nwith MC_ get a warning:\n",
                  DescribeEnvironment());
  return text;
}

}  // namespace te::bench
