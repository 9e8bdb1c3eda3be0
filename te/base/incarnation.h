#ifndef TE_BASE_INCARNATION_H_
#define TE_BASE_INCARNATION_H_

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace te {

// One start of one engine, drawn at random. Two starts never share one, so it
// tells a process from a successor with the same name, address and port. A
// value type; all zero means "none".
class Incarnation {
 public:
  static constexpr size_t kBytes = 16;

  // None.
  Incarnation() = default;
  explicit Incarnation(const std::array<uint8_t, kBytes>& bytes)
      : bytes_(bytes) {}

  // A new one from the kernel's random numbers (getrandom). Fails only where
  // the system call is forbidden. Thread-safe.
  static absl::StatusOr<Incarnation> Random();

  // From exactly kBytes bytes of the wire; INVALID_ARGUMENT for another count.
  static absl::StatusOr<Incarnation> FromBytes(absl::Span<const uint8_t> bytes);

  const std::array<uint8_t, kBytes>& bytes() const { return bytes_; }
  bool IsZero() const { return bytes_ == std::array<uint8_t, kBytes>{}; }

  // 32 hexadecimal digits.
  std::string ToString() const;

  friend bool operator==(const Incarnation&, const Incarnation&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Incarnation& incarnation) {
    return H::combine(std::move(h), incarnation.bytes_);
  }

 private:
  std::array<uint8_t, kBytes> bytes_ = {};
};

}  // namespace te

#endif  // TE_BASE_INCARNATION_H_
