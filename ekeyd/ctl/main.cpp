#include <cstdio>
#include <exception>

#include "ekeyd/ctl/ctl.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/runtime/standard_files.h"

int main(int argc, char** argv) {
    ekey::fill_standard_files();
    try {
        ekey::init_secrets();
        const int status = ekey::ctl::run({argv + 1, argv + argc}, stdout, stderr);
        if (const auto flushed = ekey::flush_output(); !flushed && status == 0) {
            std::fprintf(stderr, "ekeydctl: %s\n", flushed.error().what.c_str());
            return 1;
        }
        return status;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ekeydctl: %s\n", error.what());
        return 1;
    }
}
