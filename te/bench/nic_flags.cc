#include "te/bench/nic_flags.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/program/flag_checks.h"
#include "te/program/name_list.h"
#include "te/program/text_file.h"
#include "te/topology/nic_lookup.h"
#include "te/topology/priority_matrix.h"

namespace te::bench {
namespace {

// What a flag names and the machine has not is a wrong flag too.
absl::Status WithFlag(absl::string_view flag, const absl::Status& status) {
  return absl::IsNotFound(status) ? program::BadFlag(flag, status.message())
                                  : program::WithFlag(flag, status);
}

// `options` if they can be followed; otherwise it is because of the flag.
absl::StatusOr<NicOptions> Checked(absl::string_view flag, NicOptions options) {
  const absl::Status status = ChooseNics(options).status();
  if (!status.ok()) return WithFlag(flag, status);
  return options;
}

// The matrix itself where it is none of a file.
absl::StatusOr<std::string> MatrixText(const std::string& flag) {
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(flag), "{")) {
    return flag;
  }
  return program::ReadTextFile(flag, PriorityMatrix::kMaxJsonBytes);
}

// Mostly of a script whose variables are empty.
absl::Status OnlyEmptyNames(absl::string_view device_names) {
  return program::BadFlag(
      "device_name",
      absl::StrCat("'", device_names,
                   "' has an empty name in it, and no other; write the devices "
                   "with commas between them, or leave the flag out"));
}

// Those of --device_name that exist, by the devices' own names. With protocol
// rdma they all must.
absl::StatusOr<std::vector<std::string>> KnownDevices(const FlagValues& flags,
                                                      const Machine& machine) {
  const std::vector<std::string> names =
      program::ParseNameList(flags.device_name);
  if (names.empty() && !flags.device_name.empty()) {
    const absl::Status status = OnlyEmptyNames(flags.device_name);
    if (flags.protocol == "rdma") return status;
    LOG(WARNING) << status.message() << ". Protocol " << flags.protocol
                 << " goes on without any";
  }
  std::vector<std::string> known;
  for (const std::string& name : names) {
    const absl::StatusOr<const Nic*> nic = FindNic(machine, name);
    if (!nic.ok() && flags.protocol == "rdma") {
      return WithFlag("device_name", nic.status());
    }
    if (!nic.ok()) {
      LOG(WARNING) << "--device_name: " << nic.status().message()
                   << ". Protocol " << flags.protocol << " goes on without it";
    } else if (std::find(known.begin(), known.end(), (*nic)->name) ==
               known.end()) {
      known.push_back((*nic)->name);
    }
  }
  return known;
}

// Where neither flags nor discovery name a device.
absl::Status CheckAnyNamed(const FlagValues& flags) {
  if (flags.protocol != "rdma" || flags.auto_discovery ||
      !flags.device_name.empty()) {
    return absl::OkStatus();
  }
  return program::BadFlag(
      "device_name",
      "protocol rdma needs it where --noauto_discovery leaves the choice to "
      "it");
}

// Which of the flags about devices are given beside each other in vain.
absl::Status CheckExcluded(const FlagValues& flags, const Machine& machine,
                           const std::vector<std::string>& excluded) {
  if (!excluded.empty() && !flags.auto_discovery) {
    return program::BadFlag(
        "exclude_device_name",
        "goes with --auto_discovery alone; without it only the devices of "
        "--device_name are used");
  }
  for (const std::string& name : excluded) {
    const absl::Status found = FindNic(machine, name).status();
    if (!found.ok()) return WithFlag("exclude_device_name", found);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NicOptions> MakeNicOptions(
    const FlagValues& flags, std::shared_ptr<const Machine> machine) {
  // The same for the engine and for the log.
  NicOptions options = {.spread = static_cast<uint32_t>(getpid()),
                        .machine = std::move(machine)};
  if (!flags.nic_priority_matrix.empty()) {
    absl::StatusOr<std::string> matrix = MatrixText(flags.nic_priority_matrix);
    if (!matrix.ok()) return WithFlag("nic_priority_matrix", matrix.status());
    options.priority_matrix = *std::move(matrix);
    if (!flags.device_name.empty() || !flags.exclude_device_name.empty()) {
      LOG(WARNING) << "--device_name and --exclude_device_name have no effect "
                      "beside --nic_priority_matrix";
    }
    return Checked("nic_priority_matrix", std::move(options));
  }
  TE_RETURN_IF_ERROR(CheckAnyNamed(flags));
  options.denied = program::ParseNameList(flags.exclude_device_name);
  TE_RETURN_IF_ERROR(CheckExcluded(flags, *options.machine, options.denied));
  TE_ASSIGN_OR_RETURN(options.allowed, KnownDevices(flags, *options.machine));
  options.by_distance = flags.auto_discovery;
  if (!flags.device_name.empty() && options.allowed.empty()) {
    // Nothing, rather than all, where none of those that were named exists.
    options.by_distance = false;
    options.denied.clear();
  }
  return Checked("device_name", std::move(options));
}

}  // namespace te::bench
