// # The ring's program
//
// Starts a ring of servers, has a client demonstrate it, and stops it. The
// sockets are bound here and inherited: so every server can be told all
// addresses before the first one runs, and no port is lost in between.

#include <cstdio>
#include <exception>

#include "program/options.hpp"
#include "program/prepare.hpp"
#include "program/server_ring.hpp"

int main(int count, char** words) {
  try {
    program::prepare();
    const auto options = program::parse_ring({words + 1, words + count});
    if (!options) return program::print(options.error());
    return program::run_ring(*options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ring: %s\n", error.what());
    return 1;
  }
}
