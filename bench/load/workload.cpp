#include "bench/load/workload.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace load {
namespace {

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
constexpr std::size_t word_size = 8;
constexpr std::uint32_t payload_max = 64 << 20;

// SplitMix64's way of mixing: each step can be undone, so that the first word
// of a payload tells whose it is.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t unmix(std::uint64_t x) {
  x = (x ^ (x >> 31) ^ (x >> 62)) * 0x319642b2d24d8ec3;
  x = (x ^ (x >> 27) ^ (x >> 54)) * 0x96de1b173f119089;
  return x ^ (x >> 30) ^ (x >> 60);
}

// Only the first is mixed: a load makes and compares millions a second.
std::uint64_t payload_word(std::uint64_t first, std::size_t index) {
  return first + index * golden;
}

constexpr Owner key_bit = Owner{1} << 63;
constexpr int key_bits = std::countr_zero(keys_max);  // then the size

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw std::invalid_argument("'" + std::string(text) + "': " + why);
}

std::uint64_t read_number(std::string_view text, std::string_view whole) {
  std::uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    refuse(whole, "'" + std::string(text) + "' is not a number");
  return number;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& letter : result)
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 32);
  return result;
}

std::string shown(std::string_view text) {
  constexpr std::size_t most = 40;
  std::string result;
  for (const char letter : text.substr(0, most))
    result += letter >= ' ' && letter <= '~' ? letter : '.';
  return text.size() > most ? result + "..." : result;
}

std::string describe_reply(const protocol::Value& reply) {
  using Type = protocol::Value::Type;
  switch (reply.type) {
    case Type::error:
      return "the error '" + shown(reply.text) + "'";
    case Type::null:
      return "null";
    case Type::integer:
      return std::to_string(reply.integer);
    case Type::simple:
    case Type::bulk:
      return std::to_string(reply.text.size()) + " bytes '" +
             shown(reply.text) + "'";
    case Type::array:
      return "an array of " + std::to_string(reply.elements.size());
    default:
      return "a value of another type";
  }
}

std::string wrong(const protocol::Value& reply, const std::string& wanted) {
  // The payload of an echo's answer is the last of its words.
  const std::string owner =
      whose(reply.elements.empty() ? reply.text : reply.elements.back().text);
  return describe_reply(reply) + " instead of " + wanted +
         (owner.empty() ? "" : "; they belong to " + owner);
}

}  // namespace

std::uint64_t Random::next() { return mix(state_ += golden); }

// The bias of the remainder is below 2^-32 for all bounds in use.
std::uint64_t Random::below(std::uint64_t bound) { return next() % bound; }

double Random::fraction() {
  constexpr double steps = 1.0 / (std::uint64_t{1} << 53);
  return static_cast<double>((next() >> 11) + 1) * steps;
}

Owner owner_of_request(std::uint32_t connection, std::uint32_t sequence) {
  return (Owner{connection} << 32 | sequence) & ~key_bit;
}

Owner owner_of_value(std::uint64_t key, std::uint64_t size) {
  return key_bit | size << key_bits | key;
}

std::string describe(Owner owner) {
  if (owner & key_bit)
    return "key " + std::to_string(owner & (keys_max - 1)) + " with " +
           std::to_string((owner & ~key_bit) >> key_bits) + " bytes";
  return "connection " + std::to_string(owner >> 32) + ", request " +
         std::to_string(owner & 0xffffffff);
}

void append_payload(std::string& text, std::size_t size, Owner owner) {
  const std::size_t before = text.size();
  text.resize_and_overwrite(before + size, [=](char* begin, std::size_t) {
    const std::uint64_t first = mix(owner);
    char* at = begin + before;
    std::size_t index = 0;
    for (; size >= (index + 1) * word_size; ++index, at += word_size) {
      const std::uint64_t word = payload_word(first, index);
      std::memcpy(at, &word, word_size);
    }
    if (size % word_size != 0) {
      const std::uint64_t last = payload_word(first, index);
      std::memcpy(at, &last, size % word_size);
    }
    return before + size;
  });
}

