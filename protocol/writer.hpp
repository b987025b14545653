#pragma once
// Answers are written here, in RESP2 or, after HELLO 3, in RESP3.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace protocol {

struct Value;

/// Where written bytes go.
class Sink {
 public:
  static constexpr std::size_t extend_max = 4 << 10;

  virtual void append(std::string_view bytes) = 0;
  /// `size` bytes more (at most extend_max), to be filled by the caller before
  /// the next call: a small answer is written in its place by one call.
  virtual char* extend(std::size_t size) = 0;
  /// The beginning of `size` bytes more, to be filled likewise; it is asked
  /// again for the rest. So what comes in many pieces takes the room that it
  /// would take in one.
  virtual std::span<char> extend_some(std::size_t size) = 0;

 protected:
  ~Sink() = default;
};

/// A sink for answers that are built apart from their session.
class StringSink final : public Sink {
 public:
  void append(std::string_view bytes) override { text.append(bytes); }
  char* extend(std::size_t size) override {
    text.resize(text.size() + size);
    return text.data() + text.size() - size;
  }
  std::span<char> extend_some(std::size_t size) override {
    return {extend(size), size};  // GCOVR_EXCL_BR_LINE: bad_alloc
  }
  std::string text;
};

/// Writes one answer, piece by piece. An array or map is announced with its
/// size and then filled with so many pieces (a map: twice as many).
class Writer {
 public:
  Writer(Sink& sink, int version) : sink_(sink), version_(version) {}

  int version() const { return version_; }  // 2 or 3

  void simple(std::string_view text);  // +text; no line breaks in it
  void error(std::string_view text);   // -text; line breaks become spaces
  void integer(std::int64_t number);   // :number
  void bulk(std::string_view bytes);   // $n bytes
  /// A bulk of `size` bytes that come in pieces: each_piece(visit) calls
  /// visit(std::string_view) for every one of them.
  template <class EachPiece>
  void bulk(std::size_t size, EachPiece each_piece) {
    if (size <= small_max) {
      char* at = whole_bulk(size);  // GCOVR_EXCL_BR_LINE: bad_alloc
      return each_piece(            // GCOVR_EXCL_BR_LINE: bad_alloc
          [&](std::string_view piece) { at += piece.copy(at, piece.size()); });
    }
    line('$', static_cast<std::int64_t>(size));
    std::span<char> room;
    each_piece([&](std::string_view piece) {
      while (!piece.empty()) {
        if (room.empty()) room = sink_.extend_some(size);
        const std::size_t n = piece.copy(room.data(), room.size());
        piece.remove_prefix(n);
        room = room.subspan(n);
        size -= n;
      }
    });
    sink_.append("\r\n");
  }
  void verbatim(std::string_view text);  // RESP3 =txt:, else bulk
  void null();                           // RESP3 _, else $-1
  void array(std::size_t pieces);        // *n
  void map(std::size_t pairs);           // RESP3 %n, else *2n
  void set(std::size_t pieces);          // RESP3 ~n, else *n
  void value(const Value& value);        // a reply that came from elsewhere
  void raw(std::string_view bytes);      // bytes that are RESP already

 protected:
  /// HELLO changes it in the middle of an answer.
  void speak(int version) { version_ = version; }

 private:
  void scalar(const Value& value);
  void line(char type, std::int64_t number);
  void line(char type, std::string_view text);
  void block(char type, std::string_view prefix, std::string_view bytes);
  char* whole_bulk(std::size_t size);

  // What is small is written in its place at once, with what stands around it.
  static constexpr std::size_t small_max = Sink::extend_max - 32;

  Sink& sink_;
  int version_;
};

}  // namespace protocol
