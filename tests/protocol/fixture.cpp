#include "tests/protocol/fixture.hpp"

#include <algorithm>
#include <cstring>

#include "protocol/decimal.hpp"

namespace fixture {

std::string request(std::initializer_list<std::string_view> arguments) {
  std::string text = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string_view argument : arguments) {
    text += "$" + std::to_string(argument.size()) + "\r\n";
    text.append(argument).append("\r\n");
  }
  return text;
}

void Service::answer(std::span<const std::string_view> arguments,
                     protocol::Reply& reply) {
  ++answered;
  most_used = std::max(most_used, budget_.used());
  const std::string_view name = arguments[0];
  if (arguments.size() == 2 && answer(name, arguments[1], reply)) return;
  if (name == "PING") {
    reply.simple("PONG");
  } else if (name == "LATER" || name == "PARTING") {
    awaited.push_back(reply.later());
    if (name == "PARTING") reply.close();
  } else if (name == "QUIT") {
    reply.simple("OK");
    reply.close();
  } else if (name == "DROP") {
    reply.drop();
  } else {
    reply.array(arguments.size());
    for (const std::string_view argument : arguments) reply.bulk(argument);
  }
}

bool Service::answer(std::string_view name, std::string_view argument,
                     protocol::Reply& reply) {
  const auto number =
      static_cast<std::size_t>(protocol::read_decimal(argument).value_or(0));
  if (name == "ECHO") {
    reply.bulk(argument);
  } else if (name == "BIG") {
    reply.bulk(std::string(number, 'x'));
  } else if (name == "DEAR") {
    reply.spend(number);
    reply.simple("PONG");
  } else if (name == "HELLO") {
    reply.speak(3);
    reply.map(0);
  } else if (name == "NAME") {
    reply.client().state = std::make_unique<Name>(argument, parted);
    reply.null();
  } else {
    return false;
  }
  return true;
}

std::string_view Conversation::say_in_pieces(std::string_view text,
                                             std::size_t size) {
  while (!text.empty() && session.wants_input()) {
    const std::span<std::byte> room = session.input();
    const std::size_t n = std::min({text.size(), size, room.size()});
    std::memcpy(room.data(), text.data(), n);
    session.received(n);
    text.remove_prefix(n);
  }
  return text;
}

std::string Conversation::hear(std::size_t size) {
  std::string heard;
  while (session.has_output() || session.wants_turn()) {
    if (!session.has_output()) session.take_turn();
    const std::string_view lent = as_text(session.output()).substr(0, size);
    heard.append(lent);
    session.sent(lent.size());
  }
  return heard;
}

}  // namespace fixture
