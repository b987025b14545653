#pragma once
// Where the arguments of one request stand while it is answered.

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "protocol/pool.hpp"

namespace protocol {

/// Lives on the stack of whoever answers. A few arguments have room in it; of
/// many, and of words whose quotes had to be resolved, the memory is blocks of
/// the pool: the budget knows of it, and nothing stays when the request is
/// answered. Used by one thread.
class Scratch {
 public:
  static constexpr std::size_t few_max = 64;

  /// `pool` outlives it.
  explicit Scratch(Pool& pool) : pool_(pool), first_(few_) {}
  ~Scratch() {
    if (many_ != nullptr) pool_.give_back(many_);
    if (text_ != nullptr) pool_.give_back(text_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::span<const std::string_view> arguments() const {
    return {first_, count_};
  }
  /// For the next request; keeps the memory.
  void clear() { count_ = 0; }
  /// Throws std::bad_alloc, and has changed nothing then.
  void add(std::string_view argument) {
    if (count_ == room_) grow();
    std::construct_at(first_ + count_++, argument);
  }
  /// Room for so many bytes, which stays where it is until the next call.
  /// Throws std::bad_alloc.
  char* text(std::size_t bytes);

 private:
  void grow();

  Pool& pool_;
  std::string_view* first_;
  std::size_t count_ = 0;
  std::size_t room_ = few_max;
  Block* many_ = nullptr;
  Block* text_ = nullptr;
  // In a union, so that nothing is written to what is not used.
  union {
    std::string_view few_[few_max];
  };
};

}  // namespace protocol
