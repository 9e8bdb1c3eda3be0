#include "te/topology/pci_address.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

TEST(PciAddressTest, ReadsWhatItPrints) {
  for (const char* text :
       {"0000:00:00.0", "0000:3b:00.1", "ffff:ff:1f.7", "10000:e1:00.0"}) {
    TE_ASSERT_OK_AND_ASSIGN(const PciAddress address, PciAddress::Parse(text));
    EXPECT_EQ(address.ToString(), text);
  }
}

TEST(PciAddressTest, TakesAnAddressWithoutDomain) {
  TE_ASSERT_OK_AND_ASSIGN(const PciAddress address,
                          PciAddress::Parse("3B:02.1"));
  EXPECT_EQ(address.ToString(), "0000:3b:02.1");
}

TEST(PciAddressTest, RefusesAnythingElse) {
  for (const char* text :
       {"", ":", "0000:3b:00", "0000:3b:20.0", "0000:3b:00.8", "0000:3b:00.",
        "0000:100:00.0", "100000000:00:00.0", "0:0:0:0.0", "-1:00:00.0",
        " 3b:00.0", "0x3b:00.0", "3b:00.0 ", "virtio2"}) {
    EXPECT_THAT(PciAddress::Parse(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("is no PCI address")))
        << text;
  }
}

TEST(PciAddressTest, OrdersAsTheBusDoes) {
  TE_ASSERT_OK_AND_ASSIGN(const PciAddress first, PciAddress::Parse("9a:00.0"));
  TE_ASSERT_OK_AND_ASSIGN(const PciAddress second,
                          PciAddress::Parse("9a:00.1"));
  TE_ASSERT_OK_AND_ASSIGN(const PciAddress third,
                          PciAddress::Parse("0001:01:00.0"));
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
}

}  // namespace
}  // namespace te
