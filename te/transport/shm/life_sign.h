#ifndef TE_TRANSPORT_SHM_LIFE_SIGN_H_
#define TE_TRANSPORT_SHM_LIFE_SIGN_H_

#include <cstddef>

namespace te::shm {

// Shared memory by which other processes see, without a system call, that a
// thread has ended, and so mostly its process. The kernel writes there before
// the process can be waited for, that is before another one can have its
// number, and before execve(2) makes another program of it: a robust mutex that
// the thread holds (pthread_mutexattr_setrobust(3), set_robust_list(2)).
class LifeSign {
 public:
  static constexpr size_t kBytes = 64;

  // To be called once, by the thread, with zeros that stay mapped until it has
  // ended.
  static void Give(std::byte* memory);
  // False before Give.
  static bool IsOver(const std::byte* memory);
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_LIFE_SIGN_H_
