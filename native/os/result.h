// Result<T>: what every call of native/os gives back: a value, or the errno and the name of the
// system call that failed. Nothing in this folder throws (the addon is built without exceptions).
// Invariant: exactly one of value and error is there; value() REQUIRES ok().
#ifndef INTERPROC_OS_RESULT_H_
#define INTERPROC_OS_RESULT_H_

#include <cerrno>
#include <optional>
#include <utility>

namespace interproc::os {

struct Error {
  int number;           // a positive errno
  const char* syscall;  // static string: the call as its manual page names it
};

inline Error LastError(const char* syscall) { return Error{errno, syscall}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error) : error_(error) {}         // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  const Error& error() const { return error_; }
  T& value() { return *value_; }
  const T& value() const { return *value_; }

 private:
  std::optional<T> value_;
  Error error_{0, ""};
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(error) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return error_.number == 0; }
  const Error& error() const { return error_; }

 private:
  Error error_{0, ""};
};

// Repeats a system call that a signal handler interrupted (man 7 signal, "Interruption").
template <typename Call>
auto RetryOnEintr(Call call) -> decltype(call()) {
  for (;;) {
    auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

}  // namespace interproc::os

#endif  // INTERPROC_OS_RESULT_H_