bool is_payload(std::string_view bytes, Owner owner) {
  const std::uint64_t first = mix(owner);
  std::size_t index = 0;
  for (; bytes.size() >= word_size; ++index) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), word_size);
    if (word != payload_word(first, index)) return false;
    bytes.remove_prefix(word_size);
  }
  if (bytes.empty()) return true;
  const std::uint64_t last = payload_word(first, index);
  return std::memcmp(bytes.data(), &last, bytes.size()) == 0;
}

std::string whose(std::string_view bytes) {
  if (bytes.size() < 2 * word_size) return "";
  std::uint64_t first = 0;
  std::memcpy(&first, bytes.data(), word_size);
  const Owner owner = unmix(first);
  return is_payload(bytes.substr(0, 2 * word_size), owner) ? describe(owner)
                                                           : "";
}

Workload::Workload(const std::vector<std::string>& commands, std::uint64_t keys,
                   Answers from)
    : keys_(keys) {
  for (const std::string& text : commands) {
    commands_.push_back(parse(text));
    if (from == Answers::echo)
      commands_.back().answer = Answer::request;
    else
      find_answer(commands_.back(), text);
    weights_ += commands_.back().weight;
  }
  if (commands_.empty()) throw std::invalid_argument("no command");
  // Without a SET it was somebody else's.
  const auto sets = [](const Command& c) { return c.answer == Answer::ok; };
  may_be_empty_ = std::ranges::none_of(commands_, sets);
  for (const Command& command : commands_)
    may_be_empty_ |= sets(command) && command.payload->least == 0;
}

std::size_t Workload::request_max() const {
  constexpr std::size_t frame_max = 24;  // "$1048576\r\n...\r\n", of a word
  std::size_t most = 0;
  for (const Command& command : commands_)
    most = std::max(most,
                    command.text_max + (command.words.size() + 1) * frame_max);
  return most;
}

Workload::Command Workload::parse(std::string_view text) {
  Command command;
  const std::string_view whole = text;
  const std::size_t star = text.find('*');
  if (star != text.npos && star < text.find(' ')) {
    command.weight = read_number(text.substr(0, star), whole);
    if (command.weight == 0 || command.weight > 1'000'000)
      refuse(whole, "a weight is from 1 to 1000000");
    text.remove_prefix(star + 1);
  }
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (!word.empty()) command.words.push_back(parse_word(word));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  if (command.words.empty()) refuse(whole, "no command");
  survey(command, whole);
  return command;
}

void Workload::survey(Command& command, std::string_view whole) {
  constexpr std::size_t key_max = 24;
  for (const Word& word : command.words)
    for (const Piece& piece : word) {
      command.has_key |= piece.kind == Piece::Kind::key;
      command.text_max += piece.literal.size() + piece.most + key_max;
      if (piece.kind != Piece::Kind::payload) continue;
      if (command.payload) refuse(whole, "a command has at most one payload");
      command.payload = piece;
    }
}

Workload::Word Workload::parse_word(std::string_view text) {
  Word word;
  while (!text.empty()) {
    if (text.front() != '{') {
      const std::string_view literal = text.substr(0, text.find('{'));
      word.push_back({.literal = std::string(literal)});
      text.remove_prefix(literal.size());
      continue;
    }
    const std::size_t end = text.find('}');
    if (end == text.npos) refuse(text, "the brace is not closed");
    word.push_back(parse_place(text.substr(1, end - 1)));
    text.remove_prefix(end + 1);
  }
  return word;
}

