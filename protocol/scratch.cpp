#include "protocol/scratch.hpp"

#include <utility>

namespace protocol {

char* Scratch::text(std::size_t bytes) {
  if (text_ == nullptr || text_->capacity < bytes) {
    Block* const block = pool_.borrow(bytes);
    if (text_ != nullptr) pool_.give_back(text_);
    text_ = block;
  }
  return reinterpret_cast<char*>(text_->bytes());
}

// Doubled, so that each argument is moved O(1) times.
void Scratch::grow() {
  Block* const block = pool_.borrow(2 * room_ * sizeof(std::string_view));
  auto* const first = reinterpret_cast<std::string_view*>(block->bytes());
  std::uninitialized_copy_n(first_, count_, first);
  if (many_ != nullptr) pool_.give_back(many_);
  many_ = block;
  first_ = first;
  room_ = block->capacity / sizeof(std::string_view);
}

}  // namespace protocol
