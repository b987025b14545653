// Memory that a child shares, and the lock over it.

#include "net/shared_memory.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

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

TEST(SharedMemory, BlocksDoNotOverlapAndKeepTheirBytes) {
  SharedMemory memory(16 << 20);
  std::mt19937 random(1);
  struct Block {
    std::size_t size;
    unsigned char byte;
  };
  std::map<unsigned char*, Block> blocks;
  for (int i = 0; i < 5000; ++i) {
    if (!blocks.empty() && random() % 3 == 0) {
      const auto found = blocks.begin();
      for (std::size_t j = 0; j < found->second.size; ++j)
        ASSERT_EQ(found->first[j], found->second.byte);
      memory.deallocate(found->first, found->second.size);
      blocks.erase(found);
    } else {
      const std::size_t size = random() % 2000;
      auto* const at = static_cast<unsigned char*>(memory.allocate(size));
      const auto byte = static_cast<unsigned char>(random());
      std::memset(at, byte, size);
      blocks[at] = {size, byte};
    }
  }
  unsigned char* end = nullptr;
  for (const auto& [at, block] : blocks) {
    EXPECT_GE(at, end);
    end = at + block.size;
    for (std::size_t j = 0; j < block.size; ++j) ASSERT_EQ(at[j], block.byte);
  }
}

TEST(SharedMemory, BlocksAreAlignedToALineOfTheCache) {
  SharedMemory memory(1 << 20);
  for (std::size_t size : {0, 1, 63, 64, 65, 1000, 5000}) {
    const auto at = reinterpret_cast<std::uintptr_t>(memory.allocate(size, 64));
    EXPECT_EQ(at % 64, 0u);
  }
  EXPECT_THROW(static_cast<void>(memory.allocate(1, 128)), std::bad_alloc);
}

TEST(SharedMemory, WhatIsGivenBackIsTakenAgain) {
  SharedMemory memory(1 << 16);
  void* const first = memory.allocate(1000);
  for (int i = 0; i < 10'000; ++i) {
    memory.deallocate(first, 1000);
    EXPECT_EQ(memory.allocate(1000), first);
  }
}

TEST(SharedMemory, EndsWithBadAllocAndGoesOnAfterwards) {
  SharedMemory memory(64 << 10);
  EXPECT_THROW(static_cast<void>(memory.allocate(1 << 20)), std::bad_alloc);
  // Through a pointer, lest the compiler refuses what it sees at once.
  std::pmr::memory_resource* const unseen = &memory;
  volatile std::size_t everything = ~std::size_t{0};
  EXPECT_THROW(static_cast<void>(unseen->allocate(everything)), std::bad_alloc);
  std::vector<void*> blocks;
  try {
    for (;;) blocks.push_back(memory.allocate(4096));
  } catch (const std::bad_alloc&) {
    // It is used up.
  }
  EXPECT_EQ(blocks.size(), 16u);
  memory.deallocate(blocks.back(), 4096);
  EXPECT_EQ(memory.allocate(4096), blocks.back());
}

// A used up mapping has large free blocks only: they are cut.
TEST(SharedMemory, LargeFreeBlocksServeSmallOnes) {
  SharedMemory memory(64 << 10);
  std::vector<void*> large;
  for (int i = 0; i < 16; ++i) large.push_back(memory.allocate(4096));
  for (void* const block : large) memory.deallocate(block, 4096);
  std::set<void*> small;
  for (int i = 0; i < 64 * 16; ++i) small.insert(memory.allocate(64));
  EXPECT_EQ(small.size(), 64u * 16u);
  EXPECT_THROW(static_cast<void>(memory.allocate(64)), std::bad_alloc);
}

TEST(SharedMemory, TooLargeAMappingIsAnError) {
  EXPECT_THROW(SharedMemory(std::size_t{1} << 60), std::system_error);
}

TEST(SharedMemory, AChildWritesWhatItsParentReads) {
  SharedMemory memory(1 << 16);
  auto* const text = static_cast<char*>(memory.allocate(100));
  EXPECT_TRUE(in_child([&] {
    std::string_view("from the child").copy(text, 100);
    memory.deallocate(memory.allocate(500), 500);
  }));
  EXPECT_STREQ(text, "from the child");
  // The child's free block is the parent's too.
  void* const block = memory.allocate(500);
  EXPECT_TRUE(in_child([&] { std::memset(block, 0, 500); }));
}

TEST(RobustLock, ExcludesThreadsAndProcesses) {
  SharedMemory memory(1 << 16);
  RobustLock lock(memory);
  auto& number = *std::pmr::polymorphic_allocator<>(&memory).new_object<int>(0);
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
  RobustLock lock(memory);
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
  RobustLock lock(memory);
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
