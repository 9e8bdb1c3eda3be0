#ifndef TE_TOOLS_FUZZ_MUTATOR_H_
#define TE_TOOLS_FUZZ_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace te {

// Makes inputs for a fuzz target out of a corpus by the usual small changes:
// bits flipped, bytes replaced by boundary values, pieces removed, repeated,
// inserted, or taken from another input. The same corpus and seed give the same
// sequence. For one thread.
class Mutator {
 public:
  // An empty corpus counts as one empty input. No input gets longer than
  // `max_size` bytes, those of the corpus excepted.
  Mutator(std::vector<std::string> corpus, uint64_t seed, size_t max_size);

  // The next input.
  std::string Next();

 private:
  size_t Below(size_t bound);
  void ChangeOnce(std::string& input);

  const std::vector<std::string> corpus_;
  const size_t max_size_;
  std::mt19937_64 random_;
};

}  // namespace te

#endif  // TE_TOOLS_FUZZ_MUTATOR_H_
