// How conversations end: by the peer, by us, by an error.

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/protocol/fixture.hpp"

namespace {

using fixture::Conversation;
using fixture::half;
using fixture::later;
using fixture::ping;
using fixture::pong;
using fixture::Service;
using protocol::Session;
using protocol::Wait;

const std::string error = "-ERR Protocol error: invalid multibulk length\r\n";

class EndTest : public testing::Test {
 protected:
  protocol::Limits& limits() { return service.limits_of_all(); }

  // All is said and sent; the peer has not ended.
  void expect_discarding() {
    EXPECT_TRUE(session.output_ended());
    EXPECT_FALSE(session.finished());
    EXPECT_TRUE(session.wants_input());
    EXPECT_EQ(session.waits_for().what, Wait::For::end);
    EXPECT_EQ(session.held(), 0u);
  }
  void expect_finished() {
    EXPECT_TRUE(session.finished());
    EXPECT_FALSE(session.wants_input());
    EXPECT_EQ(session.waits_for().what, Wait::For::nothing);
    EXPECT_EQ(session.held(), 0u);
  }

  Service service;
  Conversation peer{service};
  Session& session = peer.session;
};

// ---- the peer ends

TEST_F(EndTest, an_idle_peer_ends) {
  session.end_of_input();
  EXPECT_TRUE(session.output_ended());
  expect_finished();
}

TEST_F(EndTest, what_has_come_whole_is_still_answered) {
  peer.say(ping + ping + half);
  session.end_of_input();
  EXPECT_FALSE(session.wants_input());
  EXPECT_FALSE(session.output_ended());
  EXPECT_FALSE(session.finished());
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  EXPECT_EQ(peer.hear(), pong + pong);
  expect_finished();
}

TEST_F(EndTest, what_a_full_output_has_held_up_is_still_answered) {
  limits().output_max = 1;
  peer.say(ping + ping + ping + half);
  session.end_of_input();
  EXPECT_EQ(service.answered, 1u);
  EXPECT_FALSE(session.output_ended());
  EXPECT_EQ(peer.hear(), pong + pong + pong);
  expect_finished();
}

TEST_F(EndTest, a_pending_answer_is_awaited) {
  peer.say(later + ping);
  session.end_of_input();
  EXPECT_FALSE(session.wants_input());
  EXPECT_FALSE(session.output_ended());
  EXPECT_FALSE(session.finished());
  EXPECT_EQ(session.waits_for().what, Wait::For::answer);
  session.deliver(":1\r\n");
  EXPECT_EQ(peer.hear(), ":1\r\n" + pong);
  expect_finished();
}

TEST_F(EndTest, the_peer_ends_while_room_is_lent) {
  peer.say(half);
  session.input();
  session.end_of_input();
  EXPECT_TRUE(session.finished());
  session.received(0);
  expect_finished();
}

TEST_F(EndTest, the_peer_ends_within_a_frame_while_room_is_lent) {
  peer.say(ping + half);
  session.input();
  EXPECT_EQ(session.waits_for().what, Wait::For::frame);
  session.end_of_input();
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  EXPECT_EQ(peer.hear(), pong);
  EXPECT_TRUE(session.finished());
  session.received(0);
  expect_finished();
}

TEST_F(EndTest, the_peer_ends_after_the_room_is_back) {
  session.input();
  session.received(0);
  session.end_of_input();
  expect_finished();
}

// ---- we end

TEST_F(EndTest, an_idle_conversation_is_drained) {
  session.drain();
  expect_discarding();
  session.end_of_input();
  expect_finished();
}

TEST_F(EndTest, drained_it_answers_what_has_come_and_discards_the_rest) {
  limits().output_max = 1;
  peer.say(ping + ping + half);
  session.drain();
  EXPECT_FALSE(session.wants_input());
  peer.say(ping);
  EXPECT_EQ(peer.hear(), pong + pong);
  expect_discarding();
  EXPECT_EQ(peer.ask(ping), "");
  EXPECT_EQ(peer.say_in_pieces(ping + ping, 7), "");
  expect_discarding();
  session.end_of_input();
  expect_finished();
}

TEST_F(EndTest, drained_it_awaits_the_pending_answer) {
  peer.say(later + ping + half);
  session.drain();
  peer.say("NG\r\n" + ping);
  EXPECT_FALSE(session.output_ended());
  EXPECT_FALSE(session.wants_input());
  session.deliver(":1\r\n");
  EXPECT_EQ(peer.hear(), ":1\r\n" + pong);
  expect_discarding();
}

TEST_F(EndTest, drained_while_room_is_lent_it_discards_what_comes) {
  const auto room = session.input();
  session.drain();
  std::memcpy(room.data(), ping.data(), ping.size());
  session.received(ping.size());
  EXPECT_EQ(service.answered, 0u);
  expect_discarding();
}

TEST_F(EndTest, drained_and_then_left_by_its_peer) {
  peer.say(ping);
  session.drain();
  session.end_of_input();
  EXPECT_FALSE(session.finished());
  EXPECT_EQ(peer.hear(), pong);
  expect_finished();
}

TEST_F(EndTest, a_peer_that_goes_on_is_left_after_so_many_bytes) {
  limits().discard_max = 100;
  session.drain();
  const Wait wait = session.waits_for();
  peer.say(std::string(60, 'x'));
  peer.say_in_pieces(std::string(39, 'x'), 10);
  expect_discarding();
  EXPECT_EQ(session.waits_for(), wait);  // what is thrown away is no progress
  peer.say("x");
  expect_finished();
}

// ---- the service ends

TEST_F(EndTest, a_closing_answer_is_the_last) {
  EXPECT_EQ(peer.ask(ping + "QUIT\r\n" + ping), pong + "+OK\r\n");
  EXPECT_EQ(service.answered, 2u);
  expect_discarding();
  session.end_of_input();
  expect_finished();
}

TEST_F(EndTest, a_closing_answer_may_be_pending) {
  peer.say("PARTING\r\n" + ping);
  EXPECT_TRUE(session.pending());
  EXPECT_FALSE(session.output_ended());
  EXPECT_FALSE(session.wants_input());
  session.deliver("+bye\r\n");
  EXPECT_EQ(peer.hear(), "+bye\r\n");
  expect_discarding();
}

TEST_F(EndTest, a_dropped_conversation_ends_at_once) {
  peer.say(ping + "DROP\r\n" + ping);
  expect_finished();
  EXPECT_FALSE(session.has_output());
  EXPECT_EQ(service.answered, 2u);
}

// The kernel may be reading from it.
TEST_F(EndTest, a_dropped_conversation_keeps_what_is_lent) {
  peer.say(ping);
  const auto lent = session.output();
  peer.say(ping + "BIG 200000\r\nDROP\r\n");  // into its block, and behind it
  EXPECT_TRUE(session.finished());
  EXPECT_EQ(session.held(), 1u << 10);
  EXPECT_EQ(fixture::as_text(lent), pong);
  session.sent(lent.size());
  expect_finished();
  EXPECT_FALSE(session.has_output());
}

// ---- the model ends it

TEST_F(EndTest, abandoned_it_gives_back_everything) {
  peer.say("BIG 200000\r\n" + later + ping);
  EXPECT_TRUE(session.pending());
  session.abandon();
  expect_finished();
  EXPECT_FALSE(session.has_output());
  session.deliver(":1\r\n");
  EXPECT_EQ(peer.ask(ping), "");
  expect_finished();
}

TEST_F(EndTest, abandoned_it_keeps_what_is_lent_until_it_comes_back) {
  peer.say("BIG 200000\r\n" + half);
  const auto room = session.input();
  const auto lent = session.output();
  const std::string before(fixture::as_text(lent));
  session.abandon();
  EXPECT_TRUE(session.finished());
  EXPECT_FALSE(session.pending());
  EXPECT_EQ(session.held(), (64u << 10) + (16u << 10));
  EXPECT_EQ(fixture::as_text(session.output()), before);
  std::memcpy(room.data(), ping.data(), ping.size());
  session.received(ping.size());
  EXPECT_EQ(session.held(), 64u << 10);
  session.sent(lent.size());
  EXPECT_EQ(service.answered, 1u);
  EXPECT_FALSE(session.has_output());
  expect_finished();
}

TEST_F(EndTest, abandoned_with_one_small_answer_lent) {
  peer.say(ping);
  session.output();
  session.abandon();
  EXPECT_EQ(session.held(), 1u << 10);
  session.sent(pong.size());
  expect_finished();
}

// ---- an error ends

TEST_F(EndTest, an_error_is_said_and_what_follows_is_discarded) {
  peer.say(ping + "*x\r\n" + ping);
  EXPECT_FALSE(session.wants_input());
  peer.say(ping);
  EXPECT_EQ(peer.hear(), pong + error);
  EXPECT_EQ(service.answered, 1u);
  expect_discarding();
  peer.say_in_pieces(std::string(100'000, 'x'), 100'000);
  expect_discarding();
  session.end_of_input();
  expect_finished();
}

TEST_F(EndTest, an_error_comes_in_pieces) {
  EXPECT_EQ(peer.say_in_pieces("*x\r\n" + ping, 1), ping);
  EXPECT_EQ(peer.hear(), error);
  EXPECT_EQ(peer.say_in_pieces(ping, 1), "");
  expect_discarding();
}

TEST_F(EndTest, an_error_comes_after_the_peer_has_ended) {
  limits().output_max = 1;
  peer.say(ping + "*x\r\n");
  session.end_of_input();
  EXPECT_EQ(peer.hear(), pong + error);
  expect_finished();
}

}  // namespace
