#pragma once
// Keys and values, both any bytes, in cells of one size.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory_resource>
#include <string_view>

#include "node/siphash.hpp"
#include "protocol/lock.hpp"

namespace node {

/// A hash table whose entries lie in cells of 64 bytes: any free cell serves
/// any entry, so what one size has given back serves every other, and a store
/// that was emptied holds what a fresh one holds. All of it is one region of
/// the memory that is handed in, so that forked children can share it: every
/// child uses its own copy of this object, the one who made it destroys it.
///
/// An entry is a circle of cells. Which cell comes behind which stands in an
/// array beside them (as in a file allocation table), so that cells in a row
/// hold their bytes in one piece. The key "colour" with a value of 120 bytes:
///
///     bucket --> cell 7: next 0, sizes 6 and 120, slot | colour, 42 bytes
///                cell 8:                                         64 bytes
///                cell 3:                                         14 bytes
///     links:     [7] = 8, [8] = 3, [3] = 7
///
/// The next entry of the bucket is 0: there is none. The value lies in two
/// pieces, 7 with 8, and 3. To free the entry, however long, the circle is cut
/// behind its first cell and laid before the free ones: those are then 8, 3, 7
/// and whatever was free before.
///
/// An entry is built completely and then published by one store of an index,
/// so the table is whole at every instant, also when its user is killed inside
/// set(): every key then has its old value or its new one. What is free and the
/// sums follow from the table: the next user learns of the death from the lock
/// and makes them anew, so a death loses nothing.
///
/// Thread-safe by the lock.
class Store {
  using Index = std::uint32_t;  // of a cell; 0: none

 public:
  /// What the indices can name, with room to replace an entry.
  static constexpr std::size_t bytes_most = std::size_t{1} << 38;
  /// Says a key's slot, below dht::slots.
  using SlotOf = std::function<std::uint16_t(std::string_view key)>;

  /// `bytes_max`: what all entries together may take, at most bytes_most;
  /// `hash_key` should be random. Without `slot_of` there is one slot, 0.
  /// Throws std::bad_alloc if the memory does not have region_size(bytes_max),
  /// aligned to 64. Memory and lock outlive the store.
  Store(std::pmr::memory_resource& memory, protocol::Lock& lock,
        std::size_t bytes_max, HashKey hash_key = {}, SlotOf slot_of = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// How much memory is taken once and for all. Cells are touched only when
  /// all that were touched before are in use.
  static std::size_t region_size(std::size_t bytes_max);

  enum class Set { done, no_room };
  /// no_room: bytes_max would be exceeded; nothing has changed.
  Set set(std::string_view key, std::string_view value);

  /// A value as it lies in the store.
  class Value {
   public:
    std::size_t size() const { return size_; }
    /// visit(std::string_view) for each piece in turn.
    template <class Visit>
    void each_piece(Visit visit) const {
      store_.each_run(entry_, begin_, size_, [&](char* bytes, std::size_t n) {
        visit(std::string_view(bytes, n));
      });
    }

   private:
    friend class Store;
    Value(const Store& store, Index entry);
    const Store& store_;
    const Index entry_;
    const std::size_t begin_, size_;
  };
  /// Calls visit(Value) under the lock and returns true; false: no such key.
  /// The value is valid for the call. visit() may not use the store.
  template <class Visit>
  bool get(std::string_view key, Visit visit) const {
    const std::uint64_t hash = SipHash(hash_key_)(key);
    const Held held(*this);
    const Index entry = link_to(key, hash);
    if (entry != none) visit(Value(*this, entry));
    return entry != none;
  }
  /// True if there was such a key.
  bool erase(std::string_view key);
  bool contains(std::string_view key) const;
  /// Takes no longer for a large store than for a small one.
  void clear();

  /// The number of keys, and of those in one slot.
  std::size_t size() const;
  std::size_t size_of_slot(std::uint16_t slot) const;
  /// What the entries take: their cells, each with its link.
  std::size_t bytes_used() const;
  std::size_t bytes_max() const { return bytes_max_; }

 private:
  static constexpr Index none = 0;
  static constexpr std::size_t cell_size = 64;  // a line of the cache
  static constexpr std::size_t cell_cost = cell_size + sizeof(Index);
  struct alignas(cell_size) Cell {
    char bytes[cell_size];
  };
  /// At the beginning of an entry's first cell; then come key and value.
  struct Header {
    Index next;  // entry in the bucket
    std::uint32_t key_size;
    std::uint32_t value_size;
    std::uint32_t slot;
  };
  /// How many cells an entry takes with so many bytes of key and value.
  static constexpr std::size_t cells_for(std::size_t bytes) {
    return (sizeof(Header) + bytes + cell_size - 1) / cell_size;
  }
  struct Root;
  /// How long the parts of the region are.
  struct Plan {
    explicit Plan(std::size_t bytes_max);
    std::size_t bytes() const;

    std::size_t limit;         // cells that entries may take
    std::size_t cells, marks;  // of all cells, also one that is never used
    std::size_t buckets, pages;
  };

  /// The lock for a scope; puts right what its last owner left when it died.
  class Held {
   public:
    explicit Held(const Store& store) : store_(store) {
      if (store.lock_.lock()) store.rebuild();
    }
    ~Held() { store_.lock_.unlock(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    const Store& store_;
  };

  // All of these under the lock.
  Header& header(Index entry) const {
    return reinterpret_cast<Header&>(cells_[entry]);
  }
  std::size_t cells_of(Index entry) const;
  Index& bucket(std::uint64_t hash) const;
  Index& link_to(std::string_view key, std::uint64_t hash) const;
  bool has_key(Index entry, std::string_view key) const;
  Index build(const Header& header, std::string_view key,
              std::string_view value);
  void write(Index entry, std::size_t begin, std::string_view bytes) const;
  Index take();
  void give(Index entry);
  void forget() const;
  void rebuild() const;
  void mark(Index entry) const;

  // visit(bytes, n) for each run of an entry's bytes from `begin` on, its
  // header being the first of them: cells in a row are one run.
  template <class Visit>
  void each_run(Index cell, std::size_t begin, std::size_t size,
                Visit visit) const {
    while (begin >= cell_size) {  // GCOVR_EXCL_BR_LINE: a key begins before
      cell = links_[cell];
      begin -= cell_size;
    }
    for (;;) {
      char* const bytes = cells_[cell].bytes + begin;
      std::size_t room = cell_size - begin;
      for (; room < size && links_[cell] == cell + 1; ++cell) room += cell_size;
      if (size <= room) return visit(bytes, size);
      visit(bytes, room);
      size -= room;
      begin = 0;
      cell = links_[cell];
    }
  }

  std::pmr::memory_resource& memory_;
  protocol::Lock& lock_;
  const std::size_t bytes_max_;
  const HashKey hash_key_;
  const SlotOf slot_of_;
  const std::size_t slot_count_;
  const Plan plan_;

  // The parts of the region; the cells are its beginning.
  Cell* cells_;
  Root* root_;
  std::uint64_t* generations_;  // one for each page of buckets
  std::uint64_t* marks_;        // a bit for each cell, while all is made anew
  Index* links_;                // one for each cell
  Index* buckets_;              // the first entry of each
  std::uint32_t* slots_;        // how many keys each has
};

}  // namespace node
