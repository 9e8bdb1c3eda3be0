// Moves bytes by RDMA and checks each of them, for tests that meanwhile cut
// wires and kill processes:
//
//   transfer_check target LOCAL_SERVER_NAME [KEY=VALUE...]
//   transfer_check initiator LOCAL_SERVER_NAME SEGMENT [KEY=VALUE...]
//
// The target prints "ready SEGMENT" and, when it gets SIGTERM, looks whether
// its memory, and what is around it, is as initiators can have left it:
// "intact, rounds FIRST to LAST", or "astray: ...".
//
// A round of the initiator WRITEs a batch of requests, READs it back and
// compares, over one part of the target's memory after the other. It prints
// "progress ROUND" after each that went well, "request failed: STATUS" when one
// did not, "reopened before ROUND", "wrong data ...". It ends with its rounds,
// or with SIGTERM.
//
// Either ends with 0 if all was as asked, with 1 and "failed: STATUS" if it
// could not begin, with 3 if data were wrong or a request failed.
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::milliseconds;

constexpr Duration kPatience = std::chrono::seconds(60);
// Around the target's memory; registered by nobody.
constexpr size_t kGuardBytes = size_t{64} << 10;
constexpr std::byte kGuard{0xa5};
constexpr uint64_t kParts = 16;

enum ExitStatus { kWell = 0, kNotBegun = 1, kWrongUsage = 2, kWrong = 3 };

struct Settings {
  Options options;
  uint64_t requests = 16;
  uint64_t length = 64 << 10;
  // 0: until SIGTERM.
  uint64_t rounds = 0;
  // What to do when a request has failed.
  enum class Then { kEnd, kRetry, kReopen } then = Then::kEnd;

  uint64_t round_bytes() const { return requests * length; }
};

// --- Words that tell their place, and the round that wrote them; round 0 is
// what was there before. ---

constexpr int kRoundShift = 40;

uint64_t WordOf(uint64_t round, uint64_t index) {
  return (round << kRoundShift) | index;
}

void Fill(absl::Span<uint64_t> words, uint64_t round, uint64_t first) {
  for (size_t i = 0; i < words.size(); ++i) words[i] = WordOf(round, first + i);
}

std::optional<size_t> FindWrong(absl::Span<const uint64_t> words,
                                uint64_t round, uint64_t first) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] != WordOf(round, first + i)) return i;
  }
  return std::nullopt;
}

// --- Settings. ---

bool SetNumber(const std::string& key, int value, Settings& settings) {
  RdmaOptions& rdma = settings.options.rdma;
  if (key == "requests") {
    settings.requests = static_cast<uint64_t>(value);
  } else if (key == "length") {
    settings.length = static_cast<uint64_t>(value);
  } else if (key == "rounds") {
    settings.rounds = static_cast<uint64_t>(value);
  } else if (key == "gid_index") {
    rdma.gid_index = value;
  } else if (key == "ack_timeout") {
    rdma.ack_timeout = value;
  } else if (key == "retry_count") {
    rdma.retry_count = value;
  } else if (key == "work_timeout_ms") {
    rdma.work_timeout = milliseconds(value);
  } else if (key == "keepalive_ms") {
    rdma.keepalive = milliseconds(value);
  } else if (key == "timeout_ms") {
    settings.options.engine.default_timeout = milliseconds(value);
  } else {
    return false;
  }
  return true;
}

bool Set(const std::string& key, const std::string& value, Settings& settings) {
  if (key == "devices") {
    settings.options.nics.allowed = absl::StrSplit(value, ',');
    return true;
  }
  if (key == "then") {
    static const std::map<std::string, Settings::Then> kThen = {
        {"end", Settings::Then::kEnd},
        {"retry", Settings::Then::kRetry},
        {"reopen", Settings::Then::kReopen}};
    const auto found = kThen.find(value);
    if (found == kThen.end()) return false;
    settings.then = found->second;
    return true;
  }
  int number = 0;
  return absl::SimpleAtoi(value, &number) && number >= 0 &&
         SetNumber(key, number, settings);
}

