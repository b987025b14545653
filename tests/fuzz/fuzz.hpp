#pragma once
// What the fuzz targets share: how an invariant is held, a service that answers
// whatever it is asked, and pieces of an input.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "protocol/service.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t size);

namespace fuzz {

/// Ends the process where an invariant is broken: a fuzzer keeps the input.
inline void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", invariant);
  std::abort();
}

inline std::string_view as_text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Answers every request with its arguments, three to a portion; GET is
/// pending, SET with less than three arguments is the last request, DEL drops
/// the conversation.
class Service final : public protocol::Service {
 public:
  Service() { limits_.output_max = limits_.parked_max = 300; }
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    reply.spend(1500);
    if (arguments[0] == "GET") {
      reply.later();
      return;
    }
    if (arguments[0] == "SET" && arguments.size() < 3) reply.close();
    if (arguments[0] == "DEL") return reply.drop();
    reply.array(arguments.size());
    for (const std::string_view argument : arguments) reply.bulk(argument);
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

 private:
  protocol::Limits limits_;
  protocol::Budget budget_{limits_.buffers_max};
};

/// The choices of one run, the same for the same input.
class Choices {
 public:
  explicit Choices(std::string_view text)
      : random_(std::hash<std::string_view>{}(text)) {}
  std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  std::minstd_rand random_;
};

}  // namespace fuzz
