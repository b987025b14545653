#pragma once
// One conversation, cut on its way in every manner: the answers are the same.

#include <string>

#include "tests/conformance/server.hpp"

namespace conformance {

struct Conversation {
  std::string requests, answers;
};

inline void expect_the_same_byte_by_byte(Server& server,
                                         const Conversation& conversation) {
  Peer peer = server.connect();
  for (const char byte : conversation.requests)
    peer.send(std::string_view(&byte, 1));
  peer.finish();
  EXPECT_EQ(peer.rest(), conversation.answers);
}

/// In two, at every boundary. The PING in front shares a segment with the first
/// part: when it is answered, the server has read that part and waits.
inline void expect_the_same_in_two(Server& server,
                                   const Conversation& conversation) {
  const auto& [requests, answers] = conversation;
  Peer peer = server.connect();
  for (std::size_t cut = 1; cut < requests.size(); ++cut) {
    peer.send(request({"PING"}) + requests.substr(0, cut));
    ASSERT_EQ(peer.receive_like(pong), pong);
    peer.send(requests.substr(cut));
    ASSERT_EQ(peer.receive_like(answers), answers) << "cut at " << cut;
  }
}

}  // namespace conformance
