// GoogleTest matchers for absl::Status and absl::StatusOr.
//
//   EXPECT_THAT(Parse("x"), StatusIs(absl::StatusCode::kInvalidArgument,
//                                    HasSubstr("port")));
//   EXPECT_THAT(Parse("1"), IsOkAndHolds(1));
//   TE_ASSERT_OK(Connect());
//   TE_ASSERT_OK_AND_ASSIGN(auto fd, OpenSocket());

#ifndef TE_BASE_STATUS_MATCHERS_H_
#define TE_BASE_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_macros.h"

namespace te {
namespace status_matchers_internal {

inline const absl::Status& GetStatus(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& statusor) {
  return statusor.status();
}

class StatusIsMatcher {
 public:
  StatusIsMatcher(testing::Matcher<absl::StatusCode> code,
                  testing::Matcher<const std::string&> message)
      : code_(std::move(code)), message_(std::move(message)) {}

  template <typename StatusLike>
  bool MatchAndExplain(const StatusLike& value,
                       testing::MatchResultListener* listener) const {
    const absl::Status& status = GetStatus(value);
    *listener << "whose status is " << status.ToString();
    return code_.Matches(status.code()) &&
           message_.Matches(std::string(status.message()));
  }
  void DescribeTo(std::ostream* os) const {
    *os << "has a status code that ";
    code_.DescribeTo(os);
    *os << " and a message that ";
    message_.DescribeTo(os);
  }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "not (";
    DescribeTo(os);
    *os << ")";
  }

 private:
  testing::Matcher<absl::StatusCode> code_;
  testing::Matcher<const std::string&> message_;
};

template <typename ValueMatcher>
class IsOkAndHoldsMatcher {
 public:
  explicit IsOkAndHoldsMatcher(ValueMatcher matcher)
      : matcher_(std::move(matcher)) {}

  template <typename StatusOr>
  operator testing::Matcher<StatusOr>() const {  // NOLINT: implicit by design
    return testing::Matcher<StatusOr>(new Impl<StatusOr>(matcher_));
  }

 private:
  template <typename StatusOr>
  class Impl : public testing::MatcherInterface<StatusOr> {
   public:
    using Value = typename std::remove_reference_t<StatusOr>::value_type;

    explicit Impl(const ValueMatcher& matcher)
        : matcher_(testing::SafeMatcherCast<const Value&>(matcher)) {}

    bool MatchAndExplain(
        StatusOr statusor,
        testing::MatchResultListener* listener) const override {
      if (!statusor.ok()) {
        *listener << "whose status is " << statusor.status().ToString();
        return false;
      }
      return matcher_.MatchAndExplain(*statusor, listener);
    }
    void DescribeTo(std::ostream* os) const override {
      *os << "is OK and holds a value that ";
      matcher_.DescribeTo(os);
    }
    void DescribeNegationTo(std::ostream* os) const override {
      *os << "is not OK or holds a value that ";
      matcher_.DescribeNegationTo(os);
    }

   private:
    testing::Matcher<const Value&> matcher_;
  };

  ValueMatcher matcher_;
};

}  // namespace status_matchers_internal

inline testing::PolymorphicMatcher<status_matchers_internal::StatusIsMatcher>
StatusIs(testing::Matcher<absl::StatusCode> code,
         testing::Matcher<const std::string&> message = testing::_) {
  return testing::MakePolymorphicMatcher(
      status_matchers_internal::StatusIsMatcher(std::move(code),
                                                std::move(message)));
}

inline auto IsOk() { return StatusIs(absl::StatusCode::kOk); }

template <typename ValueMatcher>
status_matchers_internal::IsOkAndHoldsMatcher<std::decay_t<ValueMatcher>>
IsOkAndHolds(ValueMatcher&& matcher) {
  return status_matchers_internal::IsOkAndHoldsMatcher<
      std::decay_t<ValueMatcher>>(std::forward<ValueMatcher>(matcher));
}

}  // namespace te

#define TE_EXPECT_OK(expr) EXPECT_THAT(expr, ::te::IsOk())
#define TE_ASSERT_OK(expr) ASSERT_THAT(expr, ::te::IsOk())

#define TE_ASSERT_OK_AND_ASSIGN(lhs, expr) \
  TE_ASSERT_OK_AND_ASSIGN_(                \
      TE_STATUS_MACROS_CONCAT_(te_assert_statusor_, __LINE__), lhs, expr)
#define TE_ASSERT_OK_AND_ASSIGN_(statusor, lhs, expr) \
  auto statusor = (expr);                             \
  ASSERT_THAT(statusor.status(), ::te::IsOk());       \
  lhs = *std::move(statusor)

#endif  // TE_BASE_STATUS_MATCHERS_H_
