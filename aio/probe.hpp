#pragma once
// Before anything is served: may so many signals be waiting at once?

#include <sys/resource.h>

#include <cstdint>
#include <string>

#include "net/model.hpp"
#include "net/probe.hpp"

namespace aio {

/// To as many signals as this user may have in queues. Returns how many.
inline std::uint64_t raise_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_SIGPENDING, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_SIGPENDING, &limit);
  return limit.rlim_max;
}

/// One for each request that can be out, so that the queue is not full as long
/// as no other process of this user fills it.
inline std::string probe(const net::Options& options, net::Trial&) {
  const std::uint64_t wanted = options["aio-threads"], most = raise_limit();
  if (most >= wanted) return {};
  return std::to_string(wanted) + " signals may be in the queue at once, and " +
         std::to_string(most) +
         " are allowed: raise that (ulimit -i) or lower --aio-threads";
}

}  // namespace aio
