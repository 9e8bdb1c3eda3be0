#ifndef TE_CORE_ENGINE_OPTIONS_H_
#define TE_CORE_ENGINE_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/core/rail_scheduler.h"

namespace te {

// Limits and times of an engine. At a limit the caller gets RESOURCE_EXHAUSTED
// with the option's name.
struct EngineOptions {
  // For requests whose batch sets none.
  Duration default_timeout = std::chrono::seconds(30);
  // One attempt at setting up a rail with a peer.
  Duration connect_timeout = std::chrono::seconds(3);
  // Attempts in a row, with growing pauses, before the requests that wait for a
  // peer are given up as UNAVAILABLE.
  int max_connect_attempts = 8;
  // How often a slice is sent at most.
  uint32_t max_slice_attempts = 4;
  // How long Wait polls before it sleeps, and how long at most if it sees that
  // a peer's answers take longer than that; a max_spin below it changes nothing
  // of that. Zero, of `spin`: it never polls.
  Duration spin = std::chrono::microseconds(50);
  Duration max_spin = std::chrono::milliseconds(1);

  // Requests are cut into slices of at most this many bytes, but the last one,
  // which is up to half as long again, and those of requests of a GiB or more.
  // 4 KiB to 32 MiB.
  uint32_t slice_bytes = 256 << 10;
  // Slices are shorter than that where a rail is slow, and where a request is
  // to be spread over several, but no shorter than this, or `slice_bytes` if
  // that is less. From 4 KiB.
  uint32_t min_slice_bytes = 8 << 10;
  // How slices are spread over the rails to a peer, and how much is under way.
  RailScheduler::Options scheduling;
  // Memory for bookkeeping: per slice about 100 bytes, and per request as many.
  // Between two uses a batch keeps its share, max_slices / max_batches of both;
  // Submit of a larger one allocates.
  size_t max_slices = 1 << 20;
  size_t max_batches = 1024;
  size_t max_buffers = 16384;
  size_t max_segments = 4096;
  // Received and not yet taken by the application; senders are told to wait.
  size_t max_notifications = 4096;
  // Threads for reconnecting, as many again for notifying, and for looking up
  // what has changed: fewer dead peers than that do not delay the others.
  int control_threads = 4;

  // INVALID_ARGUMENT names the option that is out of its range.
  absl::Status Validate() const;
};

}  // namespace te

#endif  // TE_CORE_ENGINE_OPTIONS_H_
