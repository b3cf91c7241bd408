// What is sent, any number of times.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ekeyd/http/library.h"

namespace ekey::http {

class Response {
  public:
    // The library copies the body, or uses it as it is until every connection has sent it.
    enum class Body { copied, borrowed };
    // Says that nobody may keep it or take it for another type. Throws std::bad_alloc. The library must
    // outlive it.
    Response(const Library& library, std::string_view body, const char* type, Body kind = Body::copied);

    // Throws std::bad_alloc.
    Response& header(const char* name, const std::string& value) &;
    MHD_Response* get() const { return made_.get(); }

  private:
    const Library* library_;
    std::unique_ptr<MHD_Response, decltype(&MHD_destroy_response)> made_;
};

} // namespace ekey::http
