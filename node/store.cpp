#include "node/store.hpp"

#include <algorithm>
#include <bit>
#include <new>

namespace node {

namespace {

// Entries come in a few sizes only, four between one power of two and the next,
// so that the room of a replaced entry fits the next one of about its size. At
// most a quarter of an entry is lost by it.
constexpr std::size_t room_min = 40;  // the smallest size: 5 steps of 8
constexpr std::size_t room_max = std::size_t{1} << 32;
constexpr std::size_t sizes = 4 * std::size_t{32 - 5};  // 2^5 to 2^32

struct Size {
  std::size_t room;
  std::size_t index;
};

Size size_for(std::size_t bytes) {
  bytes = std::max(bytes, room_min);
  const auto power = static_cast<unsigned>(std::bit_width(bytes - 1));
  const std::size_t step = std::size_t{1} << (power - 3);
  const std::size_t steps = (bytes + step - 1) / step;  // 5 to 8
  return {steps * step, (power - 6) * 4 + steps - 5};
}

// One bucket for half a KiB of entries: short chains, and a table that is small
// beside what it holds.
std::size_t buckets_for(std::size_t bytes_max) {
  constexpr std::size_t least = 1 << 10, most = 1 << 18;
  return std::bit_ceil(std::clamp(bytes_max / 512, least, most));
}

}  // namespace

// The key's bytes and then the value's lie behind it.
struct Store::Entry {
  Link next;
  std::size_t key_size;
  std::size_t value_size;

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  std::string_view key() { return {bytes(), key_size}; }
  std::string_view value() { return {bytes() + key_size, value_size}; }
  std::size_t room() {
    return size_for(sizeof(Entry) + key_size + value_size).room;
  }
};

// What changes, apart from the buckets: in the shared memory, not in the Store.
// bytes and spare_bytes together never exceed bytes_max_.
struct Store::Root {
  std::size_t keys = 0;
  std::size_t bytes = 0;        // of the entries in the table
  std::size_t spare_bytes = 0;  // of the spares
  Link spares[sizes] = {};      // at most one replaced entry of each size
};

Store::Store(std::pmr::memory_resource& memory, protocol::Lock& lock,
             std::size_t bytes_max, HashKey hash_key)
    : memory_(memory),
      lock_(lock),
      bytes_max_(bytes_max),
      hash_key_(hash_key),
      buckets_(buckets_for(bytes_max)) {
  static_assert(Link::is_always_lock_free);
  std::pmr::polymorphic_allocator<> allocator(&memory_);
  table_ = allocator.allocate_object<Link>(buckets_);
  for (std::size_t i = 0; i < buckets_; ++i) new (table_ + i) Link(nullptr);
  try {
    root_ = allocator.new_object<Root>();
  } catch (...) {
    allocator.deallocate_object(table_, buckets_);
    throw;
  }
}

Store::~Store() {
  clear();
  std::pmr::polymorphic_allocator<> allocator(&memory_);
  allocator.deallocate_object(root_);
  allocator.deallocate_object(table_, buckets_);
}

// A kill falls between two instructions of the killed thread, as a signal
// handler would: what counts is the order in which the compiler leaves them,
// and that is what a signal fence fixes. Everything before is done when the
// entry can be seen; nothing behind has begun.
void Store::publish(Link& link, Entry* entry) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  link.store(entry, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// The link that holds the key's entry, or else the null at the chain's end.
Store::Link& Store::link_to(std::string_view key) const {
  Link* link = &table_[SipHash(hash_key_)(key) & (buckets_ - 1)];
  for (Entry* entry; (entry = link->load(std::memory_order_relaxed));
       link = &entry->next)
    if (entry->key() == key) break;
  return *link;
}

std::optional<std::string_view> Store::find(std::string_view key) const {
  Entry* const entry = link_to(key).load(std::memory_order_relaxed);
  if (!entry) return std::nullopt;
  return entry->value();
}

Store::Set Store::set(std::string_view key, std::string_view value) {
  const auto most = std::min(bytes_max_, room_max - sizeof(Entry));
  if (key.size() > most || value.size() > most - key.size())
    return Set::no_room;
  const auto room = size_for(sizeof(Entry) + key.size() + value.size()).room;
  const Held held(*this);
  Link& link = link_to(key);
  Entry* const old = link.load(std::memory_order_relaxed);
  const auto freed = old ? old->room() : 0;
  // The old entry makes room only when the new one has taken its place, so
  // for a moment the store is larger than it may be, by that entry.
  if (room > bytes_max_ - (root_->bytes - freed)) return Set::no_room;
  Entry* const entry = obtain(room);
  if (!entry) return Set::no_room;
  Entry* const next = old ? old->next.load(std::memory_order_relaxed) : nullptr;
  new (entry) Entry{next, key.size(), value.size()};
  std::ranges::copy(key, entry->bytes());
  std::ranges::copy(value, entry->bytes() + key.size());
  publish(link, entry);
  root_->keys += old ? 0 : 1;
  root_->bytes += room - freed;
  if (old) retire(old);
  return Set::done;
}

bool Store::erase(std::string_view key) {
  const Held held(*this);
  Link& link = link_to(key);
  Entry* const entry = link.load(std::memory_order_relaxed);
  if (!entry) return false;
  publish(link, entry->next.load(std::memory_order_relaxed));
  root_->keys -= 1;
  root_->bytes -= entry->room();
  release(entry);
  return true;
}

bool Store::contains(std::string_view key) const {
  const Held held(*this);
  return find(key).has_value();
}

void Store::clear() {
  const Held held(*this);
  for (std::size_t i = 0; i < buckets_; ++i)
    while (Entry* const entry = table_[i].load(std::memory_order_relaxed)) {
      publish(table_[i], entry->next.load(std::memory_order_relaxed));
      root_->keys -= 1;
      root_->bytes -= entry->room();
      release(entry);
    }
  drop_spares();
}

std::size_t Store::size() const {
  const Held held(*this);
  return root_->keys;
}

std::size_t Store::bytes_used() const {
  const Held held(*this);
  return root_->bytes;
}

void Store::walk(void (*visit)(void*, std::string_view), void* context) const {
  for (std::size_t i = 0; i < buckets_; ++i)
    for (Entry* entry = table_[i].load(std::memory_order_relaxed); entry;
         entry = entry->next.load(std::memory_order_relaxed))
      visit(context, entry->key());
}

// Who dies in here leaves the lock to somebody who counts again.
void Store::recount() const {
  root_->keys = root_->bytes = root_->spare_bytes = 0;
  for (std::size_t i = 0; i < buckets_; ++i)
    for (Entry* entry = table_[i].load(std::memory_order_relaxed); entry;
         entry = entry->next.load(std::memory_order_relaxed)) {
      root_->keys += 1;
      root_->bytes += entry->room();
    }
  for (auto& spare : root_->spares)
    if (Entry* const entry = spare.load(std::memory_order_relaxed))
      root_->spare_bytes += entry->room();
}

// Room for an entry: the spare of this size, or new. Null: there is none.
Store::Entry* Store::obtain(std::size_t room) {
  Link& spare = root_->spares[size_for(room).index];
  if (Entry* const entry = spare.load(std::memory_order_relaxed)) {
    publish(spare, nullptr);
    root_->spare_bytes -= room;
    return entry;
  }
  // Spares are there for speed; they never keep out an entry.
  if (room > bytes_max_ - root_->bytes - root_->spare_bytes) drop_spares();
  if (Entry* const entry = allocate(room)) return entry;
  drop_spares();
  return allocate(room);
}

// Null where the memory throws: it is exhausted.
Store::Entry* Store::allocate(std::size_t room) {
  try {
    return static_cast<Entry*>(memory_.allocate(room, alignof(Entry)));
  } catch (...) {
    return nullptr;
  }
}

// An entry that was replaced becomes the spare of its size, if there is none.
void Store::retire(Entry* entry) {
  const auto size = size_for(entry->room());
  Link& spare = root_->spares[size.index];
  if (spare.load(std::memory_order_relaxed) ||
      size.room > bytes_max_ - root_->bytes - root_->spare_bytes)
    return release(entry);
  publish(spare, entry);
  root_->spare_bytes += size.room;
}

// Gives an entry that nothing points to back to the memory.
void Store::release(Entry* entry) {
  memory_.deallocate(entry, entry->room(), alignof(Entry));
}

void Store::drop_spares() {
  for (auto& spare : root_->spares)
    if (Entry* const entry = spare.load(std::memory_order_relaxed)) {
      publish(spare, nullptr);
      root_->spare_bytes -= entry->room();
      release(entry);
    }
}

}  // namespace node
