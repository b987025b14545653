#pragma once
// Peers that ask for more than they read: what a server must not keep for them
// without bound.

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "bench/load/workload.hpp"
#include "net/fd.hpp"

namespace load {

/// So many connections in a thread of their own. Each has as many ECHOs of
/// 64 KiB under way as the sockets' buffers take, and reads a kilobyte every
/// 100 ms. What it reads is compared byte by byte.
class SlowReaders {
 public:
  /// Connects all. `address` as net::parse_address() takes it. Throws
  /// std::system_error if one cannot.
  SlowReaders(const std::string& address, std::uint32_t count,
              Answers from = Answers::server);
  ~SlowReaders();
  SlowReaders(const SlowReaders&) = delete;
  SlowReaders& operator=(const SlowReaders&) = delete;

  /// How many bytes they have read, and compared.
  std::uint64_t compared() const { return compared_; }
  /// What went wrong, "" if nothing: a wrong byte. That the server ends the
  /// conversation of one who does not read is its right.
  std::string fault() const;
  /// How many the server has ended.
  std::uint32_t ended() const { return ended_; }

 private:
  struct Reader {
    net::Fd socket;
    std::size_t written = 0, read = 0;
  };
  void run();
  bool write(Reader& reader);
  bool read(Reader& reader);

  std::string request_, reply_;
  std::vector<Reader> readers_;
  std::atomic<std::uint64_t> compared_ = 0;
  std::atomic<std::uint32_t> ended_ = 0;
  std::atomic<bool> wrong_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace load
