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
#include <vector>

#include "net/shared_memory.hpp"
#include "node/store.hpp"

namespace node {
namespace {

using Map = std::map<std::string, std::string>;

/// Kills the process at the n-th place at which it could be stopped here.
/// Shared by memory and lock, so that n goes through all of their calls.
class Fuse {
 public:
  void burn_in(int places) { left_ = places; }
  void place() {
    if (left_ > 0 && --left_ == 0) ::kill(::getpid(), SIGKILL);
  }

 private:
  int left_ = 0;
};

class FusedMemory final : public std::pmr::memory_resource {
 public:
  FusedMemory(std::pmr::memory_resource& memory, Fuse& fuse)
      : memory_(memory), fuse_(fuse) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    fuse_.place();
    void* const block = memory_.allocate(bytes, alignment);
    fuse_.place();
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes,
                     std::size_t alignment) override {
    fuse_.place();
    memory_.deallocate(block, bytes, alignment);
    fuse_.place();
  }
  bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource& memory_;
  Fuse& fuse_;
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

struct Shared {
  Fuse fuse;
  net::SharedMemory shared{8 << 20};
  net::RobustLock robust{shared};
  FusedMemory memory{shared, fuse};
  FusedLock lock{robust, fuse};
  Store store{memory, lock, 256 << 10};
  /// How far the child has come.
  std::atomic<int>& done =
      *std::pmr::polymorphic_allocator<>(&shared).new_object<std::atomic<int>>(
          0);
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

Map content(const Store& store) {
  Map all;
  std::vector<std::string> keys;
  store.each_key([&](std::string_view key) { keys.emplace_back(key); });
  for (const auto& key : keys)
    store.get(key, [&](std::string_view value) { all[key] = value; });
  EXPECT_EQ(all.size(), keys.size());
  return all;
}

/// The sums are those of a store that was never harmed, and all can go on.
void expect_whole(Store& store) {
  const auto all = content(store);
  EXPECT_EQ(store.size(), all.size());
  protocol::ThreadLock lock;
  Store fresh(*std::pmr::new_delete_resource(), lock, store.bytes_max());
  for (const auto& [key, value] : all) fresh.set(key, value);
  EXPECT_EQ(store.bytes_used(), fresh.bytes_used());
  // A block that is free, or a spare, and still in the table would be given to
  // the next entry of its size.
  auto expected = all;
  for (const auto& [key, value] : all) {
    const auto other = std::string(key.size(), '~');
    const auto bytes = std::string(value.size(), '~');
    if (store.set(other, bytes) == Store::Set::done) expected[other] = bytes;
  }
  EXPECT_TRUE(content(store) == expected);
  for (const auto& [key, value] : expected)
    if (!all.contains(key)) {
      EXPECT_TRUE(store.erase(key));
    }
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
      setting("a", "as long as b"),          // leaves a spare
      setting("a", "as long as c"),          // takes the spare
      setting("a", std::string(5000, 'l')),  // another size
      setting("a", std::string(9000, 'm')),  // keeps a second spare
      {[](Store& store) { store.erase("b"); },
       [](Map& map) { map.erase("b"); }},
      setting("full", std::string(240'000, 'f')),  // all spares are given up
      {[](Store& store) { store.clear(); }, [](Map& map) { map.clear(); }},
  };
  return all;
}

// Whoever died after `done` whole steps left the state before or after the next
// one; a clear() may have been in the middle, and then has a part of the keys.
void expect_old_or_new(const Store& store, const Map& before,
                       const Map& after) {
  const auto found = content(store);
  if (after.empty()) {
    for (const auto& [key, value] : found) EXPECT_EQ(before.at(key), value);
    return;
  }
  EXPECT_TRUE(found == before || found == after);
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
  expect_old_or_new(shared.store, model_after(done), model_after(done + 1));
  expect_whole(shared.store);
  EXPECT_LE(shared.lock.deaths, 1);
  return true;
}

TEST(StoreDeath, AtEachCallOfLockAndMemoryLeavesTheOldOrTheNew) {
  int place = 1;
  while (dies_at(place)) ++place;
  EXPECT_GT(place, 40) << "the fuse did not reach the calls";
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

// The child stores another value of the same size, then one of another size.
struct Overwriting : Shared {
  Overwriting() {
    store.set("key", old);
    store.set("key", old);
  }
  pid_t start() {
    return traced([this] {
      store.set("key", same_size);
      store.set("key", larger);
      done = 1;
    });
  }
  const std::string old = std::string(40, '1');
  const std::string same_size = std::string(40, '2');
  const std::string larger = std::string(90, '3');
};

// The number of its instructions, up to the end of its last set(); 0 if it
// cannot be traced.
long length() {
  Overwriting shared;
  const pid_t child = shared.start();
  if (child == 0) return 0;
  long count = 0;
  while (shared.done == 0 && step(child, 1)) ++count;
  ::kill(child, SIGKILL);
  was_killed(child);
  return count;
}

TEST(StoreDeath, AtAnyInstructionLeavesTheOldOrTheNew) {
  const long count = length();
  if (count == 0) GTEST_SKIP() << "ptrace(2) is refused here";
  // Each death costs as many stops as there are instructions before it: as
  // many deaths as 60 000 stops are enough for, evenly spread, at least 12;
  // with TSan, most of whose instructions are its own, 4.
  const long deaths = std::getenv("SAMPLED") != nullptr ? 4 : 12;
  const long distance =
      std::min(count / deaths, std::max(1l, count * count / 120'000)) | 1;
  bool seen[3] = {};
  for (long at = count - 1; at > 0; at -= distance) {
    Overwriting shared;
    const pid_t child = shared.start();
    ASSERT_TRUE(step(child, at));
    ::kill(child, SIGKILL);
    EXPECT_TRUE(was_killed(child));
    const auto found = content(shared.store).at("key");
    seen[0] |= found == shared.old;
    seen[1] |= found == shared.same_size;
    seen[2] |= found == shared.larger;
    EXPECT_TRUE(found == shared.old || found == shared.same_size ||
                found == shared.larger)
        << found << " at " << at;
    expect_whole(shared.store);
    if (HasFailure()) return;
  }
  EXPECT_TRUE(seen[0] && seen[1] && seen[2]);
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
  int refused = 0;
  for (unsigned round = 0; round < 40; ++round) {
    const int until = shared.done + 1 + static_cast<int>(random() % 300);
    const pid_t children[] = {run([&] { set_for_ever(shared, round); }),
                              run([&] { set_for_ever(shared, round + 1000); })};
    while (shared.done < until) std::this_thread::yield();
    for (const pid_t child : children) ::kill(child, SIGKILL);
    for (const pid_t child : children) EXPECT_TRUE(was_killed(child));
    for (const auto& [key, value] : content(shared.store))
      ASSERT_TRUE(is_whole(value)) << key;
    // Each death may lose a block to the memory, but no more than that.
    if (shared.store.set("probe", "value") != Store::Set::done) {
      ++refused;
      shared.store.clear();
    }
    shared.store.erase("probe");
    expect_whole(shared.store);
    if (HasFailure()) return;
  }
  EXPECT_LT(refused, 6);
  EXPECT_GT(shared.lock.deaths, 0) << "nobody ever died inside the store";
}

}  // namespace
}  // namespace node
