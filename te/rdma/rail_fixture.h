#ifndef TE_RDMA_RAIL_FIXTURE_H_
#define TE_RDMA_RAIL_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated_pair.h"
#include "te/rdma/rdma_options.h"
#include "te/transport/peer_channel.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {

// Leads from the client's transport to the server's, unless the test says what
// is to happen in place of that. Thread-safe.
class ScriptedChannel final : public PeerChannel {
 public:
  using Answer = absl::StatusOr<std::string>;
  // `go` asks the server.
  using Script =
      std::function<Answer(absl::string_view request, MonotonicTime deadline,
                           const std::function<Answer()>& go)>;

  explicit ScriptedChannel(const Incarnation& client) : client_(client) {}

  // What a script answers for a peer that does not answer.
  static Answer Hang(MonotonicTime deadline) {
    Mutex mutex;
    CondVar never;
    MutexLock lock(mutex);
    while (RealClock().Now() < deadline) never.WaitUntil(mutex, deadline);
    return absl::DeadlineExceededError("the peer hangs");
  }

  void SetScript(Script script) {
    MutexLock lock(mutex_);
    script_ = std::move(script);
  }
  // Waits for who is in it. Null: there is none.
  void SetServer(Transport* server) {
    MutexLock lock(mutex_);
    while (inside_ > 0) changed_.WaitUntil(mutex_, kNoDeadline);
    server_ = server;
  }

  Answer Exchange(absl::string_view /*transport*/, absl::string_view request,
                  MonotonicTime deadline) override {
    Script script;
    {
      MutexLock lock(mutex_);
      script = script_;
    }
    const auto go = [&] { return Ask(request, deadline); };
    return script ? script(request, deadline, go) : go();
  }

 private:
  Answer Ask(absl::string_view request, MonotonicTime deadline) {
    Transport* server = nullptr;
    {
      MutexLock lock(mutex_);
      server = server_;
      if (server == nullptr) return absl::UnavailableError("no server");
      ++inside_;
    }
    Answer answer = server->Accept(client_, request, deadline);
    MutexLock lock(mutex_);
    --inside_;
    changed_.NotifyAll();
    return answer;
  }

  const Incarnation client_;
  Mutex mutex_;
  CondVar changed_;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
  Script script_ ABSL_GUARDED_BY(mutex_);
  Transport* server_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// A client on host "a" and a server on host "b", each with memory of kBytes,
// and rails between them, made step by step so that each may fail.
class RailFixture : public testing::Test {
 protected:
  static constexpr size_t kBytes = 1 << 20;
  // Not 0, which a slice has that nobody has thought of.
  static constexpr uint32_t kSlot = 3;
  static constexpr uint64_t kRailId = 7;

  // Options with which a lost peer is noticed within some milliseconds.
  static RdmaOptions Quick() {
    RdmaOptions options;
    options.ack_timeout = 8;
    return options;
  }
  static MonotonicTime In(Duration time) {
    return DeadlineAfter(RealClock().Now(), time);
  }
  static MonotonicTime Soon() { return In(std::chrono::seconds(30)); }

  void MakeHosts(NicCounts nics = {},
                 const emulated::FabricOptions& fabric = {},
                 const std::function<void(emulated::EmulatedDeviceSpec&)>&
                     change = nullptr) {
    nics_ = nics;
    pair_ = std::make_unique<EmulatedPair>(fabric, nics, change);
  }

