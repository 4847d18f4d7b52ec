// Failures that can be expected are values. A function that can fail returns Result<T> (or Status
// when it has nothing to return); the caller looks before it uses. Exceptions are caught at the
// border where a third-party library is called and become an Error there; none crosses a thread.
//
// Every message says what went wrong, where (file:line:column or field path) and what to do about
// it.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <variant>

namespace longstride {

// The one taxonomy of failures. docs/errors.md lists it with the exit codes.
enum class ErrorCode {
  kUser,         // the manifest, a flag or an argument is wrong; only the user can mend it
  kData,         // a data, model or checkpoint file is broken or does not fit
  kResource,     // memory, disk or a device is exhausted
  kLostPeer,     // another worker went away
  kTransient,    // a time-out or a refused connection; trying again may help
  kInterrupted,  // stopped on request (signal, suspend)
  kBug,          // an invariant of longstride itself is broken
};

// "user", "data", ... as it stands in logs, events and metrics.
[[nodiscard]] const char* ErrorCodeName(ErrorCode code);

// The process exit code that stands for `code`; success is 0. Stable: the controller reads them.
// user 2, data 3, resource 4, lost peer 5, transient 6, interrupted 7, bug 1.
[[nodiscard]] int ExitCodeOf(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kBug;
  std::string message;
};

// Either a T or an error, an Error unless a component has a richer one of its own. Reading the side
// that is not there is a broken assertion and terminates.
template <typename T, typename E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  Result(E error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & { return *Value(); }
  [[nodiscard]] const T& value() const& { return *Value(); }
  [[nodiscard]] T&& value() && { return std::move(*Value()); }
  T& operator*() & { return *Value(); }
  const T& operator*() const& { return *Value(); }
  T&& operator*() && { return std::move(*Value()); }
  T* operator->() { return Value(); }
  const T* operator->() const { return Value(); }

  [[nodiscard]] const E& error() const& {
    const E* e = std::get_if<1>(&state_);
    if (!e) std::terminate();
    return *e;
  }

 private:
  T* Value() {
    T* v = std::get_if<0>(&state_);
    if (!v) std::terminate();
    return v;
  }
  const T* Value() const { return const_cast<Result*>(this)->Value(); }

  std::variant<T, E> state_;
};

// Success, or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : failed_(true), error_(std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const {
    if (!failed_) std::terminate();
    return error_;
  }

 private:
  bool failed_ = false;
  Error error_;
};

inline Error UserError(std::string m) {
  return {ErrorCode::kUser, std::move(m)};
}
inline Error DataError(std::string m) {
  return {ErrorCode::kData, std::move(m)};
}
inline Error ResourceError(std::string m) {
  return {ErrorCode::kResource, std::move(m)};
}
inline Error LostPeerError(std::string m) {
  return {ErrorCode::kLostPeer, std::move(m)};
}
inline Error TransientError(std::string m) {
  return {ErrorCode::kTransient, std::move(m)};
}
inline Error InterruptedError(std::string m) {
  return {ErrorCode::kInterrupted, std::move(m)};
}
inline Error BugError(std::string m) {
  return {ErrorCode::kBug, std::move(m)};
}

}  // namespace longstride

// Returns the error of `expression` (a Status or Result) from the enclosing function, if it has
// one.
#define LONGSTRIDE_RETURN_IF_ERROR(expression)                     \
  do {                                                             \
    auto&& longstride_status = (expression);                       \
    if (!longstride_status.ok()) return longstride_status.error(); \
  } while (false)

#define LONGSTRIDE_CONCAT_INNER(a, b) a##b
#define LONGSTRIDE_CONCAT(a, b) LONGSTRIDE_CONCAT_INNER(a, b)

// LONGSTRIDE_ASSIGN_OR_RETURN(auto x, Compute()): x is the value, or the enclosing function returns
// the error.
#define LONGSTRIDE_ASSIGN_OR_RETURN(target, expression)                                     \
  LONGSTRIDE_ASSIGN_OR_RETURN_IMPL(LONGSTRIDE_CONCAT(longstride_result_, __LINE__), target, \
                                   expression)
#define LONGSTRIDE_ASSIGN_OR_RETURN_IMPL(result, target, expression) \
  auto result = (expression);                                        \
  if (!result.ok()) return result.error();                           \
  target = std::move(*result)
