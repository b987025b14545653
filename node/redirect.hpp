#pragma once
// Whom a node names to a client that asks for another node's key.

namespace node {

/// hop: the next node of the lookup, which the client thus performs itself, one
/// MOVED after another. owner: the key's owner, from the list of members, for
/// clients that allow few MOVEDs or remember where each led.
enum class Redirect { hop, owner };

}  // namespace node