  // All steps up to the rails.
  absl::Status Start(const RdmaOptions& options = Quick()) {
    TE_RETURN_IF_ERROR(StartServer(options));
    TE_RETURN_IF_ERROR(StartClient(options));
    return Connect();
  }
  absl::Status StartServer(const RdmaOptions& options) {
    TE_ASSIGN_OR_RETURN(server_,
                        pair_->MakeTransport("b", server_id_, options));
    channel_->SetServer(server_.get());
    TE_ASSIGN_OR_RETURN(remote_key_,
                        server_->RegisterMemory({.slot = kSlot,
                                                 .address = remote_.data(),
                                                 .length = remote_.size(),
                                                 .remote_read = true,
                                                 .remote_write = true}));
    server_registered_ = true;
    return absl::OkStatus();
  }
  absl::Status StartClient(const RdmaOptions& options) {
    TE_ASSIGN_OR_RETURN(client_,
                        pair_->MakeTransport("a", client_id_, options));
    TE_RETURN_IF_ERROR(client_
                           ->RegisterMemory({.slot = kSlot,
                                             .address = local_.data(),
                                             .length = local_.size()})
                           .status());
    client_registered_ = true;
    return absl::OkStatus();
  }
  // Over the rails that there were, which must be closed.
  absl::Status Connect(uint64_t rail_id = kRailId,
                       MonotonicTime deadline = Soon()) {
    TE_ASSIGN_OR_RETURN(rails_, MakeRails(rail_id, deadline));
    rail_ = ReadyOne(rails_);
    return absl::OkStatus();
  }
  absl::StatusOr<Rails> MakeRails(uint64_t rail_id,
                                  MonotonicTime deadline = Soon()) {
    return client_->Connect({.name = "server", .incarnation = server_id_},
                            rail_id, channel_, deadline);
  }
  // One that is ready, which has the others for company.
  absl::StatusOr<std::shared_ptr<Rail>> MakeRail(uint64_t rail_id) {
    TE_ASSIGN_OR_RETURN(const Rails rails, MakeRails(rail_id));
    return ReadyOne(rails);
  }
  // Which to use: the first that is ready, else the first that may be.
  static std::shared_ptr<Rail> ReadyOne(const Rails& rails) {
    std::shared_ptr<Rail> best = rails.front();
    for (const auto& rail : rails) {
      const Rail::State state = rail->state();
      if (state == Rail::State::kReady) return rail;
      if (best->state() == Rail::State::kDown) best = rail;
    }
    return best;
  }
  static bool AreAllDown(const Rails& rails) {
    return std::all_of(rails.begin(), rails.end(), [](const auto& rail) {
      return rail->state() == Rail::State::kDown;
    });
  }

  // Has it opened, and waits for that.
  static bool Open(Rail& rail) {
    return Await([&rail] {
      rail.Prepare();
      return rail.state() == Rail::State::kReady;
    });
  }

  void CloseRail() {
    if (rail_ != nullptr) rail_->Close(absl::CancelledError("closed by test"));
    rail_.reset();
    rails_.clear();
  }
  void StopClient() {
    CloseRail();
    if (client_registered_) client_->UnregisterMemory(kSlot);
    client_registered_ = false;
    client_.reset();
  }
  void StopServer() {
    channel_->SetServer(nullptr);
    if (server_registered_) server_->UnregisterMemory(kSlot);
    server_registered_ = false;
    server_.reset();
  }
  void Stop() {
    StopClient();
    StopServer();
  }
  void TearDown() override {
    Stop();
    ExpectNothingLives();
  }
  void ExpectNothingLives() {
    if (pair_ == nullptr) return;
    for (size_t i = 0; i < nics_.a; ++i) {
      EXPECT_EQ(pair_->a(i).live_objects(), emulated::LiveObjects())
          << "a, NIC " << i;
    }
    for (size_t i = 0; i < nics_.b; ++i) {
      EXPECT_EQ(pair_->b(i).live_objects(), emulated::LiveObjects())
          << "b, NIC " << i;
    }
  }

