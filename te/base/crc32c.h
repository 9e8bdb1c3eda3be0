#ifndef TE_BASE_CRC32C_H_
#define TE_BASE_CRC32C_H_

#include <stddef.h>
#include <stdint.h>

namespace te {

// CRC32C (Castagnoli, RFC 3720 appendix B.4) of the bytes that `crc` covers
// followed by these. Begin with 0:
//   ExtendCrc32c(ExtendCrc32c(0, a, n), b, m)  ==  the CRC of a and b together.
// Thread-safe.
uint32_t ExtendCrc32c(uint32_t crc, const void* data, size_t bytes);

}  // namespace te

#endif  // TE_BASE_CRC32C_H_
