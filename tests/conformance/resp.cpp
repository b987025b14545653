#include "tests/conformance/resp.hpp"

#include <cstdio>
#include <cstdlib>

#include "tests/conformance/answer.hpp"
#include "tests/conformance/process.hpp"

namespace conformance {

namespace {

/// Walks over one frame.
class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  /// False if the bytes end before the frame does.
  bool frame(Reply* reply) {
    const auto line = take_line();
    if (!line) return false;
    const char type = line->empty() ? ' ' : line->front();
    const auto rest = line->substr(line->empty() ? 0 : 1);
    if (reply) reply->type = type;
    switch (type) {
      case '+':
      case '-':
      case ':':
      case '_':
      case '#':
      case ',':
      case '(':
        if (reply) reply->text = rest;
        return true;
      case '$':
      case '=':
      case '!':
        return text(number_in(rest), reply);
      case '*':
      case '~':
      case '>':
        return items(number_in(rest), reply);
      case '%':
        return items(2 * number_in(rest), reply);
      default:
        throw Trouble("no frame begins like this: " + printable(*line));
    }
  }
  std::size_t at() const { return at_; }

 private:
  std::optional<std::string_view> take_line() {
    const auto end = bytes_.find("\r\n", at_);
    if (end == std::string_view::npos) return {};
    const auto line = bytes_.substr(at_, end - at_);
    at_ = end + 2;
    return line;
  }
  static long number_in(std::string_view digits) {
    char* end = nullptr;
    const std::string copy(digits);
    const long number = std::strtol(copy.c_str(), &end, 10);
    if (copy.empty() || *end || number < -1)
      throw Trouble("no length: " + printable(copy));
    return number;
  }
  bool text(long length, Reply* reply) {
    if (length < 0) {
      if (reply) reply->type = '_';
      return true;
    }
    const auto size = static_cast<std::size_t>(length);
    if (bytes_.size() - at_ < size + 2) return false;
    if (reply) reply->text = bytes_.substr(at_, size);
    at_ += size;
    if (bytes_.substr(at_, 2) != "\r\n") throw Trouble("a bulk has no end");
    at_ += 2;
    return true;
  }
  bool items(long count, Reply* reply) {
    if (count < 0 && reply) reply->type = '_';
    for (long i = 0; i < count; ++i) {
      if (reply) reply->items.emplace_back();
      if (!frame(reply ? &reply->items.back() : nullptr)) return false;
    }
    return true;
  }

  const std::string_view bytes_;
  std::size_t at_ = 0;
};

void remember(Reply& reply, const std::shared_ptr<const std::string>& frame) {
  reply.items.frame = frame;
  for (Reply& item : reply.items) remember(item, frame);
}

}  // namespace

std::string request(const std::vector<std::string>& arguments) {
  std::string frame = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const auto& argument : arguments) frame += bulk(argument);
  return frame;
}

std::string bulk(std::string_view text) {
  std::string frame = "$" + std::to_string(text.size()) + "\r\n";
  return frame.append(text).append("\r\n");
}

std::string integer(long long number) {
  return ":" + std::to_string(number) + "\r\n";
}

const Reply& Items::at(std::size_t n) const {
  if (n < size()) return (*this)[n];
  throw Trouble("an answer has no item " + std::to_string(n) + ": " +
                printable(frame ? *frame : ""));
}

std::optional<std::size_t> frame_size(std::string_view bytes) {
  Walk walk(bytes);
  if (!walk.frame(nullptr)) return {};
  return walk.at();
}

Frames frames_of(std::string_view bytes) {
  Frames frames;
  while (!bytes.empty()) {
    const auto size = frame_size(bytes);
    if (!size) {
      frames.exact = false;
      break;
    }
    bytes.remove_prefix(*size);
    ++frames.count;
  }
  return frames;
}

Reply decode(std::string_view frame) {
  Reply reply;
  Walk walk(frame);
  if (!walk.frame(&reply) || walk.at() != frame.size())
    throw Trouble("not one whole frame: " + printable(frame));
  remember(reply, std::make_shared<const std::string>(frame.substr(0, 400)));
  return reply;
}

std::string numbered(std::size_t number, std::size_t size) {
  static const std::string pattern = [] {
    std::string text(4 << 20, '\0');
    std::uint32_t state = 1;
    for (char& byte : text) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<char>(state >> 24);
    }
    return text;
  }();
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016zx", number);
  return digits + pattern.substr(number % 4096, size - 16);
}

std::string echo_request(std::size_t i, std::size_t size) {
  return request({"ECHO", numbered(i, size)});
}

std::string echo_answer(std::size_t i, std::size_t size) {
  return bulk(numbered(i, size));
}

}  // namespace conformance