  // A slice between the same offsets of local_ and remote_.
  Slice MakeSlice(Operation operation, size_t offset, uint32_t length,
                  CompletionSink& sink, uint32_t index = 0) {
    Slice slice;
    slice.operation = operation;
    slice.request = index;
    slice.local_slot = kSlot;
    slice.local = local_.data() + offset;
    slice.remote_address = AddressOf(offset);
    slice.length = length;
    slice.remote_key = remote_key_;
    slice.sink = &sink;
    return slice;
  }
  uint64_t AddressOf(size_t offset) const {
    return reinterpret_cast<uint64_t>(remote_.data()) + offset;
  }
  // Posts `count` slices one after the other, and waits for them.
  std::vector<absl::Status> TransferMany(Operation operation, size_t count,
                                         uint32_t length) {
    return TransferOver(*ReadyOne(rails_), operation, count, length);
  }
  std::vector<absl::Status> TransferOver(Rail& rail, Operation operation,
                                         size_t count, uint32_t length) {
    RecordingSink sink(count);
    std::vector<Slice> slices;
    for (size_t i = 0; i < count; ++i) {
      slices.push_back(MakeSlice(operation, i * length, length, sink,
                                 static_cast<uint32_t>(i)));
    }
    std::vector<Slice*> pointers;
    for (Slice& slice : slices) pointers.push_back(&slice);
    rail.Post(pointers);
    EXPECT_TRUE(sink.Wait(Soon())) << "not all slices have come back";
    std::vector<absl::Status> outcomes;
    for (size_t i = 0; i < count; ++i) {
      outcomes.push_back(
          sink.outcome(i).value_or(absl::UnknownError("not back")));
    }
    return outcomes;
  }
  absl::Status Transfer(Operation operation = Operation::kWrite,
                        size_t offset = 0, uint32_t length = 1000) {
    RecordingSink sink(1);
    Slice slice = MakeSlice(operation, offset, length, sink);
    Slice* const posted = &slice;
    ReadyOne(rails_)->Post({&posted, 1});
    EXPECT_TRUE(sink.Wait(Soon())) << "the slice has not come back";
    return sink.status();
  }

  // Transfers until it works again, over new rails if the old ones do not work,
  // as engines do it. Whatever fails meanwhile may be tried again.
  void AwaitHealing() {
    const MonotonicTime deadline = Soon();
    absl::Status status = absl::UnavailableError("not tried");
    while (!status.ok() && RealClock().Now() < deadline) {
      if (rail_ != nullptr && AreAllDown(rails_)) CloseRail();
      status = rail_ == nullptr ? Connect() : Transfer();
      if (status.ok()) status = Transfer(Operation::kRead);
    }
    TE_EXPECT_OK(status);
  }
  // The same over the rails that there are, which must stay healthy.
  void AwaitHealingOfRail() {
    const MonotonicTime deadline = Soon();
    absl::Status status = Transfer();
    while (!status.ok() && RealClock().Now() < deadline) {
      ASSERT_TRUE(MayBeTriedAgain(status)) << status;
      status = Transfer();
    }
    TE_EXPECT_OK(status);
    TE_EXPECT_OK(rail_->health());
  }
  static bool MayBeTriedAgain(const absl::Status& status) {
    return absl::IsUnavailable(status) || absl::IsAborted(status);
  }

  // Waits for what other threads do, and that cannot be waited for.
  static bool Await(const std::function<bool()>& condition) {
    const MonotonicTime deadline = Soon();
    while (!condition()) {
      if (RealClock().Now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  // The i-th work request of a client that moves something, from now on, has
  // this fault.
  void FailRequest(uint64_t i, const emulated::Fault& fault) {
    auto left = std::make_shared<std::atomic<uint64_t>>(i + 1);
    pair_->fabric().SetFaultScript([=](const emulated::WorkRequestInfo& info) {
      const bool counts = info.host == "a" && info.length > 0;
      if (!counts || *left == 0) return emulated::Fault();
      return --*left == 0 ? fault : emulated::Fault();
    });
  }
  // Work requests of the client that are to leave by that device get nowhere.
  void CutOff(const std::string& device) {
    pair_->fabric().SetFaultScript(
        [device](const emulated::WorkRequestInfo& info) {
          emulated::Fault fault;
          if (info.host == "a" && info.device == device) {
            fault.hang = emulated::Hang::kUntilError;
          }
          return fault;
        });
  }
  void NoFaults() { pair_->fabric().SetFaultScript(nullptr); }

  const Incarnation client_id_{{1}};
  const Incarnation server_id_{{2}};
  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes);
  std::vector<std::byte> remote_ = std::vector<std::byte>(kBytes);
  NicCounts nics_;
  std::unique_ptr<EmulatedPair> pair_;
  const std::shared_ptr<ScriptedChannel> channel_ =
      std::make_shared<ScriptedChannel>(client_id_);
  std::string remote_key_;
  bool client_registered_ = false;
  bool server_registered_ = false;
  std::unique_ptr<Transport> server_;
  std::unique_ptr<Transport> client_;
  Rails rails_;
  // The one of them that was ready first.
  std::shared_ptr<Rail> rail_;
};

}  // namespace te::rdma

#endif  // TE_RDMA_RAIL_FIXTURE_H_
