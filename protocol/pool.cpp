#include "protocol/pool.hpp"

#include <bit>
#include <new>
#include <utility>

namespace protocol {

Pool::~Pool() {
  for (Block* block : free_) {
    while (block != nullptr) release(std::exchange(block, block->next));
  }
}

Block* Pool::try_borrow(std::size_t bytes) noexcept {
  const std::size_t size_class =
      bytes <= block_min ? 0 : std::bit_width((bytes - 1) / block_min);
  if (size_class >= classes) return nullptr;
  Block* const block = free_[size_class];
  if (block == nullptr) return allocate(size_class);
  free_[size_class] = block->next;
  idle_ -= block->capacity;
  block->next = nullptr;
  block->begin = block->end = 0;
  return block;
}

void Pool::give_back(Block* block) noexcept {
  // Where the process is short, what lies here unused is the first to go.
  if (idle_ + block->capacity > idle_max_ || budget_.exceeded()) {
    release(block);
    return;
  }
  idle_ += block->capacity;
  block->next = std::exchange(free_[block->size_class], block);
}

Block* Pool::allocate(std::size_t size_class) noexcept {
  const std::size_t capacity = block_min << size_class;
  void* memory = ::operator new(sizeof(Block) + capacity, std::nothrow);
  if (memory == nullptr && idle_ != 0) {
    release_idle(0);  // of other sizes
    memory = ::operator new(sizeof(Block) + capacity, std::nothrow);
  }
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

// The largest go first.
void Pool::release_idle(std::size_t idle_max) noexcept {
  for (std::size_t i = classes; i-- > 0;) {
    while (free_[i] != nullptr && idle_ > idle_max) {
      Block* const block = std::exchange(free_[i], free_[i]->next);
      idle_ -= block->capacity;
      release(block);
    }
  }
}

}  // namespace protocol
