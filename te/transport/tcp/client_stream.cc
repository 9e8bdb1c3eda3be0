#include "te/transport/tcp/client_stream.h"

#include <sched.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/crc32c.h"
#include "te/base/status_macros.h"

namespace te::tcp {
namespace {

std::string Name(const Slice& slice) {
  return absl::StrCat(slice.operation == Operation::kRead ? "READ" : "WRITE",
                      " of ", slice.length, " bytes at 0x",
                      absl::Hex(slice.remote_address));
}

absl::Status ProtocolError(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the peer answered wrongly: ", what));
}

}  // namespace

ClientStream::ClientStream(Options options, UniqueFd socket,
                           std::shared_ptr<IoLoop> loop, OnBroken on_broken)
    : options_(std::move(options)),
      socket_(std::move(socket)),
      loop_(std::move(loop)),
      on_broken_(std::move(on_broken)),
      window_(options_.window_bytes, /*first=*/0) {
  answers_.reserve(kMaxEntries);
}

ClientStream::~ClientStream() {
  CHECK_EQ(unfinished_, 0u)
      << options_.name << " was dropped with slices on it";
}

absl::Status ClientStream::Start() {
  // While nothing is under way, only the peer's end matters.
  return loop_->Add(socket_.get(), EPOLLRDHUP | EPOLLONESHOT,
                    shared_from_this(), loop_id_);
}

void ClientStream::Enqueue(absl::Span<Slice* const> slices) {
  uint64_t bytes = 0;
  for (const Slice* slice : slices) bytes += slice->length;
  queued_bytes_ += bytes;
  unfinished_ += static_cast<uint32_t>(slices.size());
  inbox_.Push(slices);
}

void ClientStream::Post(absl::Span<Slice* const> slices) {
  Enqueue(slices);
  Send();
}

void ClientStream::Leave(absl::Span<Slice* const> slices) {
  Enqueue(slices);
  send_when_writable_ = true;
  Arm();
  // A loop that the stream has been removed from will not do it.
  if (broken_) Reap();
}

void ClientStream::Watch() {
  if (pollers_ == 0 && unfinished_ > 0) Arm();
}

bool ClientStream::Send() {
  bool moved = false;
  for (;;) {
    if (broken_) {
      Reap();
      return moved;
    }
    if (!sending_.TryTake()) return moved;
    if (broken_) {
      // Slices may have been given back since the look above; with the baton
      // held, none can be any more.
      sending_.Pass();
      continue;
    }
    send_when_writable_ = false;
    wanted_room_ = 0;
    bool blocked = false;
    const absl::Status status =
        writer_.Write(socket_.get(), *this, moved, blocked);
    send_when_writable_ = blocked;
    sending_.Pass();
    if (!status.ok()) {
      Break(status);
      continue;
    }
    // Others may have left something while this thread held the baton.
    const uint32_t wanted = wanted_room_;
    const bool room = wanted != 0 && window_.HasRoom(wanted);
    if (blocked || (inbox_.empty() && !room)) return moved;
  }
}

bool ClientStream::NextFrame(OutgoingFrame& frame) {
  sending_.AssertHeld();
  pending_.Append(inbox_.TakeAll());
  frame.Begin(FrameKind::kRequests, options_.peer);
  while (!pending_.empty() && frame.entries() < kMaxEntries &&
         frame.payload_bytes() < kFullFrameBytes) {
    const uint32_t length = pending_.front()->length;
    if (!window_.HasRoom(length)) {
      wanted_room_ = length;
      break;
    }
    AddSlice(pending_.PopFront(), frame);
  }
  in_frame_ = static_cast<uint32_t>(frame.entries());
  if (in_frame_ == 0) return false;
  frame.End();
  return true;
}

void ClientStream::AddSlice(Slice& slice, OutgoingFrame& frame) {
  const bool write = slice.operation == Operation::kWrite;
  frame.AddEntry(
      RequestEntry{.id = window_.Add(slice),
                   .operation = slice.operation,
                   .length = slice.length,
                   .address = slice.remote_address,
                   .generation = slice.remote_generation,
                   .checked = options_.checksum,
                   .crc32c = options_.checksum && write
                                 ? ExtendCrc32c(0, slice.local, slice.length)
                                 : 0});
  if (write) frame.AddPayload(slice.local, slice.length);
}

void ClientStream::OnSent() {
  sending_.AssertHeld();
  window_.MarkSent(in_frame_);
}

Progress ClientStream::Poll() {
  if (!receiving_.TryTake()) return Progress::kBusy;
  bool moved = false;
  absl::Status status;
  if (!broken_ && !window_.empty()) {
    status = reader_.Read(socket_.get(), *this, moved);
  }
  receiving_.Pass();
  if (!status.ok()) Break(status);
  if (broken_) {
    Reap();
    return Progress::kIdle;
  }
  if (moved || send_when_writable_) moved |= Send();
  return moved ? Progress::kMoved : Progress::kIdle;
}

absl::Status ClientStream::OnFrame(const FrameHeader& header,
                                   const std::byte* entries,
                                   std::vector<iovec>& payload) {
  receiving_.AssertHeld();
  if (header.kind != FrameKind::kResponses) {
    return ProtocolError("not a response");
  }
  if (header.target != options_.self) {
    return ProtocolError("a response for another engine");
  }
  answers_.clear();
  uint32_t next = window_.first();
  for (uint16_t i = 0; i < header.entries; ++i) {
    TE_ASSIGN_OR_RETURN(const ResponseEntry entry,
                        DecodeResponse(entries + i * kEntryBytes));
    TE_RETURN_IF_ERROR(Expect(entry, next, payload));
    next += entry.count;
    answers_.push_back(entry);
  }
  return absl::OkStatus();
}

// Checks that the next answer is due, and says where its payload goes.
absl::Status ClientStream::Expect(const ResponseEntry& entry, uint32_t next,
                                  std::vector<iovec>& payload) {
  if (entry.id != next) return ProtocolError("out of order");
  if (entry.count > SliceWindow::kSlots || !IsSent(next + entry.count - 1)) {
    return ProtocolError("an answer to what was not asked");
  }
  if (entry.code != absl::StatusCode::kOk) {
    payload.push_back(
        {.iov_base = ErrorText(answers_.size()), .iov_len = entry.length});
    return absl::OkStatus();
  }
  for (uint32_t i = 0; i < entry.count; ++i) {
    const Slice& slice = window_.Get(next + i);
    const bool read = slice.operation == Operation::kRead;
    if (entry.length != (read ? slice.length : 0)) {
      return ProtocolError("data of the wrong length");
    }
    if (read) {
      payload.push_back({.iov_base = slice.local, .iov_len = slice.length});
    }
  }
  return absl::OkStatus();
}

// Whether a slice and all before it have left. An answer can arrive while the
// sender is still on its way out of the system call, hence the second look.
bool ClientStream::IsSent(uint32_t id) {
  if (window_.IsSent(id)) return true;
  sending_.Take();
  sending_.Pass();
  return window_.IsSent(id);
}

char* ClientStream::ErrorText(size_t answer) {
  if (error_texts_ == nullptr) {
    error_texts_ = std::make_unique<char[]>(kMaxEntries * kMaxErrorTextBytes);
  }
  return error_texts_.get() + answer * kMaxErrorTextBytes;
}

absl::Status ClientStream::OnPayload() {
  receiving_.AssertHeld();
  for (size_t i = 0; i < answers_.size(); ++i) {
    const ResponseEntry& answer = answers_[i];
    for (uint32_t run = 0; run < answer.count; ++run) {
      Slice& slice = window_.Remove();
      Finish(slice, Verdict(i, slice));
    }
  }
  return absl::OkStatus();
}

absl::Status ClientStream::Verdict(size_t index, const Slice& slice) {
  const ResponseEntry& answer = answers_[index];
  const bool read = slice.operation == Operation::kRead;
  if (answer.code != absl::StatusCode::kOk) {
    // ABORTED is for rails that this side has closed.
    const absl::StatusCode code = answer.code == absl::StatusCode::kAborted
                                      ? absl::StatusCode::kInternal
                                      : answer.code;
    // The text is the peer's, and must not forge lines of a log.
    return absl::Status(
        code, absl::StrCat(Name(slice), " was refused by ", options_.name, ": ",
                           absl::Utf8SafeCEscape(absl::string_view(
                               ErrorText(index), answer.length))));
  }
  if (!read || !options_.checksum) return absl::OkStatus();
  if (answer.checked &&
      ExtendCrc32c(0, slice.local, slice.length) == answer.crc32c) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      Name(slice), " over ", options_.name, ": the checksum ",
      answer.checked ? "does not match; the data were changed on the way, or "
                       "in the peer's memory during the transfer"
                     : "is missing from the answer"));
}

