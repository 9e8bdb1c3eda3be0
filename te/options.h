#ifndef TE_OPTIONS_H_
#define TE_OPTIONS_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "te/base/clock.h"
#include "te/core/engine_options.h"
#include "te/metadata/metadata_store.h"
#include "te/nic_choice.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/verbs/verbs.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/tcp/tcp_options.h"

namespace te {

// All settings of an engine. Nothing else is read: no flags, no environment.
struct Options {
  // Where this engine listens, and what its peers are told: "host:port",
  // "host:first-last" (the first free port), or "host" (any free port), where
  // host is an address of this host, a name that resolves to one (not to
  // loopback, unless it is "localhost"), or the name of an interface; IPv6
  // addresses with a port stand in brackets. Empty takes the address that suits
  // peers on other hosts best: that from which this host reaches the metadata
  // server, if there is one; never one of a container network.
  std::string local_server_name;

  // How segments are found. "p2p": by the peer's own "host:port", without any
  // service. Otherwise the address of a store, as in docs/metadata.md:
  // "redis://host", "grpc://host:port". Also where a metadata_store is, if
  // there is one: then it only bears on the choice of the address above.
  std::string metadata_server = "p2p";
  // A store that this process provides, for example an InProcessStore that
  // several engines share.
  std::shared_ptr<MetadataStore> metadata_store;
  // The name under which the store shows this engine's segment. Empty: the
  // "host:port" that peers are told. Without a store it must be empty.
  std::string segment_name;
  // After so long without a sign of life the store drops the entry of an
  // engine. Engines renew it three times as often. 1 second to a day.
  Duration metadata_lease = std::chrono::seconds(30);

  // Which NICs serve which memory. Peers are told, and te_segment shows it.
  NicOptions nics;

  // Which transports to use: "shm", "rdma" or "tcp", and no other one, or
  // "auto": for each peer the first of these three that leads there, the log
  // saying why if RDMA or, to a process of this host, shared memory does not.
  std::string protocol = "auto";
  // Which of them "auto" leaves out.
  std::vector<std::string> forbidden_protocols;
  // Which of them "auto" tries first, in this order, whatever is faster.
  std::vector<std::string> preferred_protocols;
  // The NICs are those of `nics`.
  RdmaOptions rdma;
  // In place of the system's libibverbs: emulated devices, for tests.
  std::shared_ptr<rdma::Verbs> verbs;
  ShmOptions shm;
  // `listen_ip` is ignored: data go where control goes.
  TcpOptions tcp;

  EngineOptions engine;
};

}  // namespace te

#endif  // TE_OPTIONS_H_
