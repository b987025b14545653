// The store as a map, its limits, and what it costs.

#include "node/store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/shared_memory.hpp"
#include "tests/node/thread_lock.hpp"
#include "tests/tools/allocations.hpp"

namespace node {
namespace {

using Set = Store::Set;

/// Refuses when its number of allocations is used up; knows what is out.
class Memory final : public std::pmr::memory_resource {
 public:
  std::size_t left = static_cast<std::size_t>(-1);
  std::size_t taken = 0;  // bytes

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (left == 0) throw std::bad_alloc();
    --left;
    taken += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes,
                     std::size_t alignment) override {
    taken -= bytes;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
};

std::string value_of(const Store& store, std::string_view key) {
  std::string result = "(none)";
  store.get(key, [&](const Store::Value& value) {
    result.clear();
    value.each_piece([&](std::string_view piece) { result += piece; });
    EXPECT_EQ(result.size(), value.size());
  });
  return result;
}

/// Bytes of this process that lie in memory.
std::size_t resident() {
  std::size_t all = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> all >> pages;
  return pages * 4096;
}

struct Stored : testing::Test {
  Memory memory;
  ThreadLock lock;
  Store store{memory, lock, 1 << 20, {1, 2}};
};

TEST(SipHash, AgreesWithTheReferenceVectors) {
  const HashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(SipHash(key)(""), 0xabac0158050fc4dc);
  EXPECT_EQ(SipHash(key)({"\0", 1}), 0xc9f49bf37d57ca93);
  // As CPython 3.11 hashes bytes with PYTHONHASHSEED=0.
  EXPECT_EQ(SipHash({})("a"), 0x407448d2b89b1813);
  EXPECT_EQ(SipHash({})("hello, world, hello"), 0x57b8c89ec5579703);
}

TEST_F(Stored, KeysHaveTheirLastValue) {
  EXPECT_FALSE(store.contains("a"));
  EXPECT_EQ(store.set("a", "one"), Set::done);
  EXPECT_EQ(store.set("b", "two"), Set::done);
  EXPECT_EQ(value_of(store, "a"), "one");
  EXPECT_EQ(store.set("a", "another"), Set::done);
  EXPECT_EQ(value_of(store, "a"), "another");
  EXPECT_EQ(value_of(store, "b"), "two");
  EXPECT_EQ(store.size(), 2u);
  EXPECT_TRUE(store.contains("a"));
  EXPECT_EQ(value_of(store, "c"), "(none)");
}

TEST_F(Stored, EmptyKeysAndValuesAndAllBytesAreKept) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(store.set("", bytes), Set::done);
  EXPECT_EQ(store.set(bytes, ""), Set::done);
  EXPECT_EQ(store.set({"\0", 1}, {"\0\0", 2}), Set::done);
  EXPECT_EQ(value_of(store, ""), bytes);
  EXPECT_EQ(value_of(store, bytes), "");
  EXPECT_EQ(value_of(store, {"\0", 1}).size(), 2u);
  EXPECT_TRUE(store.erase(""));
  EXPECT_FALSE(store.erase(""));
  EXPECT_EQ(store.size(), 2u);
}

// A cell of 64 bytes and its link of 4; a header of 16 in the first.
TEST_F(Stored, UsedIsWhatIsTakenInCells) {
  EXPECT_EQ(store.bytes_used(), 0u);
  store.set("a", "");
  EXPECT_EQ(store.bytes_used(), 68u);
  store.set("a", std::string(47, 'x'));
  EXPECT_EQ(store.bytes_used(), 68u);
  store.set("a", std::string(48, 'x'));
  EXPECT_EQ(store.bytes_used(), 2 * 68u);
  store.set("b", std::string(1000, 'x'));  // 1017 bytes in all: 16 cells
  EXPECT_EQ(store.bytes_used(), (2 + 16) * 68u);
  EXPECT_TRUE(store.erase("a"));
  EXPECT_EQ(store.bytes_used(), 16 * 68u);
  EXPECT_TRUE(store.erase("b"));
  EXPECT_EQ(store.bytes_used(), 0u);
}

TEST_F(Stored, ClearForgetsEverything) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5000; ++i)
      store.set("key " + std::to_string(i % 3000), std::to_string(i));
    EXPECT_EQ(store.size(), 3000u);
    EXPECT_EQ(value_of(store, "key 17"), "3017");
    store.clear();
    EXPECT_EQ(store.size(), 0u);
    EXPECT_EQ(store.bytes_used(), 0u);
    for (int i = 0; i < 3000; ++i)
      ASSERT_FALSE(store.contains("key " + std::to_string(i)));
  }
}

