#include <cstdio>
#include <exception>

#include "ekeyd/ctl/ctl.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/runtime/standard_files.h"

int main(int argc, char** argv) {
    ekey::fill_standard_files();
    try {
        ekey::init_secrets();
        return ekey::ctl::run({argv + 1, argv + argc}, stdout, stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ekeydctl: %s\n", error.what());
        return 1;
    }
}
