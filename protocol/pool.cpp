#include "protocol/pool.hpp"

#include <bit>
#include <new>
#include <utility>

namespace protocol {

Pool::Pool(Budget& budget, std::size_t idle_max, Use use)
    : budget_(budget), idle_max_(idle_max), use_(use) {}

Pool::~Pool() {
  for (Block* block : free_) {
    while (block != nullptr) release(std::exchange(block, block->next));
  }
}

std::unique_lock<std::mutex> Pool::lock() const {
  if (use_ == Use::one_thread) return {};
  return std::unique_lock(mutex_);
}

Block* Pool::borrow(std::size_t bytes) {
  Block* const block = try_borrow(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

Block* Pool::try_borrow(std::size_t bytes) noexcept {
  const std::size_t size_class =
      bytes <= block_min ? 0 : std::bit_width((bytes - 1) / block_min);
  if (size_class >= classes) return nullptr;
  const auto guard = lock();
  Block* const block = free_[size_class];
  if (block == nullptr) return allocate(size_class);
  free_[size_class] = block->next;
  idle_ -= block->capacity;
  block->next = nullptr;
  block->begin = block->end = 0;
  return block;
}

void Pool::give_back(Block* block) noexcept {
  const auto guard = lock();
  // Where the process is short, what lies here unused is the first to go.
  if (idle_ + block->capacity > idle_max_ || budget_.exceeded()) {
    release(block);
    return;
  }
  idle_ += block->capacity;
  block->next = std::exchange(free_[block->size_class], block);
}

void Pool::trim(std::size_t keep) noexcept {
  const auto guard = lock();
  for (std::size_t from = classes; from-- > 0 && idle_ > keep;) {
    while (free_[from] != nullptr && idle_ > keep) {
      Block* const block = free_[from];
      free_[from] = block->next;
      idle_ -= block->capacity;
      release(block);
    }
  }
}

Block* Pool::allocate(std::size_t size_class) noexcept {
  const std::size_t capacity = block_min << size_class;
  void* const memory = ::operator new(sizeof(Block) + capacity, std::nothrow);
  if (memory == nullptr) return nullptr;
  Block* const block = new (memory) Block;
  block->capacity = static_cast<std::uint32_t>(capacity);
  block->size_class = static_cast<std::uint32_t>(size_class);
  budget_.take(capacity);
  ++allocations_;
  return block;
}

void Pool::release(Block* block) noexcept {
  budget_.give(block->capacity);
  ::operator delete(block);
}

std::uint64_t Pool::allocations() const {
  const auto guard = lock();
  return allocations_;
}

}  // namespace protocol
