// Memory that a child shares, and the lock over it.

#include "net/shared_memory.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <thread>

namespace net {
namespace {

/// Runs in a child; true if it exits with 0.
template <class Work>
bool in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(SharedMemory, IsHandedOutToItsEndAndNoFurther) {
  SharedMemory memory(64 << 10);
  auto& resource = memory.resource();
  EXPECT_THROW(static_cast<void>(resource.allocate(1 << 20)), std::bad_alloc);
  auto* const one = static_cast<char*>(resource.allocate(1000, 64));
  auto* const all = static_cast<char*>(resource.allocate(63 << 10, 64));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one) % 64, 0u);
  EXPECT_EQ(all, one + 1024);
  std::memset(one, 1, 1000);
  std::memset(all, 2, 63 << 10);
  EXPECT_EQ(one[999], 1);
  EXPECT_THROW(static_cast<void>(resource.allocate(1)), std::bad_alloc);
}

TEST(SharedMemory, TooLargeAMappingIsAnError) {
  EXPECT_THROW(SharedMemory(std::size_t{1} << 60), std::system_error);
}

TEST(SharedMemory, AChildWritesWhatItsParentReads) {
  SharedMemory memory(1 << 16);
  auto* const text = static_cast<char*>(memory.resource().allocate(100));
  EXPECT_TRUE(
      in_child([&] { std::string_view("from the child").copy(text, 100); }));
  EXPECT_STREQ(text, "from the child");
}

TEST(RobustLock, ExcludesThreadsAndProcesses) {
  SharedMemory memory(1 << 16);
  RobustLock lock(memory.resource());
  auto& number =
      *std::pmr::polymorphic_allocator<>(&memory.resource()).new_object<int>(0);
  const auto add = [&] {
    for (int i = 0; i < 10'000; ++i) {
      EXPECT_FALSE(lock.lock());
      number = number + 1;
      lock.unlock();
    }
  };
  const pid_t child = ::fork();
  if (child == 0) {
    add();
    ::_exit(0);
  }
  std::jthread(add).join();
  add();
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(number, 30'000);
}

TEST(RobustLock, TellsTheNextOwnerOfADeathOnce) {
  SharedMemory memory(1 << 16);
  RobustLock lock(memory.resource());
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(in_child([&] {
      static_cast<void>(lock.lock());
      ::kill(::getpid(), SIGKILL);
    }));
    EXPECT_TRUE(lock.lock());
    lock.unlock();
    EXPECT_FALSE(lock.lock());
    lock.unlock();
  }
}

TEST(RobustLock, IsSilentAboutAnOwnerThatDiedWithoutIt) {
  SharedMemory memory(1 << 16);
  RobustLock lock(memory.resource());
  EXPECT_FALSE(in_child([&] {
    static_cast<void>(lock.lock());
    lock.unlock();
    ::kill(::getpid(), SIGKILL);
  }));
  EXPECT_FALSE(lock.lock());
  lock.unlock();
}

}  // namespace
}  // namespace net
