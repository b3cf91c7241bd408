// What ekeydctl top makes of a daemon's figures. The terminal, and the real daemon, are
// tests/system/top.py's.
#include <doctest/doctest.h>

#include <algorithm>

#include "ekeyd/ctl/top/troubles.h"
#include "ekeyd/ctl/top/view.h"

using namespace ekey;
using namespace ekey::ctl;

namespace {

Fields fields(std::initializer_list<const char*> rows) {
    Fields all;
    for (const char* row : rows) {
        all.add(row);
    }
    return all;
}

Sample good(int seconds, const char* bytes) {
    Sample sample;
    sample.at = Time{} + std::chrono::seconds(seconds);
    sample.version = "ekeyd 2";
    sample.daemon = fields(
        {"PoolBytes=100", "PoolCapacity=200", "PoolBytesIn=1000", "PoolBytesOut=900", "PoolWaiting=0"});
    sample.sources.push_back(
        {true,
         fields({"Source=1", "Status=Running OK", "Path=/dev/a", "SerialNo=S", "MinEntropyPerByte=7",
                 "Failure=none", "DeviceFailures=0", "FipsRateFailures=0"}),
         {}});
    sample.sources[0].health.add(std::string("BytesReleased=") + bytes);
    sample.listeners.push_back({"tcp:[::1]:1", fields({"clients=1", "waiting=0", "refused=0", "bytes=5"})});
    sample.sinks.push_back({"kernel", fields({"bytes=5", "state=ok"})});
    return sample;
}

bool shows(const std::vector<ViewLine>& lines, std::string_view text) {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const ViewLine& l) { return l.text.find(text) != std::string::npos; });
}

} // namespace

TEST_CASE("top: rates are changes over the time between two looks") {
    const Fields now = fields({"a=300", "b=5", "c=nan", "d=1e999", "e=12x", "f="});
    const Fields before = fields({"a=100", "b=6", "c=1", "d=1", "e=1", "f=1"});
    CHECK(rate(now, &before, "a", 2) == 100);
    CHECK_FALSE(rate(now, &before, "b", 2)); // it went back: another daemon
    for (const char* bad : {"c", "d", "e", "f", "g"}) {
        CHECK_FALSE(rate(now, &before, bad, 2));
        CHECK_FALSE(now.number(bad));
    }
    CHECK_FALSE(rate(now, nullptr, "a", 2));
    CHECK_FALSE(rate(now, &before, "a", 0));

    const Sample first = good(10, "50000");
    const auto lines = view(good(12, "52000"), &first);
    CHECK(shows(lines, "Pool [##########..........] 50 % of 200 B, in 0 B/s"));
    CHECK(shows(lines, "1.0 kB/s   52.0 kB"));
    CHECK(shows(lines, "Nothing is wrong."));
    CHECK(shows(view(good(12, "52000"), nullptr), "    -   52.0 kB"));
}

TEST_CASE("top: what is wrong, in words") {
    const Sample before = good(10, "1");
    CHECK(troubles(before, &before).empty());
    const auto one = [&](auto change) {
        Sample now = good(12, "1");
        change(now);
        const auto all = troubles(now, &before);
        REQUIRE(all.size() >= 1);
        return all.back();
    };
    CHECK(one([](Sample& s) { s.sources.clear(); }).starts_with("Not ready: there is no source"));
    CHECK(one([](Sample& s) { s.daemon.add("PoolBytesIn=0"); }) ==
          "Not ready: not seeded: no source has delivered enough yet.");
    CHECK(one([](Sample& s) {
              s.sources[0].health.add("MinEntropyPerByte=0");
          }).starts_with("Not ready: no source that counts is healthy"));
    CHECK(one([](Sample& s) {
              s.sources[0].ok = false;
              s.sources[0].health.add("Status=Long-Term-Key is bad");
          }) == "Source 1 (S): the keyring has a wrong long-term key of it: see ekey-rekey(8).");
    CHECK(one([](Sample& s) {
              s.sources[0].ok = false;
              s.sources[0].health.add("Status=A new word");
              s.sources[0].health.add("Failure=silence");
              s.sources[0].health.add("Detail=why");
          }) == "Source 1 (S): A new word (why).");
    CHECK(one([](Sample& s) {
              s.sources[0].health.add("DeviceFailures=1");
              s.sources[0].health.add("LastFailure=device");
          }) == "Source 1 (S) has failed since the last look, and delivers again: device.");
    CHECK(one([](Sample& s) {
              s.sources[0].health.add("FipsRateFailures=1");
          }).starts_with("Source 1 (S) has failed since the last look"));
    CHECK(one([](Sample& s) { s.sinks[0].counters.add("state=No space left on device"); }) ==
          "Sink kernel: No space left on device.");
    CHECK(one([](Sample& s) { s.listeners[0].counters.add("refused=3"); }) ==
          "tcp:[::1]:1 has refused 3 clients since the last look.");
    CHECK(one([](Sample& s) {
              s.daemon.add("PoolBytes=16"); // less than they ask for
              s.listeners[0].counters.add("waiting=2");
          }) == "2 clients of tcp:[::1]:1 wait, and are served nothing.");
    // Those who wait while bytes are served share what there is.
    Sample shared = good(12, "1");
    shared.daemon.add("PoolBytes=0");
    shared.listeners[0].counters.add("waiting=2");
    shared.listeners[0].counters.add("bytes=6");
    CHECK(troubles(shared, &before).empty());
    shared.listeners[0].counters.add("bytes=5");
    CHECK(troubles(shared, nullptr).empty()); // what was served is not known yet
    // It is there only since the startup test ended: nothing wrong.
    Sample starting = good(12, "1");
    starting.sources.push_back({false, fields({"Source=2", "Status=Startup test"}), {}});
    CHECK(troubles(starting, &before).empty());
}

