#pragma once
// Some of many values, in their order and in bounded memory.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace load {

/// Of the values each `stride`-th is kept. Where `most` are (an even number),
/// every second one of them is dropped, and from then on half as many are kept:
/// they are always as far from each other, over all that was added.
template <class Value>
class Series {
 public:
  explicit Series(std::size_t most, std::uint64_t stride = 1)
      : most_(most), stride_(stride), left_(stride) {
    values_.reserve(most);
  }

  void add(Value value) {
    if (--left_ != 0) return;
    left_ = stride_;
    values_.push_back(value);
    if (values_.size() == most_) [[unlikely]]
      halve();
  }

  std::span<const Value> values() const { return values_; }
  /// How many values were added from one that is kept to the next.
  std::uint64_t stride() const { return stride_; }

 private:
  void halve() {
    for (std::size_t i = 0; i < most_ / 2; ++i) values_[i] = values_[2 * i + 1];
    values_.resize(most_ / 2);
    stride_ *= 2;
    left_ = stride_;
  }

  std::size_t most_;
  std::uint64_t stride_, left_;
  std::vector<Value> values_;
};

}  // namespace load
