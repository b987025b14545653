#include "program/answer.hpp"

#include <cstddef>

namespace program {
namespace {

std::size_t size_of(const protocol::Value& value) {
  std::size_t size = value.text.size();
  for (const protocol::Value& element : value.elements)
    size += size_of(element);
  return size;
}

/// Appends the texts to `bytes`, which has room for all of them, and has the
/// views look there.
void adopt(protocol::Value& value, std::vector<char>& bytes) {
  const std::size_t begin = bytes.size();
  bytes.insert(bytes.end(), value.text.begin(), value.text.end());
  value.text = {bytes.data() + begin, value.text.size()};
  for (protocol::Value& element : value.elements) adopt(element, bytes);
}

}  // namespace

Answer::Answer(const protocol::Value& lent) : value_(lent) {
  bytes_.reserve(size_of(value_));
  adopt(value_, bytes_);
}

}  // namespace program
