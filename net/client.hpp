#pragma once
// All that a model's client is built from.

#include "net/address.hpp"
#include "net/clock.hpp"
#include "net/error.hpp"
#include "net/mailbox.hpp"
#include "net/model.hpp"
#include "net/table.hpp"

namespace net {

/// Tells an agenda by when all that its peers had sent was handed over.
///
/// A turn of a loop hands over what had come before it began, unless something
/// may have been left: the wait brought a whole batch, or a read filled its
/// room. Then more turns are needed, none of which sleeps while somebody is
/// overdue. Peers who always have more to send must not put off for ever what
/// is to happen to those who send nothing: so many such turns in a row count
/// as one. They cover some 100 batches of events, and 800 KiB of each peer.
class Look {
 public:
  explicit Look(protocol::Agenda& agenda) : agenda_(agenda) {}

  /// Before the wait.
  void begin(protocol::Nanoseconds now) {
    if (turns_++ == 0) first_ = now;
    began_ = now;
    whole_ = true;
  }
  /// Something may have been left.
  void left() { whole_ = false; }
  bool whole() const { return whole_; }
  /// All that the turn brought has been handed over.
  void end() {
    if (!whole_ && turns_ < turns_max) return;
    turns_ = 0;
    agenda_.looked(whole_ ? began_ : first_);
  }

 private:
  static constexpr int turns_max = 100;

  protocol::Agenda& agenda_;
  protocol::Nanoseconds first_ = 0, began_ = 0;
  int turns_ = 0;
  bool whole_ = true;
};

}  // namespace net
