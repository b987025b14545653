#pragma once
// What a ring needs, and the buffers that the kernel fills, which liburing 2.3
// (Debian 12's) leaves to its users.

#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "net/error.hpp"
#include "net/probe.hpp"

namespace iouring {

/// What one loop, or one client, asks the kernel for.
struct Needs {
  unsigned entries, completions;
  unsigned buffers = 0, buffer_size = 0;  // 0: no requests that stay

  /// Bytes of the queues and of the list of buffers: what RLIMIT_MEMLOCK counts
  /// (before Linux 5.12, and again today).
  std::uint64_t locked() const {
    constexpr std::uint64_t page = 4096, head = 64;  // of both queues
    const auto whole = [](std::uint64_t n) { return (n + page - 1) / page; };
    const std::uint64_t sent = std::bit_ceil(entries);
    const std::uint64_t done = std::bit_ceil(std::max(entries, completions));
    return page *
           (whole(head + done * sizeof(io_uring_cqe) + sent * 4) +
            whole(sent * sizeof(io_uring_sqe)) +
            (buffers ? whole(std::bit_ceil(buffers) * sizeof(io_uring_buf))
                     : 0));
  }
};

/// Buffers that belong to the kernel until it names one in a completion: an
/// idle peer needs none. (liburing has io_uring_setup_buf_ring() from 2.4 on.)
class Buffers {
 public:
  static constexpr int group = 0;

  /// `count` is rounded up to a power of two, at most 32768. Throws
  /// std::system_error.
  Buffers(unsigned count, unsigned size)
      : count_(std::bit_ceil(count)), size_(size) {
    // Zero pages of the kernel's until they are used.
    memory_ = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) net::fail(errno, "mmap");
    ::io_uring_buf_ring_init(queue());
    for (unsigned i = 0; i < count_; ++i) give_back(i);
  }
  ~Buffers() { ::munmap(memory_, bytes()); }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  /// All of them, to a ring that ends before they do: until then its requests
  /// may fill them. Throws std::system_error.
  void lend(io_uring& ring) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory_);
    registration.ring_entries = count_;
    registration.bgid = group;
    const int error = net::patiently(
        [&] { return ::io_uring_register_buf_ring(&ring, &registration, 0); });
    if (error < 0) net::fail(-error, "io_uring_register_buf_ring");
  }

  std::span<const std::byte> bytes(unsigned buffer, std::size_t used) const {
    return {at(buffer), used};
  }
  /// The kernel may fill it again at once.
  void give_back(unsigned buffer) {
    ::io_uring_buf_ring_add(queue(), at(buffer), size_,
                            static_cast<unsigned short>(buffer),
                            ::io_uring_buf_ring_mask(count_), 0);
    ::io_uring_buf_ring_advance(queue(), 1);
  }

 private:
  io_uring_buf_ring* queue() const {
    return static_cast<io_uring_buf_ring*>(memory_);
  }
  std::size_t bytes_of_ring() const {
    constexpr std::size_t page = 4096;
    return (count_ * sizeof(io_uring_buf) + page - 1) / page * page;
  }
  std::size_t bytes() const {
    return bytes_of_ring() + std::size_t{count_} * size_;
  }
  std::byte* at(unsigned buffer) const {
    return static_cast<std::byte*>(memory_) + bytes_of_ring() +
           std::size_t{buffer} * size_;
  }

  const unsigned count_, size_;
  void* memory_;
};

}  // namespace iouring
