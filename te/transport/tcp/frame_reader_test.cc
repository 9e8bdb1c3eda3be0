#include "te/transport/tcp/frame_reader.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/frame.h"

namespace te::tcp {
namespace {

using testing::HasSubstr;

// Gives each entry's payload a place of its own.
class CollectingHandler final : public FrameReader::Handler {
 public:
  absl::Status OnFrame(const FrameHeader& header, const std::byte* entries,
                       std::vector<iovec>& payload) override {
    places_.assign(header.entries, {});
    for (uint16_t i = 0; i < header.entries; ++i) {
      auto entry = DecodeResponse(entries + i * kEntryBytes);
      if (!entry.ok()) return entry.status();
      places_[i].resize(entry->length);
      payload.push_back(
          {.iov_base = places_[i].data(), .iov_len = entry->length});
    }
    return absl::OkStatus();
  }
  absl::Status OnPayload() override {
    frames.push_back(places_);
    return absl::OkStatus();
  }

  // The payload of each entry of each frame.
  std::vector<std::vector<std::vector<std::byte>>> frames;

 private:
  std::vector<std::vector<std::byte>> places_;
};

class FrameReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    ours_ = UniqueFd(fds[0]);
    theirs_ = UniqueFd(fds[1]);
  }

  // A frame with an answer of each length, appended to `bytes_`.
  void AddFrame(const std::vector<uint32_t>& lengths,
                absl::StatusCode code = absl::StatusCode::kOk) {
    FrameHeader header = {.kind = FrameKind::kResponses,
                          .entries = static_cast<uint16_t>(lengths.size()),
                          .target = Incarnation({1})};
    std::vector<std::vector<std::byte>> payloads;
    for (const uint32_t length : lengths) {
      header.payload_bytes += length;
      std::vector<std::byte> payload(length);
      for (std::byte& byte : payload) byte = static_cast<std::byte>(random_());
      payloads.push_back(payload);
    }
    AddControl(header, lengths, code);
    for (const auto& payload : payloads) {
      bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    }
    expected_.push_back(payloads);
  }
  void AddControl(const FrameHeader& header,
                  const std::vector<uint32_t>& lengths, absl::StatusCode code) {
    std::vector<std::byte> control(kHeaderBytes + lengths.size() * kEntryBytes);
    Encode(header, control.data());
    for (size_t i = 0; i < lengths.size(); ++i) {
      Encode(ResponseEntry{.code = code, .length = lengths[i]},
             control.data() + kHeaderBytes + i * kEntryBytes);
    }
    bytes_.insert(bytes_.end(), control.begin(), control.end());
  }

  // Feeds all bytes in pieces of at most `most`, reading after each.
  absl::Status Feed(size_t most) {
    for (size_t at = 0; at < bytes_.size();) {
      const size_t part = std::min(1 + random_() % most, bytes_.size() - at);
      const ssize_t sent =
          send(theirs_.get(), bytes_.data() + at, part, MSG_NOSIGNAL);
      if (sent > 0) at += static_cast<size_t>(sent);
      TE_RETURN_IF_ERROR(Read());
    }
    return absl::OkStatus();
  }
  absl::Status Read() {
    bool moved = false;
    return reader_.Read(ours_.get(), handler_, moved);
  }

  UniqueFd ours_;
  UniqueFd theirs_;
  FrameReader reader_;
  CollectingHandler handler_;
  std::mt19937 random_{1};
  std::vector<std::byte> bytes_;
  std::vector<std::vector<std::vector<std::byte>>> expected_;
};

TEST_F(FrameReaderTest, PutsFramesTogetherHoweverTheyArrive) {
  for (const size_t most : {1, 2, 31, 33, 100, 5000, 100'000}) {
    AddFrame({10});
    AddFrame({0});
    AddFrame({1, 0, 70'000, 0, 0, 3});
    AddFrame(std::vector<uint32_t>(kMaxEntries, 0));
    AddFrame(std::vector<uint32_t>(kMaxEntries, 17));
    TE_ASSERT_OK(Feed(most));
    ASSERT_EQ(handler_.frames, expected_) << "pieces of at most " << most;
    EXPECT_FALSE(reader_.in_frame());
    bytes_.clear();
  }
}

// Empty error texts before data, more than one system call has pieces: the
// reader once took its own empty call for the end of the stream.
TEST_F(FrameReaderTest, ManyEmptyPiecesAreNoEnd) {
  std::vector<uint32_t> lengths(kMaxEntries, 0);
  lengths.back() = 100;
  AddFrame(lengths);
  TE_ASSERT_OK(Feed(50));
  EXPECT_EQ(handler_.frames, expected_);
}

TEST_F(FrameReaderTest, PayloadThatDoesNotFitTheHeaderIsRefused) {
  for (const uint64_t announced : {uint64_t{0}, uint64_t{9}, uint64_t{11}}) {
    SetUp();
    reader_ = FrameReader();
    bytes_.clear();
    AddControl({.kind = FrameKind::kResponses,
                .entries = 1,
                .payload_bytes = announced},
               {10}, absl::StatusCode::kOk);
    EXPECT_THAT(Feed(1000),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("payload")));
  }
}

TEST_F(FrameReaderTest, GarbageIsRefused) {
  bytes_.assign(kFrameStartBytes, std::byte{0x5a});
  EXPECT_THAT(Feed(1000), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(FrameReaderTest, AnEndInAFrameIsAnEnd) {
  AddFrame({100});
  bytes_.resize(kFrameStartBytes + 50);
  TE_ASSERT_OK(Feed(10));
  EXPECT_TRUE(reader_.in_frame());
  theirs_.reset();
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(handler_.frames.empty());
}

}  // namespace
}  // namespace te::tcp
