#pragma once
// What a session has answered and a model has not sent yet.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/pool.hpp"
#include "protocol/service.hpp"

namespace protocol {

/// The unsent answers: a queue of blocks, of which the first is lent. Bytes
/// that are lent never move; the rest may, to make one block out of two.
class Output final : public Sink {
 public:
  static constexpr std::size_t lent_max = 64 << 10;  // also a block's most

  explicit Output(Pool& pool) : pool_(&pool) {}
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// The blocks come from this pool from now on, and all go there.
  void use(Pool& pool) { pool_ = &pool; }

  void append(std::string_view bytes) override;
  char* extend(std::size_t size) override;
  std::span<char> extend_some(std::size_t size) override;
  std::size_t size() const { return size_; }  // unsent bytes
  std::size_t held() const { return held_; }  // bytes of blocks
  std::span<const std::byte> lend();
  void sent(std::size_t n);
  /// Nothing but what is lent will be sent: gives back every other block.
  void abandon();

 private:
  bool lent(const Block* block) const { return lent_ != 0 && block == first_; }
  char* take(std::size_t size);
  void grow(std::size_t bytes);
  void append_block(std::size_t capacity);
  void replace_last(std::size_t capacity);
  void drop_first();

  Pool* pool_;
  Block* first_ = nullptr;
  Block* last_ = nullptr;
  std::size_t size_ = 0;
  std::size_t held_ = 0;
  std::uint32_t lent_ = 0;  // so many bytes of the first block
};

}  // namespace protocol
