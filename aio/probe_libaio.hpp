#pragma once
// Before anything is served or asked: a context as it will be, for each loop.

#include <sys/eventfd.h>

#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "aio/ring_libaio.hpp"
#include "net/fd.hpp"
#include "net/probe.hpp"

namespace libaio {

/// What a client begins with.
constexpr unsigned slots_of_client = 256;
/// What a loop begins with, at most: enough for some 500 peers.
inline unsigned slots_at_first(std::uint64_t most) {
  return static_cast<unsigned>(std::min<std::uint64_t>(most, 1024));
}

/// A context as it will be. Throws std::system_error.
class TrialRing {
 public:
  TrialRing(unsigned slots, const net::Trial& trial) : bell_(::eventfd(1, 0)) {
    trial.about_to("io_setup");
    ring_.emplace(slots, false);  // so that io_getevents(2) is called, too
    trial.about_to("io_submit");
    ring_->note(Asked::bell, 0);
    const auto done = [](Asked, std::uint64_t, long result) {
      if (result < 0) net::fail(static_cast<int>(-result), "io_submit");
    };
    ring_->submit(
        [this](Asked, std::uint64_t, iocb* entry) {
          ::io_prep_poll(entry, bell_.get(), POLLIN);
          return true;
        },
        done);
    trial.about_to("io_getevents");
    ring_->wait(nullptr);
    ring_->take(done);
    trial.about_to("io_cancel");  // of nothing
    if (const int error = ring_->cancel(); error != -EINVAL)
      net::fail(-error, "io_cancel");
  }

 private:
  const net::Fd bell_;
  std::optional<Ring> ring_;
};

/// What to do about it, in words.
inline std::string remedy(int error) {
  if (error == EINVAL) return "needs Linux 4.18";
  if (error != EAGAIN)
    return "allow it (container: --security-opt seccomp=unconfined) or run "
           "another model";
  const auto read = [](const char* name) {
    std::string number = "?";
    std::ifstream(std::string("/proc/sys/fs/") + name) >> number;
    return number;
  };
  return "the programs of this machine have " + read("aio-nr") + " slots of " +
         read("aio-max-nr") +
         ": raise that (sysctl fs.aio-max-nr=1048576), ask for less (--slots) "
         "or run another model";
}

/// For so many contexts of so many slots. Empty if they can be had here, else
/// one line: what was refused, and the remedy.
inline std::string probe(unsigned slots, unsigned contexts, net::Trial& trial) {
  if (trial.counting) return {};
  try {
    for (unsigned i = 0; i < contexts; ++i)
      trial.held.push_back(std::make_shared<TrialRing>(slots, trial));
    return {};
  } catch (const std::system_error& error) {
    return std::string("libaio is not to be had here: ") + error.what() + ": " +
           remedy(error.code().value());
  }
}

/// Of a server's loops.
inline std::string probe_server(const net::Options& options,
                                net::Trial& trial) {
  return probe(slots_at_first(options["slots"]), options.threads, trial);
}

}  // namespace libaio