Workload::Piece Workload::parse_place(std::string_view inside) {
  if (inside == "key") return {.kind = Piece::Kind::key};
  const std::size_t dash = inside.find('-');
  const std::uint64_t least = read_number(inside.substr(0, dash), inside);
  const std::uint64_t most = dash == inside.npos
                                 ? least
                                 : read_number(inside.substr(dash + 1), inside);
  if (least > most || most > payload_max)
    refuse(inside, "wanted is {n}, {n-m} or {key}, at most 64 MiB");
  return {.kind = Piece::Kind::payload,
          .least = static_cast<std::uint32_t>(least),
          .most = static_cast<std::uint32_t>(most)};
}

// Which answer a command gets, as far as it can be checked.
void Workload::find_answer(Command& command, std::string_view text) {
  const Word& first = command.words.front();
  if (first.size() != 1 || first[0].kind != Piece::Kind::literal)
    refuse(text, "it has to begin with the name of a command");
  const std::string name = upper(first[0].literal);
  const std::size_t words = command.words.size();
  const auto is = [&](std::string_view known, std::size_t wanted) {
    return name == known && words == wanted;
  };
  if (is("ECHO", 2) || is("PING", 2)) {
    command.answer = Answer::argument;
  } else if (is("PING", 1)) {
    command.answer = Answer::pong;
  } else if (is("SET", 3) && command.has_key && is_payload(command.words[2])) {
    // What GET finds has to be told from what belongs to another key.
    command.answer = Answer::ok;
  } else if (is("GET", 2) && command.has_key) {
    command.answer = Answer::value;
  } else if ((is("DEL", 2) || is("EXISTS", 2)) && command.has_key) {
    command.answer = Answer::count;
  } else if (is("DHT.LOOKUP", 2) && command.has_key) {
    command.answer = Answer::hops;
  } else {
    refuse(text,
           "its answer cannot be checked; wanted is one of: ECHO x, PING, "
           "PING x, SET {key} {n}, GET {key}, DEL {key}, EXISTS {key}, "
           "DHT.LOOKUP {key}");
  }
}

std::uint32_t Workload::size_of(const Piece& piece, Random& random) {
  const std::uint64_t sizes = std::uint64_t{piece.most} - piece.least + 1;
  if (sizes == 1) return piece.least;
  return piece.least + static_cast<std::uint32_t>(random.below(sizes));
}

bool Workload::is_literal(const Word& word) {
  return word.size() == 1 && word[0].kind == Piece::Kind::literal;
}

bool Workload::is_payload(const Word& word) {
  return word.size() == 1 && word[0].kind == Piece::Kind::payload;
}

const Workload::Command& Workload::choose(Random& random, Asked& asked) const {
  if (commands_.size() > 1) {
    std::uint64_t ticket = random.below(weights_);
    while (ticket >= commands_[asked.command].weight)
      ticket -= commands_[asked.command++].weight;
  }
  return commands_[asked.command];
}

Owner Workload::owner(const Asked& asked, std::uint32_t connection) const {
  return commands_[asked.command].has_key
             ? owner_of_value(asked.key, asked.size)
             : owner_of_request(connection, asked.sequence);
}

void Workload::append(std::string& text, const Word& word, const Asked& asked,
                      std::uint32_t connection) const {
  for (const Piece& piece : word) {
    switch (piece.kind) {
      case Piece::Kind::literal:
        text += piece.literal;
        break;
      case Piece::Kind::payload:
        append_payload(text, asked.size, owner(asked, connection));
        break;
      case Piece::Kind::key:
        text += "key:" + std::to_string(asked.key);
        break;
    }
  }
}

Asked Workload::ask(protocol::ClientSession& session, Speaker& speaker) const {
  Asked asked;
  asked.sequence = speaker.sequence++;
  const Command& command = choose(speaker.random, asked);
  if (command.has_key) asked.key = speaker.random.below(keys_);
  if (command.payload) asked.size = size_of(*command.payload, speaker.random);
  // As long as all words together can be: they do not move while it fills.
  speaker.text.clear();
  speaker.text.reserve(command.text_max);
  speaker.words.clear();
  for (const Word& word : command.words) {
    if (is_literal(word)) {
      speaker.words.push_back(word[0].literal);
      continue;
    }
    const std::size_t begin = speaker.text.size();
    append(speaker.text, word, asked, speaker.connection);
    speaker.words.push_back(std::string_view(speaker.text).substr(begin));
  }
  session.request(speaker.words);
  return asked;
}

