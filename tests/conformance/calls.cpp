// System calls per request: as few as the variant says is ideal, and counted
// as an outside tracer counts them.

#include <cstdlib>
#include <functional>

#include "tests/conformance/tracer.hpp"

namespace conformance {
namespace {

class Calls : public ServerTest {};

/// The numbers of INFO behind a prefix: "syscall_" or "ideal_".
std::map<std::string, double> numbers(Peer& peer, const std::string& prefix) {
  std::map<std::string, double> found;
  for (const auto& [name, value] : Server::figures(peer, "syscalls"))
    if (name.starts_with(prefix))
      found[name.substr(prefix.size())] = std::strtod(value.c_str(), nullptr);
  if (found.empty()) throw Trouble("INFO syscalls names no " + prefix);
  return found;
}

using Before = std::function<void()>;

void talk(Peer& peer, std::size_t count, const Before& before = [] {}) {
  for (std::size_t i = 0; i < count; ++i) {
    before();
    ASSERT_EQ(peer.ask({"ECHO", "hello"}), bulk("hello"));
  }
}

TEST_P(Calls, PerRequestAreTheIdeal) {
  Server& server = start();
  Peer peer = server.connect();
  // A request that comes while the server is still busy with the last one would
  // save it a call.
  const Before it_sleeps = [&] {
    if (traits()["sleeps"] == "no") return;
    EXPECT_TRUE(eventually([&] { return server.process().asleep(); }));
  };
  const std::size_t count = 1000;
  talk(peer, 10, it_sleeps);
  const auto before = numbers(peer, "syscall_");
  talk(peer, count - 1, it_sleeps);
  auto after = numbers(peer, "syscall_");  // the last of the requests
  const auto ideal = numbers(peer, "ideal_");
  for (const auto& [name, per_request] : ideal)
    ASSERT_TRUE(after.contains(name)) << name << " is not counted";
  for (const auto& [name, calls] : after) {
    const auto old = before.find(name);
    const double made = calls - (old == before.end() ? 0 : old->second);
    const auto wanted = ideal.find(name);
    EXPECT_NEAR(made / static_cast<double>(count),
                wanted == ideal.end() ? 0 : wanted->second, 0.02)
        << name;
  }
}

/// How the kernel names what the C library offers.
std::string kernel_name(const std::string& name) {
  if (name == "recv") return "recvfrom";
  if (name == "send") return "sendto";
  return name;
}

TEST_P(Calls, ATracerCountsTheSame) {
  if (!Tracer::obstacle().empty()) GTEST_SKIP() << Tracer::obstacle();
  Server& server = start();
  Peer peer = server.connect();
  talk(peer, 10);
  const auto before = numbers(peer, "syscall_");
  Tracer tracer(server, {"-c"});
  talk(peer, 300);
  const auto counted = counts_of(tracer.finish());
  const auto after = numbers(peer, "syscall_");
  const auto ideal = numbers(peer, "ideal_");
  for (const auto& [name, calls] : after) {
    const auto old = before.find(name);
    const double own = calls - (old == before.end() ? 0 : old->second);
    const auto traced = counted.find(kernel_name(name));
    // INFO itself, asked outside the tracer's time, and the calls that were
    // interrupted when it came and went.
    EXPECT_NEAR(own, traced == counted.end() ? 0.0 : traced->second, 8) << name;
  }
  for (const auto& [name, per_request] : ideal) {
    EXPECT_TRUE(per_request < 0.5 || counted.contains(kernel_name(name)))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Calls, testing::ValuesIn(servers()), name_of);

}  // namespace
}  // namespace conformance
