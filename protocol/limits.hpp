#pragma once
// What one conversation, and all of them together, may cost. Every limit is an
// option of the programs and every limit has a test.

#include <chrono>
#include <cstddef>

namespace protocol {

struct Limits {
  std::size_t bulk_max = 1 << 20;       // bytes of one argument
  std::size_t frame_max = 2 << 20;      // bytes of one whole request
  std::size_t arguments_max = 1 << 20;  // arguments of one request
  std::size_t inline_max = 64 << 10;    // bytes of a line, inline or a count
  std::size_t output_max = 1 << 20;     // unsent bytes; above it: no reading
  std::size_t parked_max = 16 << 10;    // input kept behind a pending answer
  std::size_t discard_max = 4 << 20;    // input thrown away before a close
  std::size_t buffers_max = 256 << 20;  // blocks of the whole process
  std::chrono::milliseconds frame_time{10'000};   // to complete a frame
  std::chrono::milliseconds reader_time{30'000};  // output without progress
  std::chrono::milliseconds drain_time{1'000};    // to end after our end
};

}  // namespace protocol
