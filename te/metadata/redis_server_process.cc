#include "te/metadata/redis_server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/unique_fd.h"
#include "te/metadata/redis_connection.h"

namespace te {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);

// One that is free now; another process may take it before the server does.
uint16_t FreePort() {
  const SocketAddress any = SocketAddress::FromIp("127.0.0.1", 0).value();
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  PCHECK(bind(fd.get(), any.data(), any.length()) == 0);
  sockaddr_storage storage = {};
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof(storage);
  PCHECK(getsockname(fd.get(), address, &length) == 0);
  return SocketAddress::FromSockaddr(address, length)->port();
}

// Not in the test's folder, whose path may be too long for a socket.
std::string MakeDirectory() {
  char path[] = "/tmp/te-redis-XXXXXX";
  PCHECK(mkdtemp(path) != nullptr);
  return path;
}

pid_t Spawn(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const UniqueFd quiet(open("/dev/null", O_RDWR | O_CLOEXEC));
  PCHECK(quiet.valid());
  const pid_t pid = fork();
  PCHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(quiet.get(), STDOUT_FILENO);
    execvp(argv[0], argv.data());
    // Debian's redis-tools has it under this name, and it goes by argv[0].
    execvp("redis-check-rdb", argv.data());
    _exit(127);
  }
  return pid;
}

}  // namespace

RedisServerProcess::RedisServerProcess(const std::string& password)
    : password_(password), directory_(MakeDirectory()) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries && !IsUp(); ++i) Start(FreePort());
  CHECK(IsUp()) << "redis-server does not start; is the Debian package "
                   "redis-tools installed?";
}

RedisServerProcess::~RedisServerProcess() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void RedisServerProcess::Start(uint16_t port) {
  Kill();
  port_ = port;
  std::vector<std::string> arguments = {"redis-server",
                                        "--port",
                                        absl::StrCat(port),
                                        "--bind",
                                        "127.0.0.1",
                                        "--unixsocket",
                                        unix_socket().unix_path,
                                        "--unixsocketperm",
                                        "700",
                                        "--dir",
                                        directory_,
                                        "--save",
                                        "",
                                        "--appendonly",
                                        "no"};
  if (!password_.empty()) {
    arguments.insert(arguments.end(), {"--requirepass", password_});
  }
  pid_ = Spawn(std::move(arguments));
  const MonotonicTime deadline = RealClock().Now() + kPatience;
  while (!IsUp() && RealClock().Now() < deadline) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return;
    }
    std::this_thread::yield();
  }
}

bool RedisServerProcess::IsUp() const {
  const MonotonicTime deadline = RealClock().Now() + kPatience;
  return pid_ > 0 && RedisConnection::Open(unix_socket(), deadline).ok() &&
         RedisConnection::Open(tcp(), deadline).ok();
}

void RedisServerProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  PCHECK(waitpid(pid_, nullptr, 0) == pid_);
  pid_ = -1;
}

void RedisServerProcess::Restart() {
  Start(port_);
  CHECK(IsUp()) << "redis-server does not start again";
}

void RedisServerProcess::Stop() {
  kill(pid_, SIGSTOP);
  int status = 0;
  PCHECK(waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status));
}

void RedisServerProcess::Continue() { kill(pid_, SIGCONT); }

RedisAddress RedisServerProcess::tcp() const {
  return {.host = "127.0.0.1", .port = port_, .password = password_};
}

RedisAddress RedisServerProcess::unix_socket() const {
  return {.unix_path = absl::StrCat(directory_, "/s"), .password = password_};
}

}  // namespace te
