#pragma once
// What a loop keeps of a conversation, whatever its model.

#include <cstdint>
#include <utility>

#include "net/deadlines.hpp"
#include "net/list.hpp"
#include "net/listener.hpp"
#include "net/mailbox.hpp"
#include "net/sys.hpp"
#include "net/table.hpp"

namespace net {

/// Models add what is theirs (and it finds room in the padding at the end). As
/// a Link it is listed among the unfinished: those who want a turn.
struct Conversation : Link {
  Conversation(Guest peer, protocol::Service& service, protocol::Pool& pool,
               protocol::ReturnAddress address)
      : seat(std::move(peer.seat)),
        session(service, pool, address, &peer),
        deadline(address.conversation),
        descriptor(std::move(peer.socket)) {}

  Seat seat;
  protocol::Session session;
  Deadlines::Entry deadline;
  Fd descriptor;
  bool shut = false;  // we have ended our side

  int socket() const { return descriptor.get(); }
  std::uint64_t id() const { return deadline.id(); }
};

/// Whose socket it is, for Deadlines. The table outlives what is returned.
template <class T>
auto sockets_of(Table<T>& conversations) {
  return [&conversations](std::uint64_t id) {
    return conversations.find(id)->socket();
  };
}

/// Bytes of a peer's that the kernel has and nobody has received yet.
inline std::int64_t unread(int socket) {
  int bytes = 0;
  return sys::ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : 0;
}

/// At the stop: all that has come from a peer by now, and its end, is taken by
/// receive(), as long as there is time; what comes later is thrown away. False
/// if receive() was: the peer has gone.
template <class T, class Receive>
bool take_all(T& conversation, const Deadlines& deadlines, Receive receive) {
  constexpr int least = 4 << 10;  // of it, by each receive
  for (auto left = unread(conversation.socket()) + 1; left > 0; left -= least) {
    if (!receive(conversation)) return false;
    if (!deadlines.lets_in()) break;
    conversation.session.take_turn();
  }
  conversation.session.drain();
  return true;
}

/// A peer becomes a conversation of a loop; null if there is no memory for it:
/// then it has to go, and is counted.
template <class T>
T* begin(Table<T>& conversations, Guest peer, protocol::Service& service,
         protocol::Pool& pool, Deadlines& deadlines, Mailbox& mailbox) {
  if (const std::uint64_t id = conversations.next_id(); id != 0) {
    T& made = conversations.emplace(std::move(peer), service, pool,
                                    protocol::ReturnAddress{&mailbox, id});
    // Its service may have given it a limit already.
    deadlines.watch(made.deadline, made.session);
    if (!made.session.finished()) return &made;
    conversations.erase(id);  // its service had no memory to greet it
    return nullptr;
  }
  count_lost(Want::memory);
  return nullptr;
}

/// For those who are left when the time of a stop is over.
template <class T>
void reset_all(Table<T>& conversations) {
  conversations.each([](std::uint64_t, T& c) { reset_on_close(c.socket()); });
}

/// Gives the letters of a loop to the conversations that wait for them, and
/// calls serve(conversation) for each. Where letters were lost for want of
/// memory, close(id) for all who wait for one: their answers would never come.
template <class T, class Serve, class Close>
void hand_out(Mailbox& mailbox, Table<T>& conversations, Serve serve,
              Close close) {
  const bool all = mailbox.collect([&](const protocol::Letter& letter) {
    T* to = conversations.find(letter.conversation);
    if (!to) return;  // it has gone
    to->session.deliver(letter.answer);
    serve(*to);
  });
  if (all) return;
  conversations.each([&](std::uint64_t id, T& conversation) {
    if (!conversation.session.pending()) return;
    count_lost(Want::memory);
    close(id);
  });
}

}  // namespace net
