#pragma once
// A lock that is handed in. The pure parts name what they need; net supplies
// one that works between processes too.

namespace protocol {

/// Mutual exclusion between threads or, if the holder's memory is shared,
/// between processes.
class Lock {
 public:
  /// Waits for the lock and takes it. True: its last owner died while holding
  /// it, so what it guards has to be checked before it is used. The same is
  /// reported again if the checker dies too.
  [[nodiscard]] virtual bool lock() = 0;
  virtual void unlock() noexcept = 0;

 protected:
  ~Lock() = default;
};

}  // namespace protocol
