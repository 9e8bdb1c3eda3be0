#include "te/core/control_link.h"

#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "te/base/status_macros.h"
#include "te/rpc/control_client.h"
#include "te/rpc/control_handler.h"

namespace te {
namespace {

// Asks the peer at each of its addresses until one answers.
class RpcControlLink final : public ControlLink {
 public:
  RpcControlLink(const Incarnation& self, const std::string& name,
                 const Incarnation& peer,
                 std::vector<std::unique_ptr<ControlClient>> clients)
      : self_(self), name_(name), peer_(peer), clients_(std::move(clients)) {}

  absl::StatusOr<std::string> Exchange(absl::string_view transport,
                                       absl::string_view request,
                                       MonotonicTime deadline) override {
    const ControlHandshake handshake = {.transport = std::string(transport),
                                        .client = self_,
                                        .payload = std::string(request)};
    absl::StatusOr<std::string> answer;
    for (const auto& client : clients_) {
      answer = client->Handshake(peer_, handshake, deadline);
      if (!absl::IsUnavailable(answer.status())) break;
    }
    return answer;
  }

  absl::Status Notify(uint64_t sequence, const Notification& notification,
                      MonotonicTime deadline) override {
    const ControlNotification message = {.sender = self_,
                                         .sender_name = name_,
                                         .sequence = sequence,
                                         .name = notification.name,
                                         .message = notification.message};
    absl::Status status;
    for (const auto& client : clients_) {
      status = client->Notify(peer_, message, deadline);
      if (!absl::IsUnavailable(status)) break;
    }
    return status;
  }

 private:
  const Incarnation self_;
  const std::string& name_;
  const Incarnation peer_;
  // At least one.
  const std::vector<std::unique_ptr<ControlClient>> clients_;
};

}  // namespace

ControlLinkFactory ControlLinksOf(const Incarnation& self,
                                  const std::string& name) {
  return [self, &name](const SegmentDescriptor& descriptor)
             -> absl::StatusOr<std::unique_ptr<ControlLink>> {
    std::vector<std::unique_ptr<ControlClient>> clients;
    for (const std::string& address : descriptor.control_addresses) {
      TE_ASSIGN_OR_RETURN(std::unique_ptr<ControlClient> client,
                          ControlClient::Create(address));
      clients.push_back(std::move(client));
    }
    if (clients.empty()) {
      return absl::DataLossError(
          "the descriptor names no control address of the peer");
    }
    return std::make_unique<RpcControlLink>(self, name, descriptor.incarnation,
                                            std::move(clients));
  };
}

}  // namespace te