bool Workload::is_right(const protocol::Value& reply, const Asked& asked,
                        Speaker& speaker) const {
  using Type = protocol::Value::Type;
  const Command& command = commands_[asked.command];
  switch (command.answer) {
    case Answer::argument:
      return reply.type == Type::bulk &&
             is_word(reply.text, command.words[1], asked, speaker);
    case Answer::pong:
      return reply.type == Type::simple && reply.text == "PONG";
    case Answer::ok:
      return reply.type == Type::simple && reply.text == "OK";
    case Answer::value:
      return reply.type == Type::null ||
             (reply.type == Type::bulk && is_value(reply.text, asked.key));
    case Answer::count:
      return reply.type == Type::integer && reply.integer >= 0 &&
             reply.integer <= 1;
    case Answer::hops:
      return are_hops(reply, asked.key);
    case Answer::request:
      return is_request(reply, asked, speaker);
  }
  return false;
}

// Whoever has set it: the text tells how long it was. An empty one tells
// nothing.
bool Workload::is_value(std::string_view text, std::uint64_t key) const {
  if (text.empty()) return may_be_empty_;
  return load::is_payload(text, owner_of_value(key, text.size()));
}

bool Workload::is_word(std::string_view text, const Word& word,
                       const Asked& asked, Speaker& speaker) const {
  if (is_payload(word))
    return text.size() == asked.size &&
           load::is_payload(text, owner(asked, speaker.connection));
  if (is_literal(word)) return text == word[0].literal;
  speaker.text.clear();
  append(speaker.text, word, asked, speaker.connection);
  return text == speaker.text;
}

bool Workload::is_request(const protocol::Value& reply, const Asked& asked,
                          Speaker& speaker) const {
  using Type = protocol::Value::Type;
  const std::vector<Word>& words = commands_[asked.command].words;
  if (reply.type != Type::array || reply.elements.size() != words.size())
    return false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const protocol::Value& part = reply.elements[i];
    if (part.type != Type::bulk ||
        !is_word(part.text, words[i], asked, speaker))
      return false;
  }
  return true;
}

// Each hop is an id, an address, a rule and a time; the last one is the key's
// owner, and who that is does not change.
bool Workload::are_hops(const protocol::Value& reply, std::uint64_t key) const {
  using Type = protocol::Value::Type;
  if (reply.type != Type::array || reply.elements.empty()) return false;
  for (const protocol::Value& hop : reply.elements)
    if (hop.type != Type::array || hop.elements.size() != 4 ||
        hop.elements[0].text.size() != 40 || hop.elements[1].text.empty() ||
        hop.elements[2].text.empty() || hop.elements[3].type != Type::integer)
      return false;
  const std::string_view owner = reply.elements.back().elements[0].text;
  const std::scoped_lock lock(mutex_);
  return owners_.try_emplace(key, owner).first->second == owner;
}

std::string Workload::check(const protocol::Value& reply, const Asked& asked,
                            Speaker& speaker) const {
  if (is_right(reply, asked, speaker)) return "";
  const Command& command = commands_[asked.command];
  std::string wanted = "the answer to " + command.words[0][0].literal + " (";
  if (command.has_key)
    wanted += "key " + std::to_string(asked.key);
  else
    wanted += load::describe(owner(asked, speaker.connection));
  if (asked.size != 0) wanted += ", " + std::to_string(asked.size) + " bytes";
  return wrong(reply, wanted + ")");
}

}  // namespace load
