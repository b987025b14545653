// What a peer has sent is answered in portions: no call answers more than one
// and a request, and none answers anything while a turn is wanted.

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/protocol/fixture.hpp"

namespace {

using fixture::as_bytes;
using fixture::Conversation;
using fixture::half;
using fixture::later;
using fixture::ping;
using fixture::pong;
using fixture::request;
using fixture::Service;
using protocol::Session;
using protocol::Wait;

// So many of these are a portion.
const std::string dear = "DEAR 1023\n";
constexpr std::size_t portion = 4;
static_assert(portion * 1024 == Session::portion_max);

std::string times(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string bulk(std::string_view bytes) {
  return ("$" + std::to_string(bytes.size()) + "\r\n").append(bytes) + "\r\n";
}

class PortionsTest : public testing::Test {
 protected:
  protocol::Limits& limits() { return service.limits_of_all(); }

  // It is our turn to give it one.
  void expect_wanted() {
    EXPECT_TRUE(session.wants_turn());
    EXPECT_FALSE(session.wants_input());
    EXPECT_FALSE(session.output_ended());
    EXPECT_FALSE(session.finished());
    EXPECT_EQ(session.waits_for().what,
              session.has_output() ? Wait::For::reader : Wait::For::answer);
  }
  // What was answered since the last question.
  std::size_t answered() { return std::exchange(service.answered, 0); }
  // How many turns it wants until all is answered.
  std::size_t turns() {
    std::size_t count = 0;
    for (; session.wants_turn(); ++count) session.take_turn();
    return count;
  }
  // All that there is to read, without a turn.
  std::string hear() {
    std::string heard;
    while (session.has_output()) {
      const auto lent = session.output();
      heard += fixture::as_text(lent);
      session.sent(lent.size());
    }
    return heard;
  }

  Service service;
  Conversation peer{service};
  Session& session = peer.session;
};

TEST_F(PortionsTest, no_turn_is_wanted_by_who_has_said_nothing) {
  EXPECT_FALSE(session.wants_turn());
  session.take_turn();
  EXPECT_EQ(peer.ask(ping), pong);
  EXPECT_FALSE(session.wants_turn());
}

TEST_F(PortionsTest, dear_requests_in_one_packet_are_answered_a_few_at_a_time) {
  std::string said, expected;
  for (int i = 0; i < 300; ++i) {
    const std::string mark = std::to_string(i);
    said += "DEAR 1022\n" + request({"ECHO", mark});  // 1024 steps
    expected += pong + bulk(mark);
  }
  peer.say(said);
  std::string heard;
  std::size_t calls = 1;
  for (; session.wants_turn(); ++calls) {
    ASSERT_LE(answered(), 2 * portion);
    expect_wanted();
    heard += hear();
    ASSERT_EQ(answered(), 0u);  // nobody answers but who was given a turn
    session.take_turn();
  }
  EXPECT_EQ(calls, 300 / portion);
  heard += hear();
  EXPECT_EQ(heard, expected);
  EXPECT_TRUE(session.wants_input());
  EXPECT_EQ(session.held(), 0u);
}

// The last request of a portion may be as dear as it likes: so the next one
// waits.
TEST_F(PortionsTest, one_request_above_the_portion_is_its_last) {
  peer.say("DEAR 99999999999\n" + times(3, ping));
  EXPECT_EQ(answered(), 1u);
  expect_wanted();
  session.take_turn();
  EXPECT_EQ(answered(), 3u);
  EXPECT_FALSE(session.wants_turn());
}

TEST_F(PortionsTest, an_ordinary_receive_is_never_broken_in_two) {
  constexpr std::size_t receive = 16 << 10;
  for (const std::string& said :
       {ping, std::string("PING\n"), std::string("ECHO x\n"),
        dear.substr(0, 5) + "0\n", request({"ECHO", "hello"}),
        request({"GET", "k"}), request({"SET", "k", "v"}),
        request({"ECHO", std::string(5000, 'e')})}) {
    Conversation one(service);
    one.say(times(receive / said.size(), said));
    EXPECT_FALSE(one.session.wants_turn()) << said.substr(0, 40);
    EXPECT_TRUE(one.session.wants_input());
    EXPECT_EQ(answered(), receive / said.size());
    // The next receive begins a portion of its own.
    one.hear();
    EXPECT_EQ(one.say_in_pieces(times(receive / said.size(), said), receive),
              "");
    EXPECT_FALSE(one.session.wants_turn()) << said.substr(0, 40);
    EXPECT_EQ(answered(), receive / said.size());
  }
}

TEST_F(PortionsTest, what_is_no_request_counts_too) {
  peer.say(times(2 * Session::portion_max, "\n"));
  EXPECT_EQ(turns(), 1u);
  peer.say(times(2 * Session::portion_max, "*0\r\n"));
  EXPECT_EQ(turns(), 1u);
}

TEST_F(PortionsTest, arguments_count) {
  const std::size_t many = Session::portion_max * Session::step_arguments;
  const std::string frame = "*" + std::to_string(many) + "\r\n$4\r\nPING\r\n" +
                            times(many - 1, "$0\r\n\r\n");
  peer.say(frame + ping);
  EXPECT_EQ(answered(), 1u);
  EXPECT_EQ(turns(), 1u);
  EXPECT_EQ(peer.hear(), pong + pong);
}

TEST_F(PortionsTest, bytes_count) {
  limits().output_max = 100 << 20;
  const std::string frame = request({"PING", std::string(1 << 20, 'x')});
  peer.say(times(4, frame) + ping);
  EXPECT_EQ(answered(), 4u);
  EXPECT_EQ(turns(), 1u);
  peer.hear();
  answered();
  peer.say(times(4, "BIG 1048576\n") + ping);
  EXPECT_EQ(answered(), 4u);
  EXPECT_EQ(turns(), 1u);
}

// ---- while a turn is wanted

TEST_F(PortionsTest, what_is_brought_is_kept_and_not_answered) {
  peer.say(times(portion + 1, dear));
  answered();
  for (int i = 0; i < 1000; ++i) peer.say(ping);
  EXPECT_EQ(answered(), 0u);
  expect_wanted();
  EXPECT_EQ(peer.hear(), times(portion + 1 + 1000, pong));
}

TEST_F(PortionsTest, nothing_is_answered_because_something_was_sent) {
  peer.say(times(3 * portion, dear));
  EXPECT_EQ(hear(), times(portion, pong));
  EXPECT_EQ(answered(), portion);
  session.deliver(":1\r\n");  // a letter that came too late
  expect_wanted();
  EXPECT_EQ(answered(), 0u);
  session.take_turn();
  EXPECT_EQ(answered(), portion);
}

TEST_F(PortionsTest, its_bytes_are_seen_and_it_is_not_late) {
  peer.say(times(portion + 1, dear));
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  hear();
  EXPECT_EQ(session.waits_for().what, Wait::For::answer);
  EXPECT_NE(session.held(), 0u);
  session.take_turn();
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
}

TEST_F(PortionsTest, a_turn_may_come_while_room_is_lent) {
  peer.say(later + times(2 * portion, dear));
  const auto room = session.input();
  session.deliver(":1\r\n");
  expect_wanted();
  session.take_turn();
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  EXPECT_EQ(session.input().data(), room.data());
  std::memcpy(room.data(), ping.data(), ping.size());
  session.received(ping.size());
  EXPECT_EQ(peer.hear(), ":1\r\n" + times(2 * portion, pong) + pong);
}

TEST_F(PortionsTest, room_that_comes_back_while_a_turn_is_wanted_is_kept) {
  peer.say(later + times(2 * portion, dear));
  answered();
  const auto room = session.input();
  session.deliver(":1\r\n");
  EXPECT_EQ(answered(), portion);
  std::memcpy(room.data(), ping.data(), ping.size());
  session.received(ping.size());
  EXPECT_EQ(answered(), 0u);
  expect_wanted();
  session.take_turn();
  EXPECT_EQ(answered(), portion);
  session.take_turn();
  EXPECT_EQ(answered(), 1u);
}

// ---- together with what else holds up a request

TEST_F(PortionsTest, no_turn_is_wanted_where_the_reader_is_waited_for) {
  limits().output_max = 10;
  peer.say(times(6, "DEAR 2047\n"));
  EXPECT_EQ(answered(), 2u);  // the portion and the output are both full
  EXPECT_FALSE(session.wants_turn());
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  session.take_turn();
  EXPECT_EQ(answered(), 0u);
  EXPECT_EQ(hear(), pong + pong);
  expect_wanted();
  session.take_turn();
  EXPECT_EQ(answered(), 2u);
  EXPECT_EQ(peer.hear(), times(4, pong));
}

// Sixteen blocks are sent in a row: what that answers is one portion.
TEST_F(PortionsTest, all_that_is_sent_in_a_row_answers_one_portion) {
  limits().output_max = 1;
  peer.say(times(40, "DEAR 1\n"));
  EXPECT_EQ(hear(), times(40, pong));
  limits().output_max = 1;
  peer.say(times(3 * portion, dear));
  EXPECT_EQ(hear(), times(portion, pong));
  expect_wanted();
  session.take_turn();
  EXPECT_EQ(hear(), times(portion, pong));
  session.take_turn();
  EXPECT_EQ(hear(), times(portion, pong));
  EXPECT_FALSE(session.wants_turn());
}

TEST_F(PortionsTest, no_turn_is_wanted_where_an_answer_is_awaited) {
  peer.say(times(portion - 1, dear) + "DEAR 1022\n" + later + dear + ping);
  EXPECT_TRUE(session.pending());
  EXPECT_FALSE(session.wants_turn());
  EXPECT_TRUE(session.wants_input());
  session.take_turn();
  EXPECT_EQ(answered(), portion + 1);
  hear();
  session.deliver(":1\r\n");
  EXPECT_EQ(hear(), ":1\r\n");  // its portion was used up before
  expect_wanted();
  session.take_turn();
  EXPECT_EQ(hear(), pong + pong);
}

TEST_F(PortionsTest, pending_answers_in_a_row_are_one_portion) {
  peer.say(times(3 * portion, dear + later));
  for (std::size_t i = 1; i < portion; ++i) session.deliver(":1\r\n");
  EXPECT_EQ(answered(), 2 * portion - 1);
  expect_wanted();
  session.take_turn();
  EXPECT_TRUE(session.pending());
}

// ---- the end

TEST_F(PortionsTest, who_ends_meanwhile_is_still_answered) {
  peer.say(times(3 * portion, dear) + half);
  session.end_of_input();
  EXPECT_EQ(answered(), portion);
  expect_wanted();
  EXPECT_EQ(turns(), 3u);  // the last one sees that no request is left
  EXPECT_EQ(hear(), times(3 * portion, pong));
  EXPECT_TRUE(session.finished());
  EXPECT_EQ(session.held(), 0u);
}

TEST_F(PortionsTest, drained_meanwhile_it_answers_what_has_come) {
  peer.say(times(3 * portion, dear) + half);
  session.drain();
  EXPECT_EQ(answered(), portion);
  expect_wanted();
  peer.say("NG\r\n" + ping);  // comes too late
  EXPECT_EQ(turns(), 3u);
  EXPECT_EQ(hear(), times(3 * portion, pong));
  EXPECT_TRUE(session.output_ended());
  EXPECT_TRUE(session.wants_input());
  EXPECT_EQ(session.waits_for().what, Wait::For::end);
  session.end_of_input();
  EXPECT_TRUE(session.finished());
}

TEST_F(PortionsTest, drained_while_the_last_turn_is_out_it_ends_with_it) {
  peer.say(times(portion, dear) + half);
  expect_wanted();  // nobody has looked yet what is left
  session.drain();
  expect_wanted();
  session.take_turn();
  EXPECT_FALSE(session.wants_turn());
  EXPECT_EQ(hear(), times(portion, pong));
  EXPECT_TRUE(session.output_ended());
}

TEST_F(PortionsTest, abandoned_it_wants_no_turn) {
  peer.say(times(3 * portion, dear));
  session.abandon();
  EXPECT_FALSE(session.wants_turn());
  session.take_turn();
  EXPECT_EQ(answered(), portion);
  EXPECT_TRUE(session.finished());
  EXPECT_EQ(session.held(), 0u);
}

TEST_F(PortionsTest, the_last_answer_of_a_portion_may_be_the_last_of_all) {
  peer.say(times(portion - 1, dear) + "DEAR 1022\nQUIT\n" + ping);
  EXPECT_FALSE(session.wants_turn());
  EXPECT_EQ(hear(), times(portion, pong) + "+OK\r\n");
  EXPECT_TRUE(session.output_ended());
}

TEST_F(PortionsTest, an_error_waits_for_its_turn) {
  peer.say(times(portion, dear) + "*x\r\n");
  EXPECT_TRUE(service.errors.empty());
  session.take_turn();
  EXPECT_EQ(service.errors.size(), 1u);
  EXPECT_TRUE(hear().ends_with("invalid multibulk length\r\n"));
  EXPECT_TRUE(session.output_ended());
}

// ---- requests of many arguments

TEST_F(PortionsTest, many_arguments_are_in_the_budget_while_they_last) {
  constexpr std::size_t many = 300'000;
  const std::string frame =
      "*" + std::to_string(many) + "\r\n" + times(many, "$1\r\nx\r\n");
  ASSERT_LT(frame.size(), std::size_t{3} << 20);
  limits().frame_max = 3 << 20;
  limits().output_max = 100;
  EXPECT_EQ(peer.say_in_pieces(frame, 16 << 10), "");
  EXPECT_GE(service.most_used, frame.size() + many * sizeof(std::string_view));
  session.abandon();
  EXPECT_EQ(session.held(), 0u);
  peer.pool.trim(0);
  EXPECT_EQ(service.budget().used(), 0u);
}

// What has been looked at is not looked at again for each byte that follows, or
// this takes an hour.
TEST_F(PortionsTest, many_arguments_may_come_byte_by_byte) {
  constexpr std::size_t many = 200'000;
  const std::string frame = "*" + std::to_string(many) + "\r\n$4\r\nPING\r\n" +
                            times(many - 1, "$0\r\n\r\n");
  for (const char& byte : frame) peer.say({&byte, 1});
  EXPECT_EQ(peer.hear(), pong);
  EXPECT_EQ(peer.say_in_pieces(frame + ping, 1), "");
  EXPECT_EQ(peer.hear(), pong + pong);
}

}  // namespace
