#include "te/grpc/connecting_channel.h"

#include <chrono>
#include <utility>

#include "grpc/grpc.h"
#include "grpcpp/alarm.h"
#include "te/base/clock.h"
#include "te/grpc/deadline.h"

namespace te {
namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(50);

// The alarm's callback owns the channel, and the alarm. Rejected: a thread that
// waits for the change of state, which somebody would have to own and to join;
// and to wait here, which may be after a call's deadline.
void LetGo(std::shared_ptr<grpc::Channel> channel) {
  if (channel->GetState(false) != GRPC_CHANNEL_CONNECTING) return;
  auto owned = std::make_shared<grpc::Alarm>();
  grpc::Alarm& alarm = *owned;
  alarm.Set(
      ToGrpcDeadline(RealClock().Now() + kBetweenLooks),
      [owned = std::move(owned), channel = std::move(channel)](bool) mutable {
        LetGo(std::move(channel));
        // They own each other.
        owned.reset();
      });
}

}  // namespace

std::shared_ptr<grpc::Channel> KeepWhileConnecting(
    std::shared_ptr<grpc::Channel> channel) {
  grpc::Channel* const same = channel.get();
  return {same, [channel = std::move(channel)](grpc::Channel*) mutable {
            LetGo(std::move(channel));
          }};
}

}  // namespace te
