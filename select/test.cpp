// What only this model promises: a list without gaps in which nobody is passed
// over, sets beyond which no bit is set, and that nothing spins.

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "select/interest.hpp"
#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned waits = net::counter("sys.", model::server.ideal[0].call);

bool has_list() { return std::string_view(model::server.variant) == "poll"; }

// ---- who is watched

/// A list of `size`, ids from 1 on, of whom those in `ready` are.
interest::List list_of(std::uint32_t size, std::vector<std::uint64_t> ready) {
  interest::List list;
  for (std::uint32_t i = 0; i < size; ++i)
    EXPECT_TRUE(list.add(-1, POLLIN, i + 1));
  for (const std::uint64_t id : ready) list.entries()[id - 1].revents = POLLIN;
  return list;
}

/// Who has had a turn, in order, where each closes those that `closes` says.
template <class Closes>
std::vector<std::uint64_t> turns_of(interest::List& list, Closes closes) {
  std::map<std::uint64_t, std::uint32_t> places;
  for (std::uint32_t i = 0; i < list.size(); ++i) places[i + 1] = i;
  std::vector<std::uint64_t> met;
  list.each_ready([&](std::uint64_t id, int events) {
    EXPECT_EQ(events, POLLIN);
    EXPECT_TRUE(places.contains(id)) << id << " is closed";
    met.push_back(id);
    for (const std::uint64_t closed : closes(id)) {
      const std::uint32_t place = places.at(closed);
      places.erase(closed);
      if (const std::uint64_t moved = list.remove(place)) places[moved] = place;
    }
  });
  return met;
}

using Ids = std::vector<std::uint64_t>;

TEST(List, WhoIsMovedIntoAGapHasItsTurnOnce) {
  interest::List list = list_of(6, {1, 2, 3, 4, 5, 6});
  Ids met = turns_of(list, [](std::uint64_t id) { return Ids{id}; });
  std::ranges::sort(met);
  EXPECT_EQ(met, (Ids{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(list.size(), 0u);
}

// As when buffers are to be freed: somebody else has to go.
TEST(List, NobodyIsPassedOverWhoeverIsClosed) {
  for (std::uint64_t closer = 1; closer <= 6; ++closer)
    for (std::uint64_t one = 1; one <= 6; ++one)
      for (std::uint64_t other = 1; other <= 6; ++other) {
        if (one == other) continue;
        interest::List list = list_of(6, {1, 3, 4, 5, 6});
        Ids met = turns_of(list, [&](std::uint64_t id) {
          return id == closer ? Ids{one, other} : Ids{};
        });
        for (const std::uint64_t id : {1, 3, 4, 5, 6}) {
          const auto times = std::ranges::count(met, id);
          EXPECT_LE(times, 1) << id;
          const bool may_be_gone = id == one || id == other;
          EXPECT_TRUE(times == 1 || may_be_gone)
              << id << ", when " << closer << " closes " << one << " and "
              << other;
        }
      }
}

TEST(List, KeepsWhatIsWantedAtThePlaceThatIsGiven) {
  interest::List list = list_of(3, {});
  list.set(2, POLLIN | POLLOUT);
  EXPECT_EQ(list.remove(0), 3u);
  EXPECT_EQ(list.events(0), POLLIN | POLLOUT);
  EXPECT_EQ(list.remove(1), 0u) << "the last one leaves no gap";
}

Ids ready_of(interest::Sets& sets) {
  Ids met;
  sets.each_ready([&](std::uint64_t id, bool) { met.push_back(id); });
  return met;
}

TEST(Sets, ReachFromTheFirstBitToTheLast) {
  EXPECT_TRUE(interest::Sets::fits(FD_SETSIZE - 1));
  EXPECT_FALSE(interest::Sets::fits(FD_SETSIZE));
  interest::Sets sets;
  EXPECT_EQ(sets.count(), 0);
  for (const int fd : {0, 64, FD_SETSIZE - 1})
    sets.add(fd, static_cast<std::uint64_t>(fd));
  EXPECT_EQ(sets.count(), FD_SETSIZE);
  sets.refresh();  // as if all were ready
  EXPECT_EQ(ready_of(sets), (Ids{FD_SETSIZE - 1, 64, 0}));
  sets.remove(FD_SETSIZE - 1);
  EXPECT_EQ(sets.count(), 65);
}

// Its number may belong to somebody who has come since.
TEST(Sets, WhoIsRemovedHasNoTurnAnyMore) {
  interest::Sets sets;
  for (const int fd : {3, 5}) sets.add(fd, static_cast<std::uint64_t>(fd));
  sets.set(3, false, true);
  sets.refresh();
  Ids met;
  sets.each_ready([&](std::uint64_t id, bool can_be_read) {
    met.push_back(id);
    EXPECT_TRUE(can_be_read);
    sets.remove(3);
    sets.add(3, 7);
  });
  EXPECT_EQ(met, (Ids{5}));
}

// ---- the loop

// The first closes the last ones as it is served, and the others have sent.
TEST(Select, WhoLeavesTakesNoEventFromOthers) {
  LaterService service;
  Loop loop(service);
  std::vector<std::unique_ptr<Visitor>> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(std::make_unique<Visitor>(loop.address));
    peers.back()->write("ECHO a\r\n");
    ASSERT_EQ(peers.back()->read(7), "$1\r\na\r\n");
  }
  for (std::size_t i = 0; i < peers.size(); ++i)
    if (i % 3 == 0)
      peers[i]->reset();
    else
      peers[i]->write("ECHO b\r\n");
  for (std::size_t i = 0; i < peers.size(); ++i)
    if (i % 3 != 0) {
      ASSERT_EQ(peers[i]->read(7), "$1\r\nb\r\n");
    }
  EXPECT_TRUE(soon([&] { return loop.clients() == 66; }));
}

TEST(Select, WritableIsAskedForOnlyWhileSomethingIsUnsent) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  const std::string value(1'000'000, 'v');
  const std::string request =
      "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value + "\r\n";
  std::thread writer([&] {
    for (int i = 0; i < 16; ++i) peer.write(request);
  });
  for (int i = 0; i < 16; ++i) {
    ASSERT_EQ(peer.read(10), "$1000000\r\n");
    ASSERT_EQ(peer.read(value.size() + 2), value + "\r\n");
  }
  writer.join();
  const std::uint64_t before = net::total(waits);
  ::poll(nullptr, 0, 50);
  EXPECT_LE(net::total(waits), before + 2);
}

// poll reports POLLERR and POLLHUP of a socket for which nothing is asked,
// again and again; select has nothing to report of it, until the answer comes.
TEST(Select, APeerThatResetsWhileNothingIsAskedMakesNoWork) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("LATER x\r\n" + std::string(service.limits().parked_max, '\n'));
  const LaterService::Asked asked = service.take();
  Visitor other(loop.address);  // whose answer says that the park is full
  other.write("ECHO a\r\n");
  ASSERT_EQ(other.read(7), "$1\r\na\r\n");
  ::poll(nullptr, 0, 50);
  const std::uint64_t before = net::total(waits);
  peer.reset();
  if (has_list()) {
    EXPECT_TRUE(soon([&] { return loop.clients() == 1; }));
  } else {
    ::poll(nullptr, 0, 50);
    EXPECT_EQ(loop.clients(), 2u);
  }
  EXPECT_LE(net::total(waits), before + 4);
  asked.post();
  EXPECT_TRUE(soon([&] { return loop.clients() == 1; }));
}

