#ifndef TE_METADATA_TRANSPORT_KEYS_H_
#define TE_METADATA_TRANSPORT_KEYS_H_

#include <stddef.h>

#include <vector>

#include "absl/base/attributes.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace te {

// Whether a transport may have that name: 1 to kMaxTransportNameBytes
// lower-case letters, digits and '_'.
inline constexpr size_t kMaxTransportNameBytes = 32;
bool IsTransportName(absl::string_view name);

// What the transports of a process told its peers to reach one buffer with:
// opaque bytes by the transport's name. A value type, whose values keep the
// limits. Takes one allocation, or none where there are no keys, since a
// segment may have a million buffers: so the keys stand in one piece, and not
// in a map.
class TransportKeys {
 public:
  static constexpr size_t kMaxKeys = 4;
  static constexpr size_t kMaxKeyBytes = 128;

  // INVALID_ARGUMENT: a malformed or repeated name, a longer key, or one more
  // than there may be.
  absl::Status Add(absl::string_view transport, absl::string_view key);

  bool empty() const { return packed_.empty(); }
  // Empty if there is none. Valid while this value is there and unchanged.
  absl::string_view Find(absl::string_view transport) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND;
  // By name.
  void ForEach(absl::FunctionRef<void(absl::string_view transport,
                                      absl::string_view key)>
                   callback) const;

  friend bool operator==(const TransportKeys&, const TransportKeys&) = default;

 private:
  struct Entry {
    absl::string_view transport;
    absl::string_view key;
    // In packed_.
    size_t end;
  };

  Entry EntryAt(size_t begin) const;

  // Of each, by name: one byte of length and the name, one of length and the
  // key.
  std::vector<char> packed_;
};

}  // namespace te

#endif  // TE_METADATA_TRANSPORT_KEYS_H_
