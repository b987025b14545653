#pragma once
// The one owner of the conversations of a loop.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace net {

/// Values under ids that are not given again: an id is a slot and the
/// generation of its holder, so an event that comes late for a conversation
/// that has gone finds nothing, whoever has the slot and the descriptor by now.
/// Ids are below 2^56; 0 is never one. Values do not move. One thread at a
/// time.
///
/// (An id comes again when its slot has been used `generations` times more: at
/// a million conversations a second in one slot, after 16 s, when nothing of
/// the first is in flight any more.)
template <class T, std::uint32_t generations = (1u << 24) - 1>
class Table {
 public:
  Table() = default;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    each([this](std::uint64_t id, T&) { erase(id); });
  }

  /// The id that the next emplace() will give; 0 if there is no memory for one
  /// more.
  std::uint64_t next_id() noexcept try {
    if (free_ == none) add_chunk();
    return id_of(free_);
  } catch (const std::bad_alloc&) {
    return 0;
  }

  /// Makes a value under the id that next_id() has just given. Throws what its
  /// constructor throws, and std::bad_alloc if that was 0.
  template <class... Args>
  T& emplace(Args&&... args) {
    if (free_ == none) throw std::bad_alloc();
    Slot& slot = at(free_);
    T* made = ::new (slot.bytes) T(std::forward<Args>(args)...);
    free_ = slot.next;
    slot.next = taken;
    ++size_;
    return *made;
  }

  T* find(std::uint64_t id) {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= chunks_.size() * chunk_size) return nullptr;
    Slot& slot = at(index);
    if (slot.next != taken || id != id_of(index)) return nullptr;
    return slot.value();
  }

  void erase(std::uint64_t id) {
    T* value = find(id);
    if (!value) return;
    const auto index = static_cast<std::uint32_t>(id);
    value->~T();
    Slot& slot = at(index);
    slot.generation = slot.generation % generations + 1;
    slot.next = free_;
    free_ = index;
    --size_;
  }

  std::size_t size() const { return size_; }

  /// visit(id, value) for all; it may erase any of them.
  template <class Visit>
  void each(Visit visit) {
    // Chunk by chunk: a loop that asks everybody does this in every turn.
    for (std::size_t i = 0; size_ && i < chunks_.size(); ++i) {
      Slot* const slots = chunks_[i].get();
      for (std::uint32_t k = 0; k < chunk_size; ++k)
        if (slots[k].next == taken)
          visit(id_of(static_cast<std::uint32_t>(i) * chunk_size + k),
                *slots[k].value());
    }
  }

 private:
  static constexpr std::uint32_t chunk_size = 64;
  static constexpr std::uint32_t none = ~0u, taken = ~0u - 1;
  static_assert(generations > 0 && generations < 1u << 24);

  struct Slot {
    alignas(T) std::byte bytes[sizeof(T)];
    std::uint32_t generation = 1;
    std::uint32_t next = none;  // the next free slot, or `taken`
    T* value() { return std::launder(reinterpret_cast<T*>(bytes)); }
  };

  Slot& at(std::uint32_t index) {
    return chunks_[index / chunk_size][index % chunk_size];
  }
  std::uint64_t id_of(std::uint32_t index) {
    return std::uint64_t{at(index).generation} << 32 | index;
  }
  void add_chunk() {
    const auto first = static_cast<std::uint32_t>(chunks_.size() * chunk_size);
    chunks_.push_back(std::make_unique<Slot[]>(chunk_size));
    for (std::uint32_t i = chunk_size; i-- > 0;) {
      at(first + i).next = free_;
      free_ = first + i;
    }
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::uint32_t free_ = none;
  std::size_t size_ = 0;
};

}  // namespace net
