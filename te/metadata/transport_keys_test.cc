#include "te/metadata/transport_keys.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::vector<std::pair<std::string, std::string>> Contents(
    const TransportKeys& keys) {
  std::vector<std::pair<std::string, std::string>> contents;
  keys.ForEach([&](absl::string_view transport, absl::string_view key) {
    contents.emplace_back(transport, key);
  });
  return contents;
}

TEST(TransportKeysTest, FindsWhatWasAdded) {
  TransportKeys keys;
  EXPECT_TRUE(keys.empty());
  EXPECT_EQ(keys.Find("rdma"), "");
  EXPECT_THAT(Contents(keys), IsEmpty());
  TE_ASSERT_OK(keys.Add("shm", std::string("\0\xff", 2)));
  TE_ASSERT_OK(keys.Add("a", std::string(TransportKeys::kMaxKeyBytes, 'k')));
  TE_ASSERT_OK(keys.Add("rdma", ""));
  EXPECT_FALSE(keys.empty());
  EXPECT_EQ(keys.Find("shm"), absl::string_view("\0\xff", 2));
  EXPECT_EQ(keys.Find("a").size(), TransportKeys::kMaxKeyBytes);
  EXPECT_EQ(keys.Find("rdma"), "");
  EXPECT_EQ(keys.Find("rdm"), "");
  EXPECT_THAT(Contents(keys),
              ElementsAre(Pair("a", keys.Find("a")), Pair("rdma", ""),
                          Pair("shm", keys.Find("shm"))));
}

TEST(TransportKeysTest, TheOrderOfAddingMakesNoDifference) {
  TransportKeys forth;
  TransportKeys back;
  for (const char* transport : {"a", "b", "c"}) {
    TE_ASSERT_OK(forth.Add(transport, transport));
  }
  for (const char* transport : {"c", "b", "a"}) {
    EXPECT_NE(forth, back);
    TE_ASSERT_OK(back.Add(transport, transport));
  }
  EXPECT_EQ(forth, back);
}

TEST(TransportKeysTest, KeepsTheLimits) {
  TransportKeys keys;
  TE_ASSERT_OK(keys.Add("a", "1"));
  const std::pair<std::string, const char*> names[] = {
      {"", "malformed"},
      {"A", "malformed"},
      {"a b", "malformed"},
      {std::string("a\0", 2), "malformed"},
      {"\xe4", "malformed"},
      {std::string(kMaxTransportNameBytes + 1, 'a'), "malformed"},
      {"a", "two keys"}};
  for (const auto& [name, problem] : names) {
    EXPECT_THAT(keys.Add(name, ""), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr(problem)));
  }
  EXPECT_THAT(
      keys.Add("b", std::string(TransportKeys::kMaxKeyBytes + 1, 'k')),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("limit of 128")));
  for (size_t i = 1; i < TransportKeys::kMaxKeys; ++i) {
    TE_ASSERT_OK(keys.Add(
        absl::StrCat(std::string(kMaxTransportNameBytes - 1, 'z'), i), ""));
  }
  const TransportKeys before = keys;
  EXPECT_THAT(keys.Add("b", ""), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("limit of 4")));
  EXPECT_EQ(keys, before);
}

}  // namespace
}  // namespace te
