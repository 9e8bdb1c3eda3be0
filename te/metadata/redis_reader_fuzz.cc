// Whatever a server sends, it becomes values within the limits, or errors.

#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_reader.h"
#include "te/metadata/redis_value.h"

namespace {

void Check(const te::StoredValue& value, const te::GetOptions& options) {
  int64_t least = options.first_part;
  for (const te::ValuePart& part : value.parts) {
    CHECK(part.number >= least && part.number < te::MetadataStore::kMaxParts);
    least = int64_t{part.number} + 1;
  }
  CHECK(value.next_part == 0 || value.next_part >= least);
  CHECK_NE(value.version, te::MetadataStore::kAbsent);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  te::RedisReader reader;
  if (!reader
           .Feed(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(data),
                                     size))
           .ok()) {
    return 0;
  }
  for (;;) {
    const absl::StatusOr<te::RedisReply> reply = reader.Next();
    if (!reply.ok() || *reply == nullptr) return 0;
    const absl::StatusOr<std::optional<te::StoredValue>> first =
        te::ReadRedisFirstPart("k", **reply);
    if (first.ok() && first->has_value()) Check(**first, {});
    for (const te::GetOptions& options :
         {te::GetOptions{}, te::GetOptions{.since = 4, .first_part = 3}}) {
      const absl::StatusOr<te::StoredValue> value =
          te::ReadRedisParts("k", **reply, options);
      if (value.ok()) Check(*value, options);
    }
  }
}
