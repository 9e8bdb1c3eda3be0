// What every transport promises, as tests. A transport's own test registers:
//
//   INSTANTIATE_TEST_SUITE_P(
//       Tcp, TransportConformance,
//       testing::Values(TransportParam{"OneStream", [](auto& self, auto&
//       memory)
//                                      { return …; }}),
//       testing::PrintToStringParamName());

#ifndef TE_TRANSPORT_TRANSPORT_CONFORMANCE_H_
#define TE_TRANSPORT_TRANSPORT_CONFORMANCE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/mappable_bytes.h"
#include "te/transport/peer_channel.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/test_memory.h"
#include "te/transport/transport.h"

namespace te {

// Leads from one transport's Connect to another's Accept.
class LoopbackChannel final : public PeerChannel {
 public:
  // `server` outlives the channel.
  LoopbackChannel(const Incarnation& client, Transport& server)
      : client_(client), server_(server) {}
  absl::StatusOr<std::string> Exchange(absl::string_view /*transport*/,
                                       absl::string_view request,
                                       MonotonicTime deadline) override {
    return server_.Accept(client_, request, deadline);
  }

 private:
  const Incarnation client_;
  Transport& server_;
};

struct TransportParam {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<Transport>>(
      const Incarnation& self, ExposedMemory& memory)>
      make;
  // Whether an access that the peer refuses fails alone, with the code that
  // ExposedMemory has for it. False where hardware refuses it, knows less of
  // why, and breaks the connection: others may then come back with kUnavailable
  // or kAborted although there is nothing wrong with them.
  bool refusals_stay_apart = true;
  // Whether a rail of which the peer has cut everything sets itself up again:
  // then it stays healthy, and gives back with kUnavailable what was cut.
  bool rails_heal = false;
  friend void PrintTo(const TransportParam& param, std::ostream* os) {
    *os << param.name;
  }
};

// A client, a server with memory, and a rail between them.
class TransportConformance : public testing::TestWithParam<TransportParam> {
 protected:
  static constexpr uint64_t kRailId = 7;
  static constexpr size_t kBytes = 8 << 20;
  // Of local_. Not 0, which a slice has that nobody has thought of.
  static constexpr uint32_t kLocalSlot = 3;

  // Memory of the server that peers may reach.
  struct Exposed {
    uint32_t slot = 0;
    uint64_t generation = 0;
    std::string key;
    bool withdrawn = false;
  };

  void SetUp() override;
  void TearDown() override;

  MonotonicTime Soon() const {
    return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
  }
  absl::StatusOr<std::shared_ptr<Rail>> Connect(uint64_t rail_id);
  absl::Status Fence(uint64_t rail_id);
  // Closes the rail and sets it up anew.
  void Reconnect();
  void ReconnectIfBroken();

  // The value is kept until the test ends, for slices to refer to.
  Exposed& Expose(absl::Span<std::byte> memory, TestMemory::Rights rights);
  void Withdraw(Exposed& memory);
  // Of memory that begins where remote_ or other_ does; else -1.
  int DescriptorOf(absl::Span<std::byte> memory) const;
  // Makes the client's transport know memory, or forget it.
  void RegisterLocally(uint32_t slot, absl::Span<std::byte> memory);
  void DestroyClient();

  // Aims a slice at that memory, which begins at `address`.
  static void Aim(Slice& slice, const std::byte* address,
                  const Exposed& memory);
  // A slice between the same offsets of local_ and remote_.
  Slice MakeSlice(Operation operation, size_t offset, uint32_t length,
                  RecordingSink& sink, uint32_t index = 0);
  // `count` slices of `length` bytes one after the other.
  std::vector<Slice> MakeSlices(Operation operation, size_t count,
                                uint32_t length, RecordingSink& sink);
  static std::vector<Slice*> Pointers(std::vector<Slice>& slices);
  // Posts slices that are numbered from 0, and waits. Where refusals do not
  // stay apart, posts those again that may yet succeed, until there are none.
  std::vector<absl::Status> TransferEach(std::vector<Slice>& slices);
  // What a slice is refused for, and how to make it so.
  struct Refusal {
    absl::StatusCode code;
    std::function<void(Slice&)> spoil;
  };
  std::vector<Refusal> MakeRefusals();
  // Whether the status is that of a refused access: with this code if refusals
  // stay apart.
  static bool IsRefusal(const absl::Status& status, absl::StatusCode code);
  // Posts one slice of a sink of its own and waits; polls if told to.
  absl::Status Transfer(Operation operation, size_t offset, uint32_t length,
                        bool poll = false);
  // Transfers until it works again, on the same rail.
  void AwaitHealing(MonotonicTime deadline);
  // Polls until all slices of the sink are back.
  void PollUntilDone(RecordingSink& sink, size_t slices);
  // Bytes that tell where they are, and `salt` from each other.
  static void Fill(absl::Span<std::byte> bytes, uint32_t salt);
  // Whether all of them are `value`.
  static bool AllAre(absl::Span<const std::byte> bytes, std::byte value);

  Incarnation client_id_ = Incarnation({1});
  Incarnation server_id_ = Incarnation({2});
  TestMemory client_memory_;
  TestMemory server_memory_;
  // Registered with their descriptors, which not all transports use.
  MappableBytes local_ = MappableBytes(kBytes);
  MappableBytes remote_ = MappableBytes(kBytes);
  // Not exposed before a test does so.
  MappableBytes other_ = MappableBytes(100'000);
  std::unique_ptr<Transport> client_;
  std::unique_ptr<Transport> server_;
  std::shared_ptr<LoopbackChannel> channel_;
  std::shared_ptr<Rail> rail_;

 private:
  std::deque<Exposed> exposed_;
  // Of the server.
  std::vector<uint32_t> free_slots_ = {7, 6, 5};
  // remote_, as a whole.
  Exposed* exposed_remote_ = nullptr;
};

}  // namespace te

#endif  // TE_TRANSPORT_TRANSPORT_CONFORMANCE_H_
