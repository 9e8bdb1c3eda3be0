// A target for tests that kill, stop and restart one:
//
//   target LOCAL_SERVER_NAME BYTES
//       [ACCESS [METADATA_SERVER SEGMENT_NAME [MAX_SHM_PEERS]]]
//
// (ACCESS: read_only or read_write; with a metadata server the lease is a
// second)
//
// prints "SEGMENT ADDRESS" and then answers each line of its standard input
// with one line; it ends with its input.
//
//   crc OFFSET LENGTH     the CRC32C of that part of its memory
//   unregister            "ok", when its memory is unregistered
//   retire                the same, and then all of it is overwritten with 0xbb
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

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/crc32c.h"
#include "te/base/process_resources.h"
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

// `more`: what it has registered by command, freed after the engine.
std::string Answer(const std::string& line, TransferEngine& engine,
                   BufferId buffer, std::vector<std::byte>& memory,
                   std::list<std::vector<std::byte>>& more) {
  std::istringstream words(line);
  std::string command;
  words >> command;
  if (command == "crc") {
    size_t offset = 0;
    size_t length = 0;
    words >> offset >> length;
    return absl::StrCat(ExtendCrc32c(0, memory.data() + offset, length));
  }
  if (command == "unregister" || command == "retire") {
    const absl::Status status = engine.UnregisterMemory(buffer, kPatience);
    if (!status.ok()) return status.ToString();
    if (command == "retire") {
      std::fill(memory.begin(), memory.end(), std::byte{0xbb});
    }
    return "ok";
  }
  if (command == "resources") {
    return absl::StrCat(CountOpenDescriptors(), " ", CountMappings("te-shm-"),
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

int Run(const Options& options, size_t bytes, Access access) {
  // Before the engine, which serves it until its end.
  std::vector<std::byte> memory(bytes);
  std::list<std::vector<std::byte>> more;
  const auto engine = CreateTransferEngine(options);
  if (!engine.ok()) {
    std::cout << engine.status() << std::endl;
    return 1;
  }
  const auto buffer = (*engine)->RegisterMemory(MemoryRegion{
      .address = memory.data(), .length = bytes, .access = access});
  if (!buffer.ok()) {
    std::cout << buffer.status() << std::endl;
    return 1;
  }
  std::cout << (*engine)->segment_name() << " "
            << reinterpret_cast<uint64_t>(memory.data()) << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << Answer(line, **engine, *buffer, memory, more) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  size_t bytes = 0;
  if (argc < 3 || !absl::SimpleAtoi(argv[2], &bytes)) return 2;
  const bool read_only = argc > 3 && std::string(argv[3]) == "read_only";
  te::Options options;
  options.local_server_name = argv[1];
  if (argc > 5) {
    options.metadata_server = argv[4];
    options.segment_name = argv[5];
    options.metadata_lease = std::chrono::seconds(1);
  }
  if (argc > 6 && !absl::SimpleAtoi(argv[6], &options.shm.max_peers)) return 2;
  return te::Run(
      options, bytes,
      read_only ? te::Access::kRemoteRead : te::Access::kRemoteReadWrite);
}
