// Early return on errors.
//
//   TE_RETURN_IF_ERROR(Connect());               // an expression of
//   absl::Status TE_ASSIGN_OR_RETURN(auto fd, OpenSocket());  // of
//   absl::StatusOr<T>
//
// Both work in functions that return absl::Status or absl::StatusOr<U>.

#ifndef TE_BASE_STATUS_MACROS_H_
#define TE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define TE_RETURN_IF_ERROR(expr)                                               \
  do {                                                                         \
    if (absl::Status te_status_ = (expr); !te_status_.ok()) return te_status_; \
  } while (false)

// `lhs` is a declaration or an lvalue; a type with a comma in it needs an
// alias.
#define TE_ASSIGN_OR_RETURN(lhs, expr)                                       \
  TE_STATUS_MACROS_ASSIGN_(TE_STATUS_MACROS_CONCAT_(te_statusor_, __LINE__), \
                           lhs, expr)

#define TE_STATUS_MACROS_ASSIGN_(statusor, lhs, expr)      \
  auto statusor = (expr);                                  \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = *std::move(statusor)

#define TE_STATUS_MACROS_CONCAT_(a, b) TE_STATUS_MACROS_CONCAT_INNER_(a, b)
#define TE_STATUS_MACROS_CONCAT_INNER_(a, b) a##b

#endif  // TE_BASE_STATUS_MACROS_H_
