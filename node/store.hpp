#pragma once
// Keys and values, both any bytes.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string_view>

#include "node/siphash.hpp"
#include "protocol/lock.hpp"

namespace node {

/// A hash table of a fixed number of buckets. It lies, entries and all, in the
/// memory that is handed in, so that forked children can share it: every child
/// uses its own copy of this object, the one who made it destroys it last.
///
/// An entry is built completely and then published by one store of a pointer,
/// so the table is whole at every instant, also when its user is killed inside
/// set(): every key then has its old value or its new one. What the dead user
/// had allocated and not published, or unlinked and not given back, is lost to
/// the memory (one block per death). Only the two sums, keys and bytes, can be
/// behind; the next user learns of the death from the lock and counts anew.
///
/// Thread-safe by the lock; the memory is used under it too.
class Store {
 public:
  /// `bytes_max`: what all entries together may take; `hash_key` should be
  /// random. Throws std::bad_alloc if the memory cannot hold the buckets.
  /// Memory and lock outlive the store.
  Store(std::pmr::memory_resource& memory, protocol::Lock& lock,
        std::size_t bytes_max, HashKey hash_key = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  enum class Set { done, no_room };
  /// no_room: bytes_max would be exceeded, or the memory is exhausted; nothing
  /// has changed. Allocates nothing if a value of about this size was
  /// overwritten before: the replaced entry is kept for the next one.
  Set set(std::string_view key, std::string_view value);

  /// Calls visit(value) under the lock and returns true; false: no such key.
  /// The value is valid for the call. visit() may not use the store.
  template <class Visit>
  bool get(std::string_view key, Visit visit) const {
    const Held held(*this);
    const auto value = find(key);
    if (value) visit(*value);
    return value.has_value();
  }
  /// True if there was such a key.
  bool erase(std::string_view key);
  bool contains(std::string_view key) const;
  void clear();

  /// The number of keys.
  std::size_t size() const;
  /// What the entries take: keys, values and their headers, rounded up to the
  /// sizes that are kept.
  std::size_t bytes_used() const;
  std::size_t bytes_max() const { return bytes_max_; }

  /// visit(key) for every key, in no order, under the lock; may not use the
  /// store.
  template <class Visit>
  void each_key(Visit visit) const {
    const Held held(*this);
    walk([](void* context,
            std::string_view key) { (*static_cast<Visit*>(context))(key); },
         &visit);
  }

 private:
  struct Entry;
  struct Root;
  using Link = std::atomic<Entry*>;

  /// The lock for a scope; makes the sums right if its last owner died.
  class Held {
   public:
    explicit Held(const Store& store) : store_(store) {
      if (store.lock_.lock()) store.recount();
    }
    ~Held() { store_.lock_.unlock(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    const Store& store_;
  };

  // All of these under the lock.
  void recount() const;
  Link& link_to(std::string_view key) const;
  std::optional<std::string_view> find(std::string_view key) const;
  void walk(void (*visit)(void*, std::string_view), void* context) const;
  Entry* obtain(std::size_t room);
  Entry* allocate(std::size_t room);
  void retire(Entry* entry);
  void release(Entry* entry);
  void drop_spares();
  static void publish(Link& link, Entry* entry);

  std::pmr::memory_resource& memory_;
  protocol::Lock& lock_;
  const std::size_t bytes_max_;
  const HashKey hash_key_;
  const std::size_t buckets_;  // a power of two
  Root* root_;                 // in memory_
  Link* table_;                // in memory_, buckets_ of them
};

}  // namespace node
