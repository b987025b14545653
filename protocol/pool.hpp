#pragma once
// Blocks of memory that sessions borrow while they hold bytes. An idle session
// holds none, so ten thousand idle peers cost what their sessions cost.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace protocol {

/// What all pools of the process together have taken from the system, in
/// bytes, and how much they should. Thread-safe. It never refuses: a pool that
/// finds it exceeded has its loop close the largest conversation of its own.
class Budget {
 public:
  using Bytes = std::atomic<std::uint64_t>;

  explicit Budget(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  /// The sum lies elsewhere: in memory that processes share. `used` outlives
  /// the budget.
  Budget(std::size_t bytes_max, Bytes& used)
      : bytes_max_(bytes_max), used_(used) {}
  /// In a child, of one thread: its own share of the sum is kept at `share`,
  /// for give() by the parent when the child has died, however it did.
  void share_at(Bytes& share) { share_ = &share; }

  /// Of so many pools, which are made afterwards, all together keep as much
  /// idle as one would (but each at least 64 KiB): it counts as used, and the
  /// loop that is short cannot give back what another one keeps.
  void divide_idle(unsigned pools) {
    idle_max_ = std::max<std::size_t>(idle_max_ / pools, 64 << 10);
  }
  /// What a pool may keep idle, in bytes.
  std::size_t idle_max() const { return idle_max_; }

  // A child that is killed between the two leaves a block in the sum. With the
  // two the other way round its parent would give back what had not been taken:
  // the sum would fall below zero, and everybody be evicted.
  void take(std::size_t bytes) {
    used_.fetch_add(bytes, std::memory_order_relaxed);
    if (share_) share_->fetch_add(bytes, std::memory_order_relaxed);
  }
  void give(std::size_t bytes) {
    if (share_) share_->fetch_sub(bytes, std::memory_order_relaxed);
    used_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  bool exceeded() const { return used() > bytes_max_; }
  bool far_exceeded() const { return used() / 2 > bytes_max_; }

 private:
  const std::size_t bytes_max_;
  std::size_t idle_max_ = 1 << 20;
  Bytes own_{0};
  Bytes& used_ = own_;
  Bytes* share_ = nullptr;
};

/// A piece of memory of 1 KiB << n bytes, header included in none of them. The
/// holder uses `next`, `begin` and `end` as it likes: a queue of blocks needs
/// no memory of its own.
struct Block {
  Block* next = nullptr;
  std::uint32_t begin = 0;  // first byte in use
  std::uint32_t end = 0;    // behind the last byte in use
  std::uint32_t capacity = 0;
  std::uint32_t size_class = 0;

  std::byte* bytes() { return reinterpret_cast<std::byte*>(this + 1); }
  std::size_t used() const { return end - begin; }
  std::size_t room() const { return capacity - end; }
};

/// The free blocks of one loop, last in first out so that the next borrower
/// finds them in the cache. Belongs to one thread.
class Pool {
 public:
  static constexpr std::size_t block_min = 1 << 10;
  static constexpr std::size_t classes = 21;  // 1 KiB to 1 GiB

  /// Keeps at most `idle_max` bytes of free blocks. `budget` outlives it.
  Pool(Budget& budget, std::size_t idle_max)
      : budget_(budget), idle_max_(idle_max) {}
  /// As much as the budget says.
  explicit Pool(Budget& budget) : Pool(budget, budget.idle_max()) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// An empty block of at least `bytes` (at most 1 GiB), the caller's until
  /// given back, to this pool or another one (Session::use()). Throws
  /// std::bad_alloc.
  Block* borrow(std::size_t bytes) {
    if (Block* const block = try_borrow(bytes)) return block;
    throw std::bad_alloc();
  }
  /// Null instead of throwing.
  Block* try_borrow(std::size_t bytes) noexcept;
  void give_back(Block* block) noexcept;

  /// Gives free blocks back to the system, the largest first, until no more
  /// than `idle_max` bytes of them are left: for who is about to sleep and has
  /// the whole pool for itself.
  void trim(std::size_t idle_max) noexcept {
    if (idle_ > idle_max) release_idle(idle_max);
  }

  /// The process has more in blocks than it should.
  bool exceeded() const { return budget_.exceeded(); }
  /// More than twice as much: then many small ones have it.
  bool far_exceeded() const { return budget_.far_exceeded(); }
  /// How often memory was asked of the system: constant in the steady state.
  std::uint64_t allocations() const { return allocations_; }

 private:
  Block* allocate(std::size_t size_class) noexcept;
  void release(Block* block) noexcept;
  void release_idle(std::size_t idle_max) noexcept;

  Budget& budget_;
  const std::size_t idle_max_;
  Block* free_[classes] = {};
  std::size_t idle_ = 0;
  std::uint64_t allocations_ = 0;
};

}  // namespace protocol
