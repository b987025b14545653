// The commands on keys and values.

#include <algorithm>

#include "node/handlers.hpp"
#include "node/text.hpp"

namespace node {

void get(const Call& call) {
  // Written under the store's lock, from where it lies: a copy of a large
  // value would cost more than the lock does.
  const bool found = call.context.store().get(
      call.arguments[1], [&](const Store::Value& value) {
        call.reply.bulk(value.size(),
                        [&](auto visit) { value.each_piece(visit); });
      });
  if (!found) call.reply.null();
}

void set(const Call& call) {
  if (call.arguments.size() > 3) return call.reply.error(syntax_error);
  const auto result =
      call.context.store().set(call.arguments[1], call.arguments[2]);
  if (result == Store::Set::done) return call.reply.simple("OK");
  call.reply.error("OOM command not allowed when used memory > 'maxmemory'.");
}

void del(const Call& call) {
  call.reply.spend(call.arguments.size() - 2);  // the first is in the table
  call.reply.integer(std::ranges::count_if(
      call.arguments.subspan(1),
      [&](std::string_view key) { return call.context.store().erase(key); }));
}

void exists(const Call& call) {
  call.reply.spend(call.arguments.size() - 2);
  call.reply.integer(std::ranges::count_if(
      call.arguments.subspan(1), [&](std::string_view key) {
        return call.context.store().contains(key);
      }));
}

void dbsize(const Call& call) {
  call.reply.integer(static_cast<std::int64_t>(call.context.store().size()));
}

void flushall(const Call& call) {
  const auto arguments = call.arguments;
  if (arguments.size() > 2 ||
      (arguments.size() == 2 && !same_word(arguments[1], "async") &&
       !same_word(arguments[1], "sync")))
    return call.reply.error(syntax_error);
  call.context.store().clear();
  call.reply.simple("OK");
}

}  // namespace node
