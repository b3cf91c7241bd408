// Where bytes go that clients write (EGD's command 03): into the conditioner, without credit. What comes from
// outside cannot make a sound pool worse; counting it could.
#pragma once

#include "ekeyd/listeners/rate.h"

namespace ekey {

class Mixer {
  public:
    virtual void mix(ByteView bytes) = 0; // valid during the call

  protected:
    ~Mixer() = default;
};

// Ours: 512 bits a second would fill any state that there is, so more than this is work without a use. It is
// a bound for all clients of a listener together; what is above it is read and dropped.
inline constexpr Rate mixing_rate{4096, 4096};

} // namespace ekey
