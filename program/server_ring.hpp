#pragma once
// A ring of servers, from its start to its end.

#include "program/options.hpp"

namespace program {

/// Binds a socket for each server, starts the servers with them, waits until
/// all are ready, runs the client's demonstration (or, to serve, prints the
/// addresses and waits for SIGINT or SIGTERM), and stops them.
///
/// Returns the exit code: the client's; 77 if a program cannot run here, with
/// SKIP and its reason on the standard output; 130 if it was interrupted; 1,
/// and why on the standard error, if a server did not become ready or did not
/// end as it should. Throws std::system_error.
int run_ring(const RingOptions& options);

}  // namespace program
