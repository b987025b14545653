#pragma once
// Some of many values, in their order and in bounded memory.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace load {

/// Of the values each `stride`-th is kept. Where `most` are (an even number),
/// every second one of them is dropped, and from then on half as many are kept:
/// they are always as far from each other, over all that was added. Memory is
/// taken once, when it is made.
template <class Value>
class Series {
 public:
  explicit Series(std::size_t most, std::uint64_t stride = 1)
      : stride_(stride), left_(stride), room_(most) {}

  /// Costs a nanosecond or two, as it comes between two requests.
  void add(Value value) {
    if (--left_ != 0) return;
    left_ = stride_;
    room_[size_++] = value;
    if (size_ == room_.size()) [[unlikely]]
      halve();
  }

  std::span<const Value> values() const { return {room_.data(), size_}; }
  /// How many values were added from one that is kept to the next.
  std::uint64_t stride() const { return stride_; }

 private:
  [[gnu::noinline]] void halve() {
    size_ /= 2;
    for (std::size_t i = 0; i < size_; ++i) room_[i] = room_[2 * i + 1];
    stride_ *= 2;
    left_ = stride_;
  }

  std::uint64_t stride_, left_;
  std::size_t size_ = 0;
  std::vector<Value> room_;
};

}  // namespace load
