#include "te/metadata/benchmark_backend.h"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/grpc/channel.h"
#include "te/grpc/echo.grpc.pb.h"
#include "te/grpc/server.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/grpc_store.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_service.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_server_process.h"
#include "te/metadata/redis_store.h"

namespace te {
namespace {

MonotonicTime Soon() { return RealClock().Now() + std::chrono::minutes(1); }

InProcessStoreOptions Roomy() {
  return {.max_keys = 1'000'000, .max_bytes = size_t{4} << 30};
}

class InProcess final : public BenchmarkBackend {
 public:
  std::string name() const override { return "in_process"; }
  std::shared_ptr<MetadataStore> Connect() override { return store_; }

 private:
  const std::shared_ptr<InProcessStore> store_ =
      std::make_shared<InProcessStore>(Roomy());
};

class Redis final : public RedisBackend {
 public:
  std::string name() const override { return "redis"; }

  std::shared_ptr<MetadataStore> Connect() override {
    auto store = RedisStore::Create(server().tcp(), {}, Soon());
    CHECK(store.ok()) << store.status();
    return *std::move(store);
  }

  double Baseline(Command command, int connections, size_t bytes,
                  int pipeline) override {
    constexpr int kRequestsPerConnection = 20'000;
    const std::string run = absl::StrCat(
        "redis-benchmark --csv -h 127.0.0.1 -p ", server().tcp().port, " -t ",
        command == Command::kSet ? "set" : "get", " -r 1 -d ", bytes, " -c ",
        connections, " -P ", pipeline, " -n ",
        connections * pipeline * kRequestsPerConnection, " 2>/dev/null");
    const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(run.c_str(), "r"),
                                                       pclose);
    PCHECK(output != nullptr);
    std::string text;
    char piece[4096];
    while (const size_t got = fread(piece, 1, sizeof(piece), output.get())) {
      text.append(piece, got);
    }
    // "test","rps",... and a line such as "SET","81300.81","0.104",...
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    double rate = 0;
    CHECK(lines.size() >= 2 &&
          absl::SimpleAtod(Field(lines[lines.size() - 2], 1), &rate))
        << "redis-benchmark says: " << text;
    return rate;
  }

 private:
  static std::string Field(absl::string_view line, size_t index) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    CHECK_LT(index, fields.size()) << line;
    const std::string& quoted = fields[index];
    return quoted.size() < 2 ? "" : quoted.substr(1, quoted.size() - 2);
  }
  RedisServerProcess& server() {
    if (server_ == nullptr) server_ = std::make_unique<RedisServerProcess>();
    return *server_;
  }

  std::unique_ptr<RedisServerProcess> server_;
};

class EchoService final : public proto::Echo::Service {
 public:
  grpc::Status Send(grpc::ServerContext* /*context*/,
                    const proto::EchoMessage* request,
                    proto::EchoMessage* response) override {
    *response = *request;
    return grpc::Status::OK;
  }
};

class Grpc final : public GrpcBackend {
 public:
  std::string name() const override { return "grpc"; }

  std::shared_ptr<MetadataStore> Connect() override {
    const SocketAddress& bound = server().bound_address();
    GrpcAddress address;
    address.servers = {HostPort{.host = bound.ip(), .port = bound.port()}};
    auto store = GrpcStore::Create(address, Soon());
    CHECK(store.ok()) << store.status();
    return *std::move(store);
  }

  void Echo(const std::string& payload) override {
    const SocketAddress& bound = server().bound_address();
    thread_local GrpcChannel channel(
        "echo", {HostPort{.host = bound.ip(), .port = bound.port()}});
    proto::EchoMessage request;
    request.set_payload(payload);
    proto::EchoMessage response;
    const absl::Status status =
        channel.Call("Send", Soon(),
                     [&](const std::shared_ptr<grpc::Channel>& connection,
                         grpc::ClientContext& context) {
                       return proto::Echo::NewStub(connection)
                           ->Send(&context, request, &response);
                     });
    CHECK(status.ok()) << status;
  }

 private:
  GrpcServer& server() {
    if (server_ != nullptr) return *server_;
    auto server = GrpcServer::Create(
        {.name = "metadata",
         .address = SocketAddress::FromIp("127.0.0.1", 0).value(),
         .max_threads = 64,
         .max_connections = 4096},
        {&service_, &echo_});
    CHECK(server.ok()) << server.status();
    server_ = *std::move(server);
    return *server_;
  }

  InProcessStore store_{Roomy()};
  MetadataService service_{store_, {}};
  EchoService echo_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace

std::unique_ptr<BenchmarkBackend> MakeInProcessBackend() {
  return std::make_unique<InProcess>();
}

std::unique_ptr<RedisBackend> MakeRedisBackend() {
  return std::make_unique<Redis>();
}

std::unique_ptr<GrpcBackend> MakeGrpcBackend() {
  return std::make_unique<Grpc>();
}

}  // namespace te
