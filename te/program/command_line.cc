#include "te/program/command_line.h"

#include <cstddef>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gflags/gflags.h"
#include "te/base/status_macros.h"
#include "te/program/flag_checks.h"

namespace te::program {
namespace {

struct Argument {
  std::string name;
  std::optional<std::string> value;
};

bool IsBool(const gflags::CommandLineFlagInfo& info) {
  return info.type == "bool";
}

// gflags has flags of its own, such as --version and --flagfile, which do
// nothing, or half of it, without its parser.
bool Find(const std::string& name, gflags::CommandLineFlagInfo& info) {
  if (!gflags::GetCommandLineFlagInfo(name.c_str(), &info)) return false;
  return name == "help" || !absl::StrContains(info.filename, "gflags");
}

absl::string_view WhatIsNeeded(const gflags::CommandLineFlagInfo& info) {
  if (IsBool(info)) return "bool (true|false)";
  return info.type == "double" ? "number" : "whole number";
}

// The flag that an argument names, with the value if that is in it.
absl::StatusOr<Argument> ParseArgument(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "--") && !absl::ConsumePrefix(&rest, "-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no flag; see --help"));
  }
  Argument argument;
  const size_t equals = rest.find('=');
  argument.name = std::string(rest.substr(0, equals));
  if (equals != absl::string_view::npos) {
    argument.value = std::string(rest.substr(equals + 1));
  }
  gflags::CommandLineFlagInfo info;
  if (Find(argument.name, info)) {
    if (IsBool(info) && !argument.value.has_value()) argument.value = "true";
    return argument;
  }
  if (absl::StartsWith(argument.name, "no") && !argument.value.has_value()) {
    const std::string name = argument.name.substr(2);
    if (Find(name, info) && IsBool(info)) {
      return Argument{.name = name, .value = "false"};
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag \"", text.substr(0, text.find('=')), "\"; see --help"));
}

}  // namespace

absl::Status SetFlag(const std::string& name, const std::string& value) {
  gflags::CommandLineFlagInfo info;
  if (!Find(name, info)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name, "; see --help"));
  }
  if (gflags::SetCommandLineOption(name.c_str(), value.c_str()).empty()) {
    return BadFlag(name,
                   absl::StrCat("\"", value, "\" is no ", WhatIsNeeded(info)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::set<std::string>> ParseCommandLine(
    absl::Span<char* const> arguments, std::vector<std::string>* words) {
  std::set<std::string> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (words != nullptr && !absl::StartsWith(arguments[i], "-")) {
      words->emplace_back(arguments[i]);
      continue;
    }
    TE_ASSIGN_OR_RETURN(Argument argument, ParseArgument(arguments[i]));
    if (!argument.value.has_value()) {
      if (++i == arguments.size()) {
        return BadFlag(argument.name, "needs a value");
      }
      argument.value = arguments[i];
    }
    TE_RETURN_IF_ERROR(SetFlag(argument.name, *argument.value));
    given.insert(argument.name);
  }
  return given;
}

}  // namespace te::program
