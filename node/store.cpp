#include "node/store.hpp"

#include <atomic>
#include <bit>
#include <cassert>
#include <limits>
#include <new>
#include <utility>

#include "dht/identifier.hpp"

namespace node {

namespace {

constexpr std::size_t mark_bits = 64;

// Buckets are emptied by the page when they are next used, so that clear()
// need not empty all of them.
constexpr std::size_t page_size = 1024;

// While an entry is replaced both have to have room, at the limit too. As much
// as the largest frame; entries above it can be refused a replacement there.
constexpr std::size_t replaced_max = std::size_t{4} << 20;

constexpr std::size_t entry_max = std::numeric_limits<std::uint32_t>::max();

// Visible to whoever comes after a kill. It falls between two instructions of
// the killed thread, as a signal handler would: what counts is the order in
// which the compiler leaves them, and that is what a signal fence fixes.
// Everything before is done when the value can be seen; nothing behind has
// begun.
template <class T>
void publish(T& place, T value) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::atomic_ref(place).store(value, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// The next part of a region: an array that begins where the last one ended.
template <class T>
T* part(std::byte*& at, std::size_t count) {
  return reinterpret_cast<T*>(std::exchange(at, at + count * sizeof(T)));
}

}  // namespace

// What changes, apart from the arrays: in the shared memory, not in the Store.
struct Store::Root {
  std::uint64_t generation = 1;  // of the pages of buckets that count
  std::uint64_t keys = 0;
  std::uint64_t cells = 0;  // in use
  Index free = none;        // the first of the free cells below top
  Index top = 1;            // behind it nothing was taken since clear()
};

Store::Plan::Plan(std::size_t bytes_max)
    : limit(bytes_max / cell_cost),
      // The first cell is not used: its index says that there is none.
      cells(1 + limit + std::min(limit, cells_for(replaced_max))),
      marks((cells + mark_bits - 1) / mark_bits),
      // One for half a KiB of entries: short chains, however large the store,
      // in a table that is small beside what it holds.
      buckets(std::bit_ceil(std::max(bytes_max / 512, page_size))),
      pages(buckets / page_size) {}

std::size_t Store::Plan::bytes() const {
  return cells * cell_cost + sizeof(Root) + buckets * sizeof(Index) +
         (marks + pages) * sizeof(std::uint64_t) +
         dht::slots * sizeof(std::uint32_t);
}

std::size_t Store::region_size(std::size_t bytes_max) {
  return Plan(bytes_max).bytes();
}

Store::Store(std::pmr::memory_resource& memory, protocol::Lock& lock,
             std::size_t bytes_max, HashKey hash_key, SlotOf slot_of)
    : memory_(memory),
      lock_(lock),
      bytes_max_(bytes_max),
      hash_key_(hash_key),
      slot_of_(std::move(slot_of)),
      slot_count_(slot_of_ ? dht::slots : 1),
      plan_(bytes_max) {
  assert(bytes_max <= bytes_most);
  auto* at =
      static_cast<std::byte*>(memory_.allocate(plan_.bytes(), alignof(Cell)));
  cells_ = part<Cell>(at, plan_.cells);
  root_ = new (part<Root>(at, 1)) Root;
  generations_ = part<std::uint64_t>(at, plan_.pages);
  marks_ = part<std::uint64_t>(at, plan_.marks);
  links_ = part<Index>(at, plan_.cells);
  buckets_ = part<Index>(at, plan_.buckets);
  slots_ = part<std::uint32_t>(at, dht::slots);
  // Every page of buckets is of an earlier generation: empty.
  std::fill_n(generations_, plan_.pages, 0);
  std::fill_n(slots_, slot_count_, 0);
}

Store::~Store() { memory_.deallocate(cells_, plan_.bytes(), alignof(Cell)); }

// The bucket's link to its first entry, from a page that is of this generation.
Store::Index& Store::bucket(std::uint64_t hash) const {
  const std::size_t number = hash & (plan_.buckets - 1);
  const std::size_t page = number / page_size;
  if (generations_[page] != root_->generation) {
    std::fill_n(buckets_ + page * page_size, page_size, none);
    publish(generations_[page], root_->generation);
  }
  return buckets_[number];
}

// The link that holds the key's entry, or else the none at the chain's end.
Store::Index& Store::link_to(std::string_view key, std::uint64_t hash) const {
  Index* link = &bucket(hash);
  while (*link != none && !has_key(*link, key)) link = &header(*link).next;
  return *link;
}

bool Store::has_key(Index entry, std::string_view key) const {
  if (header(entry).key_size != key.size()) return false;
  bool same = true;
  each_run(entry, sizeof(Header), key.size(), [&](char* bytes, std::size_t n) {
    same = same && std::string_view(bytes, n) == key.substr(0, n);
    key.remove_prefix(n);
  });
  return same;
}

std::size_t Store::cells_of(Index entry) const {
  const Header& made = header(entry);
  return cells_for(std::size_t{made.key_size} + made.value_size);
}

Store::Value::Value(const Store& store, Index entry)
    : store_(store),
      entry_(entry),
      begin_(sizeof(Header) + store.header(entry).key_size),
      size_(store.header(entry).value_size) {}

Store::Set Store::set(std::string_view key, std::string_view value) {
  if (key.size() > entry_max || value.size() > entry_max - key.size())
    return Set::no_room;
  const std::size_t cells = cells_for(key.size() + value.size());
  const std::uint64_t hash = SipHash(hash_key_)(key);
  const Held held(*this);
  Index& link = link_to(key, hash);
  const Index old = link;
  const std::size_t freed = old == none ? 0 : cells_of(old);
  // The old entry makes room only when the new one has taken its place, so for
  // a moment the store is larger than it may be.
  if (cells > plan_.limit - (root_->cells - freed) ||
      cells > plan_.cells - 1 - root_->cells)
    return Set::no_room;
  Header made{none, static_cast<std::uint32_t>(key.size()),
              static_cast<std::uint32_t>(value.size()), 0};
  if (old != none) {
    made.next = header(old).next;
    made.slot = header(old).slot;
  } else if (slot_of_) {
    made.slot = slot_of_(key);
  }
  publish(link, build(made, key, value));
  root_->cells += cells - freed;
  if (old == none) {
    root_->keys += 1;
    slots_[made.slot] += 1;
  } else {
    give(old);
  }
  return Set::done;
}

bool Store::erase(std::string_view key) {
  const std::uint64_t hash = SipHash(hash_key_)(key);
  const Held held(*this);
  Index& link = link_to(key, hash);
  const Index entry = link;
  if (entry == none) return false;
  publish(link, header(entry).next);
  root_->keys -= 1;
  root_->cells -= cells_of(entry);
  slots_[header(entry).slot] -= 1;
  give(entry);
  return true;
}

bool Store::contains(std::string_view key) const {
  return get(key, [](const Value&) {});
}

// Every page of buckets is then of an earlier generation, so all keys are gone
// at once; so are the free cells, since none was taken.
void Store::clear() {
  const Held held(*this);
  publish(root_->generation, root_->generation + 1);
  forget();
  root_->free = none;
  root_->top = 1;
}

std::size_t Store::size() const {
  const Held held(*this);
  return root_->keys;
}

std::size_t Store::size_of_slot(std::uint16_t slot) const {
  assert(slot < slot_count_);
  const Held held(*this);
  return slots_[slot];
}

std::size_t Store::bytes_used() const {
  const Held held(*this);
  return root_->cells * cell_cost;
}

// An entry that nothing points to yet.
Store::Index Store::build(const Header& made, std::string_view key,
                          std::string_view value) {
  const Index entry = take();
  Index last = entry;
  for (auto n = cells_for(key.size() + value.size()); n > 1; --n)
    last = links_[last] = take();
  links_[last] = entry;
  header(entry) = made;
  write(entry, sizeof(Header), key);
  write(entry, sizeof(Header) + key.size(), value);
  return entry;
}

void Store::write(Index entry, std::size_t begin,
                  std::string_view bytes) const {
  each_run(entry, begin, bytes.size(), [&](char* to, std::size_t n) {
    bytes.copy(to, n);
    bytes.remove_prefix(n);
  });
}

// A cell that is in use from now on: one that was given back, or the next that
// was never touched. There is one, since set() has counted.
Store::Index Store::take() {
  if (root_->free == none) return root_->top++;
  return std::exchange(root_->free, links_[root_->free]);
}

// Lays the circle of an entry to which nothing points any more, cut behind its
// first cell, before the free cells.
void Store::give(Index entry) {
  root_->free = std::exchange(links_[entry], root_->free);
}

void Store::forget() const {
  root_->keys = root_->cells = 0;
  std::fill_n(slots_, slot_count_, 0);
}

// Its last owner has died: what the table reaches is in use, all other cells
// that were ever taken are free. Changes nothing that the table reaches, so who
// dies in here leaves the lock to somebody who begins again.
void Store::rebuild() const {
  forget();
  std::fill_n(marks_, (root_->top + mark_bits - 1) / mark_bits, 0);
  for (std::size_t i = 0; i < plan_.buckets; ++i) {
    if (generations_[i / page_size] != root_->generation) continue;
    for (Index entry = buckets_[i]; entry != none; entry = header(entry).next) {
      root_->keys += 1;
      root_->cells += cells_of(entry);
      slots_[header(entry).slot] += 1;
      mark(entry);
    }
  }
  root_->free = none;
  for (Index cell = root_->top; --cell != none;)
    if ((marks_[cell / mark_bits] >> cell % mark_bits & 1) == 0)
      links_[cell] = std::exchange(root_->free, cell);
}

void Store::mark(Index entry) const {
  Index cell = entry;
  do {
    marks_[cell / mark_bits] |= std::uint64_t{1} << cell % mark_bits;
    cell = links_[cell];
  } while (cell != entry);
}

}  // namespace node
