// In the steady state a request costs no allocation: blocks and scratch come
// from the pool and go back to it.

#include "tests/tools/allocations.hpp"

#include <gtest/gtest.h>

#include <new>
#include <string>

#include "protocol/client_session.hpp"
#include "tests/protocol/fixture.hpp"

namespace {

using fixture::as_bytes;
using fixture::Conversation;
using fixture::request;
using fixture::Service;

// Answers one round as a model does, without memory of its own.
void exchange(protocol::Session& session, std::string_view said,
              std::size_t heard) {
  const auto room = session.input();
  ASSERT_LE(said.size(), room.size());
  std::copy(said.begin(), said.end(), reinterpret_cast<char*>(room.data()));
  session.received(said.size());
  while (session.has_output()) {
    const std::size_t n = session.output().size();
    session.sent(n);
    ASSERT_LE(n, heard);
    heard -= n;
  }
  ASSERT_EQ(heard, 0u);
}

void expect_no_allocation(std::string_view said, std::size_t heard) {
  Service service;
  Conversation peer(service);
  // The first round fills the pool.
  exchange(peer.session, said, heard);
  peer.say(said);
  peer.hear();
  const std::uint64_t before = allocations();
  const std::uint64_t blocks = peer.pool.allocations();
  for (int i = 0; i < 1000; ++i) {
    exchange(peer.session, said, heard);
    peer.session.receive(as_bytes(said));
    peer.session.sent(peer.session.output().size());
  }
  EXPECT_EQ(allocations(), before) << said.substr(0, 40);
  EXPECT_EQ(peer.pool.allocations(), blocks);
}

TEST(Allocation, is_counted) {
  const std::uint64_t before = allocations();
  // Called by name, since a new-expression may be optimized away.
  ::operator delete(::operator new(1));
  EXPECT_EQ(allocations(), before + 1);
}

TEST(Allocation, ping_needs_none) {
  expect_no_allocation(request({"PING"}), 7);
  expect_no_allocation("PING\r\n", 7);
}

TEST(Allocation, echo_needs_none) {
  expect_no_allocation(request({"ECHO", "hello"}), 11);
  expect_no_allocation(request({"ECHO", std::string(10'000, 'e')}), 10'010);
  expect_no_allocation("ECHO \"an inline request of some length\"\r\n", 39);
}

TEST(Allocation, a_pipeline_needs_none) {
  std::string pipeline;
  for (int i = 0; i < 64; ++i) pipeline += request({"ECHO", "hello"});
  expect_no_allocation(pipeline, 64 * 11);
}

TEST(Allocation, a_frame_in_pieces_needs_none) {
  Service service;
  Conversation peer(service);
  const std::string frame = request({"ECHO", std::string(3000, 'e')});
  peer.ask(frame);
  std::uint64_t before = 0;
  for (int i = 0; i < 1000; ++i) {
    if (i == 1) before = allocations();
    ASSERT_EQ(peer.say_in_pieces(frame, 700), "");
    while (peer.session.has_output()) {
      peer.session.sent(peer.session.output().size());
    }
  }
  EXPECT_EQ(allocations(), before);
}

TEST(Allocation, a_client_needs_none) {
  protocol::ClientSession client;
  std::uint64_t before = 0;
  for (int i = 0; i < 1000; ++i) {
    if (i == 2) before = allocations();
    client.request({"ECHO", "hello, hello, hello, hello"});
    client.request({"PING"});
    while (client.has_output()) client.sent(client.output().size());
    client.receive(as_bytes("$26\r\nhello, hello, hello, hello\r\n"));
    client.receive(as_bytes("*2\r\n:1\r\n*1\r\n:2\r\n"));
    ASSERT_NE(client.reply(), nullptr);
    ASSERT_EQ(client.reply()->elements.size(), 2u);
    ASSERT_EQ(client.reply(), nullptr);
  }
  EXPECT_LE(allocations() - before, 2u * 998);  // the elements of arrays
}

}  // namespace
