// A store that a child process shares is whole after the child was killed
// inside it: at every call that it makes, at every instruction, at any time.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/shared_memory.hpp"
#include "node/store.hpp"
#include "tests/node/thread_lock.hpp"

namespace node {
namespace {

using Map = std::map<std::string, std::string>;

/// Kills the process at the n-th call of its lock.
class Fuse {
 public:
  void burn_in(int places) { left_ = places; }
  void place() {
    if (left_ > 0 && --left_ == 0) ::kill(::getpid(), SIGKILL);
  }

 private:
  int left_ = 0;
};

class FusedLock final : public protocol::Lock {
 public:
  FusedLock(protocol::Lock& lock, Fuse& fuse) : lock_(lock), fuse_(fuse) {}
  bool lock() override {
    fuse_.place();
    const bool died = lock_.lock();
    deaths += died ? 1 : 0;
    fuse_.place();
    return died;
  }
  void unlock() noexcept override {
    fuse_.place();
    lock_.unlock();
    fuse_.place();
  }

  int deaths = 0;  // that were reported to this process

 private:
  protocol::Lock& lock_;
  Fuse& fuse_;
};

std::uint16_t slot_of(std::string_view key) {
  return static_cast<std::uint16_t>(key.size());
}

struct Shared {
  explicit Shared(Store::SlotOf slot_of = node::slot_of)
      : store(shared.resource(), lock, bytes_max, {}, std::move(slot_of)) {}

  static constexpr std::size_t bytes_max = 256 << 10;

  Fuse fuse;
  net::SharedMemory shared{Store::region_size(bytes_max) + 4096};
  net::RobustLock robust{shared.resource()};
  FusedLock lock{robust, fuse};
  /// How far the child has come.
  std::atomic<int>& done =
      *std::pmr::polymorphic_allocator<>(&shared.resource())
           .new_object<std::atomic<int>>(0);
  Store store;
};

/// Runs in a child and returns its process id. The child never returns.
pid_t run(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  work();
  ::_exit(0);
}

/// How the child ended: true if it was killed, false if it had finished.
bool was_killed(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status)) {
    EXPECT_EQ(WEXITSTATUS(status), 0);
    return false;
  }
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return true;
}

/// All the keys that are used here.
const std::vector<std::string>& all_keys() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> keys = {"new", "a", "b", "full", "key", "probe"};
    for (int i = 0; i < 100; ++i) keys.push_back(std::to_string(i));
    return keys;
  }();
  return all;
}

Map content(const Store& store) {
  Map all;
  for (const auto& key : all_keys())
    store.get(key, [&](const Store::Value& value) {
      std::string& copy = all[key];
      value.each_piece([&](std::string_view piece) { copy += piece; });
    });
  EXPECT_EQ(store.size(), all.size());
  return all;
}

/// The sums are those of a store that was never harmed, no cell is lost and
/// none is both free and in use.
void expect_whole(Store& store, std::uint16_t slots = 8) {
  const auto all = content(store);
  ThreadLock lock;
  Store fresh(*std::pmr::new_delete_resource(), lock, store.bytes_max(), {},
              slots == 0 ? nullptr : slot_of);
  for (const auto& [key, value] : all) fresh.set(key, value);
  EXPECT_EQ(store.bytes_used(), fresh.bytes_used());
  for (std::uint16_t slot = 0; slot < slots; ++slot)
    EXPECT_EQ(store.size_of_slot(slot), fresh.size_of_slot(slot)) << slot;
  // Both are filled to the last cell.
  std::vector<std::string> fillers;
  for (const std::size_t size : {100, 20}) {
    for (;;) {
      const auto key = "filler " + std::to_string(fillers.size());
      const auto set = store.set(key, std::string(size, '~'));
      ASSERT_EQ(set, fresh.set(key, std::string(size, '~')));
      if (set != Store::Set::done) break;
      fillers.push_back(key);
    }
  }
  EXPECT_EQ(store.bytes_used(), store.bytes_max() / 68 * 68);
  for (const auto& key : fillers) ASSERT_TRUE(store.erase(key));
  EXPECT_TRUE(content(store) == all);
}

/// One step of the children's work, and what it does to a map.
struct Step {
  std::function<void(Store&)> work;
  std::function<void(Map&)> model;
};

