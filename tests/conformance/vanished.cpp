// Nodes that go without a word and come back, and nodes that were not looked
// at: a lookup fails while its hop is away, and never for longer.

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/ring.hpp"

namespace conformance {
namespace {

/// A socket that is bound to this very address, whoever is still connected to
/// it.
Descriptor bind_anew(const std::string& address) {
  const auto colon = address.rfind(':');
  Descriptor made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &four.sin_addr);
  if (::bind(made.get(), reinterpret_cast<sockaddr*>(&four), sizeof four) != 0)
    throw Trouble(address + " cannot be bound");
  return made;
}

/// On return it is stopped.
void stop(Server& server) {
  server.process().signal(SIGSTOP);
  siginfo_t state{};
  ::waitid(P_PID, static_cast<id_t>(server.process().pid()), &state, WSTOPPED);
}

class Vanished : public RingTest {
 protected:
  static constexpr int lookup_time = 300;  // ms
  static Arguments options() {
    return {"--lookup-time", std::to_string(lookup_time)};
  }

  /// A ring of one node of ours and another at this address.
  void set_up(const std::string& other) {
    other_ = other;
    node_ = start_ring(1, options(), {other})[0];
    Peer peer = node_->connect();
    key_ = keys_of(peer, other, 1)[0];
  }
  /// A node of ours takes the place of the other.
  void come_back(Descriptor socket) {
    Arguments all = options();
    all.insert(all.end(), {"--ring", other_ + "," + node_->address()});
    launch(GetParam(), all, std::move(socket)).await_ready();
  }
  bool look_up_once() {
    return !decode(node_->ask({"DHT.LOOKUP", key_})).error();
  }
  /// Each of them takes at most the lookup's time.
  int failures_before_success() {
    int failures = 0;
    while (failures < 6 && !look_up_once()) ++failures;
    return failures;
  }

