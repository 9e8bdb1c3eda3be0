// A target for tests that kill, stop and restart one:
//
//   target LOCAL_SERVER_NAME BYTES
//       [ACCESS [METADATA_SERVER SEGMENT_NAME [MAX_SHM_PEERS]]]
//
// (ACCESS: read_only, read_write, or allocated, which is read_write with memory
// of the engine's; with a metadata server the lease is a second)
//
// prints "SEGMENT ADDRESS" and then answers each line of its standard input
// with one line; it ends with its input.
//
//   crc OFFSET LENGTH     the CRC32C of that part of its memory
//   unregister            "ok", when its memory is unregistered
//   retire                the same, and then all of it is overwritten with
//                         0xbb, or freed if the engine has allocated it
//   resources             how many descriptors, mappings of shared memory and
//                         mappings at all it has
//   register BYTES        the address of so much more memory, registered now
//   notification          "NAME MESSAGE" of the next one
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <list>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/crc32c.h"
#include "te/base/process_resources.h"
#include "te/base/status_macros.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

std::string Register(size_t bytes, TransferEngine& engine,
                     std::list<std::vector<std::byte>>& more) {
  std::vector<std::byte>& memory = more.emplace_back(bytes);
  const auto buffer = engine.RegisterMemory(
      {.address = memory.data(), .length = memory.size()});
  if (!buffer.ok()) return buffer.status().ToString();
  return absl::StrCat(reinterpret_cast<uint64_t>(memory.data()));
}

// The memory that there is at first.
struct Memory {
  bool allocated = false;
  // Empty if the engine has allocated it.
  std::vector<std::byte> own;
  BufferId buffer;
  std::byte* address = nullptr;
};

absl::Status MakeAvailable(TransferEngine& engine, size_t bytes, Access access,
                           Memory& memory) {
  if (memory.allocated) {
    TE_ASSIGN_OR_RETURN(const AllocatedMemory allocated,
                        engine.AllocateMemory({.bytes = bytes}));
    memory.buffer = allocated.id;
    memory.address = allocated.address;
    return absl::OkStatus();
  }
  memory.address = memory.own.data();
  TE_ASSIGN_OR_RETURN(memory.buffer, engine.RegisterMemory(MemoryRegion{
                                         .address = memory.own.data(),
                                         .length = memory.own.size(),
                                         .access = access}));
  return absl::OkStatus();
}

// `more`: what it has registered by command, freed after the engine.
std::string Answer(const std::string& line, TransferEngine& engine,
                   Memory& memory, std::list<std::vector<std::byte>>& more) {
  std::istringstream words(line);
  std::string command;
  words >> command;
  if (command == "crc") {
    size_t offset = 0;
    size_t length = 0;
    words >> offset >> length;
    return absl::StrCat(ExtendCrc32c(0, memory.address + offset, length));
  }
  if (command == "unregister" || command == "retire") {
    const absl::Status status =
        memory.allocated ? engine.FreeMemory(memory.buffer, kPatience)
                         : engine.UnregisterMemory(memory.buffer, kPatience);
    if (!status.ok()) return status.ToString();
    if (command == "retire") {
      std::fill(memory.own.begin(), memory.own.end(), std::byte{0xbb});
    }
    return "ok";
  }
  if (command == "resources") {
    return absl::StrCat(CountOpenDescriptors(), " ", CountMappings("memfd:te-"),
                        " ", CountMappings(""));
  }
  if (command == "register") {
    size_t bytes = 0;
    words >> bytes;
    return Register(bytes, engine, more);
  }
  if (command == "notification") {
    const std::optional<ReceivedNotification> received =
        engine.TakeNotification(DeadlineAfter(RealClock().Now(), kPatience));
    return received ? absl::StrCat(received->notification.name, " ",
                                   received->notification.message)
                    : "none";
  }
  return "unknown command";
}

int Run(const Options& options, size_t bytes, const std::string& access) {
  // Before the engine, which serves it until its end.
  Memory memory = {.allocated = access == "allocated"};
  if (!memory.allocated) memory.own.resize(bytes);
  std::list<std::vector<std::byte>> more;
  const auto engine = CreateTransferEngine(options);
  if (!engine.ok()) {
    std::cout << engine.status() << std::endl;
    return 1;
  }
  const absl::Status available = MakeAvailable(
      **engine, bytes,
      access == "read_only" ? Access::kRemoteRead : Access::kRemoteReadWrite,
      memory);
  if (!available.ok()) {
    std::cout << available << std::endl;
    return 1;
  }
  std::cout << (*engine)->segment_name() << " "
            << reinterpret_cast<uint64_t>(memory.address) << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << Answer(line, **engine, memory, more) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  size_t bytes = 0;
  if (argc < 3 || !absl::SimpleAtoi(argv[2], &bytes)) return 2;
  te::Options options;
  options.local_server_name = argv[1];
  if (argc > 5) {
    options.metadata_server = argv[4];
    options.segment_name = argv[5];
    options.metadata_lease = std::chrono::seconds(1);
  }
  if (argc > 6 && !absl::SimpleAtoi(argv[6], &options.shm.max_peers)) return 2;
  return te::Run(options, bytes, argc > 3 ? argv[3] : "read_write");
}
