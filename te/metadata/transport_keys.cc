#include "te/metadata/transport_keys.h"

#include <stddef.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace te {

// A length is one byte.
static_assert(kMaxTransportNameBytes <= 255);
static_assert(TransportKeys::kMaxKeyBytes <= 255);

bool IsTransportName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxTransportNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                  c == '_';
         });
}

TransportKeys::Entry TransportKeys::EntryAt(size_t begin) const {
  const auto text = [&](size_t at) {
    return absl::string_view(packed_.data() + at + 1,
                             static_cast<unsigned char>(packed_[at]));
  };
  const absl::string_view transport = text(begin);
  const size_t middle = begin + 1 + transport.size();
  const absl::string_view key = text(middle);
  return {.transport = transport, .key = key, .end = middle + 1 + key.size()};
}

absl::Status TransportKeys::Add(absl::string_view transport,
                                absl::string_view key) {
  if (!IsTransportName(transport)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "transport name '", absl::CHexEscape(transport.substr(0, 100)),
        "' is malformed"));
  }
  if (key.size() > kMaxKeyBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", key.size(), " bytes of the key for transport ",
                     transport, " are more than the limit of ", kMaxKeyBytes));
  }
  size_t count = 0;
  // Behind those of smaller names.
  size_t place = 0;
  for (size_t at = 0; at < packed_.size(); ++count) {
    const Entry entry = EntryAt(at);
    if (entry.transport == transport) {
      return absl::InvalidArgumentError(absl::StrCat(
          "transport '", transport, "' has two keys for a buffer"));
    }
    at = entry.end;
    if (entry.transport < transport) place = at;
  }
  if (count == kMaxKeys) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than the limit of ", kMaxKeys,
                     " transports have keys for a buffer"));
  }
  std::vector<char> packed;
  packed.reserve(packed_.size() + 2 + transport.size() + key.size());
  const auto append = [&packed](absl::string_view text) {
    packed.push_back(static_cast<char>(text.size()));
    packed.insert(packed.end(), text.begin(), text.end());
  };
  const auto middle = packed_.begin() + static_cast<ptrdiff_t>(place);
  packed.insert(packed.end(), packed_.begin(), middle);
  append(transport);
  append(key);
  packed.insert(packed.end(), middle, packed_.end());
  packed_ = std::move(packed);
  return absl::OkStatus();
}

absl::string_view TransportKeys::Find(absl::string_view transport) const {
  for (size_t at = 0; at < packed_.size();) {
    const Entry entry = EntryAt(at);
    if (entry.transport == transport) return entry.key;
    at = entry.end;
  }
  return {};
}

void TransportKeys::ForEach(
    absl::FunctionRef<void(absl::string_view, absl::string_view)> callback)
    const {
  for (size_t at = 0; at < packed_.size();) {
    const Entry entry = EntryAt(at);
    callback(entry.transport, entry.key);
    at = entry.end;
  }
}

}  // namespace te
