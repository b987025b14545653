#include "protocol/session.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/protocol/fixture.hpp"

namespace {

using namespace std::string_literals;
using fixture::as_bytes;
using fixture::as_text;
using fixture::Conversation;
using fixture::later;
using fixture::ping;
using fixture::pong;
using fixture::request;
using fixture::Service;
using protocol::Session;
using protocol::Wait;

constexpr std::size_t kibibyte = 1 << 10;

std::string bulk(std::string_view bytes) {
  return ("$" + std::to_string(bytes.size()) + "\r\n").append(bytes) + "\r\n";
}

class SessionTest : public testing::Test {
 protected:
  protocol::Limits& limits() { return service.limits_of_all(); }
  std::size_t idle_bytes() { return service.budget().used(); }

  Service service;
  Conversation peer{service};
  Session& session = peer.session;
};

// ---- what costs nothing while nothing happens

TEST_F(SessionTest, idle_holds_nothing) {
  EXPECT_LE(sizeof(Session), 160u);
  EXPECT_EQ(session.held(), 0u);
  EXPECT_TRUE(session.wants_input());
  EXPECT_FALSE(session.has_output());
  EXPECT_TRUE(session.output().empty());
  session.sent(0);
  EXPECT_EQ(session.waits_for(), Wait{});
  EXPECT_EQ(peer.ask(ping), pong);
  EXPECT_EQ(session.held(), 0u);
  EXPECT_EQ(session.waits_for().what, Wait::For::nothing);
}

// Its thread has changed: what it holds, and whatever it takes from now on,
// goes to the pool of the new one.
TEST_F(SessionTest, blocks_go_to_the_pool_in_use) {
  protocol::Pool other(service.budget());
  peer.say(ping);
  session.receive(as_bytes(fixture::half));
  ASSERT_EQ(peer.pool.allocations(), 2u);
  session.use(other);
  session.sent(session.output().size());
  session.receive(as_bytes(ping.substr(fixture::half.size())));
  session.sent(session.output().size());
  EXPECT_EQ(session.held(), 0u);
  EXPECT_EQ(peer.pool.allocations(), 2u);
  const auto taken = other.allocations();
  protocol::Block* const blocks[] = {other.borrow(1), other.borrow(1)};
  EXPECT_EQ(other.allocations(), taken);
  for (protocol::Block* block : blocks) other.give_back(block);
  session.use(peer.pool);  // which outlives it
}

TEST_F(SessionTest, room_that_was_not_used_goes_back) {
  EXPECT_EQ(session.input().size(), 16 * kibibyte);
  EXPECT_EQ(session.held(), 16 * kibibyte);
  session.received(0);
  EXPECT_EQ(session.held(), 0u);
  EXPECT_TRUE(session.wants_input());
}

TEST_F(SessionTest, room_stays_where_it_is_while_lent) {
  peer.say("*2\r\n$4\r\nECHO\r\n");
  const auto room = session.input();
  EXPECT_EQ(session.input().data(), room.data());
  EXPECT_EQ(session.input().size(), room.size());
  std::memcpy(room.data(), "$1\r\na\r\n", 7);
  session.received(7);
  EXPECT_EQ(peer.hear(), bulk("a"));
}

TEST_F(SessionTest, a_slow_peer_holds_a_small_block) {
  EXPECT_EQ(peer.say_in_pieces("*2\r\n$4\r\nECHO\r\n$3\r\nab", 100), "");
  EXPECT_EQ(session.held(), kibibyte);
  session.input();
  EXPECT_EQ(session.held(), 16 * kibibyte);
  session.received(0);
  EXPECT_EQ(session.held(), kibibyte);
  EXPECT_EQ(peer.say_in_pieces("c\r\n", 1), "");
  EXPECT_EQ(session.held(), kibibyte);  // the answer
  EXPECT_EQ(peer.hear(), bulk("abc"));
  EXPECT_EQ(session.held(), 0u);
}

// A frame of 1 MiB is announced in a few bytes: they are what is held.
TEST_F(SessionTest, grows_with_what_has_come) {
  const std::string value(1 << 20, 'v');
  const std::string frame = request({"ECHO", value});
  std::string_view rest = frame;
  std::size_t said = 0;
  while (rest.size() > 10'000) {
    EXPECT_EQ(peer.say_in_pieces(rest.substr(0, 10'000), 10'000), "");
    rest.remove_prefix(10'000);
    said += 10'000;
    ASSERT_LE(session.held(), std::max(16 * kibibyte, 4 * said));
    ASSERT_EQ(session.waits_for().what, Wait::For::frame);
  }
  EXPECT_EQ(peer.say_in_pieces(rest, rest.size()), "");
  EXPECT_EQ(peer.hear(), bulk(value));
  EXPECT_EQ(session.held(), 0u);
}

TEST_F(SessionTest, takes_a_large_frame_byte_by_byte) {
  const std::string value(1 << 20, 'v');
  const std::string frame = request({"ECHO", value});
  EXPECT_EQ(peer.say_in_pieces(frame, 1), "");
  EXPECT_EQ(peer.hear(), bulk(value));
  for (const char& byte : frame) peer.say({&byte, 1});
  EXPECT_EQ(peer.hear(), bulk(value));
}

// What has been taken apart is not taken apart again for each byte that follows
// it, or this takes minutes.
TEST_F(SessionTest, takes_a_large_bulk_behind_many_arguments_byte_by_byte) {
  limits().bulk_max = 4 << 20;
  limits().frame_max = 5 << 20;
  std::string frame = "*1024\r\n";
  for (int i = 0; i < 1023; ++i) frame += "$0\r\n\r\n";
  frame += bulk(std::string(4 << 20, 'v'));
  EXPECT_EQ(peer.say_in_pieces(frame, 1), "");
  EXPECT_EQ(peer.hear().size(), frame.size());
}

TEST_F(SessionTest, takes_a_line_of_full_length_byte_by_byte) {
  const std::string word(limits().inline_max - 5, 'w');
  EXPECT_EQ(peer.say_in_pieces("ECHO " + word + "\n", 1), "");
  EXPECT_EQ(peer.hear(), bulk(word));
}

TEST_F(SessionTest, gives_everything_back_when_it_dies) {
  {
    Session other(service, peer.pool, {});
    other.receive(as_bytes("*2\r\n$4\r\nECHO\r\n$100000\r\nabc"));
    other.input();
  }
  {
    Session other(service, peer.pool, {});
    other.receive(as_bytes("BIG 1000000\r\n" + ping));
    other.output();
    EXPECT_GT(other.held(), 1'000'000u);
  }
  // Whatever the pool has, it has whole.
  const std::size_t used = idle_bytes();
  protocol::Block* const block = peer.pool.borrow(64 * kibibyte);
  EXPECT_EQ(idle_bytes(), used);
  peer.pool.give_back(block);
}

// ---- frames in pieces

struct Exchange {
  std::string said, heard;
};

const std::vector<Exchange>& exchanges() {
  static const std::vector<Exchange> all = {
      {ping, pong},
      {"PING\r\n", pong},
      {"ECHO \"a b\"\n", bulk("a b")},
      {"\r\n", ""},
      {"*0\r\n", ""},
      {"*-1\r\n", ""},
      {request({"ECHO", ""}), bulk("")},
      {request({"ECHO", "a\r\n\0*1\r\n"s}), bulk("a\r\n\0*1\r\n"s)},
      {request({"a", "b", "c"}), "*3\r\n" + bulk("a") + bulk("b") + bulk("c")},
      {request({"HELLO", "3"}), "%0\r\n"},
      {request({"NAME", "me"}), "$-1\r\n"},
      {request({"ECHO", std::string(5000, 'e')}), bulk(std::string(5000, 'e'))},
      {"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
      {"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
      {"*1\r\nfoo\r\n", "-ERR Protocol error: expected '$', got 'f'\r\n"},
      {"*1\r\n\r\n", "-ERR Protocol error: expected '$', got ' '\r\n"},
      {"ECHO '\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
      {request({"QUIT"}), "+OK\r\n"}};
  return all;
}

TEST_F(SessionTest, answers_frames_however_they_are_cut) {
  for (const auto& [said, heard] : exchanges()) {
    for (std::size_t cut = 0; cut <= said.size(); ++cut) {
      Conversation one(service);
      std::string text;
      one.say(std::string_view(said).substr(0, cut));
      text += one.hear();
      EXPECT_EQ(cut == said.size() ? heard : "", text) << said << cut;
      one.say_in_pieces(std::string_view(said).substr(cut), said.size());
      EXPECT_EQ(text += one.hear(), heard) << said << cut;
    }
  }
}

TEST_F(SessionTest, answers_frames_byte_by_byte) {
  for (const auto& [said, heard] : exchanges()) {
    Conversation one(service);
    Conversation two(service);
    EXPECT_EQ(one.say_in_pieces(said, 1), "");
    for (const char& byte : said) two.say({&byte, 1});
    EXPECT_EQ(one.hear(1), heard);
    EXPECT_EQ(two.hear(), heard);
  }
}

TEST_F(SessionTest, answers_a_frame_and_the_next_one) {
  for (const auto& [said, heard] : exchanges()) {
    Conversation one(service);
    const std::string answer = one.ask(said + ping + "*1\r\n$4\r\nPI");
    const bool ends = answer == heard;
    EXPECT_EQ(answer, ends ? heard : heard + pong);
    EXPECT_EQ(one.session.output_ended(), ends);
    EXPECT_EQ(one.session.held(), ends ? 0 : kibibyte);
  }
}

TEST_F(SessionTest, keeps_what_a_client_has_chosen) {
  peer.ask(request({"HELLO", "3"}) + request({"NAME", "me"}));
  EXPECT_EQ(session.client().version, 3);
  EXPECT_EQ(static_cast<fixture::Name&>(*session.client().state).text, "me");
}

TEST_F(SessionTest, TellsItsServiceThatAPeerHasGone) {
  {
    Conversation other(service);
    other.ask(request({"NAME", "me"}));
    peer.ask(request({"NAME", "you"}));
    EXPECT_EQ(service.parted, 0);
  }
  EXPECT_EQ(service.parted, 1);
}

TEST_F(SessionTest, counts_errors_by_name) {
  peer.ask("*1\r\nfoo\r\n");
  EXPECT_EQ(service.errors, std::vector<std::string>{"expected '$'"});
}

TEST_F(SessionTest, says_too_big_for_a_frame_above_the_limit) {
  limits().frame_max = 100;
  EXPECT_EQ(peer.ask(request({"ECHO", std::string(90, 'a')})),
            "-ERR Protocol error: too big request\r\n");
}

// ---- pending answers

TEST_F(SessionTest, answers_nothing_behind_a_pending_answer) {
  EXPECT_EQ(peer.ask(ping + later + ping), pong);
  EXPECT_TRUE(session.pending());
  ASSERT_EQ(service.awaited.size(), 1u);
  EXPECT_EQ(service.awaited[0].conversation, 4711u);
  EXPECT_EQ(session.waits_for().what, Wait::For::answer);
  EXPECT_EQ(peer.ask(ping + "*1\r\n$4"), "");
  EXPECT_EQ(session.waits_for().what, Wait::For::answer);
  session.deliver(":1\r\n");
  EXPECT_FALSE(session.pending());
  EXPECT_EQ(peer.hear(), ":1\r\n" + pong + pong);
  EXPECT_EQ(session.waits_for().what, Wait::For::frame);
  session.deliver(":2\r\n");  // a letter that came too late
  EXPECT_EQ(peer.ask("\r\nPING\r\n"), pong);
}

TEST_F(SessionTest, awaits_one_pending_answer_after_the_other) {
  EXPECT_EQ(peer.ask(later + later + ping), "");
  EXPECT_EQ(service.awaited.size(), 1u);
  session.deliver(":1\r\n");
  EXPECT_EQ(service.awaited.size(), 2u);
  EXPECT_TRUE(session.pending());
  session.deliver(":2\r\n");
  EXPECT_EQ(peer.hear(), ":1\r\n:2\r\n" + pong);
}

TEST_F(SessionTest, parks_so_much_and_then_does_not_read) {
  peer.say(later);
  std::string much;
  while (much.size() < 3 * limits().parked_max) much += ping;
  const std::string_view refused = peer.say_in_pieces(much, 1000);
  EXPECT_EQ(much.size() - refused.size(), limits().parked_max);
  EXPECT_FALSE(session.wants_input());
  // What is brought all the same is taken.
  peer.say(refused);
  session.deliver(":1\r\n");
  std::string expected = ":1\r\n";
  for (std::size_t i = 0; i < much.size() / ping.size(); ++i) expected += pong;
  EXPECT_EQ(peer.hear(), expected);
  EXPECT_TRUE(session.wants_input());
  EXPECT_EQ(session.held(), 0u);
}

TEST_F(SessionTest, parks_in_room_that_was_lent_before) {
  const auto room = session.input();
  std::memcpy(room.data(), later.data(), later.size());
  session.received(later.size());
  ASSERT_TRUE(session.pending());
  const auto more = session.input();
  session.deliver("+A\r\n");  // comes while the room is lent
  EXPECT_EQ(session.input().data(), more.data());
  std::memcpy(more.data(), ping.data(), ping.size());
  session.received(ping.size());
  EXPECT_EQ(peer.hear(), "+A\r\n" + pong);
}

TEST_F(SessionTest, notices_an_error_behind_a_pending_answer_in_its_turn) {
  EXPECT_EQ(peer.ask(later + "*x\r\n" + ping), "");
  session.deliver(":1\r\n");
  EXPECT_EQ(peer.hear(),
            ":1\r\n-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_TRUE(session.output_ended());
}

// ---- unsent output

TEST_F(SessionTest, neither_reads_nor_answers_above_the_limit) {
  limits().output_max = 100'000;
  const std::string big = "BIG 60000\r\n";
  peer.say(big + big + big + big + ping);
  EXPECT_EQ(service.answered, 2u);
  EXPECT_FALSE(session.wants_input());
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  // Sending goes on by itself, in blocks, without new input.
  const std::string answer = bulk(std::string(60'000, 'x'));
  EXPECT_EQ(peer.hear(), answer + answer + answer + answer + pong);
  EXPECT_EQ(service.answered, 5u);
  EXPECT_TRUE(session.wants_input());
  EXPECT_EQ(session.held(), 0u);
}

TEST_F(SessionTest, answers_again_as_soon_as_the_output_is_below_the_limit) {
  limits().output_max = 10;
  peer.say(ping + ping + ping + ping);
  EXPECT_EQ(as_text(session.output()), pong + pong);
  session.sent(3);  // 11 bytes: still above
  EXPECT_EQ(service.answered, 2u);
  session.output();
  session.sent(1);
  EXPECT_EQ(service.answered, 3u);
  EXPECT_EQ(peer.hear(), "G\r\n" + pong + pong + pong);
}

TEST_F(SessionTest, many_large_answers_need_bounded_memory) {
  std::string many;
  for (int i = 0; i < 819; ++i) many += "BIG 1048576\r\n";
  peer.say(many);
  std::size_t heard = 0;
  while (session.has_output() || session.wants_turn()) {
    session.take_turn();
    const std::size_t n = session.output().size();
    ASSERT_LE(n, 64 * kibibyte);
    ASSERT_LE(session.held(), (3 << 20) + 64 * kibibyte);
    session.sent(n);
    heard += n;
  }
  EXPECT_EQ(heard, 819 * (10 + (std::size_t{1} << 20) + 2));
  EXPECT_EQ(session.held(), 0u);
}

TEST_F(SessionTest, output_stays_where_it_is_while_lent) {
  peer.say(ping);
  const auto lent = session.output();
  for (int i = 0; i < 10'000; ++i) peer.say(ping);
  EXPECT_EQ(session.output().data(), lent.data());
  EXPECT_EQ(session.output().size(), lent.size());
  EXPECT_EQ(as_text(lent), pong);
  session.sent(lent.size());
  EXPECT_EQ(peer.hear().size(), 10'000 * pong.size());
}

TEST_F(SessionTest, room_stays_lent_while_output_is_sent) {
  limits().output_max = 4;
  const auto room = session.input();
  const std::string two = ping + ping + "*1\r\n$4\r\nPI";
  std::memcpy(room.data(), two.data(), two.size());
  session.received(two.size());
  EXPECT_EQ(service.answered, 1u);
  session.output();
  session.sent(pong.size());
  EXPECT_EQ(service.answered, 2u);
  session.output();
  session.sent(pong.size());
  const auto more = session.input();
  std::memcpy(more.data(), "NG\r\n", 4);
  session.output();
  session.sent(0);
  EXPECT_EQ(session.input().data(), more.data());
  session.received(4);
  EXPECT_EQ(peer.hear(), pong);
}

// ---- what it waits for

TEST_F(SessionTest, waits_for_the_rest_of_a_frame) {
  peer.say("*1\r\n");
  const Wait begun = session.waits_for();
  EXPECT_EQ(begun.what, Wait::For::frame);
  peer.say("$4\r\nPI");
  EXPECT_EQ(session.waits_for(), begun);  // bytes alone are no progress
  peer.say("NG\r\n*1\r\n");
  const Wait next = session.waits_for();
  EXPECT_EQ(next.what, Wait::For::frame);
  EXPECT_NE(next.mark, begun.mark);
  peer.hear();
  EXPECT_NE(session.waits_for().mark, next.mark);
}

TEST_F(SessionTest, progress_is_another_mark_or_another_wait) {
  const Wait wait{Wait::For::frame, 7};
  EXPECT_EQ(wait, (Wait{Wait::For::frame, 7}));
  EXPECT_NE(wait, (Wait{Wait::For::frame, 8}));
  EXPECT_NE(wait, (Wait{Wait::For::reader, 7}));
}

TEST_F(SessionTest, waits_for_a_reader) {
  peer.say(ping);
  const Wait unread = session.waits_for();
  EXPECT_EQ(unread.what, Wait::For::reader);
  session.output();
  session.sent(0);
  EXPECT_EQ(session.waits_for(), unread);
  session.output();
  session.sent(1);
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  EXPECT_NE(session.waits_for().mark, unread.mark);
}

// What is parked counts, but while there is output it is the reader who is
// waited for.
TEST_F(SessionTest, waits_for_an_answer_only_with_input_behind_it) {
  peer.say(ping + later);
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  peer.say(ping);
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  EXPECT_EQ(peer.hear(), pong);
  EXPECT_EQ(session.waits_for().what, Wait::For::answer);
  EXPECT_NE(session.held(), 0u);
  session.deliver(":1\r\n");
  EXPECT_EQ(peer.hear(), ":1\r\n" + pong);
  EXPECT_EQ(session.waits_for().what, Wait::For::nothing);
}

// While the output is full it is we who do not read the rest of the frame.
TEST_F(SessionTest, does_not_wait_for_a_frame_that_it_does_not_read) {
  limits().output_max = 10;
  peer.say(ping + "*1\r\n");
  EXPECT_EQ(session.waits_for().what, Wait::For::frame);
  session.receive(as_bytes("$4\r\nPING\r\n*1\r\n"));
  EXPECT_EQ(session.waits_for().what, Wait::For::reader);
  peer.hear();
  EXPECT_EQ(session.waits_for().what, Wait::For::frame);
}

// Of the peer: by whichever way its bytes come, and by nothing of ours.
TEST_F(SessionTest, tells_whether_its_peer_was_heard) {
  EXPECT_FALSE(session.was_heard());
  peer.say(ping);
  EXPECT_TRUE(session.was_heard());
  EXPECT_FALSE(session.was_heard());
  EXPECT_EQ(peer.hear(), pong);
  session.input();
  session.received(0);
  EXPECT_FALSE(session.was_heard());
  peer.say_in_pieces(ping, ping.size());
  EXPECT_TRUE(session.was_heard());
}

}  // namespace
