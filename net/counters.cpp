#include "net/counters.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <system_error>

#include "net/fd.hpp"

namespace net {
namespace {

enum class Kind : std::uint8_t { call, asked, done, done_so_far };

struct Event {
  Kind kind = Kind::call;
  int fd = -1;
  const char* name = nullptr;  // but of what is done
  std::uint64_t id = 0;        // of what is asked and done
  std::int64_t result = 0;
  std::uint64_t at_ns = 0;
  std::uint64_t took_ns = 0;        // a call
  std::uint64_t off_ns = 0;         // of that, how long off the CPU
  std::uint64_t off_before_ns = 0;  // how long off the CPU since the last call

  // Of the last two: nobody has looked.
  static constexpr std::uint64_t unknown = -1;
};

std::uint64_t read_clock(clockid_t clock) {
  timespec time;
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

/// Whether it is looked how long a call that begins now is off the CPU. That
/// costs as much as all else that is recorded of it, so it is done for a
/// sixteenth of the time; all threads of all processes do it at the same time,
/// so that all parts of the same requests are known.
bool is_time_to_look(std::uint64_t now_ns) {
  constexpr std::uint64_t period_ns = 1 << 26;
  return now_ns % period_ns < period_ns / 16;
}

/// How long calls of one name take on this thread while they are awake; those
/// that hand something over to the kernel, and those that only wait for it, are
/// told apart. To look whether one has slept costs a system call, so it is not
/// done without cause.
struct Habit {
  // Who sleeps and is woken is away for longer than this.
  static constexpr std::uint64_t shortest_ns = 3'000, long_ns = 20'000;
  static constexpr unsigned sure = 16;

  const char* name;
  bool asks;
  unsigned awake = 0;  // calls in a row that were looked at and had not slept
  std::uint64_t longest_ns = 0;  // of them

  bool is_suspect(std::uint64_t took_ns) const {
    if (took_ns < shortest_ns) return false;
    return awake < sure || took_ns > std::min(2 * longest_ns, long_ns);
  }
  void learn(std::uint64_t took_ns, bool slept) {
    awake = slept ? 0 : awake + 1;
    longest_ns = slept ? 0 : std::max(longest_ns, took_ns);
  }
};

/// One thread's part of the timeline. It outlives the thread: what happened in
/// a short one is worth seeing too.
struct Timeline {
  static constexpr std::size_t chunk = 256;
  static constexpr std::size_t always_looked = 32;  // at its first events

  // Made as they are needed; the oldest is used again. Its thread writes and
  // then counts; write() reads what has been counted, the last events_max. One
  // chunk more, so that a call that ends meanwhile overwrites none of those.
  std::array<std::unique_ptr<Event[]>, trace::events_max / chunk + 1> events;
  std::atomic<std::size_t> count{0};
  int thread = 0;
  char name[16] = "";
  // Of the thread alone: its call, whether that hands something over, and
  // whether it is looked at; when the one before ended; the CPU clock when it
  // was last looked at.
  std::uint64_t began_ns = 0, returned_ns = 0, off_before_ns = 0, ended_ns = 0;
  bool asks = false, looks = true;
  std::uint64_t looked_ns = 0, cpu_ns = 0;
  std::vector<Habit> habits;

  /// From here on this thread's, whatever was in it.
  void start() {
    count.store(0, std::memory_order_relaxed);
    thread = static_cast<int>(::gettid());
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    habits.clear();
    looks = true;
    ended_ns = read_clock(CLOCK_MONOTONIC);
    look(ended_ns);
  }

  /// How long this thread was off the CPU since it last looked: its CPU clock
  /// stood still meanwhile. (The two clocks are not read at once.)
  std::uint64_t look(std::uint64_t now_ns) {
    constexpr std::uint64_t noise_ns = 1'000;
    const std::uint64_t cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
    const std::uint64_t passed = now_ns - std::exchange(looked_ns, now_ns);
    const std::uint64_t used = cpu - std::exchange(cpu_ns, cpu);
    return passed > used + noise_ns ? passed - used : 0;
  }

  /// A call begins: how long off the CPU since the one before. It may have
  /// slept for a lock, say, in a call that is not counted.
  std::uint64_t off_before(std::uint64_t now_ns) {
    const bool looked_before = looks;
    looks = count.load(std::memory_order_relaxed) < always_looked ||
            is_time_to_look(now_ns);
    if (looks && !looked_before) look(now_ns);
    if (now_ns - ended_ns <= Habit::shortest_ns) return 0;
    return looks && looked_before ? look(now_ns) : Event::unknown;
  }

  /// It ends: how long off the CPU in it, 0 if it was too short for that or as
  /// others that were awake, unknown if it may have been and nobody looks.
  std::uint64_t off(const char* call, std::uint64_t now_ns,
                    std::uint64_t took_ns) {
    auto habit = std::ranges::find_if(habits, [&](const Habit& known) {
      return known.name == call && known.asks == asks;
    });
    if (habit == habits.end())
      habit = habits.insert(habit, {.name = call, .asks = asks});
    if (!habit->is_suspect(took_ns)) return 0;
    if (!looks) return Event::unknown;
    const std::uint64_t off = std::min(look(now_ns), took_ns);
    habit->learn(took_ns, off > 0);
    return off;
  }

  void add(const Event& event) {
    const std::size_t n = count.load(std::memory_order_relaxed);
    auto& place = events[n / chunk % events.size()];
    if (!place) place = std::make_unique<Event[]>(chunk);
    place[n % chunk] = event;
    count.store(n + 1, std::memory_order_release);
  }
  const Event& at(std::size_t n) const {
    return events[n / chunk % events.size()][n % chunk];
  }
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
  std::deque<Timeline*> ended_timelines;  // who ended first is first
  Fd file;                                // of the trace

  /// Null if there is no memory. Room to give it back is made now.
  Cells* take() noexcept try {
    const std::scoped_lock lock(mutex);
    if (used.size() == used.capacity()) used.reserve(2 * used.size() + 1);
    if (unused.empty()) {
      if (unused.capacity() <= arrays.size())
        unused.reserve(2 * arrays.size() + 1);
      unused.push_back(&arrays.emplace_back());
    }
    used.push_back(unused.back());
    unused.pop_back();
    return used.back();
  } catch (const std::bad_alloc&) {
    return nullptr;
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

  /// A new one, or that of the thread which ended first of too many.
  Timeline& start_timeline() {
    const std::scoped_lock lock(mutex);
    const bool too_many = ended_timelines.size() == trace::ended_max;
    Timeline& line =
        too_many ? *ended_timelines.front() : timelines.emplace_back();
    if (too_many) ended_timelines.pop_front();
    line.start();
    return line;
  }

  void end(Timeline* line) {
    const std::scoped_lock lock(mutex);
    ended_timelines.push_back(line);
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

/// Calls made at the very end of a thread, after its cells have been folded,
/// are counted here, and those of threads for which there was no memory; two
/// threads at once might lose one.
constinit Cells shared_cells{};

/// Gives the cells of a thread that ends back. By a key, not by a thread_local
/// with a destructor: registering that takes memory, and the C library ends the
/// process where there is none.
struct AtThreadEnd {
  AtThreadEnd() {
    ::pthread_key_create(&key, [](void* cells) {
      own_cells = &shared_cells;
      registry().give_back(static_cast<Cells*>(cells));
    });
  }
  pthread_key_t key{};
};

constinit thread_local Timeline* own_timeline = nullptr;

struct TimelineOwner {
  ~TimelineOwner() { registry().end(std::exchange(own_timeline, nullptr)); }
};

Timeline& attach_timeline() {
  own_timeline = &registry().start_timeline();
  thread_local TimelineOwner owner;
  return *own_timeline;
}

Timeline& timeline() {
  return own_timeline ? *own_timeline : attach_timeline();
}

double us(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

/// The trace-event format, an event a line. Names are those of system calls and
/// of our own threads: nothing to escape.
class Printer {
 public:
  explicit Printer(std::FILE* file) : file_(file) {}

  void print_process() {
    std::fprintf(file_,
                 "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
                 "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,"
                 "\"args\":{\"name\":\"%s\"}}",
                 process_, program_invocation_short_name);
  }

  void print(Timeline& line) {
    thread_ = line.thread;
    asked_.clear();
    begin("thread_name", 'M', "process");
    std::fprintf(file_, ",\"args\":{\"name\":\"%s\"}}", line.name);
    const std::size_t end = line.count.load(std::memory_order_acquire);
    for (std::size_t i = end - std::min(end, trace::events_max); i < end; ++i) {
      const Event& event = line.at(i);
      event.kind == Kind::call ? print_call(event) : print_asked(event);
    }
  }

 private:
  void begin(const char* name, char phase, const char* category) {
    std::fprintf(file_,
                 ",\n{\"name\":\"%s\",\"ph\":\"%c\",\"cat\":\"%s\","
                 "\"pid\":%d,\"tid\":%d",
                 name, phase, category, process_, thread_);
  }

  void print_call(const Event& event) {
    begin(event.name, 'X', "call");
    std::fprintf(file_, ",\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"result\":%lld",
                 us(event.at_ns), us(event.took_ns),
                 static_cast<long long>(event.result));
    if (event.fd >= 0) std::fprintf(file_, ",\"fd\":%d", event.fd);
    print_off("asleep_us", event.off_ns);
    print_off("asleep_before_us", event.off_before_ns);
    std::fputs("}}", file_);
  }

  void print_off(const char* name, std::uint64_t ns) {
    if (ns == Event::unknown)
      std::fprintf(file_, ",\"%s\":null", name);
    else if (ns)
      std::fprintf(file_, ",\"%s\":%.3f", name, us(ns));
  }

  // What was asked before the oldest event that is kept is left out whole.
  void print_asked(const Event& event) {
    if (event.kind == Kind::asked) asked_[event.id] = &event;
    const auto asked = asked_.find(event.id);
    if (asked == asked_.end()) return;
    const char phase = event.kind == Kind::asked  ? 'b'
                       : event.kind == Kind::done ? 'e'
                                                  : 'n';
    begin(asked->second->name, phase, "asked");
    std::fprintf(file_, ",\"id\":\"%d.%llx\",\"ts\":%.3f,\"args\":{", thread_,
                 static_cast<unsigned long long>(event.id), us(event.at_ns));
    if (event.kind == Kind::asked)
      std::fprintf(file_, "\"fd\":%d}}", event.fd);
    else
      std::fprintf(file_, "\"result\":%lld}}",
                   static_cast<long long>(event.result));
  }

  std::FILE* const file_;
  const int process_ = ::getpid();
  int thread_ = 0;
  std::map<std::uint64_t, const Event*> asked_;
};

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
  static const AtThreadEnd at_end;
  own_cells = registry().take();
  if (own_cells && ::pthread_setspecific(at_end.key, own_cells) != 0)
    registry().give_back(std::exchange(own_cells, nullptr));
  if (!own_cells) own_cells = &shared_cells;
  return *own_cells;
}

std::uint64_t total(unsigned counter) {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  return all.total(counter) +
         shared_cells.count[counter].load(std::memory_order_relaxed);
}

std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix) {
  std::vector<std::pair<std::string, std::uint64_t>> found;
  std::vector<unsigned> counters;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const auto add = [&](const Cells& cells) {
    for (std::size_t i = 0; i < found.size(); ++i)
      found[i].second +=
          cells.count[counters[i]].load(std::memory_order_relaxed);
  };
  for (unsigned i = 0; i < all.names.size(); ++i)
    if (all.names[i].starts_with(prefix)) {
      found.emplace_back(all.names[i].substr(prefix.size()), 0);
      counters.push_back(i);
    }
  add(all.ended);
  add(shared_cells);
  // Thread by thread: one's cells lie together, and of 10 000 threads they fill
  // no cache.
  for (const Cells* cells : all.used) add(*cells);
  return found;
}

std::size_t counting_threads() {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  return all.used.size();
}

namespace trace {

constinit std::atomic<bool> on{false};

std::uint64_t begin() {
  Timeline& line = timeline();
  const std::uint64_t now = read_clock(CLOCK_MONOTONIC);
  line.off_before_ns = line.off_before(now);
  line.began_ns = now;
  line.returned_ns = 0;
  line.asks = false;
  return now;
}

int returned(int result) {
  timeline().returned_ns = read_clock(CLOCK_MONOTONIC);
  return result;
}

void end(const char* name, int fd, std::uint64_t began, std::int64_t result) {
  Timeline& line = timeline();
  const std::uint64_t now =
      line.returned_ns ? line.returned_ns : read_clock(CLOCK_MONOTONIC);
  const std::uint64_t took = now - began;
  const std::uint64_t off = line.off(name, now, took);
  line.ended_ns = now;
  line.add({.kind = Kind::call,
            .fd = fd,
            .name = name,
            .result = result,
            .at_ns = began,
            .took_ns = took,
            .off_ns = off,
            .off_before_ns = line.off_before_ns});
}

void ask(const char* name, std::uint64_t id, int fd) {
  Timeline& line = timeline();
  line.asks = true;
  line.add({.kind = Kind::asked,
            .fd = fd,
            .name = name,
            .id = id,
            .at_ns = line.began_ns});
}

void done(std::uint64_t id, std::int64_t result, bool more) {
  Timeline& line = timeline();
  line.add({.kind = more ? Kind::done_so_far : Kind::done,
            .id = id,
            .result = result,
            .at_ns = line.returned_ns ? line.returned_ns : line.began_ns});
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
  // Who has not ended by now records no more.
  if (!on.exchange(false)) return true;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const int fd = ::dup(all.file.get());
  std::FILE* file = fd < 0 ? nullptr : ::fdopen(fd, "w");
  if (!file) return false;
  Printer printer(file);
  printer.print_process();
  for (Timeline& line : all.timelines) printer.print(line);
  std::fputs("\n]}\n", file);
  const bool printed = std::ferror(file) == 0;
  return std::fclose(file) == 0 && printed;
}

}  // namespace trace
}  // namespace net
