#include "tests/conformance/crowd.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace conformance {

namespace {

short wanted(const Member& member) {
  if (!member.open()) return 0;
  const int send = member.outgoing.empty() ? 0 : POLLOUT;
  return static_cast<short>((member.reads ? POLLIN : 0) | send);
}

/// An answer that is on its way when we send into a reset connection is still
/// read: only recv says that a member has been reset.
void send_some(Member& member) {
  const auto n = ::send(member.socket.get(), member.outgoing.data(),
                        member.outgoing.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n > 0) {
    const auto size = static_cast<std::size_t>(n);
    member.incoming.asked.add(
        std::string_view(member.outgoing).substr(0, size));
    member.outgoing.erase(0, size);
  }
  if (n < 0 && errno != EAGAIN && errno != EINTR) member.outgoing.clear();
}

void receive_some(Member& member) {
  char room[1 << 16];
  const auto n = ::recv(member.socket.get(), room, sizeof room, MSG_DONTWAIT);
  if (n > 0) member.incoming.append(room, static_cast<std::size_t>(n));
  if (n == 0) member.ended = true;
  if (n < 0 && errno != EAGAIN && errno != EINTR) member.reset = true;
  if (member.expects && member.incoming.size() >= member.expects) {
    member.socket.close();
    member.closed = true;
  }
}

/// A member that does not read learns of its end only by an error.
void move_bytes(Member& member, short events) {
  if (events & POLLOUT) send_some(member);
  if (events & POLLIN) receive_some(member);
  if ((events & (POLLERR | POLLHUP)) && member.open()) {
    if (member.reads) {
      receive_some(member);
    } else {
      member.reset = true;
    }
  }
}

}  // namespace

Member& Crowd::join(const std::string& address, Buffers buffers) {
  members_.push_back(std::make_unique<Member>());
  members_.back()->socket = connect_to(address, buffers);
  return *members_.back();
}

bool Crowd::run(const std::function<bool()>& done, Milliseconds bound) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + bound;
  auto moved = Clock::now();
  std::vector<pollfd> entries(members_.size());
  while (!done()) {
    if (Clock::now() > std::min(end, moved + patience())) {
      if (Clock::now() > moved + patience()) lose_patience();
      return false;
    }
    entries.resize(members_.size());
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const Member& member = *members_[i];
      // poll(2) passes over a negative descriptor: the end of a connection
      // would be told again and again.
      entries[i] = {member.open() ? member.socket.get() : -1, wanted(member),
                    0};
    }
    ::poll(entries.data(), entries.size(), 10);
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (entries[i].revents) {
        move_bytes(*members_[i], entries[i].revents);
        moved = Clock::now();
      }
  }
  return true;
}

std::string Crowd::state() const {
  std::string text;
  std::size_t shown = 0;
  for (const auto& member : members_) {
    if (member->closed || shown++ >= 3) continue;
    text += std::string(member->ended ? "ended " : "") +
            (member->reset ? "reset " : "") +
            std::to_string(member->outgoing.size()) + " unsent, has " +
            printable(member->incoming) + "\n";
  }
  return text + std::to_string(shown) + " are not closed\n";
}

}  // namespace conformance
