#include "tests/conformance/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "tests/conformance/answer.hpp"

namespace conformance {

namespace {

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value && *value && std::strcmp(value, "0") != 0;
}

Descriptor memory_file(const std::string& content) {
  Descriptor file(::memfd_create("conformance", MFD_CLOEXEC));
  if (file.get() < 0) throw Trouble("memfd_create failed");
  std::size_t written = 0;
  while (written < content.size()) {
    const auto n =
        ::pwrite(file.get(), content.data() + written, content.size() - written,
                 static_cast<off_t>(written));
    if (n <= 0) throw Trouble("writing a memory file failed");
    written += static_cast<std::size_t>(n);
  }
  return file;
}

std::string content_of(const Descriptor& file) {
  struct stat status{};
  ::fstat(file.get(), &status);
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  const auto n = ::pread(file.get(), content.data(), content.size(), 0);
  content.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return content;
}

/// Between fork and exec: only what is safe after a fork of a process that has
/// threads.
[[noreturn]] void become(char** command, const int (&standard)[3],
                         int inherited, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  for (int i = 0; i < 3; ++i) ::dup2(standard[i], i);
  if (inherited >= 0) ::fcntl(inherited, F_SETFD, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(command[0], command);
  ::_exit(127);
}

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Trouble("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string proc(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

std::size_t entries_of(const std::string& directory) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    count += !entry.path().empty();
  return count;
}

/// The number behind "Name:" in a file of /proc.
std::size_t number_in(const std::string& path, const std::string& name) {
  const auto fields = fields_of(slurp(path), ':');
  const auto field = fields.find(name);
  if (field == fields.end()) throw Trouble("no " + name + " in " + path);
  return std::strtoull(field->second.c_str(), nullptr, 10);
}

}  // namespace

bool sampled() {
  static const bool set = is_set("SAMPLED");
  return set;
}

bool everything() {
  static const bool set = is_set("EVERYTHING");
  return set;
}

bool sanitized() {
  const char* mode = std::getenv("MODE");
  static const bool set = mode && std::string(mode).ends_with("san");
  return set;
}

std::size_t size_of(std::size_t full, std::size_t less) {
  return sampled() ? less : full;
}
Milliseconds at_rest(Milliseconds window) {
  return window / (sanitized() ? 2 : 5);
}

namespace {

std::atomic<bool> patience_is_lost = false;  // for the test that is running

Milliseconds whole_patience() {
  const char* asked = std::getenv("PATIENCE");
  if (asked && *asked) return Milliseconds(number_of(asked, "PATIENCE, in ms"));
  if (own_program()) return Milliseconds(2'000);
  return Milliseconds(sampled() ? 60'000 : 20'000);
}

}  // namespace

bool own_program() {
  static const bool own = is_set("SERVER");
  return own;
}

Milliseconds patience() {
  static const Milliseconds whole = whole_patience();
  return own_program() && patience_is_lost ? whole / 10 : whole;
}

void lose_patience() { patience_is_lost = true; }
void regain_patience() { patience_is_lost = false; }

bool eventually(const std::function<bool()>& condition, Milliseconds bound) {
  const auto end = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      if (bound >= patience()) lose_patience();
      return false;
    }
    std::this_thread::sleep_for(Milliseconds(1));
  }
  return true;
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  Descriptor old(std::exchange(number_, other.release()));
  return *this;
}

int Descriptor::release() { return std::exchange(number_, -1); }

void Descriptor::close() {
  if (number_ >= 0) ::close(release());
}

Process::Process(const Arguments& command, Descriptor inherited,
                 const std::string& input)
    : output_(memory_file("")), errors_(memory_file("")) {
  const Descriptor standard_input = memory_file(input);
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(strdup(word.c_str()));
  words.push_back(nullptr);
  const int standard[3] = {standard_input.get(), output_.get(), errors_.get()};
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(words.data(), standard, inherited.get(), parent);
  for (char* word : words) std::free(word);
  if (pid_ < 0) throw Trouble("fork failed");
}

