#ifndef TE_TRANSPORT_TCP_SERVER_STREAM_H_
#define TE_TRANSPORT_TCP_SERVER_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/incarnation.h"
#include "te/base/unique_fd.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/frame_reader.h"
#include "te/transport/tcp/frame_writer.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/tcp/reply_queue.h"

namespace te::tcp {

// The target's end of one connection: checks each request against the exposed
// memory, moves its data between there and the socket, and answers in order.
//
// Used on its loop's thread, and by whoever has removed it from the loop.
class ServerStream final : public IoLoop::Client,
                           public std::enable_shared_from_this<ServerStream>,
                           private FrameReader::Handler,
                           private FrameWriter::Source {
 public:
  class Host {
   public:
    // The peer has said Hello. Returns which engine it is, or why it may not
    // stay.
    virtual absl::StatusOr<Incarnation> Admit(const HelloEntry& hello,
                                              ServerStream& stream) = 0;
    // The stream has released all memory and will not move again.
    virtual void OnEnd(ServerStream& stream, const absl::Status& why) = 0;

   protected:
    ~Host() = default;
  };

  // `socket` is a configured, non-blocking one. The others outlive the stream.
  ServerStream(UniqueFd socket, const Incarnation& self, ExposedMemory& memory,
               IoLoop& loop, Host& host);

  // To be called once, before all else.
  absl::Status Start();

  // Takes it off the loop and lets go of all memory; when it returns, no access
  // of this peer is under way. Not from one of its own callbacks.
  void Close();
  // The same from OnEnd, on the loop's thread.
  void Leave();

  // Both ends of the socket, for errors.
  const std::string& name() const { return name_; }

 private:
  IoLoop::Outcome OnReady(uint32_t events) override;

  absl::Status OnFrame(const FrameHeader& header, const std::byte* entries,
                       std::vector<iovec>& payload) override;
  absl::Status OnPayload() override;
  absl::Status OnHello(const FrameHeader& header, const std::byte* entries);
  absl::Status OnRequest(const RequestEntry& request,
                         std::vector<iovec>& payload);
  void Discard(uint32_t length, std::vector<iovec>& payload);
  void Verify(Reply& reply) const;

  bool NextFrame(OutgoingFrame& frame) override;
  void OnSent() override;
  void AddReply(Reply reply, OutgoingFrame& frame);

  absl::Status Move(bool& moved);
  void WatchForRoom(bool blocked);
  void ReleaseMemory();

  const UniqueFd socket_;
  const std::string name_;
  const Incarnation self_;
  ExposedMemory& memory_;
  IoLoop& loop_;
  Host& host_;
  IoLoop::Id loop_id_ = 0;

  // None before the Hello.
  Incarnation client_;
  bool welcome_due_ = false;
  bool ended_ = false;
  bool watching_for_room_ = false;
  uint32_t next_id_ = 0;

  FrameReader reader_;
  // The requests of the frame whose payload is coming in.
  std::vector<Reply> incoming_;
  // Made for the first WRITE that is refused.
  std::unique_ptr<std::byte[]> discard_;
  ReplyQueue replies_;
  // The replies of the frame that is going out.
  std::vector<Reply> outgoing_;
  FrameWriter writer_;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_SERVER_STREAM_H_
