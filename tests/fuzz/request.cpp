// Invariant: what stands at the front of some bytes is the same however many
// follow. With fewer, the parser is patient, and it never asks for more than
// would settle the matter; what it takes for arguments, written as an array, is
// taken for the same arguments.

#include <algorithm>
#include <vector>

#include "protocol/parser.hpp"
#include "protocol/writer.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using fuzz::require;
using protocol::Parsed;
using Kind = Parsed::Kind;
using Arguments = std::vector<std::string>;

struct Verdict {
  Parsed parsed;
  Arguments arguments;
};

Verdict parse(std::string_view text) {
  static const protocol::Limits limits{.arguments_max = 64, .inline_max = 1000};
  static protocol::Budget budget(64 << 20);
  static protocol::Pool pool(budget);
  protocol::Scratch scratch(pool);
  protocol::Progress progress;
  const Parsed parsed =
      parse_request(fuzz::as_bytes(text), limits, scratch, progress);
  if (parsed.kind != Kind::request) return {parsed, {}};
  const auto arguments = scratch.arguments();
  return {parsed, {arguments.begin(), arguments.end()}};
}

bool same(const Verdict& one, const Verdict& other) {
  return one.parsed.kind == other.parsed.kind &&
         one.parsed.consumed == other.parsed.consumed &&
         one.parsed.error == other.parsed.error &&
         one.arguments == other.arguments;
}

void check_whole(std::string_view text, const Verdict& whole) {
  const Parsed& parsed = whole.parsed;
  if (parsed.kind == Kind::incomplete) {
    require(parsed.needed > text.size(), "incomplete: more is needed");
  } else if (parsed.kind == Kind::error) {
    require(!parsed.error.empty(), "error: it has a name");
  } else {
    require(parsed.consumed > 0 && parsed.consumed <= text.size(),
            "what is done with has come");
    require(same(parse(text.substr(0, parsed.consumed)), whole),
            "what follows does not matter");
  }
}

void check_prefixes(std::string_view text, const Verdict& whole) {
  const std::size_t stride = text.size() / 32 + 1;
  std::size_t needed = 0;
  for (std::size_t size = 0; size < text.size(); size += stride) {
    const Verdict part = parse(text.substr(0, size));
    if (part.parsed.kind != Kind::incomplete) {
      require(size >= needed, "fewer bytes than needed settle nothing");
      require(same(part, whole), "a verdict stands");
    } else {
      needed = std::max(needed, part.parsed.needed);
    }
  }
}

void check_arguments(const Verdict& whole) {
  protocol::StringSink sink;
  protocol::Writer writer(sink, 2);
  writer.array(whole.arguments.size());
  for (const std::string& argument : whole.arguments) writer.bulk(argument);
  const Verdict again = parse(sink.text);
  require(again.parsed.kind == Kind::request, "an array is a request");
  require(again.parsed.consumed == sink.text.size(), "and nothing is left");
  require(again.arguments == whole.arguments, "with the same arguments");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t size) {
  const std::string_view text = fuzz::as_text(bytes, size);
  const Verdict whole = parse(text);
  check_whole(text, whole);
  check_prefixes(text, whole);
  if (whole.parsed.kind == Kind::request) check_arguments(whole);
  return 0;
}
