#pragma once
// Before anything is served or asked: will the kernel do what this program's
// models need?

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/model.hpp"

namespace net {

/// What the probes of one program's models have got from the kernel. They hold
/// it until all of them have asked, since all will have it at the same time.
class Trial {
 public:
  /// `notes`: the descriptor that is told which call comes next.
  explicit Trial(int notes) : notes_(notes) {}

  /// The next call is this one: it may be the last of this process.
  void about_to(const char* call) const;

  /// At first all of them only add what they will lock, so that each can tell
  /// what is needed for all; then they are called again, and ask.
  bool counting = true;
  std::uint64_t locked = 0;  // bytes that RLIMIT_MEMLOCK may count
  std::vector<std::shared_ptr<void>> held;

 private:
  const int notes_;
};

/// The result of a call for memory that is counted for all processes of a user
/// (RLIMIT_MEMLOCK). What another process had, or our own that has tried, is
/// given back a moment after its end: -ENOMEM is final after a second only.
template <class Call>
int patiently(Call call) {
  int result = call();
  for (int i = 0; result == -ENOMEM && i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    result = call();
  }
  return result;
}

/// Why the models cannot run here together: one line, or empty if they can.
/// Their probes run in a child, since a filter may kill who makes a call
/// (SECCOMP_RET_KILL_PROCESS) instead of refusing it. To be called before the
/// first thread is made.
std::string refusal(std::initializer_list<const Model*> models,
                    const Options& options);

}  // namespace net
