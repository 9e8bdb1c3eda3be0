#ifndef TE_SIM_POOL_H_
#define TE_SIM_POOL_H_

#include <cstddef>
#include <deque>
#include <vector>

namespace te::sim {

// Objects that do not move, and are used again: those a simulation needs at a
// time are few, and those it needs in all are not.
template <typename T>
class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // As it was given back, or new.
  T& Take() {
    if (free_.empty()) return objects_.emplace_back();
    T& object = *free_.back();
    free_.pop_back();
    return object;
  }
  void GiveBack(T& object) { free_.push_back(&object); }

  size_t in_use() const { return objects_.size() - free_.size(); }

 private:
  std::deque<T> objects_;
  std::vector<T*> free_;
};

}  // namespace te::sim

#endif  // TE_SIM_POOL_H_