TEST(Store, TakesItsRegionAtOnceAndGivesItBackAtItsEnd) {
  Memory memory;
  ThreadLock lock;
  {
    Store store(memory, lock, 1 << 20);
    EXPECT_EQ(memory.taken, Store::region_size(1 << 20));
    memory.left = 0;
    for (int i = 0; i < 100; ++i) store.set(std::to_string(i % 50), "value");
    EXPECT_EQ(store.size(), 50u);
  }
  EXPECT_EQ(memory.taken, 0u);
  EXPECT_THROW(Store(memory, lock, 1 << 20), std::bad_alloc);
}

// Cells in a row are one piece; those of an emptied store are where they come.
TEST_F(Stored, AValueLiesInFewPiecesAndInAsManyAsItMust) {
  const auto pieces = [&](std::string_view key) {
    std::size_t count = 0;
    store.get(key, [&](const Store::Value& value) {
      value.each_piece([&](std::string_view) { ++count; });
    });
    return count;
  };
  const std::string value(10'000, 'x');
  store.set("fresh", value);
  EXPECT_EQ(pieces("fresh"), 1u);
  for (int i = 0; i < 400; ++i) store.set(std::to_string(i), "v");
  for (int i = 0; i < 400; i += 2) store.erase(std::to_string(i));
  store.set("torn", value);
  EXPECT_EQ(pieces("torn"), (10'000u + 4 + 16 + 63) / 64);
  EXPECT_EQ(value_of(store, "torn"), value);
  store.set("empty", "");
  EXPECT_EQ(value_of(store, "empty"), "");
}

// So are keys, and a key is told from others by its last byte, too.
TEST_F(Stored, LongKeysLieInPiecesToo) {
  for (int i = 0; i < 400; ++i) store.set(std::to_string(i), "v");
  for (int i = 0; i < 400; i += 2) store.erase(std::to_string(i));
  // In 64 bytes less the header, just so, and beyond.
  for (std::size_t size : {47, 48, 49, 111, 112, 113, 1000}) {
    const std::string key(size, 'k');
    EXPECT_EQ(store.set(key + "1", "one"), Set::done);
    EXPECT_EQ(store.set(key + "2", "two"), Set::done);
    EXPECT_EQ(store.set(key, std::string(size, 'v')), Set::done);
    EXPECT_EQ(value_of(store, key + "1"), "one");
    EXPECT_EQ(value_of(store, key + "2"), "two");
    EXPECT_EQ(value_of(store, key), std::string(size, 'v'));
  }
}

// Each is in several runs of cells, and may differ from another one in the
// first of them.
TEST_F(Stored, LongKeysInPiecesAreToldApart) {
  for (int i = 0; i < 1000; ++i) store.set(std::to_string(i), "v");
  for (int i = 0; i < 1000; i += 2) store.erase(std::to_string(i));
  const auto key = [](int i) {
    return std::to_string(100 + i) + std::string(200, 'k');
  };
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(store.set(key(i), std::to_string(i)), Set::done);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(value_of(store, key(i)), std::to_string(i));
  for (int i = 100; i < 800; ++i) EXPECT_FALSE(store.contains(key(i)));
}

TEST_F(Stored, AVisitorThatThrowsLeavesTheLockFree) {
  store.set("a", "one");
  const auto fail = [](const Store::Value&) { throw std::runtime_error("no"); };
  EXPECT_THROW(store.get("a", fail), std::runtime_error);
  EXPECT_FALSE(store.get("b", fail)) << "not called for what is not there";
  EXPECT_EQ(value_of(store, "a"), "one");
}

// ---- slots

struct Slotted : testing::Test {
  static std::uint16_t slot_of(std::string_view key) {
    return static_cast<std::uint16_t>(key.size() * 1000);
  }
  ThreadLock lock;
  Store store{*std::pmr::new_delete_resource(), lock, 1 << 20, {}, slot_of};
};

TEST_F(Slotted, KeysAreCountedBySlot) {
  std::mt19937 random(1);
  std::map<std::string, bool> keys;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key(random() % 17, static_cast<char>('a' + i % 26));
    if (random() % 3 == 0) {
      store.erase(key);
      keys.erase(key);
    } else {
      store.set(key, std::string(random() % 100, 'x'));
      keys[key] = true;
    }
    if (random() % 5000 == 0) store.clear(), keys.clear();
    if (i % 100 != 0) continue;
    std::map<std::uint16_t, std::size_t> counts;
    for (const auto& [known, _] : keys) ++counts[slot_of(known)];
    for (std::uint16_t slot = 0; slot <= 16'000; slot += 500)
      ASSERT_EQ(store.size_of_slot(slot), counts[slot]) << slot;
  }
}

TEST_F(Stored, WithoutSlotsEveryKeyIsInTheOnlyOne) {
  store.set("a", "one");
  EXPECT_EQ(store.size_of_slot(0), 1u);
}

// ---- limits

TEST(StoreLimit, IsNeverPassedAndRefusalsChangeNothing) {
  Memory memory;
  ThreadLock lock;
  Store store(memory, lock, 16 << 10);
  int keys = 0;
  while (store.set("key " + std::to_string(keys), "value") == Set::done) ++keys;
  EXPECT_GT(keys, 100);
  EXPECT_EQ(store.size(), static_cast<std::size_t>(keys));
  EXPECT_LE(store.bytes_used(), store.bytes_max());
  EXPECT_EQ(store.set("key 0", std::string(1000, 'x')), Set::no_room);
  EXPECT_EQ(value_of(store, "key 0"), "value");
  // An entry of its own size takes its place, also where nothing else fits.
  EXPECT_EQ(store.set("key 0", "other"), Set::done);
  EXPECT_EQ(store.set("key 0", "third"), Set::done);
  EXPECT_TRUE(store.erase("key 1"));
  EXPECT_EQ(store.set("new 1", "value"), Set::done);
  EXPECT_EQ(store.set("new 2", "value"), Set::no_room);
  EXPECT_EQ(value_of(store, "key 0"), "third");
}

TEST(StoreLimit, OneEntryMayTakeAllOfIt) {
  ThreadLock lock;
  Store store(*std::pmr::new_delete_resource(), lock, 64 << 10);
  const std::size_t most = (64 << 10) / 68 * 64 - 16 - 3;
  EXPECT_EQ(store.set("key", std::string(most + 1, 'x')), Set::no_room);
  EXPECT_EQ(store.set(std::string(most + 3, 'x'), "v"), Set::no_room);
  EXPECT_EQ(store.set("key", std::string(most, 'x')), Set::done);
  EXPECT_GT(store.bytes_used() + 68, store.bytes_max());
  EXPECT_EQ(store.set("other", ""), Set::no_room);
  EXPECT_EQ(store.set("key", std::string(most, 'y')), Set::done);
  EXPECT_EQ(value_of(store, "key"), std::string(most, 'y'));
}

// Beside an entry its successor has room, up to the largest that a request can
// bring; above that it can be refused where the store is full.
TEST(StoreLimit, AFullStoreReplacesWhatARequestCanBring) {
  ThreadLock lock;
  Store store(*std::pmr::new_delete_resource(), lock, 16 << 20);
  const std::string request(4 << 20, 'x');
  EXPECT_EQ(store.set("a", request), Set::done);
  EXPECT_EQ(store.set("b", std::string(11 << 20, 'x')), Set::done);
  EXPECT_EQ(store.set("a", request), Set::done);
  EXPECT_EQ(store.set("b", std::string(11 << 20, 'y')), Set::no_room);
  EXPECT_EQ(store.set("b", std::string(2 << 20, 'z')), Set::done);
  EXPECT_EQ(value_of(store, "b"), std::string(2 << 20, 'z'));
}

// Two sizes whose sum is 0, where only the sum is looked at.
TEST(StoreLimit, SizesThatOverflowAreRefused) {
  ThreadLock lock;
  net::SharedMemory memory(Store::region_size(std::size_t{8} << 30));
  Store store(memory.resource(), lock, std::size_t{8} << 30);
  const char byte = 'x';
  const std::string_view half(&byte, std::size_t{1} << 63);
  EXPECT_EQ(store.set(half, half), Set::no_room);
  EXPECT_EQ(store.set("key", {&byte, std::size_t{1} << 32}), Set::no_room);
  EXPECT_EQ(store.size(), 0u);
}

// ---- memory that is freed serves any later use

/// Fills and empties a store, again and again.
class Rounds {
 public:
  /// How many values of this size fit, and how many bytes they are. What is
  /// there already is overwritten.
  std::size_t fill(std::size_t size) {
    std::size_t count = 0, end = store.size();
    const std::string value(size, 'x');
    for (;;) {
      if (store.set(key(count), value) == Set::done)
        ++count;
      else if (end > count)
        store.erase(key(--end));  // exceeds what fits
      else
        break;
    }
    EXPECT_EQ(store.size(), count);
    EXPECT_LE(store.bytes_used(), store.bytes_max());
    return count;
  }
  void erase_all() {
    for (std::size_t i = 0; store.erase(key(i)); ++i) continue;
    expect_empty();
  }
  void clear() {
    store.clear();
    expect_empty();
  }
  /// One after the other in an order that tears the free cells apart.
  void erase_scattered() {
    const std::size_t count = store.size();
    for (std::size_t step : {7, 3, 1})
      for (std::size_t i = 0; i < count; i += step) store.erase(key(i));
    expect_empty();
  }
  void overwrite_with_nothing() {
    const std::size_t count = store.size();
    for (std::size_t i = 0; i < count; ++i)
      EXPECT_EQ(store.set(key(i), ""), Set::done);
    EXPECT_EQ(store.bytes_used(), count * 68);
  }

  /// Nothing is emptied: the next values are written over these.
  void leave() {}

  static constexpr std::size_t bytes_max = 256 << 10;
  ThreadLock lock;
  Store store{*std::pmr::new_delete_resource(), lock, bytes_max, {5, 6}};

 private:
  static std::string key(std::size_t i) { return "key:" + std::to_string(i); }
  void expect_empty() {
    EXPECT_EQ(store.size(), 0u);
    EXPECT_EQ(store.bytes_used(), 0u);
  }
};

std::vector<std::size_t> round_sizes(unsigned order) {
  std::vector<std::size_t> sizes;
  for (std::size_t size = 16; sizes.size() < 20; size = size * 3 / 2)
    sizes.push_back(size);  // up to 35 000
  if (order == 1) std::ranges::reverse(sizes);
  if (order == 2) std::ranges::shuffle(sizes, std::mt19937(7));
  return sizes;
}

std::size_t fresh_count(std::size_t size) {
  static std::map<std::size_t, std::size_t> known;
  const auto [at, is_new] = known.try_emplace(size);
  if (is_new) at->second = Rounds().fill(size);
  return at->second;
}

TEST(StoreRounds, EachHoldsWhatAFreshStoreHolds) {
  using Emptying = void (Rounds::*)();
  for (const Emptying empty :
       {&Rounds::clear, &Rounds::erase_all, &Rounds::erase_scattered,
        &Rounds::overwrite_with_nothing, &Rounds::leave})
    for (unsigned order = 0; order < 3; ++order) {
      Rounds rounds;
      for (const std::size_t size : round_sizes(order)) {
        const std::size_t count = rounds.fill(size);
        EXPECT_EQ(count, fresh_count(size)) << size;
        if (size >= 1 << 10) {
          EXPECT_GE(count * size, Rounds::bytes_max * 3 / 4) << size;
        }
        (rounds.*empty)();
      }
    }
}

// ---- what it costs

TEST_F(Stored, NothingIsAllocatedBehindTheStart) {
  memory.left = 0;
  for (std::size_t size : {0, 1, 64, 4096, 100'000}) {
    const std::string one(size, '1'), two(size, '2');
    const auto before = allocations();
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(store.set("a", one), Set::done);
      EXPECT_EQ(store.set("a", two), Set::done);
      EXPECT_TRUE(store.contains("a"));
    }
    EXPECT_EQ(allocations(), before) << size;
  }
}

// Overwriting walks between two places; it does not touch the whole region.
TEST(Store, TouchesWhatIsUsedAndNotMore) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow of what is touched is in memory, too";
#endif
  ThreadLock lock;
  net::SharedMemory memory(Store::region_size(std::size_t{1} << 30));
  Store store(memory.resource(), lock, std::size_t{1} << 30);
  const auto before = resident();
  for (int round = 0; round < 2000; ++round) {
    store.set("a", std::string(100'000, 'x'));
    store.set("b", std::string(1 + static_cast<std::size_t>(round), 'x'));
    if (round % 100 == 0) store.erase("a");
    if (round % 500 == 0) store.clear();
  }
  EXPECT_LE(resident(), before + (1 << 20));
}

// ---- against a map

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void step() {
    const auto key = text(20) + std::string(random_() % 3, '\0');
    switch (random_() % 8) {
      case 0:
        EXPECT_EQ(store_.erase(key), map_.erase(key) == 1);
        break;
      case 1:
        EXPECT_EQ(store_.contains(key), map_.contains(key));
        break;
      case 2:
        if (random_() % 200 == 0) store_.clear(), map_.clear();
        break;
      case 3:
        get(key);
        break;
      default:
        set(key);
    }
  }
  void compare() {
    EXPECT_EQ(store_.size(), map_.size());
    EXPECT_LE(store_.bytes_used(), store_.bytes_max());
    for (const auto& [key, value] : map_)
      EXPECT_EQ(value_of(store_, key), value);
  }
  std::size_t refused() const { return refused_; }

 private:
  void set(const std::string& key) {
    const auto value = text(random_() % 50 == 0 ? 5000 : 100);
    if (store_.set(key, value) == Set::done)
      map_[key] = value;
    else
      ++refused_;
  }
  void get(const std::string& key) {
    const auto found = map_.find(key);
    EXPECT_EQ(value_of(store_, key),
              found == map_.end() ? "(none)" : found->second);
  }
  std::string text(unsigned most) {
    return std::string(random_() % (most + 1),
                       static_cast<char>(random_() % 20));
  }

  std::mt19937 random_;
  Memory memory_;
  ThreadLock lock_;
  Store store_{memory_, lock_, 40'000, {3, 4}};
  std::map<std::string, std::string> map_;
  std::size_t refused_ = 0;
};

TEST(Store, IsAMap) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    Model model(seed);
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < 500; ++i) model.step();
      model.compare();
    }
    EXPECT_GT(model.refused(), 0u) << "the limit was never met";
  }
}

}  // namespace
}  // namespace node
