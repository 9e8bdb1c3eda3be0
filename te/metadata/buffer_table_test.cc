#include "te/metadata/buffer_table.h"

#include <stddef.h>

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

BufferDescriptor At(uint64_t address) {
  return {.address = address, .length = 1};
}

BufferTable::SharedPage PageOf(std::vector<BufferDescriptor> buffers) {
  return std::make_shared<const BufferTable::Page>(std::move(buffers));
}

std::vector<uint64_t> Addresses(const BufferTable& table) {
  std::vector<uint64_t> addresses;
  for (const BufferDescriptor& buffer : table) {
    addresses.push_back(buffer.address);
  }
  return addresses;
}

TEST(BufferTableTest, ShowsTheBuffersOfAllPages) {
  BufferTable table;
  EXPECT_TRUE(table.empty());
  EXPECT_THAT(Addresses(table), IsEmpty());
  table.SetPage(3, PageOf({At(5), At(6)}));
  table.SetPage(1, PageOf({At(1)}));
  table.SetPage(2, PageOf({}));
  EXPECT_THAT(Addresses(table), ElementsAre(1, 5, 6));
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.page_count(), 4u);
  EXPECT_EQ(table.filled_pages(), 2u);
}

TEST(BufferTableTest, ForgetsEmptyPagesAtTheEnd) {
  BufferTable table;
  table.SetPage(3, PageOf({At(5)}));
  table.SetPage(1, PageOf({At(1)}));
  table.SetPage(3, nullptr);
  EXPECT_EQ(table.page_count(), 2u);
  EXPECT_EQ(table.page(3), nullptr);
  EXPECT_EQ(table.page(100), nullptr);
  BufferTable other;
  other.SetPage(1, PageOf({At(1)}));
  EXPECT_EQ(table, other);
  other.SetPage(1, PageOf({At(2)}));
  EXPECT_NE(table, other);
  // The same buffer in another page.
  EXPECT_NE(table, BufferTable({At(1)}));
}

TEST(BufferTableTest, AListFillsPagesOneByOne) {
  EXPECT_EQ(BufferTable({At(1), At(2)}).page_count(), 1u);
}

TEST(BufferTableTest, CopiesShareWhatDidNotChange) {
  BufferTable table;
  table.SetPage(0, PageOf({At(1)}));
  table.SetPage(1, PageOf({At(2)}));
  BufferTable copy = table;
  copy.SetPage(1, PageOf({At(3)}));
  EXPECT_EQ(copy.page(0), table.page(0));
  EXPECT_THAT(Addresses(table), ElementsAre(1, 2));
  EXPECT_THAT(Addresses(copy), ElementsAre(1, 3));
}

TEST(BufferTableDeathTest, PagesAreBounded) {
  BufferTable table;
  EXPECT_DEATH(table.SetPage(BufferTable::kMaxPages, PageOf({At(1)})), "");
  EXPECT_DEATH(table.SetPage(0, PageOf(std::vector<BufferDescriptor>(
                                    BufferTable::kPageBuffers + 1, At(1)))),
               "");
}

}  // namespace
}  // namespace te
