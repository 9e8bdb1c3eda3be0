// A peer in a process of its own, for tests that treat it badly. It answers
// each line of its standard input with one line, "ok" or what has failed, and
// ends with its input:
//
//   connect SOCKET TOKEN     to an owner; TOKEN as hexadecimal digits
//   pin KEY ADDRESS          of its memory; KEY as hexadecimal digits
//   unpin
//   become USER              for root: that user, and the group of that number
//
// or, as the owner of memory:
//
//   serve                    "SOCKET TOKEN KEY ADDRESS" of 64 KiB
//   revoke                   the access to it; waits for a moment
//   exec                     becomes a new process image, of the same PID
#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/incarnation.h"
#include "te/base/status_macros.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/peer_link.h"
#include "te/transport/shm/shm_server.h"
#include "te/transport/slice.h"

namespace te::shm {
namespace {

constexpr size_t kBytes = 64 << 10;
constexpr uint32_t kSlots = 4;
constexpr uint32_t kSlot = 1;

class Program {
 public:
  explicit Program(const char* path) : path_(path) {}

  absl::StatusOr<std::string> Answer(const std::string& line) {
    std::istringstream words(line);
    std::string command, first, second;
    words >> command >> first >> second;
    if (command == "connect") return Connect(first, second);
    if (command == "pin") return Pin(first, second);
    if (command == "unpin") {
      link_->memory().Unpin(pinned_.slot);
      return "ok";
    }
    if (command == "become") return Become(first);
    if (command == "serve") return Serve();
    if (command == "revoke") {
      TE_RETURN_IF_ERROR(server_->Revoke(
          kSlot,
          DeadlineAfter(RealClock().Now(), std::chrono::milliseconds(20))));
      return "ok";
    }
    if (command == "exec") {
      // What it says when it begins is the answer.
      execl(path_, path_, "again", nullptr);
    }
    return absl::InvalidArgumentError("unknown command");
  }

 private:
  static MonotonicTime Soon() {
    return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
  }

  absl::StatusOr<std::string> Connect(const std::string& socket,
                                      const std::string& token_digits) {
    const std::string bytes = absl::HexStringToBytes(token_digits);
    Token token;
    if (bytes.size() != token.size()) {
      return absl::InvalidArgumentError("not a token");
    }
    memcpy(token.data(), bytes.data(), bytes.size());
    TE_ASSIGN_OR_RETURN(link_, PeerLink::Connect({}, socket, token, Soon()));
    return "ok";
  }

  absl::StatusOr<std::string> Pin(const std::string& key_digits,
                                  const std::string& address) {
    const std::string key = absl::HexStringToBytes(key_digits);
    Slice slice;
    slice.remote_key = key;
    slice.remote_address = std::stoull(address);
    slice.length = 1;
    TE_RETURN_IF_ERROR(link_->memory().Pin(slice, pinned_));
    return "ok";
  }

  static absl::StatusOr<std::string> Become(const std::string& user) {
    const auto id = static_cast<uid_t>(std::stoul(user));
    if (setgroups(0, nullptr) != 0 || setgid(id) != 0 || setuid(id) != 0) {
      return ErrnoToStatus(errno, absl::StrCat("becoming user ", user));
    }
    return "ok";
  }

  absl::StatusOr<std::string> Serve() {
    TE_ASSIGN_OR_RETURN(server_, ShmServer::Create({}, kSlots));
    const GrantKey key = server_->Grant({.slot = kSlot,
                                         .address = memory_.data(),
                                         .length = memory_.size(),
                                         .remote_read = true,
                                         .remote_write = true});
    TE_ASSIGN_OR_RETURN(
        const Token token,
        server_->Promise({.incarnation = Incarnation({1})}, Soon()));
    return absl::StrCat(
        server_->socket_name(), " ",
        absl::BytesToHexString(
            {reinterpret_cast<const char*>(token.data()), token.size()}),
        " ", absl::BytesToHexString(key.Serialize()), " ",
        reinterpret_cast<uint64_t>(memory_.data()));
  }

  const char* const path_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(kBytes);
  std::unique_ptr<ShmServer> server_;
  std::unique_ptr<PeerLink> link_;
  Pinned pinned_;
};

int Run(const char* path) {
  Program program(path);
  std::string line;
  while (std::getline(std::cin, line)) {
    const absl::StatusOr<std::string> answer = program.Answer(line);
    std::cout << (answer.ok() ? *answer : answer.status().ToString())
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace te::shm

int main(int argc, char** argv) {
  if (argc > 1) std::cout << argv[1] << std::endl;
  return te::shm::Run(argv[0]);
}
