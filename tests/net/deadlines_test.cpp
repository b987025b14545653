#include "net/deadlines.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/clock.hpp"
#include "net/counters.hpp"
#include "net/fd.hpp"

namespace {

using std::chrono::milliseconds;

std::uint64_t now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

/// Answers every request with what was said last, and LATER not at all. LIMIT
/// text: the conversation may last for as many ms as the text has bytes; LIFT.
class Echo final : public protocol::Service {
 public:
  explicit Echo(const protocol::Limits& limits)
      : limits_(limits), budget_(limits.buffers_max) {}
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    if (arguments[0] == "LATER")
      reply.later();
    else if (arguments[0] == "LIMIT")
      reply.client().end_by(now_ns(),
                            static_cast<unsigned>(arguments[1].size()));
    else if (arguments[0] == "LIFT")
      reply.client().lift_limit();
    else
      reply.bulk(arguments.back());
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

 private:
  const protocol::Limits limits_;
  protocol::Budget budget_;
};

struct Conversation {
  Conversation(Echo& echo, protocol::Pool& pool, std::uint64_t id)
      : session(echo, pool, {nullptr, id}), deadline(id) {}
  void hear(std::string_view bytes) {
    session.receive(std::as_bytes(std::span(bytes)));
  }
  protocol::Session session;
  net::Deadlines::Entry deadline;
};

protocol::Limits limits_of(milliseconds frame, milliseconds reader,
                           milliseconds drain = milliseconds(60'000)) {
  protocol::Limits limits;
  limits.frame_time = frame;
  limits.reader_time = reader;
  limits.drain_time = drain;
  return limits;
}

constexpr milliseconds soon{20}, later{60'000};

class DeadlinesTest : public testing::Test {
 protected:
  void begin(const protocol::Limits& limits, int socket = -1) {
    echo_.emplace(limits);
    pool_.emplace(echo_->budget(), 0);
    deadlines_.emplace(echo_->limits(), *pool_,
                       [socket](std::uint64_t) { return socket; });
  }
  Conversation& add() {
    const auto id = conversations_.size() + 1;
    conversations_.push_back(
        std::make_unique<Conversation>(*echo_, *pool_, id));
    return *conversations_.back();
  }
  void watch(Conversation& c) { deadlines_->watch(c.deadline, c.session); }
  /// The end of a pass: closes who is late by now, and says who that was. It
  /// has brought all that was ready, or not.
  std::vector<std::uint64_t> expire(bool all = true,
                                    std::size_t waits_max = 1000) {
    deadlines_->looked(all, waits_max);
    std::vector<std::uint64_t> closed;
    const auto close = [&](std::uint64_t id) {
      closed.push_back(id);
      conversations_[id - 1].reset();
    };
    deadlines_->expire(close);
    deadlines_->evict(close);
    return closed;
  }
  /// Sleeps as a loop does, until somebody is late.
  std::vector<std::uint64_t> wait() {
    for (;;) {
      const auto closed = expire();
      if (!closed.empty() || deadlines_->idle()) return closed;
      ::poll(nullptr, 0, deadlines_->left_ms());
    }
  }

  std::optional<Echo> echo_;
  std::optional<protocol::Pool> pool_;
  std::optional<net::Deadlines> deadlines_;
  std::deque<std::unique_ptr<Conversation>> conversations_;
};

TEST_F(DeadlinesTest, AreIdleWhileNobodyWaits) {
  begin(limits_of(soon, soon));
  Conversation& c = add();
  watch(c);
  EXPECT_TRUE(deadlines_->idle());
  EXPECT_EQ(deadlines_->left_ns(), -1);
  EXPECT_EQ(deadlines_->left_ms(), -1);
  timespec room;
  EXPECT_EQ(deadlines_->left(room), nullptr);
  EXPECT_TRUE(expire().empty());
}

TEST_F(DeadlinesTest, NameWhoDoesNotCompleteAFrame) {
  begin(limits_of(soon, later));
  const auto late = net::counter("net.", "late");
  const auto before = net::total(late);
  Conversation& c = add();
  c.hear("*1\r\n");
  const auto began = net::now();
  watch(c);
  EXPECT_FALSE(deadlines_->idle());
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{1});
  EXPECT_GE(net::now() - began, 10'000'000);
  EXPECT_TRUE(deadlines_->idle());
  EXPECT_EQ(net::total(late), before + 1);
}

// Of a peer who is not read before it has read: it would be late with a frame.
TEST_F(DeadlinesTest, GoByWhatTheModelSaysIsWaitedFor) {
  begin(limits_of(soon, later));
  Conversation& c = add();
  c.hear("*1\r\n");
  protocol::Wait wait = c.session.waits_for();
  ASSERT_EQ(wait.what, protocol::Wait::For::frame);
  wait.what = protocol::Wait::For::reader;
  deadlines_->watch(c.deadline, c.session, wait);
  EXPECT_GT(deadlines_->left_ms(), 1'000);
}

TEST_F(DeadlinesTest, NameWhoDoesNotRead) {
  begin(limits_of(later, soon));
  Conversation& c = add();
  c.hear("*1\r\n$4\r\nPING\r\n");
  watch(c);
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{1});
}

TEST_F(DeadlinesTest, NameWhoDoesNotEnd) {
  begin(limits_of(later, later, soon));
  Conversation& c = add();
  c.session.drain();
  ASSERT_EQ(c.session.waits_for().what, protocol::Wait::For::end);
  watch(c);
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{1});
}

TEST_F(DeadlinesTest, ForgetWhoWaitsNoMore) {
  begin(limits_of(soon, later));
  Conversation& c = add();
  c.hear("*1\r\n");
  watch(c);
  c.hear("$4\r\nPING\r\n");
  c.session.sent(c.session.output().size());
  watch(c);
  EXPECT_TRUE(deadlines_->idle());
}

TEST_F(DeadlinesTest, ForgetWhoIsDestroyed) {
  begin(limits_of(soon, later));
  for (int i = 0; i < 3; ++i) {
    Conversation& c = add();
    c.hear("*1\r\n");
    watch(c);
  }
  conversations_[1].reset();
  conversations_[0].reset();
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{3});
}

