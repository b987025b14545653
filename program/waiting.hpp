#pragma once
// Who waits for whom, where a server serves only so many peers at once.

#include <string>

namespace program {

/// Lets one peer after the other connect to the server at `address` and ask
/// PING, each holding its connection, until one of them is not answered; then
/// the first leaves, and the one who waits is answered. Prints what happens.
/// False if it is anything else. Throws std::system_error.
bool show_waiting(const std::string& address);

}  // namespace program
