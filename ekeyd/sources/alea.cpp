// Araneus Alea II, which speaks as a ChaosKey does and is credited as one, by the kernel's driver too; that
// is detached and given back.
#include "ekeyd/sources/chaoskey.h"

namespace ekey {

const UsbDriver alea_driver{"alea", "Alea", {{0x12d8, 0x0001}}, true, false, chaoskey_plan, make_chaoskey};

} // namespace ekey
