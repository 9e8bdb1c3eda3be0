#ifndef TE_BENCH_NIC_FLAGS_H_
#define TE_BENCH_NIC_FLAGS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "te/bench/flag_values.h"
#include "te/nic_choice.h"
#include "te/topology/machine.h"

namespace te::bench {

// What the flags about RDMA devices mean on `machine`. Reads the file of
// --nic_priority_matrix, and logs which flags have no effect.
//
// INVALID_ARGUMENT names the flag, also where the machine has not what that
// says. Devices of --device_name that do not exist are an error with protocol
// rdma alone: TCP does without, and scripts name devices whatever the protocol.
absl::StatusOr<NicOptions> MakeNicOptions(
    const FlagValues& flags, std::shared_ptr<const Machine> machine);

}  // namespace te::bench

#endif  // TE_BENCH_NIC_FLAGS_H_
