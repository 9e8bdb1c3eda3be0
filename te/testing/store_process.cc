#include "te/testing/store_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/unique_fd.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/open_metadata_store.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_server_process.h"

namespace te {
namespace {

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(60); }

SocketAddress Local(uint16_t port) {
  return SocketAddress::FromIp("127.0.0.1", port).value();
}

class Redis final : public StoreProcess {
 public:
  absl::string_view scheme() const override { return "redis"; }
  SocketAddress address() const override { return Local(server_.tcp().port); }
  void Kill() override { server_.Kill(); }
  void Restart() override { server_.Restart(); }
  void Stop() override { server_.Stop(); }
  void Continue() override { server_.Continue(); }
  void Empty() override {
    auto connection = RedisConnection::Open(server_.unix_socket(), Soon());
    CHECK(connection.ok()) << connection.status();
    CHECK((*connection)->Call({"FLUSHALL"}, Soon()).ok());
  }

 private:
  RedisServerProcess server_;
};

// Becomes the program, with its standard output at `out`.
[[noreturn]] void Execute(const std::string& listen, int out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(out, STDOUT_FILENO);
  execl("te/metadata/server/metadata_server", "metadata_server", listen.c_str(),
        nullptr);
  _exit(127);
}

class MetadataServer final : public MetadataServerProcess {
 public:
  MetadataServer() { Start(0); }
  ~MetadataServer() override { Kill(); }

  absl::string_view scheme() const override { return "grpc"; }
  SocketAddress address() const override { return Local(port_); }
  void Kill() override {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    PCHECK(waitpid(pid_, nullptr, 0) == pid_);
    pid_ = -1;
  }
  int Terminate() override {
    kill(pid_, SIGTERM);
    int status = 0;
    PCHECK(waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void Restart() override { Start(port_); }
  void Stop() override {
    kill(pid_, SIGSTOP);
    PCHECK(waitpid(pid_, nullptr, WUNTRACED) == pid_);
  }
  void Continue() override { kill(pid_, SIGCONT); }
  void Empty() override {
    auto store = OpenMetadataStore(
        absl::StrCat("grpc://", address().ToString()), Soon());
    CHECK(store.ok()) << store.status();
    const auto keys = ListAll(**store, "te/", Soon());
    CHECK(keys.ok()) << keys.status();
    for (const std::string& key : *keys) {
      const absl::Status removed = (*store)->Remove(key, std::nullopt, Soon());
      CHECK(removed.ok() || absl::IsNotFound(removed)) << removed;
    }
  }

 private:
  // Reads the port from what the program says when it is ready.
  void Start(uint16_t port) {
    int out[2];
    PCHECK(pipe2(out, O_CLOEXEC) == 0);
    const std::string listen =
        absl::StrCat("--listen=", Local(port).ToString());
    pid_ = fork();
    PCHECK(pid_ >= 0);
    if (pid_ == 0) Execute(listen, out[1]);
    close(out[1]);
    output_ = UniqueFd(out[0]);
    std::string line;
    for (char c = 0; read(output_.get(), &c, 1) == 1 && c != '\n';) line += c;
    constexpr char kBefore[] = "grpc://127.0.0.1:";
    const size_t at = line.find(kBefore);
    CHECK_NE(at, std::string::npos) << "metadata_server says: " << line;
    const std::string rest = line.substr(at + sizeof(kBefore) - 1);
    uint32_t number = 0;
    CHECK(absl::SimpleAtoi(rest.substr(0, rest.find(',')), &number)) << line;
    port_ = static_cast<uint16_t>(number);
  }

  pid_t pid_ = -1;
  uint16_t port_ = 0;
  UniqueFd output_;
};

}  // namespace

std::unique_ptr<StoreProcess> StartRedis() { return std::make_unique<Redis>(); }

std::unique_ptr<StoreProcess> StartMetadataServer() {
  return StartMetadataServerProcess();
}

std::unique_ptr<MetadataServerProcess> StartMetadataServerProcess() {
  return std::make_unique<MetadataServer>();
}

}  // namespace te
