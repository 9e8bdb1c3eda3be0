// What every metadata store promises, as tests. A store's own test registers:
//
//   INSTANTIATE_TEST_SUITE_P(
//       InProcess, MetadataStoreConformance,
//       testing::Values([] { return std::make_unique<InProcessStore>(); }));

#ifndef TE_METADATA_METADATA_STORE_CONFORMANCE_H_
#define TE_METADATA_METADATA_STORE_CONFORMANCE_H_

#include <chrono>
#include <functional>
#include <memory>

#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/metadata/metadata_store.h"

namespace te {

// Makes a store, or a client of one, that has no keys yet.
using MetadataStoreFactory = std::function<std::unique_ptr<MetadataStore>()>;

class MetadataStoreConformance
    : public testing::TestWithParam<MetadataStoreFactory> {
 protected:
  MetadataStoreConformance()
      : store_(GetParam()()),
        deadline_(RealClock().Now() + std::chrono::seconds(30)) {}

  const std::unique_ptr<MetadataStore> store_;
  const MonotonicTime deadline_;  // far away
};

}  // namespace te

#endif  // TE_METADATA_METADATA_STORE_CONFORMANCE_H_
