#include "te/transport/shm/copy_pool.h"

#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"

namespace te::shm {

absl::StatusOr<std::unique_ptr<CopyPool>> CopyPool::Create(
    int threads, const ThreadOptions& thread) {
  std::unique_ptr<CopyPool> pool(new CopyPool());
  for (int i = 0; i < threads; ++i) {
    TE_ASSIGN_OR_RETURN(
        Thread started,
        Thread::Start(
            {.name = absl::StrCat(thread.name, "-", i), .cpus = thread.cpus},
            [pool = pool.get()] { pool->Run(); }));
    pool->threads_.push_back(std::move(started));
  }
  return pool;
}

CopyPool::~CopyPool() {
  Stop();
  while (ForgetOne()) {
  }
}

void CopyPool::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    offered_.NotifyAll();
  }
  threads_.clear();
}

bool CopyPool::ForgetOne() {
  // The last use of a client may be this one: it goes after the lock.
  std::shared_ptr<Client> client;
  MutexLock lock(mutex_);
  if (head_ == nullptr) return false;
  client = PopFront();
  return true;
}

void CopyPool::Offer(std::shared_ptr<Client> client) {
  MutexLock lock(mutex_);
  Client& offered = *client;
  if (offered.self_ == nullptr) {
    offered.self_ = std::move(client);
    Append(offered);
  }
  offered_.NotifyAll();
}

void CopyPool::Append(Client& client) {
  client.next_ = nullptr;
  (head_ == nullptr ? head_ : tail_->next_) = &client;
  tail_ = &client;
}

std::shared_ptr<CopyPool::Client> CopyPool::PopFront() {
  Client& client = *head_;
  head_ = client.next_;
  return std::move(client.self_);
}

std::shared_ptr<CopyPool::Client> CopyPool::Next() {
  MutexLock lock(mutex_);
  while (head_ == nullptr && !stopping_) {
    offered_.WaitUntil(mutex_, kNoDeadline);
  }
  if (stopping_) return nullptr;
  std::shared_ptr<Client> client = PopFront();
  // Whoever adds work looks the other way round: he adds it, and then finds the
  // client in the queue or not.
  if (client->has_work()) {
    // Behind the others, where the other threads find it too.
    client->self_ = client;
    Append(*client);
  }
  return client;
}

void CopyPool::Run() {
  while (const std::shared_ptr<Client> client = Next()) client->Help();
}

}  // namespace te::shm
