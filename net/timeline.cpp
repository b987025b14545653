#include "net/timeline.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "net/clock.hpp"
#include "net/error.hpp"
#include "net/fd.hpp"

namespace net::trace {
namespace {

// ---- When a thread slept ----------------------------------------------------

/// For how long one thread was off the CPU. Two clocks tell: while it is off,
/// its CPU clock stands still and the clock on the wall goes on. So it is
/// looked at both from time to time: what has passed on the wall since the last
/// look, and has not passed on the CPU clock, was slept.
///
/// To look is a system call of its own, which takes as long as all else that is
/// done to record a call, and what is drawn grows by that. So there are two
/// rules. After a call, or a time between two, of up to 3 us nobody looks: who
/// falls asleep and is woken is away for longer, so the thread was awake. And
/// it looks during its first calls, and then for 4 of every 67 ms: what took
/// more than 3 us at another time is unknown. These 4 ms are the same in all
/// threads of all processes, so that all parts of the same requests are known.
///
/// In these 4 ms, for example (in microseconds):
///
///     wall  CPU
///     1000  310  the last look
///     1001       epoll_wait begins, 1 after the last call: awake
///     1021  316  it ends after 20, so a look: 21 have passed since the last
///                one, and 6 of them on the CPU clock: 15 were slept
///     1022       recv begins, 1 after that: awake
///     1024       it ends after 2: awake
///     1025       send begins, 1 after that: awake
///     1033  327  it ends after 8, so a look: 12 have passed since the last
///                one, and 11 of them on the CPU clock. Two clocks that are not
///                read at once agree no better: awake
class Sleep {
 public:
  // Longer than 3 us, and nobody has looked.
  static constexpr std::int64_t unknown = -1;

  /// The thread that calls begins now.
  Sleep() { look(); }

  /// A call begins: for how long the thread was off the CPU since the last one
  /// ended (it may have slept for a lock, in a call that nobody counts). Where
  /// the time to look begins, the first look has nothing to be compared with.
  std::int64_t before_call(std::int64_t now_ns) {
    constexpr std::int64_t period_ns = 1 << 26;
    const bool is_time = now_ns % period_ns < period_ns / 16;
    const bool looked = std::exchange(looks_, is_time || calls_ < first_calls);
    if (looks_ && !looked) look();
    return asleep(now_ns - ended_ns_, looks_ && looked);
  }

  /// It ends, after so long: for how long it was off the CPU.
  std::int64_t in_call(std::int64_t took_ns, std::int64_t now_ns) {
    ended_ns_ = now_ns;
    ++calls_;
    return asleep(took_ns, looks_);
  }

 private:
  static constexpr std::uint64_t first_calls = 32;

  std::int64_t asleep(std::int64_t took_ns, bool known) {
    constexpr std::int64_t shortest_ns = 3'000;
    if (took_ns <= shortest_ns) return 0;
    return known ? std::min(look(), took_ns) : unknown;
  }

  // Both are read here, the one on the wall behind the other. The system call
  // takes some microseconds where caches are cold, as they are after a sleep:
  // if the call's own end stood for the wall, they would count as slept later.
  std::int64_t look() {
    constexpr std::int64_t apart_ns = 1'000;  // the two are not read at once
    const std::int64_t cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
    const std::int64_t wall = read_clock(CLOCK_MONOTONIC);
    const std::int64_t used = cpu - std::exchange(cpu_ns_, cpu);
    const std::int64_t passed = wall - std::exchange(wall_ns_, wall);
    return passed > used + apart_ns ? passed - used : 0;
  }

  std::int64_t cpu_ns_ = 0, wall_ns_ = 0;  // the two clocks at the last look
  std::int64_t ended_ns_ = read_clock(CLOCK_MONOTONIC);  // the last call
  std::uint64_t calls_ = 0;                              // that have ended
  bool looks_ = true;
};

// ---- What the threads record ------------------------------------------------

/// By the letters of the trace-event format.
enum class Kind : char { call = 'X', asked = 'b', more = 'n', done = 'e' };

struct Event {
  Kind kind = Kind::call;
  int fd = -1;
  const char* name = nullptr;  // but of what is done
  std::uint64_t id = 0;        // of what is asked and done
  std::int64_t result = 0;
  std::int64_t at_ns = 0;
  // Of a call; the last two are as Sleep tells them.
  std::int64_t took_ns = 0, asleep_ns = 0, asleep_before_ns = 0;
};

/// One thread's part of the timeline. It outlives the thread: what happened in
/// a short one is worth seeing too.
struct Timeline {
  static constexpr std::size_t chunk = 256;