bool SetAll(absl::Span<char* const> arguments, Settings& settings) {
  for (const char* argument : arguments) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(argument, absl::MaxSplits('=', 1));
    if (!Set(pair.first, pair.second, settings)) {
      std::cerr << "wrong: " << argument << std::endl;
      return false;
    }
  }
  const bool fits = settings.length > 0 && settings.requests > 0 &&
                    settings.length % sizeof(uint64_t) == 0;
  if (!fits) std::cerr << "wrong length or number of requests" << std::endl;
  return fits;
}

// --- SIGTERM, blocked in all threads. ---

sigset_t TermSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  return set;
}

bool HasCome(const sigset_t& signal) {
  const timespec now = {};
  return sigtimedwait(&signal, nullptr, &now) > 0;
}

// --- The target. ---

class TargetMemory {
 public:
  explicit TargetMemory(size_t bytes)
      : bytes_(bytes), memory_((bytes + 2 * kGuardBytes) / sizeof(uint64_t)) {
    std::memset(memory_.data(), static_cast<int>(kGuard), Size(memory_));
    Fill(words(), 0, 0);
  }

  absl::Span<uint64_t> words() {
    return absl::MakeSpan(memory_).subspan(kGuardBytes / sizeof(uint64_t),
                                           bytes_ / sizeof(uint64_t));
  }

  // What has been written to it, for people; `astray` if that cannot be.
  std::string Describe(bool& astray) {
    astray = true;
    const auto* const all = reinterpret_cast<const std::byte*>(memory_.data());
    for (size_t i = 0; i < kGuardBytes; ++i) {
      if (all[i] != kGuard || all[kGuardBytes + bytes_ + i] != kGuard) {
        return absl::StrCat("astray: bytes around the memory, at ", i);
      }
    }
    uint64_t first = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < words().size(); ++i) {
      const uint64_t round = words()[i] >> kRoundShift;
      if (words()[i] != WordOf(round, i)) {
        return absl::StrCat("astray: 0x", absl::Hex(words()[i]), " in word ",
                            i);
      }
      if (round == 0) continue;
      if (first == 0 || round < first) first = round;
      if (round > last) last = round;
    }
    astray = false;
    return absl::StrCat("intact, rounds ", first, " to ", last);
  }

 private:
  static size_t Size(const std::vector<uint64_t>& words) {
    return words.size() * sizeof(uint64_t);
  }

  const size_t bytes_;
  std::vector<uint64_t> memory_;
};

int Fail(const absl::Status& status) {
  std::cout << "failed: " << status << std::endl;
  return kNotBegun;
}

int RunTarget(const Settings& settings, const sigset_t& term) {
  TargetMemory memory(kParts * settings.round_bytes());
  {
    const auto engine = CreateTransferEngine(settings.options);
    if (!engine.ok()) return Fail(engine.status());
    const auto buffer =
        (*engine)->RegisterMemory({.address = memory.words().data(),
                                   .length = kParts * settings.round_bytes(),
                                   .access = Access::kRemoteReadWrite});
    if (!buffer.ok()) return Fail(buffer.status());
    std::cout << "ready " << (*engine)->segment_name() << std::endl;
    int signal = 0;
    sigwait(&term, &signal);
  }
  bool astray = false;
  std::cout << memory.Describe(astray) << std::endl;
  return astray ? kWrong : kWell;
}

// --- The initiator. ---

class Initiator {
 public:
  Initiator(const Settings& settings, std::unique_ptr<TransferEngine> engine,
            std::string segment_name)
      : settings_(settings),
        segment_name_(std::move(segment_name)),
        written_(settings.round_bytes() / sizeof(uint64_t)),
        read_(written_.size()),
        engine_(std::move(engine)) {}

  absl::Status Start() {
    TE_RETURN_IF_ERROR(
        engine_->RegisterMemory({Local(written_), Local(read_)}).status());
    return Open();
  }

