#include "te/metadata/open_metadata_store.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_store.h"

namespace te {

namespace {

// The only kind of address that there is so far.
absl::StatusOr<RedisAddress> ParseAddress(absl::string_view uri) {
  const size_t end = uri.find("://");
  // Nothing but the scheme is quoted: the rest may hold a password.
  const absl::string_view scheme =
      end == absl::string_view::npos ? "" : uri.substr(0, end);
  if (scheme == "redis" || scheme == "rediss" || scheme == "unix") {
    return RedisAddress::Parse(uri);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown metadata server \"", absl::CHexEscape(scheme.substr(0, 100)),
      "\"; this engine knows: p2p, redis://host[:port], "
      "unix:///path"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMetadataStore(
    absl::string_view uri, MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(const RedisAddress address, ParseAddress(uri));
  TE_ASSIGN_OR_RETURN(std::unique_ptr<MetadataStore> store,
                      RedisStore::Create(address, {}, deadline));
  return store;
}

absl::StatusOr<std::string> DescribeMetadataStore(absl::string_view uri) {
  TE_ASSIGN_OR_RETURN(const RedisAddress address, ParseAddress(uri));
  return address.ToString();
}

}  // namespace te
