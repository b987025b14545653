#include "protocol/output.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace protocol {

Output::~Output() {
  while (first_ != nullptr) drop_first();
}

void Output::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> room = extend_some(bytes.size());
    std::memcpy(room.data(), bytes.data(), room.size());
    bytes.remove_prefix(room.size());
  }
}

std::span<char> Output::extend_some(std::size_t size) {
  if (last_ == nullptr || last_->room() < size) grow(size);
  size = std::min(size, last_->room());
  return {take(size), size};
}

char* Output::extend(std::size_t size) {
  assert(size <= extend_max);
  if (last_ == nullptr || last_->room() < size) {
    grow(size);
    if (last_->room() < size) append_block(size);
  }
  return take(size);
}

char* Output::take(std::size_t size) {
  char* const at = reinterpret_cast<char*>(last_->bytes()) + last_->end;
  last_->end += static_cast<std::uint32_t>(size);
  size_ += size;
  return at;
}

// Makes room behind the last byte, for all of `bytes` where a block can be
// large enough. Two small blocks would be two calls of send(2), so a small
// block that is not lent is replaced by one of at least twice the use; a lent
// one is left as it is, and what follows goes to a block of its own.
void Output::grow(std::size_t bytes) {
  if (last_ != nullptr && !lent(last_)) {
    if (last_->capacity < lent_max) {
      const std::size_t used = last_->used();
      return replace_last(std::min(used + std::max(used, bytes), lent_max));
    }
    if (last_->room() != 0) return;
  }
  append_block(std::min(bytes, lent_max));
}

void Output::append_block(std::size_t capacity) {
  Block* const block = pool_->borrow(capacity);
  held_ += block->capacity;
  (last_ == nullptr ? first_ : last_->next) = block;
  last_ = block;
}

void Output::replace_last(std::size_t capacity) {
  Block* const block = pool_->borrow(capacity);
  std::memcpy(block->bytes(), last_->bytes() + last_->begin, last_->used());
  block->end = static_cast<std::uint32_t>(last_->used());
  // The queue is short: all but its ends are blocks of 64 KiB.
  Block** link = &first_;
  while (*link != last_) link = &(*link)->next;
  *link = block;
  held_ += block->capacity;
  held_ -= last_->capacity;
  pool_->give_back(std::exchange(last_, block));
}

void Output::drop_first() {
  Block* const block = std::exchange(first_, first_->next);
  if (first_ == nullptr) last_ = nullptr;
  held_ -= block->capacity;
  pool_->give_back(block);
}

void Output::abandon() {
  Block* const kept = lent_ == 0 ? nullptr : first_;
  if (kept != nullptr) first_ = kept->next;
  while (first_ != nullptr) drop_first();
  first_ = last_ = kept;
  size_ = lent_;
  if (kept == nullptr) return;
  kept->next = nullptr;
  kept->end = kept->begin + lent_;  // what was appended to it since goes too
}

std::span<const std::byte> Output::lend() {
  if (first_ == nullptr) return {};
  if (lent_ == 0) lent_ = static_cast<std::uint32_t>(first_->used());
  return {first_->bytes() + first_->begin, lent_};
}

void Output::sent(std::size_t n) {
  assert(n <= lent_);
  lent_ = 0;
  if (first_ == nullptr) return;
  first_->begin += static_cast<std::uint32_t>(n);
  size_ -= n;
  if (first_->used() == 0) drop_first();
}

}  // namespace protocol
