#pragma once
// What a system call's failure is called.

#include <cerrno>
#include <string>
#include <system_error>

namespace net {

/// For set-up and for the model's own wait, where a failure is ours: throws
/// std::system_error with the name of the call.
[[noreturn]] inline void fail(int error, const char* call) {
  throw std::system_error(error, std::generic_category(), call);
}
/// The same with what the call was made on: "bind /a/path".
[[noreturn]] inline void fail(int error, const std::string& call) {
  fail(error, call.c_str());
}

/// The same with errno, if `result` is negative.
inline int check(int result, const char* call) {
  if (result < 0) fail(errno, call);
  return result;
}

/// "Connection refused".
inline std::string describe(int error) {
  return std::generic_category().message(error);
}

}  // namespace net