Process::~Process() {
  if (ended()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string Process::output() const { return content_of(output_); }
std::string Process::errors() const { return content_of(errors_); }

void Process::signal(int number) const {
  if (code_ || (number == SIGTERM && std::exchange(told_to_end_, true))) return;
  ::kill(pid_, number);
}

std::optional<int> Process::ended() {
  int status = 0;
  if (!code_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_;
}

int Process::wait(Milliseconds bound) {
  if (!eventually([this] { return ended().has_value(); }, bound))
    throw Trouble("process " + std::to_string(pid_) +
                  " does not end; it has said: " + output() + errors());
  return *code_;
}

std::size_t Process::descriptors() const {
  return entries_of(proc(pid_, "fd"));
}

std::vector<pid_t> Process::children() const {
  std::vector<pid_t> found;
  for (const auto& task :
       std::filesystem::directory_iterator(proc(pid_, "task"))) {
    std::ifstream pids(task.path().string() + "/children");
    for (pid_t pid; pids >> pid;) found.push_back(pid);
  }
  return found;
}

std::vector<pid_t> Process::all() const {
  std::vector<pid_t> pids = children();
  pids.push_back(pid_);
  return pids;
}

namespace {

/// The sum over processes; nothing of one that has ended meanwhile.
template <class Number>
Number sum_over(const std::vector<pid_t>& pids, Number (*of)(pid_t)) {
  Number sum{};
  for (const pid_t pid : pids) try {
      sum += of(pid);
    } catch (const std::exception&) {
      if (pid == pids.back()) throw;
    }
  return sum;
}

std::size_t threads_of(pid_t pid) { return entries_of(proc(pid, "task")); }

std::size_t anonymous_of(pid_t pid) {
  return 1024 * number_in(proc(pid, "smaps_rollup"), "Anonymous");
}

Milliseconds cpu_time_of(pid_t pid) {
  // Field 2 is the name in parentheses and may hold spaces; utime, stime, and
  // the same of children that have ended are fields 14 to 17 (proc(5)).
  const std::string line = slurp(proc(pid, "stat"));
  std::istringstream rest(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) rest >> skipped;
  long sum = 0;
  for (long ticks = 0, field = 14; field <= 17 && rest >> ticks; ++field)
    sum += ticks;
  return Milliseconds(sum * 1000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace

std::size_t Process::threads() const { return sum_over(all(), threads_of); }

std::size_t Process::anonymous() const { return sum_over(all(), anonymous_of); }

Milliseconds Process::cpu_time() const { return sum_over(all(), cpu_time_of); }

bool Process::every_thread(
    const std::function<bool(const std::string&)>& is) const {
  try {
    return std::ranges::all_of(all(), [&](pid_t pid) {
      const auto tasks = std::filesystem::directory_iterator(proc(pid, "task"));
      return std::all_of(begin(tasks), end(tasks), [&](const auto& task) {
        return is(task.path().string());
      });
    });
  } catch (const std::exception&) {
    return false;  // one has ended meanwhile: to be looked at again
  }
}

bool Process::traced() const {
  return every_thread([](const std::string& task) {
    return number_in(task + "/status", "TracerPid") != 0;
  });
}

bool Process::asleep() const {
  return every_thread([](const std::string& task) {
    const std::string line = slurp(task + "/stat");
    return line[line.rfind(')') + 2] == 'S';
  });
}

Finished run(const Arguments& command, const std::string& input,
             Milliseconds bound) {
  Process process(command, {}, input);
  const int code = process.wait(bound);
  return {code, process.output(), process.errors()};
}

std::string find_tool(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path ? path : "/usr/bin:/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string candidate = directory + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

std::string missing(const std::string& name, const std::string& text) {
  return "there is no \"" + name + "\" in " + printable(text);
}

std::size_t number_of(const std::string& digits, const std::string& what) {
  if (digits.empty() || digits.size() > 18 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    throw Trouble(what + " is a number, not " + printable(digits));
  return std::stoul(digits);
}

Named<std::string> fields_of(const std::string& text, char separator) {
  Named<std::string> fields;
  fields.text = text;
  for (const auto& line : lines_of(text)) {
    const auto at = line.find(separator);
    if (at == std::string::npos) continue;
    const auto value = line.find_first_not_of(" \t", at + 1);
    fields[line.substr(0, at)] =
        value == std::string::npos ? "" : line.substr(value);
  }
  return fields;
}

namespace {

/// Reads one JSON object of objects, numbers and strings without escapes: all
/// that a server's last line holds.
class Json {
 public:
  explicit Json(const std::string& text) : text_(text) {}

  std::map<std::string, double> read() {
    object("");
    if (skip() != '\0') fail();
    return numbers_;
  }

 private:
  void object(const std::string& path) {
    take('{');
    if (skip() != '}') {
      member(path);
      for (; skip() == ','; member(path)) take(',');
    }
    take('}');
  }
  void member(const std::string& path) {
    const std::string name = path + string();
    take(':');
    if (skip() == '{') return object(name + ".");
    if (skip() == '"') return static_cast<void>(string());
    std::size_t length = 0;
    try {
      numbers_[name] = std::stod(text_.substr(at_), &length);
    } catch (const std::logic_error&) {
      fail();
    }
    at_ += length;
  }
  std::string string() {
    take('"');
    const auto end = text_.find('"', at_);
    if (end == std::string::npos) fail();
    const auto begin = std::exchange(at_, end + 1);
    return text_.substr(begin, end - begin);
  }
  char skip() {
    at_ = std::min(text_.find_first_not_of(" \r\n\t", at_), text_.size());
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void take(char expected) {
    if (skip() != expected) fail();
    ++at_;
  }
  [[noreturn]] void fail() const {
    throw Trouble("not JSON at byte " + std::to_string(at_) + ": " + text_);
  }

  const std::string& text_;
  std::size_t at_ = 0;
  std::map<std::string, double> numbers_;
};

}  // namespace

Named<double> numbers_of(const std::string& json) {
  Named<double> numbers{Json(json).read(), json};
  return numbers;
}

}  // namespace conformance
