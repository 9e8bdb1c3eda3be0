#ifndef TE_METADATA_REDIS_SERVER_PROCESS_H_
#define TE_METADATA_REDIS_SERVER_PROCESS_H_

#include <sys/types.h>

#include <string>

#include "te/metadata/redis_address.h"

namespace te {

// A real redis-server of this test's own, on a unix socket and on a free port
// of 127.0.0.1, with nothing in it. Needs the Debian package redis-tools.
// CHECKs that it starts. Thread-compatible.
class RedisServerProcess {
 public:
  // `password` empty: everybody may come in.
  explicit RedisServerProcess(const std::string& password = "");
  ~RedisServerProcess();
  RedisServerProcess(const RedisServerProcess&) = delete;
  RedisServerProcess& operator=(const RedisServerProcess&) = delete;

  RedisAddress tcp() const;
  RedisAddress unix_socket() const;

  // kill -9; and back, empty, at the same addresses.
  void Kill();
  void Restart();
  // SIGSTOP and SIGCONT.
  void Stop();
  void Continue();

 private:
  void Start(uint16_t port);
  bool IsUp() const;

  const std::string password_;
  std::string directory_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace te

#endif  // TE_METADATA_REDIS_SERVER_PROCESS_H_
