#pragma once
// What is asked, and whether the answer is right. Every payload is of the
// connection and the request that it is sent with, so that an answer that
// belongs to another one is known to be wrong, and whose it is.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/client_session.hpp"
#include "protocol/value.hpp"

namespace load {

/// Numbers that repeat with their seed (SplitMix64: Steele, Lea, Flood, Fast
/// splittable pseudorandom number generators, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  /// From 0 to below `bound`, which is above 0.
  std::uint64_t below(std::uint64_t bound);
  /// Above 0, at most 1.
  double fraction();

 private:
  std::uint64_t state_;
};

/// Who a payload belongs to: a request of a connection, or a value of a key.
/// One of another size is another value, so that none is right when it is cut
/// off.
using Owner = std::uint64_t;
Owner owner_of_request(std::uint32_t connection, std::uint32_t sequence);
inline constexpr std::uint64_t keys_max = std::uint64_t{1} << 36;
/// `key` is below keys_max, `size` at most 64 MiB.
Owner owner_of_value(std::uint64_t key, std::uint64_t size);
/// "connection 5, request 17", "key 3 with 20 bytes".
std::string describe(Owner owner);

/// Appends the first `size` bytes of the owner's endless text, which differs
/// from any other owner's in its first eight.
void append_payload(std::string& text, std::size_t size, Owner owner);
/// Whether all bytes are the beginning of the owner's text.
bool is_payload(std::string_view bytes, Owner owner);
/// Reads the owner back from 16 bytes or more of his text, "" if it is
/// nobody's.
std::string whose(std::string_view bytes);

/// One request on its way: by this its answer is checked.
struct Asked {
  std::int64_t intended_ns = 0;  // when it should have been sent
  std::int64_t sent_ns = 0;
  std::uint64_t key = 0;
  std::uint32_t sequence = 0;
  std::uint32_t size = 0;     // of its payload, in bytes
  std::uint32_t command = 0;  // which of the workload's
};

/// Who answers: a server, or an echo, which sends the request itself back.
/// Since a request is RESP too, it is an answer like others: an array of its
/// words.
enum class Answers { server, echo };

/// A mix of commands. May be used by many threads.
class Workload {
 public:
  /// Commands as the command line gives them: words between blanks, and in them
  /// `{n}` (n bytes of payload), `{n-m}` (n to m bytes) and `{key}` (one of
  /// `keys`); in front, perhaps, a weight: "9*GET {key}". Throws
  /// std::invalid_argument for what has no sense, and for a command whose
  /// answer could not be checked. `from`: who answers.
  Workload(const std::vector<std::string>& commands, std::uint64_t keys,
           Answers from = Answers::server);

  /// What one connection needs for its requests.
  struct Speaker {
    Speaker(std::uint32_t number, Random numbers)
        : connection(number), random(numbers) {}

    std::uint32_t connection;
    Random random;
    std::uint32_t sequence = 0;
    // Of one request, kept for its memory: the words lie in the text.
    std::string text;
    std::vector<std::string_view> words;
  };

  /// No request is longer, in bytes.
  std::size_t request_max() const;

  /// Appends one request to the session. The times are the caller's to set.
  Asked ask(protocol::ClientSession& session, Speaker& speaker) const;

  /// "" if the reply is what this request has to be answered with, else what is
  /// wrong with it.
  std::string check(const protocol::Value& reply, const Asked& asked,
                    Speaker& speaker) const;

 private:
  enum class Answer { argument, pong, ok, value, count, hops, request };
  struct Piece {
    enum class Kind { literal, payload, key };
    Kind kind = Kind::literal;
    std::string literal = {};
    std::uint32_t least = 0, most = 0;  // payload, in bytes
  };
  using Word = std::vector<Piece>;
  struct Command {
    std::vector<Word> words;
    Answer answer = Answer::argument;
    std::uint64_t weight = 1;
    bool has_key = false;
    std::optional<Piece> payload = {};
    std::size_t text_max = 0;  // bytes of all words
  };

  static Command parse(std::string_view text);
  static void survey(Command& command, std::string_view whole);
  static Word parse_word(std::string_view text);
  static Piece parse_place(std::string_view inside);
  static void find_answer(Command& command, std::string_view text);
  static std::uint32_t size_of(const Piece& piece, Random& random);
  static bool is_literal(const Word& word);
  static bool is_payload(const Word& word);
  const Command& choose(Random& random, Asked& asked) const;
  Owner owner(const Asked& asked, std::uint32_t connection) const;
  void append(std::string& text, const Word& word, const Asked& asked,
              std::uint32_t connection) const;
  bool is_right(const protocol::Value& reply, const Asked& asked,
                Speaker& speaker) const;
  bool is_value(std::string_view text, std::uint64_t key) const;
  bool is_word(std::string_view text, const Word& word, const Asked& asked,
               Speaker& speaker) const;
  bool is_request(const protocol::Value& reply, const Asked& asked,
                  Speaker& speaker) const;
  bool are_hops(const protocol::Value& reply, std::uint64_t key) const;

  std::vector<Command> commands_;
  std::uint64_t weights_ = 0;
  bool may_be_empty_ = false;  // what GET finds
  const std::uint64_t keys_;
  mutable std::mutex mutex_;
  mutable std::map<std::uint64_t, std::string> owners_;  // ids, by key
};

}  // namespace load
