#pragma once
// The hash of the rings: OpenSSL's SHA-1, since the papers say SHA-1.

#include <string_view>

#include "dht/identifier.hpp"

namespace program {

/// A dht::Hash. Thread-safe; each thread keeps a context of its own, since to
/// make one costs several times what a short key costs to hash
/// (EVP_DigestInit_ex(3)). Throws std::runtime_error where SHA-1 is forbidden.
dht::Id sha1(std::string_view bytes);

}  // namespace program
