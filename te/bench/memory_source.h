#ifndef TE_BENCH_MEMORY_SOURCE_H_
#define TE_BENCH_MEMORY_SOURCE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace te::bench {

// Where the memory that is transferred comes from, as --memory says.
enum class MemorySource : uint8_t {
  // The program maps it, and registers it with the engine.
  kUser,
  // The engine allocates it.
  kEngine,
};

// The value of the flag.
inline absl::string_view MemorySourceName(MemorySource source) {
  return source == MemorySource::kUser ? "user" : "engine";
}

}  // namespace te::bench

#endif  // TE_BENCH_MEMORY_SOURCE_H_
