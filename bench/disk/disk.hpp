#pragma once
// A file whose every word says where it stands, and in which order its blocks
// are read: what all ways of reading have in common.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "net/error.hpp"

namespace disk {

inline constexpr int skipped_code = 77;

/// The word that stands at this offset, which is a multiple of eight.
inline std::uint64_t word_at(std::uint64_t offset) {
  return offset * 0x9e3779b97f4a7c15;
}

/// It cannot be tried here: says why, and ends.
[[noreturn]] inline void skip(const char* call, int error) {
  std::fprintf(stderr, "%s: %s\n", call, net::describe(error).c_str());
  std::exit(skipped_code);
}

struct Free {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};
using Room = std::unique_ptr<std::byte, Free>;
/// So many bytes, aligned as O_DIRECT wants it. Throws std::bad_alloc.
inline Room make_room(std::size_t size) {
  Room room(static_cast<std::byte*>(std::aligned_alloc(4096, size)));
  return room ? std::move(room) : throw std::bad_alloc();
}

/// What is to be read.
struct Task {
  std::span<const int> files;  // descriptors of one file, each opened by itself
  std::uint64_t blocks;        // that the file has
  std::size_t block;           // bytes of one
  std::uint64_t reads;         // how many
  unsigned depth;              // so many on their way at a time
  bool random;

  /// Where the read of this number begins: one block after the other, or all
  /// over the file, and always in the same order.
  std::uint64_t offset(std::uint64_t number) const {
    if (!random) return number % blocks * block;
    std::uint64_t x = number * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 29)) * 0x94d049bb133111eb;
    return (x >> 32) % blocks * block;
  }

  /// Ends the program if these are not the bytes of that read.
  void check(std::uint64_t number, const std::byte* bytes, long result) const {
    if (result < 0) {
      const std::string why = net::describe(static_cast<int>(-result));
      std::fprintf(stderr, "a read: %s\n", why.c_str());
      std::exit(1);  // whatever thread this is
    }
    std::uint64_t wrong = static_cast<std::size_t>(result) == block ? 0 : 1;
    const std::uint64_t from = offset(number);
    for (std::size_t i = 0; i < block; i += sizeof wrong) {
      std::uint64_t word;
      std::memcpy(&word, bytes + i, sizeof word);
      wrong |= word ^ word_at(from + i);
    }
    if (wrong) {
      std::fprintf(stderr, "read %llu at %llu: wrong bytes\n",
                   static_cast<unsigned long long>(number),
                   static_cast<unsigned long long>(from));
      std::exit(1);
    }
    if (number == reads / 2) halfway();
  }

  /// By now all threads that it takes are there.
  static void halfway();
};

/// What each way defines: makes all reads, and checks each.
void read_all(const Task& task);

}  // namespace disk