  // Whether it may go on.
  bool RunRound(uint64_t round) {
    const uint64_t first = (round - 1) % kParts * written_.size();
    Fill(absl::MakeSpan(written_), round, first);
    absl::Status status = Transfer(Operation::kWrite, written_, first);
    if (status.ok()) {
      std::memset(read_.data(), 0xff, settings_.round_bytes());
      status = Transfer(Operation::kRead, read_, first);
    }
    if (!status.ok()) return Recover(status, round + 1);
    if (const auto at = FindWrong(read_, round, first)) {
      std::cout << absl::StrCat("wrong data in round ", round, ", word ", *at,
                                ": 0x", absl::Hex(read_[*at]))
                << std::endl;
      return false;
    }
    std::cout << "progress " << round << std::endl;
    return true;
  }

 private:
  static MemoryRegion Local(std::vector<uint64_t>& words) {
    return {.address = words.data(),
            .length = words.size() * sizeof(uint64_t),
            .access = Access::kLocalOnly};
  }

  absl::Status Open() {
    TE_ASSIGN_OR_RETURN(const SegmentId id,
                        engine_->OpenSegment(segment_name_, kPatience));
    if (open_.has_value()) {
      TE_RETURN_IF_ERROR(engine_->CloseSegment(*open_));
    }
    open_ = id;
    TE_ASSIGN_OR_RETURN(const auto segment, engine_->DescribeSegment(id));
    for (const auto& buffer : segment->buffers) {
      remote_ = buffer.address;
    }
    return absl::OkStatus();
  }

  absl::Status Transfer(Operation operation, std::vector<uint64_t>& words,
                        uint64_t first) {
    std::vector<Request> requests;
    for (uint64_t i = 0; i < settings_.requests; ++i) {
      requests.push_back(
          {.operation = operation,
           .local = words.data() + i * settings_.length / sizeof(uint64_t),
           .segment = *open_,
           .remote_address =
               remote_ + first * sizeof(uint64_t) + i * settings_.length,
           .length = settings_.length});
    }
    TE_ASSIGN_OR_RETURN(Batch batch, engine_->Submit(requests));
    batch.Wait();
    return batch.status();
  }

  bool Recover(const absl::Status& why, uint64_t next_round) {
    std::cout << "request failed: " << why << std::endl;
    if (settings_.then == Settings::Then::kEnd) return false;
    if (settings_.then == Settings::Then::kRetry) return true;
    const absl::Status opened = Open();
    if (opened.ok()) {
      std::cout << "reopened before " << next_round << std::endl;
    } else {
      std::cout << "open failed: " << opened << std::endl;
    }
    return true;
  }

  const Settings& settings_;
  const std::string segment_name_;
  std::vector<uint64_t> written_;
  std::vector<uint64_t> read_;
  // After its memory, so that it goes first.
  const std::unique_ptr<TransferEngine> engine_;
  std::optional<SegmentId> open_;
  uint64_t remote_ = 0;
};

int RunInitiator(const Settings& settings, const std::string& segment,
                 const sigset_t& term) {
  auto engine = CreateTransferEngine(settings.options);
  if (!engine.ok()) return Fail(engine.status());
  Initiator initiator(settings, *std::move(engine), segment);
  if (const absl::Status status = initiator.Start(); !status.ok()) {
    return Fail(status);
  }
  for (uint64_t round = 1; settings.rounds == 0 || round <= settings.rounds;
       ++round) {
    if (HasCome(term)) break;
    if (!initiator.RunRound(round)) return kWrong;
  }
  std::cout << "done" << std::endl;
  return kWell;
}

int Run(absl::Span<char* const> arguments) {
  const std::string role = arguments.size() < 3 ? "" : arguments[1];
  const bool initiator = role == "initiator" && arguments.size() > 3;
  Settings settings;
  settings.options.protocol = kRdmaTransportName;
  const size_t settings_from = initiator ? 4 : 3;
  if ((!initiator && role != "target") ||
      !SetAll(arguments.subspan(settings_from), settings)) {
    return kWrongUsage;
  }
  settings.options.local_server_name = arguments[2];
  const sigset_t term = TermSignal();
  sigprocmask(SIG_BLOCK, &term, nullptr);
  return initiator ? RunInitiator(settings, arguments[3], term)
                   : RunTarget(settings, term);
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  return te::Run({argv, static_cast<size_t>(argc)});
}
