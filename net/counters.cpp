#include "net/counters.hpp"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <system_error>

#include "net/shared_memory.hpp"

namespace net {
namespace {

/// So many may count at once. Of more, those that come last share one array,
/// and lose counts.
constexpr std::size_t arrays_max = 1 << 14;

/// What they count in lies in one mapping, made before any process is forked.
struct alignas(64) Array {
  Cells cells;
  Array* next;  // of those that nobody has; the parent's affair
};

struct Registry {
  std::mutex mutex;
  std::vector<std::string> names;
  SharedMemory memory = map();
  // How many of the arrays have been taken at some time: these are summed up.
  // The first one is for those who get none of their own, and for calls at the
  // very end of a thread, after it has given its cells back; two of these at
  // once might lose one.
  std::atomic<std::size_t>& used = make<std::atomic<std::size_t>>();
  Array& common = make<Array>();
  Array* unused = nullptr;
  std::size_t made = 0;  // as `used`, which a child could overwrite

  /// It costs addresses, no memory. Where those are counted (ulimit -v), it
  /// makes do with fewer.
  static SharedMemory map() {
    for (std::size_t arrays = arrays_max;; arrays /= 2) try {
        return SharedMemory(arrays * sizeof(Array));
      } catch (const std::system_error&) {
        if (arrays == 2) throw;
      }
  }
  template <class T>
  T& make() {
    return *std::pmr::polymorphic_allocator<>(&memory.resource())
                .new_object<T>();
  }

  Cells* take() noexcept try {
    const std::scoped_lock lock(mutex);
    if (!unused) {
      unused = &make<Array>();
      used.store(++made, std::memory_order_release);
    }
    return &std::exchange(unused, unused->next)->cells;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }

  void give_back(Cells* cells) {
    const std::scoped_lock lock(mutex);
    auto* const array = reinterpret_cast<Array*>(cells);
    array->next = std::exchange(unused, array);
  }

  /// Array by array: one's cells lie together, and ten thousand fill no cache.
  std::span<const Array> arrays() const {
    return {&common, 1 + used.load(std::memory_order_acquire)};
  }
};

/// Made by whoever registers first, before main, and never destroyed: threads
/// may still count while the process ends.
Registry& registry() {
  static Registry& only = *new Registry;
  return only;
}

/// Gives the cells of a thread that ends back. By a key, not by a thread_local
/// with a destructor: registering that takes memory, and the C library ends the
/// process where there is none.
struct AtThreadEnd {
  AtThreadEnd() {
    ::pthread_key_create(&key, [](void* cells) {
      own_cells = &registry().common.cells;
      registry().give_back(static_cast<Cells*>(cells));
    });
  }
  pthread_key_t key{};
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
  if (!own_cells) own_cells = &registry().common.cells;
  return *own_cells;
}

Cells* take_cells() noexcept { return registry().take(); }

void give_back_cells(Cells* cells) { registry().give_back(cells); }

std::uint64_t total(unsigned counter) {
  std::uint64_t sum = 0;
  for (const Array& array : registry().arrays()) sum += array.cells.at(counter);
  return sum;
}

std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix) {
  std::vector<std::pair<std::string, std::uint64_t>> found;
  std::vector<unsigned> counters;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  for (unsigned i = 0; i < all.names.size(); ++i)
    if (all.names[i].starts_with(prefix)) {
      found.emplace_back(all.names[i].substr(prefix.size()), 0);
      counters.push_back(i);
    }
  for (const Array& array : all.arrays())
    for (std::size_t i = 0; i < found.size(); ++i)
      found[i].second += array.cells.at(counters[i]);
  return found;
}

std::size_t counting_threads() { return registry().arrays().size(); }

}  // namespace net
