#ifndef TE_TRANSPORT_TCP_REPLY_QUEUE_H_
#define TE_TRANSPORT_TCP_REPLY_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/slice.h"

namespace te::tcp {

// The answer to a request, or to a run of WRITEs that succeeded.
struct Reply {
  uint32_t id = 0;
  uint32_t count = 1;
  Operation operation = Operation::kRead;
  uint32_t length = 0;
  bool checked = false;
  uint32_t crc32c = 0;
  // Holds the memory until a WRITE's data are in it, or a READ's data have
  // left.
  ExposedMemory::Pin pin;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string error_text;

  bool IsPlainAcknowledgement() const {
    return operation == Operation::kWrite && code == absl::StatusCode::kOk;
  }
};

// Replies that wait to be sent. Keeps its storage, so that it does not allocate
// once it has reached its size. Thread-compatible.
class ReplyQueue {
 public:
  bool empty() const { return head_ == replies_.size(); }
  size_t size() const { return replies_.size() - head_; }

  // Acknowledgements of consecutive WRITEs become one.
  void Push(Reply reply) {
    if (!empty() && reply.IsPlainAcknowledgement()) {
      Reply& last = replies_.back();
      if (last.IsPlainAcknowledgement() && last.id + last.count == reply.id) {
        last.count += reply.count;
        return;
      }
    }
    replies_.push_back(std::move(reply));
  }

  Reply Pop() {
    Reply reply = std::move(replies_[head_++]);
    // Moves what is left to the front once that is the smaller half.
    if (head_ * 2 >= replies_.size()) {
      replies_.erase(replies_.begin(),
                     replies_.begin() + static_cast<ptrdiff_t>(head_));
      head_ = 0;
    }
    return reply;
  }

  void Clear() {
    replies_.clear();
    head_ = 0;
  }

 private:
  std::vector<Reply> replies_;
  size_t head_ = 0;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_REPLY_QUEUE_H_
