#include "te/transport/fake_transport.h"

#include <cstring>
#include <deque>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

bool Covers(const LocalMemory& memory, uint64_t address, uint64_t length) {
  const auto begin = reinterpret_cast<uint64_t>(memory.address);
  return address >= begin && length <= memory.length &&
         address - begin <= memory.length - length;
}

}  // namespace

absl::Status FakeNetwork::NextConnect() {
  std::function<void()> on_connect;
  {
    MutexLock lock(mutex_);
    ++connects_;
    if (connects_to_fail_ > 0) {
      --connects_to_fail_;
      return connect_error_;
    }
    on_connect = on_connect_;
  }
  if (on_connect) on_connect();
  return absl::OkStatus();
}

absl::Status FakeNetwork::NextFence() {
  MutexLock lock(mutex_);
  ++fences_;
  if (fences_to_fail_ == 0) return absl::OkStatus();
  --fences_to_fail_;
  return fence_error_;
}

absl::Status FakeNetwork::NextSlice(const Slice& slice) {
  std::shared_ptr<const Script> script;
  uint64_t index = 0;
  {
    MutexLock lock(mutex_);
    index = slices_++;
    script = script_;
  }
  return script == nullptr || *script == nullptr ? absl::OkStatus()
                                                 : (*script)(index, slice);
}

absl::Status FakeNetwork::CheckLocal(const FakeTransport* client,
                                     const Slice& slice) const {
  const auto found = registered_.find({client, slice.local_slot});
  if (found != registered_.end() &&
      Covers(found->second.memory, reinterpret_cast<uint64_t>(slice.local),
             slice.length)) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      "the local memory is not registered in slot ", slice.local_slot));
}

absl::Status FakeNetwork::CheckKey(const FakeTransport* server,
                                   const Slice& slice) const {
  for (auto it = registered_.lower_bound({server, 0});
       it != registered_.end() && it->first.first == server; ++it) {
    const LocalMemory& memory = it->second.memory;
    if (it->second.key != slice.remote_key ||
        !Covers(memory, slice.remote_address, slice.length)) {
      continue;
    }
    const bool allowed = slice.operation == Operation::kRead
                             ? memory.remote_read
                             : memory.remote_write;
    if (allowed) return absl::OkStatus();
  }
  return absl::NotFoundError("the key is not that of the remote memory");
}

bool FakeNetwork::Reaches(absl::string_view key) const {
  MutexLock lock(mutex_);
  if (reached_ == nullptr) return true;
  for (const auto& [unused, registration] : registered_) {
    if (registration.key == key) return reached_(registration.memory);
  }
  return false;
}

class FakeRail final : public Rail {
 public:
  FakeRail(std::shared_ptr<FakeNetwork> network, const FakeTransport* client,
           uint64_t session, const PeerIdentity& peer)
      : network_(std::move(network)),
        client_(client),
        name_(absl::StrCat(client->name(), " to ", peer.name)),
        session_(session),
        peer_(peer) {}

  void Post(absl::Span<Slice* const> slices) override {
    {
      MutexLock lock(mutex_);
      for (Slice* slice : slices) {
        slice->next = nullptr;
        (tail_ == nullptr ? head_ : tail_->next) = slice;
        tail_ = slice;
      }
    }
    Poll();
  }

  Progress Poll() override {
    bool moved = false;
    while (Slice* slice = Take()) {
      moved = true;
      const absl::Status status = Carry(*slice);
      CompletionSink& sink = *slice->sink;
      sink.Done(*slice, status);
      MutexLock lock(mutex_);
      if (--carrying_ == 0) idle_.NotifyAll();
    }
    return moved ? Progress::kMoved : Progress::kIdle;
  }
  void BeginPolling() override {}
  void EndPolling() override {
    if (const auto on_polled = network_->on_polled()) on_polled();
  }

  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override {
    std::vector<Slice*> withdrawn;
    {
      MutexLock lock(mutex_);
      Slice* slice = std::exchange(head_, nullptr);
      tail_ = nullptr;
      while (slice != nullptr) {
        Slice* const next = std::exchange(slice->next, nullptr);
        if (matches(*slice)) {
          withdrawn.push_back(slice);
        } else {
          (tail_ == nullptr ? head_ : tail_->next) = slice;
          tail_ = slice;
        }
        slice = next;
      }
    }
    for (Slice* slice : withdrawn) slice->sink->Done(*slice, status);
  }

  void Close(const absl::Status& why) override {
    Fail(why);
    Poll();
    MutexLock lock(mutex_);
    while (carrying_ > 0) idle_.WaitUntil(mutex_, kNoDeadline);
  }

  absl::Status health() const override {
    if (!health_checked().ok()) return health_checked();
    MutexLock lock(network_->mutex_);
    if (network_->sessions_.contains(session_)) return absl::OkStatus();
    return absl::UnavailableError("the fake session has ended");
  }
  std::string limits() const override {
    return network_->is_limited() ? "only some memory" : "";
  }
  bool Reaches(absl::string_view key) const override {
    return network_->Reaches(key);
  }
  std::string name() const override { return name_; }

 private:
  absl::Status health_checked() const {
    MutexLock lock(mutex_);
    return health_;
  }
  void Fail(const absl::Status& why) {
    MutexLock lock(mutex_);
    if (health_.ok()) health_ = why;
  }

