#ifndef TE_RDMA_VERBS_SYSTEM_VERBS_H_
#define TE_RDMA_VERBS_SYSTEM_VERBS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "te/rdma/verbs/verbs.h"

namespace te::rdma {

// The verbs of the system's libibverbs, which is loaded now and stays loaded:
// so the same binary starts where there is none. Prepares libibverbs for
// fork() (man 3 ibv_fork_init), unless the kernel copies pinned pages on fork
// by itself: a child must not make the parent's memory move away from under
// the NIC.
//
// NOT_FOUND if the library cannot be loaded, with the loader's words, and
// FAILED_PRECONDITION if it lacks a function that te needs; both say what to
// install. `library` is for tests.
absl::StatusOr<std::shared_ptr<Verbs>> LoadSystemVerbs(
    const std::string& library = "libibverbs.so.1");

}  // namespace te::rdma

#endif  // TE_RDMA_VERBS_SYSTEM_VERBS_H_