// ---- descriptors that have no bit

/// All descriptors below FD_SETSIZE, so that the next one is above.
class Filled {
 public:
  static bool allowed() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > FD_SETSIZE + 10;
  }
  Filled() {
    do {
      held_.emplace_back(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    } while (held_.back().get() < FD_SETSIZE);
  }

 private:
  std::vector<net::Fd> held_;
};

TEST(Select, ADescriptorWithoutABitIsRefusedBeforeItIsSet) {
  if (!Filled::allowed()) GTEST_SKIP() << "too few descriptors";
  LaterService service;
  Loop loop(service);
  Visitor early(loop.address);
  early.write("ECHO a\r\n");
  ASSERT_EQ(early.read(7), "$1\r\na\r\n");
  const unsigned counter = net::counter("model.", "refused_descriptors");
  const std::uint64_t before = net::total(counter);
  {
    const Filled filled;
    Visitor late(loop.address);
    late.write("ECHO b\r\n");
    EXPECT_EQ(late.read(7), has_list() ? "$1\r\nb\r\n" : "-ERR ma");
    EXPECT_EQ(net::total(counter) - before, has_list() ? 0u : 1u);
  }
  early.write("ECHO c\r\n");
  EXPECT_EQ(early.read(7), "$1\r\nc\r\n");
  Visitor again(loop.address);
  again.write("ECHO d\r\n");
  EXPECT_EQ(again.read(7), "$1\r\nd\r\n");
}

/// Has one peer, and keeps in mind why there is no connection to it.
class OnePeer final : public protocol::Agenda {
 public:
  explicit OnePeer(const std::string& address) { peer_.address = address; }
  protocol::Peer* next() override {
    return std::exchange(given_, true) ? nullptr : &peer_;
  }
  protocol::Peer* due(protocol::Nanoseconds) override { return nullptr; }
  protocol::Nanoseconds next_due() override {
    return over_ ? 0 : protocol::never;
  }
  bool over() override { return over_; }
  void connected(protocol::Peer&) override { over_ = true; }
  void say(protocol::Peer&, protocol::Nanoseconds) override {}
  void hand_over(protocol::Peer&, protocol::Nanoseconds) override {}
  void closed(protocol::Peer&, std::string_view why) override {
    error = why;
    over_ = true;
  }
  std::string error;

 private:
  protocol::Peer peer_;
  bool given_ = false, over_ = false;
};

// A node's client has its sockets beside those of the node's peers.
TEST(Select, AClientTellsThatNoDescriptorHasABit) {
  if (model::client.variant != std::string_view("select"))
    GTEST_SKIP() << "its client has a list";
  if (!Filled::allowed()) GTEST_SKIP() << "too few descriptors";
  LaterService service;
  Loop loop(service);
  OnePeer agenda(loop.address);
  net::Mailbox mailbox;
  const Filled filled;
  std::thread([&] { model::converse(agenda, mailbox, {}); }).join();
  EXPECT_EQ(agenda.error, "no descriptor below 1024 is left for it");
}

TEST(Select, AnEchoTakesSoManyInstructions) {
  tests::expect_instructions({{"select", 1698}, {"poll", 1539}});
}

}  // namespace
