#include "te/topology/priority_matrix.h"

#include <stdint.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "te/base/status_macros.h"
#include "te/topology/device_name.h"

namespace te {
namespace {

using Json = nlohmann::ordered_json;

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "the NIC priority matrix ", what,
      R"(. It has the form {"cpu:0": [["mlx5_0"], ["mlx5_1"]]}: for each )"
      "location the preferred NICs and the fallback ones"));
}

absl::Status CheckPreference(MemoryLocation location,
                             const NicPreference& preference) {
  std::vector<std::string> names = preference.preferred;
  names.insert(names.end(), preference.fallback.begin(),
               preference.fallback.end());
  const std::string where = location.ToString();
  if (names.empty()) return Invalid(absl::StrCat("has no NIC for ", where));
  if (names.size() > PriorityMatrix::kMaxNics) {
    return Invalid(absl::StrCat("has more than ", PriorityMatrix::kMaxNics,
                                " NICs for ", where));
  }
  for (const std::string& name : names) {
    if (!IsDeviceName(name)) {
      return Invalid(absl::StrCat("has '",
                                  absl::CHexEscape(name.substr(0, 100)),
                                  "' for ", where, ", which is no device"));
    }
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return absl::OkStatus();
  return Invalid(absl::StrCat("has ", *twice, " more than once for ", where));
}

// All NICs: those that some location prefers, then the others.
NicPreference Everything(const PriorityMatrix::Preferences& preferences) {
  NicPreference all;
  std::set<std::string> known;
  const auto add = [&](const std::vector<std::string>& from,
                       std::vector<std::string>& to) {
    for (const std::string& name : from) {
      if (known.insert(name).second) to.push_back(name);
    }
  };
  for (const auto& [location, each] : preferences) {
    add(each.preferred, all.preferred);
  }
  for (const auto& [location, each] : preferences) {
    add(each.fallback, all.fallback);
  }
  return all;
}

absl::StatusOr<std::vector<std::string>> ReadNames(absl::string_view where,
                                                   const Json& json) {
  if (!json.is_array()) {
    return Invalid(absl::StrCat("has no list of NICs for ", where));
  }
  std::vector<std::string> names;
  for (const Json& name : json) {
    if (!name.is_string()) {
      return Invalid(absl::StrCat("has for ", where,
                                  " something that is no name of a NIC"));
    }
    names.push_back(name.get<std::string>());
  }
  return names;
}

absl::StatusOr<NicPreference> ReadPreference(absl::string_view where,
                                             const Json& json) {
  NicPreference preference;
  if (json.is_array() && json.size() == 2) {
    TE_ASSIGN_OR_RETURN(preference.preferred, ReadNames(where, json[0]));
    TE_ASSIGN_OR_RETURN(preference.fallback, ReadNames(where, json[1]));
    return preference;
  }
  if (!json.is_object()) {
    return Invalid(absl::StrCat("has for ", where, " no list of two lists"));
  }
  for (const auto& [key, names] : json.items()) {
    if (key != "preferred" && key != "fallback") {
      return Invalid(absl::StrCat("has for ", where, " the unknown key '",
                                  absl::CHexEscape(key.substr(0, 100)), "'"));
    }
    TE_ASSIGN_OR_RETURN(
        (key == "preferred" ? preference.preferred : preference.fallback),
        ReadNames(where, names));
  }
  return preference;
}

// nlohmann's parser keeps the last of several equal keys.
absl::StatusOr<Json> ParseJson(absl::string_view text) {
  std::vector<std::set<std::string>> keys;
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto key = parsed.get<std::string>();
      if (!keys.back().insert(key).second) twice = key;
    }
    return true;
  };
  Json json = Json::parse(text.begin(), text.end(), watch,
                          /*allow_exceptions=*/false);
  if (json.is_discarded()) return Invalid("is no JSON");
  if (!json.is_object()) return Invalid("is no JSON object");
  if (!twice.empty()) {
    return Invalid(absl::StrCat("has '", absl::CHexEscape(twice.substr(0, 100)),
                                "' more than once"));
  }
  return json;
}

}  // namespace

absl::StatusOr<PriorityMatrix> PriorityMatrix::Create(Preferences preferences) {
  if (preferences.size() > kMaxLocations) {
    return Invalid(absl::StrCat("has more than ", kMaxLocations, " locations"));
  }
  for (const auto& [location, preference] : preferences) {
    TE_RETURN_IF_ERROR(CheckPreference(location, preference));
  }
  const NicPreference all = Everything(preferences);
  if (all.preferred.size() + all.fallback.size() > kMaxDistinctNics) {
    return Invalid(
        absl::StrCat("has more than ", kMaxDistinctNics, " different NICs"));
  }
  PriorityMatrix matrix;
  matrix.preferences_ = std::move(preferences);
  std::map<std::string, uint16_t> known;
  const auto any = matrix.preferences_.find(MemoryLocation());
  matrix.rows_[0] = matrix.MakeRow(
      any != matrix.preferences_.end() ? any->second : all, known);
  for (const auto& [location, preference] : matrix.preferences_) {
    if (location.kind() == MemoryLocation::Kind::kAny) continue;
    std::vector<uint16_t>& rows = location.kind() == MemoryLocation::Kind::kCpu
                                      ? matrix.cpu_rows_
                                      : matrix.cuda_rows_;
    rows.resize(std::max<size_t>(rows.size(), location.index() + 1), 0);
    rows[location.index()] = static_cast<uint16_t>(matrix.rows_.size());
    matrix.rows_.push_back(matrix.MakeRow(preference, known));
  }
  return matrix;
}

PriorityMatrix::Row PriorityMatrix::MakeRow(
    const NicPreference& preference, std::map<std::string, uint16_t>& known) {
  Row row;
  row.preferred_ = preference.preferred.size();
  for (const auto* names : {&preference.preferred, &preference.fallback}) {
    for (const std::string& name : *names) {
      const auto [entry, added] =
          known.try_emplace(name, static_cast<uint16_t>(nics_.size()));
      if (added) nics_.push_back(name);
      row.nics_.push_back(entry->second);
    }
  }
  return row;
}

absl::StatusOr<PriorityMatrix> PriorityMatrix::FromJson(
    absl::string_view json) {
  if (json.size() > kMaxJsonBytes) {
    return Invalid(absl::StrCat("has more than ", kMaxJsonBytes, " bytes"));
  }
  TE_ASSIGN_OR_RETURN(const Json parsed, ParseJson(json));
  if (parsed.empty()) return Invalid("is empty");
  Preferences preferences;
  for (const auto& [key, value] : parsed.items()) {
    const absl::StatusOr<MemoryLocation> location = MemoryLocation::Parse(key);
    if (!location.ok()) {
      return Invalid(absl::StrCat("has an ", location.status().message()));
    }
    TE_ASSIGN_OR_RETURN(preferences[*location], ReadPreference(key, value));
  }
  // Two spellings of one location, as cpu:1 and cpu:01.
  if (preferences.size() != parsed.size()) {
    return Invalid("has a location more than once");
  }
  return Create(std::move(preferences));
}

std::string PriorityMatrix::ToJson() const {
  Json json = Json::object();
  for (const auto& [location, preference] : preferences_) {
    // Not {a, b}: with two names in each, nlohmann takes that for an object.
    json[location.ToString()] =
        Json::array({Json(preference.preferred), Json(preference.fallback)});
  }
  return json.dump();
}

}  // namespace te