  Server* node_ = nullptr;
  std::string other_, key_;
};

// Its kernel takes connections and data, and nobody answers: then another
// machine stands at its address, and the old connection is open for ever.
TEST_P(Vanished, ANodeIsFoundAtItsAddressWhateverBecameOfTheOldConnection) {
  Descriptor socket = bind_socket();
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::listen(socket.get(), 100);
  set_up(address_of(socket));
  EXPECT_FALSE(look_up_once());
  const Descriptor old(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_GE(old.get(), 0);
  socket.close();
  come_back(bind_anew(other_));
  EXPECT_LE(failures_before_success(), 2);
}

// SYN upon SYN into the void, each twice as late as the one before: TCP alone
// would notice only seconds later that somebody is there again.
TEST_P(Vanished, AConnectionThatIsNeverMadeDoesNotStandInTheWay) {
  Descriptor socket = bind_socket();
  ::listen(socket.get(), 0);
  const std::string address = address_of(socket);
  const Peer first(address);  // fills the queue: for all others it is a void
  set_up(address);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(look_up_once());
  come_back(std::move(socket));
  // At most what was begun before stands in the way.
  EXPECT_LE(failures_before_success(), 1);
}

TEST_P(Vanished, AStoppedNodeThatGoesOnIsAskedAgain) {
  const auto nodes = start_ring(2, options());
  Peer peer = nodes[0]->connect();
  const auto keys = keys_of(peer, nodes[1]->address(), 1);
  EXPECT_EQ(look_up(peer, keys[0]).addresses.back(), nodes[1]->address());
  stop(*nodes[1]);
  for (int i = 0; i < 3; ++i) {
    const Reply reply = decode(peer.ask({"DHT.LOOKUP", keys[0]}));
    EXPECT_TRUE(reply.error());
    EXPECT_NE(reply.text.find(nodes[1]->address()), std::string::npos)
        << reply.text;
  }
  nodes[1]->process().signal(SIGCONT);
  node_ = nodes[0];
  key_ = keys[0];
  EXPECT_LE(failures_before_success(), 2);
}

/// Plays many nodes, each at an address of its own, with one socket that
/// listens to all of them. A node that is asked for a key of its own keeps the
/// answer until release(); any other names the owner.
class Elsewhere {
 public:
  explicit Elsewhere(unsigned count) : listener_(bind_socket("0.0.0.0")) {
    const std::string any = address_of(listener_);
    for (unsigned i = 1; i <= count; ++i)
      addresses_.push_back("127.1." + std::to_string(i / 200) + "." +
                           std::to_string(i % 200 + 1) +
                           any.substr(any.rfind(':')));
    // Of this machine alone: no other interface is meant.
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2);
    ::listen(listener_.get(), 1000);
    ::fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    thread_ = std::thread([this] { play(); });
  }
  ~Elsewhere() {
    over_ = true;
    thread_.join();
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

  const std::vector<std::string>& addresses() const { return addresses_; }

  /// Where a key's identifier lies: before it is asked for.
  void place(const std::string& key_id, const std::string& owner_id,
             const std::string& address) {
    const std::lock_guard lock(mutex_);
    owners_[key_id] = {owner_id, address};
  }
  std::size_t kept() {
    const std::lock_guard lock(mutex_);
    return kept_.size();
  }
  /// On return every answer lies with its receiver's kernel.
  void release() {
    const std::lock_guard lock(mutex_);
    for (const auto& [socket, answer] : kept_)
      ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
    kept_.clear();
  }

 private:
  struct Conversation {
    Descriptor socket;
    std::string address, unread;
  };

  void play() {
    while (!over_) {
      std::vector<pollfd> all{{listener_.get(), POLLIN, 0}};
      for (const auto& c : conversations_)
        all.push_back({c.socket.get(), POLLIN, 0});
      ::poll(all.data(), all.size(), 20);
      for (std::size_t i = 1; i < all.size(); ++i)
        if (all[i].revents) listen(conversations_[i - 1]);
      if (all[0].revents) accept();
    }
  }
  void accept() {
    for (;;) {
      Descriptor socket(
          ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (socket.get() < 0) return;
      const std::string address = address_of(socket);
      conversations_.push_back({std::move(socket), address, ""});
    }
  }
  void listen(Conversation& c) {
    char room[4096];
    const ssize_t n = ::recv(c.socket.get(), room, sizeof room, MSG_DONTWAIT);
    if (n == 0) c.socket.close();  // poll(2) passes over it
    if (n > 0) c.unread.append(room, static_cast<std::size_t>(n));
    while (const auto size = frame_size(c.unread)) {
      const Reply words = decode(c.unread.substr(0, *size));
      c.unread.erase(0, *size);
      answer(c, words.items.at(2).text);  // of DHT.NEXT ID <key>
    }
  }
  void answer(Conversation& c, const std::string& key_id) {
    const std::lock_guard lock(mutex_);
    const auto& [id, address] = owners_.at(key_id);
    const bool here = address == c.address;
    const std::string step = request(
        {here ? "here" : "forward", id, address, here ? "owner" : "finger 1"});
    if (here) return kept_.emplace_back(c.socket.get(), step), void();
    ::send(c.socket.get(), step.data(), step.size(), MSG_NOSIGNAL);
  }

  Descriptor listener_;
  std::vector<std::string> addresses_;
  std::vector<Conversation> conversations_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, std::pair<std::string, std::string>> owners_;
  std::vector<std::pair<int, std::string>> kept_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

/// The identifier of a slot's keys: the slot as its top 14 bits.
std::string id_of_slot(std::size_t slot) {
  char digits[41];
  std::snprintf(digits, sizeof digits, "%04zx%036d", slot << 2, 0);
  return digits;
}

/// A node of ours in a ring with them.
class Among : public Vanished {
 protected:
  Server& start_among(const Elsewhere& others, Milliseconds hop_time) {
    Descriptor socket = bind_socket();
    std::string list = address_of(socket);
    for (const auto& address : others.addresses()) list += "," + address;
    return start(
        GetParam(),
        {"--ring", list, "--lookup-time", std::to_string(hop_time.count())},
        std::move(socket));
  }
  /// One lookup for each of the others that is nobody's next hop: who keeps an
  /// answer could not name an owner behind it.
  static void ask_for_all(Server& node, Elsewhere& others, Crowd& crowd) {
    Peer peer = node.connect();
    const auto owners = owners_of_slots(peer);
    std::set<std::string> passed_over{node.address()};
    for (const Reply& row : decode(peer.ask({"DHT.TABLE"})).items)
      passed_over.insert(row.items.at(3).text);
    for (int i = 0; i < 10'000; ++i) {
      const std::string key = "key:" + std::to_string(i);
      const std::size_t slot = slot_of(key);
      if (!passed_over.insert(owners[slot]).second) continue;
      const Reply owner = decode(peer.ask({"DHT.OWNER", key}));
      others.place(id_of_slot(slot), owner.items.at(0).text, owners[slot]);
      crowd.join(node.address()).outgoing = request({"DHT.LOOKUP", key});
    }
  }
};

// More nodes than any wait brings at once have answered while we were stopped,
// and by our clock all of them are late: none of them is called so.
TEST_P(Among, NobodyIsLateWhoseAnswerHasComeWhileWeWereStopped) {
  const Milliseconds hop_time(size_of(1500, 3000));
  Elsewhere others(330);
  Server& node = start_among(others, hop_time);
  Crowd crowd;
  ask_for_all(node, others, crowd);
  const std::size_t lookups = crowd.members().size();
  ASSERT_GT(lookups, 256u);
  ASSERT_TRUE(crowd.run([&] { return others.kept() == lookups; }))
      << others.kept() << " of " << lookups << crowd.state();
  stop(node);
  others.release();
  std::this_thread::sleep_for(hop_time + Milliseconds(100));
  node.process().signal(SIGCONT);
  EXPECT_TRUE(crowd.run([&] {
    return crowd.count([](const Member& member) {
      return frames_of(member.incoming).count == 1;
    }) == lookups;
  }));
  EXPECT_EQ(crowd.count([](const Member& member) {
    return member.incoming.starts_with("*");
  }),
            lookups)
      << crowd.state();
}

INSTANTIATE_TEST_SUITE_P(Servers, Among, testing::ValuesIn(servers()), name_of);
INSTANTIATE_TEST_SUITE_P(Servers, Vanished, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
