#include "net/counters.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>

#include "net/fd.hpp"

namespace net {
namespace {

struct Event {
  std::uint64_t began_ns;
  std::uint64_t took_ns;
  std::int64_t result;
  unsigned counter;
};

/// One thread's part of the timeline. It outlives the thread: what happened in
/// a short one is worth seeing too.
struct Timeline {
  std::mutex mutex;  // its thread against write()
  std::vector<Event> events;
  std::size_t oldest = 0;  // once there are events_max of them
  int thread = 0;
  char name[16] = "";
};

/// Names, cells and timelines of the process.
struct Registry {
  std::mutex mutex;
  std::vector<std::string> names;
  // All arrays of cells come from here and from nowhere else, so this is the
  // place to change when forked children have to share them. A deque does not
  // move what it holds.
  std::deque<Cells> arrays;
  std::vector<Cells*> used, unused;
  Cells ended{};  // what threads that have ended had counted
  std::deque<Timeline> timelines;
  Fd file;  // of the trace

  Cells* take() {
    const std::scoped_lock lock(mutex);
    if (unused.empty()) unused.push_back(&arrays.emplace_back());
    used.push_back(unused.back());
    unused.pop_back();
    return used.back();
  }

  void give_back(Cells* cells) {
    const std::scoped_lock lock(mutex);
    for (unsigned i = 0; i < counters_max; ++i) {
      ended.add(i, cells->count[i].load(std::memory_order_relaxed));
      cells->count[i].store(0, std::memory_order_relaxed);
    }
    std::erase(used, cells);
    unused.push_back(cells);
  }

  std::uint64_t total(unsigned counter) const {  // the mutex is held
    auto sum = ended.count[counter].load(std::memory_order_relaxed);
    for (const Cells* cells : used)
      sum += cells->count[counter].load(std::memory_order_relaxed);
    return sum;
  }
};

/// Made by whoever registers first, before main, and never destroyed: threads
/// may still count while the process ends.
Registry& registry() {
  static Registry& only = *new Registry;
  return only;
}

/// Calls made while a thread's locals are being destroyed, after its cells have
/// been folded, are counted here; two threads at once might lose one.
Cells& late_cells() {
  static Cells& only = *new Cells{};
  return only;
}

/// Gives the cells back when the thread ends.
struct Owner {
  Owner() { own_cells = registry().take(); }
  ~Owner() { registry().give_back(std::exchange(own_cells, &late_cells())); }
};

constinit thread_local Timeline* own_timeline = nullptr;

Timeline& attach_timeline() {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  own_timeline = &all.timelines.emplace_back();
  own_timeline->thread = static_cast<int>(::gettid());
  ::pthread_getname_np(::pthread_self(), own_timeline->name,
                       sizeof own_timeline->name);
  return *own_timeline;
}

void print_event(std::FILE* file, const Registry& all, const Timeline& line,
                 const Event& event) {
  // The names are those of counters, without their prefix: nothing to escape.
  const std::string& name = all.names[event.counter];
  std::fprintf(file,
               ",\n{\"name\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,"
               "\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"result\":%lld}}",
               name.c_str() + name.find('.') + 1, ::getpid(), line.thread,
               static_cast<double>(event.began_ns) / 1e3,
               static_cast<double>(event.took_ns) / 1e3,
               static_cast<long long>(event.result));
}

void print_timeline(std::FILE* file, const Registry& all, Timeline& line) {
  const std::scoped_lock lock(line.mutex);
  std::fprintf(file,
               ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,"
               "\"tid\":%d,\"args\":{\"name\":\"%s\"}}",
               ::getpid(), line.thread, line.name);
  const std::size_t n = line.events.size();
  for (std::size_t i = 0; i < n; ++i)
    print_event(file, all, line, line.events[(line.oldest + i) % n]);
}

}  // namespace

constinit thread_local Cells* own_cells = nullptr;

unsigned counter(std::string_view prefix, std::string_view name) {
  std::string whole(prefix);
  whole += name;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const auto known = std::ranges::find(all.names, whole);
  const auto index = static_cast<unsigned>(known - all.names.begin());
  if (known != all.names.end()) return index;
  if (index == counters_max) throw std::length_error("too many counters");
  all.names.push_back(std::move(whole));
  return index;
}

Cells& attach_cells() {
  thread_local Owner owner;
  return *own_cells;
}

std::uint64_t total(unsigned counter) {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  return all.total(counter) +
         late_cells().count[counter].load(std::memory_order_relaxed);
}

std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix) {
  std::vector<std::pair<std::string, std::uint64_t>> found;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  for (unsigned i = 0; i < all.names.size(); ++i) {
    if (!all.names[i].starts_with(prefix)) continue;
    const auto late = late_cells().count[i].load(std::memory_order_relaxed);
    found.emplace_back(all.names[i].substr(prefix.size()), all.total(i) + late);
  }
  return found;
}

namespace trace {

constinit std::atomic<bool> on{false};

std::uint64_t now() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void record(unsigned counter, std::uint64_t began, std::int64_t result) {
  Timeline& line = own_timeline ? *own_timeline : attach_timeline();
  const Event event{began, now() - began, result, counter};
  const std::scoped_lock lock(line.mutex);
  if (line.events.size() < events_max) {
    line.events.push_back(event);
  } else {
    line.events[line.oldest] = event;
    line.oldest = (line.oldest + 1) % events_max;
  }
}

// The file is opened at the start, when a wrong name can still be reported.
void to(const std::string& file) {
  Fd opened(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!opened)
    throw std::system_error(errno, std::generic_category(), "open " + file);
  registry().file = std::move(opened);
  on.store(true, std::memory_order_relaxed);
}

bool write() {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const int fd = ::dup(all.file.get());
  std::FILE* file = fd < 0 ? nullptr : ::fdopen(fd, "w");
  if (!file) return false;
  std::fprintf(file,
               "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
               "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,"
               "\"args\":{\"name\":\"%s\"}}",
               ::getpid(), program_invocation_short_name);
  for (Timeline& line : all.timelines) print_timeline(file, all, line);
  std::fputs("\n]}\n", file);
  const bool printed = std::ferror(file) == 0;
  return std::fclose(file) == 0 && printed;
}

}  // namespace trace
}  // namespace net