Step setting(const std::string& key, const std::string& value) {
  return {[=](Store& store) { store.set(key, value); },
          [=](Map& map) { map[key] = value; }};
}

const std::vector<Step>& steps() {
  static const std::vector<Step> all = {
      setting("new", "value"),
      setting("a", "as long as b"),
      setting("a", "as long as c"),
      setting("a", std::string(5000, 'l')),  // another size
      setting("a", std::string(9000, 'm')),
      {[](Store& store) { store.erase("b"); },
       [](Map& map) { map.erase("b"); }},
      setting("full", std::string(220'000, 'f')),
      {[](Store& store) { store.clear(); }, [](Map& map) { map.clear(); }},
  };
  return all;
}

Map model_after(int done) {
  Map map = {{"a", "one"}, {"b", "two"}};
  for (int i = 0; i < done; ++i)
    steps()[static_cast<std::size_t>(i)].model(map);
  return map;
}

// Returns false when the child ends before its fuse does.
bool dies_at(int place) {
  Shared shared;
  shared.store.set("a", "one");
  shared.store.set("b", "two");
  const bool killed = was_killed(run([&] {
    shared.fuse.burn_in(place);
    for (const auto& step : steps()) {
      step.work(shared.store);
      ++shared.done;
    }
  }));
  if (!killed) return false;
  const int done = shared.done;
  const auto found = content(shared.store);
  EXPECT_TRUE(found == model_after(done) || found == model_after(done + 1));
  expect_whole(shared.store);
  EXPECT_LE(shared.lock.deaths, 1);
  return true;
}

TEST(StoreDeath, AtEachCallOfTheLockLeavesTheOldOrTheNew) {
  int place = 1;
  while (dies_at(place)) ++place;
  EXPECT_GT(place, 30) << "the fuse did not reach the calls";
}

// The recount that a death causes is interrupted by a death itself.
TEST(StoreDeath, OfTheNextOwnerIsReportedAgain) {
  Shared shared;
  for (int i = 0; i < 100; ++i) shared.store.set(std::to_string(i), "value");
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(was_killed(run([&] {
      shared.fuse.burn_in(2);  // as soon as it has the lock
      shared.store.set("0", "other");
    })));
  EXPECT_EQ(shared.store.size(), 100u);
  EXPECT_EQ(shared.lock.deaths, 1);
  EXPECT_EQ(shared.store.size(), 100u);
  EXPECT_EQ(shared.lock.deaths, 1) << "reported to one owner only";
  expect_whole(shared.store);
}

// ---- at an instruction

/// A child that is traced and waits at the beginning of its work; none if this
/// process may not trace.
pid_t traced(const std::function<void()>& work) {
  const pid_t child = run([&] {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
    ::raise(SIGSTOP);
    work();
  });
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSTOPPED(status) ? child : 0;
}

/// Goes so many instructions on; false when the child has ended before.
bool step(pid_t child, long instructions) {
  for (long i = 0; i < instructions; ++i) {
    int status = 0;
    ::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return false;
  }
  return true;
}

using Work = std::function<void(Shared&)>;

/// Does `before`, and in a traced child `work`. Without slots: to empty 16384
/// counts would be most of the work's instructions.
struct Worker : Shared {
  Worker(const Work& before, const Work& work) : Shared(nullptr) {
    before(*this);
    child = traced([&] {
      work(*this);
      done = 1;
    });
  }
  void kill() {
    ::kill(child, SIGKILL);
    EXPECT_TRUE(was_killed(child));
  }
  pid_t child = 0;
};

// The number of the work's instructions; 0 if it cannot be traced.
long length(const Work& before, const Work& work) {
  Worker worker(before, work);
  if (worker.child == 0) return 0;
  long count = 0;
  while (worker.done == 0 && step(worker.child, 1)) ++count;
  worker.kill();
  return count;
}

// Kills the work at instructions that are evenly spread over it. Each death
// costs as many stops as there are instructions before it: as many deaths as
// 60 000 stops are enough for, at least 12, or 4 where there is less time.
void kill_at_any_instruction(const Work& before, const Work& work,
                             const std::function<void(const Map&)>& check) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "most instructions are TSan's own, and never as many again";
#endif
  const long count = length(before, work);
  if (count == 0) GTEST_SKIP() << "ptrace(2) is refused here";
  const long deaths = std::getenv("SAMPLED") != nullptr ? 4 : 12;
  const long distance =
      std::min(count / deaths, std::max(1l, count * count / 120'000)) | 1;
  for (long at = count - 1; at > 0; at -= distance) {
    Worker worker(before, work);
    ASSERT_TRUE(step(worker.child, at));
    worker.kill();
    check(content(worker.store));
    expect_whole(worker.store, 0);
    if (testing::Test::HasFailure()) FAIL() << "killed at " << at;
  }
}

// Another value of the same size is stored, then one of another size.
TEST(StoreDeath, AtAnyInstructionLeavesTheOldOrTheNew) {
  const std::string values[] = {std::string(40, '1'), std::string(40, '2'),
                                std::string(90, '3')};
  bool seen[3] = {};
  kill_at_any_instruction(
      [&](Shared& shared) { shared.store.set("key", values[0]); },
      [&](Shared& shared) {
        shared.store.set("key", values[1]);
        shared.store.set("key", values[2]);
      },
      [&](const Map& found) {
        const auto which = std::ranges::find(values, found.at("key"));
        ASSERT_NE(which, std::end(values)) << found.at("key");
        seen[which - values] = true;
      });
  EXPECT_TRUE(IsSkipped() || (seen[0] && seen[1] && seen[2]));
}

// All is gone at once, and what was of the old table is not in the new one.
TEST(StoreDeath, AtAnyInstructionOfAClearLeavesAllOrNothing) {
  kill_at_any_instruction(
      [](Shared& shared) {
        for (int i = 0; i < 50; ++i) shared.store.set(std::to_string(i), "old");
      },
      [](Shared& shared) {
        shared.store.clear();
        shared.store.set("new", "value");
      },
      [](const Map& found) {
        EXPECT_TRUE(found.size() == 50 || found.empty() ||
                    found == Map({{"new", "value"}}));
      });
}

// Who puts right what a death has left can die of it, too.
TEST(StoreDeath, AtAnyInstructionOfPuttingItRightLosesNothing) {
  kill_at_any_instruction(
      [](Shared& shared) {
        for (int i = 0; i < 9; ++i) shared.store.set(std::to_string(i), "old");
        for (int i = 0; i < 9; i += 2) shared.store.erase(std::to_string(i));
        EXPECT_TRUE(was_killed(run([&] {
          shared.fuse.burn_in(3);  // when it is done, before it says so
          shared.store.set("0", std::string(500, 'x'));
        })));
      },
      [](Shared& shared) { static_cast<void>(shared.store.size()); },
      [](const Map& found) { EXPECT_EQ(found.size(), 5u); });
}

// ---- at any time

// Values tell how they were made: every byte of one is the same.
bool is_whole(const std::string& value) {
  return value.find_first_not_of(value.front()) == value.npos;
}

void set_for_ever(Shared& shared, unsigned seed) {
  std::mt19937 random(seed);
  for (;;) {
    const auto key = std::to_string(random() % 50);
    const auto size = 1 + random() % (random() % 10 == 0 ? 20'000 : 200);
    if (random() % 20 == 0)
      shared.store.erase(key);
    else
      shared.store.set(
          key, std::string(size, static_cast<char>('a' + random() % 26)));
    ++shared.done;
  }
}

TEST(StoreDeath, AtAnyTimeLeavesAStoreThatOthersGoOnUsing) {
  Shared shared;
  std::mt19937 random(1);
  for (unsigned round = 0; round < 40; ++round) {
    const int until = shared.done + 1 + static_cast<int>(random() % 300);
    const pid_t children[] = {run([&] { set_for_ever(shared, round); }),
                              run([&] { set_for_ever(shared, round + 1000); })};
    while (shared.done < until) std::this_thread::yield();
    for (const pid_t child : children) ::kill(child, SIGKILL);
    for (const pid_t child : children) EXPECT_TRUE(was_killed(child));
    for (const auto& [key, value] : content(shared.store))
      ASSERT_TRUE(is_whole(value)) << key;
    // No cell is lost by any number of deaths.
    expect_whole(shared.store);
    if (HasFailure()) return;
  }
  EXPECT_GT(shared.lock.deaths, 0) << "nobody ever died inside the store";
}

}  // namespace
}  // namespace node
