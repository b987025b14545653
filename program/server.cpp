// # The server's program
//
// Puts the parts together: the options, a host (host.hpp: one thread for every
// loop of the model, signals, the stop) and an application (dht_node.hpp: what
// is answered). The main thread sleeps until a signal comes; all other threads
// have every signal blocked, so none of them is ever interrupted.

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>

#include "net/probe.hpp"
#include "net/timeline.hpp"
#include "program/dht_node.hpp"
#include "program/host.hpp"
#include "program/options.hpp"
#include "program/prepare.hpp"

namespace {

using program::ServerOptions;

constexpr int failed_code = 1;
constexpr int skipped_code = 77;  // the model cannot run here

/// Descriptors that are no peer's: a loop's listener, reserve, bell and what
/// its model waits with; the same of the client, and its connections to the
/// other nodes; the standard streams, the trace, what is inherited or opened
/// for a moment.
std::uint64_t descriptors_of_our_own(const ServerOptions& options) {
  constexpr std::uint64_t process = 28, loop = 4, client = 4;
  const std::uint64_t nodes = options.ring.size();
  return process + loop * program::Host::loops_of(options.net) +
         (nodes ? client + nodes : 0);
}

/// A peer is a descriptor, of which `descriptors` may be had.
std::uint64_t clients_most(std::uint64_t descriptors,
                           const ServerOptions& options) {
  const std::uint64_t ours = descriptors_of_our_own(options);
  return descriptors > 2 * ours ? descriptors - ours : descriptors / 2;
}

std::string concurrent(const ServerOptions& options) {
  const net::Traits& traits = model::server.traits;
  if (traits.descriptors)
    return std::to_string(clients_most(traits.descriptors, options));
  if (traits.concurrent_by)
    return std::to_string(options.net[traits.concurrent_by]);
  return traits.concurrent == std::string_view("threads")
             ? std::to_string(options.net.threads)
             : traits.concurrent;
}

bool sleeps(const ServerOptions& options) {
  const net::Traits& traits = model::server.traits;
  return traits.sleeps ||
         (traits.sleeps_by && options.net[traits.sleeps_by] > 0);
}

/// A server never waits for a reply: duplex is said of the client by which it
/// asks other nodes.
void print_traits(const net::Model& model, const net::Model& client,
                  const ServerOptions& options) {
  const net::Traits& traits = model.traits;
  const auto word = [](bool promised) { return promised ? "yes" : "no"; };
  std::printf(
      "model=%s\nvariant=%s\nconcurrent=%s\nfull=%s\nsleeps=%s\n"
      "threads=%s\nduplex=%s\nstore=%s\nlimits=%s\nring=%s\n",
      model.name, model.variant, concurrent(options).c_str(), traits.full,
      word(sleeps(options)), traits.threads, word(client.traits.duplex),
      word(traits.store), word(traits.limits), word(traits.ring));
}

/// As many descriptors as we may have. Returns how many the model can watch.
std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t watched = model::server.traits.descriptors;
  return watched ? std::min(watched, limit.rlim_cur) : limit.rlim_cur;
}

std::string refusal(const ServerOptions& options) {
  if (options.ring.size() > 1)
    return net::refusal({&model::server, &model::client}, options.net);
  return net::refusal({&model::server}, options.net);
}

int serve(ServerOptions options) {
  const std::uint64_t descriptors = raise_descriptor_limit();
  if (options.net.clients_max == 0)
    options.net.clients_max = clients_most(descriptors, options);
  if (const char* const row = model::server.traits.concurrent_by)
    options.net.clients_max =
        std::min(options.net.clients_max, options.net[row]);
  program::Host::block_all_signals();
  if (const std::string why = refusal(options); !why.empty()) {
    std::fprintf(stderr, "%s\n", why.c_str());
    return skipped_code;
  }
  if (!options.trace.empty()) net::trace::to(options.trace);
  options.net.listen_fd = program::keep_off_streams(options.net.listen_fd);
  program::Host host(options.net);
  program::DhtNode node(options, host);
  const bool served = host.run(node);
  std::fprintf(stderr, "%s\n",
               program::summary(model::server, host.clients()).c_str());
  const bool traced = net::trace::write();
  if (!traced)
    std::fprintf(stderr, "%s: cannot be written\n", options.trace.c_str());
  return served && traced ? 0 : failed_code;
}

}  // namespace

int main(int count, char** words) {
  try {
    program::prepare();
    auto options = program::parse_server({words + 1, words + count},
                                         model::server, model::client);
    if (!options) return program::print(options.error());
    if (!options->traits) return serve(*std::move(options));
    print_traits(model::server, model::client, *options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return failed_code;
  }
}
