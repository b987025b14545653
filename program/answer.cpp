#include "program/answer.hpp"

namespace program {
namespace {

/// Keeps the texts, and has the views look there.
void adopt(protocol::Value& value, std::deque<std::string>& texts) {
  value.text = texts.emplace_back(value.text);
  for (protocol::Value& element : value.elements) adopt(element, texts);
}

}  // namespace

Answer::Answer(const protocol::Value& lent) : value_(lent) {
  adopt(value_, texts_);
}

}  // namespace program
