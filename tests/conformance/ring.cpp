#include "tests/conformance/ring.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/flood.hpp"
#include "tests/conformance/scripted.hpp"

namespace conformance {
namespace {

class Ring : public RingTest {};

std::string key(std::size_t i) { return "key:" + std::to_string(i); }

/// Follows MOVED from a node to the owner: the command's answer, and by which
/// nodes it went.
struct Walk {
  std::string answer;
  std::vector<std::string> addresses;
};
Walk walk(const std::string& address, const std::vector<std::string>& command) {
  Walk walk{"", {address}};
  while (walk.addresses.size() < 20) {
    walk.answer = Peer(walk.addresses.back()).ask(command);
    if (!walk.answer.starts_with("-MOVED ")) return walk;
    const std::string line = lines_of(walk.answer)[0];
    walk.addresses.push_back(line.substr(line.rfind(' ') + 1));
  }
  throw Trouble("redirected without end");
}

// Every key has one owner; every node finds it, by the same steps whether the
// client walks (MOVED) or the node does (DHT.LOOKUP).
TEST_P(Ring, EveryNodeFindsEveryKeysOwner) {
  const auto nodes = start_ring(8);
  std::set<std::string> owners;
  for (Server* node : nodes) {
    Peer peer = node->connect();
    for (std::size_t i = 0; i < 10; ++i) {
      const Path path = look_up(peer, key(i));
      EXPECT_EQ(path.addresses.front(), node->address());
      EXPECT_EQ(path.rules.front(), "start");
      EXPECT_EQ(path.addresses.back(), owner_of(peer, key(i)));
      owners.insert(path.addresses.back());
      const Walk walked = walk(node->address(), {"GET", key(i)});
      EXPECT_EQ(walked.answer, null);
      EXPECT_EQ(walked.addresses, path.addresses) << key(i);
    }
  }
  EXPECT_GE(owners.size(), 2u);
}

// Its other half has slept for longer than a hop may take.
TEST_P(Ring, TheFirstLookupOfANodeThatWasIdleHasItsTime) {
  const std::size_t hop_ms = size_of(500, 2'000);
  const auto nodes = start_ring(3, {"--lookup-time", std::to_string(hop_ms)});
  std::vector<Peer> peers;
  for (Server* node : nodes) peers.push_back(node->connect());
  for (int round = 0; round < 2; ++round) {
    std::this_thread::sleep_for(Milliseconds(hop_ms + 200));
    for (Peer& peer : peers) {
      const std::size_t first = static_cast<std::size_t>(round) * 8;
      for (std::size_t i = first; i < first + 8; ++i) look_up(peer, key(i));
    }
  }
}

TEST_P(Ring, WhatOneNodeStoresAllFind) {
  const auto nodes = start_ring(5);
  for (std::size_t i = 0; i < 10; ++i) {
    const std::string& from = nodes[i % 5]->address();
    EXPECT_EQ(walk(from, {"SET", key(i), key(i + 1)}).answer, ok);
  }
  for (Server* node : nodes)
    for (std::size_t i = 0; i < 10; ++i)
      EXPECT_EQ(walk(node->address(), {"GET", key(i)}).answer,
                bulk(key(i + 1)));
}

// By successors a lookup goes round the ring, one node after the other.
TEST_P(Ring, SuccessorsAreTheLongWay) {
  const auto nodes = start_ring(6, {"--routing", "successors"});
  std::size_t longest = 0;
  Peer peer = nodes[0]->connect();
  for (std::size_t i = 0; i < 40; ++i) {
    const Path path = look_up(peer, key(i));
    EXPECT_EQ(path.addresses.back(), owner_of(peer, key(i)));
    for (std::size_t hop = 1; hop < path.rules.size(); ++hop)
      EXPECT_EQ(path.rules[hop], "successor");
    longest = std::max(longest, path.addresses.size());
  }
  EXPECT_GE(longest, 3u) << "no lookup had to go far";
}

// The path of a lookup through each node's own table: whatever DHT.NEXT says
// is the step that DHT.LOOKUP takes.
TEST_P(Ring, LookupsTakeTheStepsThatNextNames) {
  const auto nodes = start_ring(8, {"--keys", "sha1"});
  Peer peer = nodes[0]->connect();
  for (std::size_t i = 0; i < 10; ++i) {
    const Path path = look_up(peer, key(i));
    for (std::size_t hop = 0; hop < path.addresses.size(); ++hop) {
      const Reply next =
          decode(Peer(path.addresses[hop]).ask({"DHT.NEXT", key(i)}));
      const bool last = hop + 1 == path.addresses.size();
      EXPECT_EQ(next.items.at(0).text, last ? "here" : "forward");
      EXPECT_EQ(next.items.at(2).text, path.addresses[last ? hop : hop + 1]);
      EXPECT_EQ(next.items.at(3).text, last ? "owner" : path.rules[hop + 1]);
    }
  }
}

// Sixty-four lookups between ECHOs in one write: each waits for other nodes,
// and no answer overtakes another.
TEST_P(Ring, PipelinedLookupsStayInOrder) {
  const auto nodes = start_ring(4);
  Peer peer = nodes[0]->connect();
  std::vector<std::string> owners;
  for (std::size_t i = 0; i < 64; ++i) owners.push_back(owner_of(peer, key(i)));
  std::string requests;
  for (std::size_t i = 0; i < 64; ++i)
    requests += echo_request(i, 20) + request({"DHT.LOOKUP", key(i)});
  for (int round = 0; round < 3; ++round) {
    peer.send(requests);
    for (std::size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(peer.frame(), echo_answer(i, 20)) << round;
      EXPECT_EQ(path_of(peer.reply()).addresses.back(), owners[i]);
    }
  }
}

TEST_P(Ring, ManyPeersLookUpAtOnce) {
  const auto nodes = start_ring(4);
  Crowd crowd;
  const std::size_t peers = size_of(100, 40), lookups = 10;
  for (std::size_t i = 0; i < peers; ++i) {
    Member& member = crowd.join(nodes[i % 4]->address());
    for (std::size_t n = 0; n < lookups; ++n)
      member.outgoing += request({"DHT.LOOKUP", key(i * lookups + n)});
    member.outgoing += echo_request(i, 16);
  }
  const auto whole = [](const Member& member) {
    return frames_of(member.incoming).count == lookups + 1;
  };
  EXPECT_TRUE(crowd.run([&] { return crowd.count(whole) == peers; }))
      << crowd.state();
  for (std::size_t i = 0; i < peers; ++i)
    EXPECT_TRUE(crowd.members()[i]->incoming.ends_with(echo_answer(i, 16)));
}

TEST_P(Ring, ProxyModeHasTheNodeWalk) {
  const auto nodes = start_ring(4);
  Peer peer = nodes[0]->connect();
  EXPECT_EQ(peer.ask({"DHT.MODE", "proxy"}), ok);
  for (std::size_t i = 0; i < 40; ++i) {
    ASSERT_EQ(peer.ask({"SET", key(i), numbered(i, 3000)}), ok);
    ASSERT_EQ(peer.ask({"GET", key(i)}), bulk(numbered(i, 3000)));
    // It lies with its owner, not with the node that was asked.
    Peer owner(owner_of(peer, key(i)));
    EXPECT_EQ(owner.ask({"GET", key(i)}), bulk(numbered(i, 3000)));
  }
  EXPECT_EQ(peer.ask({"DHT.MODE", "redirect"}), ok);
  for (std::size_t i = 0; i < 40; ++i) {
    const bool foreign = owner_of(peer, key(i)) != nodes[0]->address();
    EXPECT_EQ(peer.ask({"GET", key(i)}).starts_with("-MOVED "), foreign);
  }
  EXPECT_TRUE(peer.ask({"DHT.MODE", "somehow"}).starts_with("-ERR "));
}

TEST_P(Ring, AskingIsForOneRequest) {
  const auto nodes = start_ring(3);
  Peer peer = nodes[0]->connect();
  const auto foreign = keys_of(peer, nodes[1]->address(), 1)[0];
  EXPECT_TRUE(peer.ask({"GET", foreign}).starts_with("-MOVED "));
  EXPECT_EQ(peer.ask({"ASKING"}), ok);
  EXPECT_EQ(peer.ask({"GET", foreign}), null);
  EXPECT_TRUE(peer.ask({"GET", foreign}).starts_with("-MOVED "));
}

TEST_P(Ring, KeysOfOneRequestBelongTogether) {
  const auto nodes = start_ring(3);
  Peer peer = nodes[0]->connect();
  const auto here = keys_of(peer, nodes[0]->address(), 1)[0];
  const auto there = keys_of(peer, nodes[1]->address(), 1)[0];
  EXPECT_TRUE(peer.ask({"EXISTS", here, there}).starts_with("-CROSSSLOT "));
  const std::string tagged = "{" + here + "}";
  EXPECT_EQ(peer.ask({"EXISTS", tagged + "1", tagged + "2"}), integer(0));
}

// CLUSTER SLOTS is the ring's own ownership: every slot once, and each with
// the node to which MOVED leads.
TEST_P(Ring, SlotsCoverEverythingOnce) {
  const auto nodes = start_ring(5);
  Peer peer = nodes[0]->connect();
  const auto owners = owners_of_slots(peer);
  EXPECT_EQ(std::count(owners.begin(), owners.end(), ""), 0);
  for (std::size_t i = 0; i < 50; ++i) {
    const auto slot = static_cast<long long>(slot_of(key(i)));
    EXPECT_EQ(peer.ask({"CLUSTER", "KEYSLOT", key(i)}), integer(slot));
    EXPECT_EQ(owners[slot_of(key(i))], owner_of(peer, key(i)));
  }
  EXPECT_EQ(lines_of(decode(peer.ask({"CLUSTER", "NODES"})).text).size(), 5u);
}

/// A ring of one node of ours and one that does not answer.
class DeadHop : public RingTest {
 protected:
  void set_up(const Arguments& options, const std::string& dead) {
    node_ = start_ring(1, options, {dead})[0];
    Peer peer = node_->connect();
    keys_ = keys_of(peer, dead, 100);
  }
  Server* node_ = nullptr;
  std::vector<std::string> keys_;  // that belong to the dead one
};

/// The error that names the hop; the conversation goes on.
void expect_error(Server& node, const std::string& key,
                  const std::string& dead) {
  Peer peer = node.connect();
  const Reply reply = decode(peer.ask({"DHT.LOOKUP", key}));
  EXPECT_TRUE(reply.error()) << reply.text;
  EXPECT_NE(reply.text.find(dead), std::string::npos) << reply.text;
  EXPECT_EQ(peer.ask({"PING"}), pong);
  EXPECT_EQ(peer.ask({"DHT.MODE", "proxy"}), ok);
  EXPECT_TRUE(decode(peer.ask({"GET", key})).error());
  EXPECT_EQ(peer.ask({"PING"}), pong);
}

TEST_P(DeadHop, ASilentOneGivesAnErrorAfterItsDeadline) {
  const SilentNode silent;
  set_up({"--lookup-time", "200"}, silent.address());
  expect_error(*node_, keys_[0], silent.address());
  expect_error(*node_, keys_[1], silent.address());
}

TEST_P(DeadHop, AClosedPortGivesAnError) {
  // Bound, so that nobody else gets the port, but not listening.
  const Descriptor closed = bind_socket();
  set_up({"--lookup-time", "5000"}, address_of(closed));
  expect_error(*node_, keys_[0], address_of(closed));
}

// Others go on while one waits for the dead.
TEST_P(DeadHop, NobodyElseWaits) {
  const SilentNode silent;
  set_up({"--lookup-time", "600000"}, silent.address());
  Peer waiting = node_->connect();
  waiting.send(request({"DHT.LOOKUP", keys_[0]}) + echo_request(1, 16));
  Peer other = node_->connect();
  for (std::size_t i = 0; i < 200; ++i)
    ASSERT_EQ(other.ask({"ECHO", numbered(i, 50)}), echo_answer(i, 50));
  EXPECT_EQ(Server::figure(other, "lookups_running"), 1u);
  EXPECT_FALSE(waiting.at_end(Milliseconds(0)));
}

// Each answer lets the next lookup begin, which is refused at once: in the
// thread, and in the call, that has just brought the answer before it.
TEST_P(DeadHop, LookupsInAPipelineAreAnsweredAtTheStop) {
  constexpr std::size_t peers = 10, lookups = 5;
  const SilentNode silent;
  set_up({"--lookup-time", "600000"}, silent.address());
  std::vector<Peer> waiting;
  for (std::size_t i = 0; i < peers; ++i) {
    waiting.push_back(node_->connect());
    for (std::size_t j = 0; j < lookups; ++j)
      waiting[i].send(request({"DHT.LOOKUP", keys_[j]}));
  }
  Peer observer = node_->connect();
  ASSERT_TRUE(eventually(
      [&] { return Server::figure(observer, "lookups_running") == peers; }));
  node_->process().signal(SIGTERM);
  for (Peer& peer : waiting) {
    const std::string answers = peer.rest();
    EXPECT_EQ(std::ranges::count(answers, '-'), lookups) << answers;
  }
  EXPECT_EQ(node_->process().wait(Milliseconds(5'000)), 0);
}

// The answer comes to a conversation that is no more, and perhaps to a place
// in the table where the next one sits: it is dropped.
TEST_P(DeadHop, PeersLeaveWhileTheirLookupsRun) {
  const SilentNode silent;
  set_up({"--lookup-time", "500"}, silent.address());
  for (std::size_t i = 0; i < 50; ++i) {
    Peer peer = node_->connect();
    peer.send(request({"DHT.LOOKUP", keys_[i]}));
    if (i % 3 == 0) peer.reset();
    if (i % 3 == 1) peer.finish();
  }
  Peer next = node_->connect();
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(next.ask({"PING"}), pong);
    const auto figures = Server::figures(next);
    return figures.at("lookups_running") == "0" &&
           figures.at("connected_clients") == "1";
  }));
  EXPECT_GE(Server::figure(next, "lookups_ended"), 1u);
}

// With much behind its lookup a peer is not read any more. If it leaves, its
// kernel says so at once, and there is nothing to be done about it: the server
// must not be told again and again.
TEST_P(DeadHop, WhoLeavesBehindAFullParkMakesNoWork) {
  const SilentNode silent;
  set_up({"--lookup-time", "600000"}, silent.address());
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < 10; ++i) {
    peers.push_back(node_->connect());
    peers[i].send(request({"DHT.LOOKUP", keys_[i]}) + echo_request(0, 100'000));
  }
  Peer observer = node_->connect();
  EXPECT_TRUE(eventually(
      [&] { return Server::figure(observer, "lookups_running") == 10; }));
  for (std::size_t i = 0; i < 10; i += 2) peers[i].reset();
  peers.clear();
  if (traits()["sleeps"] == "yes") {
    EXPECT_LE(node_->cpu_time_in(Milliseconds(300)),
              at_rest(Milliseconds(300)));
  }
}

// A peer who ends its half while its lookup runs still gets the answer.
TEST_P(DeadHop, AHalfCloseWaitsForTheAnswer) {
  const SilentNode silent;
  set_up({"--lookup-time", "300"}, silent.address());
  Peer peer = node_->connect();
  peer.send(request({"DHT.LOOKUP", keys_[0]}) + request({"PING"}));
  peer.finish();
  EXPECT_TRUE(peer.reply().error());
  EXPECT_EQ(peer.rest(), pong);
}

// Behind a pending answer the server soon stops reading; nothing is lost when
// it goes on.
TEST_P(DeadHop, MuchBehindAPendingAnswerWaitsOutside) {
  const SilentNode silent;
  set_up({"--lookup-time", "1500"}, silent.address());
  const std::size_t size = 16 << 10, count = size_of(3200, 1600);
  {
    Peer other = node_->connect();  // touches what all conversations share
    exchange(other, 800, size);
  }
  const std::size_t before = node_->process().anonymous();
  Peer peer = node_->connect();
  peer.send(request({"DHT.LOOKUP", keys_[1]}));
  const std::size_t sent = send_until_blocked(peer, count, size);
  EXPECT_LT(sent, count * size) << "it was never stopped";
  EXPECT_LE(node_->process().anonymous(),
            before + (sanitized() ? 64 << 20 : 4 << 20));
  EXPECT_TRUE(peer.reply().error());
  exchange(peer, count, size, sent);
}

// Who awaits an answer is let park so much; a server whose threads sleep until
// it has come parks what came with the request, and reads no more.
TEST_P(DeadHop, WhatIsParkedKeepsItsLimit) {
  const std::size_t limit = 512 << 10;
  const SilentNode silent;
  set_up({"--lookup-time", "600000", "--parked-max", std::to_string(limit)},
         silent.address());
  Peer observer = node_->connect();
  Peer peer = node_->connect();
  peer.send(request({"DHT.LOOKUP", keys_[0]}));
  const std::string more = echo_request(0, 16 << 10);
  for (std::size_t sent = 0;
       sent < 128 * limit && peer.writable(Milliseconds(300));)
    sent += peer.send_some(more);
  std::size_t used = 0;
  const auto parked = [&] {
    used = Server::figure(observer, "buffers_used");
    return used >= limit;
  };
  EXPECT_EQ(eventually(parked, traits()["duplex"] == "yes" ? patience()
                                                           : Milliseconds(0)),
            traits()["duplex"] == "yes")
      << used;
  // A read that cannot be taken back brings more, but not all of it.
  EXPECT_LE(used, 64 * limit);
}

// Nobody reads what 400 peers have put behind their lookups, and it would be
// more than all buffers may have: the largest go, as those do who do not read.
TEST_P(DeadHop, WhatIsParkedCountsInTheLimitOfAll) {
  if (traits()["threads"] != "loops")
    GTEST_SKIP() << "a thread that sleeps until its answer comes closes nobody";
  // Who asks for the figures has a buffer too, while they are written.
  const std::size_t peers = 400, limit = 4 << 20, slack = 64 << 10;
  const SilentNode silent;
  set_up({"--lookup-time", "600000", "--buffers-max", std::to_string(limit)},
         silent.address());
  Crowd crowd;
  for (std::size_t i = 0; i < peers; ++i)
    crowd.join(node_->address()).outgoing =
        request({"DHT.LOOKUP", keys_[i % keys_.size()]}) +
        echo_request(i, 15 << 10);
  Peer observer = node_->connect();
  std::size_t used = 0, evicted = 0;
  EXPECT_TRUE(crowd.run([&] {
    used = Server::figure(observer, "buffers_used");
    evicted = Server::figure(observer, "evicted_clients");
    return used <= limit + slack &&
           evicted >= peers - (limit + slack) / (16 << 10);
  })) << used
      << " used, " << evicted << " evicted";
  EXPECT_LT(evicted, peers);
  EXPECT_EQ(observer.ask({"PING"}), pong);
}

/// Counts the questions that one connection brings, and answers none.
class Deaf {
 public:
  std::string address() const { return node_.address(); }
  int questions() const { return questions_; }

 private:
  std::atomic<int> questions_ = 0;
  const Scripted node_{[this](Peer& peer) {
    for (questions_ = 0;; ++questions_) peer.frame();
  }};
};

// duplex: the second question is put while the first one is not answered. (Who
// cannot do so may give its connection up and ask over another.)
TEST_P(DeadHop, DuplexMeansToAskWhileAnAnswerIsOwed) {
  if (traits()["duplex"] != "yes") GTEST_SKIP() << "it asks one at a time";
  Deaf deaf;
  set_up({"--lookup-time", "600000"}, deaf.address());
  Peer first = node_->connect(), second = node_->connect();
  first.send(request({"DHT.LOOKUP", keys_[0]}));
  EXPECT_TRUE(eventually([&] { return deaf.questions() == 1; }));
  second.send(request({"DHT.LOOKUP", keys_[1]}));
  EXPECT_TRUE(eventually([&] { return deaf.questions() == 2; }));
  node_->process().signal(SIGTERM);  // or the other node waits for its client
  EXPECT_EQ(node_->process().wait(), 0);
}

// A hundred lookups run, and none of them would end before ten minutes: each
// is answered with an error, then comes the FIN.
TEST_P(DeadHop, ASigtermWhileAHundredLookupsRun) {
  const SilentNode silent;
  set_up({"--lookup-time", "600000"}, silent.address());
  Crowd crowd;
  for (std::size_t i = 0; i < 100; ++i)
    crowd.join(node_->address()).outgoing =
        request({"DHT.LOOKUP", keys_[i]}) + echo_request(i, 16);
  Peer observer = node_->connect();
  EXPECT_TRUE(crowd.run(
      [&] { return Server::figure(observer, "lookups_running") == 100; }));
  observer.close();
  node_->process().signal(SIGTERM);
  EXPECT_TRUE(crowd.run([&] {
    return crowd.count([](const Member& m) { return m.open(); }) == 0;
  })) << crowd.state();
  for (std::size_t i = 0; i < 100; ++i) {
    const Member& member = *crowd.members()[i];
    EXPECT_TRUE(member.ended && !member.reset);
    const auto size = frame_size(member.incoming);
    ASSERT_TRUE(size) << printable(member.incoming);
    EXPECT_EQ(member.incoming.front(), '-');
    EXPECT_EQ(member.incoming.substr(*size), echo_answer(i, 16));
  }
  crowd.members().clear();
  EXPECT_EQ(node_->process().wait(stop_bound()), 0);
  EXPECT_EQ(node_->account().at("reset"), 0);
}

INSTANTIATE_TEST_SUITE_P(Servers, Ring, testing::ValuesIn(servers()), name_of);
INSTANTIATE_TEST_SUITE_P(Servers, DeadHop, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
