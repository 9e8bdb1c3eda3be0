#include "te/testing/target_process.h"

#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te {

absl::StatusOr<std::unique_ptr<TargetProcess>> TargetProcess::Start(
    const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {"te/testing/target"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  TE_ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> child,
                      ChildProcess::Start(argv));
  std::unique_ptr<TargetProcess> process(new TargetProcess(std::move(child)));
  TE_ASSIGN_OR_RETURN(const std::string line, process->child_->ReadLine());
  std::istringstream words(line);
  if (!(words >> process->segment_ >> process->address_)) {
    return absl::InternalError(absl::StrCat("the target said: ", line));
  }
  return process;
}

}  // namespace te
