#pragma once
// Long streams of ECHOs between one peer and a server.

#include "tests/conformance/peer.hpp"

namespace conformance {

/// Sends the first ECHOs of a stream of `count`, each of `size` bytes, until
/// the kernel has taken no byte for a while, or all: how many bytes it took.
std::size_t send_until_blocked(Peer& peer, std::size_t count, std::size_t size);

/// One thread sends the stream from its byte `sent` on, and ends; this one
/// receives all the answers and compares every byte, and sees the server end.
/// Throws Trouble where the two differ.
void exchange(Peer& peer, std::size_t count, std::size_t size,
              std::size_t sent = 0);

}  // namespace conformance
