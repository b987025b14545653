// The commands that are about the conversation itself.

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "node/handlers.hpp"
#include "node/text.hpp"
#include "protocol/decimal.hpp"

namespace node {

namespace {

// What CLIENT LIST would print in one word.
bool is_printable(std::string_view name) {
  return std::ranges::all_of(
      name, [](char letter) { return letter >= '!' && letter <= '~'; });
}

// Says so if this cannot be a name. Its length is looked at first: what is kept
// of a peer that idles has a limit, and so has the looking.
bool refuse_name(const Call& call, std::string_view what,
                 std::string_view name) {
  if (name.size() <= client_name_max && is_printable(name)) return false;
  std::string words = "ERR ";
  words += what;
  words += name.size() > client_name_max
               ? " cannot be longer than 128 bytes."
               : " cannot contain spaces, newlines or special characters.";
  call.reply.error(words);
  return true;
}

constexpr std::string_view client_names = "Client names";

// HELLO's words behind the version. False: an error has been answered.
bool read_options(const Call& call, std::optional<std::string_view>& name) {
  const auto arguments = call.arguments;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::size_t more = arguments.size() - i - 1;
    if (same_word(arguments[i], "setname") && more >= 1) {
      name = arguments[++i];
      if (refuse_name(call, client_names, *name)) return false;
      continue;
    }
    if (same_word(arguments[i], "auth") && more >= 2) {
      // As in a Redis without passwords: the only user is `default`, and any
      // password will do.
      i += 2;
      if (arguments[i - 1] == "default") continue;
      call.reply.error(
          "WRONGPASS invalid username-password pair or user is disabled.");
      return false;
    }
    call.reply.error("ERR Syntax error in HELLO option '" +
                     std::string(shortened(arguments[i])) + "'");
    return false;
  }
  return true;
}

// The version that HELLO asks for. Nothing: an error has been answered.
std::optional<int> read_version(const Call& call) {
  if (call.arguments.size() == 1) return call.reply.version();
  const auto number = protocol::read_decimal(call.arguments[1]);
  if (!number) {
    call.reply.error("ERR Protocol version is not an integer or out of range");
    return std::nullopt;
  }
  if (*number != 2 && *number != 3) {
    call.reply.error("NOPROTO unsupported protocol version");
    return std::nullopt;
  }
  return static_cast<int>(*number);
}

}  // namespace

void ping(const Call& call) {
  if (call.arguments.size() > 2)
    return call.reply.error("ERR wrong number of arguments for 'ping' command");
  if (call.arguments.size() == 2) return call.reply.bulk(call.arguments[1]);
  call.reply.simple("PONG");
}

void echo(const Call& call) { call.reply.bulk(call.arguments[1]); }

void hello(const Call& call) {
  auto& reply = call.reply;
  std::optional<std::string_view> name;
  const auto version_asked = read_version(call);
  if (!version_asked || !read_options(call, name)) return;
  if (name) choices(reply.client()).name = *name;
  reply.speak(*version_asked);
  reply.map(7);
  field(reply, "server", "iomodels");
  field(reply, "version", version);
  field(reply, "proto", *version_asked);
  field(reply, "id",
        static_cast<std::int64_t>(call.context.number(reply.client())));
  field(reply, "mode", call.context.setup().overlay ? "cluster" : "standalone");
  field(reply, "role", "master");
  reply.bulk("modules");
  reply.array(0);
}

void select(const Call& call) {
  const auto index = protocol::read_decimal(call.arguments[1]);
  if (!index) return call.reply.error(not_an_integer);
  if (*index != static_cast<int>(*index))
    return call.reply.error(
        "ERR value is out of range, value must between -2147483648 and "
        "2147483647");
  if (*index == 0) return call.reply.simple("OK");
  call.reply.error(call.context.setup().overlay
                       ? "ERR SELECT is not allowed in cluster mode"
                       : "ERR DB index is out of range");
}

void quit(const Call& call) {
  call.reply.simple("OK");
  call.reply.close();
}

void asking(const Call& call) {
  choices(call.reply.client()).asking = true;
  call.reply.simple("OK");
}

void readonly(const Call& call) { call.reply.simple("OK"); }

void client_getname(const Call& call) {
  const Chosen* const said = chosen(call.reply.client());
  if (!said || said->name.empty()) return call.reply.null();
  call.reply.bulk(said->name);
}

void client_id(const Call& call) {
  call.reply.integer(
      static_cast<std::int64_t>(call.context.number(call.reply.client())));
}

void client_setinfo(const Call& call) {
  const auto attribute = call.arguments[2];
  if (!same_word(attribute, "lib-name") && !same_word(attribute, "lib-ver"))
    return call.reply.error("ERR Unrecognized option '" +
                            std::string(shortened(attribute)) + "'");
  if (refuse_name(call, attribute, call.arguments[3])) return;
  call.reply.simple("OK");
}

void client_setname(const Call& call) {
  if (refuse_name(call, client_names, call.arguments[2])) return;
  choices(call.reply.client()).name = call.arguments[2];
  call.reply.simple("OK");
}

}  // namespace node
