#include "te/transport/tcp/server_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/crc32c.h"
#include "te/base/status_macros.h"
#include "te/transport/tcp/slice_window.h"
#include "te/transport/tcp/socket.h"

namespace te::tcp {
namespace {

absl::Status ProtocolError(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the peer does not keep to the protocol: ", what));
}

void Refuse(Reply& reply, const absl::Status& why) {
  reply.code = why.code();
  reply.error_text = std::string(why.message().substr(0, kMaxErrorTextBytes));
  reply.pin.Reset();
}

}  // namespace

ServerStream::ServerStream(UniqueFd socket, const Incarnation& self,
                           ExposedMemory& memory, IoLoop& loop, Host& host)
    : socket_(std::move(socket)),
      name_(DescribeSocket(socket_.get())),
      self_(self),
      memory_(memory),
      loop_(loop),
      host_(host) {
  incoming_.reserve(kMaxEntries);
  // Must not move its elements: texts are sent from where they are.
  outgoing_.reserve(kMaxEntries);
}

absl::Status ServerStream::Start() {
  return loop_.Add(socket_.get(), EPOLLIN, shared_from_this(), loop_id_);
}

void ServerStream::Close() {
  loop_.Remove(loop_id_, socket_.get());
  ReleaseMemory();
}

void ServerStream::Leave() { loop_.Remove(loop_id_, socket_.get()); }

IoLoop::Outcome ServerStream::OnReady(uint32_t /*events*/) {
  if (ended_) return IoLoop::Outcome::kIdle;
  bool moved = false;
  if (const absl::Status status = Move(moved); !status.ok()) {
    ReleaseMemory();
    host_.OnEnd(*this, status);
  }
  return moved ? IoLoop::Outcome::kMoved : IoLoop::Outcome::kIdle;
}

absl::Status ServerStream::Move(bool& moved) {
  TE_RETURN_IF_ERROR(reader_.Read(socket_.get(), *this, moved));
  if (!welcome_due_ && replies_.empty() && !writer_.in_frame()) {
    return absl::OkStatus();
  }
  bool blocked = false;
  TE_RETURN_IF_ERROR(writer_.Write(socket_.get(), *this, moved, blocked));
  WatchForRoom(blocked);
  return absl::OkStatus();
}

void ServerStream::WatchForRoom(bool blocked) {
  if (blocked == watching_for_room_) return;
  watching_for_room_ = blocked;
  uint32_t events = EPOLLIN;
  if (blocked) events |= EPOLLOUT;
  loop_.Modify(loop_id_, socket_.get(), events);
}

void ServerStream::ReleaseMemory() {
  ended_ = true;
  incoming_.clear();
  outgoing_.clear();
  replies_.Clear();
}

absl::Status ServerStream::OnFrame(const FrameHeader& header,
                                   const std::byte* entries,
                                   std::vector<iovec>& payload) {
  if (header.target != self_) {
    return ProtocolError(absl::StrCat("a frame for the engine ",
                                      header.target.ToString(),
                                      ", but this is ", self_.ToString()));
  }
  if (client_.IsZero()) return OnHello(header, entries);
  if (header.kind != FrameKind::kRequests) return ProtocolError("no request");
  if (replies_.size() + outgoing_.size() + header.entries >
      SliceWindow::kSlots) {
    return ProtocolError("more requests than its window has");
  }
  uint64_t data = header.payload_bytes;
  for (uint16_t i = 0; i < header.entries; ++i) {
    TE_ASSIGN_OR_RETURN(const RequestEntry request,
                        DecodeRequest(entries + i * kEntryBytes));
    if (request.operation == Operation::kWrite) {
      // Now, before room is made for as much as the entries pretend.
      if (request.length > data) return ProtocolError("less data than due");
      data -= request.length;
    }
    TE_RETURN_IF_ERROR(OnRequest(request, payload));
  }
  return absl::OkStatus();
}

absl::Status ServerStream::OnHello(const FrameHeader& header,
                                   const std::byte* entries) {
  if (header.kind != FrameKind::kHello || header.entries != 1 ||
      header.payload_bytes != 0) {
    return ProtocolError("no Hello");
  }
  TE_ASSIGN_OR_RETURN(const HelloEntry hello, DecodeHello(entries));
  TE_ASSIGN_OR_RETURN(client_, host_.Admit(hello, *this));
  welcome_due_ = true;
  return absl::OkStatus();
}

absl::Status ServerStream::OnRequest(const RequestEntry& request,
                                     std::vector<iovec>& payload) {
  if (request.id != next_id_++) return ProtocolError("ids are not consecutive");
  Reply& reply = incoming_.emplace_back();
  reply.id = request.id;
  reply.operation = request.operation;
  reply.length = request.length;
  reply.checked = request.checked;
  reply.crc32c = request.crc32c;
  absl::StatusOr<ExposedMemory::Pin> pin =
      memory_.Acquire({.operation = request.operation,
                       .address = request.address,
                       .length = request.length,
                       .generation = request.generation});
  if (!pin.ok()) {
    Refuse(reply, pin.status());
    if (request.operation == Operation::kWrite) {
      Discard(request.length, payload);
    }
    return absl::OkStatus();
  }
  reply.pin = *std::move(pin);
  if (request.operation == Operation::kWrite) {
    payload.push_back(
        {.iov_base = reply.pin.data(), .iov_len = request.length});
  }
  return absl::OkStatus();
}

// Lets the data of a refused WRITE run into memory that nobody reads.
void ServerStream::Discard(uint32_t length, std::vector<iovec>& payload) {
  constexpr uint32_t kPiece = 64 << 10;
  if (discard_ == nullptr) discard_ = std::make_unique<std::byte[]>(kPiece);
  while (length > 0) {
    const uint32_t part = std::min(length, kPiece);
    payload.push_back({.iov_base = discard_.get(), .iov_len = part});
    length -= part;
  }
}

absl::Status ServerStream::OnPayload() {
  for (Reply& reply : incoming_) {
    if (reply.IsPlainAcknowledgement()) Verify(reply);
    replies_.Push(std::move(reply));
  }
  incoming_.clear();
  return absl::OkStatus();
}

// The end of a WRITE: its data are in their place.
void ServerStream::Verify(Reply& reply) const {
  if (reply.checked &&
      ExtendCrc32c(0, reply.pin.data(), reply.length) != reply.crc32c) {
    Refuse(reply,
           absl::DataLossError(absl::StrCat(
               "the checksum does not match what arrived over ", name_,
               "; the data were changed on the way, or by their owner while "
               "they were being sent")));
  }
  reply.pin.Reset();
}

bool ServerStream::NextFrame(OutgoingFrame& frame) {
  if (std::exchange(welcome_due_, false)) {
    frame.Begin(FrameKind::kWelcome, client_);
    frame.AddEntry(HelloEntry{});
    frame.End();
    return true;
  }
  if (replies_.empty()) return false;
  frame.Begin(FrameKind::kResponses, client_);
  while (!replies_.empty() && frame.entries() < kMaxEntries &&
         frame.payload_bytes() < kFullFrameBytes) {
    AddReply(replies_.Pop(), frame);
  }
  frame.End();
  return true;
}

void ServerStream::AddReply(Reply reply, OutgoingFrame& frame) {
  Reply& sent = outgoing_.emplace_back(std::move(reply));
  ResponseEntry entry = {.id = sent.id, .count = sent.count, .code = sent.code};
  if (sent.code != absl::StatusCode::kOk) {
    entry.length = static_cast<uint32_t>(sent.error_text.size());
    frame.AddPayload(reinterpret_cast<std::byte*>(sent.error_text.data()),
                     entry.length);
  } else if (sent.operation == Operation::kRead) {
    entry.length = sent.length;
    entry.checked = sent.checked;
    if (sent.checked) {
      entry.crc32c = ExtendCrc32c(0, sent.pin.data(), sent.length);
    }
    frame.AddPayload(sent.pin.data(), sent.length);
  }
  frame.AddEntry(entry);
}

void ServerStream::OnSent() { outgoing_.clear(); }

}  // namespace te::tcp
