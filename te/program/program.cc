#include "te/program/program.h"

#include <csignal>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "gflags/gflags.h"
#include "te/base/status_macros.h"
#include "te/program/command_line.h"
#include "te/program/exit_status.h"
#include "te/program/flag_help.h"
#include "te/program/standard_streams.h"

DECLARE_bool(help);

namespace te::program {
namespace {

std::string HelpText(const Description& program) {
  std::string text = absl::StrCat(program.introduction, "\nFlags:\n");
  for (const char* flag : program.flags) {
    absl::StrAppend(&text, DescribeFlag(flag, program.source));
  }
  return text;
}

absl::Status ParseAndWork(const Description& program,
                          absl::Span<char* const> arguments,
                          std::vector<std::string>* words,
                          const std::function<absl::Status()>& work) {
  TE_RETURN_IF_ERROR(ParseCommandLine(arguments.subspan(1), words).status());
  if (!FLAGS_help) return work();
  std::cout << HelpText(program);
  return absl::OkStatus();
}

}  // namespace

int Run(const Description& program, absl::Span<char* const> arguments,
        Work work) {
  return RunWork(program.name, [&] {
    return ParseAndWork(program, arguments, nullptr, work);
  });
}

int Run(const Description& program, absl::Span<char* const> arguments,
        WorkWithWords work) {
  std::vector<std::string> words;
  return RunWork(program.name, [&] {
    return ParseAndWork(program, arguments, &words,
                        [&] { return work(words); });
  });
}

int RunWork(const char* name, const std::function<absl::Status()>& work) {
  OccupyStandardStreams();
  // A file beyond the limit of this process (ulimit -f) is an error like
  // others.
  std::signal(SIGXFSZ, SIG_IGN);
  absl::Status status = work();
  status.Update(CheckWritten(std::cout));
  if (!status.ok()) {
    // In one piece, beside what other processes print.
    std::cerr << absl::StrCat(name, ": ", status.message(), "\n");
  }
  return ExitStatus(status);
}

}  // namespace te::program
