#include "te/transport/shm/life_sign.h"

#include <linux/futex.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "glog/logging.h"

namespace te::shm {

void LifeSign::Give(std::byte* memory) {
  static_assert(sizeof(pthread_mutex_t) <= kBytes);
  // Where the C library has the word that the kernel writes to: at the start,
  // in all its versions.
  static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0);
  auto* const mutex = reinterpret_cast<pthread_mutex_t*>(memory);
  pthread_mutexattr_t attributes;
  CHECK_EQ(pthread_mutexattr_init(&attributes), 0);
  CHECK_EQ(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED),
           0);
  CHECK_EQ(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), 0);
  CHECK_EQ(pthread_mutex_init(mutex, &attributes), 0);
  CHECK_EQ(pthread_mutexattr_destroy(&attributes), 0);
  CHECK_EQ(pthread_mutex_lock(mutex), 0);
}

bool LifeSign::IsOver(const std::byte* memory) {
  const auto& word = *reinterpret_cast<const std::atomic<uint32_t>*>(memory);
  return (word.load() & FUTEX_OWNER_DIED) != 0;
}

}  // namespace te::shm
