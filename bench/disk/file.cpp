// Makes the file that is read, so many MiB of it: disk-file FILE MIB. What was
// there is made anew if its size is another.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "bench/disk/disk.hpp"
#include "net/fd.hpp"

namespace {

constexpr std::size_t mib = 1 << 20;

void fill(int file, std::uint64_t size) {
  std::vector<std::uint64_t> words(mib / sizeof(std::uint64_t));
  for (std::uint64_t at = 0; at < size; at += mib) {
    for (std::size_t i = 0; i < words.size(); ++i)
      words[i] = disk::word_at(at + i * sizeof words[0]);
    const auto* bytes = reinterpret_cast<const std::byte*>(words.data());
    for (std::size_t done = 0; done < mib;) {
      const ssize_t n = ::pwrite(file, bytes + done, mib - done,
                                 static_cast<off_t>(at + done));
      if (n < 0 && errno != EINTR) net::fail(errno, "pwrite");
      if (n > 0) done += static_cast<std::size_t>(n);
    }
  }
  net::check(::fdatasync(file), "fdatasync");
}

}  // namespace

int main(int count, char** words) {
  const std::uint64_t size =
      count == 3 ? std::strtoull(words[2], nullptr, 10) * mib : 0;
  if (size == 0) {
    std::fputs("usage: disk-file FILE MIB\n", stderr);
    return 2;
  }
  try {
    const net::Fd file(::open(words[1], O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file) net::fail(errno, std::string("open ") + words[1]);
    struct stat about;
    net::check(::fstat(file.get(), &about), "fstat");
    if (static_cast<std::uint64_t>(about.st_size) == size) return 0;
    net::check(::ftruncate(file.get(), 0), "ftruncate");
    fill(file.get(), size);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
