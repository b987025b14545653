#pragma once
// Many peers at once in one thread, by poll(2): load whose every byte is kept.

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/peer.hpp"

namespace conformance {

/// One of the crowd. The tests set what it is to do and read what has become
/// of it.
struct Member {
  Descriptor socket;
  std::string outgoing;     // what is still to be sent
  Answer incoming;          // all that has come
  bool reads = true;        // false: lets it lie in the kernel
  std::size_t expects = 0;  // closes when so many bytes have come; 0: stays
  bool ended = false;       // the server has shut down its side
  bool reset = false;       // the connection has been reset
  bool closed = false;      // by us: it has what it expects

  bool open() const { return !ended && !reset && !closed; }
};

class Crowd {
 public:
  /// Connects one more.
  Member& join(const std::string& address, Buffers buffers = {});

  /// Moves bytes until `done()`, which is asked after every round and may
  /// change what members are to do. False if that was not in time, or if
  /// nothing has moved for patience().
  bool run(const std::function<bool()>& done,
           Milliseconds bound = std::max(patience(), Milliseconds(20'000)));

  std::vector<std::unique_ptr<Member>>& members() { return members_; }
  /// How many members there are of a kind.
  template <class Kind>
  std::size_t count(Kind kind) const {
    std::size_t n = 0;
    for (const auto& member : members_) n += kind(*member) ? 1 : 0;
    return n;
  }
  bool all_closed() const {
    return count([](const Member& member) { return !member.closed; }) == 0;
  }
  /// What the first members that are not closed have got: for messages.
  std::string state() const;

 private:
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace conformance
