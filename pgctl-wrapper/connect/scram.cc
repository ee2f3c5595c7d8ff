#include "pgctl-wrapper/connect/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "velafs/base/check.h"

namespace velafs::pgctl {
namespace {

constexpr int kIterations = 4096;  // PostgreSQL's default
constexpr size_t kKeyBytes = 32;
using Key = std::array<unsigned char, kKeyBytes>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Key SaltedPassword(std::string_view password, std::string_view salt) {
  Key key;
  VELAFS_CHECK(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), Bytes(salt),
                                 static_cast<int>(salt.size()), kIterations, EVP_sha256(),
                                 static_cast<int>(key.size()), key.data()) == 1);
  return key;
}

Key Hmac(const Key& key, std::string_view text) {
  Key code;
  VELAFS_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(text),
                    text.size(), code.data(), nullptr) != nullptr);
  return code;
}

Key Sha256(const Key& key) {
  Key hash;
  VELAFS_CHECK(EVP_Digest(key.data(), key.size(), hash.data(), nullptr, EVP_sha256(), nullptr) ==
               1);
  return hash;
}

std::string Base64(const unsigned char* bytes, size_t size) {
  std::string text(4 * ((size + 2) / 3) + 1, '\0');  // with room for a final NUL
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::string Base64(const Key& key) { return Base64(key.data(), key.size()); }

}  // namespace

std::string ScramVerifier(std::string_view password, std::string_view salt) {
  const Key salted = SaltedPassword(password, salt);
  return "SCRAM-SHA-256$" + std::to_string(kIterations) + ":" + Base64(Bytes(salt), salt.size()) +
         "$" + Base64(Sha256(Hmac(salted, "Client Key"))) + ":" +
         Base64(Hmac(salted, "Server Key"));
}

}  // namespace velafs::pgctl
