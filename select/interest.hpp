#pragma once
// Which sockets are watched, and for what. epoll's kernel keeps this; here the
// program does, and hands it over at each wait.

#include <poll.h>
#include <sys/select.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace interest {

/// For select(2): a bit for every descriptor. One thread.
class Sets {
 public:
  /// To set the bit of a higher one would write behind the set (select(2)):
  /// ask before add().
  static bool fits(int fd) { return fd < FD_SETSIZE; }

  /// To be read.
  void add(int fd, std::uint64_t id) {
    assert(fits(fd));
    ids_[static_cast<std::size_t>(fd)] = id;
    count_ = std::max(count_, fd + 1);
    set(fd, true, false);
  }
  void set(int fd, bool read, bool write) {
    read ? FD_SET(fd, &readers_) : FD_CLR(fd, &readers_);
    write ? FD_SET(fd, &writers_) : FD_CLR(fd, &writers_);
  }
  /// Also out of what the last wait brought: the number may be somebody else's
  /// before its turn comes.
  void remove(int fd) {
    for (fd_set* set : {&readers_, &writers_, &readable, &writable})
      FD_CLR(fd, set);
    ids_[static_cast<std::size_t>(fd)] = none;
    while (count_ > 0 && ids_[static_cast<std::size_t>(count_ - 1)] == none)
      --count_;
  }

  /// Before each wait: the kernel writes its answer over what it is given.
  void refresh() {
    readable = readers_;
    writable = writers_;
  }
  /// The first argument of select(2): the highest of them, and one more.
  int count() const { return count_; }
  fd_set readable{}, writable{};  // what is asked, and then what is answered

  /// visit(id, whether it can be read) for all that are ready; it may add and
  /// remove any.
  template <class Visit>
  void each_ready(Visit visit) {
    for (int fd = count_; fd-- > 0;) {
      const bool can_be_read = FD_ISSET(fd, &readable);
      if (can_be_read || FD_ISSET(fd, &writable))
        visit(ids_[static_cast<std::size_t>(fd)], can_be_read);
    }
  }

 private:
  static constexpr std::uint64_t none = ~0ull;

  fd_set readers_{}, writers_{};
  std::vector<std::uint64_t> ids_ =
      std::vector<std::uint64_t>(FD_SETSIZE, none);
  int count_ = 0;
};

/// For poll(2): an entry for each that is watched, without gaps, as the kernel
/// wants them, and beside it whose it is. One thread.
class List {
 public:
  /// With room for those whom a loop adds in its set-up, where want of memory
  /// throws; later it does not.
  List() {
    entries_.reserve(2);
    ids_.reserve(2);
  }
  /// Its place is size(). False if there is no memory for one more.
  bool add(int fd, int events, std::uint64_t id) try {
    ids_.push_back(id);
    entries_.push_back({fd, static_cast<short>(events), 0});
    return true;
  } catch (const std::bad_alloc&) {
    ids_.resize(entries_.size());
    return false;
  }
  void set(std::uint32_t place, int events) {
    entries_[place].events = static_cast<short>(events);
  }
  int events(std::uint32_t place) const { return entries_[place].events; }
  /// The last one gets the place; returns whose that is now.
  std::uint64_t remove(std::uint32_t place) {
    entries_[place] = entries_.back();
    ids_[place] = ids_.back();
    entries_.pop_back();
    ids_.pop_back();
    return place < ids_.size() ? ids_[place] : 0;
  }
  /// A negative descriptor is passed over by the kernel.
  void disable(std::uint32_t place) { entries_[place].fd = -1; }

  pollfd* entries() { return entries_.data(); }
  std::size_t size() const { return entries_.size(); }

  /// visit(id, events) for all that are ready; it may add and remove any.
  /// Backwards, so that who is moved into a gap has had its turn, or gets it at
  /// its new place: forwards it would be passed over. Removals can also bring
  /// the end of the list below the place that is reached.
  template <class Visit>
  void each_ready(Visit visit) {
    for (std::size_t i = size(); i > 0;) {
      i = std::min(i, size()) - 1;
      // Taken away, or who has had it could be met again at another place.
      const short events = std::exchange(entries_[i].revents, short{0});
      assert(!(events & POLLNVAL));  // nothing is listed that is closed
      if (events != 0) visit(ids_[i], int{events});
    }
  }

 private:
  std::vector<pollfd> entries_;
  std::vector<std::uint64_t> ids_;
};

}  // namespace interest
