#include "te/bench/request_failures.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace te::bench {
namespace {

RequestFailure Failure(uint64_t offset, absl::Status status) {
  return {.operation = Operation::kWrite,
          .length = 4096,
          .status = std::move(status),
          .offsets = {offset}};
}

TEST(RequestFailuresTest, TellsOnceWhatDiffersInNumbersAlone) {
  RequestFailures failures;
  for (uint64_t i = 0; i < 16; ++i) {
    failures.Add(Failure(4096 * i,
                         absl::UnavailableError(absl::StrCat(
                             "gone: [0x", absl::Hex(0x7fa0 + i), ", +4096)"))));
  }
  EXPECT_EQ(failures.requests(), 16u);
  EXPECT_EQ(failures.ToString(),
            "\n  WRITE of 4096 bytes at offset 0, 4096, 8192 and 13 more: "
            "UNAVAILABLE: gone: [0x7fa0, +4096)");
}

TEST(RequestFailuresTest, KeepsApartWhatDiffersInWords) {
  RequestFailures failures;
  failures.Add(Failure(0, absl::UnavailableError("peer 1 is gone")));
  failures.Add(Failure(0, absl::UnavailableError("peer 1 was gone")));
  failures.Add(Failure(0, absl::InternalError("peer 1 is gone")));
  EXPECT_EQ(failures.kinds().size(), 3u);
}

TEST(RequestFailuresTest, SumsUpThoseOfSeveralWorkers) {
  RequestFailures one;
  for (const char* text : {"a", "b", "c", "d"}) {
    one.Add(Failure(0, absl::UnavailableError(text)));
  }
  RequestFailures all;
  all.Add(one);
  all.Add(one);
  EXPECT_EQ(all.requests(), 8u);
  EXPECT_EQ(all.ToString(),
            "\n  WRITE of 4096 bytes at offset 0, 0: UNAVAILABLE: a"
            "\n  WRITE of 4096 bytes at offset 0, 0: UNAVAILABLE: b"
            "\n  WRITE of 4096 bytes at offset 0, 0: UNAVAILABLE: c"
            "\n  and 2 more");
}

TEST(RequestFailuresTest, SaysWhyABufferIsGone) {
  EXPECT_EQ(Failure(0, absl::NotFoundError("no buffer")).ToString(),
            "WRITE of 4096 bytes at offset 0: NOT_FOUND: no buffer; the target "
            "has taken its memory back, probably because it was stopped");
}

}  // namespace
}  // namespace te::bench
