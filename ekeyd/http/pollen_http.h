// What of pollen is HTTP: which requests have a challenge, and what is said to the others.
#pragma once

#include <map>
#include <string>

#include "ekeyd/http/engine.h"

namespace ekey::http {

// Finds the challenge of a request. The status for one that is not as it should be, or 0.
unsigned find_challenge(const Connection& request, std::string& challenge);

// Answers without a seed.
class PollenRefusals {
  public:
    explicit PollenRefusals(const Library& library) : library_(library) {}
    // For a status of find_challenge(), or 503 (no entropy) or 429 (too soon): then it is told when to come
    // again, and that its connection ends. Throws std::bad_alloc.
    const Response& find(unsigned status);

  private:
    const Library& library_;
    std::map<unsigned, Response> made_;
};

} // namespace ekey::http
