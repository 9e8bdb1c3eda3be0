#ifndef TE_SIM_RANDOM_H_
#define TE_SIM_RANDOM_H_

#include <cmath>
#include <cstdint>

namespace te::sim {

// Random numbers that are the same for the same seed everywhere, which those of
// the standard library's distributions are not. SplitMix64 (Steele, Lea, Flood,
// "Fast splittable pseudorandom number generators", OOPSLA 2014): 8 bytes, for
// thousands of sources.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  // 0 to `end` - 1. The bias of the remainder is far below what a simulation
  // shows.
  uint64_t Below(uint64_t end) { return Next() % end; }
  // From 0 to below 1.
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  // Of a Poisson process with this mean, the time until the next event.
  double Exponential(double mean) { return -mean * std::log1p(-Fraction()); }
  // Each order of magnitude as likely as any other.
  double LogUniform(double least, double most) {
    return least * std::pow(most / least, Fraction());
  }

 private:
  uint64_t state_;
};

}  // namespace te::sim

#endif  // TE_SIM_RANDOM_H_