TEST_F(DeadlinesTest, AreInTheOrderOfTime) {
  begin(limits_of(soon, later));
  for (int i = 0; i < 3; ++i) add().hear("*1\r\n");
  for (const int i : {1, 2, 0})
    watch(*conversations_[static_cast<std::size_t>(i)]);
  std::vector<std::uint64_t> order;
  while (!deadlines_->idle()) {
    const auto closed = wait();
    order.insert(order.end(), closed.begin(), closed.end());
  }
  EXPECT_EQ(order, (std::vector<std::uint64_t>{2, 3, 1}));
}

// Bytes of the same frame are no progress: their time is not renewed.
TEST_F(DeadlinesTest, AreNotPutOffByAByte) {
  begin(limits_of(milliseconds(300), later));
  Conversation& c = add();
  c.hear("*1\r\n$100000\r\n");
  watch(c);
  const auto began = net::now();
  while (expire().empty()) {
    ASSERT_LT(net::now() - began, 10'000'000'000);
    c.hear("x");
    watch(c);
    ::poll(nullptr, 0, 1);
  }
  EXPECT_GE(net::now() - began, 250'000'000);
}

// A new frame is: who is always in the middle of one comes behind who has been
// waiting since.
TEST_F(DeadlinesTest, BeginAnewWithAFrame) {
  begin(limits_of(soon, later));
  Conversation& busy = add();
  Conversation& slow = add();
  for (Conversation* c : {&busy, &slow}) {
    c->hear("*1\r\n");
    watch(*c);
  }
  busy.hear("$4\r\nPING\r\n*1\r\n");
  busy.session.sent(busy.session.output().size());
  watch(busy);
  std::vector<std::uint64_t> order;
  while (!deadlines_->idle()) {
    const auto closed = wait();
    order.insert(order.end(), closed.begin(), closed.end());
  }
  EXPECT_EQ(order, (std::vector<std::uint64_t>{2, 1}));
}

TEST_F(DeadlinesTest, CutTheSleepShort) {
  begin(limits_of(milliseconds(60'000), milliseconds(30'000)));
  Conversation& frame = add();
  frame.hear("*1\r\n");
  watch(frame);
  EXPECT_LE(deadlines_->left_ms(), 60'100);
  EXPECT_GT(deadlines_->left_ms(), 30'100);
  Conversation& reader = add();
  reader.hear("*1\r\n$4\r\nPING\r\n");
  watch(reader);
  EXPECT_LE(deadlines_->left_ms(), 30'100);
  EXPECT_GT(deadlines_->left_ms(), 0);
  const auto left = deadlines_->left_ns();
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 30'100'000'000);
  timespec room;
  ASSERT_EQ(deadlines_->left(room), &room);
  EXPECT_GE(room.tv_sec, 0);
  EXPECT_LE(room.tv_sec, 30);
  EXPECT_LT(room.tv_nsec, 1'000'000'000);
}

// The sleep is over when somebody is late, and not a little before.
TEST_F(DeadlinesTest, AreNotAskedAgainAndAgain) {
  begin(limits_of(milliseconds(30), later));
  for (int i = 0; i < 10; ++i) {
    Conversation& c = add();
    c.hear("*1\r\n");
    watch(c);
    int sleeps = 0;
    for (; expire().empty(); ++sleeps)
      ::poll(nullptr, 0, deadlines_->left_ms());
    EXPECT_LE(sleeps, 3);  // the last one does not sleep
  }
}

TEST_F(DeadlinesTest, NameNobodyTwice) {
  begin(limits_of(milliseconds(1), later));
  Conversation& c = add();
  c.hear("*1\r\n");
  watch(c);
  int named = 0;
  const auto name = [&](std::uint64_t) { ++named; };
  while (named == 0) {
    deadlines_->looked(true);
    deadlines_->expire(name);
  }
  // The kernel still holds its buffers, so it is watched and not yet destroyed.
  watch(c);
  EXPECT_TRUE(deadlines_->idle());
  deadlines_->expire(name);
  EXPECT_EQ(named, 1);
}

/// Who is due, but has not been looked for: it may be that we were stopped, and
/// that his bytes are there.
class LookTest : public DeadlinesTest {
 protected:
  /// One who owes the rest of a frame, and is due.
  Conversation& add_due(milliseconds time = milliseconds(1)) {
    begin(limits_of(time, later));
    Conversation& c = add();
    c.hear("*2\r\n$4\r\nECHO\r\n");
    watch(c);
    pass(time);
    return c;
  }
  /// The coarse clock has gone on by at least as much.
  static void pass(milliseconds time) {
    ::poll(nullptr, 0, static_cast<int>(time.count()) + 20);
  }
};

TEST_F(LookTest, ComesBeforeAnybodyIsLate) {
  add_due();
  // The wait that ends now began when nobody was suspected.
  EXPECT_TRUE(expire().empty());
  EXPECT_TRUE(deadlines_->looking());
  EXPECT_EQ(deadlines_->left_ms(), 0);
  EXPECT_EQ(expire(), std::vector<std::uint64_t>{1});
  EXPECT_FALSE(deadlines_->looking());
}

TEST_F(LookTest, SparesWhoseBytesWereThere) {
  Conversation& c = add_due();
  EXPECT_TRUE(expire().empty());
  c.hear("$1\r\na\r\n");
  c.session.sent(c.session.output().size());
  watch(c);
  EXPECT_TRUE(expire().empty());
  EXPECT_TRUE(deadlines_->idle());
}

TEST_F(LookTest, TakesAsManyWaitsAsThereMayBeBatches) {
  add_due();
  EXPECT_TRUE(expire(false, 2).empty());
  EXPECT_TRUE(expire(false, 2).empty());
  EXPECT_TRUE(expire(false, 2).empty());
  EXPECT_TRUE(deadlines_->looking());
  EXPECT_EQ(expire(false, 2), std::vector<std::uint64_t>{1});
}

// A large frame does not come in one turn. But it is not for ever that bytes of
// it come.
TEST_F(LookTest, GivesWhoIsHeardOfHisTimeOnceMore) {
  constexpr milliseconds time(300);
  Conversation& c = add_due(time);
  EXPECT_TRUE(expire().empty());
  c.hear("$100000\r\n");
  watch(c);
  EXPECT_TRUE(expire().empty());
  pass(time);
  EXPECT_TRUE(expire().empty());
  EXPECT_TRUE(deadlines_->looking());
  c.hear("x");
  watch(c);
  EXPECT_EQ(expire(), std::vector<std::uint64_t>{1});
}

// What the first wait after a pause brings comes before anybody is suspected.
TEST_F(LookTest, GivesHisTimeOnceMoreToWhoIsHeardOfBefore) {
  constexpr milliseconds time(300);
  Conversation& c = add_due(time);
  c.hear("$100000\r\n");
  watch(c);
  EXPECT_TRUE(expire().empty());
  EXPECT_FALSE(deadlines_->looking());
  pass(time);
  c.hear("x");
  watch(c);
  EXPECT_TRUE(expire().empty());
  EXPECT_EQ(expire(), std::vector<std::uint64_t>{1});
}

TEST_F(LookTest, ComesBeforeTheDrainIsOver) {
  begin(limits_of(later, later));
  deadlines_->drain();
  ::poll(nullptr, 0, deadlines_->left_ms());
  EXPECT_TRUE(expire().empty());
  EXPECT_FALSE(deadlines_->drained());
  EXPECT_EQ(deadlines_->left_ms(), 0);
  EXPECT_TRUE(expire().empty());
  EXPECT_TRUE(deadlines_->drained());
}

/// A conversation over a socket whose queue is full.
class ReaderTest : public DeadlinesTest {
 protected:
  ReaderTest() {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    ours_ = net::Fd(pair[0]);
    theirs_ = net::Fd(pair[1]);
    const std::string text(4096, 'x');
    while (::send(ours_.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0) {
    }
  }
  Conversation& add_reader(milliseconds time) {
    begin(limits_of(later, time), ours_.get());
    Conversation& c = add();
    c.hear("*1\r\n$4\r\nPING\r\n");
    watch(c);
    return c;
  }
  void read() {
    char room[4096];
    EXPECT_EQ(::recv(theirs_.get(), room, sizeof room, 0), 4096);
  }
  /// One part of the reader's time passes.
  std::vector<std::uint64_t> pass_part() {
    ::poll(nullptr, 0, deadlines_->left_ms());
    expire();
    return expire();
  }

  net::Fd ours_, theirs_;
};

// Less than what would let us send more: only the kernel knows of it.
TEST_F(ReaderTest, IsNotLateWhileTheKernelsQueueFalls) {
  add_reader(milliseconds(40));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(pass_part().empty()) << i;
    read();
  }
}

TEST_F(ReaderTest, IsLateWhenItHasNotFallenForTheWholeTime) {
  const unsigned asked = net::counter("sys.", "ioctl");
  add_reader(milliseconds(40));
  const auto before = net::total(asked);
  const auto began = net::now();
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{1});
  EXPECT_GE(net::now() - began, 30'000'000);
  EXPECT_EQ(net::total(asked) - before, net::Deadlines::reader_parts + 1);
}

TEST_F(ReaderTest, WhoMakesProgressIsNotAskedFor) {
  const unsigned asked = net::counter("sys.", "ioctl");
  Conversation& c = add_reader(milliseconds(400));
  const auto before = net::total(asked);
  for (int i = 0; i < 10; ++i) {
    c.session.output();
    c.session.sent(1);
    watch(c);
    c.hear("*1\r\n$4\r\nPING\r\n");
    ::poll(nullptr, 0, 5);
    EXPECT_TRUE(expire().empty());
  }
  EXPECT_EQ(net::total(asked), before);
}

TEST(DeadlinesEntry, IsSmall) { EXPECT_LE(sizeof(net::Deadlines::Entry), 48u); }

// ---- limits that a service has set

class LimitTest : public DeadlinesTest {
 protected:
  void limit(Conversation& c, std::size_t ms) {
    c.hear("LIMIT " + std::string(ms, 'x') + "\r\n");
    watch(c);
  }
};

// Whatever else it waits for, and however often something is heard of it.
TEST_F(LimitTest, AreMetByWhoSpeaksAllTheTime) {
  begin(limits_of(later, later));
  Conversation& c = add();
  limit(c, 200);
  std::vector<std::uint64_t> closed;
  for (int i = 0; i < 100 && closed.empty(); ++i) {
    EXPECT_FALSE(deadlines_->idle());
    EXPECT_LE(deadlines_->left_ms(), 220);
    c.hear("PING\r\n");
    c.session.sent(c.session.output().size());
    watch(c);
    ::poll(nullptr, 0, 10);
    closed = expire();
  }
  EXPECT_EQ(closed, std::vector<std::uint64_t>{1});
  EXPECT_TRUE(deadlines_->idle());
}

TEST_F(LimitTest, AreLiftedAndComeInTheOrderOfTheirTimes) {
  begin(limits_of(later, later));
  Conversation& first = add();
  Conversation& second = add();
  Conversation& third = add();
  limit(first, 900);
  limit(second, 300);
  limit(third, 600);
  EXPECT_LE(deadlines_->left_ms(), 320);
  third.hear("LIFT\r\n");
  watch(third);
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{2});
  EXPECT_EQ(wait(), std::vector<std::uint64_t>{1});
  EXPECT_TRUE(deadlines_->idle());
}

/// Eight peers who do not read; the third one holds most.
class EvictionTest : public DeadlinesTest {
 protected:
  static constexpr std::size_t answer = 60'000;

  void begin_with(std::size_t buffers_max) {
    protocol::Limits limits = limits_of(later, later);
    limits.buffers_max = buffers_max;
    begin(limits);
    for (int i = 1; i <= 8; ++i) {
      Conversation& c = add();
      const std::string text(i == 3 ? 4 * answer : answer, 'x');
      c.hear("*2\r\n$4\r\nECHO\r\n$" + std::to_string(text.size()) + "\r\n" +
             text + "\r\n");
      ASSERT_GT(c.session.held(), 0u);
      watch(c);
    }
  }
};

TEST_F(EvictionTest, TakesTheLargestUntilItIsEnough) {
  begin_with(9 * 64 << 10);
  const auto evicted = net::counter("net.", "evicted");
  const auto before = net::total(evicted);
  ASSERT_TRUE(echo_->budget().exceeded());
  const auto closed = expire();
  ASSERT_FALSE(closed.empty());
  EXPECT_EQ(closed.front(), 3u);
  EXPECT_LT(closed.size(), 8u);
  EXPECT_FALSE(echo_->budget().exceeded());
  EXPECT_EQ(net::total(evicted), before + closed.size());
  EXPECT_TRUE(expire().empty());
}

TEST_F(EvictionTest, TakesNobodyWhileThereIsRoom) {
  begin_with(64 << 20);
  EXPECT_TRUE(expire().empty());
}

// Who is closed may stay until the kernel lets go of it, and has given back all
// that was not lent: the others must not pay for that.
TEST_F(EvictionTest, CountsWhatIsAbandonedAsGone) {
  begin_with(9 * 64 << 10);
  std::set<std::uint64_t> named;
  deadlines_->evict([&](std::uint64_t id) {
    named.insert(id);
    conversations_[id - 1]->session.abandon();
  });
  EXPECT_TRUE(named.contains(3));
  EXPECT_LT(named.size(), 8u);
  EXPECT_FALSE(echo_->budget().exceeded());
}

TEST_F(EvictionTest, SparesWhoHoldsNextToNothing) {
  begin_with(600);
  Conversation& small = add();
  small.hear("*1\r\n");  // 1 KiB
  watch(small);
  const auto closed = expire();
  EXPECT_EQ(closed.size(), 8u);
}

// Or many such peers could have all memory.
TEST_F(EvictionTest, SparesNobodyWhereSmallOnesHoldTwiceWhatAllMay) {
  begin_with(500);
  Conversation& small = add();
  small.hear("*1\r\n");
  watch(small);
  EXPECT_EQ(expire().size(), 9u);
}

// An answer from elsewhere is late when whoever owes it is, so they have no
// deadline here. What they have sent behind their requests counts all the same.
TEST_F(EvictionTest, TakesWhoAwaitsAnAnswerToo) {
  begin_with(1);
  for (int i = 0; i < 8; ++i)
    conversations_[static_cast<std::size_t>(i)].reset();
  ASSERT_FALSE(echo_->budget().exceeded());
  for (int i = 0; i < 2; ++i) {
    Conversation& c = add();
    c.hear("LATER\r\n" + std::string(i == 0 ? 15'000 : 20'000, 'x'));
    ASSERT_GE(c.session.held(), 16u << 10);
    watch(c);
  }
  EXPECT_TRUE(deadlines_->idle());
  EXPECT_EQ(deadlines_->left_ns(), -1);
  EXPECT_EQ(expire(), (std::vector<std::uint64_t>{10, 9}));
}

TEST_F(EvictionTest, ForgetsWhoHasHadHisAnswer) {
  begin_with(1);
  conversations_.clear();
  Conversation& c = add();
  c.hear("LATER\r\n" + std::string(20'000, 'x') + "\r\n");
  watch(c);
  c.session.deliver("+OK\r\n");
  c.session.output();
  while (c.session.has_output()) c.session.sent(c.session.output().size());
  watch(c);
  EXPECT_TRUE(expire().empty());
}

TEST_F(DeadlinesTest, EndTheDrainAfterItsTime) {
  begin(limits_of(later, later));
  EXPECT_FALSE(deadlines_->drained());
  EXPECT_FALSE(deadlines_->lets_in());
  const auto began = net::now();
  deadlines_->drain();
  EXPECT_FALSE(deadlines_->idle());
  EXPECT_LE(deadlines_->left_ms(), 1600);
  EXPECT_FALSE(deadlines_->drained());
  EXPECT_TRUE(deadlines_->lets_in());
  while (deadlines_->lets_in()) ::poll(nullptr, 0, 10);
  EXPECT_GE(net::now() - began, 650'000'000);
  EXPECT_FALSE(deadlines_->drained()) << "time is left to answer in";
  while (!deadlines_->drained()) {
    ::poll(nullptr, 0, deadlines_->left_ms());
    expire();
  }
  EXPECT_GE(net::now() - began, 1'400'000'000);
  EXPECT_EQ(deadlines_->left_ns(), 0);
}

}  // namespace
