// Several servers under the same load, in turns, so that what else goes on in the machine meets them all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "load.h"
#include "servers.h"

namespace ekey::bench {

// A folder of one's own for Unix sockets.
class Folder {
  public:
    Folder(); // throws when it cannot be made
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_ = "/tmp/ekeyd-bench-XXXXXX";
};

struct Turn {
    Round round;
    Server::Cpu used;
    double rate() const { return static_cast<double>(round.answers) / round.seconds; }
    // Microseconds of the server's processor time an answer, which other load on the machine disturbs less.
    double cpu() const { return 1e6 * used.all / static_cast<double>(round.answers); }
};

struct Contender {
    Kind kind;
    std::unique_ptr<Server> server;
    std::unique_ptr<LoadProcess> load;
    std::vector<Turn> turns;
};

struct Length {
    int rounds;
    Duration round;
};

// The load that a server at this address is put under.
using LoadMaker = std::function<LoadProcess::Work(const std::string& address)>;

// The first contender is the floor. `transport` is unix or tcp.
std::vector<Contender> compete(const std::vector<Kind>& kinds, const std::string& transport,
                               const Length& length, const LoadMaker& make_load);

// The median over the rounds of `what(turn)`, and of its ratio to the floor's in the same round.
double median(const Contender& contender, double (*what)(const Turn&));
double median_ratio(const Contender& contender, const Contender& floor, double (*what)(const Turn&));

} // namespace ekey::bench
