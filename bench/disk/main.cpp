// Reads blocks of a file in one way, checks every byte, and says in one JSON
// line what that took. bench/files calls it:
//   disk-<way> FILE random|sequential direct|cached|cold BLOCK DEPTH READS
//   FILES
// `direct`: past the page cache. `cached`: all of it was read before. `cold`:
// the kernel was asked to drop it from the page cache. FILES: how often the
// file is opened. Exit code 77 where that cannot be had here.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/disk/disk.hpp"
#include "net/counters.hpp"
#include "net/fd.hpp"

namespace {

using Clock = std::chrono::steady_clock;

int threads = 0;

/// The number behind a name in a file of /proc; 0 if there is none.
std::uint64_t number_in(const char* file, std::string_view name) {
  std::ifstream text(file);
  std::string word;
  std::uint64_t value = 0;
  while (text >> word)
    if (word == name && text >> value) return value;
  return 0;
}

struct Spent {
  double cpu_us;
  long switches;
  std::uint64_t read_calls;  // of all threads, the library's too

  static Spent now() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto us = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e6 +
             static_cast<double>(time.tv_usec);
    };
    return {us(used.ru_utime) + us(used.ru_stime),
            used.ru_nvcsw + used.ru_nivcsw,
            number_in("/proc/self/io", "syscr:")};
  }
  Spent operator-(const Spent& before) const {
    return {cpu_us - before.cpu_us, switches - before.switches,
            read_calls - before.read_calls};
  }
};

int usage() {
  std::fputs(
      "usage: disk-<way> FILE random|sequential direct|cached|cold\n"
      "       BLOCK DEPTH READS FILES\n",
      stderr);
  return 2;
}

struct Asked {
  const char* file;
  std::string_view mode;
  std::uint64_t opened;
  disk::Task task{};
};

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

/// Has the page cache hold all of it, or nothing.
void prepare(int file, bool cached) {
  std::vector<std::byte> room(1 << 20);
  off_t at = 0;
  ::fdatasync(file);
  if (!cached) {
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    return;
  }
  for (;;) {
    const ssize_t n = ::pread(file, room.data(), room.size(), at);
    if (n <= 0) return;
    at += n;
  }
}

net::Fd open_file(const char* name, bool direct) {
  net::Fd file(::open(name, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0)));
  if (!file && errno == EINVAL) disk::skip("open with O_DIRECT", errno);
  if (!file) net::fail(errno, std::string("open ") + name);
  return file;
}

void print(const disk::Task& task, double seconds, const Spent& used) {
  std::printf(
      "{\"reads\":%llu,\"seconds\":%.6f,\"cpu_us\":%.3f,\"switches\":%ld,"
      "\"threads\":%d,\"read_calls\":%llu,\"calls\":{",
      static_cast<unsigned long long>(task.reads), seconds, used.cpu_us,
      used.switches, threads, static_cast<unsigned long long>(used.read_calls));
  const char* comma = "";
  for (const char* kind : {"sys.", "lib."})
    for (const auto& [name, count] : net::totals(kind))
      if (count != 0 && name != "close") {
        std::printf("%s\"%s\":%llu", comma, name.c_str(),
                    static_cast<unsigned long long>(count));
        comma = ",";
      }
  std::puts("}}");
}

}  // namespace

void disk::Task::halfway() {
  threads = static_cast<int>(number_in("/proc/self/status", "Threads:"));
}

namespace {

/// Nothing if it is not understood.
std::optional<Asked> parse(char** words) {
  const std::string_view order = words[2], mode = words[3];
  Asked asked{.file = words[1], .mode = mode, .opened = number(words[7])};
  asked.task.random = order == "random";
  asked.task.block = number(words[4]);
  asked.task.depth = static_cast<unsigned>(number(words[5]));
  asked.task.reads = number(words[6]);
  const bool known = (order == "random" || order == "sequential") &&
                     (mode == "direct" || mode == "cached" || mode == "cold");
  if (!known || !asked.task.block || asked.task.block % 4096 ||
      !asked.task.depth || !asked.task.reads || !asked.opened)
    return std::nullopt;
  return asked;
}

int read(Asked asked) {
  std::vector<net::Fd> files;
  std::vector<int> numbers;
  for (std::uint64_t i = 0; i < asked.opened; ++i) {
    files.push_back(open_file(asked.file, asked.mode == "direct"));
    numbers.push_back(files.back().get());
  }
  struct stat about;
  net::check(::fstat(numbers[0], &about), "fstat");
  asked.task.files = numbers;
  asked.task.blocks =
      static_cast<std::uint64_t>(about.st_size) / asked.task.block;
  if (asked.task.blocks == 0) return usage();
  prepare(numbers[0], asked.mode == "cached");
  const Spent before = Spent::now();
  const Clock::time_point began = Clock::now();
  disk::read_all(asked.task);
  const std::chrono::duration<double> took = Clock::now() - began;
  print(asked.task, took.count(), Spent::now() - before);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const auto asked = count == 8 ? parse(words) : std::nullopt;
  if (!asked) return usage();
  try {
    return read(*asked);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
