// Two engines, here in one process, and a WRITE from one to the other.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "te/transfer_engine.h"

namespace {

using std::chrono::seconds;

absl::Status Hello() {
  // Memory that is registered must outlive the engine, or be unregistered.
  std::string inbox(5, '?');
  std::string greeting = "hello";

  te::Options options;
  options.local_server_name =
      "127.0.0.1";  // the port is for the system to choose
  auto target = te::CreateTransferEngine(options);
  if (!target.ok()) return target.status();
  auto initiator = te::CreateTransferEngine(options);
  if (!initiator.ok()) return initiator.status();

  // The target lets its peers write to this memory.
  auto exposed = (*target)->RegisterMemory({
      .address = inbox.data(),
      .length = inbox.size(),
      .access = te::Access::kRemoteWrite,
  });
  if (!exposed.ok()) return exposed.status();

  auto source = (*initiator)
                    ->RegisterMemory({
                        .address = greeting.data(),
                        .length = greeting.size(),
                        .access = te::Access::kLocalOnly,
                    });
  if (!source.ok()) return source.status();

  auto segment =
      (*initiator)->OpenSegment((*target)->segment_name(), seconds(5));
  if (!segment.ok()) return segment.status();

  const te::Request write = {
      .operation = te::Operation::kWrite,
      .local = greeting.data(),
      .segment = *segment,
      .remote_address = reinterpret_cast<uint64_t>(inbox.data()),
      .length = greeting.size(),
  };
  auto batch = (*initiator)->Submit({&write, 1});
  if (!batch.ok()) return batch.status();
  batch->Wait();
  if (!batch->status().ok()) return batch->status();

  std::printf("%s wrote: %s\n", (*initiator)->segment_name().c_str(),
              inbox.c_str());
  return inbox == greeting ? absl::OkStatus()
                           : absl::DataLossError("the bytes differ");
}

}  // namespace

int main() {
  const absl::Status status = Hello();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
