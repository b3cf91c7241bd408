// A load on a running server:
//
//     egd-load ADDRESS CLIENTS SECONDS SIZE...    blocking reads of SIZE bytes, the sizes dealt out in turn
//
// Prints one line of JSON.
#include <cstdio>
#include <exception>
#include <string>

#include "load.h"

using namespace ekey;
using namespace ekey::bench;

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fputs("usage: egd-load ADDRESS CLIENTS SECONDS SIZE...\n", stderr);
        return 2;
    }
    try {
        Demand demand{.sizes = {}};
        for (int i = 4; i < argc; ++i) {
            demand.sizes.push_back(std::stoul(argv[i]));
        }
        Load load(argv[1], std::stoul(argv[2]), demand);
        const auto time =
            std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::stod(argv[3])));
        const Round round = load.run(time, Load::End::at_once);
        std::printf("{\"answers\": %llu, \"bytes\": %llu, \"seconds\": %.3f, \"jain\": %.5f}\n",
                    static_cast<unsigned long long>(round.answers),
                    static_cast<unsigned long long>(round.bytes), round.seconds, round.jain);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "egd-load: %s\n", error.what());
        return 1;
    }
}
