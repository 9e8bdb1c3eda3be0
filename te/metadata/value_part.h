#ifndef TE_METADATA_VALUE_PART_H_
#define TE_METADATA_VALUE_PART_H_

#include <stdint.h>

#include <string>

#include "absl/strings/string_view.h"

namespace te {

// A numbered piece of a value; see MetadataStore.
struct ValuePart {
  uint32_t number = 0;
  std::string bytes;

  friend bool operator==(const ValuePart&, const ValuePart&) = default;
};

// The same, borrowed.
struct ValuePartView {
  uint32_t number = 0;
  absl::string_view bytes;
};

}  // namespace te

#endif  // TE_METADATA_VALUE_PART_H_