void ClientStream::Finish(Slice& slice, absl::Status status) {
  queued_bytes_ -= slice.length;
  CompletionSink& sink = *slice.sink;
  // The slice may be gone after Done; so may this stream's rail, whose Close
  // waits for `unfinished_`, after the next line.
  sink.Done(slice, std::move(status));
  --unfinished_;
}

void ClientStream::BeginPolling() {
  // The loop must not be woken for what the poller is about to fetch.
  if (pollers_++ == 0) {
    loop_->Modify(loop_id_, socket_.get(), EPOLLRDHUP | EPOLLONESHOT);
  }
}

void ClientStream::EndPolling() {
  if (--pollers_ == 0 && unfinished_ > 0) Arm();
}

// Lets the loop take over when something happens. Calls may cross with those of
// BeginPolling: then the loop is woken once for nothing, or a poller is there,
// who arms when he leaves.
void ClientStream::Arm() {
  bool full;
  do {
    full = send_when_writable_;
    uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
    if (full) events |= EPOLLOUT;
    loop_->Modify(loop_id_, socket_.get(), events);
    // Another thread may have filled the socket meanwhile, and have asked for
    // room in it before this call took that back.
  } while (full != send_when_writable_);
}

IoLoop::Outcome ClientStream::OnReady(uint32_t events) {
  const bool hung_up = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (hung_up && window_.empty()) {
    Break(absl::UnavailableError("the peer has closed the connection"));
  }
  // That event would come again at once, until somebody has read so far.
  if (pollers_ > 0 && !hung_up) return IoLoop::Outcome::kLeftTo;
  return Poll() == Progress::kMoved ? IoLoop::Outcome::kMoved
                                    : IoLoop::Outcome::kIdle;
}