TEST_CASE("top: at 80 columns every name is there, and what is given up first is what matters least") {
    Sample now = good(12, "52000");
    const std::string serial = "NwBvBlg3OTBJORFD",
                      path = "/dev/serial/by-id/usb-Simtec_Electronics_UDEKEY01-if00";
    now.sources[0].health.add("SerialNo=" + serial);
    now.sources[0].health.add("Path=" + path);
    now.sources[0].health.add("Session=running");
    now.sources[0].statistics = fields({"KeyTemperatureC=33.1", "KeyVoltage=3.291"});
    now.sources.push_back({false,
                           fields({"Source=2", "Status=Away: cannot connect: Connection refused",
                                   "Failure=silence", "Path=egd:tcp:home.example:8888"}),
                           {}});
    const std::string listener =
        "sealed:0.0.0.0:8889,peers=/etc/ekeyd/peers,max-clients=100,allow=192.0.2.0/24";
    now.listeners.push_back(
        {listener, fields({"clients=1", "waiting=0", "refused=0", "bytes=5", "waits=3", "waits-90-ms=20"})});
    const Sample before = good(10, "50000");
    const auto at = [&](std::size_t width) { return view(now, &before, width); };

    const auto narrow = at(80);
    for (const ViewLine& line : narrow) {
        CHECK_MESSAGE(line.text.size() <= 80, line.text);
    }
    CHECK(shows(narrow, serial));
    CHECK(shows(narrow, "egd:tcp:home.example:8888"));
    CHECK(shows(narrow, "  sealed:0.0.0.0:8889"));
    CHECK(shows(narrow, "3.29 V"));
    CHECK_FALSE(shows(narrow, "TOTAL  FAILED"));
    CHECK(shows(narrow, "! Source 2 (egd:tcp:home.example:8888): it cannot be reached, and is tried again"));
    CHECK(shows(narrow, "Connection refused)."));    // at a blank, below
    CHECK(shows(narrow, "Away: cannot connect...")); // in the table
    CHECK_FALSE(shows(narrow, "SESSION"));
    CHECK(shows(at(110), "TOTAL"));
    const auto wide = at(250);
    CHECK(shows(wide, "running "));
    CHECK(shows(wide, serial + " " + path));
    CHECK(shows(wide, listener));
    CHECK(shows(wide, "  <0.020 s  "));
    CHECK(shows(view(now, &before), listener));
    for (const std::size_t width : {1, 2, 3, 5, 20, 40, 60}) {
        const auto lines = at(width);
        CHECK(lines.size() > 5);
    }
    // One that fits in no window goes on below, and is whole.
    CHECK(shows(at(60), "    NwBvBlg3OTBJORFD"));
}

TEST_CASE("top: the kernel's pool is told when the daemon tells of it") {
    Sample now = good(12, "1");
    CHECK_FALSE(shows(view(now, nullptr), "kernel's pool"));
    now.daemon.add("KernelEntropyBits=250");
    now.daemon.add("KernelPoolBits=256");
    CHECK(shows(view(now, nullptr), "; kernel's pool 250 of 256 bits"));
}

TEST_CASE("top: lines break at blanks, within words only where there is none") {
    using Lines = std::vector<std::string>;
    CHECK(wrap("", 5) == Lines{""});
    CHECK(wrap("one two", 7) == Lines{"one two"});
    CHECK(wrap("one two", 6) == Lines{"one", "two"});
    CHECK(wrap("! one two three", 9, 2) == Lines{"! one two", "  three"});
    CHECK(wrap("abcdefgh", 3) == Lines{"abc", "def", "gh"});
    CHECK(wrap("   abcdefgh i", 6, 2) == Lines{"   abc", "  defg", "  h i"});
    CHECK(wrap("abc", 1, 4) == Lines{"a", "b", "c"});
}
