// When a certificate is valid. The certificates are openssl's (ca -selfsign -startdate ... -enddate ...).
#include <doctest/doctest.h>

#include "ekeyd/http/validity.h"

using namespace ekey::http;

namespace {

// Version 3, from 20200229000000Z to 20510304050607Z: UTCTime, and GeneralizedTime as after 2049.
const std::string version3 = R"(-----BEGIN CERTIFICATE-----
MIIBTzCB9qADAgECAgEDMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9z
dDAgFw0yMDAyMjkwMDAwMDBaGA8yMDUxMDMwNDA1MDYwN1owFDESMBAGA1UEAwwJ
bG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvTQD8+UaXC2640wE
YR5Y57ma9Cc0ZxuPbRoumpvPcfJUArPEjEOZNqqQ6BO7qMPKZtxdTzWGS3sc/VU9
oFawsKM3MDUwFAYDVR0RBA0wC4IJbG9jYWxob3N0MB0GA1UdDgQWBBRaYQb0FOey
4iFafnKa2gHO/EVlHDAKBggqhkjOPQQDAgNIADBFAiEArxab7ErlzA62JJdwba2T
1UNl21mHcA8JD1bt8owE3w8CIBAi0QDeKVy63Z1qWdH2q75JCa8vpYFQDHbiRKlX
1KrC
-----END CERTIFICATE-----
)";
// Version 1, from 19500102030405Z to 99991231235959Z.
const std::string version1 = R"(-----BEGIN CERTIFICATE-----
MIIBETCBuAIBAjAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwIBcN
NTAwMTAyMDMwNDA1WhgPOTk5OTEyMzEyMzU5NTlaMBQxEjAQBgNVBAMMCWxvY2Fs
aG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL00A/PlGlwtuuNMBGEeWOe5
mvQnNGcbj20aLpqbz3HyVAKzxIxDmTaqkOgTu6jDymbcXU81hkt7HP1VPaBWsLAw
CgYIKoZIzj0EAwIDSAAwRQIgCLwootM7zyvw7ngm8Fb6/n69AyuIMY/ID+6TGlTo
ov4CIQDISLwFAqHSRMaDA8F1/l1SaxWrlt0xqoDv2DRbpVmxVw==
-----END CERTIFICATE-----
)";

std::string found(std::string_view pem) {
    const auto validity = Validity::find(*Library::load().value(), pem);
    return validity ? rfc3339(validity->from) + ' ' + rfc3339(validity->until) : "nothing";
}

} // namespace

TEST_CASE("certificate: from when and until when it is valid, of the first one in a file") {
    CHECK(found(version3) == "2020-02-29T00:00:00Z 2051-03-04T05:06:07Z");
    CHECK(found(version1) == "1970-01-01T00:00:00Z 9999-12-31T23:59:59Z"); // GnuTLS knows no time before
    CHECK(found("the server's\n" + version3 + version1) == found(version3));
    CHECK(found("") == "nothing");
    CHECK(found("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") == "nothing");
}

TEST_CASE("promise 5: certificate: one that is cut has no validity, and nothing worse") {
    for (std::size_t size = version3.find('\n'); size < version3.find("\n-----END"); ++size) {
        CHECK(found(version3.substr(0, size)) == "nothing");
    }
}
