#pragma once
// A peer that may stay.

#include <string>
#include <utility>

#include "net/clients.hpp"
#include "net/fd.hpp"
#include "protocol/service.hpp"

namespace net {

/// Its socket and its seat. False if there is none.
struct Guest final : protocol::Origin {
  Guest() = default;
  Guest(Fd its_socket, Seat its_seat)
      : socket(std::move(its_socket)), seat(std::move(its_seat)) {}

  std::string address() const override;
  explicit operator bool() const { return static_cast<bool>(socket); }

  Fd socket;
  Seat seat;
};

}  // namespace net
