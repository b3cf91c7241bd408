#include "contest.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace ekey::bench {

namespace {
double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}
} // namespace

Folder::Folder() {
    if (mkdtemp(path_.data()) == nullptr) {
        throw std::runtime_error("no temporary folder");
    }
}

Folder::~Folder() {
    std::error_code ignored; // the servers are killed, so they leave their sockets
    std::filesystem::remove_all(path_, ignored);
}

std::vector<Contender> compete(const std::vector<Kind>& kinds, const std::string& transport,
                               const Length& length, const LoadMaker& make_load) {
    const Folder folder;
    std::vector<Contender> contenders;
    for (const Kind kind : kinds) {
        const std::string address = transport == "unix"
                                        ? "unix:" + folder.path() + "/" + std::to_string(contenders.size())
                                        : "tcp:127.0.0.1:0";
        auto server = std::make_unique<Server>(kind, address);
        auto load = std::make_unique<LoadProcess>([&] { return make_load(server->address()); });
        load->run(length.round / 8); // warm
        contenders.push_back({kind, std::move(server), std::move(load), {}});
    }
    for (int i = 0; i < length.rounds; ++i) {
        for (Contender& each : contenders) {
            const Server::Cpu before = each.server->cpu();
            const Round round = each.load->run(length.round);
            const Server::Cpu after = each.server->cpu();
            each.turns.push_back(
                {round, {after.all - before.all, after.user - before.user, after.kernel - before.kernel}});
        }
    }
    return contenders;
}

double median(const Contender& contender, double (*what)(const Turn&)) {
    std::vector<double> values;
    for (const Turn& turn : contender.turns) {
        values.push_back(what(turn));
    }
    return median(std::move(values));
}

double median_ratio(const Contender& contender, const Contender& floor, double (*what)(const Turn&)) {
    std::vector<double> values;
    for (std::size_t i = 0; i < contender.turns.size(); ++i) {
        values.push_back(what(contender.turns[i]) / what(floor.turns[i]));
    }
    return median(std::move(values));
}

} // namespace ekey::bench