  // The next slice that may go.
  Slice* Take() {
    const bool holding = network_->holding();
    MutexLock lock(mutex_);
    if (head_ == nullptr || (holding && health_.ok())) return nullptr;
    Slice* const slice = head_;
    head_ = slice->next;
    if (head_ == nullptr) tail_ = nullptr;
    ++carrying_;
    return slice;
  }

  absl::Status Carry(Slice& slice) {
    TE_RETURN_IF_ERROR(health_checked());
    TE_RETURN_IF_ERROR(network_->NextSlice(slice));
    const absl::Status status = Copy(slice);
    // As a connection breaks.
    if (absl::IsUnavailable(status)) Fail(status);
    if (!status.ok() && network_->refusals_break()) {
      Fail(absl::UnavailableError("a refusal has broken the fake session"));
    }
    return status;
  }

  absl::Status Copy(Slice& slice) {
    // Held while copying, so that no access outlives its session.
    MutexLock lock(network_->mutex_);
    const auto found = network_->sessions_.find(session_);
    if (found == network_->sessions_.end()) {
      return absl::UnavailableError("the fake session has ended");
    }
    if (found->second->self_ != peer_.incarnation) {
      return absl::UnavailableError("another engine has answered");
    }
    TE_ASSIGN_OR_RETURN(const ExposedMemory::Pin pin,
                        found->second->memory_.Acquire(
                            {.operation = slice.operation,
                             .address = slice.remote_address,
                             .length = slice.length,
                             .generation = slice.remote_generation}));
    TE_RETURN_IF_ERROR(network_->CheckLocal(client_, slice));
    TE_RETURN_IF_ERROR(network_->CheckKey(found->second, slice));
    const bool read = slice.operation == Operation::kRead;
    memcpy(read ? slice.local : pin.data(), read ? pin.data() : slice.local,
           slice.length);
    return absl::OkStatus();
  }

  const std::shared_ptr<FakeNetwork> network_;
  // Compared, and not used any more.
  const FakeTransport* const client_;
  const std::string name_;
  const uint64_t session_;
  const PeerIdentity peer_;
  mutable Mutex mutex_;
  CondVar idle_;
  Slice* head_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Slice* tail_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int carrying_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

FakeTransport::~FakeTransport() {
  DisconnectPeers();
  MutexLock lock(network_->mutex_);
  const auto left = network_->registered_.lower_bound({this, 0});
  CHECK(left == network_->registered_.end() || left->first.first != this)
      << "slot " << left->first.second << " is still registered";
}

absl::StatusOr<Rails> FakeTransport::Connect(
    const PeerIdentity& peer, uint64_t rail_id,
    std::shared_ptr<PeerChannel> channel, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(network_->NextConnect());
  TE_ASSIGN_OR_RETURN(
      const std::string answer,
      channel->Exchange(name(), absl::StrCat(rail_id), deadline));
  uint64_t session = 0;
  if (!absl::SimpleAtoi(answer, &session)) {
    return absl::DataLossError("a fake handshake was answered by others");
  }
  return Rails{std::make_shared<FakeRail>(network_, this, session, peer)};
}

absl::Status FakeTransport::Fence(const PeerIdentity& /*peer*/,
                                  uint64_t /*rail_id*/,
                                  PeerChannel& /*channel*/,
                                  MonotonicTime /*deadline*/) {
  return network_->NextFence();
}

absl::StatusOr<std::string> FakeTransport::Accept(const Incarnation& client,
                                                  absl::string_view request,
                                                  MonotonicTime /*deadline*/) {
  uint64_t rail_id = 0;
  if (!absl::SimpleAtoi(request, &rail_id)) {
    return absl::InvalidArgumentError("no fake handshake");
  }
  MutexLock lock(network_->mutex_);
  uint64_t& session = accepted_[absl::StrCat(client.ToString(), "/", rail_id)];
  network_->sessions_.erase(session);
  session = network_->next_session_++;
  network_->sessions_[session] = this;
  return absl::StrCat(session);
}

void FakeTransport::DisconnectPeers() {
  MutexLock lock(network_->mutex_);
  for (const auto& [key, session] : accepted_) {
    network_->sessions_.erase(session);
  }
  accepted_.clear();
}

absl::StatusOr<std::string> FakeTransport::RegisterMemory(
    const LocalMemory& memory) {
  std::function<absl::Status(const LocalMemory&)> on_register;
  {
    MutexLock lock(network_->mutex_);
    on_register = network_->on_register_;
  }
  if (on_register) TE_RETURN_IF_ERROR(on_register(memory));
  MutexLock lock(network_->mutex_);
  std::string key;
  if (memory.remote_read || memory.remote_write) {
    key = absl::StrCat(name_, " ", memory.slot, " ", network_->next_key_++);
  }
  const bool added = network_->registered_
                         .try_emplace({this, memory.slot},
                                      FakeNetwork::Registration{memory, key})
                         .second;
  CHECK(added) << "slot " << memory.slot << " is in use";
  return key;
}

void FakeTransport::UnregisterMemory(uint32_t slot) {
  MutexLock lock(network_->mutex_);
  CHECK_EQ(network_->registered_.erase({this, slot}), 1u)
      << "slot " << slot << " is not registered";
}

}  // namespace te
