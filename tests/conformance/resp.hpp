#pragma once
// RESP as the suite understands it: written for it alone, so that a mistake in
// the product's own reading and writing of frames cannot hide here too.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

/// A request as an array of bulk strings.
std::string request(const std::vector<std::string>& arguments);

/// The answers of which the tests know every byte.
std::string bulk(std::string_view text);
std::string integer(long long number);
inline const std::string ok = "+OK\r\n";
inline const std::string pong = "+PONG\r\n";
inline const std::string null = "$-1\r\n";

/// How many bytes the frame at the front has; nothing if it is incomplete.
/// Throws Trouble if the bytes are no frame.
std::optional<std::size_t> frame_size(std::string_view bytes);
/// How many whole frames, and whether nothing is left behind them.
struct Frames {
  std::size_t count = 0;
  bool exact = true;
};
Frames frames_of(std::string_view bytes);

struct Reply;

/// What an array holds. Who asks for an item that is not there is shown the
/// frame.
struct Items : std::vector<Reply> {
  std::shared_ptr<const std::string> frame;

  const Reply& at(std::size_t n) const;
};

/// A frame taken apart. Maps are arrays of names and values in turn.
struct Reply {
  char type = 0;     // the frame's first byte
  std::string text;  // of all but arrays
  Items items;

  bool error() const { return type == '-'; }
};
/// Throws Trouble unless `frame` is exactly one frame.
Reply decode(std::string_view frame);

/// Texts that cannot be mistaken for each other: `size` bytes (at least 16)
/// that begin with `number`.
std::string numbered(std::size_t number, std::size_t size);
/// The i-th request of a stream of ECHOs and its answer, `size` bytes of text.
std::string echo_request(std::size_t i, std::size_t size);
std::string echo_answer(std::size_t i, std::size_t size);

}  // namespace conformance
