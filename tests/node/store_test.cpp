// The store as a map, its limits, and what it costs.

#include "node/store.hpp"

#include <gtest/gtest.h>

#include <map>
#include <new>
#include <random>
#include <stdexcept>
#include <string>

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
  store.get(key, [&](std::string_view value) { result = value; });
  return result;
}

struct Stored : testing::Test {
  Memory memory;
  protocol::ThreadLock lock;
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

TEST_F(Stored, ErasingGivesBackWhatSettingTook) {
  const auto before = memory.taken;
  store.set("a", std::string(1000, 'x'));
  store.set("b", "");
  EXPECT_GT(store.bytes_used(), 1000u);
  EXPECT_EQ(memory.taken - before, store.bytes_used());
  EXPECT_TRUE(store.erase("a"));
  EXPECT_TRUE(store.erase("b"));
  EXPECT_EQ(store.bytes_used(), 0u);
  EXPECT_EQ(memory.taken, before);
}

TEST_F(Stored, ClearGivesBackEverything) {
  const auto before = memory.taken;
  for (int i = 0; i < 5000; ++i)
    store.set("key " + std::to_string(i % 3000), std::to_string(i));
  EXPECT_EQ(store.size(), 3000u);
  store.clear();
  EXPECT_EQ(store.size(), 0u);
  EXPECT_EQ(store.bytes_used(), 0u);
  EXPECT_EQ(memory.taken, before);
}

TEST(Store, GivesItsMemoryBackAtItsEnd) {
  Memory memory;
  protocol::ThreadLock lock;
  {
    Store store(memory, lock, 1 << 20);
    for (int i = 0; i < 100; ++i) store.set(std::to_string(i % 50), "value");
  }
  EXPECT_EQ(memory.taken, 0u);
}

TEST(Store, BeginsWholeOrNotAtAll) {
  protocol::ThreadLock lock;
  for (std::size_t allowed : {0, 1}) {
    Memory memory;
    memory.left = allowed;
    EXPECT_THROW(Store(memory, lock, 1 << 20), std::bad_alloc);
    EXPECT_EQ(memory.taken, 0u);
  }
}

TEST_F(Stored, AVisitorThatThrowsLeavesTheLockFree) {
  store.set("a", "one");
  const auto fail = [](std::string_view) { throw std::runtime_error("no"); };
  EXPECT_THROW(store.get("a", fail), std::runtime_error);
  EXPECT_FALSE(store.get("b", fail)) << "not called for what is not there";
  EXPECT_EQ(value_of(store, "a"), "one");
}

TEST_F(Stored, EachKeyIsVisitedOnce) {
  std::map<std::string, int, std::less<>> visits;
  for (int i = 0; i < 2000; ++i) store.set(std::to_string(i), "v");
  store.each_key([&](std::string_view key) { ++visits[std::string(key)]; });
  EXPECT_EQ(visits.size(), 2000u);
  for (const auto& [key, count] : visits) EXPECT_EQ(count, 1) << key;
}

// ---- limits

TEST(StoreLimit, IsNeverPassedAndRefusalsChangeNothing) {
  Memory memory;
  protocol::ThreadLock lock;
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
  protocol::ThreadLock lock;
  Store store(*std::pmr::new_delete_resource(), lock, 64 << 10);
  EXPECT_EQ(store.set("key", std::string(64 << 10, 'x')), Set::no_room);
  EXPECT_EQ(store.set(std::string(64 << 10, 'x'), "value"), Set::no_room);
  EXPECT_EQ(store.set("key", std::string((64 << 10) - 27, 'x')), Set::done);
  EXPECT_EQ(store.bytes_used(), store.bytes_max());
  EXPECT_EQ(store.set("key", std::string(60 << 10, 'y')), Set::done);
  EXPECT_EQ(value_of(store, "key"), std::string(60 << 10, 'y'));
}

// Two sizes whose sum is 0, where only the sum is looked at.
TEST(StoreLimit, SizesThatOverflowAreRefused) {
  protocol::ThreadLock lock;
  Store store(*std::pmr::new_delete_resource(), lock, std::size_t{1} << 40);
  const char byte = 'x';
  const std::string_view half(&byte, std::size_t{1} << 63);
  EXPECT_EQ(store.set(half, half), Set::no_room);
  EXPECT_EQ(store.set("key", {&byte, std::size_t{1} << 32}), Set::no_room);
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(Stored, ExhaustedMemoryIsARefusal) {
  store.set("a", "one");
  store.set("a", "two");  // "one" is kept as a spare
  memory.left = 0;
  const auto taken = memory.taken;
  EXPECT_EQ(store.set("b", std::string(500, 'x')), Set::no_room);
  EXPECT_EQ(value_of(store, "a"), "two");
  EXPECT_FALSE(store.contains("b"));
  EXPECT_LT(memory.taken, taken);  // the spare was given up for it
  EXPECT_EQ(store.size(), 1u);
  memory.left = 1;
  EXPECT_EQ(store.set("b", std::string(500, 'x')), Set::done);
}

TEST(StoreLimit, SparesCountAndGiveWay) {
  Memory memory;
  protocol::ThreadLock lock;
  Store store(memory, lock, 16 << 10);
  const auto table = memory.taken;
  // One spare of 4 KiB beside an entry of as much.
  store.set("key", std::string(4000, 'x'));
  store.set("key", std::string(4000, 'y'));
  EXPECT_EQ(memory.taken - table, 2 * store.bytes_used());
  // 12 KiB more fit only without it.
  EXPECT_EQ(store.set("large", std::string(10000, 'z')), Set::done);
  EXPECT_EQ(memory.taken - table, store.bytes_used());
  // And where a spare would pass the limit, none is kept.
  EXPECT_EQ(store.set("key", std::string(4000, 'w')), Set::done);
  EXPECT_EQ(memory.taken - table, store.bytes_used());
  EXPECT_EQ(value_of(store, "key"), std::string(4000, 'w'));
}

TEST_F(Stored, OnlyOneSpareOfASizeIsKept) {
  const auto table = memory.taken;
  store.set("a", std::string(100, '1'));
  store.set("b", std::string(100, '2'));
  const auto small = store.bytes_used() / 2;
  // Both go to a larger size, and leave one spare behind them.
  store.set("a", std::string(300, '1'));
  store.set("b", std::string(300, '2'));
  EXPECT_EQ(memory.taken - table, store.bytes_used() + small);
  EXPECT_EQ(value_of(store, "b"), std::string(300, '2'));
}

// ---- what it costs

TEST_F(Stored, AValueOfEqualSizeIsSetWithoutAnAllocation) {
  for (std::size_t size : {0, 1, 64, 4096, 100'000}) {
    const std::string one(size, '1'), two(size, '2');
    store.set("a", one);
    store.set("a", two);  // leaves a spare
    const auto before = allocations();
    const auto asked = memory.left;
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(store.set("a", one), Set::done);
      EXPECT_EQ(store.set("a", two), Set::done);
      store.get("a", [&](std::string_view value) { EXPECT_EQ(value, two); });
    }
    EXPECT_EQ(allocations(), before) << size;
    EXPECT_EQ(memory.left, asked) << size;
  }
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
    std::size_t keys = 0;
    store_.each_key([&](std::string_view key) {
      keys += map_.contains(std::string(key)) ? 1 : 0;
    });
    EXPECT_EQ(keys, map_.size());
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
  protocol::ThreadLock lock_;
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
