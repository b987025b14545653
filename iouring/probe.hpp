#pragma once
// Before anything is served or asked: a ring as it will be, for each loop.

#include <sys/eventfd.h>
#include <sys/resource.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "iouring/buffers.hpp"
#include "iouring/ring.hpp"
#include "net/fd.hpp"
#include "net/probe.hpp"

namespace iouring {

/// A ring as it will be. Throws std::system_error.
class TrialRing {
 public:
  TrialRing(const Needs& needs, const net::Trial& trial) {
    trial.about_to("io_uring_setup");
    ring_.emplace(needs.entries, needs.completions, true);
    trial.about_to("io_uring_register");
    expect_operations();
    if (needs.buffers)
      buffers_.emplace(needs.buffers, needs.buffer_size).lend(*ring_->get());
    trial.about_to("io_uring_enter");
    expect_requests(needs.buffers != 0);
  }

 private:
  // Of those that a trace has a name for, which are all that we ask for.
  void expect_operations() {
    constexpr unsigned most = 256;  // an operation is a byte
    // The first, and behind it room for what the kernel says of each.
    std::vector<io_uring_probe> known(1 + most);
    const int error =
        ::io_uring_register_probe(ring_->get(), known.data(), most);
    if (error < 0) net::fail(-error, "io_uring_register");
    for (int i = 0; i < static_cast<int>(most); ++i)
      if (std::string(name_of(i)) != "other" &&
          !::io_uring_opcode_supported(known.data(), i))
        net::fail(EINVAL, name_of(i));
  }

  // Flags cannot be asked for. A kernel that knows them says that this is no
  // socket (ENOTSOCK), or not found (ENOENT); one that does not, EINVAL.
  void expect_requests(bool that_stay) {
    const net::Fd no_socket(::eventfd(0, EFD_CLOEXEC));
    if (that_stay) {
      ::io_uring_prep_multishot_accept(ring_->entry(Asked::accept, 0),
                                       no_socket.get(), nullptr, nullptr, 0);
      io_uring_sqe* const entry = ring_->entry(Asked::receive, 0);
      ::io_uring_prep_recv_multishot(entry, no_socket.get(), nullptr, 0, 0);
      entry->flags |= IOSQE_BUFFER_SELECT;
      entry->buf_group = Buffers::group;
    }
    ::io_uring_prep_cancel_fd(ring_->entry(Asked::cancel, 0), no_socket.get(),
                              IORING_ASYNC_CANCEL_ALL);
    bool known = true;
    ring_->finish([&](Asked, std::uint64_t, const io_uring_cqe& cqe) {
      known = known && cqe.res != -EINVAL;
    });
    if (!known) net::fail(EINVAL, "io_uring_enter");
  }

  std::optional<Buffers> buffers_;  // stay longer than the ring
  std::optional<Ring> ring_;
};

/// Those of a server's loop, by the rows of its options.
inline Needs needs_of(const net::Options& options) {
  const auto row = [&](const char* name) {
    return static_cast<unsigned>(options[name]);
  };
  return {row("entries"), row("completions"), row("buffers"),
          row("buffer-size")};
}

/// What to do about it, in words.
inline std::string remedy(int error, const Needs& needs, std::uint64_t locked) {
  if (error == EPERM || error == ENOSYS || error == EACCES)
    return "allow it (container: --security-opt seccomp=unconfined; host: "
           "sysctl kernel.io_uring_disabled=0) or run another model";
  if (error == EINVAL)
    return std::string("needs Linux ") + (needs.buffers ? "6.0" : "5.19");
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (error != ENOMEM || limit.rlim_cur == RLIM_INFINITY)
    return "ask for less (--buffers, --completions) or run another model";
  const auto kib = [](std::uint64_t n) { return std::to_string(n / 1024); };
  return "it locks " + kib(locked) + " KiB, and all processes of this user " +
         "together may lock " + kib(limit.rlim_cur) +
         ": raise that (ulimit -l " + kib(locked) + ") or run another model";
}

/// For so many loops. Empty if they can be had here, else one line: what was
/// refused, and the remedy.
inline std::string probe(const Needs& needs, unsigned loops,
                         net::Trial& trial) {
  if (trial.counting) {
    trial.locked += loops * needs.locked();
    return {};
  }
  try {
    for (unsigned i = 0; i < loops; ++i)
      trial.held.push_back(std::make_shared<TrialRing>(needs, trial));
    return {};
  } catch (const std::system_error& error) {
    return std::string("io_uring is not to be had here: ") + error.what() +
           ": " + remedy(error.code().value(), needs, trial.locked);
  }
}

}  // namespace iouring
