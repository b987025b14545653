#include "program/sha1.hpp"

#include <openssl/evp.h>

#include <memory>
#include <stdexcept>

namespace program {

dht::Id sha1(std::string_view bytes) {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)>
      context(::EVP_MD_CTX_new(), ::EVP_MD_CTX_free);
  dht::Id id;
  static_assert(sizeof id.bytes == 20);
  if (!context || !::EVP_DigestInit_ex(context.get(), ::EVP_sha1(), nullptr) ||
      !::EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) ||
      !::EVP_DigestFinal_ex(context.get(), id.bytes.data(), nullptr))
    throw std::runtime_error("SHA-1 is not to be had from OpenSSL");
  return id;
}

}  // namespace program
