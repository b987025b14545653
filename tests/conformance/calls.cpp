// System calls per request: as few as the variant says is ideal, and counted
// as an outside tracer counts them.

#include <cstdlib>
#include <functional>

#include "tests/conformance/tracer.hpp"

namespace conformance {
namespace {

class Calls : public ServerTest {
 protected:
  /// A node has to say what is ideal; others are held to it if they do.
  bool says_nothing(Peer& peer) {
    if (held_to(Level::ring)) return false;
    for (const auto& [name, value] : Server::figures(peer, "syscalls"))
      if (name.starts_with("ideal_")) return false;
    return true;
  }
};

/// The numbers of INFO behind a prefix: "syscall_", "library_" (calls of the C
/// library that are none of the kernel's), "ideal_", "least_" or "unseen_".
std::map<std::string, double> numbers(Peer& peer, const std::string& prefix) {
  std::map<std::string, double> found;
  for (const auto& [name, value] : Server::figures(peer, "syscalls"))
    if (name.starts_with(prefix))
      found[name.substr(prefix.size())] = std::strtod(value.c_str(), nullptr);
  return found;
}

std::map<std::string, double> all_calls(Peer& peer) {
  auto calls = numbers(peer, "syscall_");
  for (const auto& [name, count] : numbers(peer, "library_"))
    calls[name] += count;
  return calls;
}

using Before = std::function<void()>;

void talk(Peer& peer, std::size_t count, const Before& before = [] {}) {
  for (std::size_t i = 0; i < count; ++i) {
    before();
    ASSERT_EQ(peer.ask({"ECHO", "hello"}), bulk("hello"));
  }
}

/// What a request takes of each call; and of some at least that, since a server
/// that asks again and again does so in vain most of the time. Those that the C
/// library makes in threads of its own are unseen by the server.
struct Ideal {
  std::map<std::string, double> exact, least, unseen;

  explicit Ideal(Peer& peer)
      : exact(numbers(peer, "ideal_")),
        least(numbers(peer, "least_")),
        unseen(numbers(peer, "unseen_")) {
    if (exact.empty()) throw Trouble("INFO syscalls names no ideal_");
  }
  double of(const std::string& name) const {
    return exact.contains(name) ? exact.at(name) : in(least, name);
  }
  double unseen_of(const std::string& name) const { return in(unseen, name); }

 private:
  static double in(const std::map<std::string, double>& calls,
                   const std::string& name) {
    const auto found = calls.find(name);
    return found == calls.end() ? 0 : found->second;
  }
};

TEST_P(Calls, PerRequestAreTheIdeal) {
  Server& server = start();
  Peer peer = server.connect();
  if (says_nothing(peer)) GTEST_SKIP() << "it names no ideal";
  // A request that comes while the server is still busy with the last one would
  // save it a call.
  const Before it_sleeps = [&] {
    if (!sleeps()) return;
    EXPECT_TRUE(eventually([&] { return server.process().asleep(); }));
  };
  const std::size_t count = 1000;
  talk(peer, 10, it_sleeps);
  const auto before = all_calls(peer);
  talk(peer, count - 1, it_sleeps);
  const auto after = all_calls(peer);  // the last of the requests
  const Ideal ideal(peer);
  for (const auto& [name, per_request] : ideal.exact)
    ASSERT_TRUE(after.contains(name)) << name << " is not counted";
  for (const auto& [name, calls] : after) {
    const auto old = before.find(name);
    const double made = calls - (old == before.end() ? 0 : old->second);
    const double each = made / static_cast<double>(count);
    if (ideal.least.contains(name))
      EXPECT_GE(each, ideal.of(name) - 0.02) << name;
    else
      EXPECT_NEAR(each, ideal.of(name), 0.02) << name;
  }
}

/// How the kernel names what the C library offers, or makes of it.
std::string kernel_name(const std::string& name) {
  if (name == "recv") return "recvfrom";
  if (name == "send") return "sendto";
  if (name == "select" || name == "pselect") return "pselect6";
  if (name == "nanosleep") return "clock_nanosleep";
  if (name == "sigtimedwait") return "rt_sigtimedwait";
  if (name == "signalfd") return "signalfd4";
  return name;
}

TEST_P(Calls, ATracerCountsTheSame) {
  if (!Tracer::obstacle().empty()) GTEST_SKIP() << Tracer::obstacle();
  Server& server = start();
  Peer peer = server.connect();
  if (says_nothing(peer)) GTEST_SKIP() << "it names no ideal";
  talk(peer, 10);
  const auto before = numbers(peer, "syscall_");
  Tracer tracer(server, {"-c"});
  constexpr std::size_t count = 300;
  talk(peer, count);
  const auto counted = counts_of(tracer.finish(sleeps()));
  const auto threads = static_cast<double>(server.process().threads());
  auto after = numbers(peer, "syscall_");
  const Ideal ideal(peer);
  for (const auto& [name, _] : ideal.unseen) after.try_emplace(name, 0);
  for (const auto& [name, calls] : after) {
    const auto old = before.find(name);
    const double own = calls - (old == before.end() ? 0 : old->second) +
                       count * ideal.unseen_of(name);
    const auto found = counted.find(kernel_name(name));
    const double traced = found == counted.end() ? 0.0 : found->second;
    // INFO itself, asked outside the tracer's time, and the call of each thread
    // that was interrupted when it came and went. (Who asks again and again
    // does so outside that time as well.)
    const double outside = 4 + 2 * threads;
    if (ideal.least.contains(name))
      EXPECT_GE(own, traced - outside) << name;
    else
      EXPECT_NEAR(own, traced, outside) << name;
    EXPECT_TRUE(ideal.of(name) < 0.5 || found != counted.end()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Calls, testing::ValuesIn(servers()), name_of);

}  // namespace
}  // namespace conformance
