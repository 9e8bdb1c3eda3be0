#ifndef TE_TRANSPORT_TCP_TCP_OPTIONS_H_
#define TE_TRANSPORT_TCP_TCP_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "te/base/clock.h"
#include "te/base/host_port.h"

namespace te {

struct TcpOptions {
  // The IP address to listen on, and no other. Peers are told the same one.
  std::string listen_ip = "127.0.0.1";
  // The default lets the kernel choose.
  PortRange listen_ports;

  // Connections to each peer. More than one helps only where one core cannot
  // fill the network, and only with as many I/O threads at both ends; see
  // docs/performance.md. 1 to 64.
  int streams_per_peer = 1;
  // Threads that serve peers, move the data of all streams to a peer but the
  // first, and of that one while no caller is waiting. 1 to 64.
  int io_threads = 1;
  // How long such a thread looks for more after traffic before it sleeps.
  Duration spin = std::chrono::microseconds(50);

  // Bytes on their way on one stream at most.
  uint64_t window_bytes = 16 << 20;
  // SO_SNDBUF and SO_RCVBUF; 0 leaves them to the kernel's tuning.
  int socket_buffer_bytes = 0;
  // Adds a CRC32C to all data and verifies it at the destination.
  bool checksum = false;

  // A peer that acknowledges nothing for so long is taken for dead, also on an
  // idle connection, there with up to a second more. At least a second, the
  // unit in which the kernel counts.
  Duration peer_timeout = std::chrono::seconds(10);
  // How long a connection may stay without saying whose it is, and a peer that
  // was promised one without connecting.
  Duration hello_timeout = std::chrono::seconds(10);
  // How many connections by peers are served at most.
  int max_inbound_streams = 4096;
};

}  // namespace te

#endif  // TE_TRANSPORT_TCP_TCP_OPTIONS_H_
