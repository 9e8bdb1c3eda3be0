#include "tools/fuzz/mutator.h"

#include <algorithm>
#include <array>
#include <utility>

namespace te {
namespace {

// Where off-by-one and sign errors of one byte of a length or an index live.
constexpr std::array<uint8_t, 6> kBoundaryBytes = {0x00, 0x01, 0x7f,
                                                   0x80, 0xfe, 0xff};
constexpr size_t kMaxChangesPerInput = 5;
constexpr size_t kMaxInsertedBytes = 16;

std::vector<std::string> OneAtLeast(std::vector<std::string> corpus) {
  if (corpus.empty()) corpus.emplace_back();
  return corpus;
}

}  // namespace

Mutator::Mutator(std::vector<std::string> corpus, uint64_t seed,
                 size_t max_size)
    : corpus_(OneAtLeast(std::move(corpus))),
      max_size_(max_size),
      random_(seed) {}

std::string Mutator::Next() {
  std::string input = corpus_[Below(corpus_.size())];
  const size_t longest = std::max(input.size(), max_size_);
  const size_t changes = 1 + Below(kMaxChangesPerInput);
  for (size_t i = 0; i < changes; ++i) ChangeOnce(input);
  if (input.size() > longest) input.resize(longest);
  return input;
}

size_t Mutator::Below(size_t bound) { return random_() % bound; }

void Mutator::ChangeOnce(std::string& input) {
  if (input.empty()) {
    input.assign(1 + Below(kMaxInsertedBytes), static_cast<char>(Below(256)));
    return;
  }
  const size_t at = Below(input.size());
  switch (Below(7)) {
    case 0:
      input[at] = static_cast<char>(input[at] ^ (1 << Below(8)));
      break;
    case 1:
      input[at] = static_cast<char>(Below(256));
      break;
    case 2: {
      // A run of boundary bytes reaches fields of two, four and eight bytes.
      const size_t count =
          std::min<size_t>(input.size() - at, size_t{1} << Below(4));
      const uint8_t byte = kBoundaryBytes[Below(kBoundaryBytes.size())];
      std::fill_n(input.begin() + static_cast<ptrdiff_t>(at), count,
                  static_cast<char>(byte));
      break;
    }
    case 3:
      input.resize(at);
      break;
    case 4:
      input.erase(at, 1 + Below(kMaxInsertedBytes));
      break;
    case 5:
      input.insert(at, 1 + Below(kMaxInsertedBytes),
                   static_cast<char>(Below(256)));
      break;
    case 6: {
      const std::string& other = corpus_[Below(corpus_.size())];
      input = input.substr(0, at) +
              other.substr(other.empty() ? 0 : Below(other.size()));
      break;
    }
  }
}

}  // namespace te