  // Made as they are needed; the oldest is used again. Its thread writes and
  // then counts; write() reads what has been counted, the last events_max. One
  // chunk more, so that a call that ends meanwhile overwrites none of those.
  std::array<std::unique_ptr<Event[]>, events_max / chunk + 1> events;
  std::atomic<std::size_t> count{0};
  int thread = 0;
  char name[16] = "";
  // Of the thread alone, of its call: when that began and returned (0: its end
  // will tell), and how long the thread had slept before.
  std::int64_t began_ns = 0, returned_ns = 0, asleep_before_ns = 0;
  Sleep sleep;

  /// From here on this thread's, whatever was in it.
  void start() {
    count.store(0, std::memory_order_relaxed);
    thread = static_cast<int>(::gettid());
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    sleep = Sleep();
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

/// All of the process.
struct Timelines {
  std::mutex mutex;
  std::deque<Timeline> lines;
  std::deque<Timeline*> ended;  // who ended first is first
  Fd file;

  /// A new one, or that of the thread which ended first of too many.
  Timeline& start() {
    const std::scoped_lock lock(mutex);
    const bool too_many = ended.size() == ended_max;
    Timeline& line = too_many ? *ended.front() : lines.emplace_back();
    if (too_many) ended.pop_front();
    line.start();
    return line;
  }
};

/// Never destroyed: threads may still record while the process ends.
Timelines& timelines() {
  static Timelines& only = *new Timelines;
  return only;
}

constinit thread_local Timeline* own_timeline = nullptr;

struct Owner {
  ~Owner() {
    const std::scoped_lock lock(timelines().mutex);
    timelines().ended.push_back(std::exchange(own_timeline, nullptr));
  }
};

Timeline& timeline() {
  if (!own_timeline) {
    own_timeline = &timelines().start();
    thread_local Owner owner;
  }
  return *own_timeline;
}

// ---- The file ---------------------------------------------------------------

double us(std::int64_t ns) { return static_cast<double>(ns) / 1e3; }

/// The trace-event format, an event a line. Names are those of system calls and
/// of our own threads: nothing to escape.
class Printer {
 public:
  explicit Printer(std::FILE* file) : file_(file) {}

  void begin() {
    std::fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", file_);
    print_name();
  }
  void print(const std::deque<Timeline>& lines) {
    for (const Timeline& line : lines) print_thread(line);
  }
  void end() { std::fputs("\n]}\n", file_); }

  /// A child's.
  void print_process(const std::deque<Timeline>& lines) {
    std::fputs(",\n", file_);
    print_name();
    print(lines);
  }

 private:
  void print_name() {
    std::fprintf(file_,
                 "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,"
                 "\"args\":{\"name\":\"%s\"}}",
                 process_, program_invocation_short_name);
  }

  void print_thread(const Timeline& line) {
    thread_ = line.thread;
    asked_.clear();
    begin("thread_name", 'M', "process");
    std::fprintf(file_, ",\"args\":{\"name\":\"%s\"}}", line.name);
    const std::size_t end = line.count.load(std::memory_order_acquire);
    for (std::size_t i = end - std::min(end, events_max); i < end; ++i) {
      const Event& event = line.at(i);
      event.kind == Kind::call ? print_call(event) : print_asked(event);
    }
  }

  void begin(const char* name, char phase, const char* category) {
    std::fprintf(file_,
                 ",\n{\"name\":\"%s\",\"ph\":\"%c\",\"cat\":\"%s\","
                 "\"pid\":%d,\"tid\":%d",
                 name, phase, category, process_, thread_);
  }

  void print_call(const Event& event) {
    begin(event.name, std::to_underlying(event.kind), "call");
    std::fprintf(file_,
                 ",\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"result\":%" PRId64,
                 us(event.at_ns), us(event.took_ns), event.result);
    if (event.fd >= 0) std::fprintf(file_, ",\"fd\":%d", event.fd);
    print_asleep("asleep_us", event.asleep_ns);
    print_asleep("asleep_before_us", event.asleep_before_ns);
    std::fputs("}}", file_);
  }

  void print_asleep(const char* name, std::int64_t ns) {
    if (ns == Sleep::unknown)
      std::fprintf(file_, ",\"%s\":null", name);
    else if (ns)
      std::fprintf(file_, ",\"%s\":%.3f", name, us(ns));
  }

  // What was asked before the oldest event that is kept is left out whole.
  void print_asked(const Event& event) {
    if (event.kind == Kind::asked) asked_[event.id] = &event;
    const auto asked = asked_.find(event.id);
    if (asked == asked_.end()) return;
    begin(asked->second->name, std::to_underlying(event.kind), "asked");
    std::fprintf(file_, ",\"id\":\"%d.%" PRIx64 "\",\"ts\":%.3f,\"args\":{",
                 thread_, event.id, us(event.at_ns));
    if (event.kind == Kind::asked)
      std::fprintf(file_, "\"fd\":%d}}", event.fd);
    else
      std::fprintf(file_, "\"result\":%" PRId64 "}}", event.result);
  }

  std::FILE* const file_;
  const int process_ = ::getpid();
  int thread_ = 0;
  std::map<std::uint64_t, const Event*> asked_;
};

/// Appends to the file. False if that could not be done. Processes take turns.
template <class Print>
bool print(Print what) {
  const int fd = ::fcntl(timelines().file.get(), F_DUPFD_CLOEXEC, 0);
  std::FILE* file = fd < 0 ? nullptr : ::fdopen(fd, "w");
  if (!file) return false;
  while (::lockf(fd, F_LOCK, 0) != 0 && errno == EINTR) {
  }
  Printer printer(file);
  what(printer);
  // Closing any descriptor of the file releases the lock (fcntl_locking(2)).
  const bool printed = std::ferror(file) == 0;
  return std::fclose(file) == 0 && printed;
}

}  // namespace

constinit std::atomic<bool> on{false};

std::int64_t begin() {
  Timeline& line = timeline();
  line.began_ns = read_clock(CLOCK_MONOTONIC);
  line.returned_ns = 0;
  line.asleep_before_ns = line.sleep.before_call(line.began_ns);
  return line.began_ns;
}

int returned(int result) {
  timeline().returned_ns = read_clock(CLOCK_MONOTONIC);
  return result;
}

void end(const char* name, int fd, std::int64_t began, std::int64_t result) {
  Timeline& line = timeline();
  const std::int64_t now =
      line.returned_ns ? line.returned_ns : read_clock(CLOCK_MONOTONIC);
  line.add({.kind = Kind::call,
            .fd = fd,
            .name = name,
            .result = result,
            .at_ns = began,
            .took_ns = now - began,
            .asleep_ns = line.sleep.in_call(now - began, now),
            .asleep_before_ns = line.asleep_before_ns});
}

void ask(const char* name, std::uint64_t id, int fd) {
  Timeline& line = timeline();
  line.add({.kind = Kind::asked,
            .fd = fd,
            .name = name,
            .id = id,
            .at_ns = line.began_ns});
}

void done(std::uint64_t id, std::int64_t result, bool more) {
  Timeline& line = timeline();
  line.add({.kind = more ? Kind::more : Kind::done,
            .id = id,
            .result = result,
            .at_ns = line.returned_ns ? line.returned_ns : line.began_ns});
}

// The file is opened at the start, when a wrong name can still be reported.
void to(const std::string& file) {
  Fd opened(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!opened) fail(errno, "open " + file);
  timelines().file = std::move(opened);
  on.store(true, std::memory_order_relaxed);
  print([](Printer& printer) { printer.begin(); });
}

void begin_child() {
  if (!on) return;
  Timelines& all = timelines();
  own_timeline = nullptr;
  all.ended.clear();
  all.lines.clear();
}

void end_child() {
  if (!on.exchange(false)) return;
  // So much is enough, of a server that goes on for days.
  constexpr off_t enough = 64 << 20;
  print([](Printer& printer) {
    if (const Fd& file = timelines().file;
        file && ::lseek(file.get(), 0, SEEK_CUR) < enough)
      printer.print_process(timelines().lines);
  });
}

bool write() {
  // Who has not ended by now records no more.
  if (!on.exchange(false)) return true;
  Timelines& all = timelines();
  const std::scoped_lock lock(all.mutex);
  return print([&](Printer& printer) {
    printer.print(all.lines);
    printer.end();
  });
}

}  // namespace net::trace
