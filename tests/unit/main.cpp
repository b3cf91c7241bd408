// The entry of every unit test program.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "ekeyd/runtime/secret.h"

int main(int argc, char** argv) {
    ekey::init_secrets();
    return doctest::Context(argc, argv).run();
}
