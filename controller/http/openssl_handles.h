// Owners of OpenSSL's objects, and what two files read from PEM. Internal to controller/http.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace longstride {

template <auto Free>
struct OpensslDeleter {
  void operator()(auto* object) const { Free(object); }
};

using BioHandle = std::unique_ptr<BIO, OpensslDeleter<BIO_free>>;
using BignumHandle = std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>>;
using ExtensionHandle = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, OpensslDeleter<X509_free>>;

// The first in the text; null if there is none that can be read without a password.
[[nodiscard]] X509Handle ReadCertificate(const std::string& pem);
[[nodiscard]] KeyHandle ReadKey(const std::string& pem);

}  // namespace longstride
