#include "te/transport/shm/copy_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace te::shm {
namespace {

// From here on bytes are streamed, if the second-level cache is no larger. What
// copy_bytes_benchmark found on a Xeon (family 6, model 167, AVX-512) with 2
// MiB of it, medians in GB/s:
//
//   the same 64 KiB       memcpy 48    streamed 22
//   the same 1 MiB        memcpy 30    streamed 23
//   the same 2 MiB        memcpy 14    streamed 20
//   the same 16 MiB       memcpy 14.3  streamed 14.0
//   any through 1 GiB     memcpy 7     streamed 12
//
// Both source and destination want to be in the cache. Where they do not fit, a
// plain store first fetches the line that it is about to overwrite.
constexpr uint64_t kLeastStreamed = 2 << 20;

#ifdef __x86_64__

constexpr size_t kLine = 64;
constexpr size_t kPage = 4096;
// How many pages are copied side by side: more lines are then being fetched, as
// the processor looks ahead within one page alone. Of 2, 4 and 8 pages 4 were
// as good as 8, and 1 made 9 GB/s of the 12 above.
constexpr size_t kPages = 4;
// How far ahead a single page is fetched.
constexpr size_t kAhead = 1024;

void RepMovsb(std::byte* to, const std::byte* from, size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

// Each does the same with other registers: the attribute of a function cannot
// depend on a template's argument.
struct Avx2 {
  // `to` is at the start of a line. Copies kPages pages.
  __attribute__((target("avx2"))) static void StreamPages(
      std::byte* to, const std::byte* from) {
    for (size_t at = 0; at < kPage; at += kLine) {
      __m256i low[kPages];
      __m256i high[kPages];
      for (size_t i = 0; i < kPages; ++i) {
        const std::byte* const line = from + i * kPage + at;
        low[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line));
        high[i] =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line) + 1);
      }
      for (size_t i = 0; i < kPages; ++i) {
        auto* const line = reinterpret_cast<__m256i*>(to + i * kPage + at);
        _mm256_stream_si256(line, low[i]);
        _mm256_stream_si256(line + 1, high[i]);
      }
    }
  }

  // Copies so many bytes, which are whole lines.
  __attribute__((target("avx2"))) static void StreamLines(std::byte* to,
                                                          const std::byte* from,
                                                          size_t bytes) {
    for (size_t at = 0; at < bytes; at += kLine) {
      _mm_prefetch(from + at + kAhead, _MM_HINT_T0);
      const auto* const source = reinterpret_cast<const __m256i*>(from + at);
      const __m256i low = _mm256_loadu_si256(source);
      const __m256i high = _mm256_loadu_si256(source + 1);
      auto* const line = reinterpret_cast<__m256i*>(to + at);
      _mm256_stream_si256(line, low);
      _mm256_stream_si256(line + 1, high);
    }
  }
};

struct Avx512 {
  __attribute__((target("avx512f"))) static void StreamPages(
      std::byte* to, const std::byte* from) {
    // Two lines of each page at once.
    for (size_t at = 0; at < kPage; at += 2 * kLine) {
      __m512i low[kPages];
      __m512i high[kPages];
      for (size_t i = 0; i < kPages; ++i) {
        low[i] = _mm512_loadu_si512(from + i * kPage + at);
        high[i] = _mm512_loadu_si512(from + i * kPage + at + kLine);
      }
      for (size_t i = 0; i < kPages; ++i) {
        auto* const line = reinterpret_cast<__m512i*>(to + i * kPage + at);
        _mm512_stream_si512(line, low[i]);
        _mm512_stream_si512(line + 1, high[i]);
      }
    }
  }

  __attribute__((target("avx512f"))) static void StreamLines(
      std::byte* to, const std::byte* from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kLine) {
      _mm_prefetch(from + at + kAhead, _MM_HINT_T0);
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at),
                          _mm512_loadu_si512(from + at));
    }
  }
};

template <typename Registers>
void Stream(std::byte* to, const std::byte* from, size_t bytes) {
  const size_t head = std::min(bytes, -reinterpret_cast<uintptr_t>(to) % kLine);
  memcpy(to, from, head);
  size_t at = head;
  for (; bytes - at >= kPages * kPage; at += kPages * kPage) {
    Registers::StreamPages(to + at, from + at);
  }
  const size_t lines = (bytes - at) / kLine * kLine;
  Registers::StreamLines(to + at, from + at, lines);
  at += lines;
  memcpy(to + at, from + at, bytes - at);
  // Unlike others, these stores may be seen after those that follow.
  _mm_sfence();
}

// Enhanced rep movsb: leaf 7 of cpuid, bit 9 of ebx.
bool RepMovsbIsFast() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
         (ebx & (1u << 9)) != 0;
}

#endif  // __x86_64__

struct Processor {
  Processor() {
    Add(CopyWay::kMemcpy);
#ifdef __x86_64__
    if (RepMovsbIsFast()) Add(CopyWay::kRepMovsb);
    // These also ask whether the kernel keeps the registers.
    if (__builtin_cpu_supports("avx2")) AddStream(CopyWay::kStreamAvx2);
    if (__builtin_cpu_supports("avx512f")) AddStream(CopyWay::kStreamAvx512);
#endif
    const int64_t cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (cache > 0) {
      least_streamed = std::max(kLeastStreamed, static_cast<uint64_t>(cache));
    }
  }

  void Add(CopyWay way) { ways[count++] = way; }
  void AddStream(CopyWay way) {
    Add(way);
    stream = way;
  }

  std::array<CopyWay, 4> ways = {};
  size_t count = 0;
  // The best for much; memcpy if nothing else is known to be better.
  CopyWay stream = CopyWay::kMemcpy;
  uint64_t least_streamed = kLeastStreamed;
};

const Processor& ThisProcessor() {
  static const Processor processor;
  return processor;
}

}  // namespace

absl::Span<const CopyWay> AvailableWays() {
  const Processor& processor = ThisProcessor();
  return absl::MakeConstSpan(processor.ways).first(processor.count);
}

absl::string_view NameOf(CopyWay way) {
  switch (way) {
    case CopyWay::kMemcpy:
      return "memcpy";
    case CopyWay::kRepMovsb:
      return "movsb";
    case CopyWay::kStreamAvx2:
      return "stream_avx2";
    case CopyWay::kStreamAvx512:
      return "stream_avx512";
  }
  return "";
}

CopyWay BestWay(uint64_t bytes_in_a_row) {
  const Processor& processor = ThisProcessor();
  // rep movsb was nowhere better than memcpy by more than chance, and memcpy
  // knows better where it is slow.
  return bytes_in_a_row < processor.least_streamed ? CopyWay::kMemcpy
                                                   : processor.stream;
}

void CopyBy(CopyWay way, void* to, const void* from, size_t bytes) {
#ifdef __x86_64__
  auto* const target = static_cast<std::byte*>(to);
  const auto* const source = static_cast<const std::byte*>(from);
  switch (way) {
    case CopyWay::kMemcpy:
      break;
    case CopyWay::kRepMovsb:
      return RepMovsb(target, source, bytes);
    case CopyWay::kStreamAvx2:
      return Stream<Avx2>(target, source, bytes);
    case CopyWay::kStreamAvx512:
      return Stream<Avx512>(target, source, bytes);
  }
#else
  (void)way;
#endif
  // What has no bytes may have no address.
  if (bytes > 0) memcpy(to, from, bytes);
}

}  // namespace te::shm
