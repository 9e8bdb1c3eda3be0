#ifndef TE_GRPC_ROOM_H_
#define TE_GRPC_ROOM_H_

#include "absl/status/status.h"

namespace te {

// Whether the process has the descriptors and threads that gRPC needs for
// another server or channel. gRPC aborts the process when it cannot have them,
// so this is asked before each; nothing can hinder another thread from taking
// them in between. RESOURCE_EXHAUSTED says which limit to raise. Takes less
// than a millisecond. Thread-safe.
absl::Status CheckRoomForGrpc();

}  // namespace te

#endif  // TE_GRPC_ROOM_H_
