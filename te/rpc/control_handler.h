#ifndef TE_RPC_CONTROL_HANDLER_H_
#define TE_RPC_CONTROL_HANDLER_H_

#include <stdint.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/metadata/segment_parts.h"

namespace te {

struct ControlHandshake {
  std::string transport;  // which one of ours it is for; not empty
  Incarnation client;     // who asks; not zero
  std::string payload;    // opaque, of any size up to the message limit
};

// A notification as it travels. All of it comes from the peer.
struct ControlNotification {
  Incarnation sender;       // not zero
  std::string sender_name;  // a valid segment name
  // From 1; grows with each notification of one sender to one target, and only
  // the last one is repeated, so that a repeated request is recognised.
  uint64_t sequence = 0;
  std::string name;     // any bytes
  std::string message;  // any bytes

  friend bool operator==(const ControlNotification&,
                         const ControlNotification&) = default;
};

// What an engine does with its peers' requests. The control server has checked
// that they are meant for this incarnation. Called by several of its threads at
// once, and no more when ControlServer::Shutdown has returned. Implementations
// return by the deadline: each call holds one of few threads. Errors go to the
// peer with code and text.
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;

  // The segment as it is now.
  virtual absl::StatusOr<VersionedSegment> GetSegment(
      MonotonicTime deadline) = 0;

  // Gives the payload to the transport and returns what that answers.
  virtual absl::StatusOr<std::string> Handshake(
      const ControlHandshake& handshake, MonotonicTime deadline) = 0;

  // Takes a notification. OK promises that it will be seen.
  virtual absl::Status Notify(const ControlNotification& notification,
                              MonotonicTime deadline) = 0;
};

}  // namespace te

#endif  // TE_RPC_CONTROL_HANDLER_H_