void ClientStream::OnRest() {
  if (broken_) return;
  if (pollers_ == 0 && unfinished_ > 0) return Arm();
  // The event that woke the loop was the last one otherwise, and nobody would
  // notice that the peer of an idle connection is gone.
  loop_->Modify(loop_id_, socket_.get(), EPOLLRDHUP | EPOLLONESHOT);
  // That may have undone what somebody has armed meanwhile.
  Watch();
}

void ClientStream::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                            const absl::Status& status) {
  SliceList withdrawn;
  sending_.Take();
  pending_.Append(inbox_.TakeAll());
  SliceList kept;
  while (!pending_.empty()) {
    Slice& slice = pending_.PopFront();
    (matches(slice) ? withdrawn : kept).PushBack(slice);
  }
  pending_.Append(std::move(kept));
  sending_.Pass();
  while (!withdrawn.empty()) Finish(withdrawn.PopFront(), status);
  Send();
  Watch();
}

void ClientStream::Break(const absl::Status& why) {
  // First of all: whoever gets a slice back must find the rail unhealthy, or he
  // would send it over the same one again.
  if (!broken_) on_broken_(why);
  {
    MutexLock lock(mutex_);
    if (broken_) return;
    failure_ = absl::Status(why.code(),
                            absl::StrCat(options_.name, ": ", why.message()));
    broken_ = true;
  }
  // Wakes the loop, and ends a transfer that another thread is about to begin.
  shutdown(socket_.get(), SHUT_RDWR);
  Reap();
}

// Gives everything back, unless another thread holds a baton: it will do so
// when it passes it. After both batons were held with broken_ set, nobody
// touches the socket, or any slice's memory, any more.
void ClientStream::Reap() {
  while (unfinished_ > 0) {
    if (!receiving_.TryTake()) return;
    sending_.Take();
    SliceList slices;
    while (!window_.empty()) slices.PushBack(window_.Remove());
    slices.Append(std::move(pending_));
    slices.Append(inbox_.TakeAll());
    sending_.Pass();
    receiving_.Pass();
    if (slices.empty()) {
      // Another thread is giving them back, unless one has left some here that
      // found the batons taken.
      if (inbox_.empty()) return;
      continue;
    }
    const absl::Status why = failure();
    while (!slices.empty()) Finish(slices.PopFront(), why);
  }
}

void ClientStream::Close(const absl::Status& why) {
  Break(why);
  loop_->Remove(loop_id_, socket_.get());
  while (unfinished_ > 0) {
    Reap();
    sched_yield();
  }
}

absl::Status ClientStream::failure() const {
  MutexLock lock(mutex_);
  return failure_;
}

}  // namespace te::tcp
