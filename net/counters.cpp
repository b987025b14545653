#include "net/counters.hpp"

#include <pthread.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <new>
#include <stdexcept>

namespace net {
namespace {

/// Names and cells of the process.
struct Registry {
  std::mutex mutex;
  std::vector<std::string> names;
  // All arrays of cells come from here and from nowhere else, so this is the
  // place to change when forked children have to share them. A deque does not
  // move what it holds.
  std::deque<Cells> arrays;
  std::vector<Cells*> used, unused;
  Cells ended{};  // what threads that have ended had counted

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
      ended.add(i, cells->at(i));
      cells->count[i].store(0, std::memory_order_relaxed);
    }
    std::erase(used, cells);
    unused.push_back(cells);
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
  std::uint64_t sum = all.ended.at(counter) + shared_cells.at(counter);
  for (const Cells* cells : all.used) sum += cells->at(counter);
  return sum;
}

std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix) {
  std::vector<std::pair<std::string, std::uint64_t>> found;
  std::vector<unsigned> counters;
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const auto add = [&](const Cells& cells) {
    for (std::size_t i = 0; i < found.size(); ++i)
      found[i].second += cells.at(counters[i]);
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

}  // namespace net
