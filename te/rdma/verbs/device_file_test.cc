#include "te/rdma/verbs/device_file.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace te::rdma {
namespace {

TEST(DeviceFileTest, TellsWhyItCannotBeOpened) {
  EXPECT_EQ(OpenError("/dev/null"), 0);
  EXPECT_EQ(OpenError("/dev/no_such_folder/uverbs0"), ENOENT);
  const std::string file = testing::TempDir() + "/uverbs0";
  std::ofstream(file) << "x";
  ASSERT_EQ(chmod(file.c_str(), 0), 0);
  // As somebody to whom permissions apply, which is of a thread.
  std::thread([&] {
    __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const __user_cap_data_struct none[2] = {};
    ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
    EXPECT_EQ(OpenError(file), EACCES);
  }).join();
}

}  // namespace
}  // namespace te::rdma
