// The stores that metadata_benchmark compares, each with its server and with
// what is the least that the same server and network could do.

#ifndef TE_METADATA_BENCHMARK_BACKEND_H_
#define TE_METADATA_BENCHMARK_BACKEND_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "te/metadata/metadata_store.h"

namespace te {

// CHECKs that everything works. Thread-safe, after the first Connect.
class BenchmarkBackend {
 public:
  virtual ~BenchmarkBackend() = default;

  virtual std::string name() const = 0;
  // A client with connections of its own, where there are any.
  virtual std::shared_ptr<MetadataStore> Connect() = 0;
};

// Each starts its server at the first Connect.
std::unique_ptr<BenchmarkBackend> MakeInProcessBackend();

// A redis-server in a process of its own.
class RedisBackend : public BenchmarkBackend {
 public:
  enum class Command { kSet, kGet };

  // Requests per second of redis-benchmark with so many connections, for values
  // of that size, each connection with so many requests under way.
  virtual double Baseline(Command command, int connections, size_t bytes,
                          int pipeline) = 0;
};
std::unique_ptr<RedisBackend> MakeRedisBackend();

// A metadata server in this process, behind a real connection.
class GrpcBackend : public BenchmarkBackend {
 public:
  // One call of a service that returns what it gets, by a client of the calling
  // thread's own.
  virtual void Echo(const std::string& payload) = 0;
};
std::unique_ptr<GrpcBackend> MakeGrpcBackend();

}  // namespace te

#endif  // TE_METADATA_BENCHMARK_BACKEND_H_
