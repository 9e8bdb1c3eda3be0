#include "te/transport/tcp/reply_queue.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/transport/slice.h"
#include "te/transport/test_memory.h"

namespace te::tcp {
namespace {

Reply Write(uint32_t id, absl::StatusCode code = absl::StatusCode::kOk) {
  Reply reply;
  reply.id = id;
  reply.operation = Operation::kWrite;
  reply.code = code;
  return reply;
}
Reply Read(uint32_t id) {
  Reply reply;
  reply.id = id;
  return reply;
}

TEST(ReplyQueueTest, MergesRunsOfAcknowledgements) {
  ReplyQueue queue;
  queue.Push(Write(UINT32_MAX));
  queue.Push(Write(0));
  queue.Push(Write(1));
  queue.Push(Read(2));
  queue.Push(Write(3));
  queue.Push(Write(4, absl::StatusCode::kNotFound));
  queue.Push(Write(5));
  EXPECT_EQ(queue.size(), 5u);
  const Reply run = queue.Pop();
  EXPECT_EQ(run.id, UINT32_MAX);
  EXPECT_EQ(run.count, 3u);
  for (uint32_t id = 2; id <= 5; ++id) {
    const Reply reply = queue.Pop();
    EXPECT_EQ(reply.id, id);
    EXPECT_EQ(reply.count, 1u);
  }
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueueTest, KeepsOrderAndPins) {
  std::array<std::byte, 8> bytes;
  TestMemory memory;
  const uint64_t generation =
      memory.Add(absl::MakeSpan(bytes), TestMemory::Rights::kBoth);
  ReplyQueue queue;
  std::deque<uint32_t> expected;
  std::mt19937 random(1);
  for (uint32_t id = 0; id < 10'000; ++id) {
    Reply reply = Read(id);
    TE_ASSERT_OK_AND_ASSIGN(
        reply.pin,
        memory.Acquire({.address = reinterpret_cast<uint64_t>(bytes.data()),
                        .length = 1,
                        .generation = generation}));
    reply.error_text = std::to_string(id);
    queue.Push(std::move(reply));
    expected.push_back(id);
    while (!expected.empty() && random() % 3 != 0) {
      const Reply popped = queue.Pop();
      EXPECT_EQ(popped.id, expected.front());
      ASSERT_EQ(popped.error_text, std::to_string(expected.front()));
      expected.pop_front();
      ASSERT_EQ(memory.pins(), static_cast<int>(expected.size()) + 1);
    }
    ASSERT_EQ(queue.size(), expected.size());
  }
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(memory.pins(), 0);
}

}  // namespace
}  // namespace te::tcp
