#pragma once
// Programs under test, from outside: started, watched through /proc, signalled
// and waited for, always within bounds and always ended by their pid.

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace conformance {

using Milliseconds = std::chrono::milliseconds;
using Arguments = std::vector<std::string>;

/// What the harness throws: a bound was exceeded or a call failed. GoogleTest
/// reports it as the failure of the test that is running.
struct Trouble : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// SAMPLED=1: there is less time, so sizes are smaller and waits longer.
/// EVERYTHING=1: nothing is left out. MODE=asan or tsan: a sanitizer's memory,
/// which it needs for threads and freed blocks, is counted with the program's.
bool sampled();
bool everything();
bool sanitized();
/// `full`, or `less` where SAMPLED=1.
std::size_t size_of(std::size_t full, std::size_t less);

/// What a program that does not spin may take of a CPU within such a time: who
/// spins takes all of it. A sanitizer has a thread of its own in each process.
Milliseconds at_rest(Milliseconds window);

/// Is it a program of somebody's own (SERVER=) that is tested?
bool own_program();
/// The bound of every wait: a healthy program needs a thousandth of it.
/// PATIENCE= ms. With an own program it is short: there somebody waits for the
/// whole suite, and much may be absent. Once a test has waited in vain, the
/// rest of it waits a tenth.
Milliseconds patience();
void lose_patience();
void regain_patience();  // for the next test
/// Looks at `condition` every millisecond; false if it never came true.
bool eventually(const std::function<bool()>& condition,
                Milliseconds bound = patience());

/// An open descriptor, closed once by whoever holds it.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  int get() const { return number_; }
  int release();
  void close();

 private:
  int number_ = -1;
};

/// A child with its output in memory, so that it can never wait for a reader.
/// Started by the main thread only: it is killed when that thread ends.
class Process {
 public:
  /// `command[0]` is a path. `inherited` stays open in the child under the
  /// same number and is closed here. `input` is its standard input.
  explicit Process(const Arguments& command, Descriptor inherited = {},
                   const std::string& input = "");
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  /// All that has been written so far.
  std::string output() const;
  std::string errors() const;

  /// SIGTERM only once, whoever sends it again: a program may take a second
  /// one as an order to end at once.
  void signal(int number) const;
  /// The exit code, or 128 and the signal; nothing if it still runs.
  std::optional<int> ended();
  /// Waits for the end. Throws Trouble if the bound is exceeded.
  int wait(Milliseconds bound = patience());

  // From /proc, as it is now. Throws Trouble if the process is gone.
  std::size_t descriptors() const;
  // Of it and its children together.
  std::vector<pid_t> children() const;
  std::size_t threads() const;
  std::size_t anonymous() const;  // bytes of memory of its own
  Milliseconds cpu_time() const;  // user and system, of what has ended too
  bool traced() const;            // every thread, by strace
  bool asleep() const;            // every thread, in a call that waits

 private:
  std::vector<pid_t> all() const;
  bool every_thread(const std::function<bool(const std::string&)>& is) const;

  pid_t pid_ = -1;
  Descriptor output_, errors_;
  std::optional<int> code_;
  mutable bool told_to_end_ = false;
};

/// Runs a program to its end and returns it.
struct Finished {
  int code;
  std::string output, errors;
};
Finished run(const Arguments& command, const std::string& input = "",
             Milliseconds bound = patience());

/// A tool's path, or "" if PATH does not have it.
std::string find_tool(const std::string& name);

/// The lines of a text, without their ends (\n or \r\n).
std::vector<std::string> lines_of(const std::string& text);

/// What is said of a name that a text does not have.
std::string missing(const std::string& name, const std::string& text);

/// Values by name that were read out of a text. Who asks for one that is not
/// there is shown the text.
template <class Value>
struct Named : std::map<std::string, Value> {
  std::string text;

  const Value& at(const std::string& name) const {
    const auto found = this->find(name);
    if (found == this->end()) throw Trouble(missing(name, text));
    return found->second;
  }
};
/// "name:value" or "name=value" lines by name; other lines are passed over.
Named<std::string> fields_of(const std::string& text, char separator);

/// The digits of a text as a number; throws Trouble that says what they should
/// have been.
std::size_t number_of(const std::string& digits, const std::string& what);

/// The numbers of a JSON object by their paths ("calls.recv"). Throws Trouble
/// if the text is not one object whose leaves are numbers and strings.
Named<double> numbers_of(const std::string& json);

}  // namespace conformance
